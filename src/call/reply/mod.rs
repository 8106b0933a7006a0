//! Step 3: somebody learns what became of the call.

pub mod receipt;
