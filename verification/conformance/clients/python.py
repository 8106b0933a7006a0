"""What Oracle's Python SDK has to get from the server: one function for each test.

Takes the name of the function, and a JSON object with the server's `endpoint` and the identities
to sign with. Says nothing and ends with 0 where everything is as it has to be.
"""

import base64
import datetime
import email.utils
import json
import signal
import sys
import time
from unittest import mock

import oci
from oci.exceptions import ServiceError
from oci.retry import NoneRetryStrategy
from oci.streaming import StreamAdminClient, StreamAdminClientCompositeOperations, StreamClient
from oci.streaming.models import (
    ChangeStreamCompartmentDetails,
    ChangeStreamPoolCompartmentDetails,
    CreateCursorDetails,
    CreateGroupCursorDetails,
    CreateStreamDetails,
    CreateStreamPoolDetails,
    KafkaSettings,
    PutMessagesDetails,
    PutMessagesDetailsEntry,
    UpdateGroupDetails,
    UpdateStreamDetails,
    UpdateStreamPoolDetails,
)

SERVER = json.loads(sys.argv[2])
CALLS = "ocid1.stream.oc1.local.calls"
COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaasluice"
OTHER_COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaaother"
PATIENCE_S = 30


def client(kind=StreamClient, identity="known", key="known"):
    """A client that does not retry: what fails, fails at once."""
    config = {
        "user": SERVER["user"],
        "tenancy": SERVER["tenancy"],
        "region": "eu-frankfurt-1",
        "fingerprint": SERVER[identity]["fingerprint"],
        "key_file": SERVER[key]["keyFile"],
    }
    endpoint = SERVER["endpoint"]
    return kind(config, service_endpoint=endpoint, retry_strategy=NoneRetryStrategy())


def refused(status, code, operation, *arguments, **more):
    """Checks that the SDK raises its exception with this status and code; gives the exception."""
    try:
        operation(*arguments, **more)
    except ServiceError as error:
        assert (error.status, error.code) == (status, code), error
        assert error.message and error.request_id and error.headers["opc-request-id"], error
        return error
    raise AssertionError(f"{operation.__name__} was not refused")


def encoded(value):
    return None if value is None else base64.b64encode(value).decode()


def put(streams, messages, stream=CALLS):
    """Publishes pairs of key and value."""
    entries = [PutMessagesDetailsEntry(key=encoded(k), value=encoded(v)) for k, v in messages]
    result = streams.put_messages(stream, PutMessagesDetails(messages=entries)).data
    assert result.failures == 0 and len(result.entries) == len(messages), result
    assert all(entry.error is None for entry in result.entries), result
    return result.entries


def read(streams, cursor, **more):
    answer = streams.get_messages(CALLS, cursor, **more)
    return answer.data, answer.headers["opc-next-cursor"]


def values(messages):
    return [base64.b64decode(message.value) for message in messages]


def cursor(streams, partition, kind, **more):
    details = CreateCursorDetails(partition=partition, type=kind, **more)
    return streams.create_cursor(CALLS, details).data.value


def join(streams, group, instance, stream=CALLS, **more):
    more.setdefault("type", "TRIM_HORIZON")
    details = CreateGroupCursorDetails(group_name=group, instance_name=instance, **more)
    return streams.create_group_cursor(stream, details).data.value


def reservations(streams, group):
    answer = streams.get_group(CALLS, group).data
    assert (answer.stream_id, answer.group_name) == (CALLS, group), answer
    return {one.partition: one for one in answer.reservations}


