//! The database: making it, opening it, and refusing one that is not ours.

use super::BoxError;
use crate::catalog::CatalogError;
use crate::durable;
use crate::flock::{self, Sharing, Taken};
use crate::names::StateDir;
use planner::model::name::FleetName;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The format of the tables below and of the JSON in them. A newer one is refused.
const FORMAT: i64 = 1;

/// Marks the file as a catalog (`tied`), so that no other database is ever changed.
const APPLICATION: i64 = 0x7469_6564;

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(30);

const TABLES: &str = "
    CREATE TABLE fact (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE claim (
        slot TEXT PRIMARY KEY,
        claim TEXT NOT NULL CHECK (json_valid(claim))
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE app (
        app TEXT PRIMARY KEY,
        record TEXT NOT NULL CHECK (json_valid(record))
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE incarnation (
        slot TEXT NOT NULL,
        source TEXT NOT NULL,
        incarnation INTEGER NOT NULL CHECK (incarnation > 0),
        PRIMARY KEY (slot, source)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE loss (
        app TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX loss_at ON loss (at);
    CREATE TABLE run (
        id TEXT PRIMARY KEY,
        start TEXT NOT NULL CHECK (json_valid(start)),
        outcome TEXT CHECK (json_valid(outcome)),
        ended_at INTEGER,
        CHECK ((outcome IS NULL) = (ended_at IS NULL))
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE step (
        run TEXT NOT NULL REFERENCES run (id),
        number INTEGER NOT NULL,
        step TEXT NOT NULL,
        host TEXT NOT NULL,
        at INTEGER NOT NULL,
        outcome TEXT CHECK (json_valid(outcome)),
        PRIMARY KEY (run, number)
    ) STRICT, WITHOUT ROWID;
";

/// Opens the catalog to write; makes what is missing. Gives its identity too.
pub(super) fn open(
    state: &StateDir,
    fleet: &FleetName,
) -> Result<(Connection, String), CatalogError> {
    let path = state.catalog();
    let _alone = prepare(state, &path)?;
    let failed = |source: BoxError| store(format!("opening {}", path.display()), source);
    let mut connection = connect(&path).map_err(failed)?;
    // Waits for no reader, because only one process at a time gets here.
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))
        .map_err(|error| failed(error.into()))
        .and_then(|mode| match mode.as_str() {
            "wal" => Ok(()),
            _ => Err(failed(format!("its journal is in mode {mode}, not wal").into())),
        })?;
    let id = match judge(&connection, &path, fleet)? {
        Some(id) => id,
        None => make(&mut connection, fleet).map_err(failed)?,
    };
    Ok((connection, id))
}

/// Opens the catalog to read; nothing if there is none.
pub(super) fn open_read_only(
    state: &StateDir,
    fleet: &FleetName,
) -> Result<Option<(Connection, String)>, CatalogError> {
    let path = state.catalog();
    let failed = |source: BoxError| store(format!("opening {}", path.display()), source);
    match std::fs::metadata(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    }
    let connection = connect(&path).map_err(failed)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| failed(error.into()))?;
    // A file without tables: its making was interrupted, so nothing is remembered yet.
    let id = judge(&connection, &path, fleet)?;
    Ok(id.map(|id| (connection, id)))
}

/// Makes directories (mode 0700) and an empty file (mode 0600), whose mode SQLite gives to the
/// files it puts beside it. The lock keeps others from making the catalog at the same time.
fn prepare(state: &StateDir, path: &Path) -> Result<Taken, CatalogError> {
    let place = state.path().display();
    let failed = |source: io::Error| {
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "; run as its owner, or set `state_dir` in tiedown.toml to a directory that this \
                 user may write to"
            }
            _ => "",
        };
        store(format!("cannot use the state directory {place}{hint}"), source.into())
    };
    durable::make_dir(&state.locks()).map_err(failed)?;
    let deadline = Instant::now() + BUSY;
    let alone = flock::take(&state.catalog_lock(), Sharing::Exclusive, deadline)
        .and_then(|taken| taken.ok_or_else(|| io::Error::other("it is being opened elsewhere")))
        .map_err(failed)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => durable::sync_parent(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    Ok(alone)
}

/// Connects without making a file. A reader too asks for writing: the first one after a crash
/// has to put the database in order.
fn connect(path: &Path) -> Result<Connection, BoxError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // SQLite follows no link at all then, also none above the file: those are the user's.
    let path = std::fs::canonicalize(path)?;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// The catalog's identity if it is ours; nothing if the database is empty; else an error.
fn judge(
    connection: &Connection,
    path: &Path,
    fleet: &FleetName,
) -> Result<Option<String>, CatalogError> {
    let place = path.display().to_string();
    let failed =
        |error: rusqlite::Error| store(format!("opening {}", path.display()), error.into());
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id").map_err(failed)?;
    let format = number("PRAGMA user_version").map_err(failed)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    if (application, format, tables) == (0, 0, 0) {
        return Ok(None);
    }
    let refused = |found: String| Err(CatalogError::NotOurs { place: place.clone(), found });
    if application != APPLICATION {
        return refused("is a database of another program".to_owned());
    }
    if format != FORMAT {
        return refused(format!("has format {format}; this tiedown knows format {FORMAT}"));
    }
    match fact(connection, "fleet").map_err(failed)? {
        Some(found) if found == fleet.as_str() => {}
        Some(found) => return refused(format!("is of fleet {found}, not {fleet}")),
        None => return refused("does not say which fleet it is of".to_owned()),
    }
    match fact(connection, "id").map_err(failed)? {
        Some(id) => Ok(Some(id)),
        None => refused("has no identity".to_owned()),
    }
}

/// Makes the tables of a new catalog, all or none.
fn make(connection: &mut Connection, fleet: &FleetName) -> Result<String, BoxError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id = ulid::Ulid::generate().to_string();
    transaction.execute_batch(TABLES)?;
    for (name, value) in [("id", id.as_str()), ("fleet", fleet.as_str())] {
        transaction.execute("INSERT INTO fact (name, value) VALUES (?1, ?2)", [name, value])?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(id)
}

/// One thing that the catalog says of itself.
pub(super) fn fact(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM fact WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).optional()
}

fn store(act: String, source: BoxError) -> CatalogError {
    CatalogError::Store { act, source }
}
