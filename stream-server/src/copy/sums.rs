//! What tells whether two partitions have the same messages.

use sha2::{Digest as _, Sha256};

/// Count, bytes and digest of messages, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) count: u64,
    /// Of keys and values.
    pub(super) bytes: u64,
    hash: Sha256,
}

impl Sums {
    pub(super) fn add(&mut self, key: Option<&[u8]>, value: &[u8]) {
        let long = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let key_bytes = key.map_or(0, long);
        self.count = self.count.saturating_add(1);
        let bytes = key_bytes.saturating_add(long(value));
        self.bytes = self.bytes.saturating_add(bytes);
        // With lengths, so that no two lists of messages have the same bytes.
        self.hash.update([u8::from(key.is_some())]);
        self.hash.update(key_bytes.to_be_bytes());
        self.hash.update(long(value).to_be_bytes());
        self.hash.update(key.unwrap_or_default());
        self.hash.update(value);
    }

    /// Returns SHA-256 as hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        let digest = self.hash.clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (self.count, self.bytes) == (other.count, other.bytes) && self.digest() == other.digest()
    }
}

/// A message in 16 bytes.
pub(super) fn fingerprint(key: Option<&[u8]>, value: &[u8]) -> [u8; 16] {
    let mut one = Sums::default();
    one.add(key, value);
    let digest = one.hash.finalize();
    let mut print = [0; 16];
    print
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    print
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_messages_have_another_digest() {
        let of = |messages: &[(Option<&[u8]>, &[u8])]| {
            let mut sums = Sums::default();
            messages
                .iter()
                .for_each(|(key, value)| sums.add(*key, value));
            sums
        };
        let one = of(&[(Some(b"a"), b"bc"), (None, b"d")]);
        assert!(one.is_same_as(&of(&[(Some(b"a"), b"bc"), (None, b"d")])));
        for other in [
            of(&[(Some(b"ab"), b"c"), (None, b"d")]),
            of(&[(Some(b"a"), b"bc"), (Some(b""), b"d")]),
            of(&[(None, b"d"), (Some(b"a"), b"bc")]),
            of(&[(Some(b"a"), b"bc")]),
        ] {
            assert!(!one.is_same_as(&other));
        }
    }
}
