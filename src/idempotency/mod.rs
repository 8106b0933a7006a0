//! Idempotency keys: the same key with the same request gives the first call's `202` again.
//!
//! What is known of keys is shared by the workers of one Envoy process, in the host's shared data,
//! which can neither list nor forget its entries. So the table has a fixed number of *slots*, each
//! with room for a few keys, and a key's hash says which slot is its. A slot is read, changed, and
//! written back only if nobody else has written it meanwhile.

pub mod fingerprint;
pub mod key;
pub mod slot;

pub use fingerprint::{Asked, Fingerprint};
pub use key::{KeyHash, KeyHolder};
pub use slot::{Claim, KEYS_PER_SLOT, Slot};
