"""Writes two new RSA key pairs of 2048 bits into a folder, and prints their fingerprints as JSON.

The public key of `known` is for the server; nobody knows the one of `strange`.
"""

import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

folder = pathlib.Path(sys.argv[1])
fingerprints = {}
for name in ["known", "strange"]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / f"{name}.pem"
    file.touch(mode=0o600)
    file.write_bytes(private)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key()
    (folder / f"{name}.pub.pem").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, form)
    )
    digest = hashlib.md5(public.public_bytes(serialization.Encoding.DER, form))
    fingerprints[name] = digest.digest().hex(":")
print(json.dumps(fingerprints))
