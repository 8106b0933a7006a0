//! HTTP/2 as a hostile client speaks it: one request with any bytes in its fields.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(10);

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GO_AWAY: u8 = 7;

/// END_STREAM and END_HEADERS (RFC 9113 §6.2).
const WHOLE: u8 = 5;

/// How `:status: 202` is encoded (RFC 7541): a literal with the name of entry 8, and the value as
/// two bytes of the Huffman code.
const ACCEPTED: [u8; 4] = [0x48, 0x82, 0x10, 0x05];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was answered with 202.
    Accepted,
    /// It was answered otherwise.
    Answered,
    /// Its stream or its connection was ended.
    Broken,
}

/// Makes a request without content, pseudo header fields first, on a connection of its own.
///
/// # Errors
/// When the connection can't be made, or nothing comes back.
pub fn exchange(port: u16, fields: &[(&[u8], &[u8])]) -> io::Result<Ended> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that is never indexed, with a name of its own (RFC 7541 §6.2.3).
        block.push(0x10);
        for text in [name, value] {
            assert!(text.len() < 127, "lengths of one byte are enough here");
            block.push(u8::try_from(text.len()).unwrap_or(0));
            block.extend_from_slice(text);
        }
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(HEADERS, WHOLE, 1, &block));
    stream.write_all(&bytes)?;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return Ok(Ended::Broken);
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap_or(0)];
        stream.read_exact(&mut payload)?;
        match head[3] {
            HEADERS if payload.starts_with(&ACCEPTED) => return Ok(Ended::Accepted),
            HEADERS if is_interim(&payload) => {}
            HEADERS => return Ok(Ended::Answered),
            RESET | GO_AWAY => return Ok(Ended::Broken),
            _ => {}
        }
    }
}

/// Returns whether a status starts with `1`, whose Huffman code is 00001 (RFC 9110 §15.2): another
/// answer follows.
fn is_interim(payload: &[u8]) -> bool {
    matches!(payload, [0x48, _, status, ..] if status >> 3 == 1)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
