//! What librdkafka's errors say about what was done.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::kafka::topic_log::LogError;

/// Returns what an error of anything but publishing says.
pub(super) fn failed(error: KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(code) => of_code(code),
        None => LogError::Refused(error.to_string()),
    }
}

/// Returns whether a batch of records is meant that librdkafka can't unpack, now or later.
pub(super) fn is_unreadable(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(Code::BadCompression | Code::BadMessage | Code::NotImplemented)
    )
}

/// Returns what an error of publishing says. Whatever isn't known to have been refused may still
/// be in the log, or come there later.
pub(super) fn unpublished(error: &KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(Code::QueueFull) => LogError::Unavailable("too much is waiting".to_owned()),
        Some(
            code @ (Code::MessageSizeTooLarge
            | Code::InvalidTopic
            | Code::InvalidRecord
            | Code::PolicyViolation
            | Code::UnknownPartition),
        ) => LogError::Refused(code.to_string()),
        Some(
            code @ (Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed),
        ) => LogError::Denied(code.to_string()),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => LogError::NoTopic,
        Some(code) => LogError::Unknown(code.to_string()),
        None => LogError::Unknown(error.to_string()),
    }
}

/// Returns what this code means for something that isn't publishing.
pub(super) fn of_code(code: Code) -> LogError {
    let text = code.to_string();
    #[expect(clippy::wildcard_enum_match_arm, reason = "librdkafka has 150 codes")]
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic => LogError::NoTopic,
        Code::TopicAlreadyExists => LogError::Exists,
        Code::OffsetOutOfRange | Code::AutoOffsetReset => LogError::OutOfRange,
        Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidConfig
        | Code::PolicyViolation
        | Code::InvalidArgument => LogError::Refused(text),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => LogError::Denied(text),
        _ => LogError::Unavailable(text),
    }
}
