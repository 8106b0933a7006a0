// What Oracle's TypeScript SDK has to get from the server: one function for each test.
//
// Takes the name of the function, and a JSON object with the server's `endpoint` and the identities
// to sign with. Says nothing and ends with 0 where everything is as it has to be.
"use strict";

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const common = require("oci-common");
const { StreamAdminClient, StreamClient } = require("oci-streaming");

const SERVER = JSON.parse(process.argv[3]);
const CALLS = "ocid1.stream.oc1.local.calls";
const COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaasluice";
const OTHER_COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaaother";
const PATIENCE_MS = 30_000;

/** A client that does not retry: what fails, fails at once. */
function client(Kind = StreamClient, identity = "known", key = "known") {
  const authenticationDetailsProvider = new common.SimpleAuthenticationDetailsProvider(
    SERVER.tenancy,
    SERVER.user,
    SERVER[identity].fingerprint,
    readFileSync(SERVER[key].keyFile, "utf8"),
    null,
    common.Region.EU_FRANKFURT_1,
  );
  const retryConfiguration = common.NoRetryConfigurationDetails;
  const made = new Kind({ authenticationDetailsProvider }, { retryConfiguration });
  made.endpoint = SERVER.endpoint;
  return made;
}

/** Checks that the SDK rejects with its error of this status and code; gives the error. */
async function refused(statusCode, serviceCode, promise) {
  const error = await promise.then(
    () => assert.fail(`was not refused: ${statusCode} ${serviceCode}`),
    (reason) => reason,
  );
  assert.ok(error instanceof common.OciError, error);
  assert.deepEqual([error.statusCode, error.serviceCode], [statusCode, serviceCode], error);
  assert.ok(error.message && error.opcRequestId, error);
  return error;
}

const encoded = (text) => Buffer.from(text).toString("base64");
const values = (items) => items.map((one) => Buffer.from(one.value, "base64").toString());
const byName = (left, right) => left.localeCompare(right);

/** Publishes pairs of key and value. */
async function put(streams, messages, streamId = CALLS) {
  const entries = messages.map(([key, value]) => ({
    key: key === null ? undefined : encoded(key),
    value: encoded(value),
  }));
  const answer = await streams.putMessages({ streamId, putMessagesDetails: { messages: entries } });
  const result = answer.putMessagesResult;
  assert.equal(result.failures, 0);
  assert.equal(result.entries.length, messages.length);
  return result.entries;
}

async function cursor(streams, details) {
  const answer = await streams.createCursor({ streamId: CALLS, createCursorDetails: details });
  return answer.cursor.value;
}

async function read(streams, from, limit) {
  const answer = await streams.getMessages({ streamId: CALLS, cursor: from, limit });
  assert.ok(answer.opcNextCursor, "a next cursor in every answer");
  return [answer.items, answer.opcNextCursor];
}

async function join(streams, groupName, instanceName, more = {}) {
  const details = { type: "TRIM_HORIZON", groupName, instanceName, ...more };
  const answer = await streams.createGroupCursor({
    streamId: CALLS,
    createGroupCursorDetails: details,
  });
  return answer.cursor.value;
}

async function reservations(streams, groupName) {
  const { group } = await streams.getGroup({ streamId: CALLS, groupName });
  assert.deepEqual([group.streamId, group.groupName], [CALLS, groupName]);
  return group.reservations;
}

async function held(streams, groupName, instance) {
  const lines = await reservations(streams, groupName);
  return lines.filter((line) => line.reservedInstance === instance).length;
}

