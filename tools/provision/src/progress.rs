//! Prints progress on standard error, so that standard output stays for results.

use std::time::Instant;

/// Prints that something begins or has happened.
pub fn say(text: &str) {
    eprintln!("  {text}");
}

/// Prints what is being done and, at the end, how long it took.
///
/// # Errors
/// Those of `work`.
pub fn timed<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    eprintln!("  {what} …");
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f32();
    let word = if result.is_ok() { "done" } else { "failed" };
    eprintln!("  {what}: {word} in {seconds:.1} s");
    result
}
