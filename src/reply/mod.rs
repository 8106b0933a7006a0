//! Step 3: somebody learns what became of the call.
//!
//! | step | file |
//! |---|---|
//! | what became of it goes to the reply address, as a call of its own | [`result`] |
//! | and which is signed when it is dispatched | [`signature`] |

pub mod result;
pub mod signature;
