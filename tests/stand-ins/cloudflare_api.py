#!/usr/bin/env python3
"""A stand-in for the Cloudflare API, version 4, for tests on loopback. It is not Cloudflare.

    GET /client/v4/user/tokens/verify        whether the token is good
    GET /client/v4/zones?per_page=N&page=M   the zones, page by page

    python3 cloudflare_api.py STATE.json [PORT]       see stand_in.py

    {"token": "…", "token_status": "active", "zones": ["example.test", …]}

Answers have the vendor's envelope and its header fields for limits; what is asked with another token is refused as the
vendor refuses it. `answers` with 429 and `retry-after` is how it limits.
"""

import hmac
import math

from stand_in import Answer, Handler, main

TIME = "2026-01-01T00:00:00.000000Z"
LIMITS = {"ratelimit": '"default";r=1190;t=300', "ratelimit-policy": '"default";q=1200;w=300'}


def envelope(result, **more):
    return {"success": True, "errors": [], "messages": [], "result": result, **more}


def refusal(code, message):
    return {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}


def zone(number, name):
    return {
        "id": f"{number:032x}", "name": name, "status": "active", "paused": False, "type": "full",
        "development_mode": 0, "name_servers": ["a.ns.test", "b.ns.test"], "original_name_servers": None,
        "original_registrar": None, "original_dnshost": None, "modified_on": TIME, "created_on": TIME,
        "activated_on": TIME, "meta": {"step": 4, "page_rule_quota": 3, "phishing_detected": False},
        "owner": {"id": "f" * 32, "type": "user", "name": "owner"}, "account": {"id": "e" * 32, "name": "account"},
        "permissions": ["#zone:read"], "plan": {"id": "0" * 32, "name": "Free Website"},
    }


class Cloudflare(Handler):
    def respond(self, method, path, query, state):
        if path == "/client/v4/user/tokens/verify" and method == "GET":
            self.check(state, 401, refusal(1000, "Invalid API Token"))
            token = {"id": "d" * 32, "status": state.get("token_status", "active")}
            raise Answer(200, envelope(token), LIMITS)
        if path == "/client/v4/zones" and method == "GET":
            self.check(state, 403, refusal(9109, "Invalid access token"))
            raise Answer(200, self.zones(state, query), LIMITS)
        raise Answer(404, refusal(7003, f"Could not route to {path}, perhaps your object identifier is invalid?"))

    def check(self, state, status, refused):
        if not hmac.compare_digest((self.bearer() or "").encode(), state["token"].encode()):
            raise Answer(status, refused, LIMITS)

    def zones(self, state, query):
        page, per_page = int(query.get("page", 1)), int(query.get("per_page", 20))
        if not 1 <= page or not 5 <= per_page <= 50:
            raise Answer(400, refusal(1003, "Invalid page or per_page"), LIMITS)
        zones = [zone(number, name) for number, name in enumerate(state["zones"])]
        shown = zones[(page - 1) * per_page:page * per_page]
        return envelope(shown, result_info={
            "page": page, "per_page": per_page, "count": len(shown), "total_count": len(zones),
            "total_pages": math.ceil(len(zones) / per_page)})


if __name__ == "__main__":
    main(Cloudflare, __doc__)
