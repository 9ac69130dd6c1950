"""Validate a receipt's Statement with in-toto-attestation, which nobody here wrote.

Usage: in_toto_validates.py receipt.sigstore.json. Exits 1 where it is no valid Statement.
"""
import base64
import json
import sys

from google.protobuf.json_format import ParseError, Parse
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message

with open(sys.argv[1], encoding="utf-8") as file:
    payload = base64.b64decode(json.load(file)["dsseEnvelope"]["payload"])
try:
    statement = Statement.copy_from_pb(Parse(payload, Message()))
    statement.validate()
except (ParseError, ValueError) as error:
    sys.exit(f"refused: {error}")
print("valid:", statement.pb.predicate_type)
