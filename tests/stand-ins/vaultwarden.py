#!/usr/bin/env python3
"""A stand-in for Vaultwarden's page for monitors, for tests on loopback. It is not Vaultwarden.

    GET /alive       its own time as JSON, without authentication

    python3 vaultwarden.py STATE.json [PORT]       see stand_in.py
"""

import json
from datetime import datetime, timezone

from stand_in import Answer, Handler, main


class Vaultwarden(Handler):
    def respond(self, method, path, query, state):
        if path == "/alive" and method == "GET":
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            raise Answer(200, json.dumps(now), {"content-type": "application/json"})


if __name__ == "__main__":
    main(Vaultwarden, __doc__)