def messages():
    """PutMessages, CreateCursor of every type, GetMessages."""
    streams = client()
    every_byte = bytes(range(256))
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    entries = put(streams, [(b"key", every_byte), (b"key", b"second"), (b"key", b"third")])
    partition = entries[0].partition
    offsets = [entry.offset for entry in entries]
    assert all(entry.partition == partition for entry in entries), entries
    assert offsets == sorted(set(offsets)), offsets
    assert all(entry.timestamp >= before for entry in entries), entries
    put(streams, [(None, b"anywhere")])

    data, _ = read(streams, cursor(streams, partition, "TRIM_HORIZON"))
    data = [message for message in data if message.key is not None]
    assert values(data) == [every_byte, b"second", b"third"], data
    first = data[0]
    assert (first.stream, first.partition) == ("calls", partition), first
    assert base64.b64decode(first.key) == b"key", first
    assert [message.offset for message in data] == offsets, data
    assert first.timestamp == entries[0].timestamp, first

    for kind, more, expected in [
        ("AT_OFFSET", {"offset": offsets[1]}, b"second"),
        ("AFTER_OFFSET", {"offset": offsets[1]}, b"third"),
        ("AT_TIME", {"time": before}, every_byte),
    ]:
        data, following = read(streams, cursor(streams, partition, kind, **more), limit=1)
        assert values(data) == [expected], (kind, data)
        data, _ = read(streams, following, limit=1)
        assert expected == b"third" or len(data) == 1, (kind, data)
    latest = cursor(streams, partition, "LATEST")
    data, latest = read(streams, latest)
    assert data == [], data
    put(streams, [(b"key", b"fourth")])
    data, _ = read(streams, latest)
    assert values(data) == [b"fourth"], data


def limits_of_messages():
    """One MiB of value is taken, more is not; what is no base64 is not either."""
    streams = client()
    put(streams, [(b"k" * 256, b"v" * (1_048_576 - 256))])
    for value, code in [
        (encoded(b"v" * 1_048_577), "InvalidParameter"),
        ("no base64!", "CannotParseRequest"),
    ]:
        details = PutMessagesDetails(messages=[PutMessagesDetailsEntry(value=value)])
        refused(400, code, streams.put_messages, CALLS, details)


def group():
    """CreateGroupCursor, GetMessages, ConsumerCommit, ConsumerHeartbeat, GetGroup, UpdateGroup."""
    streams = client()
    last = {}
    for number in range(40):
        entry = put(streams, [(b"%d" % number, b"%d" % number)])[0]
        last[entry.partition] = entry.offset
    mine = join(streams, "manual", "one", commit_on_get=False, timeout_in_ms=30_000)
    found = []
    while len(found) < 40:
        data, mine = read(streams, mine, limit=15)
        assert data, found
        found += data
    assert {int(value) for value in values(found)} == set(range(40)), found
    now = reservations(streams, "manual")
    assert len(now) == 4 and all(one.reserved_instance == "one" for one in now.values()), now
    assert all(one.committed_offset is None for one in now.values()), now
    assert all(one.time_reserved_until for one in now.values()), now
    mine = streams.consumer_heartbeat(CALLS, mine).data.value
    mine = streams.consumer_commit(CALLS, mine).data.value
    now = reservations(streams, "manual")
    assert {p: one.committed_offset for p, one in now.items() if p in last} == last, now
    assert read(streams, mine)[0] == []

    streams.update_group(CALLS, "manual", UpdateGroupDetails(type="TRIM_HORIZON"))
    refused(400, "InvalidParameter", streams.get_messages, CALLS, mine)
    mine = join(streams, "manual", "one")
    data, mine = read(streams, mine, limit=10_000)
    assert len(data) > 0, data
    # The next GetMessages commits these.
    streams.get_messages(CALLS, mine)
    committed = [one.committed_offset for one in reservations(streams, "manual").values()]
    assert any(offset is not None for offset in committed), committed


