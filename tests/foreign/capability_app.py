"""A capability in Python, by the contract in `wit/` and nothing else of ours."""

import json

import wit_world.exports
from wit_world.exports import guest
from wit_world.imports import fetch, types


class Guest(wit_world.exports.Guest):
    def describe(self) -> guest.Manifest:
        schema = json.dumps({"type": "object", "properties": {"id": {"type": "integer"}}})
        item = guest.RuleNeed("GET", "/items/{id}", guest.RuleEffect.READ, [], [])
        return guest.Manifest(
            name="foreign.item.show",
            summary="Shows an item.",
            version="1.2.3",
            safety=guest.Safety.READ_ONLY,
            input=schema,
            output="{}",
            needs=[guest.Need(guest.NeedKind_Service(guest.ServiceNeed("web", [item])), False)],
        )

    def run(self, input: guest.Input) -> str:
        number = json.loads(input.arguments)["id"]
        request = types.Request("web", "GET", f"/items/{number}", [], None)
        return json.dumps({"status": fetch.fetch(request).status})
