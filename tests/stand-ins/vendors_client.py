#!/usr/bin/env python3
"""Runs vendors' own clients against the stand-ins, so that a stand-in's contract is the vendor's and not ours.

    python3 vendors_client.py cloudflare URL TOKEN
    python3 vendors_client.py authentik URL
    python3 vendors_client.py docker URL TOKEN NAME        restarts the container NAME, too

It prints what the client made of the answers as one line of JSON, or ends with 1 and the name of the client's error on
stderr. The clients are those that requirements.txt pins. The environment may name a proxy or certificates of its own;
this is loopback, so nothing of it is used.
"""

import json
import sys


def cloudflare(url, token):
    import cloudflare as vendor

    client = vendor.Cloudflare(api_token=token, base_url=url + "/client/v4", max_retries=0,
                               http_client=vendor.DefaultHttpxClient(trust_env=False))
    verified = client.user.tokens.verify()
    zones = [zone.name for zone in client.zones.list(per_page=50)]
    return {"token": verified.status, "zones": zones}


def authentik(url):
    import authentik_client as vendor

    with vendor.ApiClient(vendor.Configuration(host=url + "/api/v3")) as client:
        config = vendor.RootApi(client).root_config_retrieve()
    return {"capabilities": [capability.value for capability in config.capabilities]}


def docker(url, token, name):
    import docker as vendor

    client = vendor.DockerClient(base_url=url.replace("http:", "tcp:"), version="1.44")
    client.api.trust_env = False
    client.api.headers["Authorization"] = f"Bearer {token}"
    listed = lambda **filters: [found.name for found in client.containers.list(filters=filters)]
    before = listed(name=f"^/{name}$", status="running", health="healthy")
    client.containers.get(name).restart(timeout=1)
    return {"before": before, "after": listed(name=f"^/{name}$", status="running", health="healthy")}


def main():
    clients = {"cloudflare": cloudflare, "authentik": authentik, "docker": docker}
    if len(sys.argv) < 3 or sys.argv[1] not in clients:
        sys.exit(__doc__)
    try:
        print(json.dumps(clients[sys.argv[1]](*sys.argv[2:])))
    except Exception as error:  # Each vendor has a family of its own.
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
