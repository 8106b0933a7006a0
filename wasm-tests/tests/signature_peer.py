"""Verifies signed messages with the reference library of Standard Webhooks.

Takes a JSON list of cases, each with `secret`, `headers` and `bodyBase64`. Prints a JSON list with
a verdict for each: "valid", or what the library says against it.
"""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError, hmac_data


def verdict(case):
    headers, body = case["headers"], base64.b64decode(case["bodyBase64"])
    try:
        body.decode()
    except UnicodeDecodeError:
        return verdict_of_bytes(case["secret"], headers, body)
    try:
        Webhook(case["secret"]).verify(body, headers, json_parse=False)
    except WebhookVerificationError as error:
        return str(error)
    return "valid"


def verdict_of_bytes(secret, headers, body):
    """The library verifies text only; of its parts the one that signs takes bytes."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    start = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
    expected = "v1," + base64.b64encode(hmac_data(key, start + body)).decode()
    signatures = headers["webhook-signature"].split(" ")
    return "valid" if expected in signatures else "No matching signature found"


print(json.dumps([verdict(case) for case in json.loads(sys.argv[1])]))
