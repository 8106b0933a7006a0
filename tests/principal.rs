//! A principal gets a token for all workers, renews it ahead of its end, and says what is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sluice::engine::Callout;
use sluice::http::{CalloutResult, IncomingResponse};
use sluice::id::{Entropy, Ticket};
use sluice::metric::Metric;
use sluice::principal::{Environment, Identity, Input, Output, Principal};
use sluice::stream::signing::{PrincipalConfig, PrincipalKind};
use sluice::time::{Now, Steady, Wall};

const CERTIFICATE: &str = include_str!("keys/instance.pem");
const INTERMEDIATE: &str = include_str!("keys/instance-intermediate.pem");
const KEY: &str = include_str!("keys/rsa-2048-pkcs8.pem");

/// The wall clock where the steady one begins.
const START: u64 = 1_800_000_000_000;

fn at(ms: u64) -> Now {
    Now {
        steady: Steady(ms),
        wall: Wall(START + ms),
    }
}

/// A token that is good for so many seconds from a moment on.
fn token(from_ms: u64, seconds: u64) -> String {
    let issued = (START + from_ms) / 1_000;
    let claims = format!(r#"{{"iat":{issued},"exp":{}}}"#, issued + seconds);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part("{}"), part(&claims), part("signature"))
}

fn answer(status: u16, body: &str) -> CalloutResult {
    CalloutResult::Answered(IncomingResponse {
        status,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        body_bytes: body.len(),
    })
}

/// What workers of one Envoy share, with its version.
#[derive(Default)]
struct Shared(Option<(Vec<u8>, u32)>);

/// One worker.
struct Worker {
    principal: Principal,
    callouts: Vec<Callout>,
    identities: Vec<Identity>,
    logs: Vec<String>,
    failures: usize,
}

impl Worker {
    fn new(kind: PrincipalKind, seed: u8) -> Self {
        let text = str::to_owned;
        let config = PrincipalConfig {
            kind,
            auth_cluster: text("auth"),
            auth_authority: text("auth.example"),
            metadata_cluster: text("metadata"),
            files_cluster: text("files"),
        };
        let entropy = Entropy::from_seed([seed; 32]);
        Self {
            principal: Principal::new(config, Environment::default(), entropy),
            callouts: Vec::new(),
            identities: Vec::new(),
            logs: Vec::new(),
            failures: 0,
        }
    }

    fn handle(&mut self, input: Input, shared: &mut Shared, now: Now) {
        self.principal.handle(input, now);
        while let Some(output) = self.principal.poll_output() {
            match output {
                Output::Callout(callout) => self.callouts.push(callout),
                Output::ReadShared => {
                    let (bytes, version) = shared.0.clone().unzip();
                    let input = Input::SharedRead(bytes, version.unwrap_or_default());
                    self.principal.handle(input, now);
                }
                Output::WriteShared(bytes, version) => {
                    let current = shared.0.as_ref().map_or(0, |(_, version)| *version);
                    let is_written = version == 0 || version == current;
                    if is_written {
                        shared.0 = Some((bytes, current + 1));
                    }
                    self.principal.handle(Input::SharedWritten(is_written), now);
                }
                Output::Identity(identity) => self.identities.push(*identity),
                Output::Count(Metric::PrincipalFailures) => self.failures += 1,
                Output::Count(_) => {}
                Output::Log(_, line) => self.logs.push(line),
            }
        }
    }

    fn tick(&mut self, shared: &mut Shared, ms: u64) {
        self.handle(Input::Tick, shared, at(ms));
    }

    /// The callout that was made last: cluster and path, and its ticket.
    fn asked(&self) -> (String, Ticket) {
        let callout = self.callouts.last().unwrap();
        let path = callout
            .request
            .headers
            .iter()
            .find(|(name, _)| name == ":path");
        let path = String::from_utf8_lossy(&path.unwrap().1).into_owned();
        (format!("{} {path}", callout.cluster), callout.ticket)
    }

    fn answer(&mut self, result: CalloutResult, shared: &mut Shared, ms: u64) {
        let (_, ticket) = self.asked();
        self.handle(Input::CalloutDone(ticket, result), shared, at(ms));
    }

    /// Answers the three files of an instance, and lets the search end. Returns the time then.
    fn identify(&mut self, shared: &mut Shared, mut ms: u64) -> u64 {
        for (file, text) in [
            ("cert.pem", CERTIFICATE),
            ("key.pem", KEY),
            ("intermediate.pem", INTERMEDIATE),
        ] {
            assert_eq!(self.asked().0, format!("metadata /opc/v2/identity/{file}"));
            self.answer(answer(200, text), shared, ms);
        }
        let callouts = self.callouts.len();
        while self.callouts.len() == callouts {
            ms = self.principal.wakeup().0;
            self.tick(shared, ms);
        }
        assert_eq!(self.asked().0, "auth /v1/x509");
        ms
    }

    /// Gets a token of so many seconds.
    fn succeed(&mut self, shared: &mut Shared, ms: u64, seconds: u64) -> u64 {
        let ms = self.identify(shared, ms);
        let body = format!(r#"{{"token":"{}"}}"#, token(ms, seconds));
        self.answer(answer(200, &body), shared, ms);
        ms
    }
}

#[test]
fn one_worker_asks_and_all_of_them_sign() {
    let mut shared = Shared::default();
    let mut one = Worker::new(PrincipalKind::Instance, 1);
    let mut two = Worker::new(PrincipalKind::Instance, 2);
    one.tick(&mut shared, 0);
    two.tick(&mut shared, 1);
    assert_eq!((one.callouts.len(), two.callouts.len()), (1, 0));
    let ms = one.succeed(&mut shared, 2, 3_600);
    assert_eq!(one.identities.len(), 1, "{:?}", one.logs);
    two.tick(&mut shared, ms + 200);
    assert_eq!((two.callouts.len(), two.identities.len()), (0, 1));
    assert_eq!(one.identities[0].key_id, two.identities[0].key_id);
    let fingerprint = |worker: &Worker| worker.identities[0].key.fingerprint();
    assert_eq!(fingerprint(&one), fingerprint(&two));

    // Renewed when half of its time is over, or a tenth earlier, with another key.
    let due = one.principal.wakeup().0.min(two.principal.wakeup().0);
    assert!((ms + 1_430_000..=ms + 1_810_000).contains(&due), "{due}");
    let late = ms + 1_820_000;
    two.tick(&mut shared, late);
    one.tick(&mut shared, late + 1);
    assert_eq!((one.callouts.len(), two.callouts.len()), (4, 1));
    let ms = two.succeed(&mut shared, late + 2, 3_600);
    one.tick(&mut shared, ms + 200);
    assert_eq!((one.identities.len(), two.identities.len()), (2, 2));
    assert_ne!(
        one.identities[0].key.fingerprint(),
        one.identities[1].key.fingerprint()
    );
}

#[test]
fn whoever_takes_too_long_is_given_up_and_another_one_asks() {
    let mut shared = Shared::default();
    let mut one = Worker::new(PrincipalKind::Instance, 1);
    let mut two = Worker::new(PrincipalKind::Instance, 2);
    one.tick(&mut shared, 0);
    // The first worker is never heard of again.
    two.tick(&mut shared, 59_000);
    assert_eq!(two.callouts.len(), 0);
    two.tick(&mut shared, 61_000);
    assert_eq!(two.callouts.len(), 1);
    // One that is slow says so itself.
    one.tick(&mut shared, 61_001);
    assert!(
        one.logs[0].contains("it took longer than 50 s"),
        "{:?}",
        one.logs
    );
}

#[test]
fn failures_are_told_and_tried_again_with_pauses() {
    let refusal = r#"{"code":"NotAuthenticated","message":"Certificate\nunknown"}"#;
    let cases = [
        (answer(404, "not here"), "answered 404"),
        (
            answer(401, refusal),
            "answered 401: NotAuthenticated Certificate\\nunknown",
        ),
        (CalloutResult::Lost, "did not answer in time"),
        (CalloutResult::NotSent, "could not be asked"),
        (
            answer(200, "<html>"),
            "the instance's certificate is not a PEM",
        ),
        (
            answer(200, INTERMEDIATE),
            "the instance's certificate names no tenancy",
        ),
    ];
    for (result, expected) in cases {
        let mut shared = Shared::default();
        let mut worker = Worker::new(PrincipalKind::Instance, 1);
        worker.tick(&mut shared, 0);
        let is_file =
            matches!(&result, CalloutResult::Answered(answered) if answered.status == 200);
        worker.answer(result, &mut shared, 1);
        if is_file {
            worker.answer(answer(200, KEY), &mut shared, 2);
            worker.answer(answer(200, INTERMEDIATE), &mut shared, 3);
        }
        let line = worker.logs.last().unwrap();
        assert!(line.contains(expected), "{line}");
        assert!(line.contains("the next try is in 1 s"), "{line}");
        assert_eq!((worker.failures, worker.identities.len()), (1, 0));
        // All workers heed the pause.
        let mut other = Worker::new(PrincipalKind::Instance, 2);
        let callouts = worker.callouts.len();
        other.tick(&mut shared, 900);
        worker.tick(&mut shared, 900);
        assert_eq!((worker.callouts.len(), other.callouts.len()), (callouts, 0));
        other.tick(&mut shared, 1_100);
        assert_eq!(other.callouts.len(), 1);
    }
}

#[test]
fn a_bad_key_or_token_is_named_and_not_shown() {
    for (key, expected) in [
        ("secret words", "key.pem holds no PEM"),
        (include_str!("keys/ec-pkcs8.pem"), "not of RSA"),
        (include_str!("keys/oci-published-1024.pem"), "1024 bits"),
    ] {
        let mut shared = Shared::default();
        let mut worker = Worker::new(PrincipalKind::Instance, 1);
        worker.tick(&mut shared, 0);
        worker.answer(answer(200, CERTIFICATE), &mut shared, 1);
        worker.answer(answer(200, key), &mut shared, 2);
        worker.answer(answer(200, INTERMEDIATE), &mut shared, 3);
        assert!(worker.logs[0].contains(expected), "{:?}", worker.logs);
        assert!(!worker.logs[0].contains("secret"), "{:?}", worker.logs);
    }
    let ended = format!(r#"{{"token":"{}"}}"#, token(0, 1));
    let mut shared = Shared::default();
    for (body, expected) in [
        ("{}", "has no token in it"),
        (r#"{"token":"opaque-secret"}"#, "is not a JSON Web Token"),
        (ended.as_str(), "has ended"),
    ] {
        let mut worker = Worker::new(PrincipalKind::Instance, 1);
        let ms = 3_000_000;
        worker.tick(&mut Shared::default(), ms);
        let ms = worker.identify(&mut shared, ms);
        worker.answer(answer(200, body), &mut shared, ms);
        assert!(worker.logs[0].contains(expected), "{:?}", worker.logs);
        assert!(!worker.logs[0].contains("opaque"), "{:?}", worker.logs);
    }
}

#[test]
fn a_renewal_that_fails_leaves_the_token_until_it_ends() {
    let mut shared = Shared::default();
    let mut worker = Worker::new(PrincipalKind::Instance, 1);
    worker.tick(&mut shared, 0);
    let ms = worker.succeed(&mut shared, 1, 100);
    worker.logs.clear();
    worker.tick(&mut shared, ms + 60_000);
    worker.answer(answer(500, ""), &mut shared, ms + 60_001);
    assert!(
        worker.logs[0].contains("the token that there is serves until"),
        "{:?}",
        worker.logs
    );
    worker.tick(&mut shared, ms + 101_000);
    assert!(
        worker.logs[1].contains("has ended and there is no other"),
        "{:?}",
        worker.logs
    );
    let told = worker.logs.len();
    worker.tick(&mut shared, ms + 101_001);
    assert_eq!(worker.logs.len(), told, "it is told once");
}

#[test]
fn a_refused_signature_brings_a_new_token_but_not_again_and_again() {
    let mut shared = Shared::default();
    let mut worker = Worker::new(PrincipalKind::Instance, 1);
    worker.tick(&mut shared, 0);
    let ms = worker.succeed(&mut shared, 1, 3_600);
    let callouts = worker.callouts.len();
    worker.handle(Input::Refused, &mut shared, at(ms + 1_000));
    worker.tick(&mut shared, ms + 1_001);
    assert_eq!(worker.callouts.len(), callouts);
    worker.handle(Input::Refused, &mut shared, at(ms + 31_000));
    worker.tick(&mut shared, ms + 31_001);
    assert_eq!(worker.callouts.len(), callouts + 1);
}

#[test]
fn a_resource_reads_its_files_and_a_workload_asks_for_its_account() {
    let mut shared = Shared::default();
    let mut resource = Worker::new(PrincipalKind::Resource, 1);
    resource.tick(&mut shared, 0);
    assert_eq!(resource.asked().0, "files /oci/rpst");
    resource.answer(answer(200, &format!("{}\n", token(0, 900))), &mut shared, 1);
    assert_eq!(resource.asked().0, "files /oci/private-key");
    resource.answer(answer(200, KEY), &mut shared, 2);
    assert_eq!(resource.identities.len(), 1, "{:?}", resource.logs);

    let mut shared = Shared::default();
    let mut workload = Worker::new(PrincipalKind::Workload, 1);
    workload.tick(&mut shared, 0);
    assert_eq!(
        workload.asked().0,
        "files /var/run/secrets/kubernetes.io/serviceaccount/token"
    );
    workload.answer(answer(200, "account.token\n"), &mut shared, 1);
    while workload.callouts.len() == 1 {
        let ms = workload.principal.wakeup().0;
        workload.tick(&mut shared, ms);
    }
    assert_eq!(workload.asked().0, "auth /resourcePrincipalSessionTokens");
    let json = format!(r#"{{"token":"ST${}"}}"#, token(0, 900));
    let ms = workload.principal.wakeup().0.min(30_000);
    workload.answer(answer(200, &STANDARD.encode(json)), &mut shared, ms);
    assert_eq!(workload.identities.len(), 1, "{:?}", workload.logs);
    let key_id = workload.identities[0].key_id.as_str();
    assert_eq!(key_id, format!("ST${}", token(0, 900)));
    assert_eq!(
        format!("{:?}", workload.identities[0].key_id),
        "KeyId(ST$…)"
    );
}

#[test]
fn what_is_shared_may_be_anything() {
    for bytes in [
        &b""[..],
        b"{",
        b"[]",
        br#"{"busy_until":18446744073709551615,"failures":4294967295}"#,
        br#"{"identity":{"token":"x","key":"y","came":18446744073709551615}}"#,
    ] {
        let mut shared = Shared(Some((bytes.to_vec(), 7)));
        let mut worker = Worker::new(PrincipalKind::Instance, 1);
        worker.tick(&mut shared, 0);
        assert_eq!(worker.callouts.len(), 1, "{bytes:?}");
        worker.answer(answer(503, ""), &mut shared, 1);
        assert_eq!(worker.failures, 1);
    }
}
