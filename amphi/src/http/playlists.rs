//! Playlists of recordings, made for people without a token: each is read as far as it is not known yet, by one at a
//! time, and not more often than it is worth.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use amphi_mux::recording::{ByteSource, Reader};
use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::recordings::FILE;
use crate::egress::record::RecordingFile;
use crate::gzip;

/// Recordings whose playlist is remembered.
const KNOWN_MAX: usize = 256;
/// Memory for them; those that nobody asked for the longest go first. The one of a whole day takes some 6 MB.
const KNOWN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Files that are read at once, so that reading long ones leaves the disk to those who write.
const READS_MAX: usize = 2;
/// A recording that grows is looked at that often at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A playlist, and its packed form.
#[derive(Clone, Debug)]
pub struct Listed {
    pub text: Bytes,
    pub packed: Option<Bytes>,
}

/// What is known of recordings, by their file.
pub struct Playlists {
    known: Arc<Lock<Known>>,
    reads: Arc<Semaphore>,
}

#[derive(Default)]
struct Known {
    entries: HashMap<PathBuf, Entry>,
    /// Counts who asked, to tell who asked last.
    asked: u64,
    reads: u64,
}

struct Entry {
    /// Held by who reads; the others wait for what it finds.
    one: Arc<Mutex<One>>,
    asked: u64,
    size_bytes: usize,
}

/// What is known of one recording.
#[derive(Default)]
struct One {
    reader: Reader,
    listed: Option<Listed>,
    /// Of the file, when it was read.
    size: u64,
    looked: Option<Instant>,
}

impl Default for Playlists {
    fn default() -> Self {
        Self {
            known: Arc::default(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        }
    }
}

impl Playlists {
    /// The playlist of a file; of one that is still growing, as it was at most a second ago. None when there is nothing
    /// to play in it.
    pub async fn get(&self, path: PathBuf, growing: bool) -> io::Result<Option<Listed>> {
        let one = self.one(&path);
        let mut one = one.lock_owned().await;
        let fresh = one.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if growing && fresh {
            return Ok(one.listed.clone());
        }
        let read = self.reads.clone().acquire_owned().await;
        let known = self.known.clone();
        // Who asked may go away meanwhile: what was begun is finished, and is known to the next.
        let done = tokio::task::spawn_blocking(move || {
            let looked = one.look(&path);
            drop(read);
            let mut known = held(&known);
            known.reads += u64::from(matches!(looked, Ok(true)));
            known.remember(&path, one.size_bytes());
            looked.map(|_| one.listed.clone())
        });
        done.await.map_err(io::Error::other)?
    }

    /// Kept by who reads a file of a recording, so that not too many do at once.
    pub async fn turn(&self) -> OwnedSemaphorePermit {
        let reads = self.reads.clone();
        reads.acquire_owned().await.expect("it is never closed")
    }

    /// How often a file was read. Only grows.
    pub fn reads(&self) -> u64 {
        held(&self.known).reads
    }

    fn one(&self, path: &Path) -> Arc<Mutex<One>> {
        let mut known = held(&self.known);
        known.asked += 1;
        let asked = known.asked;
        let entry = known
            .entries
            .entry(path.to_owned())
            .or_insert_with(|| Entry {
                one: Arc::default(),
                asked,
                size_bytes: 0,
            });
        entry.asked = asked;
        entry.one.clone()
    }
}

impl Known {
    fn remember(&mut self, path: &Path, size_bytes: usize) {
        if let Some(entry) = self.entries.get_mut(path) {
            entry.size_bytes = size_bytes;
        }
        self.forget(KNOWN_MAX, KNOWN_BYTES_MAX);
    }

    fn forget(&mut self, entries_max: usize, bytes_max: usize) {
        let held = |known: &Self| -> usize {
            let sizes = known.entries.values().map(|entry| entry.size_bytes);
            sizes.sum()
        };
        while self.entries.len() > entries_max || held(self) > bytes_max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.asked);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }
}

impl One {
    /// True when there was something new to read. Blocks.
    fn look(&mut self, path: &Path) -> io::Result<bool> {
        let file = RecordingFile::new(File::open(path)?)?;
        self.looked = Some(Instant::now());
        if self.listed.is_some() && self.size == file.size() {
            return Ok(false);
        }
        self.size = file.size();
        self.reader.read(&file);
        self.listed = self.reader.playlist(FILE).map(|text| {
            let text = Bytes::from(text);
            let packed = gzip::pack(&text);
            Listed { text, packed }
        });
        Ok(true)
    }

