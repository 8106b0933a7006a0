//! Where a message of HTTP/1.1 begins and ends (RFC 9112), by `httparse`.

use std::io::{self, Error, ErrorKind};

use httparse::{EMPTY_HEADER, Header, Status};

/// The kind of message, which decides how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// A response.
    Response,
    /// A response to `HEAD`, which has no content.
    ResponseToHead,
}

/// More fields than any message here has.
const FIELDS_MAX: usize = 65_536;

/// The first line and the field lines.
#[derive(Debug)]
pub struct Head<'a> {
    /// The first line, such as `GET / HTTP/1.1`.
    pub start: &'a [u8],
    /// The field lines in their order.
    pub fields: Vec<Header<'a>>,
    /// How many bytes the head has, with the empty line.
    pub length: usize,
}

impl<'a> Head<'a> {
    fn read(kind: Kind, bytes: &'a [u8]) -> io::Result<Option<Self>> {
        let parsed = with_room(|fields| match kind {
            Kind::Request => {
                let mut head = httparse::Request::new(fields);
                let status = head.parse(bytes)?;
                Ok((status, head.headers.len()))
            }
            Kind::Response | Kind::ResponseToHead => {
                let mut head = httparse::Response::new(fields);
                let status = head.parse(bytes)?;
                Ok((status, head.headers.len()))
            }
        })?;
        Ok(parsed.map(|(length, fields)| {
            let mut lines = bytes
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::trim_ascii_end);
            let start = lines.find(|line| !line.is_empty());
            Self {
                start: start.unwrap_or_default(),
                fields,
                length,
            }
        }))
    }

    /// Returns the first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let mut fields = self.fields.iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(found.value)
    }

    /// Returns the `index`th word of the first line.
    #[must_use]
    pub fn word(&self, index: usize) -> Option<&'a str> {
        let word = self.start.split(|byte| *byte == b' ').nth(index)?;
        std::str::from_utf8(word).ok()
    }

    /// Returns the status of a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.word(1)?.parse().ok()
    }

    /// Returns how long the content is; `None` if it ends with the connection.
    fn content(&self, kind: Kind) -> io::Result<Option<Content>> {
        let status = self.status().filter(|_| kind != Kind::Request);
        if kind == Kind::ResponseToHead || matches!(status, Some(100..=199 | 204 | 304)) {
            return Ok(Some(Content::Length(0)));
        }
        let coding = self.field("transfer-encoding").unwrap_or_default();
        if coding.eq_ignore_ascii_case(b"chunked") {
            return Ok(Some(Content::Chunks));
        }
        let Some(length) = self.field("content-length") else {
            return Ok((kind == Kind::Request).then_some(Content::Length(0)));
        };
        let length = std::str::from_utf8(length).ok();
        let length = length.and_then(|length| length.trim().parse().ok());
        let length = length.ok_or_else(|| broken("content-length"))?;
        Ok(Some(Content::Length(length)))
    }
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Length(usize),
    Chunks,
}

/// A complete message.
#[derive(Debug)]
pub struct Whole<'a> {
    /// The head.
    pub head: Head<'a>,
    /// How many bytes the whole message has.
    pub length: usize,
    /// The content: one piece, or one for each chunk.
    pub content: Vec<&'a [u8]>,
    /// The field lines after the last chunk.
    pub trailers: Vec<Header<'a>>,
}

/// Returns the first message of a buffer, once all of it is there. `is_over` says that no more
/// bytes come.
///
/// # Errors
/// When it is not HTTP/1.1.
pub fn first(kind: Kind, received: &[u8], is_over: bool) -> io::Result<Option<Whole<'_>>> {
    let Some(head) = Head::read(kind, received)? else {
        return Ok(None);
    };
    let rest = received.get(head.length..).unwrap_or_default();
    let content = match head.content(kind)? {
        Some(Content::Chunks) => {
            let chunks = chunks(rest)?;
            return Ok(chunks.map(|(content, trailers, length)| Whole {
                length: head.length + length,
                head,
                content,
                trailers,
            }));
        }
        Some(Content::Length(length)) => rest.get(..length),
        None => Some(rest).filter(|_| is_over),
    };
    Ok(content.map(|content| Whole {
        length: head.length + content.len(),
        head,
        content: vec![content],
        trailers: Vec::new(),
    }))
}

type Chunks<'a> = (Vec<&'a [u8]>, Vec<Header<'a>>, usize);

