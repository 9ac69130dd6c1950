"""A command in Python, which knows nothing of `ops`."""

import wit_world.exports


class Run(wit_world.exports.Run):
    def run(self) -> None:
        print("hello")
