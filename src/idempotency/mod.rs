//! Idempotency keys: the same key with the same request gets the first call's `202` again.
//!
//! The workers of one Envoy process share what is known of keys in the host's shared data, which
//! can neither list nor forget its entries. So the table has a fixed number of *slots*, each with
//! room for a few keys, and a key's hash selects its slot. A slot is read, changed, and written
//! back only if nobody else has written it meanwhile.

pub mod fingerprint;
pub mod key;
pub mod slot;

pub use fingerprint::{Asked, Fingerprint};
pub use key::{KeyHash, KeyHolder};
pub use slot::{Claim, KEYS_PER_SLOT, Slot};
