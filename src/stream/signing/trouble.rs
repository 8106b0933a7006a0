//! What a refused signature may come from, in words that lead to the cause.

use std::time::Duration;

use super::Signer;
use crate::time::Wall;

/// OCI refuses a date that is further off than this.
const SKEW_MAX: Duration = Duration::from_secs(300);

/// Explains a 401. `theirs` is the date of the answer, `ours` the time at which it came.
#[must_use]
pub fn explain(signer: Option<&Signer>, theirs: Option<Wall>, ours: Wall) -> String {
    let Some(signer) = signer else {
        return "requests to the Stream are not signed: configure stream.signing".to_owned();
    };
    if let Some(trouble) = theirs.and_then(|theirs| clock_trouble(theirs, ours)) {
        return trouble;
    }
    let clock = match theirs {
        Some(_) => "The clocks agree, so check",
        None => "The answer has no date to compare clocks by; check this machine's clock, and",
    };
    let key = match signer.key_id().fingerprint() {
        Some(fingerprint) => format!(
            "that the API key {fingerprint} is still listed for the user of stream.signing, and \
             that user and tenancy are right"
        ),
        None => {
            "that the token of stream.signing has not expired and belongs to the key".to_owned()
        }
    };
    format!(
        "{clock} {key}, that stream.authority is the host of the stream's messages endpoint, and \
         that nothing between here and there rewrites host or path (signed as {})",
        signer.key_id()
    )
}

/// What is wrong with the clock, if it is so far off that OCI refuses signatures.
#[must_use]
pub fn clock_trouble(theirs: Wall, ours: Wall) -> Option<String> {
    let (off, how) = if ours > theirs {
        (ours.since(theirs), "ahead of")
    } else {
        (theirs.since(ours), "behind")
    };
    (off >= SKEW_MAX).then(|| {
        format!(
            "this machine's clock is {} s {how} the Stream's, and OCI refuses more than {} s: set \
             the clock",
            off.as_secs(),
            SKEW_MAX.as_secs()
        )
    })
}
