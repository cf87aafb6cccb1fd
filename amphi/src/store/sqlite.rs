//! The embedded default: SQLite in the data folder, one connection, write-ahead log.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{
    ANNOUNCED_READ_MAX, Announced, Complaint, Export, ExportState, LIST_MAX, Outdated, REPORTS_MAX,
    REPORTS_OF_ROOM_MAX, Reason, Recording, RecordingState, Release, ReleaseChange, Report,
    RoomSettings, Store, StoreError, Unpublished, Which,
};
use crate::config::Switch;

/// Each brings the database from version n to n + 1 (`PRAGMA user_version`), in one transaction. Never edited once
/// it was released; a change is a new line.
const MIGRATIONS: &[&str] = &[
    "
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
",
    "
    ALTER TABLE recording ADD COLUMN published INTEGER;
    ALTER TABLE recording ADD COLUMN keep_until_ms INTEGER;
    ALTER TABLE recording ADD COLUMN deleting INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX recording_by_keep ON recording (keep_until_ms) WHERE keep_until_ms IS NOT NULL;
",
    "
    CREATE TABLE export (
        recording TEXT PRIMARY KEY NOT NULL,
        place TEXT NOT NULL,
        state INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        next_ms INTEGER NOT NULL,
        progress TEXT NOT NULL,
        note TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE room_settings ADD COLUMN starts_ms INTEGER;
    CREATE INDEX room_settings_by_start ON room_settings (starts_ms) WHERE starts_ms IS NOT NULL;
",
    "
    CREATE TABLE report (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        room TEXT NOT NULL,
        reason TEXT NOT NULL,
        words TEXT NOT NULL,
        at_ms INTEGER,
        made_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX report_by_room ON report (room, id);
",
];

const RECORDING_COLUMNS: &str =
    "id, room, title, started_ms, duration_ms, ready, size_bytes, gaps, published, keep_until_ms";
/// [`ExportState`] in the database.
const EXPORT_WAITING: i64 = 0;
const EXPORT_DONE: i64 = 1;
const EXPORT_GIVEN_UP: i64 = 2;
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
                "SELECT title, broadcast_auto, record_auto, starts_ms FROM room_settings WHERE room = ?1",
            )
            .and_then(|mut statement| {
                statement
                    .query_row([room], |row| {
                        Ok(RoomSettings {
                            title: row.get(0)?,
                            broadcast: switch(row.get(1)?),
                            record: switch(row.get(2)?),
                            starts: row.get::<_, Option<i64>>(3)?.map(time_of),
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
                "INSERT OR REPLACE INTO room_settings (room, title, broadcast_auto, record_auto, starts_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    room,
                    settings.title,
                    auto(settings.broadcast),
                    auto(settings.record),
                    settings.starts.map(unix_millis),
                ])
            })
            .map(|_| ())
            .map_err(failed("writing a room's settings"))
    }

    fn announced(&self, from: SystemTime, now: SystemTime) -> Result<Vec<Announced>, StoreError> {
        self.connection()
            .prepare_cached(&format!(
                "SELECT room, title, starts_ms FROM room_settings WHERE starts_ms >= ?1
                 ORDER BY starts_ms < ?2, starts_ms, room LIMIT {ANNOUNCED_READ_MAX}"
            ))
            .and_then(|mut statement| {
                statement
                    .query_map([unix_millis(from), unix_millis(now)], |row| {
                        Ok(Announced {
                            room: row.get(0)?,
                            title: row.get(1)?,
                            starts: time_of(row.get(2)?),
                        })
                    })?
                    .collect()
            })
            .map_err(failed("listing what is announced"))
    }

    fn end_announcement(&self, room: &str, until: SystemTime) -> Result<(), StoreError> {
        self.execute(
            "ending an announcement",
            "UPDATE room_settings SET starts_ms = NULL WHERE room = ?1 AND starts_ms <= ?2",
            params![room, unix_millis(until)],
        )
        .map(|_| ())
    }

    fn put_report(&self, complaint: &Complaint) -> Result<u64, StoreError> {
        let connection = self.connection();
        let put = || -> rusqlite::Result<usize> {
            let step = connection.unchecked_transaction()?;
            step.prepare_cached(
                "INSERT INTO report (room, reason, words, at_ms, made_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                complaint.room,
                complaint.reason.word(),
                complaint.words,
                complaint.at.map(unix_millis),
                unix_millis(complaint.made),
            ])?;
            // A negative limit is none (sqlite.org/lang_select.html).
            let of_room = step
                .prepare_cached(&format!(
                    "DELETE FROM report WHERE id IN
                     (SELECT id FROM report WHERE room = ?1 ORDER BY id DESC LIMIT -1 OFFSET {REPORTS_OF_ROOM_MAX})"
                ))?
                .execute([&complaint.room])?;
            let of_all = step
                .prepare_cached(&format!(
                    "DELETE FROM report WHERE id IN
                     (SELECT id FROM report ORDER BY id DESC LIMIT -1 OFFSET {REPORTS_MAX})"
                ))?
                .execute([])?;
            step.commit()?;
            Ok(of_room + of_all)
        };
        put()
            .map(|gone| gone as u64)
            .map_err(failed("writing a report"))
    }

    fn reports(&self, room: &str) -> Result<Vec<Report>, StoreError> {
        self.connection()
            .prepare_cached(&format!(
                "SELECT id, room, reason, words, at_ms, made_ms FROM report WHERE room = ?1
                 ORDER BY id DESC LIMIT {REPORTS_OF_ROOM_MAX}"
            ))
            .and_then(|mut statement| statement.query_map([room], report_of)?.collect())
            .map_err(failed("listing reports"))
    }

    fn delete_report(&self, room: &str, id: u64) -> Result<bool, StoreError> {
        self.execute(
            "deleting a report",
            "DELETE FROM report WHERE id = ?1 AND room = ?2",
            params![whole(id), room],
        )
        .map(|deleted| deleted > 0)
    }

    fn put_recording(&self, recording: &Recording) -> Result<(), StoreError> {
        self.connection()
            .prepare_cached(&format!(
                "INSERT INTO recording ({RECORDING_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (id) DO UPDATE SET started_ms = ?4, duration_ms = ?5, ready = ?6, size_bytes = ?7, gaps = ?8"
            ))
            .and_then(|mut statement| {
                statement.execute(params![
                    recording.id,
                    recording.room,
                    recording.title,
                    unix_millis(recording.started),
                    millis(recording.duration),
                    recording.state == RecordingState::Ready,
                    whole(recording.size_bytes),
                    whole(recording.gaps),
                    recording.release.published,
                    recording.release.keep_until.map(unix_millis),
                ])
            })
            .map(|_| ())
            .map_err(failed("writing a recording"))
    }

    fn recording(&self, id: &str) -> Result<Option<Recording>, StoreError> {
        self.connection()
            .prepare_cached(&format!(
                "SELECT {RECORDING_COLUMNS} FROM recording WHERE id = ?1 AND NOT deleting"
            ))
            .and_then(|mut statement| statement.query_row([id], recording_of).optional())
            .map_err(failed("reading a recording"))
    }

    fn recordings(&self, which: &Which) -> Result<Vec<Recording>, StoreError> {
        let unpublished = match &which.unpublished_of {
            Unpublished::None => "FALSE",
            Unpublished::OfRoom(_) => "room = ?2",
            Unpublished::OfEveryRoom => "TRUE",
        };
        let of_room = match &which.unpublished_of {
            Unpublished::OfRoom(room) => Some(room),
            Unpublished::None | Unpublished::OfEveryRoom => None,
        };
        // Every parameter is named, since SQLite refuses to bind one that is not there.
        self.list(
            &format!(
                "SELECT {RECORDING_COLUMNS} FROM recording
                 WHERE NOT deleting AND (?1 IS NULL OR room = ?1) AND (published OR {unpublished}) AND (?2 IS NULL OR TRUE)
                 ORDER BY started_ms DESC, id DESC LIMIT {LIST_MAX}"
            ),
            params![which.room, of_room],
        )
    }

    fn unfinished_recordings(&self) -> Result<Vec<Recording>, StoreError> {
        self.list(
            &format!(
                "SELECT {RECORDING_COLUMNS} FROM recording WHERE NOT ready ORDER BY started_ms, id"
            ),
            [],
        )
    }

    fn release(&self, id: &str, change: &ReleaseChange) -> Result<bool, StoreError> {
        let changes_keeping = change.keep_until.is_some();
        let keep_until = change.keep_until.flatten().map(unix_millis);
        self.execute(
            "releasing a recording",
            "UPDATE recording SET title = coalesce(?2, title), published = coalesce(?3, published),
             keep_until_ms = iif(?4, ?5, keep_until_ms) WHERE id = ?1 AND NOT deleting",
            params![
                id,
                change.title,
                change.published,
                changes_keeping,
                keep_until
            ],
        )
        .map(|changed| changed > 0)
    }

    fn settle_undecided(&self, published: bool) -> Result<u64, StoreError> {
        self.execute(
            "settling who may watch recordings",
            "UPDATE recording SET published = ?1 WHERE published IS NULL",
            params![published],
        )
    }

    fn begin_deletion(&self, id: &str) -> Result<bool, StoreError> {
        self.execute(
            "deleting a recording",
            "UPDATE recording SET deleting = TRUE WHERE id = ?1 AND ready AND NOT deleting",
            params![id],
        )
        .map(|changed| changed > 0)
    }

    fn end_deletion(&self, id: &str) -> Result<(), StoreError> {
        let forget = "DELETE FROM export WHERE recording = ?1";
        self.execute("deleting a recording", forget, params![id])?;
        self.execute(
            "deleting a recording",
            "DELETE FROM recording WHERE id = ?1 AND deleting",
            params![id],
        )
        .map(|_| ())
    }

    fn deletions(&self) -> Result<Vec<String>, StoreError> {
        self.ids(
            "SELECT id FROM recording WHERE deleting ORDER BY id",
            params![],
        )
    }

    fn outdated(&self, now: SystemTime, which: &Outdated) -> Result<Vec<String>, StoreError> {
        let place = match which {
            Outdated::All => None,
            Outdated::ExportedTo(place) => Some(place),
        };
        self.ids(
            &format!(
                "SELECT id FROM recording WHERE ready AND NOT deleting AND keep_until_ms <= ?1
                 AND (?2 IS NULL OR EXISTS (SELECT 1 FROM export WHERE recording = id AND place = ?2 AND state = {EXPORT_DONE}))
                 ORDER BY keep_until_ms, id LIMIT {LIST_MAX}"
            ),
            params![unix_millis(now), place],
        )
    }

    fn export(&self, id: &str) -> Result<Option<Export>, StoreError> {
        self.connection()
            .prepare_cached(
                "SELECT place, state, tries, next_ms, progress, note FROM export WHERE recording = ?1",
            )
            .and_then(|mut statement| statement.query_row([id], export_of).optional())
            .map_err(failed("reading an export"))
    }

    fn put_export(&self, id: &str, export: &Export) -> Result<(), StoreError> {
        let state = match export.state {
            ExportState::Waiting => EXPORT_WAITING,
            ExportState::Done => EXPORT_DONE,
            ExportState::GivenUp => EXPORT_GIVEN_UP,
        };
        let next_ms = unix_millis(export.next);
        self.execute(
            "writing an export",
            "INSERT OR REPLACE INTO export (recording, place, state, tries, next_ms, progress, note)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM recording WHERE id = ?1)",
            params![
                id,
                export.place,
                state,
                export.tries,
                next_ms,
                export.progress,
                export.note
            ],
        )
        .map(|_| ())
    }

    fn exports_due(&self, now: SystemTime, place: &str) -> Result<Vec<String>, StoreError> {
        self.ids(
            &format!(
                "SELECT id FROM recording LEFT JOIN export ON recording = id
                 WHERE ready AND NOT deleting
                 AND (place IS NOT ?2 OR (state = {EXPORT_WAITING} AND next_ms <= ?1))
                 ORDER BY started_ms, id LIMIT {LIST_MAX}"
            ),
            params![unix_millis(now), place],
        )
    }

    fn exported(&self, place: &str) -> Result<Vec<String>, StoreError> {
        self.ids(
            &format!(
                "SELECT id FROM recording JOIN export ON recording = id
                 WHERE ready AND NOT deleting AND place = ?1 AND state = {EXPORT_DONE} ORDER BY started_ms, id LIMIT {LIST_MAX}"
            ),
            params![place],
        )
    }

    fn retry_exports(&self) -> Result<(), StoreError> {
        self.execute(
            "trying exports again",
            "UPDATE export SET state = ?1, tries = 0, next_ms = 0 WHERE state = ?2",
            params![EXPORT_WAITING, EXPORT_GIVEN_UP],
        )
        .map(|_| ())
    }
}

