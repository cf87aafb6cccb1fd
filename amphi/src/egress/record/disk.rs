//! The disk of a recording, as a trait so that tests can break it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use amphi_mux::recording::ByteSource;

/// Once it has run without error, what was written before it began is there after a power cut, and so is the file's name.
/// It takes as long as the disk likes, so it is run where nobody waits for it.
pub type Sync = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// One file that is written to.
pub trait Disk: Send {
    /// Writes all of `bytes` at `offset`; after an error any part of it may be there.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    fn sync(&self) -> Sync;
}

/// A file in a folder of its own.
pub struct FileDisk {
    file: Arc<File>,
    /// Folders whose entries are not synced yet, inner one first.
    folders: Arc<Mutex<Vec<PathBuf>>>,
}

impl FileDisk {
    /// Creates the file, and its folder if that is not there. What is in the file already stays.
    pub fn create(path: &Path) -> io::Result<Self> {
        let folders: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .take(3)
            .map(Path::to_owned)
            .collect();
        if let Some(folder) = folders.first() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        Ok(Self {
            file: Arc::new(file),
            folders: Arc::new(Mutex::new(folders)),
        })
    }
}

impl Disk for FileDisk {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> Sync {
        let (file, folders) = (self.file.clone(), self.folders.clone());
        Box::new(move || {
            file.sync_data()?;
            let mut folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
            while let Some(folder) = folders.first() {
                File::open(folder)?.sync_all()?;
                folders.remove(0);
            }
            Ok(())
        })
    }
}

/// A recording's file, to be read by `amphi_mux::recording`. Its length is the one it had when it was opened.
pub struct RecordingFile {
    file: File,
    size: u64,
}

impl RecordingFile {
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    pub fn into_inner(self) -> File {
        self.file
    }
}

impl ByteSource for RecordingFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        self.file.read_exact_at(into, offset).ok()
    }
}
