//! Which names streams can't have, because topics of Kafka and of the servers have them. Pure.

/// What names of internal topics begin with, behind the prefix of their service.
pub(super) const INTERNAL: &str = "__sluice.";
/// What names of topics begin with that are Kafka's own.
const RESERVED: &str = "__";
/// Bytes that Kafka allows a topic's name.
const TOPIC_BYTES_MAX: usize = 249;

/// Checks the name of a stream whose topic would have this one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(stream: &str, topic: &str) -> Result<(), String> {
    if stream.starts_with(RESERVED) || topic.starts_with(RESERVED) {
        return Err(format!(
            "names that begin with {RESERVED} are Kafka's and this server's own"
        ));
    }
    // Another service of the cluster may have a prefix that begins with this one's.
    if stream.contains(INTERNAL) {
        return Err(format!(
            "names that contain {INTERNAL} are this server's own"
        ));
    }
    if topic.len() > TOPIC_BYTES_MAX {
        return Err(format!(
            "Kafka allows topics names of {TOPIC_BYTES_MAX} bytes, and {topic} has {}",
            topic.len()
        ));
    }
    Ok(())
}

/// Returns whether Kafka takes two different names of topics for too alike: the names of its
/// metrics have `_` for `.`.
pub(super) fn collide(one: &str, other: &str) -> bool {
    let plain = |c: char| if c == '.' { '_' } else { c };
    one != other && one.chars().map(plain).eq(other.chars().map(plain))
}

#[cfg(test)]
mod tests {
    use super::{check, collide};

    #[test]
    fn names_of_internal_topics_are_nobodys() {
        for (prefix, name) in [
            ("sluice.", "__x"),
            ("sluice.", "test.__sluice.slots"),
            ("sluice.", "__sluice.members"),
            ("_", "_consumer_offsets"),
            ("", "__consumer_offsets"),
        ] {
            let topic = format!("{prefix}{name}");
            assert!(check(name, &topic).is_err(), "{topic}");
        }
        assert_eq!(check("calls", "sluice.calls"), Ok(()));
        assert_eq!(check("a__b", "sluice.a__b"), Ok(()));
        let long = "x".repeat(243);
        assert!(check(&long, &format!("sluice.{long}")).is_err());
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert!(collide("sluice.a.b", "sluice.a_b"));
        assert!(!collide("sluice.a.b", "sluice.a.b"));
        assert!(!collide("sluice.a.b", "sluice.a-b"));
    }
}
