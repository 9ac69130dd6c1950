#!/usr/bin/env python3
"""Runs the official conformance suite of MCP: both frozen sets against the server of its fixtures, where nothing may
fail, and the scenarios that need no fixtures against the program `ops`.

A check of the second kind passes, or the suite itself says that it cannot be tested: `ops` has no tool that exists to
be tested with.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import places

SETS = ["2025-11-25", "2026-07-28"]
GENERIC = {
    "2025-11-25": ["server-initialize", "ping", "tools-list", "dns-rebinding-protection"],
    "2026-07-28": ["server-stateless", "tools-list", "caching", "dns-rebinding-protection", "http-header-validation"],
}


def suite(url, *words, token=""):
    """Runs the suite with these words. Returns its exit code, and its last lines."""
    command = [places.TOOLS / "bin/node", "--import", pathlib.Path(__file__).with_name("bearer.mjs")]
    command += [places.TOOLS / "node_modules/.bin/conformance", "server", "--url", url, *words]
    ran = subprocess.run(command, env=dict(os.environ, MCP_TOKEN=token), capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def served(command, **options):
    """Starts a server that says its address in its first line. Returns it and the address."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    return server, server.stdout.readline().strip()


def fixtures():
    """Both frozen sets, with nothing expected to fail. Returns how many scenarios failed."""
    failed = 0
    server, url = served([places.FIXTURE, "--http"])
    try:
        expected = pathlib.Path(__file__).with_name("expected-failures.yaml")
        for revision in SETS:
            code, said = suite(url, "--requirements", revision, "--expected-failures", expected)
            summary = said[said.find("=== SUMMARY ===") :]
            # Extensions are run and reported, and count for nothing.
            print(f"fixtures, {revision}: exit {code}")
            if code != 0:
                print(summary)
                failed += 1
    finally:
        server.kill()
    return failed


def product():
    """The generic scenarios against `ops mcp serve --http`. Returns how many failed."""
    failed = 0
    with places.Workspace({"test.guest.echo": "echo"}) as workspace:
        token = workspace.token()
        server, url = workspace.serve_http()
        try:
            for revision, scenarios in GENERIC.items():
                for scenario in scenarios:
                    failed += not generic(url, token, revision, scenario)
        finally:
            server.kill()
    return failed


def generic(url, token, revision, scenario):
    """One scenario. Says what came of it, and whether that is good."""
    with tempfile.TemporaryDirectory() as out:
        _, said = suite(url, "--scenario", scenario, "--spec-version", revision, "-o", out, token=token)
        files = list(pathlib.Path(out).glob("*/checks.json"))
        checks = [check for file in files for check in json.loads(file.read_text())]
    passed = [check for check in checks if check["status"] == "SUCCESS"]
    bad = [check for check in checks if check["status"] in ("FAILURE", "WARNING")]
    untestable = [check for check in bad if (check.get("details") or {}).get("untestable")]
    failed = [check for check in bad if check not in untestable]
    print(f"ops, {revision}, {scenario}: {len(passed)} passed, {len(failed)} failed, {len(untestable)} not testable")
    for check in failed:
        print(f"  {check['id']}: {check.get('errorMessage')}")
    if not passed:
        print(said)
    return bool(passed) and not failed


def main():
    if not (places.TOOLS / "node_modules/.bin/conformance").exists():
        sys.exit("the conformance suite is not installed: make live-deps")
    failed = fixtures() + product()
    sys.exit(1 if failed else 0)


main()
