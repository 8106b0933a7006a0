//! Redis Streams, in RESP2 (Redis serialization protocol).

use std::borrow::Cow;

use anyhow::{Result, bail};

use super::talk::{Taken, Talk, line};

/// Two numbers of 64 bits with a hyphen between them are shorter.
const ID_BYTES_MAX: usize = 48;

/// XADD of one batch, pipelined.
pub(super) struct Add {
    request: Vec<u8>,
    batch: usize,
}

impl Add {
    pub(super) fn new(stream: &str, batch: usize, bytes: usize) -> Self {
        let value = "x".repeat(bytes);
        let request = command(&["XADD", stream, "*", "v", &value]).repeat(batch);
        Self { request, batch }
    }
}

impl Talk for Add {
    fn request(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.request)
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn take(&mut self, received: &[u8]) -> Result<Option<Taken>> {
        Ok(value(received, &mut None)?.map(|length| Taken {
            length,
            messages: 1,
        }))
    }
}

/// XREAD from the oldest entry on.
pub(super) struct Read {
    stream: String,
    after: String,
    batch: usize,
}

impl Read {
    pub(super) fn new(stream: &str, batch: usize) -> Self {
        Self {
            stream: stream.to_owned(),
            after: "0-0".to_owned(),
            batch,
        }
    }
}

impl Talk for Read {
    fn request(&self) -> Cow<'_, [u8]> {
        let count = self.batch.to_string();
        let words = ["XREAD", "COUNT", &count, "STREAMS"];
        command(&[&words[..], &[&self.stream, &self.after]].concat()).into()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn take(&mut self, received: &[u8]) -> Result<Option<Taken>> {
        let mut last_id = None;
        let length = value(received, &mut last_id)?;
        if let Some(id) = last_id.filter(|_| length.is_some()) {
            self.after = String::from_utf8(id)?;
        }
        let messages = self.batch;
        Ok(length.map(|length| Taken { length, messages }))
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    let words_text: String = words.iter().map(word).collect();
    format!("*{}\r\n{words_text}", words.len()).into_bytes()
}

/// Returns the length of the first value, once it is complete. `last_id` gets the last text that
/// looks like an entry's id.
fn value(bytes: &[u8], last_id: &mut Option<Vec<u8>>) -> Result<Option<usize>> {
    let Some((head, rest)) = line(bytes) else {
        return Ok(None);
    };
    let (kind, text) = head.split_at_checked(1).unwrap_or_default();
    let number = || -> Result<i64> { Ok(std::str::from_utf8(text.trim_ascii())?.parse()?) };
    match kind {
        b"+" | b":" => Ok(Some(head.len())),
        b"$" => {
            // Absent values have the length -1 and no end of their own.
            let Ok(length) = usize::try_from(number()?) else {
                return Ok(Some(head.len()));
            };
            if rest.len() < length + 2 {
                return Ok(None);
            }
            let content = rest.get(..length).unwrap_or_default();
            if length < ID_BYTES_MAX && content.contains(&b'-') {
                *last_id = Some(content.to_vec());
            }
            Ok(Some(head.len() + length + 2))
        }
        b"*" => {
            let mut length = head.len();
            for _ in 0..number()? {
                match value(bytes.get(length..).unwrap_or_default(), last_id)? {
                    Some(more) => length += more,
                    None => return Ok(None),
                }
            }
            Ok(Some(length))
        }
        _ => bail!("Redis: {}", String::from_utf8_lossy(head).trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_only_when_they_are_whole() {
        let text = b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\nx\r\n+OK\r\n";
        let whole = text.len() - 5;
        for end in 0..whole {
            assert_eq!(value(&text[..end], &mut None).unwrap(), None, "{end}");
        }
        let mut id = None;
        assert_eq!(value(text, &mut id).unwrap(), Some(whole));
        assert_eq!(id.as_deref(), Some(&b"1-0"[..]));
        assert!(value(b"-ERR no\r\n", &mut None).is_err());
    }
}
