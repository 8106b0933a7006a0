//! Buffers for reading that are reused, because getting a new one from the system takes as long as
//! filling it from memory.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::limits::{READ_BUFFER_BYTES_MAX, READ_BUFFERS_MAX};

/// The buffers that are free.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadBuffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer in use. It is given back when it is dropped.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    /// How much of the buffer is used. Bytes behind that are left from earlier reads.
    length: usize,
    free: ReadBuffers,
}

impl ReadBuffers {
    /// Returns a buffer of this length. Its content is undefined.
    pub(super) fn take(&self, length: usize) -> ReadBuffer {
        let mut bytes = self.lock().pop().unwrap_or_default();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        let free = self.clone();
        ReadBuffer {
            bytes,
            length,
            free,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadBuffer {
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    /// Returns the buffer as shared bytes. It is given back when the last part of it is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.free.lock();
        if free.len() < READ_BUFFERS_MAX && bytes.len() <= READ_BUFFER_BYTES_MAX {
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_part_of_it_is_dropped() {
        let buffers = ReadBuffers::default();
        let mut buffer = buffers.take(5);
        buffer.bytes_mut().copy_from_slice(b"hello");
        let bytes = buffer.into_bytes();
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_eq!((&part[..], buffers.lock().len()), (&b"el"[..], 0));
        drop(part);
        assert_eq!(buffers.lock().len(), 1);
        // A shorter one shows nothing of what was there before; a longer one has room for
        // everything.
        assert_eq!(buffers.take(2).as_ref().len(), 2);
        assert_eq!(buffers.take(9).bytes_mut().len(), 9);
    }

    #[test]
    fn no_more_are_kept_than_may_be() {
        let buffers = ReadBuffers::default();
        let many: Vec<_> = (0..2 * READ_BUFFERS_MAX).map(|_| buffers.take(1)).collect();
        drop(many);
        assert_eq!(buffers.lock().len(), READ_BUFFERS_MAX);
        drop(buffers.take(READ_BUFFER_BYTES_MAX + 1));
        assert_eq!(buffers.lock().len(), READ_BUFFERS_MAX - 1);
    }
}