/** PutMessages, CreateCursor of every type, GetMessages. */
async function messages() {
  const streams = client();
  const before = new Date(Date.now() - 1_000);
  const entries = await put(streams, [["k", "first"], ["k", "second"], ["k", "gr\u00fcn"]]);
  const { partition } = entries[0];
  await put(streams, [[null, "anywhere"]]);
  const horizon = await cursor(streams, { partition, type: "TRIM_HORIZON" });
  let [items] = await read(streams, horizon);
  items = items.filter((item) => item.key);
  assert.deepEqual(values(items), ["first", "second", "gr\u00fcn"]);
  assert.deepEqual([items[0].stream, items[0].partition], ["calls", partition]);
  assert.deepEqual(items.map((item) => item.offset), entries.map((entry) => entry.offset));
  assert.equal(new Date(items[0].timestamp).getTime(), new Date(entries[0].timestamp).getTime());
  const { offset } = entries[1];
  for (const [details, expected] of [
    [{ type: "AT_OFFSET", offset }, "second"],
    [{ type: "AFTER_OFFSET", offset }, "gr\u00fcn"],
    [{ type: "AT_TIME", time: before }, "first"],
  ]) {
    [items] = await read(streams, await cursor(streams, { partition, ...details }), 1);
    assert.deepEqual(values(items), [expected]);
  }
  const latest = await cursor(streams, { partition, type: "LATEST" });
  const [none, next] = await read(streams, latest);
  assert.deepEqual(none, []);
  await put(streams, [["k", "fourth"]]);
  [items] = await read(streams, next);
  assert.deepEqual(values(items), ["fourth"]);
}

/** CreateGroupCursor, ConsumerCommit, ConsumerHeartbeat, GetGroup, UpdateGroup. */
async function group() {
  const streams = client();
  const sent = Array.from({ length: 20 }, (_, number) => [`${number}`, `${number}`]);
  await put(streams, sent);
  let mine = await join(streams, "manual", "one", { commitOnGet: false, timeoutInMs: 30_000 });
  const found = [];
  while (found.length < sent.length) {
    const [items, next] = await read(streams, mine, 7);
    assert.ok(items.length > 0, found);
    found.push(...values(items));
    mine = next;
  }
  assert.deepEqual(found.sort(byName), sent.map(([, value]) => value).sort(byName));
  let lines = await reservations(streams, "manual");
  assert.equal(lines.length, 4);
  assert.ok(lines.every((line) => line.committedOffset == null && line.timeReservedUntil));
  const beat = await streams.consumerHeartbeat({ streamId: CALLS, cursor: mine });
  const commit = await streams.consumerCommit({ streamId: CALLS, cursor: beat.cursor.value });
  lines = await reservations(streams, "manual");
  assert.ok(lines.some((line) => line.committedOffset != null), lines);
  assert.deepEqual((await read(streams, commit.cursor.value))[0], []);
  await streams.updateGroup({
    streamId: CALLS,
    groupName: "manual",
    updateGroupDetails: { type: "TRIM_HORIZON" },
  });
  const old = streams.getMessages({ streamId: CALLS, cursor: commit.cursor.value });
  await refused(400, "InvalidParameter", old);
  const again = await join(streams, "manual", "one");
  assert.ok((await read(streams, again))[0].length > 0);
}

/** Two instances share the partitions; what a lost one had not committed the other gets. */
async function group_shares_and_fails_over() {
  const streams = client();
  const sent = Array.from({ length: 60 }, (_, number) => `${number}`);
  await put(streams, sent.map((value) => [value, value]));
  let one = await join(streams, "shared", "one", { timeoutInMs: 30_000 });
  // Long enough for a busy machine, short enough to be waited for.
  let two = await join(streams, "shared", "two", { timeoutInMs: 6_000 });
  const got = { one: [], two: [] };
  let deadline = Date.now() + PATIENCE_MS;
  while (got.one.length + got.two.length < sent.length) {
    assert.ok(Date.now() < deadline, "some never came");
    let items;
    [items, one] = await read(streams, one, 1);
    got.one.push(...values(items));
    [items, two] = await read(streams, two, 1);
    got.two.push(...values(items));
  }
  assert.ok(got.one.length > 0 && got.two.length > 0);
  assert.deepEqual([...got.one, ...got.two].sort(byName), [...sent].sort(byName));
  assert.equal(await held(streams, "shared", "one"), 2);
  // The second reads once more, never commits that, and is not heard of again.
  await put(streams, sent.map((value) => [value, `more ${value}`]));
  const [lost, last] = await read(streams, two, 10_000);
  assert.ok(lost.length > 0);
  const later = new Set();
  deadline = Date.now() + PATIENCE_MS;
  while (later.size < sent.length) {
    assert.ok(Date.now() < deadline, "what the lost instance had read never came");
    const [items, next] = await read(streams, one);
    values(items).forEach((value) => later.add(value));
    one = next;
  }
  assert.equal(await held(streams, "shared", "one"), 4);
  const gone = streams.getMessages({ streamId: CALLS, cursor: last });
  const error = await refused(400, "InvalidParameter", gone);
  assert.match(error.message, /Trying to commit unreserved partition/);
}