def group_shares_and_fails_over():
    """Two instances share the partitions; what a lost one had not committed the other gets."""
    streams = client()
    sent = {b"%d" % number for number in range(60)}
    put(streams, [(value, value) for value in sent])
    one = join(streams, "shared", "one", timeout_in_ms=30_000)
    # Long enough for a busy machine, short enough to be waited for.
    two = join(streams, "shared", "two", timeout_in_ms=6_000)

    def held(name):
        lines = reservations(streams, "shared").values()
        return sum(line.reserved_instance == name for line in lines)

    got_one, got_two = [], []
    deadline = time.monotonic() + PATIENCE_S
    while len(got_one) + len(got_two) < 60:
        assert time.monotonic() < deadline, (got_one, got_two)
        data, one = read(streams, one, limit=1)
        got_one += values(data)
        data, two = read(streams, two, limit=1)
        got_two += values(data)
    assert held("one") == held("two") == 2
    assert got_one and got_two
    assert set(got_one) | set(got_two) == sent
    assert len(got_one) + len(got_two) == 60, "nothing came twice"

    # The second reads once more, never commits that, and is not heard of again.
    data, one = read(streams, one)
    data, two = read(streams, two)
    assert data == []
    put(streams, [(value, b"more " + value) for value in sent])
    lost, two = read(streams, two, limit=10_000)
    assert lost
    got = []
    deadline = time.monotonic() + PATIENCE_S
    while {value for value in got} != {b"more " + value for value in sent}:
        assert time.monotonic() < deadline, sorted(got)
        data, one = read(streams, one)
        got += values(data)
    assert held("one") == 4
    error = refused(400, "InvalidParameter", streams.get_messages, CALLS, two)
    assert "Trying to commit unreserved partition" in error.message, error


def made_here(streams):
    """Without the stream of the command line, which shows in all compartments and pools."""
    return [stream for stream in streams if stream.id != CALLS]


def streams_of_the_control_plane():
    """Create, Get, List, Update, ChangeCompartment and Delete, with etags."""
    admin = client(StreamAdminClient)
    details = CreateStreamDetails(
        name="made", partitions=2, compartment_id=COMPARTMENT, retention_in_hours=48,
        freeform_tags={"a": "b"}, defined_tags={"space": {"key": "value"}},
    )
    answer = admin.create_stream(details)
    made = answer.data
    assert answer.headers["etag"] and answer.headers["opc-work-request-id"], answer.headers
    assert (made.name, made.partitions, made.retention_in_hours) == ("made", 2, 48), made
    assert (made.lifecycle_state, made.compartment_id) == ("ACTIVE", COMPARTMENT), made
    assert made.freeform_tags == {"a": "b"}, made
    assert made.defined_tags["space"] == {"key": "value"}, made
    assert made.messages_endpoint == SERVER["endpoint"], made
    assert made.stream_pool_id and made.time_created, made
    refused(409, "NotAuthorizedOrResourceAlreadyExists", admin.create_stream, details)

    got = admin.get_stream(made.id)
    assert got.data == made, got.data
    etag = got.headers["etag"]
    update = UpdateStreamDetails(freeform_tags={"c": "d"})
    refused(412, "NoEtagMatch", admin.update_stream, made.id, update, if_match="stale")
    updated = admin.update_stream(made.id, update, if_match=etag)
    assert updated.data.freeform_tags == {"c": "d"}, updated.data
    assert updated.headers["etag"] != etag

    put(client(), [(None, b"x")], made.id)
    move = ChangeStreamCompartmentDetails(compartment_id=OTHER_COMPARTMENT)
    assert admin.change_stream_compartment(made.id, move).status == 204
    listed = made_here(admin.list_streams(compartment_id=OTHER_COMPARTMENT).data)
    assert [(one.name, one.partitions, one.lifecycle_state) for one in listed] == [
        ("made", 2, "ACTIVE")
    ], listed
    assert admin.list_streams(compartment_id=OTHER_COMPARTMENT, name="other").data == []
    by_id = admin.list_streams(compartment_id=OTHER_COMPARTMENT, id=made.id, limit=50)
    assert len(by_id.data) == 1, by_id.data
    assert admin.delete_stream(made.id).status == 204
    refused(404, "NotAuthorizedOrNotFound", admin.get_stream, made.id)


