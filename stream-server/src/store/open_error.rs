//! Why a data folder cannot be used.

use std::path::Path;

/// Why a data folder cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error(
        "the data folder {0} is in use by another stream-server. \
         Stop that one, or give this one a folder of its own with --data"
    )]
    InUse(String),
    /// The operating system refuses.
    #[error(
        "cannot {what} in the data folder {folder}: {error}. Make the folder readable and \
         writable for this user, or name another one with --data"
    )]
    System {
        /// The folder.
        folder: String,
        /// The operation that failed.
        what: &'static str,
        /// The system's words.
        error: String,
    },
    /// Messages that were acknowledged cannot be read.
    #[error(
        "the file {file} in the data folder {folder} cannot be used: {problem}. Restore the \
         folder from a backup, or name another one with --data; nothing in it was changed"
    )]
    Log {
        /// The folder.
        folder: String,
        /// The file, below the folder.
        file: String,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// The database is not readable, or not the server's.
    #[error(
        "the database stream.db in the data folder {folder} cannot be used: {problem}. Restore \
         the folder from a backup, or name another one with --data; nothing in it was changed"
    )]
    Database {
        /// The folder.
        folder: String,
        /// What is wrong.
        problem: String,
    },
}

impl OpenError {
    pub(super) fn system(folder: &Path, what: &'static str, error: &std::io::Error) -> Self {
        Self::System {
            folder: folder.display().to_string(),
            what,
            error: error.to_string(),
        }
    }

    /// Returns the error for what SQLite says: it is the system's fault if reading or writing
    /// failed, else the file's.
    pub(super) fn sqlite(folder: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure,
        };
        let system = [
            CannotOpen,
            DiskFull,
            PermissionDenied,
            ReadOnly,
            SystemIoFailure,
        ];
        match error.sqlite_error_code() {
            Some(code) if system.contains(&code) => Self::System {
                folder: folder.display().to_string(),
                what: "use the database stream.db",
                error: error.to_string(),
            },
            Some(_) | None => Self::database(folder, error),
        }
    }

    pub(super) fn log(folder: &Path, file: &Path, problem: impl ToString) -> Self {
        let below = file.strip_prefix(folder).unwrap_or(file);
        Self::Log {
            folder: folder.display().to_string(),
            file: below.display().to_string(),
            problem: problem.to_string(),
        }
    }

    pub(super) fn database(folder: &Path, problem: impl ToString) -> Self {
        Self::Database {
            folder: folder.display().to_string(),
            problem: problem.to_string(),
        }
    }
}
