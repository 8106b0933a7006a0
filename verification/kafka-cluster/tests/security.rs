//! Brokers that want a user and a password, or a certificate: the server uses them, and says at
//! once what to change when they refuse.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::Ground;
use kafka_cluster::{Listener, Secured, Setup};
use std::time::Duration;
use testkit::tls::Authority;

/// A server that is refused says so at once: long before the minute that it waits for brokers that
/// only start.
const AT_ONCE: Duration = Duration::from_secs(40);
const PREFIX: &str = "secure.";

/// Brokers that know two users: one has the rights that the documentation lists, one has none.
struct Guarded {
    ground: Ground,
}

impl Guarded {
    fn start() -> Option<Self> {
        let authority = Authority::new();
        let (certificate, key) = authority.identity("127.0.0.1");
        let user = |name: &str| (name.to_owned(), format!("{name}s password"));
        let setup = Setup {
            brokers: 1,
            secured: Some(Secured {
                identity: format!("{key}{certificate}{}", authority.pem()),
                authority: authority.pem(),
                users: vec![user("alice"), user("mallory")],
            }),
            ..Setup::default()
        };
        let ground = Ground::start("security", &setup)?;
        // As docs/kafka.md lists them.
        let topics = ["--topic", PREFIX, "--resource-pattern-type", "prefixed"];
        let operations = [
            "Create",
            "Delete",
            "Describe",
            "DescribeConfigs",
            "Read",
            "Write",
        ];
        for principal in ["User:alice", "User:CN=gateway"] {
            ground
                .cluster
                .allow(principal, &operations, &topics)
                .unwrap();
            let cluster = ["IdempotentWrite"];
            ground
                .cluster
                .allow(principal, &cluster, &["--cluster"])
                .unwrap();
        }
        ground.file("alice", "alices password\n");
        ground.file("mallory", "mallorys password\n");
        ground.file("wrong", "wrong password\n");
        ground.file("ca.pem", &authority.pem());
        ground.file("other-ca.pem", &Authority::new().pem());
        for (name, of) in [("gateway", &authority), ("stranger", &Authority::new())] {
            let (certificate, key) = of.identity("gateway");
            ground.file(&format!("{name}.pem"), &certificate);
            ground.file(&format!("{name}.key"), &key);
        }
        Some(Self { ground })
    }

    /// Returns a server's arguments; names of files are completed.
    fn arguments(&self, listener: Listener, more: &[&str]) -> Vec<String> {
        let usual = [
            "--brokers",
            &self.ground.cluster.brokers_by(listener),
            "--topic-prefix",
            PREFIX,
            "--replication-factor",
            "1",
            "--min-insync-replicas",
            "1",
        ];
        let mut arguments: Vec<String> = usual.map(str::to_owned).to_vec();
        for pair in more.chunks(2) {
            arguments.push(pair.first().copied().unwrap_or_default().to_owned());
            let Some(value) = pair.get(1) else { continue };
            let file = self.ground.folder.join(value);
            let is_file = pair.first().is_some_and(|flag| flag.ends_with("-file"));
            arguments.push(match is_file {
                true => file.display().to_string(),
                false => (*value).to_owned(),
            });
        }
        arguments
    }

    fn works(&self, listener: Listener, more: &[&str], marker: &str) {
        let arguments = self.arguments(listener, more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut front = self.ground.begin(&arguments);
        front.wait_until_ready();
        let client = front.client();
        assert!(client.put_one(marker));
        let joined = client.join(marker, "i").unwrap();
        assert_eq!(joined.status, 200, "{joined:?}");
        let cursor = joined.json();
        let cursor = cursor.get("value").and_then(|value| value.as_str());
        let batch = client.get(cursor.unwrap()).unwrap();
        assert!(batch.values().contains(&marker.to_owned()), "{batch:?}");
        assert_eq!(client.commit(&batch.next.unwrap()).unwrap().status, 200);
        front.process.terminate(AT_ONCE).unwrap();
    }

    /// A server with these settings ends at once, and what it says has all of these words.
    fn is_refused(&self, listener: Listener, more: &[&str], words: &[&str]) {
        let arguments = self.arguments(listener, more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut front = self.ground.begin(&arguments);
        let (code, said) = front.end(AT_ONCE);
        assert!(
            code.is_some_and(|code| code != 0),
            "{more:?} {code:?}: {said}"
        );
        for word in words {
            assert!(said.contains(word), "{more:?}: no {word:?} in {said}");
        }
        println!("{more:?}\n{said}");
    }
}

#[test]
fn users_and_certificates_are_taken_and_refusals_say_what_to_change() {
    let Some(guarded) = Guarded::start() else {
        return;
    };
    let ca = ["--kafka-ca-file", "ca.pem"];
    let alice = ["--kafka-user", "alice", "--kafka-password-file", "alice"];
    let certificate = [
        "--kafka-certificate-file",
        "gateway.pem",
        "--kafka-key-file",
        "gateway.key",
    ];
    let with = |parts: &[&[&'static str]]| [parts.concat(), vec!["--kafka-tls"]].concat();
    guarded.works(Listener::Scram, &with(&[&ca, &alice]), "scram");
    guarded.works(Listener::MutualTls, &with(&[&ca, &certificate]), "mutual");

    let wrong = ["--kafka-user", "alice", "--kafka-password-file", "wrong"];
    let words = ["--kafka-user", "--kafka-password-file", "credentials"];
    guarded.is_refused(Listener::Scram, &with(&[&ca, &wrong]), &words);
    let nobody = ["--kafka-user", "bob", "--kafka-password-file", "alice"];
    guarded.is_refused(Listener::Scram, &with(&[&ca, &nobody]), &words);

    let other = ["--kafka-ca-file", "other-ca.pem"];
    let words = ["certificate", "--kafka-ca-file"];
    guarded.is_refused(Listener::Scram, &with(&[&other, &alice]), &words);
    guarded.is_refused(Listener::MutualTls, &with(&[&other, &certificate]), &words);

    let stranger = [
        "--kafka-certificate-file",
        "stranger.pem",
        "--kafka-key-file",
        "stranger.key",
    ];
    let words = ["--kafka-certificate-file"];
    guarded.is_refused(Listener::MutualTls, &with(&[&ca, &stranger]), &words);
    guarded.is_refused(Listener::MutualTls, &with(&[&ca]), &words);

    let mallory = [
        "--kafka-user",
        "mallory",
        "--kafka-password-file",
        "mallory",
    ];
    let words = ["secure.__sluice.members", "right"];
    guarded.is_refused(Listener::Scram, &with(&[&ca, &mallory]), &words);

    // The wrong protocol: plain where TLS is spoken, TLS without a user, TLS where plain is spoken.
    let words = ["--kafka-tls"];
    guarded.is_refused(Listener::Scram, &[], &words);
    guarded.is_refused(Listener::Plain, &with(&[&ca]), &words);
    guarded.is_refused(Listener::Scram, &with(&[&ca]), &["--kafka-user"]);
}
