"""Where things are, and a workspace of its own for whoever wants to serve one to agents."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
OPS = pathlib.Path(os.environ.get("OPS", TARGET / "debug/ops"))
FIXTURE = pathlib.Path(os.environ.get("MCP_FIXTURE", TARGET / "debug/mcp-fixture"))
GUESTS = pathlib.Path(os.environ.get("GUESTS", TARGET / "wasm32-wasip2/guest"))
# The tools that tests/live-deps.sh installs.
TOOLS = REPOSITORY / "target/mcp"

# A name for whoever calls over HTTP.
AGENT = "tester"


class Workspace:
    """A workspace in a temporary folder. It has one read-only capability for each pair of name and guest; `more` has
    what else the binding of a name says."""

    def __init__(self, capabilities, more={}):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        keep = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        self.environment = dict(keep, HOME=str(self.folder), XDG_STATE_HOME=str(self.folder / "state"), USER="tester")
        self.run("init", "--new-key", "key", "--name", "demo", "--principal", "alice")
        components = self.folder / "ops/components"
        components.mkdir(exist_ok=True)
        for name, guest in capabilities.items():
            file = f"guest_{guest.replace('-', '_')}.wasm"
            (components / file).write_bytes((GUESTS / file).read_bytes())
            binding = f"capability: {name}\ncomponent: components/{file}\nsafety: read-only\n{more.get(name, '')}"
            (self.folder / f"ops/bindings/{name}.yaml").write_text(binding)
        settings = self.folder / "ops/ops.yaml"
        settings.write_text(settings.read_text() + f"agents: {{proposer: [{AGENT}]}}\n")
        self.run("pin", "--key", "key", "--yes")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()

    def run(self, *words):
        """Runs `ops` and returns what it wrote."""
        ran = subprocess.run([OPS, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if ran.returncode != 0:
            raise SystemExit(f"ops {' '.join(words)}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def token(self):
        """Makes a token for the agent; it is in the file that `serve_http` uses."""
        return self.run("mcp", "token", AGENT, "--tokens", "tokens").strip()

    def serve_http(self):
        """Starts `ops mcp serve` on a free port of loopback and waits until it is ready. Returns it and its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = ["mcp", "serve", "--http", f"127.0.0.1:{port}", "--tokens", "tokens"]
        server = subprocess.Popen([OPS, *words], cwd=self.folder, env=self.environment)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(600):
            if server.poll() is not None:
                raise SystemExit(f"ops {' '.join(words)}: exit {server.returncode}")
            with contextlib.suppress(OSError), direct.open(f"http://127.0.0.1:{port}/readyz") as answer:
                if answer.status == 200:
                    return server, f"http://127.0.0.1:{port}/mcp"
            time.sleep(0.05)
        server.kill()
        raise SystemExit("ops mcp serve is not ready after 30 s")

    def serve_streams(self):
        """Starts `ops mcp serve` on pipes."""
        return subprocess.Popen(
            [OPS, "mcp", "serve"], cwd=self.folder, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )


def rpc(method, number=None, **params):
    """A request of protocol 2026-07-28; a notification where it has no number."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    message = {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": {**meta, **params.get("_meta", {})}}}
    return message if number is None else {**message, "id": number}


def line(message):
    """A message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
