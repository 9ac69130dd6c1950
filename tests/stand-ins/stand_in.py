"""What the small stand-ins share: a server on loopback whose state is a file, and a log of what it was asked.

    python3 NAME.py STATE.json [PORT]

It prints `listening on http://127.0.0.1:PORT` once it does. STATE.json is read again for each request, so that a test
can change how the service is while it runs. Whatever the service, the state may hold `answers`: what is answered in place
of its own to a method and a path, for example

    {"answers": {"GET /alive": {"status": 503, "headers": {"retry-after": "1"}, "body": "down"}}}

Each request is a line of JSON in STATE.json.log, written before the answer is sent. A credential is not logged, but
something by which two of them can be told apart:

    {"method": "GET", "path": "/alive", "query": {}, "credential": "9f86d081", "status": 200}
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Answer(Exception):
    """An answer, raised from wherever it is clear. `body` is a value for JSON, text, or None for no body."""

    def __init__(self, status, body=None, headers=None):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, dict(headers or {})


class Handler(BaseHTTPRequestHandler):
    """A service says what it answers in `respond(method, path, query, state)`, which raises `Answer`."""

    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    state_file = ""
    log_lock = threading.Lock()

    def do_GET(self):
        self.handle_one()

    def do_POST(self):
        self.handle_one()

    def handle_one(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        url = urlsplit(self.path)
        path = unquote(url.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with open(self.state_file, encoding="utf-8") as file:
            state = json.load(file)
        answer = self.answer_to(path, query, state)
        self.log_request_as_json(path, query, answer.status)
        self.send(answer)

    def answer_to(self, path, query, state):
        planted = state.get("answers", {}).get(f"{self.command} {path}")
        if planted is not None:
            return Answer(planted["status"], planted.get("body"), planted.get("headers"))
        try:
            self.respond(self.command, path, query, state)
        except Answer as answer:
            return answer
        return Answer(404, {"message": "page not found"})

    def respond(self, method, path, query, state):
        raise NotImplementedError

    def bearer(self):
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else None

    def log_request_as_json(self, path, query, status):
        credential = self.headers.get("authorization")
        line = {"method": self.command, "path": path, "query": query, "status": status,
                "credential": credential and hashlib.sha256(credential.encode()).hexdigest()[:8]}
        with self.log_lock, open(self.state_file + ".log", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def send(self, answer):
        is_text = isinstance(answer.body, str)
        body = b"" if answer.body is None else (answer.body if is_text else json.dumps(answer.body)).encode()
        self.send_response(answer.status)
        if body and "content-type" not in answer.headers:
            self.send_header("content-type", "text/plain" if is_text else "application/json")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: a test's output is its own."""


def main(handler, doc):
    if len(sys.argv) not in (2, 3):
        sys.exit(doc)
    handler.state_file = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) == 3 else 0), handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