impl SqliteStore {
    fn list(&self, query: &str, parameters: impl Params) -> Result<Vec<Recording>, StoreError> {
        self.connection()
            .prepare_cached(query)
            .and_then(|mut statement| statement.query_map(parameters, recording_of)?.collect())
            .map_err(failed("listing recordings"))
    }

    fn ids(&self, query: &str, parameters: impl Params) -> Result<Vec<String>, StoreError> {
        self.connection()
            .prepare_cached(query)
            .and_then(|mut statement| statement.query_map(parameters, |row| row.get(0))?.collect())
            .map_err(failed("listing recordings"))
    }

    /// How many rows it changed.
    fn execute(
        &self,
        doing: &'static str,
        statement: &str,
        parameters: impl Params,
    ) -> Result<u64, StoreError> {
        self.connection()
            .prepare_cached(statement)
            .and_then(|mut statement| statement.execute(parameters))
            .map(|rows| rows as u64)
            .map_err(failed(doing))
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
        started: time_of(row.get(3)?),
        duration: Duration::from_millis(natural(row.get(4)?)),
        state: if row.get(5)? {
            RecordingState::Ready
        } else {
            RecordingState::Recording
        },
        size_bytes: natural(row.get(6)?),
        gaps: natural(row.get(7)?),
        release: Release {
            // What nobody has decided about is not for everybody.
            published: row.get::<_, Option<bool>>(8)?.unwrap_or(false),
            keep_until: row.get::<_, Option<i64>>(9)?.map(time_of),
        },
    })
}

