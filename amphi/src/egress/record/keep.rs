//! Deleting recordings: because somebody says so, or because they were kept for long enough.
//!
//! A deletion is begun in the store, which is what counts: from then on nobody finds the recording. Then its folder goes,
//! and when the disk has taken that, its row. Whatever is interrupted is gone on with by [`Keeper::look_through`], also
//! after a crash.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tracing::{info, warn};

use super::{file_of, tag};
use crate::store::{Outdated, Store, StoreError};

/// Looks after what is recorded. Calls block.
pub struct Keeper {
    data_dir: PathBuf,
    store: Arc<dyn Store>,
    which: Outdated,
    deleted: AtomicU64,
    failed: AtomicU64,
}

/// What came of asking for a deletion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    Done,
    /// Nobody finds the recording any more; its files could not be removed, which is tried again.
    Begun,
    /// It is not there, or it is still being recorded.
    NotReady,
}

impl Keeper {
    /// `which` may be deleted when their time has come.
    pub fn new(data_dir: PathBuf, store: Arc<dyn Store>, which: Outdated) -> Self {
        Self {
            data_dir,
            store,
            which,
            deleted: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Recordings that were deleted. Only grows.
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Times that the files of a recording could not be removed. Only grows.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn delete(&self, id: &str) -> Result<Deletion, StoreError> {
        if !self.store.begin_deletion(id)? {
            return Ok(Deletion::NotReady);
        }
        Ok(match self.finish(id) {
            true => Deletion::Done,
            false => Deletion::Begun,
        })
    }

    /// Deletes what was to be kept until `now` at most, and goes on with what was begun. What fails is tried again the
    /// next time.
    pub fn look_through(&self, now: SystemTime) {
        let outdated = self
            .store
            .outdated(now, &self.which)
            .unwrap_or_else(|error| {
                warn!("recordings cannot be looked through for what to delete: {error}");
                Vec::new()
            });
        for id in outdated {
            if let Err(error) = self.store.begin_deletion(&id) {
                warn!(recording = tag(&id), "cannot be deleted: {error}");
            }
        }
        let begun = self.store.deletions().unwrap_or_else(|error| {
            warn!("what is being deleted cannot be asked for: {error}");
            Vec::new()
        });
        for id in begun {
            self.finish(&id);
        }
    }

    /// False when it is to be tried again.
    fn finish(&self, id: &str) -> bool {
        let removed = match file_of(&self.data_dir, id) {
            Some(file) => remove_folder(file.parent().expect("a file is in its folder")),
            // Such a row cannot have been written; nothing on the disk belongs to it.
            None => Ok(()),
        };
        if let Err(error) = removed {
            self.failed.fetch_add(1, Ordering::Relaxed);
            warn!(
                recording = tag(id),
                "its files cannot be removed, trying again later: {error}"
            );
            return false;
        }
        if let Err(error) = self.store.end_deletion(id) {
            warn!(recording = tag(id), "cannot be forgotten yet: {error}");
            return false;
        }
        self.deleted.fetch_add(1, Ordering::Relaxed);
        info!(recording = tag(id), "recording deleted");
        true
    }
}

/// Once this is done, a power cut does not bring the folder back.
fn remove_folder(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match File::open(folder.parent().unwrap_or(folder)) {
        Ok(parent) => parent.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::store::{Recording, RecordingState, Release, SqliteStore, Unpublished, Which};

    struct House {
        folder: tempfile::TempDir,
        store: Arc<SqliteStore>,
        keeper: Keeper,
    }

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("amphi.db");
            let store = Arc::new(SqliteStore::open(&path).expect("a database"));
            let keeper = Keeper::new(folder.path().to_owned(), store.clone(), Outdated::All);
            Self {
                folder,
                store,
                keeper,
            }
        }

        fn put(&self, id: &str, state: RecordingState, keep_until_s: Option<u64>) -> PathBuf {
            let keep_until = keep_until_s.map(at);
            let release = Release {
                published: true,
                keep_until,
            };
            let recording = Recording {
                id: id.to_owned(),
                room: "hall".into(),
                title: String::new(),
                started: at(1),
                duration: Duration::from_secs(1),
                state,
                size_bytes: 3,
                gaps: 0,
                release,
            };
            self.store.put_recording(&recording).expect("written");
            let file = file_of(self.folder.path(), id).expect("an id");
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(&file, "abc").expect("written");
            file
        }

        fn listed(&self) -> Vec<String> {
            let which = Which {
                unpublished_of: Unpublished::OfEveryRoom,
                ..Which::default()
            };
            let all = self.store.recordings(&which).expect("listed");
            all.into_iter().map(|recording| recording.id).collect()
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_deleted_leaves_neither_a_row_nor_a_file() {
        let house = House::new();
        let file = house.put("a", RecordingState::Ready, None);
        let other = house.put("b", RecordingState::Ready, None);
        assert_eq!(house.keeper.delete("a").expect("asked"), Deletion::Done);
        assert!(!file.parent().expect("a folder").exists() && other.exists());
        assert_eq!(
            (house.listed(), house.keeper.deleted()),
            (vec!["b".into()], 1)
        );
        assert_eq!(house.keeper.delete("a").expect("asked"), Deletion::NotReady);
    }

    #[test]
    fn what_is_being_recorded_is_not_deleted() {
        let house = House::new();
        let file = house.put("a", RecordingState::Recording, Some(1));
        assert_eq!(house.keeper.delete("a").expect("asked"), Deletion::NotReady);
        house.keeper.look_through(at(100));
        assert!(file.exists());
        assert_eq!(house.listed(), ["a"]);
    }

    #[test]
    fn what_was_kept_for_long_enough_is_deleted_and_the_rest_stays() {
        let house = House::new();
        let old = house.put("old", RecordingState::Ready, Some(100));
        let young = house.put("young", RecordingState::Ready, Some(102));
        house.keeper.look_through(at(101));
        assert!(!old.exists() && young.exists());
        assert_eq!(house.listed(), ["young"]);
    }

    /// A crash may come after each step: the decision is in the store; the files are gone in part; they are gone.
    #[test]
    fn a_deletion_that_a_crash_interrupted_is_finished_at_the_next_start() {
        for step in 0..3 {
            let house = House::new();
            let file = house.put("a", RecordingState::Ready, None);
            let folder = file.parent().expect("a folder").to_owned();
            std::fs::write(folder.join("more"), "x").expect("written");
            assert!(house.store.begin_deletion("a").expect("begun"));
            if step > 0 {
                std::fs::remove_file(&file).expect("removed");
            }
            if step > 1 {
                std::fs::remove_dir_all(&folder).expect("removed");
            }
            assert_eq!(house.listed(), Vec::<String>::new());
            let next = Keeper::new(
                house.folder.path().to_owned(),
                house.store.clone(),
                Outdated::All,
            );
            next.look_through(at(0));
            assert!(!folder.exists(), "after step {step}");
            assert_eq!(
                house.store.deletions().expect("listed"),
                Vec::<String>::new()
            );
            assert_eq!(next.deleted(), 1);
        }
    }

    #[test]
    fn files_that_cannot_be_removed_are_tried_again_while_nobody_finds_the_recording() {
        let house = House::new();
        let file = house.put("a", RecordingState::Ready, None);
        // A file where the folder of all recordings is: nothing below it can be opened or removed.
        let all = house.folder.path().join("recordings");
        let aside = house.folder.path().join("aside");
        std::fs::rename(&all, &aside).expect("moved");
        std::fs::write(&all, "in the way").expect("written");
        assert_eq!(house.keeper.delete("a").expect("asked"), Deletion::Begun);
        assert_eq!((house.listed(), house.keeper.failed()), (Vec::new(), 1));
        std::fs::remove_file(&all).expect("removed");
        std::fs::rename(&aside, &all).expect("moved back");
        house.keeper.look_through(at(0));
        assert!(!file.exists());
        assert_eq!((house.keeper.deleted(), house.keeper.failed()), (1, 1));
    }
}
