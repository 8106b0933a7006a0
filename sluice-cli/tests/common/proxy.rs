//! A proxy that stands before the stream server and spoils some of its answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};

/// What the proxy does instead of passing a request on.
pub enum Fault {
    /// Answers by itself.
    Answer(u16, &'static str),
    /// Passes the first messages of a PutMessages on, and says that the others failed.
    StoreOnly(usize),
}

type Faults = dyn Fn(&str) -> Option<Fault> + Send + Sync;

/// Starts one; gives its URL. `faults` gets method and path of each request. It ends with the
/// process.
pub fn start(
    upstream: &str,
    faults: impl Fn(&str) -> Option<Fault> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let faults: Arc<Faults> = Arc::new(faults);
    let upstream = upstream.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (faults, upstream) = (Arc::clone(&faults), upstream.clone());
            // A client that goes away ends its thread.
            std::thread::spawn(move || while_open(stream.unwrap(), &upstream, &*faults));
        }
    });
    url
}

fn while_open(stream: TcpStream, upstream: &str, faults: &Faults) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let url = format!("{upstream}{path}");
        let (status, cursor, body) = match faults(&format!("{method} {path}")) {
            Some(Fault::Answer(status, body)) => (status, String::new(), body.to_owned()),
            Some(Fault::StoreOnly(count)) => store_only(&url, count, &body),
            None => pass(&url, method, &body),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} S\r\ncontent-length: {length}\r\n{cursor}\r\n");
        reader
            .get_mut()
            .write_all(format!("{head}{body}").as_bytes())
            .ok()?;
    }
}

fn pass(url: &str, method: &str, body: &[u8]) -> (u16, String, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let answer = if method == "GET" {
        agent.get(url).call()
    } else {
        let post = agent.post(url).header("content-type", "application/json");
        post.send(body)
    };
    let mut answer = answer.unwrap();
    let cursor = answer.headers().get("opc-next-cursor");
    let cursor = cursor.map(|cursor| format!("opc-next-cursor: {}\r\n", cursor.to_str().unwrap()));
    let body = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), cursor.unwrap_or_default(), body)
}

fn store_only(url: &str, count: usize, body: &[u8]) -> (u16, String, String) {
    let mut body: Value = serde_json::from_slice(body).unwrap();
    let messages = body["messages"].as_array_mut().unwrap();
    let failures = messages.len().saturating_sub(count);
    messages.truncate(count);
    let (status, cursor, answer) = pass(url, "POST", body.to_string().as_bytes());
    let mut answer: Value = serde_json::from_str(&answer).unwrap();
    let error = json!({ "error": "TooManyRequests", "errorMessage": "slow down" });
    answer["entries"]
        .as_array_mut()
        .unwrap()
        .extend(vec![error; failures]);
    answer["failures"] = failures.into();
    (status, cursor, answer.to_string())
}