def pages():
    """The SDK's own pagination finds every stream once, in the order that was asked for."""
    admin = client(StreamAdminClient)
    names = [f"page-{number:02}" for number in range(23)]
    for name in names:
        details = CreateStreamDetails(name=name, partitions=1, compartment_id=COMPARTMENT)
        admin.create_stream(details)
    every = oci.pagination.list_call_get_all_results
    listed = every(
        admin.list_streams, compartment_id=COMPARTMENT, limit=5, sort_by="NAME", sort_order="DESC"
    ).data
    listed = made_here(listed)
    assert [one.name for one in listed] == names[::-1], listed
    state = every(admin.list_streams, compartment_id=COMPARTMENT, lifecycle_state="DELETED")
    assert state.data == [], state.data
    work = every(admin.list_work_requests, compartment_id=COMPARTMENT, limit=10).data
    assert len({one.id for one in work}) == len(work) == 23, work


def pools():
    """Create, Get, List, Update, ChangeCompartment and Delete."""
    admin = client(StreamAdminClient)
    details = CreateStreamPoolDetails(
        name="pool", compartment_id=COMPARTMENT, freeform_tags={"a": "b"},
        kafka_settings=KafkaSettings(num_partitions=3, log_retention_hours=48),
    )
    answer = admin.create_stream_pool(details)
    pool = answer.data
    assert answer.headers["etag"], answer.headers
    assert (pool.name, pool.lifecycle_state, pool.is_private) == ("pool", "ACTIVE", False), pool
    assert pool.kafka_settings.num_partitions == 3, pool
    assert pool.custom_encryption_key.key_state == "NONE", pool
    assert admin.get_stream_pool(pool.id).data == pool
    update = UpdateStreamPoolDetails(name="renamed", freeform_tags={"c": "d"})
    updated = admin.update_stream_pool(pool.id, update, if_match=answer.headers["etag"]).data
    assert (updated.name, updated.freeform_tags) == ("renamed", {"c": "d"}), updated
    inside = CreateStreamDetails(name="inside", partitions=1, stream_pool_id=pool.id)
    stream = admin.create_stream(inside).data
    listed = made_here(admin.list_streams(stream_pool_id=pool.id).data)
    assert [one.id for one in listed] == [stream.id], listed
    refused(409, "IncorrectState", admin.delete_stream_pool, pool.id)
    other = admin.create_stream_pool(
        CreateStreamPoolDetails(name="other", compartment_id=COMPARTMENT)
    ).data
    moved = admin.update_stream(stream.id, UpdateStreamDetails(stream_pool_id=other.id)).data
    assert moved.stream_pool_id == other.id, moved
    admin.delete_stream(stream.id)
    move = ChangeStreamPoolCompartmentDetails(compartment_id=OTHER_COMPARTMENT)
    assert admin.change_stream_pool_compartment(pool.id, move).status == 204
    listed = admin.list_stream_pools(OTHER_COMPARTMENT, name="renamed").data
    assert [(one.id, one.is_private) for one in listed] == [(pool.id, False)], listed
    assert admin.delete_stream_pool(pool.id).status == 204
    refused(404, "NotAuthorizedOrNotFound", admin.get_stream_pool, pool.id)


