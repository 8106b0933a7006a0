//! Requests that are signed with Oracle's published test key.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::sha2::{Digest, Sha256};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};

use super::process::Process;
use super::{Answer, Client};

pub const KEY_ID: &str = "ocid1.tenancy.oc1..t/ocid1.user.oc1..u/73:61:a2";
const JSON: &str = "application/json";

/// A request, and what of it is signed.
pub struct Signed<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub body: &'a str,
    /// The body that the signature is made for.
    pub signed_body: &'a str,
    pub key_id: &'a str,
    pub names: &'a str,
    pub date: String,
}

impl<'a> Signed<'a> {
    /// As the Python SDK does it.
    pub fn new(method: &'a str, target: &'a str, body: &'a str) -> Self {
        let names = match method {
            "GET" | "DELETE" => "date (request-target) host",
            _ => "date (request-target) host content-length content-type x-content-sha256",
        };
        Self {
            method,
            target,
            body,
            signed_body: body,
            key_id: KEY_ID,
            names,
            date: date(0),
        }
    }

    pub fn send(&self, process: &Process) -> Answer {
        let mut client = Client::connect(process.address);
        client.send(self.text("127.0.0.1:8090").as_bytes()).unwrap();
        client.receive().unwrap()
    }

    pub fn text(&self, host: &str) -> String {
        let length = self.body.len().to_string();
        let hash = STANDARD.encode(Sha256::digest(self.signed_body));
        let target = format!("{} {}", self.method.to_lowercase(), self.target);
        let value = |name: &str| match name {
            "(request-target)" => target.clone(),
            "host" => host.to_owned(),
            "date" | "x-date" => self.date.clone(),
            "content-length" => length.clone(),
            "content-type" => JSON.to_owned(),
            _ => hash.clone(),
        };
        let names = self.names.to_lowercase();
        let line = |name: &str| format!("{name}: {}", value(name));
        let string = names.split(' ').map(line).collect::<Vec<_>>().join("\n");
        let key = RsaPrivateKey::from_pkcs1_pem(include_str!("../keys/official.pem")).unwrap();
        let signature = key
            .sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(string))
            .unwrap();
        let date_name = if names.contains("x-date") {
            "x-date"
        } else {
            "date"
        };
        format!(
            "{} {} HTTP/1.1\r\nhost: {host}\r\n{date_name}: {}\r\ncontent-length: {length}\r\n\
             content-type: {JSON}\r\nx-content-sha256: {hash}\r\nauthorization: Signature \
             algorithm=\"rsa-sha256\",headers=\"{}\",keyId=\"{}\",signature=\"{}\",\
             version=\"1\"\r\n\r\n{}",
            self.method,
            self.target,
            self.date,
            self.names,
            self.key_id,
            STANDARD.encode(signature),
            self.body,
        )
    }
}

/// Returns an HTTP date so many seconds from now.
pub fn date(seconds: i64) -> String {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(since_epoch.unwrap().as_secs()).unwrap();
    let moment = jiff::Timestamp::from_second(now + seconds).unwrap();
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
