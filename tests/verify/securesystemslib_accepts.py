"""Verify a receipt's signature with securesystemslib, which nobody here wrote.

Usage: securesystemslib_accepts.py receipt.sigstore.json host.pem. Exits 1 where the signature does not fit.
"""
import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

bundle_file, key_file = sys.argv[1:]
with open(bundle_file, encoding="utf-8") as file:
    bundle = json.load(file)
with open(key_file, "rb") as file:
    key_id = bundle["verificationMaterial"]["publicKey"]["hint"]
    key = SSlibKey.from_crypto(load_pem_public_key(file.read()), keyid=key_id)

try:
    accepted = Envelope.from_dict(bundle["dsseEnvelope"]).verify([key], threshold=1)
except VerificationError as error:
    sys.exit(f"refused: {error}")
print("accepted:", *accepted)
