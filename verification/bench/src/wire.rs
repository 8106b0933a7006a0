//! As much of HTTP/1.1 as a load generator and its target need: where a message ends.

const HEAD_END: &[u8] = b"\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A whole message at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The first line and the headers.
    pub(crate) head: &'a [u8],
    /// How long head and body are together.
    pub(crate) length: usize,
}

/// The first message, once all of it is there.
pub(crate) fn first_message(buffer: &[u8]) -> Option<Message<'_>> {
    let body_start = find(buffer, HEAD_END)? + HEAD_END.len();
    let head = buffer.get(..body_start)?;
    let body = buffer.get(body_start..)?;
    let body_length = match header(head, b"content-length") {
        Some(value) => std::str::from_utf8(value).ok()?.parse().ok()?,
        None if header(head, b"transfer-encoding").is_some() => {
            find(body, LAST_CHUNK)? + LAST_CHUNK.len()
        }
        None => 0,
    };
    (body.len() >= body_length).then_some(Message {
        head,
        length: body_start + body_length,
    })
}

/// A header's value.
pub(crate) fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (found, value) = line.split_at_checked(colon)?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

/// The status of a response.
pub(crate) fn status(head: &[u8]) -> Option<u16> {
    let word = head.split(|byte| *byte == b' ').nth(1)?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The path of a request.
pub(crate) fn path(head: &[u8]) -> Option<&str> {
    let word = head.split(|byte| *byte == b' ').nth(1)?;
    std::str::from_utf8(word).ok()
}

fn find(buffer: &[u8], what: &[u8]) -> Option<usize> {
    buffer.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_only_when_it_is_whole() {
        let text = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcREST";
        for end in 0..text.len() - 4 {
            assert_eq!(first_message(&text[..end]), None, "{end}");
        }
        let message = first_message(text).unwrap();
        assert_eq!(message.length, text.len() - 4);
        assert_eq!(path(message.head), Some("/a"));
    }

    #[test]
    fn chunks_and_empty_bodies_end_too() {
        let text =
            b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        let message = first_message(text).unwrap();
        assert_eq!(message.length, text.len());
        assert_eq!(status(message.head), Some(202));
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(first_message(empty).unwrap().length, empty.len());
    }

    #[test]
    fn header_names_have_no_case() {
        let head = b"HTTP/1.1 202 Accepted\r\nAsync-Call-Id: x \r\n\r\n";
        assert_eq!(header(head, b"async-call-id"), Some(&b"x"[..]));
        assert_eq!(header(head, b"other"), None);
    }
}
