//! What outlives the process: rooms' settings, the list of recordings, what viewers report.
//!
//! Behind a trait, so that an engine that several machines share can stand here later. Calls block (a disk syncs in
//! them): call them from plain threads or from `tokio::task::spawn_blocking`. What a call has answered `Ok` to is
//! there after a crash of the process and of the machine.

mod sqlite;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::config::Switch;

pub use sqlite::SqliteStore;

/// Most recordings that one list holds; older ones are still found by their id.
pub const LIST_MAX: usize = 1_000;
/// Most rooms that are listed because they go on air later; of the others their own pages say so.
pub const ANNOUNCED_MAX: usize = 12;
/// Most that are read for that list, some of which are on air already.
pub const ANNOUNCED_READ_MAX: usize = 4 * ANNOUNCED_MAX;

/// Most reports that are kept, and most of one room, so that one room's viewers do not push out what others say.
pub const REPORTS_MAX: usize = 1_000;
pub const REPORTS_OF_ROOM_MAX: usize = 100;

pub trait Store: Send + Sync + 'static {
    /// What was set for a room through the API; none when nothing was.
    fn settings(&self, room: &str) -> Result<Option<RoomSettings>, StoreError>;
    fn put_settings(&self, room: &str, settings: &RoomSettings) -> Result<(), StoreError>;
    /// Rooms that say when they go on air next, if that is `from` or later: [`ANNOUNCED_READ_MAX`] of them, soonest first, and after those
    /// to come those that are late `now`.
    fn announced(&self, from: SystemTime, now: SystemTime) -> Result<Vec<Announced>, StoreError>;
    /// What a room has announced for `until` or earlier is not announced any more.
    fn end_announcement(&self, room: &str, until: SystemTime) -> Result<(), StoreError>;
    /// Keeps a report. Of each room the newest [`REPORTS_OF_ROOM_MAX`] are kept, and [`REPORTS_MAX`] in all: how many older ones had to go.
    fn put_report(&self, complaint: &Complaint) -> Result<u64, StoreError>;
    /// Of this room, newest first.
    fn reports(&self, room: &str) -> Result<Vec<Report>, StoreError>;
    /// False when this room has none of this id.
    fn delete_report(&self, room: &str, id: u64) -> Result<bool, StoreError>;
    /// Adds the recording, or writes what its recorder knows over the one with its id: when it started, how long and
    /// large it is, its state and its gaps. What people decide ([`Release`]) stays as they decided.
    fn put_recording(&self, recording: &Recording) -> Result<(), StoreError>;
    /// Not one that is being deleted; so do the lists.
    fn recording(&self, id: &str) -> Result<Option<Recording>, StoreError>;
    /// The newest [`LIST_MAX`] of them, newest first.
    fn recordings(&self, which: &Which) -> Result<Vec<Recording>, StoreError>;
    /// Those in state [`RecordingState::Recording`]: at start-up, what a crash has left open.
    fn unfinished_recordings(&self) -> Result<Vec<Recording>, StoreError>;
    /// Changes what people decide about a recording. False when there is none of this id.
    fn release(&self, id: &str, change: &ReleaseChange) -> Result<bool, StoreError>;
    /// Decides about recordings of before there was a decision. How many there were.
    fn settle_undecided(&self, published: bool) -> Result<u64, StoreError>;
    /// From here on the recording is not listed, and its files may go. False when it is not there, or not
    /// [`RecordingState::Ready`].
    fn begin_deletion(&self, id: &str) -> Result<bool, StoreError>;
    /// Its files are gone.
    fn end_deletion(&self, id: &str) -> Result<(), StoreError>;
    /// Ids of those whose deletion was begun.
    fn deletions(&self) -> Result<Vec<String>, StoreError>;
    /// Ids of those that are ready and were to be kept until `now` at most; at most [`LIST_MAX`].
    fn outdated(&self, now: SystemTime, which: &Outdated) -> Result<Vec<String>, StoreError>;
    /// How far the export of a recording is; none before it was begun.
    fn export(&self, id: &str) -> Result<Option<Export>, StoreError>;
    fn put_export(&self, id: &str, export: &Export) -> Result<(), StoreError>;
    /// Ids of ready recordings whose export to `place` was not begun or may be tried again at `now`, oldest first; at most
    /// [`LIST_MAX`].
    fn exports_due(&self, now: SystemTime, place: &str) -> Result<Vec<String>, StoreError>;
    /// Ids of ready recordings that are exported to `place`; at most [`LIST_MAX`].
    fn exported(&self, place: &str) -> Result<Vec<String>, StoreError>;
    /// What was given up may be tried again.
    fn retry_exports(&self) -> Result<(), StoreError>;
}

