"""Verifies signed replies as a receiver does, by libraries that others have written.

Takes a JSON list of cases, each with `secret`, `headers` and `bodyBase64`; a header `x-verify: marks`
asks for the marks instead of the content. Prints a JSON list with a verdict for each: "valid", or
what is against it.
"""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError, hmac_data

FORGED = "No matching signature found"


def verdict(case):
    headers, body = case["headers"], base64.b64decode(case["bodyBase64"])
    if headers.get("x-verify") == "marks":
        headers, body = marks(headers)
    if case["secret"].startswith("whpk_"):
        return verdict_of_key(case["secret"], headers, body)
    try:
        body.decode()
    except UnicodeDecodeError:
        return verdict_of_bytes(case["secret"], headers, body)
    try:
        Webhook(case["secret"]).verify(body, headers, json_parse=False)
    except WebhookVerificationError as error:
        return str(error)
    return "valid"


def marks(headers):
    """What `async-signature` signs, in the form that the library verifies."""
    names = sorted(name for name in headers if name.startswith("async-"))
    names.remove("async-signature")
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    signed = {
        "webhook-id": headers["webhook-id"] + "_marks",
        "webhook-timestamp": headers["webhook-timestamp"],
        "webhook-signature": headers["async-signature"],
    }
    return signed, lines.encode()


def start(headers):
    return f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()


def verdict_of_bytes(secret, headers, body):
    """The library verifies text only; of its parts the one that signs takes bytes."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac_data(key, start(headers) + body)).decode()
    signatures = headers["webhook-signature"].split(" ")
    return "valid" if expected in signatures else FORGED


def verdict_of_key(public, headers, body):
    """The library knows no asymmetric signatures (`v1a`)."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    for signature in headers["webhook-signature"].split(" "):
        version, encoded = signature.split(",", 1)
        if version == "v1a":
            try:
                key.verify(base64.b64decode(encoded), start(headers) + body)
                return "valid"
            except InvalidSignature:
                pass
    return FORGED


print(json.dumps([verdict(case) for case in json.loads(sys.argv[1])]))
