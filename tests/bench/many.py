#!/usr/bin/env python3
"""What a large workspace costs: 1,000 capabilities and 400 gates, made from the repository's own workspace.

Environment: OPS, the program; GUESTS, the folder of built guests; CAPABILITIES (1000) and GATES (400), how many there are
in all; TIMES, how often each command is measured (20); KEEP, a folder to leave the workspace in.

Beside each figure stands that of `ops --version`, the same program with nothing to do, in the same minute.
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPS = os.environ.get("OPS", str(ROOT / "target/debug/ops"))
GUESTS = pathlib.Path(os.environ.get("GUESTS", ROOT / "target/wasm32-wasip2/guest"))
CAPABILITIES = int(os.environ.get("CAPABILITIES", "1000"))
GATES = int(os.environ.get("GATES", "400"))
TIMES = int(os.environ.get("TIMES", "20"))

# The component that the added capabilities are made of: the smallest, so that compiling a thousand takes no quarter of an
# hour. Each gets a name of its own in it, as long as the old one, and is made as large as components usually are.
MODEL, MODEL_NAME, USUAL_SIZE = "guest_deep_json.wasm", "test.guest.deep-json", 500_000

COMMANDS = [("--version",), ("cap", "list"), ("status",), ("audit",), ("sync", "--check"), ("cap", "run", "verify.core.run")]
BUDGETS = {("cap", "list"): 50, ("status",): 200, ("audit",): 5000, ("cap", "run", "verify.core.run"): 2000}


def component(model, name):
    """The model under another name, with a custom section of zeros behind it."""
    assert len(name) == len(MODEL_NAME) and model.count(MODEL_NAME.encode()) == 1
    padding = b"\x03pad" + bytes(max(0, USUAL_SIZE - len(model)))
    size, length = b"", len(padding)
    while length > 0x7F:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return model.replace(MODEL_NAME.encode(), name.encode()) + b"\0" + size + bytes([length]) + padding


class Workspace:
    """A copy of the repository's workspace, with more in it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }
        (self.folder / "home").mkdir(parents=True)
        self.ops("init", "--principal", "bench", "--new-key", "key")
        approvers = (self.folder / "ops/approvers").read_text()
        ignore = shutil.ignore_patterns("ops.lock", "approvers", "components", "state")
        shutil.copytree(ROOT / "ops", self.folder / "ops", dirs_exist_ok=True, ignore=ignore)
        shutil.copytree(ROOT / "docs", self.folder / "docs")
        (self.folder / "ops/approvers").write_text(approvers)
        for file in GUESTS.glob("*.wasm"):
            if not file.name.startswith("guest_"):
                shutil.copy(file, self.folder / "ops/components")

    def ops(self, *words, codes=(0,)):
        ran = subprocess.run([OPS, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if ran.returncode not in codes:
            raise SystemExit(f"ops {' '.join(words)}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
        return ran.stdout

    def fill(self):
        """Bindings, then gates, up to the numbers wanted."""
        bindings = self.folder / "ops/bindings"
        is_binding = lambda file: any(line.startswith("capability:") for line in file.read_text().splitlines())
        there = sum(map(is_binding, bindings.glob("*.yaml")))
        model = (GUESTS / MODEL).read_bytes()
        for number in range(CAPABILITIES - there):
            name = f"infra.many.n{number:04}-pad"
            (self.folder / f"ops/components/{name}.wasm").write_bytes(component(model, name))
            text = f"capability: {name}\ncomponent: components/{name}.wasm\nsafety: read-only\n"
            (bindings / f"{name}.yaml").write_text(text)
        registry, topology = bindings / "gate.registry.yaml", bindings / "gate.execution.topology.yaml"
        if registry.exists():
            self.gates(registry, topology)

    def gates(self, registry, topology):
        text = registry.read_text()
        first = text.split("  - id: ")[1]
        added = range(9000, 9000 + GATES - text.count("  - id: "))
        lines = first.splitlines()[1:]
        for number in added:
            fields = [line.replace(lines[0].split(": ")[1], f"many-{number}") for line in lines]
            text = text.rstrip("\n") + "\n" + "\n".join([f"  - id: D{number}", *fields]) + "\n"
        registry.write_text(text)
        more = "".join(f"  - {{gate: D{number}, primary: infra}}\n" for number in added)
        topology.write_text(topology.read_text().replace("assignments:\n", "assignments:\n" + more))

    def time(self, *words, codes=(0,)):
        """The median in milliseconds, and the slowest."""
        taken = []
        for _ in range(TIMES + 1):
            start = time.perf_counter()
            self.ops(*words, codes=codes)
            taken.append((time.perf_counter() - start) * 1000)
        # The first one compiles, and fills the system's cache.
        return statistics.median(taken[1:]), max(taken[1:])


def main():
    kept = os.environ.get("KEEP")
    folder = kept or tempfile.mkdtemp()
    try:
        workspace = Workspace(folder)
        workspace.fill()
        workspace.ops("sync")
        workspace.ops("pin", "--key", "key", "--yes")
        bound = workspace.ops("cap", "list").count("\n")
        print(f"{CAPABILITIES} capabilities, {GATES} gates; medians of {TIMES} in ms")
        print(f"  {'':28} {'median':>8} {'slowest':>8} {'budget':>8}")
        over = False
        for words in COMMANDS:
            if words[-1] == "verify.core.run" and not (workspace.folder / "ops/bindings/verify.core.run.yaml").exists():
                continue
            # A gate that finds something is measured as well as one that does not.
            median, slowest = workspace.time(*words, codes=(0, 1))
            budget = BUDGETS.get(words)
            over |= budget is not None and median > budget
            print(f"  {'ops ' + ' '.join(words):28} {median:8.1f} {slowest:8.1f} {budget or '':>8}")
        return 1 if over or bound < CAPABILITIES else 0
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
