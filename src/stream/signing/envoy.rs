//! The messages of Envoy's foreign function `sign`, in protobuf's encoding: each field is a number
//! with a wire type, then a length and as many bytes (type 2) or a number (type 0).

/// Field numbers and wire types, as they are written.
const HASH_FUNCTION: u8 = (1 << 3) | 2;
const PRIVATE_KEY: u8 = (2 << 3) | 2;
const TEXT: u8 = (3 << 3) | 2;
const RESULT: u8 = 1 << 3;
const SIGNATURE: u8 = (2 << 3) | 2;
const ERROR: u8 = (3 << 3) | 2;

/// A `SignArguments`: sign `text` by the key in PKCS #8 DER, with SHA-256.
#[must_use]
pub fn write_arguments(der: &[u8], text: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(der.len().saturating_add(text.len()).saturating_add(32));
    for (field, value) in [
        (HASH_FUNCTION, b"sha256".as_slice()),
        (PRIVATE_KEY, der),
        (TEXT, text),
    ] {
        message.push(field);
        write_length(&mut message, value.len());
        message.extend_from_slice(value);
    }
    message
}

/// Seven bits a byte, the lowest first; all bytes but the last have the highest bit.
fn write_length(message: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        message.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    message.push(u8::try_from(length).unwrap_or_default());
}

/// The signature in a `SignResult`.
///
/// # Errors
/// What the host says instead, or that it says nothing that can be read.
pub fn read_result(message: &[u8]) -> Result<Vec<u8>, String> {
    let (mut rest, mut is_signed) = (message, false);
    let (mut signature, mut error) = (&[][..], &[][..]);
    while let Some((field, after)) = rest.split_first() {
        let (number, after) = read_number(after).ok_or("an answer that is cut off")?;
        rest = match *field {
            RESULT => {
                is_signed = number == 1;
                after
            }
            SIGNATURE | ERROR => {
                let cut = after.split_at_checked(number);
                let (value, after) = cut.ok_or("an answer that is cut off")?;
                if *field == SIGNATURE {
                    signature = value;
                } else {
                    error = value;
                }
                after
            }
            _ => return Err("an answer with unknown fields".to_owned()),
        };
    }
    if is_signed && !signature.is_empty() {
        return Ok(signature.to_vec());
    }
    Err(String::from_utf8_lossy(error).into_owned())
}

fn read_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index.saturating_add(1)..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_fields_with_their_lengths() {
        let key = vec![7; 300];
        let message = write_arguments(&key, b"ab");
        let start = [b"\x0a\x06sha256\x12\xac\x02".as_slice(), &key].concat();
        assert_eq!(message, [start.as_slice(), b"\x1a\x02ab"].concat());
    }

    #[test]
    fn a_result_is_a_signature_or_an_error() {
        let signature = vec![9; 256];
        let good = [b"\x08\x01\x12\x80\x02".as_slice(), &signature].concat();
        assert_eq!(read_result(&good), Ok(signature));
        assert_eq!(read_result(b"\x1a\x03bad"), Err("bad".to_owned()));
        for broken in [
            b"".as_slice(),
            b"\x08",
            b"\x08\x01",
            b"\x12\x05ab",
            b"\x12\xff\xff\xff\xff\xff\x01",
            b"\x22\x00",
        ] {
            assert!(read_result(broken).is_err(), "{broken:?}");
        }
    }
}
