#!/usr/bin/env python3
"""Asks Oracle's service what nobody could ask when Sluice was written, and writes a report.

    pip install oci==2.189.0
    python3 check.py --stream OCID --endpoint https://cell-1.streaming.REGION.oci.oraclecloud.com

docs/oci-check.md says what has to be there before, what is asked, and what it costs. The report
has no keys, tokens or OCIDs in it. Use a stream that holds nothing else: the script writes up to
12 MB of messages.
"""

import argparse
import base64
import datetime
import email.utils
import json
import os
import re
import socket
import ssl
import sys
import time

# The SDK loads its clients of all services otherwise, which takes seconds.
os.environ.setdefault("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true")

import oci  # noqa: E402
from oci._vendor import requests  # noqa: E402

BASE = "/20180418"
SECRET = re.compile(r"ocid1\.[a-z0-9._-]+|eyJ[A-Za-z0-9_.-]+|[A-Za-z0-9+/=]{60,}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--stream", required=True, help="OCID of an empty stream")
    parser.add_argument("--endpoint", required=True, help="its messages endpoint")
    parser.add_argument(
        "--auth",
        default="api_key",
        choices=["api_key", "instance_principal", "resource_principal", "oke_workload_identity"],
        help="who signs",
    )
    parser.add_argument("--profile", default="DEFAULT", help="profile of ~/.oci/config")
    parser.add_argument("--config-file", default="~/.oci/config")
    parser.add_argument("--report", default="oci-report.md", help="where the report goes")
    parser.add_argument(
        "--quick", action="store_true", help="leave out what takes more than five minutes"
    )
    return parser.parse_args()


def signer_of(asked):
    if asked.auth == "instance_principal":
        return oci.auth.signers.InstancePrincipalsSecurityTokenSigner()
    if asked.auth == "resource_principal":
        return oci.auth.signers.get_resource_principals_signer()
    if asked.auth == "oke_workload_identity":
        return oci.auth.signers.get_oke_workload_identity_resource_principal_signer()
    config = oci.config.from_file(asked.config_file, asked.profile)
    return oci.signer.Signer.from_config(config)


def redacted(text):
    """A text of the service without what names or opens anything."""
    return SECRET.sub("…", text)[:600]


class Service:
    """One stream, asked request by request, without the SDK's retries."""

    def __init__(self, asked, signer):
        self.root = asked.endpoint.rstrip("/")
        self.stream = asked.stream
        self.signer = signer
        self.session = requests.Session()

    def prepared(self, method, path, body=None, is_put=False, stream=None):
        url = f"{self.root}{BASE}/streams/{stream or self.stream}{path}"
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
        if data is None and method != "GET":
            data = ""
        headers = {"content-type": "application/json", "accept": "application/json"}
        request = self.session.prepare_request(
            requests.Request(method, url, data=data, headers=headers)
        )
        if method != "GET" and not data:
            request.headers["content-length"] = "0"
        # SDK and requests have each their own Request; the signer needs only what both have.
        return self.signer(request, enforce_content_headers=not is_put)

    def send(self, request):
        return self.session.send(request, timeout=30, allow_redirects=False)

    def call(self, *arguments, **more):
        return self.send(self.prepared(*arguments, **more))

    def put(self, values, key=None):
        """PutMessages, signed without its content, as every client of Oracle's does it."""
        return self.call("POST", "/messages", put_body(values, key), is_put=True)

    def cursor(self, **details):
        answer = self.call("POST", "/cursors", {"partition": "0", **details})
        return answer.json().get("value", "") if answer.ok else ""

    def group_cursor(self, name, **details):
        details = {"groupName": name, "type": "TRIM_HORIZON", "commitOnGet": False, **details}
        return self.call("POST", "/groupCursors", details)

    def get(self, cursor, limit=10):
        quoted = requests.utils.quote(cursor, safe="")
        return self.call("GET", f"/messages?cursor={quoted}&limit={limit}")


def put_body(values, key=None):
    entry = lambda value: {
        "key": None if key is None else base64.b64encode(key).decode(),
        "value": base64.b64encode(value).decode(),
    }
    return {"messages": [entry(value) for value in values]}


class Report:
    def __init__(self):
        self.lines = []
        self.failed = 0

    def item(self, question, ask):
        print(f"… {question}", flush=True)
        try:
            said = ask()
        except Exception as error:  # noqa: BLE001: one item that fails is a finding, not the end
            self.failed += 1
            said = f"**could not be asked**: {type(error).__name__}: {redacted(str(error))}"
        self.lines += [f"### {question}", "", said, ""]

    def write(self, asked):
        now = datetime.datetime.now(datetime.timezone.utc)
        head = [
            "# What Oracle's service answers",
            "",
            f"Asked on {now:%Y-%m-%d %H:%M} UTC by deploy/oci-check/check.py, signed as "
            f"`{asked.auth}`, SDK {oci.version.__version__}.",
            "",
        ]
        with open(asked.report, "w", encoding="utf-8") as file:
            file.write("\n".join(head + self.lines))


