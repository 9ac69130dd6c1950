#!/usr/bin/env python3
"""A stand-in for the Docker Engine API, version 1.44, for tests on loopback. It is not Docker: no container runs here.

    GET  /v1.44/containers/json?all=B&filters=F        the list, with the filters name, status and health
    GET  /v1.44/containers/NAME/json                   one container, by name or id
    POST /v1.44/containers/NAME/restart?t=SECONDS      a restart: 204

    python3 docker_engine.py STATE.json [PORT]       see stand_in.py

    {"token": "…", "containers": {"web": {"status": "running", "health": "unhealthy",
                                          "after": {"health": "healthy"}, "slow": 2}}}

`token` may be left out; where it is there, requests must bring it as a proxy before a real engine would want it. `after`
is how a container is once it was restarted; `slow` how many times it is looked at until then, with the health `starting`.
As at a real engine the text of `Status` in the list, and the log of the health check in a container's own page, change
from one answer to the next.
"""

import hmac
import itertools
import json
import re

from stand_in import Answer, Handler, main

PREFIX = "/v1.44/containers/"


class DockerEngine(Handler):
    looks = itertools.count(1)
    restarts = {}  # name -> how often it was restarted
    waits = {}  # name -> how often it is still `starting`

    def respond(self, method, path, query, state):
        token = state.get("token")
        if token and not hmac.compare_digest((self.bearer() or "").encode(), token.encode()):
            raise Answer(401, {"message": "authorization denied by the proxy"})
        if (method, path) == ("GET", PREFIX + "json"):
            raise Answer(200, self.list(state, query))
        match = re.fullmatch(re.escape(PREFIX) + r"([^/]+)/(json|restart)", path)
        if not match:
            return
        # By name or by id, as at a real engine.
        name = next((known for known in state["containers"] if match[1] in (known, identity(known))), None)
        if name is None:
            raise Answer(404, {"message": f"No such container: {match[1]}"})
        if (method, match[2]) == ("GET", "json"):
            raise Answer(200, self.inspect(name, self.container(name, state)))
        if (method, match[2]) == ("POST", "restart"):
            self.restarts[name] = self.restarts.get(name, 0) + 1
            self.waits[name] = state["containers"][name].get("slow", 0)
            raise Answer(204)

    def container(self, name, state):
        found = {"status": "running", "health": "none", **state["containers"][name]}
        if name in self.restarts:
            found.update({"status": "running", **found.get("after", {})})
            if self.waits[name] > 0:
                self.waits[name] -= 1
                found["health"] = "starting"
        return found

    def list(self, state, query):
        filters = json.loads(query.get("filters", "{}"))
        everything = query.get("all") in ("1", "true", "True") or "status" in filters
        entries = []
        for name in state["containers"]:
            found = self.container(name, state)
            fits = all((
                everything or found["status"] == "running",
                not filters.get("name") or any(re.search(wanted, part) for wanted in filters["name"]
                                               for part in ("/" + name, name)),
                not filters.get("status") or found["status"] in filters["status"],
                not filters.get("health") or found["health"] in filters["health"],
            ))
            if fits:
                entries.append(self.entry(name, found))
        return entries

    def entry(self, name, found):
        health = {"none": "", "starting": " (health: starting)"}.get(found["health"], f" ({found['health']})")
        status = f"Up {next(self.looks)} minutes{health}" if found["status"] == "running" else "Exited (1) 2 hours ago"
        return {"Id": identity(name), "Names": ["/" + name], "Image": "image", "ImageID": "sha256:" + "0" * 64,
                "Command": "run", "Created": 1767225600, "Ports": [], "Labels": {}, "State": found["status"],
                "Status": status, "HostConfig": {"NetworkMode": "default"}, "NetworkSettings": {"Networks": {}},
                "Mounts": []}

    def inspect(self, name, found):
        state = {"Status": found["status"], "Running": found["status"] == "running", "StartedAt": "2026-01-01T00:00:00Z"}
        if found["health"] != "none":
            state["Health"] = {"Status": found["health"], "FailingStreak": 0,
                               "Log": [{"ExitCode": 0, "Output": f"look {next(self.looks)}"}]}
        return {"Id": identity(name), "Name": "/" + name, "State": state, "RestartCount": 0,
                "Config": {"Image": "image", "Env": ["SECRET=not-for-a-probe"], "Labels": {}}}


def identity(name):
    return (name.encode().hex() + "0" * 64)[:64]


if __name__ == "__main__":
    main(DockerEngine, __doc__)