/// Returns the chunks, the trailers, and how many bytes they have in all.
fn chunks(bytes: &[u8]) -> io::Result<Option<Chunks<'_>>> {
    let (mut at, mut content) = (0, Vec::new());
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let size = httparse::parse_chunk_size(rest).map_err(|_| broken("chunk"))?;
        let Status::Complete((start, size)) = size else {
            return Ok(None);
        };
        let data = rest.get(start..).unwrap_or_default();
        if size == 0 {
            let trailers = with_room(|fields| {
                let status = httparse::parse_headers(data, fields)?;
                Ok(match status {
                    Status::Complete((length, fields)) => (Status::Complete(length), fields.len()),
                    Status::Partial => (Status::Partial, 0),
                })
            })?;
            return Ok(trailers.map(|(length, trailers)| (content, trailers, at + start + length)));
        }
        let size = usize::try_from(size).map_err(|_| broken("chunk"))?;
        match (data.get(..size), data.get(size..size + 2)) {
            (Some(chunk), Some(b"\r\n")) => content.push(chunk),
            (_, None) => return Ok(None),
            (_, Some(_)) => return Err(broken("chunk")),
        }
        at += start + size + 2;
    }
}

/// Parses with as much room for fields as needed. Returns the length of what was parsed, and the
/// fields. `parse` returns how many fields there are.
fn with_room<'a>(
    mut parse: impl FnMut(&mut [Header<'a>]) -> Result<(Status<usize>, usize), httparse::Error>,
) -> io::Result<Option<(usize, Vec<Header<'a>>)>> {
    let mut room = 32;
    loop {
        let mut fields = vec![EMPTY_HEADER; room];
        match parse(&mut fields) {
            Ok((Status::Complete(length), count)) => {
                fields.truncate(count);
                return Ok(Some((length, fields)));
            }
            Ok((Status::Partial, _)) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) if room < FIELDS_MAX => room *= 4,
            Err(error) => return Err(broken(&error.to_string())),
        }
    }
}

fn broken(what: &str) -> Error {
    let text = format!("this is not HTTP/1.1: {what}");
    Error::new(ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_only_when_it_is_whole() {
        let text = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcREST";
        for end in 0..text.len() - 4 {
            let part = first(Kind::Request, &text[..end], false).unwrap();
            assert!(part.is_none(), "{end}");
        }
        let whole = first(Kind::Request, text, false).unwrap().unwrap();
        assert_eq!(whole.length, text.len() - 4);
        assert_eq!(whole.head.word(1), Some("/a"));
        assert_eq!(whole.content, [b"abc"]);
    }

    #[test]
    fn chunks_and_empty_bodies_end_too() {
        let text = b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n\
                     1\r\na\r\n2;x=y\r\nbc\r\n0\r\nSum: 1\r\n\r\n";
        for end in 0..text.len() {
            let part = first(Kind::Response, &text[..end], true).unwrap();
            assert!(part.is_none(), "{end}");
        }
        let whole = first(Kind::Response, text, false).unwrap().unwrap();
        assert_eq!(whole.length, text.len());
        assert_eq!(whole.head.status(), Some(202));
        assert_eq!(whole.content.concat(), b"abc");
        assert_eq!((whole.trailers.len(), whole.trailers[0].name), (1, "Sum"));
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        let whole = first(Kind::Response, empty, false).unwrap().unwrap();
        assert_eq!(whole.length, empty.len());
        assert!(first(Kind::Request, b"no HTTP\r\n\r\n", false).is_err());
    }

    #[test]
    fn content_without_a_length_ends_with_the_connection() {
        let text = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert!(first(Kind::Response, text, false).unwrap().is_none());
        let whole = first(Kind::Response, text, true).unwrap().unwrap();
        assert_eq!(
            (whole.length, whole.content),
            (text.len(), vec![&b"abc"[..]])
        );
        let whole = first(Kind::ResponseToHead, text, false).unwrap().unwrap();
        assert_eq!(whole.length, text.len() - 3);
    }

    #[test]
    fn field_names_have_no_case_and_many_have_room() {
        let mut text = b"GET / HTTP/1.1\r\nAsync-Call-Id: x \r\n".to_vec();
        text.extend(b"a: b\r\n".repeat(1_000));
        text.extend(b"\r\n");
        let whole = first(Kind::Request, &text, false).unwrap().unwrap();
        assert_eq!(whole.head.field("async-call-id"), Some(&b"x"[..]));
        assert_eq!(whole.head.field("other"), None);
        assert_eq!(whole.head.fields.len(), 1_001);
    }
}