    fn size_bytes(&self) -> usize {
        let listed = self.listed.as_ref().map_or(0, |listed| {
            listed.text.len() + listed.packed.as_ref().map_or(0, Bytes::len)
        });
        listed + self.reader.size_bytes()
    }
}

/// The value behind a lock. What a panic has left behind is still read: it is whole after every statement.
fn held<T>(lock: &Lock<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use amphi_media::{MediaKind, MediaTime, Sample};
    use amphi_mux::recording::Writer;
    use amphi_mux::{Packager, PackagerConfig};

    use super::*;

    /// A recording of sound, in pieces as they were appended.
    fn pieces(seconds: i64) -> Vec<Bytes> {
        let mut packager = Packager::new(PackagerConfig::new(&[0x11, 0x90][..]));
        let mut writer = Writer::new(1_700_000_000_000);
        let mut pieces = Vec::new();
        for unit in 0..seconds * 48_000 / 1_024 {
            packager.push(&Sample {
                kind: MediaKind::Audio,
                rung: 0,
                time: MediaTime::new(unit * 1_024, 48_000),
                key: true,
                cut: false,
                data: Bytes::from_static(&[7; 200]),
            });
            while let Some(output) = packager.poll() {
                writer.push(&output);
                pieces.extend(std::iter::from_fn(|| writer.poll()).map(|chunk| chunk.bytes));
            }
        }
        pieces
    }

    struct Growing {
        _folder: tempfile::TempDir,
        path: PathBuf,
        pieces: std::vec::IntoIter<Bytes>,
    }

    impl Growing {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            Self {
                path: folder.path().join("program.mp4"),
                _folder: folder,
                pieces: pieces(12).into_iter(),
            }
        }

        fn grow(&mut self, pieces: usize) {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(&self.path)
                .expect("a file");
            for piece in self.pieces.by_ref().take(pieces) {
                file.write_all(&piece).expect("written");
            }
        }
    }

    fn segments(listed: &Option<Listed>) -> usize {
        let text = &listed.as_ref().expect("something to play").text;
        let text = std::str::from_utf8(text).expect("text");
        text.matches("#EXTINF").count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_that_grows_is_read_once_a_second_at_most_however_many_ask() {
        let mut file = Growing::new();
        let playlists = Playlists::default();
        assert!(playlists.get(file.path.clone(), true).await.is_err());
        file.grow(10);
        tokio::time::advance(LOOK_EVERY).await;
        let many = (0..100).map(|_| playlists.get(file.path.clone(), true));
        let answers = futures_util::future::join_all(many).await;
        let first = segments(answers[0].as_ref().expect("read"));
        assert!(first > 0 && answers.len() == 100);
        assert_eq!(playlists.reads(), 1);
        file.grow(10);
        let look = async || {
            let listed = playlists.get(file.path.clone(), true).await;
            segments(&listed.expect("read"))
        };
        assert_eq!(look().await, first, "it was looked at just now");
        tokio::time::advance(LOOK_EVERY).await;
        let second = look().await;
        assert!(second > first);
        assert_eq!((look().await, playlists.reads()), (second, 2));
        file.grow(10);
        let ready = playlists.get(file.path.clone(), false).await.expect("read");
        assert!(segments(&ready) > second, "what is ready is there at once");
        let again = playlists.get(file.path.clone(), false).await.expect("read");
        assert_eq!((segments(&again), playlists.reads()), (segments(&ready), 3));
    }

    #[tokio::test]
    async fn what_nobody_asked_for_the_longest_is_forgotten_first() {
        let playlists = Playlists::default();
        let paths = ["a", "b", "c"].map(PathBuf::from);
        for path in paths.iter().chain([&paths[0]]) {
            playlists.one(path);
            held(&playlists.known).remember(path, 10);
        }
        let mut known = held(&playlists.known);
        known.forget(2, 100);
        assert!(!known.entries.contains_key(&paths[1]));
        known.forget(2, 19);
        assert_eq!(known.entries.keys().collect::<Vec<_>>(), [&paths[0]]);
    }
}
