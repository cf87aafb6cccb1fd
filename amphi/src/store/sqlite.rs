//! The embedded default: SQLite in the data folder, one connection, write-ahead log.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{LIST_MAX, Recording, RecordingState, RoomSettings, Store, StoreError};
use crate::config::Switch;

/// Each brings the database from version n to n + 1 (`PRAGMA user_version`), in one transaction. Never edited once
/// it was released; a change is a new line.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE room_settings (
        room TEXT PRIMARY KEY NOT NULL,
        title TEXT NOT NULL,
        broadcast_auto INTEGER NOT NULL,
        record_auto INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE recording (
        id TEXT PRIMARY KEY NOT NULL,
        room TEXT NOT NULL,
        title TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        duration_ms INTEGER NOT NULL,
        ready INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        gaps INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX recording_by_start ON recording (started_ms);
"];

const RECORDING_COLUMNS: &str = "id, room, title, started_ms, duration_ms, ready, size_bytes, gaps";
/// How long a statement waits for another process that has the file (a backup, a curious person with `sqlite3`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub struct SqliteStore(Mutex<Connection>);

impl SqliteStore {
    /// Opens or makes the database and brings it to this version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(failed("opening the database"))?;
        Self::prepare(connection)
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreError> {
        let doing = failed("preparing the database");
        connection.busy_timeout(BUSY_TIMEOUT).map_err(&doing)?;
        // In the write-ahead log FULL syncs at each commit: what was answered survives loss of power.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
            )
            .map_err(&doing)?;
        migrate(&mut connection, MIGRATIONS)?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Store for SqliteStore {
    fn settings(&self, room: &str) -> Result<Option<RoomSettings>, StoreError> {
        self.connection()
            .prepare_cached(
                "SELECT title, broadcast_auto, record_auto FROM room_settings WHERE room = ?1",
            )
            .and_then(|mut statement| {
                statement
                    .query_row([room], |row| {
                        Ok(RoomSettings {
                            title: row.get(0)?,
                            broadcast: switch(row.get(1)?),
                            record: switch(row.get(2)?),
                        })
                    })
                    .optional()
            })
            .map_err(failed("reading a room's settings"))
    }

    fn put_settings(&self, room: &str, settings: &RoomSettings) -> Result<(), StoreError> {
        let auto = |switch| switch == Switch::Auto;
        self.connection()
            .prepare_cached(
                "INSERT OR REPLACE INTO room_settings (room, title, broadcast_auto, record_auto) VALUES (?1, ?2, ?3, ?4)",
            )
            .and_then(|mut statement| {
                statement.execute(params![room, settings.title, auto(settings.broadcast), auto(settings.record)])
            })
            .map(|_| ())
            .map_err(failed("writing a room's settings"))
    }

    fn put_recording(&self, recording: &Recording) -> Result<(), StoreError> {
        self.connection()
            .prepare_cached(&format!(
                "INSERT OR REPLACE INTO recording ({RECORDING_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            ))
            .and_then(|mut statement| {
                statement.execute(params![
                    recording.id,
                    recording.room,
                    recording.title,
                    millis(recording.started.duration_since(UNIX_EPOCH).unwrap_or_default()),
                    millis(recording.duration),
                    recording.state == RecordingState::Ready,
                    whole(recording.size_bytes),
                    whole(recording.gaps),
                ])
            })
            .map(|_| ())
            .map_err(failed("writing a recording"))
    }

    fn recording(&self, id: &str) -> Result<Option<Recording>, StoreError> {
        self.connection()
            .prepare_cached(&format!(
                "SELECT {RECORDING_COLUMNS} FROM recording WHERE id = ?1"
            ))
            .and_then(|mut statement| statement.query_row([id], recording_of).optional())
            .map_err(failed("reading a recording"))
    }

    fn recordings(&self) -> Result<Vec<Recording>, StoreError> {
        self.list(&format!(
            "SELECT {RECORDING_COLUMNS} FROM recording ORDER BY started_ms DESC, id DESC LIMIT {LIST_MAX}"
        ))
    }

    fn unfinished_recordings(&self) -> Result<Vec<Recording>, StoreError> {
        self.list(&format!(
            "SELECT {RECORDING_COLUMNS} FROM recording WHERE NOT ready ORDER BY started_ms, id"
        ))
    }
}

impl SqliteStore {
    fn list(&self, query: &str) -> Result<Vec<Recording>, StoreError> {
        self.connection()
            .prepare_cached(query)
            .and_then(|mut statement| statement.query_map([], recording_of)?.collect())
            .map_err(failed("listing recordings"))
    }
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let doing = failed("bringing the database to this version");
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(&doing)?;
    let known = i64::try_from(migrations.len()).expect("there are few migrations");
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, migration) in (1..=known)
        .zip(migrations)
        .skip_while(|(version, _)| *version <= found)
    {
        let step = connection.transaction().map_err(&doing)?;
        step.execute_batch(migration).map_err(&doing)?;
        step.pragma_update(None, "user_version", version)
            .map_err(&doing)?;
        step.commit().map_err(&doing)?;
    }
    Ok(())
}

fn recording_of(row: &Row<'_>) -> rusqlite::Result<Recording> {
    Ok(Recording {
        id: row.get(0)?,
        room: row.get(1)?,
        title: row.get(2)?,
        started: UNIX_EPOCH + Duration::from_millis(natural(row.get(3)?)),
        duration: Duration::from_millis(natural(row.get(4)?)),
        state: if row.get(5)? {
            RecordingState::Ready
        } else {
            RecordingState::Recording
        },
        size_bytes: natural(row.get(6)?),
        gaps: natural(row.get(7)?),
    })
}

fn switch(auto: bool) -> Switch {
    if auto { Switch::Auto } else { Switch::Manual }
}

/// SQLite's integers are signed; ours never come near the edge.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Failed {
        doing,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> SqliteStore {
        SqliteStore::prepare(Connection::open_in_memory().expect("memory")).expect("a new database")
    }

    fn recording(id: &str, started_s: u64) -> Recording {
        Recording {
            id: id.into(),
            room: "hall".into(),
            title: "<b>Hall</b>".into(),
            started: UNIX_EPOCH + Duration::from_secs(started_s),
            duration: Duration::from_millis(1_234),
            state: RecordingState::Recording,
            size_bytes: 1 << 40,
            gaps: 2,
        }
    }

    #[test]
    fn settings_are_read_back_as_written() {
        let store = store();
        assert_eq!(store.settings("hall").expect("read"), None);
        let settings = RoomSettings {
            title: "'; DROP TABLE--".into(),
            broadcast: Switch::Auto,
            record: Switch::Manual,
        };
        store.put_settings("hall", &settings).expect("written");
        let again = RoomSettings {
            record: Switch::Auto,
            ..settings
        };
        store.put_settings("hall", &again).expect("written over");
        assert_eq!(store.settings("hall").expect("read"), Some(again));
        assert_eq!(store.settings("cellar").expect("read"), None);
    }

    #[test]
    fn recordings_are_listed_newest_first_and_changed_by_their_id() {
        let store = store();
        for (id, at) in [("b", 20), ("a", 10), ("c", 30)] {
            store.put_recording(&recording(id, at)).expect("written");
        }
        let ready = Recording {
            state: RecordingState::Ready,
            ..recording("a", 10)
        };
        store.put_recording(&ready).expect("written over");
        let ids = |list: Vec<Recording>| list.into_iter().map(|r| r.id).collect::<Vec<_>>();
        assert_eq!(ids(store.recordings().expect("listed")), ["c", "b", "a"]);
        assert_eq!(
            ids(store.unfinished_recordings().expect("listed")),
            ["b", "c"]
        );
        assert_eq!(store.recording("a").expect("read"), Some(ready));
        assert_eq!(store.recording("d").expect("read"), None);
    }

    #[test]
    fn a_database_is_migrated_step_by_step_and_a_failing_step_leaves_no_trace() {
        let mut connection = Connection::open_in_memory().expect("memory");
        let first = "CREATE TABLE one (a INTEGER) STRICT;";
        migrate(&mut connection, &[first]).expect("first");
        migrate(
            &mut connection,
            &[first, "CREATE TABLE two (a INTEGER) STRICT; BROKEN"],
        )
        .expect_err("a broken step");
        let tables = |connection: &Connection| -> Vec<String> {
            let mut statement = connection
                .prepare("SELECT name FROM sqlite_schema ORDER BY name")
                .expect("schema");
            statement
                .query_map([], |row| row.get(0))
                .and_then(Iterator::collect)
                .expect("names")
        };
        assert_eq!(tables(&connection), ["one"]);
        migrate(
            &mut connection,
            &[first, "CREATE TABLE two (a INTEGER) STRICT;"],
        )
        .expect("mended");
        assert_eq!(tables(&connection), ["one", "two"]);
    }

    #[test]
    fn a_database_of_a_newer_program_is_left_alone() {
        let connection = Connection::open_in_memory().expect("memory");
        connection
            .pragma_update(None, "user_version", 99)
            .expect("set");
        let refused = SqliteStore::prepare(connection)
            .map(|_| ())
            .expect_err("too new");
        assert!(
            matches!(refused, StoreError::Newer { found: 99, .. }),
            "{refused}"
        );
    }

    #[test]
    fn every_commit_is_synced() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("amphi.db")).expect("a new database");
        let pragma = |name: &str| {
            store
                .connection()
                .query_row(&format!("PRAGMA {name}"), [], |row| {
                    row.get::<_, rusqlite::types::Value>(0)
                })
        };
        assert_eq!(
            pragma("journal_mode").expect("asked"),
            "wal".to_owned().into()
        );
        // 2 is FULL (sqlite.org/pragma.html#pragma_synchronous).
        assert_eq!(pragma("synchronous").expect("asked"), 2i64.into());
    }

    #[test]
    fn times_are_kept_to_the_millisecond() {
        let exact = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
        let store = store();
        store
            .put_recording(&Recording {
                started: exact,
                ..recording("a", 0)
            })
            .expect("written");
        let read = store.recording("a").expect("read").expect("there");
        assert_eq!(
            read.started,
            UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
        );
    }
}
