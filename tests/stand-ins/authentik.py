#!/usr/bin/env python3
"""A stand-in for an Authentik server, for tests on loopback. It is not Authentik.

    GET /-/health/live/        200 while the process lives
    GET /-/health/ready/       200, or 503 while its database is away
    GET /api/v3/root/config/   what the vendor's own client asks first; open to everybody

    python3 authentik.py STATE.json [PORT]       see stand_in.py

    {"database": true, "empty": false}

With `empty` the two pages for monitors answer 204, as older releases do.
"""

from stand_in import Answer, Handler, main

CONFIG = {
    "error_reporting": {"enabled": False, "sentry_dsn": "", "environment": "customer", "send_pii": False,
                        "traces_sample_rate": 0.0},
    "capabilities": ["can_save_media", "can_geo_ip"],
    "cache_timeout": 300, "cache_timeout_flows": 300, "cache_timeout_policies": 300,
}


class Authentik(Handler):
    def respond(self, method, path, query, state):
        well = 204 if state.get("empty") else 200
        if (method, path) == ("GET", "/-/health/live/"):
            raise Answer(well)
        if (method, path) == ("GET", "/-/health/ready/"):
            raise Answer(well if state.get("database", True) else 503)
        if (method, path) == ("GET", "/api/v3/root/config/"):
            raise Answer(200, CONFIG)


if __name__ == "__main__":
    main(Authentik, __doc__)
