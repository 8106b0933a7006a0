//! Reports all mistakes of a configuration file at once, each with its path.
//!
//! The types of the file (`cli`) define what is valid, but they stop at the first mistake. This
//! module makes the list complete.

use serde_json::{Map, Value};

use crate::http::parse_host;
use crate::limits::{CONNECTIONS_MAX_BOUNDS, IDLE_TIMEOUT_SECONDS_BOUNDS, SEGMENT_BYTES_BOUNDS};

/// What a key accepts.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Number(u64, u64),
    Address,
    OneOf(&'static [&'static str]),
    Streams,
    Hosts,
    Kafka,
    /// Checked where it is used.
    Other,
}

const KEYS: &[(&str, Kind)] = &[
    ("listen", Kind::Address),
    ("data", Kind::Text),
    ("engine", Kind::OneOf(&["embedded", "kafka"])),
    ("kafka", Kind::Kafka),
    ("streams", Kind::Streams),
    ("auth", Kind::Other),
    ("faults", Kind::Flag),
    ("throttle", Kind::OneOf(&["off", "oci"])),
    ("allowRemote", Kind::Flag),
    ("externalUrl", Kind::Text),
    ("hosts", Kind::Hosts),
    (
        "connectionsMax",
        Kind::Number(
            *CONNECTIONS_MAX_BOUNDS.start(),
            *CONNECTIONS_MAX_BOUNDS.end(),
        ),
    ),
    (
        "idleTimeoutInSeconds",
        Kind::Number(
            *IDLE_TIMEOUT_SECONDS_BOUNDS.start(),
            *IDLE_TIMEOUT_SECONDS_BOUNDS.end(),
        ),
    ),
    ("logFormat", Kind::OneOf(&["text", "json"])),
    ("logLevel", Kind::OneOf(&["error", "warn", "info", "debug"])),
    ("dataBytesMax", Kind::Number(1, u64::MAX)),
    (
        "segmentBytes",
        Kind::Number(*SEGMENT_BYTES_BOUNDS.start(), *SEGMENT_BYTES_BOUNDS.end()),
    ),
];

const KAFKA_KEYS: &[(&str, Kind)] = &[
    ("brokers", Kind::Text),
    ("topicPrefix", Kind::Text),
    ("replicationFactor", Kind::Number(1, 9)),
    ("minInsyncReplicas", Kind::Number(1, 9)),
    ("flushMessages", Kind::Flag),
    ("internalListen", Kind::Address),
    ("internalUrl", Kind::Text),
    ("secretFile", Kind::Text),
    ("tls", Kind::Flag),
    ("caFile", Kind::Text),
    ("certificateFile", Kind::Text),
    ("keyFile", Kind::Text),
    ("user", Kind::Text),
    ("passwordFile", Kind::Text),
];

const STREAM_KEYS: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("partitions", Kind::Number(1, 1_000)),
    ("retentionInHours", Kind::Number(24, 168)),
    ("retentionSecondsForTests", Kind::Number(1, 604_800)),
];

/// Returns everything that is wrong with the file; empty if nothing is.
pub(crate) fn mistakes(file: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match file.as_object() {
        Some(members) => check_members("", members, KEYS, &mut found),
        None => found.push("the file must be a JSON object: {\"data\": \"...\"}".to_owned()),
    }
    found
}

fn check_members(
    path: &str,
    members: &Map<String, Value>,
    keys: &[(&str, Kind)],
    found: &mut Vec<String>,
) {
    for (name, value) in members {
        let path = format!("{path}{name}");
        match keys.iter().find(|(key, _)| key == name) {
            Some((_, kind)) => check(&path, *kind, value, found),
            None => {
                let known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
                found.push(format!(
                    "{path}: unknown; the keys are {}",
                    known.join(", ")
                ));
            }
        }
    }
}