/// Which recordings may go when their time has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outdated {
    All,
    /// Those that are safe in this place.
    ExportedTo(String),
}

/// How far the export of a recording is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// Where to. It says nothing about other places.
    pub place: String,
    pub state: ExportState,
    /// Times that it failed.
    pub tries: u32,
    /// Not before this.
    pub next: SystemTime,
    /// What was sent already, as the exporter writes it.
    pub progress: String,
    /// What went wrong the last time, in words; empty when nothing did.
    pub note: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportState {
    Waiting,
    /// All of it is there, and was read back.
    Done,
    /// It failed too often.
    GivenUp,
}

impl ExportState {
    /// The word in the API.
    pub fn word(self) -> &'static str {
        match self {
            ExportState::Waiting => "waiting",
            ExportState::Done => "done",
            ExportState::GivenUp => "given up",
        }
    }
}

/// Which recordings a list has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Which {
    /// None: of every room.
    pub room: Option<String>,
    /// Unpublished ones too: of these rooms. Published ones are in every list.
    pub unpublished_of: Unpublished,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Unpublished {
    #[default]
    None,
    OfRoom(String),
    OfEveryRoom,
}

/// A room's own ways.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoomSettings {
    pub title: String,
    pub broadcast: Switch,
    pub record: Switch,
    /// When it means to go on air next; kept to the millisecond. `announcement::current` says whether that is still so.
    pub starts: Option<SystemTime>,
}

/// A room that has said when it goes on air next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announced {
    pub room: String,
    pub title: String,
    pub starts: SystemTime,
}

/// What a viewer reports of a broadcast. Nothing in it says who that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    pub room: String,
    pub reason: Reason,
    /// A stranger's; may be empty.
    pub words: String,
    /// The moment that was shown; kept to the millisecond, as `made` is.
    pub at: Option<SystemTime>,
    pub made: SystemTime,
}

/// A complaint as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Never given again.
    pub id: u64,
    pub complaint: Complaint,
}

/// Why a broadcast is reported. Its names are those in the API and in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Sexual,
    Violence,
    /// Or harassment.
    Hate,
    AgainstTheLaw,
    Other,
}

impl Reason {
    pub const ALL: [Reason; 5] = [
        Reason::Sexual,
        Reason::Violence,
        Reason::Hate,
        Reason::AgainstTheLaw,
        Reason::Other,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Reason::Sexual => "sexual",
            Reason::Violence => "violence",
            Reason::Hate => "hate",
            Reason::AgainstTheLaw => "against_the_law",
            Reason::Other => "other",
        }
    }
}

/// One recording of a program. Its file is `<data_dir>/recordings/<id>/program.mp4`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// `[a-z0-9-]` only: it is a folder's name and a part of addresses.
    pub id: String,
    pub room: String,
    pub title: String,
    /// Kept to the millisecond.
    pub started: SystemTime,
    /// As far as it was known when this was written; kept to the millisecond.
    pub duration: Duration,
    pub state: RecordingState,
    pub size_bytes: u64,
    /// Places where something is missing.
    pub gaps: u64,
    pub release: Release,
}

/// What people decide about a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Release {
    /// Everybody may watch it.
    pub published: bool,
    /// It is deleted after that; none: never by itself. Kept to the millisecond.
    pub keep_until: Option<SystemTime>,
}

/// None leaves as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReleaseChange {
    pub title: Option<String>,
    pub published: Option<bool>,
    /// The inner none: for ever.
    pub keep_until: Option<Option<SystemTime>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordingState {
    /// Being written, or left open by a crash.
    Recording,
    Ready,
}

impl RecordingState {
    /// The word in the API and in the database.
    pub fn word(self) -> &'static str {
        match self {
            RecordingState::Recording => "recording",
            RecordingState::Ready => "ready",
        }
    }
}

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error(
        "the database was written by a newer amphi (version {found}, this one knows {known}): start that one"
    )]
    Newer { found: i64, known: i64 },
    #[error("{doing}: the disk is full")]
    Full { doing: &'static str },
    #[error("{doing}: {source}")]
    Failed {
        doing: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