def work_requests():
    """GetWorkRequest, its errors and logs, ListWorkRequests, and the waiters that use them."""
    admin = client(StreamAdminClient)
    waiting = StreamAdminClientCompositeOperations(admin)
    done = ["SUCCEEDED"]
    made = CreateStreamDetails(name="awaited", partitions=1, compartment_id=COMPARTMENT)
    # What it gives is the work request.
    work = waiting.create_stream_and_wait_for_state(made, done).data
    stream = admin.get_stream(work.resources[0].identifier).data
    move = ChangeStreamCompartmentDetails(compartment_id=OTHER_COMPARTMENT)
    work = waiting.change_stream_compartment_and_wait_for_state(stream.id, move, done).data
    assert (work.status, work.operation_type) == ("SUCCEEDED", "UPDATE_STREAM"), work
    waiting.delete_stream_and_wait_for_state(stream.id, done)

    listed = admin.list_work_requests(
        compartment_id=COMPARTMENT, resource_id=stream.id, sort_order="ASC"
    ).data.items
    assert [one.operation_type for one in listed] == ["CREATE_STREAM"], listed
    moved = admin.list_work_requests(compartment_id=OTHER_COMPARTMENT, sort_order="ASC")
    kinds = [one.operation_type for one in moved.data.items]
    assert kinds == ["UPDATE_STREAM", "DELETE_STREAM"], kinds
    one = admin.get_work_request(listed[0].id).data
    resource = one.resources[0]
    assert (resource.identifier, resource.action_type) == (stream.id, "CREATED"), one
    assert one.percent_complete == 100 and one.time_finished and one.time_accepted, one
    assert admin.list_work_request_errors(one.id).data.items == []
    logs = admin.list_work_request_logs(one.id).data.items
    assert len(logs) == 1 and logs[0].message and logs[0].timestamp, logs
    alone = admin.list_work_requests(compartment_id=COMPARTMENT, work_request_id=one.id)
    assert [found.id for found in alone.data.items] == [one.id], alone.data
    refused(404, "NotAuthorizedOrNotFound", admin.get_work_request, "ocid1.unknown")


def errors():
    """Each refusal is the SDK's exception, with status and code."""
    streams, admin = client(), client(StreamAdminClient)
    unknown = "ocid1.stream.oc1.local.unknown"
    missing = "NotAuthorizedOrNotFound"
    latest = CreateCursorDetails(partition="0", type="LATEST")
    one = PutMessagesDetails(messages=[PutMessagesDetailsEntry(value=encoded(b"x"))])
    joining = CreateGroupCursorDetails(group_name="g", type="LATEST")
    mine = join(streams, "g", "one")
    moving = UpdateGroupDetails(type="LATEST")
    for operation, arguments in [
        (streams.put_messages, [one]),
        (streams.create_cursor, [latest]),
        (streams.create_group_cursor, [joining]),
        (streams.get_messages, [mine]),
        (streams.consumer_commit, [mine]),
        (streams.consumer_heartbeat, [mine]),
        (streams.get_group, ["g"]),
        (streams.update_group, ["g", moving]),
        (admin.get_stream, []),
        (admin.update_stream, [UpdateStreamDetails(freeform_tags={})]),
        (admin.delete_stream, []),
    ]:
        error = refused(404, missing, operation, unknown, *arguments)
        assert unknown in error.message, error
    refused(404, missing, streams.get_group, CALLS, "unknown")
    refused(404, missing, streams.update_group, CALLS, "unknown", moving)

    invalid = "InvalidParameter"
    for operation in [streams.get_messages, streams.consumer_commit, streams.consumer_heartbeat]:
        error = refused(400, invalid, operation, CALLS, "made-up")
        assert error.message == "The cursor is invalid. Create a new one.", error
    single = cursor(streams, "0", "LATEST")
    refused(400, invalid, streams.consumer_commit, CALLS, single)
    strange = CreateCursorDetails(partition="4", type="LATEST")
    refused(400, invalid, streams.create_cursor, CALLS, strange)
    incomplete = CreateCursorDetails(partition="0", type="AT_OFFSET")
    refused(400, "MissingParameter", streams.create_cursor, CALLS, incomplete)
    refused(400, invalid, streams.get_messages, CALLS, mine, limit=10_001)
    refused(400, invalid, streams.put_messages, CALLS, PutMessagesDetails(messages=[]))
    for wrong in [{"partitions": 0}, {"partitions": 1, "retention_in_hours": 169}]:
        wrong = CreateStreamDetails(name="s", compartment_id=COMPARTMENT, **wrong)
        refused(400, invalid, admin.create_stream, wrong)
    nowhere = CreateStreamDetails(name="s", partitions=1)
    refused(400, "MissingParameter", admin.create_stream, nowhere)
    refused(400, "MissingParameter", admin.list_streams)
    refused(404, "NotFound", admin.list_connect_harnesses, COMPARTMENT)


