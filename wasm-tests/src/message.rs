//! HTTP/1.1 messages as they stand on the wire: nothing is merged, sorted, decoded or lower-cased.

use std::io::{self, BufRead, Error, ErrorKind, Read};

/// A field line: name and value, without the white space around the value.
pub type Field = (Vec<u8>, Vec<u8>);

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
    /// The first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// The first value of a field as text; empty if it isn't there.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.field(name).unwrap_or_default()).into_owned()
    }

    /// The `index`th word of the first line.
    #[must_use]
    pub fn word(&self, index: usize) -> String {
        let word = self.start.split(|byte| *byte == b' ').nth(index);
        String::from_utf8_lossy(word.unwrap_or_default()).into_owned()
    }

    /// Reads a request; `None` if the other side has closed the connection instead.
    ///
    /// # Errors
    /// When the connection breaks or what comes is no HTTP.
    pub fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(mut message) = Self::read_head(reader)? else {
            return Ok(None);
        };
        match message.content_length()? {
            _ if message.is_chunked() => message.read_chunks(reader)?,
            length => message.body = read_exactly(reader, length.unwrap_or(0))?,
        }
        Ok(Some(message))
    }

    /// Reads a response; one to `HEAD` has no content.
    ///
    /// # Errors
    /// When the connection breaks or what comes is no HTTP.
    pub fn read_response(reader: &mut impl BufRead, to_head: bool) -> io::Result<Self> {
        let head = Self::read_head(reader)?;
        let mut message = head.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        let status = message.word(1);
        if to_head || status.starts_with('1') || status == "204" || status == "304" {
            return Ok(message);
        }
        match message.content_length()? {
            _ if message.is_chunked() => message.read_chunks(reader)?,
            Some(length) => message.body = read_exactly(reader, length)?,
            None => {
                reader.read_to_end(&mut message.body)?;
            }
        }
        Ok(message)
    }

    fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(start) = read_line(reader)? else {
            return Ok(None);
        };
        let mut message = Self {
            start,
            ..Self::default()
        };
        message.fields = read_fields(reader)?;
        Ok(Some(message))
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"))
    }

    fn content_length(&self) -> io::Result<Option<usize>> {
        let length = self.field("content-length").map(|_| {
            let text = self.text("content-length");
            text.parse().map_err(|_| broken("content-length"))
        });
        length.transpose()
    }

    fn read_chunks(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        loop {
            let line = read_line(reader)?.ok_or_else(|| broken("chunk"))?;
            let size = String::from_utf8_lossy(&line).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| broken("chunk"))?;
            if size == 0 {
                self.trailers = read_fields(reader)?;
                return Ok(());
            }
            self.body.append(&mut read_exactly(reader, size)?);
            read_line(reader)?;
        }
    }
}

fn read_fields(reader: &mut impl BufRead) -> io::Result<Vec<Field>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or_else(|| broken("head"))?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or_else(|| broken("field"))?);
        fields.push((name.to_vec(), value[1..].trim_ascii().to_vec()));
    }
}

/// A line without its end; `None` at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(Some(text.to_vec())),
        None => Err(broken("line")),
    }
}

fn read_exactly(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn broken(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("this is no HTTP/1.1: {what}"),
    )
}
