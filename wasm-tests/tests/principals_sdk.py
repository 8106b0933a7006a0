"""Signs as principals by Oracle's SDK, for a test that compares the requests with ours.

Arguments: the port of the metadata service, that of the auth service, the port of the auth service
behind TLS for `localhost` with the file of its authority, the port of the gate before a Stream, the
token of a service account, and a session's token with the file of its key.
"""

import json
import os
import sys

metadata, auth, tls_auth, authority, gate, account, session, key_file = sys.argv[1:]
os.environ["OCI_METADATA_BASE_URL"] = f"http://127.0.0.1:{metadata}/opc/v2"

import oci  # noqa: E402
from oci.auth import signers  # noqa: E402
from oci.auth.signers import oke_workload_identity_resource_principal_signer as oke  # noqa: E402


class Account:
    def get_sa_token(self):
        return account


def put(signer):
    """Puts a message; whether the gate lets it through is for the gate to say."""
    client = oci.streaming.StreamClient({}, f"http://127.0.0.1:{gate}", signer=signer)
    entry = oci.streaming.models.PutMessagesDetailsEntry(key="a2V5", value="dmFsdWU=")
    details = oci.streaming.models.PutMessagesDetails(messages=[entry])
    try:
        client.put_messages("ocid1.stream.oc1.local.calls", details)
    except oci.exceptions.ServiceError as error:
        if error.status == 401:
            raise


instance = signers.InstancePrincipalsSecurityTokenSigner(
    federation_endpoint=f"http://127.0.0.1:{auth}/v1/x509"
)
put(instance)
workload = oke.OkeWorkloadIdentityResourcePrincipalSigner(
    Account(), authority, "localhost", int(tls_auth), region="eu-frankfurt-1"
)
put(workload)

# What `oci session refresh` does (oci_cli/cli_session.py).
key = oci.signer.load_private_key_from_file(key_file, None)
refreshed = oci._vendor.requests.post(
    f"http://127.0.0.1:{auth}/v1/authentication/refresh",
    headers={"content-type": "application/json"},
    data=json.dumps({"currentToken": session}),
    auth=signers.SecurityTokenSigner(session, key),
)
assert refreshed.status_code == 200, refreshed.text
