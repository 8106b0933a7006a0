//! Opens the folder: the lock, the schema, the checks, and what is loaded into memory.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::change;
use super::directory::LoadedStream;
use super::load::{check_whole, load_streams, log_record, note_log};
use super::open_error::OpenError;
use super::recover::{Recovered, recover};
use super::segment::log_folder;
use crate::limits::{READERS_COUNT, WAL_PAGES_MAX};
use crate::private;

/// Marks a database file as the server's ("SluS" in ASCII).
const APPLICATION_ID: i64 = 0x536c_7553;
/// The layout of the tables. A later layout refuses or converts earlier ones.
const SCHEMA_VERSION: i64 = 2;
/// Databases up to this size are checked page by page at each start (about a second).
const CHECK_BYTES_MAX: u64 = 268_435_456;
/// Statements that a connection keeps prepared: all that exist.
const STATEMENTS_COUNT_MAX: usize = 64;
/// SQLite's page size, the default since 2016. The bound of the file is counted in pages.
const PAGE_BYTES: u64 = 4_096;

const SCHEMA: &str = "
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE stream (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL,
    compartment_id TEXT,
    stream_pool_id TEXT,
    retention_hours INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
);
-- The files of the log, which have the messages.
CREATE TABLE segment (number INTEGER PRIMARY KEY);
CREATE TABLE partition (
    stream_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    -- What retention has removed: offsets below oldest; the time of the newest removed message.
    oldest INTEGER NOT NULL DEFAULT 0,
    last_time_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (stream_key, number)
) WITHOUT ROWID;
CREATE TABLE consumer_group (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_key INTEGER NOT NULL,
    name TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    UNIQUE (stream_key, name)
);
CREATE TABLE group_position (
    group_key INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    start INTEGER NOT NULL,
    committed INTEGER,
    PRIMARY KEY (group_key, partition)
) WITHOUT ROWID;
";

pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) readers: Vec<Connection>,
    pub(super) streams: Vec<LoadedStream>,
    pub(super) log: Recovered,
    pub(super) cursor_secret: [u8; 64],
    pub(super) lock: File,
}

pub(super) fn open(folder: &Path, bytes_max: Option<u64>) -> Result<Opened, OpenError> {
    private::create_folder(folder)
        .map_err(|error| OpenError::system(folder, "create the folder or work", &error))?;
    let lock = lock(folder)?;
    private::mend_data(folder, &log_folder(folder));
    let path = folder.join("stream.db");
    let is_new = std::fs::metadata(&path).map_or(0, |file| file.len()) == 0;
    if is_new && has_log(folder) {
        let problem = "it is missing, and the folder log/ has messages";
        return Err(OpenError::log(folder, &path, problem));
    }
    let small = std::fs::metadata(&path).map_or(0, |file| file.len()) <= CHECK_BYTES_MAX;
    let database = |error: rusqlite::Error| OpenError::sqlite(folder, &error);
    // SQLite gives its other files the same rights as this one.
    let file = private::options().append(true).create(true).open(&path);
    file.map_err(|error| OpenError::system(folder, "create the database stream.db", &error))?;
    let connection = Connection::open(&path).map_err(database)?;
    prepare(folder, &connection, small)?;
    change::create_table(&connection).map_err(database)?;
    if let Some(bytes) = bytes_max {
        let pages = i64::try_from(bytes / PAGE_BYTES)
            .unwrap_or(i64::MAX)
            .max(64);
        set(&connection, "max_page_count", pages).map_err(database)?;
    }
    let cursor_secret = cursor_secret(folder, &connection)?;
    let created = private::create_folder(&log_folder(folder));
    created.map_err(|error| OpenError::system(folder, "create the folder log/", &error))?;
    let record = log_record(&connection).map_err(database)?;
    let mut log = recover(folder, &record)?;
    let streams = load_streams(&connection, &mut log).map_err(database)?;
    check_whole(folder, &streams)?;
    let tidy = log.tidy();
    tidy.map_err(|error| OpenError::system(folder, "tidy the folder log/", &error))?;
    note_log(&connection, &log).map_err(database)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = |_| {
        let reader = Connection::open_with_flags(&path, flags)?;
        reader.set_prepared_statement_cache_capacity(STATEMENTS_COUNT_MAX);
        reader.busy_timeout(Duration::from_secs(10))?;
        Ok(reader)
    };
    let readers = (0..READERS_COUNT)
        .map(reader)
        .collect::<Result<_, _>>()
        .map_err(database)?;
    Ok(Opened {
        connection,
        readers,
        streams,
        log,
        cursor_secret,
        lock,
    })
}

