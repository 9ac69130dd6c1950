#!/usr/bin/env python3
"""What agents wait for, against the budgets of docs and beside a server that does nothing: the same requests, in the
same run, on the same machine.

Environment: OPS, the program; MCP_FIXTURE, a server whose answers are constants, over the same SDK; GUESTS, the folder
of built guests; CALLS, how many calls the long run has (100000); SEQUENTIAL, how many the others have (2000).
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mcp"))

import places

SEQUENTIAL = int(os.environ.get("SEQUENTIAL", "2000"))
IN_FLIGHT = 8
PARALLEL = 8 * SEQUENTIAL
STARTS = 20
CANCELS = 20
SPINNING = 40
MEANWHILE = 200

ECHO = ("test_guest_echo", {"text": "a"})
CONSTANT = ("test_simple_text", {})


class Client:
    """One at the other end of a server's pipes: of protocol 2026-07-28, or of 2025-11-25, which alone has pings."""

    def __init__(self, process, legacy=False):
        self.process, self.number, self.rest, self.legacy = process, 0, b"", legacy
        if legacy:
            about = {"capabilities": {}, "clientInfo": {"name": "bench", "version": "0"}}
            self.answer(self.send("initialize", protocolVersion="2025-11-25", **about))
            self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def write(self, message):
        self.process.stdin.write(places.line(message))
        self.process.stdin.flush()

    def send(self, method, **params):
        self.number += 1
        plain = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.write(plain if self.legacy else places.rpc(method, self.number, **params))
        return self.number

    def call(self, tool):
        return self.send("tools/call", name=tool[0], arguments=tool[1])

    def next(self):
        """The next message."""
        while b"\n" not in self.rest:
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                raise SystemExit("the server has gone")
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def answer(self, number):
        """The answer to a request; others before it are dropped."""
        while (message := self.next()).get("id") != number:
            pass
        return message

    def finish(self):
        self.process.stdin.close()
        self.process.wait()


def constant():
    """The server that does nothing, on pipes."""
    return Client(subprocess.Popen([places.FIXTURE], stdin=subprocess.PIPE, stdout=subprocess.PIPE))


def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spread(times):
    """Median and 99th percentile, in milliseconds."""
    times = sorted(times)
    return statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3


def row(what, ours, theirs="", budget=""):
    print(f"{what:46} {ours:>22} {theirs:>22}   {budget}")


def check(answer):
    result = answer["result"]
    if result.get("isError"):
        raise SystemExit(f"a call failed: {result}")


def sequential(client, tool):
    for _ in range(50):
        check(client.answer(client.call(tool)))
    return spread([timed(lambda: client.answer(client.call(tool))) for _ in range(SEQUENTIAL)])


def per_second(client, tool, calls):
    """Calls per second with some in flight all the time."""

    def run():
        sent = sum(1 for _ in range(IN_FLIGHT) if client.call(tool))
        for _ in range(calls):
            check(client.next())
            if sent < calls:
                sent += 1
                client.call(tool)

    return calls / timed(run)


def resident(client):
    """Resident memory of the server's own process and of its guests', in MiB."""

    def of(pid):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    pid = client.process.pid
    children = []
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        children += (thread / "children").read_text().split()
    return of(pid), sum(of(child) for child in children)


def start(make):
    """From the start of the process to the first list of tools."""

    def run():
        client = make()
        client.answer(client.send("tools/list"))
        clients.append(client)

    clients = []
    times = []
    for _ in range(STARTS):
        times.append(timed(run))
        clients.pop().finish()
    return spread(times)


def cancel(client):
    """From the message that cancels a guest that spins to the moment when its process does so no more."""
    times = []
    for _ in range(CANCELS):
        spinning = client.send("tools/call", name="test_guest_spins", arguments={})
        time.sleep(0.2)
        began = time.perf_counter()
        client.write(places.rpc("notifications/cancelled", requestId=spinning))
        while not stopped(client):
            time.sleep(0.001)
        times.append(time.perf_counter() - began)
    return spread(times)


def stopped(client):
    """Whether no guest spins any more: no child of the server is running."""
    for thread in pathlib.Path(f"/proc/{client.process.pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            try:
                if pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "R":
                    return False
            except FileNotFoundError:
                pass
    return True


def while_spinning(client):
    """How long a ping and another binding's read take while guests spin."""
    for _ in range(SPINNING):
        client.send("tools/call", name="test_guest_spins", arguments={})
    pings = [timed(lambda: client.answer(client.send("ping"))) for _ in range(MEANWHILE)]
    reads = [timed(lambda: client.answer(client.call(ECHO))) for _ in range(MEANWHILE)]
    return spread(pings), spread(reads)


def both(pair):
    return f"{pair[0]:.3f} / {pair[1]:.3f}"


def main():
    calls = int(os.environ.get("CALLS", "100000"))
    names = {"test.guest.echo": "echo", "test.guest.spins": "spins"}
    with places.Workspace(names, {"test.guest.spins": "limits: {time: 10s}\n"}) as workspace:
        row("", "ops, with receipts", "constant answers", "budget")

        def ours():
            return Client(workspace.serve_streams())

        row("start to tools/list, ms, p50 / p99", both(start(ours)), both(start(constant)), "10 ms")
        ops, fixture = ours(), constant()
        for client in (ops, fixture):
            client.answer(client.send("tools/list"))
        idle = [resident(client) for client in (ops, fixture)]
        row("resident idle, MiB, server + guests", *[f"{own:.1f} + {guests:.1f}" for own, guests in idle], "20 MiB")
        row(
            "tools/call, one by one, ms, p50 / p99",
            both(sequential(ops, ECHO)),
            both(sequential(fixture, CONSTANT)),
            "0.2 / 0.5 ms",
        )
        row(
            f"tools/call, {IN_FLIGHT} in flight, per second",
            f"{per_second(ops, ECHO, PARALLEL):.0f}",
            f"{per_second(fixture, CONSTANT, PARALLEL):.0f}",
            "8000",
        )
        per_second(ops, ECHO, calls)
        own, guests = resident(ops)
        row(f"resident after {calls} calls more, MiB", f"{own:.1f} + {guests:.1f}")
        row("cancel to the guest's end, ms, p50 / p99", both(cancel(ops)), "", "100 ms")
        legacy = Client(workspace.serve_streams(), legacy=True)
        pings, reads = while_spinning(legacy)
        row(f"ping while {SPINNING} guests spin, ms, p50 / p99", both(pings), "", "20 ms p99")
        row(f"another's read while {SPINNING} guests spin, ms", both(reads), "", "50 ms p99")
        for client in (ops, fixture, legacy):
            client.process.kill()
            client.process.wait()


main()
