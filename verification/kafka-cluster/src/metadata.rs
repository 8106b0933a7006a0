//! Asks a broker which brokers it knows: Kafka's `Metadata` request in its version 1, by hand, so
//! that this library needs no client.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const METADATA: u16 = 3;
const VERSION: u16 = 1;
/// The number that the answer repeats.
const CORRELATION: u32 = 7;
/// Longest time that one step of the exchange takes.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read at most: it has no topics.
const ANSWER_BYTES_MAX: usize = 65_536;

/// Returns how many live brokers the broker on this port knows, itself among them.
///
/// # Errors
/// When it doesn't answer, or not like Kafka.
pub fn brokers_known_to(port: u16) -> io::Result<u32> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    count(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    // No client's name, and no topics.
    body.extend((-1_i16).to_be_bytes());
    body.extend(0_u32.to_be_bytes());
    let length = u32::try_from(body.len()).unwrap_or(0);
    [length.to_be_bytes().to_vec(), body].concat()
}

/// Returns the number of brokers in an answer.
fn count(answer: &[u8]) -> Option<u32> {
    let (correlation, rest) = answer.split_first_chunk()?;
    let (count, _) = rest.split_first_chunk()?;
    (u32::from_be_bytes(*correlation) == CORRELATION).then(|| u32::from_be_bytes(*count))
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_number_of_brokers_is_read() {
        assert_eq!(count(&[0, 0, 0, 7, 0, 0, 0, 3, 1]), Some(3));
        assert_eq!(count(&[0, 0, 0, 8, 0, 0, 0, 3, 1]), None);
        assert_eq!(count(&[0, 0, 0, 7, 0]), None);
    }
}
