//! How many files, and so connections, a process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process's limit, and so that of the programs that it starts, as far as it may, and
/// gives what it is then.
pub(crate) fn limit() -> usize {
    let mut limits = getrlimit(Resource::Nofile);
    if limits.current != limits.maximum {
        limits.current = limits.maximum;
        // Where the system refuses, the old limit counts, which is asked for below.
        let _refused = setrlimit(Resource::Nofile, limits);
    }
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}
