//! The ids of topics, which differ if a topic is deleted and created anew. The client's Rust side
//! has no call for them, so this is the one place that calls librdkafka itself.
#![expect(unsafe_code, reason = "rdkafka has no safe call for the ids of topics")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new,
    rd_kafka_AdminOptions_set_request_timeout, rd_kafka_DescribeTopics,
    rd_kafka_DescribeTopics_result_t, rd_kafka_DescribeTopics_result_topics,
    rd_kafka_TopicCollection_destroy, rd_kafka_TopicCollection_of_topic_names,
    rd_kafka_TopicDescription_error, rd_kafka_TopicDescription_name, rd_kafka_TopicDescription_t,
    rd_kafka_TopicDescription_topic_id, rd_kafka_Uuid_base64str,
    rd_kafka_Uuid_least_significant_bits, rd_kafka_Uuid_most_significant_bits, rd_kafka_error_code,
    rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy, rd_kafka_event_error,
    rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll,
};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::types::{RDKafkaAdminOp, RDKafkaRespErr};

use super::PATIENCE;
use super::errors::of_code;
use super::told::Asking;
use crate::kafka::topic_log::LogError;

/// Returns the ids of those of the topics that exist. A cluster that has no ids gives none, with an
/// empty text in the place of each.
pub(super) fn ids(
    asking: &Asking,
    topics: &[String],
) -> Result<BTreeMap<String, String>, LogError> {
    let names = topics.iter().map(|topic| CString::new(topic.as_str()));
    let names: Result<Vec<CString>, _> = names.collect();
    let names = names.map_err(|error| LogError::Refused(error.to_string()))?;
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let timeout_ms = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
    let client = asking.client().native_ptr();
    // SAFETY: the client lives as long as `asking`. librdkafka copies the names during the call.
    // What is made here is destroyed here, once, and nothing of the event is kept: the event owns
    // the result and all that it points to. All calls take null where they return it.
    unsafe {
        let options =
            rd_kafka_AdminOptions_new(client, RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, null_mut(), 0);
        let collection =
            rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let queue = rd_kafka_queue_new(client);
        rd_kafka_DescribeTopics(client, collection, options, queue);
        // The answer comes in any case, an error when the time is over.
        let event = rd_kafka_queue_poll(queue, timeout_ms.saturating_mul(2));
        let result = match event.is_null() {
            true => Err(LogError::Unavailable("no answer".to_owned())),
            false => match checked(rd_kafka_event_error(event)) {
                Ok(()) => described(rd_kafka_event_DescribeTopics_result(event)),
                Err(error) => Err(error),
            },
        };
        if !event.is_null() {
            rd_kafka_event_destroy(event);
        }
        rd_kafka_queue_destroy(queue);
        rd_kafka_TopicCollection_destroy(collection);
        rd_kafka_AdminOptions_destroy(options);
        result
    }
}

fn checked(error: RDKafkaRespErr) -> Result<(), LogError> {
    match error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        true => Ok(()),
        false => Err(of_code(Code::from(error))),
    }
}

/// # Safety
/// The result must be null or one of an event that isn't destroyed.
unsafe fn described(
    result: *const rd_kafka_DescribeTopics_result_t,
) -> Result<BTreeMap<String, String>, LogError> {
    let mut count = 0;
    let topics = match result.is_null() {
        true => null_mut(),
        // SAFETY: the caller's promise.
        false => unsafe { rd_kafka_DescribeTopics_result_topics(result, &raw mut count) },
    };
    let count = if topics.is_null() { 0 } else { count };
    let mut ids = BTreeMap::new();
    for index in 0..count {
        // SAFETY: there are `count` of them.
        let topic = unsafe { topics.add(index).read() };
        // SAFETY: they live as long as the result.
        match unsafe { one(topic) } {
            Ok((name, id)) => drop(ids.insert(name, id)),
            Err(LogError::NoTopic) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ids)
}

/// # Safety
/// The topic must be one of a result that isn't destroyed.
unsafe fn one(topic: *const rd_kafka_TopicDescription_t) -> Result<(String, String), LogError> {
    // SAFETY: the caller's promise. Names and texts end with a zero and live as long as the topic.
    unsafe {
        let error = rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            checked(rd_kafka_error_code(error))?;
        }
        let name = rd_kafka_TopicDescription_name(topic);
        let id = rd_kafka_TopicDescription_topic_id(topic);
        let text = match id.is_null()
            || (rd_kafka_Uuid_most_significant_bits(id) == 0
                && rd_kafka_Uuid_least_significant_bits(id) == 0)
        {
            true => null(),
            false => rd_kafka_Uuid_base64str(id),
        };
        let owned = |text: *const std::ffi::c_char| match text.is_null() {
            true => String::new(),
            false => CStr::from_ptr(text).to_string_lossy().into_owned(),
        };
        Ok((owned(name), owned(text)))
    }
}
