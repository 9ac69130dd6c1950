#!/usr/bin/env python3
"""A stand-in for a Proxmox VE server, for tests on loopback. It is not Proxmox VE, and a pass on it is not a pass there.

Most of it is PyPI `fakepve`, which nobody here wrote and which answers by the vendor's API schema. Added here, because
fakepve leaves them out:

    PUT  …/resize             grows a disk, refuses to shrink one, runs as a task
    …/agent/…                 an agent that answers once a VM runs with `agent` enabled, in whose guest packages, units,
                              files and a tailnet address come as our bootstrap asks for them (class Guest)
    tasks that last           for --task-seconds of the server's own time, and tasks that fail, for --fail-task

    python3 pve.py CERT_DIR PORT LOGFILE [--time-scale F] [--task-seconds F] [--fail-task TYPE] [--exec-fails WORD]
                   [--vm ID] [--seconds N]

It serves TLS on 127.0.0.1 with a certificate of a CA that it makes in CERT_DIR (ca.pem, cert.pem; kept if they are there),
PORT 0 being any free one, and prints `up CA_FILE PORT` once it answers. It knows one node `pve1`, one template VM 9000
and one API token, `root@pam!ops=11111111-2222-3333-4444-555555555555`. Each request is a line of JSON in LOGFILE, written
before the answer is sent:

    {"n": 1, "method": "POST", "path": "/api2/json/…", "query": {}, "body": {}, "status": 200, "response": {}}

`body` is a value where the request was JSON, else text or null. Credentials are not logged. It ends after --seconds.
"""

import argparse
import asyncio
import contextlib
import datetime
import ipaddress
import json
import os
import re

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fakepve import FakePve
from fakepve.lxc import SIZE_UNITS, format_size
from fakepve.model import PveError, TaskError
from fakepve.qemu import join_drive, split_drive

NODE = "pve1"
TEMPLATE = 9000
TOKEN_ID = "root@pam!ops"
TOKEN = "11111111-2222-3333-4444-555555555555"
GIB = 1024**3


class Guest:
    """What a VM's guest agent tells of the system in it, as far as our bootstrap looks at that."""

    def __init__(self, exec_fails):
        self.files = {"/proc/net/if_inet6": "00000000000000000000000000000001 01 80 10 80       lo\n"}
        self.running = {}  # pid -> [how often it was asked about, the result]
        self.exec_fails = exec_fails

    def call(self, command, values):
        """The data for an agent command, or None where fakepve's own answer will do."""
        if command == "exec":
            pid = 1000 + len(self.running)
            self.running[pid] = [0, self.execute(values["command"], values.get("input-data"))]
            return {"pid": pid}
        if command == "exec-status":
            if values["pid"] not in self.running:
                raise PveError(500, "Agent error: PID %s does not exist" % values["pid"])
            entry = self.running[values["pid"]]
            entry[0] += 1
            return {"exited": False} if entry[0] == 1 else entry[1]
        if command == "file-read":
            if values["file"] not in self.files:
                raise PveError(500, "Agent error: failed to open file '%s' (mode: 'r'): No such file or directory"
                               % values["file"])
            return {"content": self.files[values["file"]], "truncated": False}
        if command == "file-write":
            self.files[values["file"]] = values["content"]
            return None
        return None

    def execute(self, argv, given):
        line = " ".join(argv)
        if self.exec_fails and self.exec_fails in line:
            return {"exited": True, "exitcode": 100, "err-data": "E: %s did not work out\n" % self.exec_fails}
        words = [word for word in argv if not word.startswith("-")]
        if "apt-get" in argv and "install" in argv:
            for package in words[words.index("install") + 1:]:
                self.files["/var/lib/dpkg/info/%s.md5sums" % package] = "0  usr/share/doc/%s\n" % package
        elif words[:2] == ["systemctl", "enable"]:
            for unit in words[2:]:
                self.files["/etc/systemd/system/multi-user.target.wants/" + unit] = "[Unit]\n"
                self.files["/sys/fs/cgroup/system.slice/%s/cgroup.events" % unit] = "populated 1\nfrozen 0\n"
        elif words[:2] == ["tailscale", "up"]:
            if not given:
                return {"exited": True, "exitcode": 1, "err-data": "no auth key on standard input\n"}
            self.files["/proc/net/if_inet6"] += "fd7a115ca1e00000000000000000000e 04 80 00 80 tailscale0\n"
        return {"exited": True, "exitcode": 0, "out-data": "%s: done\n" % " ".join(words[:3])}