def shown(answer, names=("retry-after", "date", "content-type")):
    """An answer as the report has it."""
    fields = [f"{name}: {answer.headers[name]}" for name in names if name in answer.headers]
    text = redacted(answer.text) if not answer.ok else f"{len(answer.content)} bytes"
    return f"`{answer.status_code}` {text}" + (f" ({'; '.join(fields)})" if fields else "")


def of_signatures(service, report):
    def reused():
        first = service.prepared("POST", "/messages", put_body([b"one"]), is_put=True)
        other = service.prepared("POST", "/messages", put_body([b"two"]), is_put=True)
        answers = [service.send(first)]
        # The first signature with another content, at once and after some seconds.
        for name in ("date", "authorization"):
            other.headers[name] = first.headers[name]
        answers.append(service.send(other))
        time.sleep(20)
        answers.append(service.send(other))
        return "first, again with another content, again after 20 s: " + ", ".join(
            shown(answer, ()) for answer in answers
        )

    def late():
        found = []
        for minutes in (4, 6):
            past = time.time() - 60 * minutes
            request = service.prepared("GET", "/groups/none")
            plain = requests.Request("GET", request.url)
            plain = service.session.prepare_request(plain)
            plain.headers["date"] = email.utils.formatdate(past, usegmt=True)
            found.append(f"{minutes} minutes: {shown(service.send(service.signer(plain)))}")
        return "; ".join(found)

    report.item("May one signature of PutMessages be used again?", reused)
    report.item("How late may a date be?", late)


