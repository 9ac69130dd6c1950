#!/usr/bin/env python3
"""A stand-in for an Infisical server, for tests on loopback. It is not Infisical.

It answers the three requests that reading one secret takes, as the vendor documents them and as the vendor's own
client (see requirements.txt) expects them:

    GET  /api/status                            that it is there
    POST /api/v1/auth/universal-auth/login      client id and secret for an access token
    GET  /api/v3/secrets/raw/NAME               one secret, by project, environment and folder

    python3 infisical.py STATE.json [PORT]

It prints `listening on http://127.0.0.1:PORT` once it does. STATE.json is read again for each request, so that a test
can change a value or a client secret while it runs:

    {"client_id": "…", "client_secret": "…",
     "secrets": [{"project": "UUID", "slug": "demo", "environment": "prod", "path": "/", "name": "TOKEN",
                  "value": "…", "hidden": false}]}

`slug` and `hidden` may be left out. A secret that is hidden is there, but its value may not be viewed. With `"down": true`
it answers everything as it does while its database is away.
"""

import hmac
import json
import secrets
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LOGIN = "/api/v1/auth/universal-auth/login"
SECRET = "/api/v3/secrets/raw/"
MOST_BODY_BYTES = 64 * 1024


class Refusal(Exception):
    """An answer in the vendor's form for errors."""

    def __init__(self, status, error, message):
        super().__init__(message)
        self.status = status
        self.answer = {"reqId": f"req-{secrets.token_hex(7)}", "statusCode": status, "message": message, "error": error}


class Handler(BaseHTTPRequestHandler):
    server_version = "infisical-stand-in"
    state_file = ""
    tokens = {}  # token -> the client secret that it was given for

    def do_GET(self):
        self.answer(self.get)

    def do_POST(self):
        self.answer(self.post)

    def answer(self, handle):
        try:
            with open(self.state_file, encoding="utf-8") as file:
                state = json.load(file)
            if state.get("down"):
                raise Refusal(500, "InternalServerError", "Something went wrong")
            status, answer = 200, handle(state)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.answer
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def get(self, state):
        url = urlsplit(self.path)
        if url.path == "/api/status":
            return {"date": "2026-01-01T00:00:00.000Z", "message": "Ok", "emailConfigured": False,
                    "inviteOnlySignup": False}
        if not url.path.startswith(SECRET):
            raise self.no_route()
        self.check_token(state)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        return {"secret": find(state, unquote(url.path[len(SECRET):]), query)}

    def post(self, state):
        if urlsplit(self.path).path != LOGIN:
            raise self.no_route()
        length = int(self.headers.get("content-length", 0))
        if length > MOST_BODY_BYTES:
            raise Refusal(413, "PayloadTooLarge", "Request body is too large")
        try:
            body = json.loads(self.rfile.read(length))
            client_id, client_secret = body["clientId"], body["clientSecret"]
        except (ValueError, KeyError, TypeError):
            raise Refusal(422, "ValidationFailure", "clientId and clientSecret are required") from None
        if client_id != state["client_id"] or not same(client_secret, state["client_secret"]):
            raise Refusal(401, "UnauthorizedError", "Invalid credentials")
        token = secrets.token_urlsafe(48)
        self.tokens[token] = state["client_secret"]
        return {"accessToken": token, "expiresIn": 2592000, "accessTokenMaxTTL": 2592000, "tokenType": "Bearer"}

    def check_token(self, state):
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        given_for = self.tokens.get(token)
        if scheme != "Bearer" or given_for is None or not same(given_for, state["client_secret"]):
            raise Refusal(401, "UnauthorizedError", "Token missing or not valid")

    def no_route(self):
        path = urlsplit(self.path).path
        return Refusal(404, "Not Found", f"Route {self.command}:{path} not found")

    def log_message(self, *_):
        """Nothing: a test's output is its own."""


def same(one, other):
    return hmac.compare_digest(str(one).encode(), str(other).encode())


def find(state, name, query):
    project_id, slug = query.get("workspaceId"), query.get("workspaceSlug")
    if not project_id and not slug:
        raise Refusal(400, "BadRequest", "You must provide workspaceSlug or workspaceId")
    for known in state["secrets"]:
        in_project = known["project"] == project_id if project_id else known.get("slug") == slug
        place = (known["environment"], known["path"], known["name"])
        if in_project and place == (query.get("environment"), query.get("secretPath", "/"), name):
            return describe(known, query.get("viewSecretValue") != "false" and not known.get("hidden"))
    raise Refusal(404, "NotFound", f"Secret with name '{name}' not found")


def describe(known, may_view):
    unique = str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join([known["project"], known["environment"], known["path"], known["name"]])))
    return {
        "id": unique,
        "_id": unique,
        "workspace": known["project"],
        "environment": known["environment"],
        "version": 1,
        "type": "shared",
        "secretKey": known["name"],
        "secretValue": known["value"] if may_view else "<hidden-by-infisical>",
        "secretValueHidden": not may_view,
        "secretComment": "",
        "secretPath": known["path"],
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "secretMetadata": [],
        "tags": [],
    }


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    Handler.state_file = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) == 3 else 0), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