class StandIn(FakePve):
    def __init__(self, options):
        super().__init__(host="127.0.0.1", port=options.port)
        self.options = options
        self.time_scale = options.time_scale
        self.apitokens[TOKEN_ID] = TOKEN
        self.guests = {}
        self.answered = 0
        self.log = open(options.log, "a", encoding="utf-8")
        volumes = self.storages["local-lvm"].setdefault("volumes", {})
        volumes["base-9000-disk-0"] = {"content": "images", "format": "raw", "size": 10 * GIB, "vmid": TEMPLATE}
        self.storages["local-lvm"]["avail"] = 500 * GIB
        self.storages["local-lvm"]["total"] = 800 * GIB
        self.add_vm(TEMPLATE, "debian-12-template", node=NODE, template=True, config={
            "template": 1, "cores": 2, "memory": "2048", "scsihw": "virtio-scsi-single", "boot": "order=scsi0",
            "scsi0": "local-lvm:base-9000-disk-0,size=10G", "ide2": "local-lvm:vm-9000-cloudinit,media=cdrom",
            "net0": "virtio=BC:24:11:00:90:00,bridge=vmbr0", "serial0": "socket", "vga": "serial0"})
        for vmid in options.vm:
            self.add_vm(vmid, "somebody-elses", node=NODE)

    def _build_app(self):
        app = super()._build_app()
        app.middlewares.insert(0, self._log)
        return app

    def _routes_resize(self):
        return [("PUT", "/nodes/{node}/qemu/{vmid}/resize", self._resize)]

    @web.middleware
    async def _log(self, request, handler):
        body = await request.read()
        with contextlib.suppress(ValueError, UnicodeDecodeError):
            body = body.decode()
            body = json.loads(body) if request.content_type == "application/json" else body
        answer, raised = None, None
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            raised = error
        status = raised.status if raised else answer.status
        text = getattr(raised or answer, "text", None)
        with contextlib.suppress(ValueError, TypeError):
            text = json.loads(text)
        self.answered += 1
        self.log.write(json.dumps({
            "n": self.answered, "method": request.method, "path": request.path, "query": dict(request.query),
            "body": body or None, "status": status, "response": text}) + "\n")
        self.log.flush()
        if raised:
            raise raised
        return answer

    async def task(self, node, ttype, tid, user, body, vm=None, **more):
        """Tasks last a while, and fail where the test says so."""
        async def lasting():
            await self.pause(self.options.task_seconds)
            if ttype in self.options.fail_task:
                if ttype == "qmclone" and vm in self.vms:
                    self.vms.remove(vm)
                raise TaskError("%s failed: the test says so" % ttype)
            return await body()
        return await super().task(node, ttype, tid, user, lasting, vm=vm, **more)

    async def _resize(self, values, user):
        vm = self.find(values["node"], values["vmid"])
        self._check_lock(vm)
        key = values["disk"]
        if key not in vm.config:
            raise PveError(500, "disk '%s' does not exist" % key)
        volume, props = split_drive(vm.config[key])
        old, new = to_bytes(props.get("size", "0")), to_bytes(values["size"].lstrip("+"))
        new += old if values["size"].startswith("+") else 0
        if new < old:
            raise PveError(500, "shrinking disks is not supported")

        async def body():
            vm.config[key] = join_drive(volume, dict(props, size=format_size(new)))
        return await self.task(vm.node, "resize", vm.vmid, user, body, vm=vm)

    async def _agent_call(self, match, values):
        """The agent runs once the VM does and `agent` is enabled. Then the guest answers, and fakepve what it leaves."""
        vm = self.find(values["node"], values["vmid"])
        if vm.status == "running" and re.match(r"(enabled=)?1(,|$)", str(vm.config.get("agent", ""))):
            vm.agent = vm.agent or {"exec": {}}
        command = match.template.rsplit("/", 1)[1]
        if vm.status == "running" and vm.agent is not None:
            guest = self.guests.setdefault(vm.vmid, Guest(self.options.exec_fails))
            answer = guest.call(command, values)
            if answer is not None or command == "file-write":
                return answer
        return await super()._agent_call(match, values)


def to_bytes(size):
    number, unit = re.fullmatch(r"([\d.]+)([KMGT]?)", size).groups()
    return int(float(number) * SIZE_UNITS.get(unit, 1))


def make_certificates(folder):
    """A CA and a certificate of it for loopback, unless both are there."""
    os.makedirs(folder, exist_ok=True)
    ca_file, cert_file, key_file = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    if all(os.path.exists(name) for name in (ca_file, cert_file, key_file)):
        return ca_file, cert_file, key_file
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = ("Stand-in CA", "pve1.example.test")
    ca_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (ca_name, name))
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(subject, public_key, is_ca):
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                               "encipher_only", "decipher_only"), False)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public_key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
                .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
                .add_extension(x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca, **usage),
                               critical=True))

    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    ca = certificate(ca_name, ca_key.public_key(), True).sign(ca_key, hashes.SHA256())
    leaf = certificate(name, key.public_key(), False).add_extension(names, critical=False)
    leaf = leaf.sign(ca_key, hashes.SHA256())
    for path, signed in ((ca_file, ca), (cert_file, leaf)):
        with open(path, "wb") as out:
            out.write(signed.public_bytes(serialization.Encoding.PEM))
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption()))
    return ca_file, cert_file, key_file


async def serve(options):
    ca, cert, key = make_certificates(options.cert_dir)
    pve = StandIn(options)
    await pve.start(cert, key)
    print("up", ca, pve.port, flush=True)
    await asyncio.sleep(options.seconds)


def main():
    parser = argparse.ArgumentParser(description="A stand-in for a Proxmox VE server, for tests on loopback.")
    parser.add_argument("cert_dir")
    parser.add_argument("port", type=int, help="0: any free one")
    parser.add_argument("log", help="each request becomes a line of it")
    parser.add_argument("--time-scale", type=float, default=0.02, help="real seconds for one of the server's")
    parser.add_argument("--task-seconds", type=float, default=3, help="how long a task lasts, in the server's seconds")
    parser.add_argument("--fail-task", action="append", default=[], metavar="TYPE", help="qmclone, resize or qmstart")
    parser.add_argument("--exec-fails", metavar="WORD", help="a command that holds it ends with exit code 100")
    parser.add_argument("--vm", action="append", type=int, default=[], metavar="ID", help="one more VM, to be in the way")
    parser.add_argument("--seconds", type=float, default=900, help="how long to serve")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
