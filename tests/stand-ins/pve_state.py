#!/usr/bin/env python3
"""Asks a Proxmox VE server, or the stand-in for one, how a VM is, with PyPI's `proxmoxer`: a client that is not ours.

    python3 pve_state.py CA_FILE PORT VMID      prints {"config": {}, "status": {}}, or null where there is no such VM
"""

import json
import sys

from proxmoxer import ProxmoxAPI, ResourceException

from pve import NODE, TOKEN, TOKEN_ID


def main(ca_file, port, vmid):
    user, name = TOKEN_ID.split("!")
    server = ProxmoxAPI("127.0.0.1", port=int(port), user=user, token_name=name, token_value=TOKEN, verify_ssl=ca_file)
    vm = server.nodes(NODE).qemu(vmid)
    try:
        state = {"config": vm.config.get(), "status": vm.status.current.get()}
    except ResourceException as refusal:
        if "does not exist" not in str(refusal):
            raise
        state = None
    print(json.dumps(state))


main(*sys.argv[1:])