def of_limits(service, report):
    def exact():
        whole = 1_048_576
        value = os.urandom(whole)
        found = [
            ("value of 1 MiB without a key", service.put([value])),
            ("the same with one byte more", service.put([value + b"x"])),
            ("value of 1 MiB less 16 bytes without a key", service.put([value[16:]])),
            ("value of 1 MiB with a key of 5 bytes", service.put([value], b"12345")),
            ("two values of 512 KiB", service.put([value[: whole // 2]] * 2)),
        ]
        return "\n".join(f"- {what}: {shown(answer, ())}" for what, answer in found)

    def large():
        for _ in range(4):
            service.put([os.urandom(900_000)], b"large")
            time.sleep(1.2)
        cursor, found = service.cursor(type="TRIM_HORIZON"), []
        for _ in range(10):
            answer = service.get(cursor, 10_000)
            if not answer.ok:
                return shown(answer)
            found.append((len(answer.content), len(answer.json())))
            cursor = answer.headers["opc-next-cursor"]
            time.sleep(0.3)
        return "bytes and messages of ten answers: " + ", ".join(map(str, found))

    def throttled():
        cursor = service.cursor(type="LATEST")
        answers = [service.get(cursor, 1) for _ in range(40)]
        refused = [answer for answer in answers if answer.status_code == 429]
        first = shown(refused[0]) if refused else "never"
        return f"{len(refused)} of 40 requests were refused; the first: {first}"

    report.item("What counts for the 1 MiB of a request?", exact)
    report.item("How large does an answer of GetMessages get?", large)
    report.item("What does 429 say?", throttled)


def of_errors(service, report, expiring):
    unknown = "ocid1.stream.oc1.eu-frankfurt-1.amaaaaaaexampleuniqueid"
    report.item("An unreadable body", lambda: shown(service.call("POST", "/messages", b"{", True)))
    report.item("A cursor that is none", lambda: shown(service.get("bm9uZQ==")))
    report.item(
        "A stream that isn't there",
        lambda: shown(service.call("POST", "/messages", put_body([b"x"]), True, unknown)),
    )

    def lost():
        """A cursor of before the group has given its partition away."""
        name = f"check-{int(time.time())}"
        first = service.group_cursor(name, instanceName="one", timeoutInMs=5_000)
        cursor = first.json()["value"]
        read = service.get(cursor, 1)
        cursor = read.headers["opc-next-cursor"]
        time.sleep(7)
        second = service.group_cursor(name, instanceName="two").json()["value"]
        service.get(second, 1)
        quoted = requests.utils.quote(cursor, safe="")
        committed = service.call("POST", f"/commit?cursor={quoted}")
        return f"commit: {shown(committed)}; get: {shown(service.get(cursor, 1))}"

    report.item("A commit after the partition was given away", lost)
    if expiring:
        cursor, made = expiring

        def expired():
            time.sleep(max(0, made + 330 - time.time()))
            return shown(service.get(cursor, 1))

        report.item("A cursor after five and a half minutes", expired)


def of_groups(service, report):
    name = f"check-{int(time.time())}"

    def fresh():
        made = service.group_cursor(name, instanceName="one", timeoutInMs=1_000)
        group = service.call("GET", f"/groups/{name}")
        return f"timeoutInMs 1000: {shown(made, ())}; the group: {redacted(group.text)}"

    def sizes():
        cursor = service.group_cursor(f"{name}-b").json()["value"]
        return f"a group cursor has {len(cursor)} characters"

    report.item("A group before its first commit, and a time limit of a second", fresh)
    report.item("How long is a cursor?", sizes)


def of_tokens(asked, signer, report):
    def claims():
        container = getattr(signer, "security_token", None)
        client = getattr(signer, "federation_client", None)
        container = container or (client and client.security_token)
        if container is None:
            return "there is no token: it is signed by a key"
        token = container.get_jwt()
        length = len(container.security_token)
        lasts = token["exp"] - token.get("iat", token["exp"])
        names = ", ".join(sorted(token))
        return f"{length} characters; it lasts {lasts} s; its claims are {names}"

    report.item("How long does a session token last?", claims)
    report.item("Where are the files of a resource principal, and how old?", of_files)
    if asked.auth == "oke_workload_identity":
        of_workload(signer, report)
    if asked.auth != "instance_principal":
        return
    base = "http://169.254.169.254/opc/v2"
    bearer = {"Authorization": "Bearer Oracle"}

    def metadata():
        get = lambda path, **more: requests.get(f"{base}{path}", timeout=5, **more)
        found = [
            ("without Authorization", get("/instance/regionInfo")),
            ("regionInfo", get("/instance/regionInfo", headers=bearer)),
            ("as from a proxy", get("/instance/id", headers={**bearer, "X-Forwarded-For": "::1"})),
            ("cert.pem", get("/identity/cert.pem", headers=bearer)),
        ]
        lines = [f"- {what}: {shown(answer)}" for what, answer in found]
        names = ", ".join(sorted(found[1][1].json())) if found[1][1].ok else "none"
        return "\n".join([*lines, f"- names in regionInfo: {names}"])

    report.item("What does the metadata service insist on?", metadata)


def of_files():
    """Paths alone: what is no path may be the token or the key itself."""
    found = []
    for name in ("VERSION", "RPST", "PRIVATE_PEM", "PRIVATE_PEM_PASSPHRASE"):
        name = f"OCI_RESOURCE_PRINCIPAL_{name}"
        value = os.environ.get(name)
        if value is None:
            said = "not set"
        elif name.endswith("VERSION"):
            said = redacted(value)
        elif value.startswith("/"):
            there = os.stat(value)
            said = (
                f"a file, {redacted(value)}, {there.st_size} bytes, mode {there.st_mode & 0o777:o}, "
                f"written {time.time() - there.st_mtime:.0f} s ago"
            )
        else:
            said = "set, and not a path"
        found.append(f"- {name}: {said}")
    return "\n".join(found)


def of_workload(signer, report):
    name, port = "kubernetes.default.svc", 12250

    def names():
        context = ssl.create_default_context(cafile=signer.sa_cert_path)
        context.check_hostname = False
        where = (os.environ["KUBERNETES_SERVICE_HOST"], port)
        with socket.create_connection(where, 10) as plain:
            with context.wrap_socket(plain, server_hostname=name) as secure:
                found = secure.getpeercert().get("subjectAltName", ())
        return ", ".join(f"{kind} {redacted(value)}" for kind, value in found) or "none"

    def by_name():
        named = type(signer)(signer.sa_token_provider, signer.sa_cert_path, name, port)
        return f"it gives a token of {len(named.security_token.security_token)} characters"

    report.item("Which names has the certificate of OKE's service?", names)
    report.item(f"Does OKE know itself by the name {name}?", by_name)


def main():
    asked = arguments()
    signer = signer_of(asked)
    service, report = Service(asked, signer), Report()
    cursor = "" if asked.quick else service.cursor(type="TRIM_HORIZON")
    expiring = (cursor, time.time()) if cursor else None
    of_tokens(asked, signer, report)
    of_signatures(service, report)
    of_groups(service, report)
    of_limits(service, report)
    of_errors(service, report, expiring)
    report.write(asked)
    print(f"the report is in {asked.report}; {report.failed} item(s) could not be asked")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