/// Returns whether there are messages. If this can't be determined, there is no database either.
fn has_log(folder: &Path) -> bool {
    let files = std::fs::read_dir(log_folder(folder)).into_iter().flatten();
    files.count() > 0
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let file = private::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.map_err(|error| OpenError::system(folder, "create the lock file", &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(folder.display().to_string())),
        Err(TryLockError::Error(error)) => {
            Err(OpenError::system(folder, "lock the lock file", &error))
        }
    }
}

/// Checks that the database is the server's and undamaged, and creates the tables of a new one.
fn prepare(folder: &Path, db: &Connection, check_all: bool) -> Result<(), OpenError> {
    let database = |error: rusqlite::Error| OpenError::sqlite(folder, &error);
    db.set_prepared_statement_cache_capacity(STATEMENTS_COUNT_MAX);
    let empty = get(db, "page_count").map_err(database)? == 0;
    let ours = get(db, "application_id").map_err(database)? == APPLICATION_ID;
    let version = get(db, "user_version").map_err(database)?;
    if !empty && !ours {
        return Err(OpenError::database(folder, "it belongs to another program"));
    }
    if !empty && version != SCHEMA_VERSION {
        let problem = format!(
            "its layout is {version}, this program knows {SCHEMA_VERSION} and cannot convert others"
        );
        return Err(OpenError::database(folder, problem));
    }
    if !empty && check_all {
        let found: String = db
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(database)?;
        if found != "ok" {
            return Err(OpenError::database(
                folder,
                format!("it is damaged ({found})"),
            ));
        }
    }
    let tune = || {
        db.pragma_update(None, "journal_mode", "WAL")?;
        // FULL: each COMMIT is on the disk before it returns.
        db.pragma_update(None, "synchronous", "FULL")?;
        set(db, "wal_autocheckpoint", i64::from(WAL_PAGES_MAX))?;
        set(
            db,
            "journal_size_limit",
            i64::from(WAL_PAGES_MAX) * 4 * 4_096,
        )?;
        if empty {
            db.execute_batch(&format!(
                "BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID};
                 PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA} COMMIT;"
            ))?;
        }
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS group_use \
             (group_key INTEGER PRIMARY KEY, used_ms INTEGER NOT NULL)",
        )
    };
    tune().map_err(database)
}

fn get(db: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Sets a pragma that answers with its new value.
fn set(db: &Connection, pragma: &str, value: i64) -> rusqlite::Result<()> {
    db.pragma_update_and_check(None, pragma, value, |_| Ok(()))
}

/// Returns the key of cursors, which is made once for each folder.
fn cursor_secret(folder: &Path, db: &Connection) -> Result<[u8; 64], OpenError> {
    let database = |error: rusqlite::Error| OpenError::sqlite(folder, &error);
    let select = "SELECT value FROM setting WHERE name = 'cursor_secret'";
    let kept = db
        .query_row(select, [], |row| row.get::<_, [u8; 64]>(0))
        .optional();
    if let Some(secret) = kept.map_err(database)? {
        return Ok(secret);
    }
    let mut secret = [0; 64];
    getrandom::fill(&mut secret).map_err(|error| {
        OpenError::system(
            folder,
            "get random bytes",
            &std::io::Error::other(error.to_string()),
        )
    })?;
    let insert = "INSERT INTO setting (name, value) VALUES ('cursor_secret', ?1)";
    db.execute(insert, [&secret]).map_err(database)?;
    Ok(secret)
}
