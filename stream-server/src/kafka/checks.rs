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

/// Bytes that Kafka's own frame of a largest message takes beside it.
const FRAME_BYTES: usize = 1_024;

impl Findings {
    /// Looks at the topic of a stream with so many partitions; `retained` says whether Kafka may
    /// remove old records of it.
    pub(crate) fn look(
        &mut self,
        topic: &str,
        facts: &TopicFacts,
        partitions: u32,
        setting: &KafkaSetting,
    ) {
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
        self.warn(topic, facts, partitions, setting);
    }

    fn warn(&mut self, topic: &str, facts: &TopicFacts, partitions: u32, setting: &KafkaSetting) {
        let mut warn = |problem: String| self.warnings.push(format!("{topic}: {problem}"));
        let bytes_max = facts.settings.get("max.message.bytes");
        let bytes_max = bytes_max.and_then(|bytes| bytes.parse::<usize>().ok());
        let needed = VALUE_BYTES_MAX.saturating_add(FRAME_BYTES);
        if let Some(bytes_max) = bytes_max.filter(|bytes_max| *bytes_max < needed) {
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
        if usize::from(setting.min_in_sync) >= facts.replicas && facts.replicas > 1 {
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

    const SAFE: [(&str, &str); 5] = [
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("max.message.bytes", "2097152"),
    ];

    fn look(facts: &TopicFacts) -> Findings {
        let mut findings = Findings::default();
        findings.look("sluice.calls", facts, 4, &KafkaSetting::local("b:1"));
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
        assert_eq!(findings.warnings.len(), 2, "{findings:?}");
        let strict = KafkaSetting {
            min_in_sync: 3,
            ..KafkaSetting::local("b:1")
        };
        let mut findings = Findings::default();
        findings.look("t", &facts, 5, &strict);
        assert_eq!(findings.warnings.len(), 2, "{findings:?}");
    }
}
