//! The segments of long windows on disk: one thread that writes and deletes for all broadcasts, so that no broadcast ever
//! waits for a disk. What cannot be written is counted and leaves its window early; that is all.
//!
//! Files are a folder per broadcast below `data_dir/dvr`, named as in the playlists. They are worth nothing after the broadcast:
//! nothing is synced, and what an earlier run left is deleted at the start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use amphi_mux::Order;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::Semaphore;

use super::Channel;

/// Orders that wait for the disk. A broadcast of six rungs gives three or four a second; their bytes are in memory anyway.
const ORDERS_MAX: usize = 512;
/// Below that much free space nothing is written: what is left is for recordings, which are not made twice.
const FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;
/// Free space is looked at that often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A disk that fails is said that often in the log.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Segments that are read at once.
const READS_MAX: usize = 32;

/// What was done. Counters only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskStats {
    pub written: u64,
    /// Not written, since the disk failed or is nearly full.
    pub failed: u64,
    /// Not written, since `ORDERS_MAX` waited.
    pub refused: u64,
}

pub(super) struct Disk {
    folder: PathBuf,
    orders: Sender<Job>,
    shared: Arc<Shared>,
    reads: Semaphore,
    shelves: AtomicU64,
}

#[derive(Default)]
struct Shared {
    written: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    /// Folders of broadcasts that are over. As many as there are broadcasts; never refused.
    over: Mutex<Vec<PathBuf>>,
}

enum Job {
    Write {
        channel: Weak<Channel>,
        path: PathBuf,
        name: String,
        bytes: Bytes,
    },
    Delete(PathBuf),
    /// Look for broadcasts that are over.
    Clear,
}

/// The folder of one broadcast. Dropping it deletes it.
pub(super) struct Shelf {
    folder: PathBuf,
    orders: Sender<Job>,
    shared: Arc<Shared>,
}

impl Disk {
    /// Starts the thread, which first deletes what is in `folder`.
    pub fn start(folder: PathBuf) -> io::Result<Self> {
        let (orders, jobs) = bounded(ORDERS_MAX);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            folder: folder.clone(),
            shared: shared.clone(),
            has_room: true,
            looked: None,
            said: None,
        };
        std::thread::Builder::new()
            .name("dvr".into())
            .spawn(move || writer.run(&jobs))?;
        Ok(Self {
            folder,
            orders,
            shared,
            reads: Semaphore::new(READS_MAX),
            shelves: AtomicU64::new(0),
        })
    }

    pub fn shelf(&self) -> Shelf {
        let number = self.shelves.fetch_add(1, Ordering::Relaxed);
        Shelf {
            folder: self.folder.join(number.to_string()),
            orders: self.orders.clone(),
            shared: self.shared.clone(),
        }
    }

    /// A segment that was kept.
    pub async fn read(&self, path: &Path) -> io::Result<Bytes> {
        let _read = self.reads.acquire().await.map_err(io::Error::other)?;
        tokio::fs::read(path).await.map(Bytes::from)
    }

    pub fn stats(&self) -> DiskStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskStats {
            written: count(&self.shared.written),
            failed: count(&self.shared.failed),
            refused: count(&self.shared.refused),
        }
    }
}

impl Shelf {
    /// Where a segment is; names are only ever those that a window gave.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Never waits.
    pub fn order(&self, channel: &Arc<Channel>, order: Order) {
        let job = match order {
            Order::Keep { name, bytes } => Job::Write {
                channel: Arc::downgrade(channel),
                path: self.path(&name),
                name,
                bytes,
            },
            Order::Forget { name } => Job::Delete(self.path(&name)),
        };
        // A file that is not deleted is, with its folder.
        if let Err(TrySendError::Full(Job::Write { .. })) = self.orders.try_send(job) {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let folder = std::mem::take(&mut self.folder);
        let mut over = self
            .shared
            .over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        over.push(folder);
        drop(over);
        // If it is full, whatever comes first sees it, too.
        let _ = self.orders.try_send(Job::Clear);
    }
}

struct Writer {
    folder: PathBuf,
    shared: Arc<Shared>,
    has_room: bool,
    looked: Option<Instant>,
    said: Option<Instant>,
}

impl Writer {
    /// Until nobody can give orders any more.
    fn run(mut self, jobs: &Receiver<Job>) {
        self.delete_all(&self.folder.clone());
        for job in jobs {
            match job {
                Job::Write {
                    channel,
                    path,
                    name,
                    bytes,
                } => self.write(&channel, &path, &name, &bytes),
                Job::Delete(path) => delete(&path),
                Job::Clear => {}
            }
            let over = {
                let mut over = self
                    .shared
                    .over
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *over)
            };
            for folder in over {
                self.delete_all(&folder);
            }
        }
    }

    fn write(&mut self, channel: &Weak<Channel>, path: &Path, name: &str, bytes: &[u8]) {
        // The broadcast is over, and so is its folder.
        let Some(channel) = channel.upgrade() else {
            return;
        };
        let written = self.look().and_then(|()| {
            let folder = path.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder)?;
            fs::write(path, bytes)
        });
        if let Err(error) = written {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
            if self.said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                self.said = Some(Instant::now());
                tracing::warn!("viewers cannot go back as far as they should: {error}");
            }
            return delete(path);
        }
        self.shared.written.fetch_add(1, Ordering::Relaxed);
        if !channel.kept(name) {
            delete(path);
        }
    }

    /// Whether there is room for more.
    fn look(&mut self) -> io::Result<()> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            fs::create_dir_all(&self.folder)?;
            let disk = rustix::fs::statvfs(&self.folder)?;
            self.has_room = disk.f_bavail.saturating_mul(disk.f_frsize) >= FREE_BYTES_MIN;
            self.looked = Some(Instant::now());
        }
        if self.has_room {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!(
                "less than {} MiB of the disk are free",
                FREE_BYTES_MIN >> 20
            ),
        ))
    }

    fn delete_all(&self, folder: &Path) {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("segments of a broadcast that is over stay on the disk: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// What cannot be deleted goes with its folder.
fn delete(path: &Path) {
    let _ = fs::remove_file(path);
}
