"""A client of the Stream that has nothing of ours: it publishes and reads with Oracle's SDK.

Takes a JSON object with `endpoint` and `stream`, and either `put`, a list of messages, each with
`value` and perhaps `key`, both text; or `read`, a partition. Prints JSON: partition and offset of
each message that was put, or the values that the partition holds.
"""

import base64
import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oci.exceptions import ServiceError
from oci.streaming import StreamClient
from oci.streaming.models import (
    CreateCursorDetails,
    PutMessagesDetails,
    PutMessagesDetailsEntry,
)


def client(endpoint):
    """The SDK signs each request, so it wants a key and identities, which nobody checks here."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    config = {
        "user": "ocid1.user.oc1..aaaaaaaasluice",
        "tenancy": "ocid1.tenancy.oc1..aaaaaaaasluice",
        "fingerprint": ":".join(["5c"] * 16),
        "region": "eu-frankfurt-1",
        "key_content": pem.decode(),
    }
    return StreamClient(config, service_endpoint=endpoint)


def encoded(text):
    return None if text is None else base64.b64encode(text.encode()).decode()


def put(streams, stream, messages):
    entries = [
        PutMessagesDetailsEntry(key=encoded(one.get("key")), value=encoded(one["value"]))
        for one in messages
    ]
    result = streams.put_messages(stream, PutMessagesDetails(messages=entries)).data
    assert result.failures == 0, result
    return [{"partition": one.partition, "offset": one.offset} for one in result.entries]


def read(streams, stream, partition):
    details = CreateCursorDetails(partition=partition, type=CreateCursorDetails.TYPE_TRIM_HORIZON)
    cursor = streams.create_cursor(stream, details).data.value
    values = []
    while True:
        answer = streams.get_messages(stream, cursor)
        if not answer.data:
            return values
        values += [base64.b64decode(one.value).decode() for one in answer.data]
        cursor = answer.headers["opc-next-cursor"]


def main():
    asked = json.loads(sys.argv[1])
    streams = client(asked["endpoint"])
    if "put" in asked:
        return put(streams, asked["stream"], asked["put"])
    return read(streams, asked["stream"], asked["read"])


try:
    print(json.dumps(main()))
except ServiceError as error:
    sys.exit(f"the stream server refused it: {error}")