/** All operations on streams and on the work requests that they make. */
async function streams_of_the_control_plane() {
  const admin = client(StreamAdminClient);
  const createStreamDetails = {
    name: "made",
    partitions: 2,
    compartmentId: COMPARTMENT,
    retentionInHours: 48,
    freeformTags: { a: "b" },
    definedTags: { space: { key: "value" } },
  };
  const created = await admin.createStream({ createStreamDetails });
  const made = created.stream;
  assert.ok(created.etag);
  assert.deepEqual([made.name, made.partitions, made.retentionInHours], ["made", 2, 48]);
  assert.equal(made.lifecycleState, "ACTIVE");
  assert.deepEqual(made.definedTags.space, { key: "value" });
  assert.equal(made.messagesEndpoint, SERVER.endpoint);
  const taken = "NotAuthorizedOrResourceAlreadyExists";
  await refused(409, taken, admin.createStream({ createStreamDetails }));
  const streamId = made.id;
  const got = await admin.getStream({ streamId });
  assert.deepEqual(got.stream, made);
  const updateStreamDetails = { freeformTags: { c: "d" } };
  const stale = admin.updateStream({ streamId, updateStreamDetails, ifMatch: "stale" });
  await refused(412, "NoEtagMatch", stale);
  const fresh = { streamId, updateStreamDetails, ifMatch: got.etag };
  assert.deepEqual((await admin.updateStream(fresh)).stream.freeformTags, { c: "d" });
  const moving = { compartmentId: OTHER_COMPARTMENT };
  await admin.changeStreamCompartment({ streamId, changeStreamCompartmentDetails: moving });
  const listed = await admin.listStreams({ compartmentId: OTHER_COMPARTMENT, name: "made" });
  assert.deepEqual(listed.items.map((item) => item.id), [streamId]);
  const deleted = await admin.deleteStream({ streamId });
  await refused(404, "NotAuthorizedOrNotFound", admin.getStream({ streamId }));

  const all = await admin.listWorkRequests({ resourceId: streamId, sortOrder: "ASC" });
  const kinds = all.workRequestSummaryCollection.items.map((item) => item.operationType);
  const expected = ["CREATE_STREAM", "UPDATE_STREAM", "UPDATE_STREAM", "DELETE_STREAM"];
  assert.deepEqual(kinds, expected);
  const workRequestId = deleted.opcWorkRequestId;
  const { workRequest } = await admin.getWorkRequest({ workRequestId });
  assert.deepEqual([workRequest.status, workRequest.percentComplete], ["SUCCEEDED", 100]);
  assert.equal(workRequest.resources[0].identifier, streamId);
  const errors = await admin.listWorkRequestErrors({ workRequestId });
  assert.deepEqual(errors.workRequestErrorCollection.items, []);
  const logs = await admin.listWorkRequestLogs({ workRequestId });
  assert.equal(logs.workRequestLogEntryCollection.items.length, 1);
}

