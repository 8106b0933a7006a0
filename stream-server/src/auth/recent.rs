//! Recently verified signatures. A publisher uses one signature for all its PutMessages of some
//! seconds, because their bodies aren't signed. So RSA need not be computed for each.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use rsa::RsaPublicKey;
use rsa::traits::PublicKeyParts;
use sha2::{Digest as _, Sha256};

/// The number of remembered signatures. A publisher and a stream have one at a time.
const RECENT_COUNT_MAX: usize = 256;

type Mark = [u8; 32];

/// The latest [`RECENT_COUNT_MAX`] valid signatures.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<(BTreeSet<Mark>, VecDeque<Mark>)>);

impl Recent {
    /// Returns whether the signature with this hash is known to be valid, or `proves` to be.
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
        // Computed without the lock, so that others don't have to wait.
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
