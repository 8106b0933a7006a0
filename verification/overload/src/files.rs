//! How many files, and therefore connections, a process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process's limit, which also holds for the programs that it starts, as far as it may.
/// Returns the resulting limit.
pub(crate) fn limit() -> usize {
    let mut limits = getrlimit(Resource::Nofile);
    if limits.current != limits.maximum {
        limits.current = limits.maximum;
        // If the system refuses, the old limit stays, and is read below.
        let _refused = setrlimit(Resource::Nofile, limits);
    }
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}
