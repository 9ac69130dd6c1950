#!/usr/bin/env python3
"""What the host adds to a request: the same server, asked by a capability and by curl, in the same run.

Each asks on a new connection every time. The host's time for one request is the difference between a run with many
requests and a run with one, so that the start of the program is not in it. Medians of ROUNDS rounds, in which the two
take turns. Environment: OPS, the program; GUESTS, the folder of built guests.
"""

import http.server
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

ROUNDS = 15
MANY = 50  # the most that the guest takes


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"hello": "world"}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def workspace(folder, ops, guests, port):
    """A workspace whose one capability may read the server."""

    def run(*words):
        subprocess.run([ops, *words], cwd=folder, env=environment, check=True, capture_output=True)

    environment = dict(os.environ, XDG_STATE_HOME=str(folder / "state"), HOME=str(folder))
    run("init", "--new-key", "key", "--name", "bench")
    components = folder / "ops" / "components"
    components.mkdir(exist_ok=True)
    (components / "asks.wasm").write_bytes((guests / "guest_asks.wasm").read_bytes())
    (folder / "ops" / "bindings" / "test.guest.asks.yaml").write_text(
        "capability: test.guest.asks\ncomponent: components/asks.wasm\nsafety: read-only\n"
        f"services:\n  web:\n    origin: http://127.0.0.1:{port}\n    addresses: [127.0.0.1]\n"
        "    rules: [{id: all, method: GET, path: /**, effect: read}]\nlimits: {requests: 60}\n"
    )
    run("pin", "--key", "key", "--yes")
    return environment


def timed(command, **options):
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    return time.perf_counter() - began


def main():
    ops, guests = os.environ["OPS"], pathlib.Path(os.environ["GUESTS"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    url = f"http://127.0.0.1:{port}/hello"
    by_ops, by_curl, whole = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        environment = workspace(folder, ops, guests, port)

        def run(asks):
            words = [ops, "cap", "run", "test.guest.asks"] + ["--ask", "web/hello"] * asks
            return timed(words, cwd=folder, env=environment)

        def curl(asks):
            return timed(["curl", "--silent", "--header", "Connection: close"] + [url] * asks)

        run(1)
        for _ in range(ROUNDS):
            one = run(1)
            whole.append(one)
            by_ops.append((run(MANY) - one) / (MANY - 1))
            by_curl.append((curl(MANY) - curl(1)) / (MANY - 1))
    ops_time, curl_time = statistics.median(by_ops), statistics.median(by_curl)
    print(f"request by a capability   {ops_time * 1e6:8.0f} us, with its decision, audit line and record")
    print(f"request by curl           {curl_time * 1e6:8.0f} us")
    print(f"the host adds             {(ops_time - curl_time) * 1e6:8.0f} us  ({ops_time / curl_time:.2f} times curl)")
    print(f"a whole run with one      {statistics.median(whole) * 1e3:8.1f} ms, process start to exit, with its receipt")


main()
