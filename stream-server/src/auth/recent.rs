//! Signatures that were verified lately. A publisher uses one signature for all its PutMessages of
//! some seconds, because their bodies aren't signed; RSA need not be done for each.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use rsa::RsaPublicKey;
use rsa::traits::PublicKeyParts;
use sha2::{Digest as _, Sha256};

/// Signatures that are remembered: a publisher and a stream have one at a time.
const RECENT_COUNT_MAX: usize = 256;

type Mark = [u8; 32];

/// The latest [`RECENT_COUNT_MAX`] good signatures.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<(BTreeSet<Mark>, VecDeque<Mark>)>);

impl Recent {
    /// Whether the signature of what has this hash is known to be good, or proves to be.
    pub(super) fn contains_or(
        &self,
        key: &RsaPublicKey,
        hash: &[u8; 32],
        signature: &[u8],
        proves: impl FnOnce() -> bool,
    ) -> bool {
        let mark: Mark = Sha256::new()
            .chain_update(hash)
            .chain_update(Sha256::digest(key.n().to_bytes_be()))
            .chain_update(signature)
            .finalize()
            .into();
        if self.lock().0.contains(&mark) {
            return true;
        }
        // Without the lock: others needn't wait for this one's arithmetic.
        if !proves() {
            return false;
        }
        let mut recent = self.lock();
        let (known, order) = &mut *recent;
        if known.insert(mark) {
            order.push_back(mark);
        }
        while order.len() > RECENT_COUNT_MAX {
            if let Some(oldest) = order.pop_front() {
                known.remove(&oldest);
            }
        }
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (BTreeSet<Mark>, VecDeque<Mark>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