fn report_of(row: &Row<'_>) -> rusqlite::Result<Report> {
    let reason: String = row.get(2)?;
    let known = Reason::ALL.into_iter().find(|known| known.word() == reason);
    Ok(Report {
        id: natural(row.get(0)?),
        complaint: Complaint {
            room: row.get(1)?,
            reason: known.unwrap_or(Reason::Other),
            words: row.get(3)?,
            at: row.get::<_, Option<i64>>(4)?.map(time_of),
            made: time_of(row.get(5)?),
        },
    })
}

fn export_of(row: &Row<'_>) -> rusqlite::Result<Export> {
    Ok(Export {
        place: row.get(0)?,
        state: match row.get(1)? {
            EXPORT_DONE => ExportState::Done,
            EXPORT_GIVEN_UP => ExportState::GivenUp,
            _ => ExportState::Waiting,
        },
        tries: row.get(2)?,
        next: time_of(row.get(3)?),
        progress: row.get(4)?,
        note: row.get(5)?,
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

fn unix_millis(time: SystemTime) -> i64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn time_of(unix_ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(natural(unix_ms))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full { doing },
        _ => StoreError::Failed {
            doing,
            source: source.into(),
        },
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
            release: Release::default(),
        }
    }

    fn ids(list: Vec<Recording>) -> Vec<String> {
        list.into_iter().map(|recording| recording.id).collect()
    }

    const ALL: Which = Which {
        room: None,
        unpublished_of: Unpublished::OfEveryRoom,
    };

    #[test]
    fn settings_are_read_back_as_written() {
        let store = store();
        assert_eq!(store.settings("hall").expect("read"), None);
        let settings = RoomSettings {
            title: "'; DROP TABLE--".into(),
            broadcast: Switch::Auto,
            record: Switch::Manual,
            starts: Some(UNIX_EPOCH + Duration::from_secs(7)),
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
    fn what_is_announced_is_listed_soonest_first_until_it_is_over() {
        let store = store();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let announce = |room: &str, starts: Option<u64>| {
            let settings = RoomSettings {
                title: format!("The {room}"),
                starts: starts.map(at),
                ..RoomSettings::default()
            };
            store.put_settings(room, &settings).expect("written");
        };
        let listed = |from| -> Vec<String> {
            let list = store.announced(at(from), at(from)).expect("listed");
            list.into_iter().map(|announced| announced.room).collect()
        };
        announce("hall", Some(20));
        announce("cellar", Some(10));
        announce("attic", None);
        assert_eq!(listed(10), ["cellar", "hall"]);
        assert_eq!(listed(11), ["hall"]);
        let first = &store.announced(at(0), at(0)).expect("listed")[0];
        assert_eq!((first.title.as_str(), first.starts), ("The cellar", at(10)));
        // What is late comes after what is to come.
        let late = store.announced(at(0), at(15)).expect("listed");
        assert_eq!([&late[0].room, &late[1].room], ["hall", "cellar"]);
        store.end_announcement("hall", at(19)).expect("written");
        store.end_announcement("cellar", at(10)).expect("written");
        assert_eq!(listed(0), ["hall"], "what is later stays");
        announce("hall", None);
        assert_eq!(listed(0), Vec::<String>::new());
        for number in 0..60 {
            announce(&format!("room {number}"), Some(100 - number));
        }
        assert_eq!(listed(0).len(), ANNOUNCED_READ_MAX);
        assert_eq!(listed(0)[0], "room 59");
    }

    #[test]
    fn reports_are_kept_newest_first_until_they_are_done_or_too_many() {
        let store = store();
        let complaint = |room: &str, number: usize| Complaint {
            room: room.into(),
            reason: Reason::ALL[number % Reason::ALL.len()],
            words: format!("'; DROP TABLE-- {number}"),
            at: number
                .is_multiple_of(2)
                .then_some(UNIX_EPOCH + Duration::from_millis(1_500)),
            made: UNIX_EPOCH + Duration::from_secs(number as u64),
        };
        let put = |room: &str, number| store.put_report(&complaint(room, number)).expect("written");
        let kept = |room: &str| store.reports(room).expect("listed");
        assert_eq!([put("hall", 1), put("cellar", 2), put("hall", 3)], [0; 3]);
        let complaints: Vec<_> = kept("hall").into_iter().map(|it| it.complaint).collect();
        assert_eq!(complaints, [complaint("hall", 3), complaint("hall", 1)]);

        let [newest, oldest] = [0, 1].map(|place| kept("hall")[place].id);
        assert!(
            !store.delete_report("cellar", newest).expect("asked"),
            "of its room alone"
        );
        assert!(store.delete_report("hall", newest).expect("deleted"));
        assert!(!store.delete_report("hall", newest).expect("asked"), "once");
        put("hall", 4);
        assert!(kept("hall")[0].id > newest, "a number is not given again");

        for number in 0..REPORTS_OF_ROOM_MAX - 2 {
            assert_eq!(put("hall", number), 0);
        }
        assert_eq!(put("hall", 7), 1, "the oldest goes");
        assert_eq!(kept("hall").len(), REPORTS_OF_ROOM_MAX);
        assert!(kept("hall").iter().all(|report| report.id != oldest));
        assert_eq!(kept("cellar").len(), 1, "others stay");

        let gone: u64 = (0..REPORTS_MAX)
            .map(|number| put(&format!("room {number}"), number))
            .sum();
        assert_eq!(gone, REPORTS_OF_ROOM_MAX as u64 + 1);
        assert_eq!((kept("hall").len(), kept("cellar").len()), (0, 0));
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
        assert_eq!(
            ids(store.recordings(&ALL).expect("listed")),
            ["c", "b", "a"]
        );
        assert_eq!(
            ids(store.unfinished_recordings().expect("listed")),
            ["b", "c"]
        );
        assert_eq!(store.recording("a").expect("read"), Some(ready));
        assert_eq!(store.recording("d").expect("read"), None);
    }

    #[test]
    fn a_list_has_what_is_published_and_of_the_rest_what_was_asked_for() {
        let store = store();
        for (id, room, published) in [("a", "hall", true), ("b", "hall", false), ("c", "x", false)]
        {
            let release = Release {
                published,
                ..Release::default()
            };
            let room = room.into();
            let row = Recording {
                room,
                release,
                ..recording(id, 1)
            };
            store.put_recording(&row).expect("written");
        }
        let check = |room: Option<&str>, unpublished_of, expected: &[&str]| {
            let room = room.map(str::to_owned);
            let which = Which {
                room,
                unpublished_of,
            };
            assert_eq!(ids(store.recordings(&which).expect("listed")), expected);
        };
        check(None, Unpublished::None, &["a"]);
        check(None, Unpublished::OfRoom("hall".into()), &["b", "a"]);
        check(None, Unpublished::OfEveryRoom, &["c", "b", "a"]);
        check(Some("hall"), Unpublished::OfEveryRoom, &["b", "a"]);
        check(Some("x"), Unpublished::OfRoom("hall".into()), &[]);
    }

    #[test]
    fn what_people_decided_outlives_what_the_recorder_writes_later() {
        let store = store();
        store.put_recording(&recording("a", 1)).expect("written");
        let until = UNIX_EPOCH + Duration::from_secs(99);
        let change = ReleaseChange {
            title: Some("The evening".into()),
            published: Some(true),
            keep_until: Some(Some(until)),
        };
        assert!(store.release("a", &change).expect("written"));
        let later = Recording {
            duration: Duration::from_secs(9),
            ..recording("a", 1)
        };
        store.put_recording(&later).expect("written");
        let read = || store.recording("a").expect("read").expect("it is there");
        let release = Release {
            published: true,
            keep_until: Some(until),
        };
        assert_eq!((read().release, read().duration), (release, later.duration));
        assert_eq!(read().title, "The evening");
        let for_ever = ReleaseChange {
            keep_until: Some(None),
            ..ReleaseChange::default()
        };
        assert!(store.release("a", &for_ever).expect("written"));
        assert_eq!(
            (read().release.keep_until, read().release.published),
            (None, true)
        );
        assert!(!store.release("b", &for_ever).expect("asked"));
    }

    #[test]
    fn what_is_being_deleted_is_nowhere_but_among_the_deletions_until_it_is_gone() {
        let store = store();
        store.put_recording(&recording("a", 1)).expect("written");
        assert!(
            !store.begin_deletion("a").expect("asked"),
            "it is still being recorded"
        );
        let ready = Recording {
            state: RecordingState::Ready,
            ..recording("a", 1)
        };
        store.put_recording(&ready).expect("written");
        assert!(store.begin_deletion("a").expect("begun"));
        assert!(!store.begin_deletion("a").expect("asked"), "once");
        // What a recorder says late does not bring it back.
        store.put_recording(&ready).expect("written");
        assert_eq!(store.recording("a").expect("read"), None);
        assert_eq!(store.recordings(&ALL).expect("listed"), []);
        assert!(
            !store
                .release("a", &ReleaseChange::default())
                .expect("asked")
        );
        assert_eq!(store.deletions().expect("listed"), ["a"]);
        store.end_deletion("a").expect("ended");
        assert_eq!(store.deletions().expect("listed"), Vec::<String>::new());
    }

    #[test]
    fn what_was_to_be_kept_until_now_is_outdated_and_what_is_kept_for_ever_is_not() {
        let store = store();
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        for (id, keep_until, state) in [
            ("a", at(100), RecordingState::Ready),
            ("b", at(101), RecordingState::Ready),
            ("c", None, RecordingState::Ready),
            ("d", at(1), RecordingState::Recording),
        ] {
            let release = Release {
                keep_until,
                ..Release::default()
            };
            let row = Recording {
                release,
                state,
                ..recording(id, 1)
            };
            store.put_recording(&row).expect("written");
        }
        let outdated = |seconds, which| {
            store
                .outdated(at(seconds).expect("a time"), &which)
                .expect("listed")
        };
        assert_eq!(outdated(99, Outdated::All), Vec::<String>::new());
        assert_eq!(outdated(100, Outdated::All), ["a"]);
        assert_eq!(outdated(1_000, Outdated::All), ["a", "b"]);
        assert_eq!(
            outdated(1_000, Outdated::ExportedTo("there".into())),
            Vec::<String>::new()
        );
        let done = Export {
            place: "there".into(),
            state: ExportState::Done,
            tries: 0,
            next: UNIX_EPOCH,
            progress: String::new(),
            note: String::new(),
        };
        store.put_export("b", &done).expect("written");
        assert_eq!(outdated(1_000, Outdated::ExportedTo("there".into())), ["b"]);
    }

    #[test]
    fn an_export_is_due_from_its_recordings_end_until_it_is_done_or_given_up() {
        let store = store();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        store.put_recording(&recording("a", 1)).expect("written");
        let due = |seconds| store.exports_due(at(seconds), "there").expect("listed");
        assert_eq!(due(1), Vec::<String>::new(), "it is still being recorded");
        let ready = Recording {
            state: RecordingState::Ready,
            ..recording("a", 1)
        };
        store.put_recording(&ready).expect("written");
        assert_eq!(due(1), ["a"]);
        let waiting = Export {
            place: "there".into(),
            state: ExportState::Waiting,
            tries: 3,
            next: at(50),
            progress: "{}".into(),
            note: "No answer.".into(),
        };
        store.put_export("a", &waiting).expect("written");
        assert_eq!(store.export("a").expect("read"), Some(waiting.clone()));
        assert_eq!((due(49).len(), due(50).len()), (0, 1));
        let state = |state| {
            let export = Export {
                state,
                ..waiting.clone()
            };
            store.put_export("a", &export).expect("written");
        };
        state(ExportState::GivenUp);
        assert_eq!(due(1_000), Vec::<String>::new());
        store.retry_exports().expect("written");
        assert_eq!(due(0), ["a"]);
        state(ExportState::Done);
        store.retry_exports().expect("written");
        assert_eq!(due(1_000), Vec::<String>::new());
        assert_eq!(store.exported("there").expect("listed"), ["a"]);
        // Another place knows nothing of it.
        assert_eq!(
            store.exports_due(at(0), "elsewhere").expect("listed"),
            ["a"]
        );
        assert!(store.exported("elsewhere").expect("listed").is_empty());
        assert!(store.begin_deletion("a").expect("begun"));
        store.end_deletion("a").expect("ended");
        assert_eq!(store.export("a").expect("read"), None);
    }

    #[test]
    fn recordings_of_before_there_was_a_decision_are_for_nobody_until_it_is_made() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection, &MIGRATIONS[..1]).expect("the first version");
        connection
            .execute(
                "INSERT INTO recording VALUES ('old', 'hall', '', 1, 2, TRUE, 3, 0)",
                [],
            )
            .expect("written");
        let store = SqliteStore::prepare(connection).expect("brought to this version");
        let published = || {
            let old = store.recording("old").expect("read").expect("it is there");
            old.release.published
        };
        assert!(!published());
        assert_eq!(store.settle_undecided(true).expect("settled"), 1);
        assert!(published());
        assert_eq!(store.settle_undecided(false).expect("settled"), 0);
        assert!(published(), "it was decided");
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
