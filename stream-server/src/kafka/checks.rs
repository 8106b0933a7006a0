//! What makes a topic unfit for a stream, found when a front starts.

use super::topic_log::TopicFacts;
use crate::limits::VALUE_BYTES_MAX;
use crate::settings::KafkaSetting;

/// What is wrong with topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// What would lose or falsify messages: the front doesn't start.
    pub(crate) refused: Vec<String>,
    /// What somebody should know.
    pub(crate) warnings: Vec<String>,
}

/// Bytes of a batch of records at most. Reads of a topic that takes larger ones would need more
/// memory than they are given.
pub(super) const BATCH_BYTES_MAX: usize = 16 * VALUE_BYTES_MAX;
/// Bytes of records that the producer sends to a partition together, at most, if there is more than
/// one. librdkafka doesn't ask how much a topic takes.
pub(super) const SENT_BYTES_MAX: usize = 1_000_000;
/// Bytes that Kafka's own frame of a largest message takes beside it.
const FRAME_BYTES: usize = 1_024;

impl Findings {
    /// Looks at a topic that should have so many partitions, and keep records for so long (in
    /// milliseconds; for ever if `None`).
    pub(crate) fn look(
        &mut self,
        topic: &str,
        facts: &TopicFacts,
        (partitions, retention_ms): (u32, Option<u64>),
        setting: &KafkaSetting,
    ) {
        self.look_at_retention(topic, facts, retention_ms);
        let text = |name: &str| facts.settings.get(name).map(String::as_str);
        let number = |name: &str| text(name)?.parse::<usize>().ok();
        let mut refuse = |problem: String| self.refused.push(format!("{topic}: {problem}"));
        if facts.replicas < usize::from(setting.replication) {
            refuse(format!(
                "has {} copies of a partition, not {}. Add replicas to the topic, or lower \
                 --replication-factor",
                facts.replicas, setting.replication
            ));
        }
        let in_sync = number("min.insync.replicas").unwrap_or(usize::MAX);
        if in_sync < usize::from(setting.min_in_sync) {
            refuse(format!(
                "min.insync.replicas is {in_sync}: what is acknowledged may be on so few brokers. \
                 Set it to {} or more, or lower --min-insync-replicas",
                setting.min_in_sync
            ));
        }
        if text("unclean.leader.election.enable") == Some("true") {
            refuse(
                "unclean.leader.election.enable is true: a broker without the latest messages \
                 could lead, and they would be lost. Set it to false"
                    .to_owned(),
            );
        }
        if let Some(kind) = text("message.timestamp.type").filter(|kind| *kind != "LogAppendTime") {
            refuse(format!(
                "message.timestamp.type is {kind}: whoever publishes could choose the times of \
                 messages. Set it to LogAppendTime"
            ));
        }
        if text("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
            refuse(
                "cleanup.policy is compact: Kafka would remove messages that have a later one of \
                 the same key. Set it to delete"
                    .to_owned(),
            );
        }
        if facts.partitions < partitions {
            refuse(format!(
                "has {} partitions, and the stream has {partitions}. Restore the topic",
                facts.partitions
            ));
        }
        if let Some(bytes) = number("max.message.bytes").filter(|one| *one > BATCH_BYTES_MAX) {
            refuse(format!(
                "max.message.bytes is {bytes}: this server can't read so large batches. Set it to \
                 {BATCH_BYTES_MAX} or less"
            ));
        }
        if let Some(bytes) = number("max.message.bytes").filter(|one| *one < SENT_BYTES_MAX) {
            refuse(format!(
                "max.message.bytes is {bytes}: messages that this server sends together, up to \
                 {SENT_BYTES_MAX} bytes, would fail together. Set it to {SENT_BYTES_MAX} or more"
            ));
        }
        self.warn(topic, facts, partitions);
    }

