//! Commented configurations with every key there is, each with its default.

use std::fmt::{Debug, Write as _};

use serde_json::{Map, Value, json};
use sluice::accept::config::AcceptConfig;
use sluice::answer::AnswerConfig;
use sluice::config::{Absent, Document, KeyDocumentation, KeyKind};
use sluice::drain::config::DrainConfig;
use sluice_render::key_tree::{Content, Member, tree};

use super::{read, settle};

/// Columns of a line; words longer than that have their own.
const COLUMNS: usize = 100;

/// Returns the text for a key without a default.
fn example(path: &str) -> Value {
    let text = match path.trim_start_matches("$.") {
        "stream.cluster" => "stream",
        "stream.authority" => "cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com",
        "stream.streamId" => "ocid1.stream.oc1..calls",
        "deadLetters.streamId" => "ocid1.stream.oc1..calls-dead",
        "lanes[].streamId" => "ocid1.stream.oc1..calls-1s",
        "marks.pathPrefix" => "/async/",
        "options.retriesDefault" => return json!(20),
        "options.timeoutDefaultMs" => return json!(10_000),
        "callers.ownOrderKeys" => return json!(true),
        "callers.metadata.filter" => "envoy.filters.http.jwt_authn",
        "dispatch.cluster" => "dispatch",
        "dispatch.replyAuthority" => "gateway.example.com",
        "dispatch.httpsCluster" => "egress-https",
        "dispatch.httpCluster" => "egress-http",
        "stream.signing.keyId" => {
            "ocid1.tenancy.oc1..ours/ocid1.user.oc1..gateway/\
             20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
        }
        "stream.signing.tenancy" => "ocid1.tenancy.oc1..ours",
        "stream.signing.user" => "ocid1.user.oc1..gateway",
        "stream.signing.fingerprint" => "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34",
        "stream.signing.principal" => "instance",
        "stream.signing.authAuthority" => "auth.eu-frankfurt-1.oraclecloud.com",
        "targets.allow[].host" | "replies.allow[].host" => "*.example.com",
        "targets.allow[].secretsEnvironment" | "replies.allow[].secretsEnvironment" => {
            "SLUICE_WEBHOOK_SECRETS_PARTNER"
        }
        "limits.targets[].target" => "https://api.example.com",
        _ => panic!("{path} has no default: give an example of it"),
    };
    text.into()
}

/// Writes a document, line by line.
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        let indent = "  ".repeat(self.depth);
        writeln!(self.text, "{}", format!("{indent}{line}").trim_end()).unwrap();
    }

    fn comment(&mut self, words: &str) {
        let width = COLUMNS - 2 * self.depth;
        let mut line = "//".to_owned();
        for word in words.split(' ') {
            if line.len() + 1 + word.len() > width && line.len() > 2 {
                self.line(&line);
                line = "//".to_owned();
            }
            line = format!("{line} {word}");
        }
        self.line(&line);
    }

    fn key(&mut self, key: &KeyDocumentation) {
        self.comment(key.meaning);
        let absent = match &key.absent {
            Absent::Refused => "Required.",
            Absent::Unset => "Without it: nothing of this.",
            Absent::Default(_) => "This is the default.",
        };
        let absent = if matches!(key.kind, KeyKind::Objects { .. }) {
            "Without it: none. This is an example."
        } else {
            absent
        };
        let kind = key.kind.to_string();
        let (first, rest) = kind.split_at(1);
        self.comment(&format!("{}{rest}. {absent}", first.to_uppercase()));
    }

    fn members(&mut self, members: &[Member]) {
        // A comment is not a member, so the comma belongs to the last line that is not a comment.
        let last = members.iter().rposition(|member| !is_comment(member));
        self.depth += 1;
        for (index, member) in members.iter().enumerate() {
            let comma = if Some(index) < last { "," } else { "" };
            let name = json!(member.name);
            match &member.content {
                Content::Value(key) => {
                    self.key(key);
                    let (start, value) = match &key.absent {
                        Absent::Default(value) => ("", value.clone()),
                        Absent::Refused => ("", example(&key.path)),
                        Absent::Unset => ("// ", example(&key.path)),
                    };
                    self.line(&format!("{start}{name}: {value}{comma}"));
                }
                Content::Section(inner) => {
                    self.line(&format!("{name}: {{"));
                    self.members(inner);
                    self.line(&format!("}}{comma}"));
                }
                Content::List(key, inner) => {
                    self.key(key);
                    self.line(&format!("{name}: [{{"));
                    self.members(inner);
                    self.line(&format!("}}]{comma}"));
                }
            }
        }
        self.depth -= 1;
    }
}

fn is_comment(member: &Member) -> bool {
    matches!(&member.content, Content::Value(key) if key.absent == Absent::Unset)
}

fn reference<D: Document>(role: &str) -> String {
    let mut writer = Writer {
        text: String::new(),
        depth: 0,
    };
    writer.comment(&format!(
        "Every key of the {role} role, with its default or an example. Envoy takes no comments: \
         take them out, or better, keep only what differs from the defaults."
    ));
    writer.comment("Generated from src/config/: UPDATE_DOCUMENTS=1 cargo test --test documents");
    writer.line("{");
    writer.members(&tree(&D::keys()));
    writer.line("}");
    writer.text
}

/// Returns the document without whole lines of comments, which are the only ones there are.
fn without_comments(jsonc: &str) -> String {
    let lines = jsonc.lines();
    let lines: Vec<&str> = lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    lines.join("\n")
}

/// Returns what stands in the reference and is no default.
fn least(members: &[Member]) -> Value {
    let mut object = Map::new();
    for member in members {
        let value = match &member.content {
            Content::Value(key) if key.absent == Absent::Refused => example(&key.path),
            Content::Value(_) => continue,
            Content::Section(inner) => least(inner),
            Content::List(_, inner) => json!([least(inner)]),
        };
        object.insert(member.name.clone(), value);
    }
    object.into()
}

fn check<D: Document + PartialEq + Debug>(role: &str) {
    let path = format!("filter-config/{role}.reference.jsonc");
    settle(&path, &reference::<D>(role));
    let written = D::from_json(without_comments(&read(&path)).as_bytes()).unwrap();
    let least = least(&tree(&D::keys())).to_string();
    assert_eq!(written, D::from_json(least.as_bytes()).unwrap());
}

#[test]
fn the_commented_configurations_load_and_show_the_defaults() {
    check::<AcceptConfig>("accept");
    check::<DrainConfig>("drain");
    check::<AnswerConfig>("answer");
}
