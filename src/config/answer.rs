//! The configuration of the answer role.

use super::Document;
use super::reader::Section;
use crate::answer::AnswerConfig;
use crate::limits::{EXCERPT_BYTES_MAX, REPLY_BODY_BYTES_MAX};

impl Document for AnswerConfig {
    fn read(root: &mut Section<'_>) -> Self {
        root.section("answers", |answers| Self {
            body_bytes_max: answers.count(
                "bodyBytes",
                EXCERPT_BYTES_MAX as u64..=REPLY_BODY_BYTES_MAX as u64,
                65_536,
                "bytes",
                "Bytes of an answer's content that are held for the drain; the rest is cut off \
                 and its target's answer ended. No less than the drain's dispatch.replyBytes, \
                 which cuts for replies, and well below the listener's \
                 per_connection_buffer_limit_bytes.",
            ),
        })
    }
}