fn check(path: &str, kind: Kind, value: &Value, found: &mut Vec<String>) {
    let wanted = match kind {
        Kind::Other => return,
        Kind::Text => (!value.is_string()).then(|| "a text".to_owned()),
        Kind::Flag => (!value.is_boolean()).then(|| "true or false".to_owned()),
        Kind::Number(least, most) => {
            let fits = value.as_u64().is_some_and(|n| (least..=most).contains(&n));
            (!fits).then(|| format!("a whole number between {least} and {most}"))
        }
        Kind::Address => {
            let parsed = value.as_str().map(str::parse::<std::net::SocketAddr>);
            let fits = matches!(parsed, Some(Ok(_)));
            (!fits).then(|| "an address and a port, such as \"127.0.0.1:8090\"".to_owned())
        }
        Kind::OneOf(words) => {
            let fits = value.as_str().is_some_and(|word| words.contains(&word));
            let listed = || format!("one of \"{}\"", words.join("\", \""));
            (!fits).then(listed)
        }
        Kind::Streams => match value.as_array() {
            Some(streams) => return check_streams(path, streams, found),
            None => Some("a list of streams: [{\"name\": \"calls\"}]".to_owned()),
        },
        Kind::Kafka => match value.as_object() {
            Some(members) => return check_members(&format!("{path}."), members, KAFKA_KEYS, found),
            None => Some("an object: {\"brokers\": \"HOST:PORT\"}".to_owned()),
        },
        Kind::Hosts => match value.as_array() {
            Some(hosts) => return check_hosts(path, hosts, found),
            None => Some("a list of hosts: [\"stream.example\"]".to_owned()),
        },
    };
    if let Some(wanted) = wanted {
        found.push(format!("{path}: must be {wanted}, not {value}"));
    }
}

fn check_streams(path: &str, streams: &[Value], found: &mut Vec<String>) {
    for (place, stream) in streams.iter().enumerate() {
        let path = format!("{path}[{place}]");
        let Some(members) = stream.as_object() else {
            found.push(format!(
                "{path}: must be an object with a name, not {stream}"
            ));
            continue;
        };
        if !members.contains_key("name") {
            found.push(format!("{path}.name: is missing"));
        }
        check_members(&format!("{path}."), members, STREAM_KEYS, found);
    }
}

fn check_hosts(path: &str, hosts: &[Value], found: &mut Vec<String>) {
    for (place, host) in hosts.iter().enumerate() {
        let parsed = host.as_str().map(parse_host);
        match parsed.unwrap_or_else(|| Err(format!("must be a text, not {host}"))) {
            Ok(_) => {}
            Err(problem) => found.push(format!("{path}[{place}]: {problem}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::mistakes;

    #[test]
    fn all_mistakes_are_found_with_their_paths() {
        let file = json!({
            "listen": "nowhere", "dataa": 1, "allowRemote": "yes", "dataBytesMax": -1,
            "throttle": "OCI", "logLevel": "trace", "hosts": ["a", "b:80", 7],
            "connectionsMax": 1, "idleTimeoutInSeconds": 0, "engine": "Kafka",
            "kafka": { "brokers": 7, "replicationFactor": 0, "password": "p" },
            "streams": [{ "name": "a" }, { "partitions": 0, "retentionInHours": 1 }, 7],
        });
        let found = mistakes(&file);
        let mut paths: Vec<&str> = found
            .iter()
            .filter_map(|text| Some(text.split_once(':')?.0))
            .collect();
        paths.sort_unstable();
        let expected = [
            "allowRemote",
            "connectionsMax",
            "dataBytesMax",
            "dataa",
            "engine",
            "hosts[1]",
            "hosts[2]",
            "idleTimeoutInSeconds",
            "kafka.brokers",
            "kafka.password",
            "kafka.replicationFactor",
            "listen",
            "logLevel",
            "streams[1].name",
            "streams[1].partitions",
            "streams[1].retentionInHours",
            "streams[2]",
            "throttle",
        ];
        assert_eq!(paths, expected, "{found:?}");
    }

    #[test]
    fn a_right_file_has_none() {
        let stream = json!({ "name": "a", "partitions": 4, "retentionInHours": 168 });
        let file = json!({ "listen": "127.0.0.1:0", "data": "d", "streams": [stream] });
        assert_eq!(mistakes(&file), Vec::<String>::new());
        assert_eq!(mistakes(&json!([])).len(), 1);
    }
}
