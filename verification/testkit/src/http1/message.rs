//! A complete message.

use std::io;

use httparse::Header;
use serde_json::Value;

use super::framing::{self, Kind, Whole};
use crate::Field;

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line, such as `GET / HTTP/1.1`.
    pub start: Vec<u8>,
    /// The field lines in their order.
    pub fields: Vec<Field>,
    /// The content, with any chunks joined.
    pub body: Vec<u8>,
    /// The field lines after the last chunk.
    pub trailers: Vec<Field>,
}

impl Message {
    /// Returns the first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// Returns the first value of a field as text; empty if it isn't there.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.field(name).unwrap_or_default()).into_owned()
    }

    /// Returns the `index`th word of the first line.
    #[must_use]
    pub fn word(&self, index: usize) -> String {
        let word = self.start.split(|byte| *byte == b' ').nth(index);
        String::from_utf8_lossy(word.unwrap_or_default()).into_owned()
    }

    /// Takes the first message out of what was received, once all of it is there. `is_over` says
    /// that no more bytes come.
    ///
    /// # Errors
    /// When it is not HTTP/1.1.
    pub fn take(kind: Kind, received: &mut Vec<u8>, is_over: bool) -> io::Result<Option<Self>> {
        let Some(whole) = framing::first(kind, received, is_over)? else {
            return Ok(None);
        };
        let (message, length) = (Self::from(&whole), whole.length);
        received.drain(..length);
        Ok(Some(message))
    }
}

impl From<&Whole<'_>> for Message {
    fn from(whole: &Whole<'_>) -> Self {
        Self {
            start: whole.head.start.to_vec(),
            fields: owned(&whole.head.fields),
            body: whole.content.concat(),
            trailers: owned(&whole.trailers),
        }
    }
}

fn owned(fields: &[Header<'_>]) -> Vec<Field> {
    let fields = fields.iter();
    let owned = |field: &Header<'_>| (field.name.into(), field.value.trim_ascii().into());
    fields.map(owned).collect()
}

/// The bytes that have come on a connection, and whether it has ended.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) is_over: bool,
}

impl Received {
    /// Takes the first final response, and everything before it. A response to `HEAD` has no
    /// content. `None` means that more has to be read.
    pub(super) fn response(&mut self, to_head: bool) -> io::Result<Option<Response>> {
        let kind = match to_head {
            true => Kind::ResponseToHead,
            false => Kind::Response,
        };
        while let Some(message) = Message::take(kind, &mut self.bytes, self.is_over)? {
            let status = message.word(1).parse().unwrap_or(0);
            if !(100..200).contains(&status) || status == 101 {
                return Ok(Some(Response { status, message }));
            }
        }
        match self.is_over {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(None),
        }
    }
}

/// A final response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The whole response.
    pub message: Message,
}

impl Response {
    /// Returns the content as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let body = String::from_utf8_lossy(&self.message.body);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Panics if the status is another one.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.show());
        self
    }

    /// Returns the response as text, for messages of failed tests.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.message.start).into_owned();
        for (name, value) in &self.message.fields {
            let (name, value) = (name.escape_ascii(), value.escape_ascii());
            text.push_str(&format!("\n{name}: {value}"));
        }
        let body = self.message.body.escape_ascii();
        format!("{text}\n\n{body}")
    }
}
