//! What outlives the process: rooms' settings and the list of recordings.
//!
//! Behind a trait, so that an engine that several machines share can stand here later. Calls block (a disk syncs in
//! them): call them from plain threads or from `tokio::task::spawn_blocking`. What a call has answered `Ok` to is
//! there after a crash of the process and of the machine.

mod sqlite;

use std::time::{Duration, SystemTime};

use crate::config::Switch;

pub use sqlite::SqliteStore;

/// Most recordings that one list holds; older ones are still found by their id.
pub const LIST_MAX: usize = 1_000;

pub trait Store: Send + Sync + 'static {
    /// What was set for a room through the API; none when nothing was.
    fn settings(&self, room: &str) -> Result<Option<RoomSettings>, StoreError>;
    fn put_settings(&self, room: &str, settings: &RoomSettings) -> Result<(), StoreError>;
    /// Adds the recording, or writes over the one with its id.
    fn put_recording(&self, recording: &Recording) -> Result<(), StoreError>;
    fn recording(&self, id: &str) -> Result<Option<Recording>, StoreError>;
    /// The newest [`LIST_MAX`], newest first.
    fn recordings(&self) -> Result<Vec<Recording>, StoreError>;
    /// Those in state [`RecordingState::Recording`]: at start-up, what a crash has left open.
    fn unfinished_recordings(&self) -> Result<Vec<Recording>, StoreError>;
}

/// A room's own ways.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoomSettings {
    pub title: String,
    pub broadcast: Switch,
    pub record: Switch,
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
    #[error("{doing}: {source}")]
    Failed {
        doing: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
