//! A bad call hurts only itself: whatever a caller, a record or a target does on the way through
//! dispatch and egress, the calls of others that are in flight go on, and nothing is made twice.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use local_gateway::Builder;
use local_gateway::render::{at, listener};
use serde_json::json;
use testkit::http1::{Connection, Request};
use testkit::server::{After, Answer};
use wasm_tests::gateway::{Gateway, drain_settings};
use wasm_tests::target::Target;

/// Calls of others that are in flight all the time.
const OTHERS: usize = 20;

/// A door that opens once.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn wait(&self) {
        let closed = self.0.lock().unwrap();
        drop(self.1.wait_while(closed, |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

/// Returns what no HTTP/2 codec passes on, and what is larger than any.
fn odd(path: &str) -> Option<Answer> {
    let bytes = match path {
        "/1000" => "HTTP/1.1 1000 X\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/101" => "HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_owned(),
        "/te" => "HTTP/1.1 200 OK\r\nte: gzip\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/nonsense" => "\0\0\0".to_owned(),
        "/long-head" => {
            let long = "v".repeat(200_000);
            format!("HTTP/1.1 200 OK\r\nx: {long}\r\ncontent-length: 0\r\n\r\n")
        }
        "/early" => "HTTP/1.1 103 Early\r\nlink: </a>\r\n\r\n".repeat(50),
        _ => return None,
    };
    Some(Answer::Raw(bytes.into_bytes(), After::Close))
}

/// The gateway with `OTHERS` calls in flight.
struct Scene {
    gateway: Gateway,
    door: Arc<Door>,
    others: Vec<String>,
}

impl Scene {
    fn new(name: &str, change: impl FnOnce(Builder) -> Builder) -> Self {
        let door = Arc::new(Door::default());
        let behind = door.clone();
        let target = Target::scripted(move |seen| match seen.path().as_str() {
            "/others" => {
                behind.wait();
                Answer::status(200)
            }
            "/hanging" => Answer::Hang,
            path => odd(path).unwrap_or_else(|| Answer::status(200)),
        });
        let gateway = Gateway::with(name, target, |builder| {
            change(builder.drain_patch(drain_settings(&json!({
                "window": { "inFlight": 1024, "calls": 4096 },
                "limits": { "inFlight": 1024 },
            }))))
        });
        let once = Request::new("POST", "/others").field("Async-Retries", "0");
        let others = (0..OTHERS)
            .map(|_| gateway.accept(&once.clone().marked().body("x")))
            .collect();
        gateway.wait_for("/others", OTHERS);
        Self {
            gateway,
            door,
            others,
        }
    }

    /// Makes a call once.
    fn call(&self, path: &str) -> String {
        let request = Request::new("POST", path).field("Async-Retries", "0");
        self.gateway.accept(&request.marked().body("x"))
    }

    /// Waits for so many dead letters.
    fn wait_for_letters(&self, count: usize) {
        self.gateway.wait(&format!("{count} dead letters"), || {
            self.gateway.stream().dead_letters().len() >= count
        });
    }

    /// Lets the others go, and looks at what became of them.
    fn end(self) {
        self.door.open();
        self.gateway.wait_until_settled();
        let arrivals = self.gateway.target.arrivals();
        let letters = self.gateway.stream().dead_letters();
        for id in &self.others {
            assert_eq!(arrivals[id], 1, "made twice");
            let is_dead = letters.iter().any(|letter| letter["id"] == **id);
            assert!(!is_dead, "{letters:#?}");
        }
    }
}

#[test]
fn what_targets_answer_harms_nobody_else() {
    let scene = Scene::new("fault-answers", |builder| builder);
    let paths = ["/1000", "/101", "/te", "/nonsense", "/long-head", "/early"];
    for path in paths {
        let id = scene.call(path);
        scene.gateway.wait_for_call(&id);
    }
    scene.gateway.wait("they have ended", || {
        let delivered = scene.gateway.metric("sluice_delivered_total");
        let dead = scene.gateway.stream().dead_letters().len() as u64;
        delivered + dead == paths.len() as u64
    });
    for path in paths {
        assert_eq!(scene.gateway.target.of(path).len(), 1, "{path}");
    }
    scene.end();
}

#[test]
fn what_callers_and_records_say_harms_nobody_else() {
    let scene = Scene::new("fault-heads", |builder| {
        builder.edit(|config| {
            // More than the listeners take by which calls are made.
            let gateway = listener(config, "gateway")?;
            let manager = at(gateway, "/filter_chains/0/filters/0/typed_config")?;
            manager["max_request_headers_kb"] = json!(512);
            manager["common_http_protocol_options"] = json!({ "max_headers_count": 1000 });
            Ok(())
        })
    });
    let port = scene.gateway.port();
    let post = Request::without_host("POST", "/p").marked();
    let odd = [
        (post.clone().field("Host", "a@b"), 400),
        (post.clone().field("Host", ""), 400),
        (post.clone().field("Host", "a/b"), 400),
        (
            post.clone()
                .field("Host", "h")
                .field("X", "v".repeat(110_000)),
            431,
        ),
        (
            (0..170).fold(post.field("Host", "h"), |all, _| all.field("X", "")),
            431,
        ),
    ];
    for (request, status) in odd {
        let mut connection = Connection::open(port).unwrap();
        let answer = connection.exchange(&request.body("")).unwrap();
        assert_eq!(answer.status, status, "{}", answer.show());
        if status == 431 {
            let limit = answer.json()["limit"].as_u64().unwrap();
            assert!(
                answer.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains(&limit.to_string())
            );
        }
    }
    // And as large as may be: it arrives.
    let large = Request::new("POST", "/large").field("X", "v".repeat(85_000));
    let large = (0..150).fold(large, |all, _| all.field("Y", ""));
    let large = scene.gateway.accept(&large.marked().body(""));
    scene.gateway.wait_for_call(&large);
    let head = "v".repeat(110_000);
    let many = vec!["[\"x\",\"\"]"; 300].join(",");
    let records = [
        r#"{"path":"*","method":"OPTIONS"}"#.to_owned(),
        r#"{"path":"/","authority":"a/b"}"#.to_owned(),
        r#"{"path":"/","authority":"a\"b"}"#.to_owned(),
        r#"{"path":"/","authority":"a@b"}"#.to_owned(),
        format!(r#"{{"path":"/","headers":[["x","{head}"]]}}"#),
        format!(r#"{{"path":"/","headers":[{many}]}}"#),
        format!(r#"{{"path":"/{head}"}}"#),
    ];
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    scene.gateway.stream().put(&records);
    scene.wait_for_letters(records.len());
    for letter in scene.gateway.stream().dead_letters() {
        assert_eq!(letter["reason"], "unreadable_record", "{letter}");
    }
    assert_eq!(
        scene.gateway.target.count(),
        OTHERS + 1,
        "none of them arrived"
    );
    scene.end();
}

#[test]
fn many_short_time_limits_at_a_hanging_target_harm_nobody_else() {
    const IMPATIENT: usize = 560;
    let scene = Scene::new("fault-resets", |builder| builder);
    let request = Request::new("POST", "/hanging")
        .field("Async-Retries", "0")
        .field("Async-Timeout", "100ms");
    let request = request.marked().body("x");
    let mut connection = Connection::open(scene.gateway.port()).unwrap();
    for _ in 0..IMPATIENT {
        let _id = connection.exchange(&request).unwrap().expect(202);
    }
    scene.wait_for_letters(IMPATIENT);
    scene.end();
}

#[test]
fn a_head_of_an_answer_that_passes_unmarked_passes_as_a_call() {
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = is_asked.clone();
    let target = Target::scripted(move |seen| match seen.path().as_str() {
        "/head" => {
            asked.store(true, Ordering::SeqCst);
            let long = "v".repeat(70_000);
            let many = "y: 1\r\n".repeat(90);
            let head = format!("HTTP/1.1 201 OK\r\nx: {long}\r\n{many}content-length: 2\r\n\r\nok");
            Answer::Raw(head.into_bytes(), After::Next)
        }
        _ => Answer::status(200),
    });
    let gateway = Gateway::with("fault-long-head", target, |builder| builder);
    let unmarked = gateway.exchange(&Request::new("GET", "/head"));
    assert_eq!(unmarked.status, 201);
    let request = Request::new("POST", "/head").field("Async-Reply-To", "/inbox");
    gateway.accept(&request.field("Async-Retries", "0").marked().body("x"));
    gateway.wait_for("/inbox", 1);
    let reply = gateway.target.of("/inbox").remove(0).message;
    assert_eq!(reply.text("async-status"), "201");
    assert_eq!(reply.body, b"ok");
    assert!(is_asked.load(Ordering::SeqCst));
}

#[test]
fn a_kept_connection_that_is_closed_costs_no_attempt_where_that_can_do_no_harm() {
    let target = Target::scripted(|seen| match (seen.path().as_str(), seen.nth) {
        ("/always", _) | (_, 1) => Answer::Close,
        _ => Answer::status(200),
    });
    let gateway = Gateway::with("fault-closed", target, |builder| builder);
    let once = |method: &str, path: &str| {
        let request = Request::new(method, path).field("Async-Retries", "0");
        request.marked()
    };
    gateway.accept(&once("PUT", "/put").body("x"));
    gateway.accept(&once("DELETE", "/delete").body(""));
    let keyed = once("POST", "/keyed").field("Idempotency-Key", "\"k\"");
    gateway.accept(&keyed.body("x"));
    let post = gateway.accept(&once("POST", "/post").body("x"));
    let always = gateway.accept(&once("PUT", "/always").body("x"));
    gateway.wait_until_settled();
    for path in ["/put", "/delete", "/keyed", "/always"] {
        let seen = gateway.target.of(path);
        let attempts: Vec<String> = seen.iter().map(|seen| seen.attempt()).collect();
        assert_eq!(attempts, ["1", "1"], "{path}");
    }
    assert_eq!(gateway.target.of("/post").len(), 1, "nobody can tell");
    let letters = gateway.stream().dead_letters();
    let mut dead: Vec<&str> = letters
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    dead.sort_unstable();
    let mut given_up = [post.as_str(), always.as_str()];
    given_up.sort_unstable();
    assert_eq!(dead, given_up);
    assert_eq!(gateway.metric("sluice_sent_again_total"), 4);
}
