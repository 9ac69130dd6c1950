#!/usr/bin/env python3
"""Runs the vendor's own client against a server, so that a stand-in's contract is the vendor's and not ours.

    python3 infisical_client.py URL CLIENT_ID CLIENT_SECRET_FILE PROJECT ENVIRONMENT FOLDER NAME

It prints the secret's value, or ends with 1 and `STATUS MESSAGE` on stderr. PROJECT is an id; `slug:NAME` for a slug.
The client is the one that requirements.txt pins.
"""

import sys

from infisical_sdk import InfisicalSDKClient
from infisical_sdk.infisical_requests import APIError


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    url, client_id, secret_file, project, environment, folder, name = sys.argv[1:]
    with open(secret_file, encoding="utf-8") as file:
        client_secret = file.read().removesuffix("\n")
    key = {"project_slug": project[5:]} if project.startswith("slug:") else {"project_id": project}
    with InfisicalSDKClient(host=url, cache_ttl=None) as client:
        # The environment may name a proxy or certificates of its own; this is loopback.
        client.api.session.trust_env = False
        try:
            client.auth.universal_auth.login(client_id=client_id, client_secret=client_secret)
            found = client.secrets.get_secret_by_name(
                secret_name=name, environment_slug=environment, secret_path=folder, **key)
        except APIError as error:
            sys.exit(f"{error.status_code} {error}")
    print(found.secretValue)


if __name__ == "__main__":
    main()
