//! A JSON document that is written piece by piece, so that it may be larger than memory.

use std::io::{self, Write};

use serde::Serialize;

use crate::text;

/// A JSON object that is being written.
pub struct Document<'a> {
    out: &'a mut dyn Write,
    comma: bool,
}

impl<'a> Document<'a> {
    /// Begins an object.
    ///
    /// # Errors
    /// If nobody reads the output. The same holds for the other methods.
    pub fn begin(out: &'a mut dyn Write) -> io::Result<Self> {
        out.write_all(b"{")?;
        Ok(Self { out, comma: false })
    }

    /// Writes a member.
    ///
    /// # Errors
    /// See [`Document::begin`].
    pub fn member(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.name(name)?;
        self.value(value)
    }

    /// Begins a member that is a list.
    ///
    /// # Errors
    /// See [`Document::begin`].
    pub fn begin_list(&mut self, name: &str) -> io::Result<()> {
        self.name(name)?;
        self.comma = false;
        self.out.write_all(b"[")
    }

    /// Writes an item of the list.
    ///
    /// # Errors
    /// See [`Document::begin`].
    pub fn item(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.next_line(b"  ")?;
        self.value(value)
    }

    /// Ends the list.
    ///
    /// # Errors
    /// See [`Document::begin`].
    pub fn end_list(&mut self) -> io::Result<()> {
        self.comma = true;
        self.out.write_all(b"]")
    }

    /// Ends the object.
    ///
    /// # Errors
    /// See [`Document::begin`].
    pub fn end(self) -> io::Result<()> {
        self.out.write_all(b"\n}\n")?;
        self.out.flush()
    }

    fn name(&mut self, name: &str) -> io::Result<()> {
        self.next_line(b" ")?;
        write!(self.out, "\"{name}\": ")
    }

    fn next_line(&mut self, indent: &[u8]) -> io::Result<()> {
        let comma = std::mem::replace(&mut self.comma, true);
        self.out.write_all(if comma { b",\n" } else { b"\n" })?;
        self.out.write_all(indent)
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_string(value)?;
        self.out.write_all(text::json(&json).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_json() {
        let mut out = Vec::new();
        let mut document = Document::begin(&mut out).unwrap();
        document.begin_list("empty").unwrap();
        document.end_list().unwrap();
        document.begin_list("list").unwrap();
        document.item(&1).unwrap();
        document.item(&"\u{9b}").unwrap();
        document.end_list().unwrap();
        document.member("count", &2).unwrap();
        document.end().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({ "empty": [], "list": [1, "\u{9b}"], "count": 2 });
        assert_eq!(value, expected);
        assert!(!String::from_utf8(out).unwrap().contains('\u{9b}'));
    }
}