/** All operations on stream pools, and the SDK's pagination. */
async function pools() {
  const admin = client(StreamAdminClient);
  const details = { name: "pool", compartmentId: COMPARTMENT };
  const createStreamPoolDetails = { ...details, kafkaSettings: { numPartitions: 3 } };
  const once = { createStreamPoolDetails, opcRetryToken: "token" };
  const { streamPool, etag } = await admin.createStreamPool(once);
  assert.equal((await admin.createStreamPool(once)).streamPool.id, streamPool.id);
  assert.equal(streamPool.kafkaSettings.numPartitions, 3);
  const streamPoolId = streamPool.id;
  assert.deepEqual((await admin.getStreamPool({ streamPoolId })).streamPool, streamPool);
  const updateStreamPoolDetails = { name: "renamed" };
  const update = { streamPoolId, updateStreamPoolDetails, ifMatch: etag };
  assert.equal((await admin.updateStreamPool(update)).streamPool.name, "renamed");
  for (const number of [1, 2, 3, 4, 5]) {
    const inside = { name: `inside-${number}`, partitions: 1, streamPoolId };
    await admin.createStream({ createStreamDetails: inside });
  }
  const names = [];
  const inPool = { streamPoolId, limit: 2, sortBy: "NAME", sortOrder: "ASC" };
  for await (const stream of admin.listStreamsRecordIterator(inPool)) {
    if (stream.id === CALLS) continue; // It shows in all pools.
    names.push(stream.name);
    await admin.deleteStream({ streamId: stream.id });
  }
  assert.deepEqual(names, [1, 2, 3, 4, 5].map((number) => `inside-${number}`));
  const changeStreamPoolCompartmentDetails = { compartmentId: OTHER_COMPARTMENT };
  await admin.changeStreamPoolCompartment({ streamPoolId, changeStreamPoolCompartmentDetails });
  const there = { compartmentId: OTHER_COMPARTMENT, id: streamPoolId };
  const listed = await admin.listStreamPools(there);
  assert.deepEqual(listed.items.map((item) => item.name), ["renamed"]);
  await admin.deleteStreamPool({ streamPoolId });
  await refused(404, "NotAuthorizedOrNotFound", admin.getStreamPool({ streamPoolId }));
}

/** Each refusal is the SDK's error, with status and code. */
async function errors() {
  const [streams, admin] = [client(), client(StreamAdminClient)];
  const streamId = "ocid1.stream.oc1.local.unknown";
  const missing = "NotAuthorizedOrNotFound";
  const one = { messages: [{ value: encoded("x") }] };
  await refused(404, missing, streams.putMessages({ streamId, putMessagesDetails: one }));
  await refused(404, missing, streams.getGroup({ streamId: CALLS, groupName: "unknown" }));
  await refused(404, missing, admin.deleteStream({ streamId }));
  const invalid = "InvalidParameter";
  for (const operation of ["getMessages", "consumerCommit", "consumerHeartbeat"]) {
    const made = streams[operation]({ streamId: CALLS, cursor: "made-up" });
    const error = await refused(400, invalid, made);
    assert.match(error.message, /The cursor is invalid. Create a new one./);
  }
  const strange = { partition: "4", type: "LATEST" };
  await refused(400, invalid, cursor(streams, strange));
  await refused(400, invalid, put(streams, [[null, "v".repeat(1_048_577)]]));
  await refused(404, "NotFound", admin.listConnectHarnesses({ compartmentId: COMPARTMENT }));
}

/** Whoever is not known is refused, and so is who signs with another key or another clock. */
async function signatures() {
  const allRefused = async (streams, admin, why) => {
    const putMessagesDetails = { messages: [{ value: encoded("x") }] };
    for (const call of [
      () => streams.putMessages({ streamId: CALLS, putMessagesDetails }),
      () => streams.getMessages({ streamId: CALLS, cursor: "cursor" }),
      () => streams.consumerCommit({ streamId: CALLS, cursor: "cursor" }),
      () => join(streams, "g", "one"),
      () => admin.getStream({ streamId: CALLS }),
      () => admin.deleteStream({ streamId: CALLS }),
    ]) {
      assert.match((await refused(401, "NotAuthenticated", call())).message, why);
    }
  };
  for (const [identity, why] of [
    ["strange", /is unknown here/],
    ["known", /Check the private key/],
  ]) {
    const both = [StreamClient, StreamAdminClient].map((Kind) => client(Kind, identity, "strange"));
    await allRefused(...both, why);
  }
  const Right = Date;
  for (const minutes of [-6, 6]) {
    globalThis.Date = class extends Right {
      toUTCString() {
        return new Right(Right.now() + minutes * 60_000).toUTCString();
      }
    };
    await allRefused(client(), client(StreamAdminClient), /more than 5 minutes apart/);
  }
  globalThis.Date = Right;
  await put(client(), [[null, "x"]]);
}

const functions = {
  messages,
  group,
  group_shares_and_fails_over,
  streams_of_the_control_plane,
  pools,
  errors,
  signatures,
};

// A client that waits for what never comes must not wait for ever.
setTimeout(() => {
  console.error("time is up");
  process.exit(1);
}, 4 * PATIENCE_MS).unref();
functions[process.argv[2]]().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