def bad_days():
    """What the server is told to do wrong reaches the SDK as Oracle's errors do."""
    streams = client()
    mine = cursor(streams, "0", "TRIM_HORIZON")
    fault([{"operation": "GetMessages", "count": 1, "effect": {"kind": "expireCursors"}}])
    error = refused(400, "InvalidParameter", streams.get_messages, CALLS, mine)
    assert error.message == "The cursor is expired. Create a new one.", error
    throttle = {"kind": "throttle", "nextInMs": 7}
    fault([{"operation": "GetMessages", "count": 1, "effect": throttle}])
    mine = cursor(streams, "0", "TRIM_HORIZON")
    error = refused(429, "TooManyRequests", streams.get_messages, CALLS, mine)
    assert "next request can be made in 7 ms" in error.message, error
    failing = {"kind": "failEntries", "every": 2, "error": "500", "errorMessage": "no"}
    fault([{"operation": "PutMessages", "count": 1, "effect": failing}])
    entry = PutMessagesDetailsEntry(value=encoded(b"x"))
    result = streams.put_messages(CALLS, PutMessagesDetails(messages=[entry] * 4)).data
    assert result.failures == 2, result
    assert [one.error for one in result.entries].count("500") == 2, result
    # The SDK's own way of waiting: it comes again where it may, and has its answer. Each server
    # that it may come to has the rule.
    fault([{"operation": "GetMessages", "count": 1, "effect": throttle}])
    again = oci.retry.RetryStrategyBuilder(
        max_attempts=5, retry_base_sleep_time_seconds=0.01, retry_max_wait_between_calls_seconds=0.1
    ).get_retry_strategy()
    assert streams.get_messages(CALLS, mine, retry_strategy=again).status == 200


def fault(rules):
    from urllib.request import Request, urlopen

    body = json.dumps(rules).encode()
    url, json_type = SERVER["endpoint"] + "/faults", {"content-type": "application/json"}
    with urlopen(Request(url, body, json_type, method="PUT"), timeout=10):
        pass


def signatures():
    """Whoever is not known is refused, and so is who signs with another key or another clock."""
    joining = CreateGroupCursorDetails(group_name="g", type="LATEST")
    one = PutMessagesDetails(messages=[PutMessagesDetailsEntry(value=encoded(b"x"))])

    def all_refused(streams, admin, why):
        for operation, arguments in [
            (streams.put_messages, [CALLS, one]),
            (streams.create_group_cursor, [CALLS, joining]),
            (streams.get_messages, [CALLS, "cursor"]),
            (streams.consumer_commit, [CALLS, "cursor"]),
            (streams.update_group, [CALLS, "g", UpdateGroupDetails(type="LATEST")]),
            (admin.get_stream, [CALLS]),
            (admin.delete_stream, [CALLS]),
        ]:
            error = refused(401, "NotAuthenticated", operation, *arguments)
            assert why in error.message, error

    for identity, why in [("strange", "is unknown here"), ("known", "Check the private key")]:
        signer = {"identity": identity, "key": "strange"}
        all_refused(client(**signer), client(StreamAdminClient, **signer), why)
    for minutes in [-6, 6]:
        wrong = email.utils.formatdate(time.time() + 60 * minutes, usegmt=True)
        with mock.patch("email.utils.formatdate", return_value=wrong):
            all_refused(client(), client(StreamAdminClient), "more than 5 minutes apart")
    # Within five minutes it is taken.
    right = email.utils.formatdate(time.time() - 60 * 4, usegmt=True)
    with mock.patch("email.utils.formatdate", return_value=right):
        put(client(), [(None, b"x")])


# A client that waits for what never comes must not wait for ever.
signal.alarm(4 * PATIENCE_S)
globals()[sys.argv[1]]()