    /// Looks whether Kafka removes records before their time.
    fn look_at_retention(&mut self, topic: &str, facts: &TopicFacts, retention_ms: Option<u64>) {
        let number = |name: &str| facts.settings.get(name)?.parse::<i64>().ok();
        let mut refuse = |problem: String| self.refused.push(format!("{topic}: {problem}"));
        if let Some(bytes) = number("retention.bytes").filter(|bytes| *bytes >= 0) {
            refuse(format!(
                "retention.bytes is {bytes}: Kafka would remove records that nobody has read yet. \
                 Set it to -1"
            ));
        }
        let wanted = retention_ms.map_or(i64::MAX, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let kept = number("retention.ms").filter(|kept| (0..wanted).contains(kept));
        if let Some(kept) = kept {
            let least = retention_ms.map_or("-1".to_owned(), |ms| format!("{ms} or more, or -1"));
            refuse(format!(
                "retention.ms is {kept}: Kafka would remove records too early. Set it to {least}"
            ));
        }
    }

    /// Looks at what an internal topic needs beside.
    pub(crate) fn look_at_internal(&mut self, topic: &str, facts: &TopicFacts) {
        let flushed = facts.settings.get("flush.messages").map(String::as_str);
        if let Some(every) = flushed.filter(|every| *every != "1") {
            self.warnings.push(format!(
                "{topic}: flush.messages is {every}: if all brokers lose their power at once, the \
                 latest commits of groups may be lost. Set it to 1"
            ));
        }
    }

    fn warn(&mut self, topic: &str, facts: &TopicFacts, partitions: u32) {
        let mut warn = |problem: String| self.warnings.push(format!("{topic}: {problem}"));
        let number = |name: &str| facts.settings.get(name)?.parse::<usize>().ok();
        let needed = VALUE_BYTES_MAX.saturating_add(FRAME_BYTES);
        if let Some(bytes_max) = number("max.message.bytes").filter(|most| *most < needed) {
            warn(format!(
                "max.message.bytes is {bytes_max}: larger messages get an error. Set it to \
                 {needed} or more"
            ));
        }
        if facts.partitions > partitions {
            warn(format!(
                "has {} partitions, and the stream has {partitions}: nobody reads the others",
                facts.partitions
            ));
        }
        // The topic's own number decides, which may be more than is demanded here.
        let in_sync = number("min.insync.replicas").unwrap_or_default();
        if in_sync >= facts.replicas && facts.replicas > 1 {
            warn(format!(
                "needs all of its {} copies in sync: one broker that is down stops publishing",
                facts.replicas
            ));
        }
        if facts.replicas < 2 {
            warn("has one copy: a broker that loses its disk loses all messages".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(settings: &[(&str, &str)]) -> TopicFacts {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        TopicFacts {
            replicas: 3,
            partitions: 4,
            settings: settings.iter().map(text).collect(),
        }
    }

    const SAFE: [(&str, &str); 7] = [
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("max.message.bytes", "2097152"),
        ("retention.ms", "86400000"),
        ("retention.bytes", "-1"),
    ];

    fn look(facts: &TopicFacts) -> Findings {
        let mut findings = Findings::default();
        let wanted = (4, Some(86_400_000));
        findings.look("sluice.calls", facts, wanted, &KafkaSetting::local("b:1"));
        findings
    }

    #[test]
    fn a_safe_topic_has_no_findings() {
        assert_eq!(look(&facts(&SAFE)), Findings::default());
    }

    #[test]
    fn each_unsafe_setting_is_refused() {
        for (name, value) in [
            ("min.insync.replicas", "1"),
            ("unclean.leader.election.enable", "true"),
            ("message.timestamp.type", "CreateTime"),
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "3600000"),
            ("retention.bytes", "1073741824"),
            ("max.message.bytes", "104857600"),
            ("max.message.bytes", "999999"),
        ] {
            let changed = SAFE.map(|(own, safe)| (own, if own == name { value } else { safe }));
            let findings = look(&facts(&changed));
            assert_eq!(findings.refused.len(), 1, "{findings:?}");
            assert!(findings.refused[0].contains(name), "{findings:?}");
        }
        let few = TopicFacts {
            replicas: 1,
            partitions: 3,
            ..facts(&SAFE)
        };
        assert_eq!(look(&few).refused.len(), 2);
    }

    #[test]
    fn what_is_only_inconvenient_is_told() {
        let changed = SAFE.map(|(name, value)| match name {
            "max.message.bytes" => (name, "1000012"),
            "min.insync.replicas" => (name, "3"),
            _ => (name, value),
        });
        let mut facts = facts(&changed);
        facts.partitions = 5;
        let findings = look(&facts);
        assert_eq!(findings.refused, Vec::<String>::new());
        assert_eq!(findings.warnings.len(), 3, "{findings:?}");
        let strict = KafkaSetting {
            min_in_sync: 3,
            ..KafkaSetting::local("b:1")
        };
        let mut findings = Findings::default();
        findings.look("t", &facts, (5, Some(1)), &strict);
        assert_eq!(findings.warnings.len(), 2, "{findings:?}");
        assert_eq!(findings.refused, Vec::<String>::new());
        // For ever is longer than any time.
        findings.look("t", &facts, (5, None), &strict);
        assert_eq!(findings.refused.len(), 1, "{findings:?}");
    }
}
