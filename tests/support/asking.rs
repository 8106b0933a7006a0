//! A gateway that has every option, and requests that ask it for some.

use std::time::Duration;

use sluice::accept::admission::{Admitted, RequestHead, admit};
use sluice::accept::config::AcceptConfig;
use sluice::accept::refusal::Refusal;
use sluice::config::Document;
use sluice::time::Wall;

/// 2026-11-23T04:36:00Z.
pub const NOW: Wall = Wall(1_795_408_560_000);

/// Returns a gateway that has every option, and where `h` may be a target and get replies, and so
/// may every path.
pub fn gateway(extra: &str) -> AcceptConfig {
    let fixed = r#""stream":{"cluster":"stream","authority":"s","streamId":"calls"},
        "targets":{"allow":[{"scheme":"any","host":"h","allowPrivate":true},
        {"scheme":"any","host":"h","port":1,"allowPrivate":true}]},"replies":{"paths":["/"]}"#;
    AcceptConfig::from_json(format!("{{{fixed}{extra}}}").as_bytes()).unwrap()
}

pub fn ask(config: &AcceptConfig, lines: &[(&str, &[u8])]) -> Result<Admitted, Refusal> {
    let mut fields = vec![
        (":method".to_owned(), b"POST".to_vec()),
        (":path".to_owned(), b"/orders".to_vec()),
    ];
    let lines = lines.iter();
    fields.extend(lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())));
    let head = RequestHead {
        fields,
        has_route: true,
        ..RequestHead::default()
    };
    admit(head, config, NOW)
}

/// Returns the status, the header that is named and the detail.
pub fn refused(config: &AcceptConfig, lines: &[(&str, &[u8])]) -> (u16, String, String) {
    let refusal = ask(config, lines).unwrap_err();
    let response = refusal.response(Duration::ZERO);
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
    (response.status, text("header"), text("detail"))
}
