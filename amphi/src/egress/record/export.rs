//! A copy of every recording elsewhere: in a folder, or in a bucket that speaks S3.
//!
//! What was sent is written into the store piece by piece, so that a failure or a restart goes on from there. A file counts
//! as exported when it was read back and is, byte for byte, what is here; only then may anything here be removed. One
//! recording is sent at a time. This is the one place that tries again; the S3 client does not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use rustix::fs::Advice;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{Keeper, file_of, tag};
use crate::config;
use crate::store::{Export, ExportState, Recording, Store, StoreError};

/// What stands in a bucket beside the files: whose recording it is.
const CARD: &str = "recording.json";
/// Times that an export may fail: with the waits below, half a day. Then it is given up until the next start.
pub const TRIES_MAX: u32 = 20;
/// How long to wait after the first failure; twice as long after each other one.
const RETRY_AFTER: Duration = Duration::from_secs(10);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// A bucket's object has at most 10,000 parts.
const PARTS_MAX: u64 = 9_000;
/// After so many failures an unfinished upload is begun anew: the server may have forgotten it, and say so in words of its own.
const ANEW_EVERY: u32 = 5;
/// How much of a file is read at once.
const READ_BYTES: usize = 1024 * 1024;

/// How files are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Larger files go in parts of this; a part is what a failure costs. Amazon takes no less than 5 MiB.
    pub part_bytes: u64,
    /// Longest time for one request, and so for one part.
    pub request_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            part_bytes: 8 * 1024 * 1024,
            request_max: Duration::from_secs(300),
        }
    }
}

/// Sends what is recorded elsewhere.
pub struct Exporter {
    data_dir: PathBuf,
    store: Arc<dyn Store>,
    keeper: Arc<Keeper>,
    target: Target,
    /// Where all of this goes. What was sent to another place was not sent.
    place: String,
    pace: Pace,
    remove: bool,
    done: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
}

enum Target {
    Folder(PathBuf),
    Bucket {
        name: String,
        bucket: Box<AmazonS3>,
        prefix: String,
    },
}

/// What of a recording is there, by file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Progress(BTreeMap<String, Sent>);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sent {
    /// These parts of it, in order.
    Parts {
        size: u64,
        part_bytes: u64,
        upload: String,
        parts: Vec<String>,
    },
    /// All of it, and it was read back.
    Verified { size: u64 },
}

/// A file of a recording.
enum Source {
    File(PathBuf),
    /// The card is not written here: an export may be what makes room on a full disk.
    Card(Vec<u8>),
}

/// What came back is not what was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Differs(String);

/// One recording on its way.
struct Parcel<'a> {
    exporter: &'a Exporter,
    id: &'a str,
    export: Export,
    progress: Progress,
}

impl Exporter {
    /// None when the configuration names no place.
    ///
    /// # Errors
    /// When the client cannot be made: an endpoint that is no address, for example. When the folder is in the data folder.
    pub fn new(
        config: &config::Export,
        pace: Pace,
        data_dir: PathBuf,
        store: Arc<dyn Store>,
        keeper: Arc<Keeper>,
    ) -> anyhow::Result<Option<Self>> {
        if !config.is_wanted() {
            return Ok(None);
        }
        let target = if config.bucket.is_empty() {
            let folder = config.folder.clone();
            apart(&folder, &data_dir)?;
            Target::Folder(folder)
        } else {
            let prefix = config.prefix.trim_matches('/').to_owned();
            Target::Bucket {
                name: config.bucket.clone(),
                bucket: Box::new(bucket(config, pace)?),
                prefix,
            }
        };
        Ok(Some(Self {
            data_dir,
            store,
            keeper,
            target,
            place: place(config),
            pace,
            remove: config.remove_after_export,
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }))
    }

    /// See [`place`].
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Where everything goes, for people: without addresses and paths.
    pub fn target_words(&self) -> String {
        match &self.target {
            Target::Folder(folder) => {
                let name = folder.file_name().unwrap_or_default();
                format!("the folder {}", name.display())
            }
            Target::Bucket { name, .. } => format!("the bucket {name}"),
        }
    }

    /// Recordings that were exported. Only grows.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Times that the export of a recording failed. Only grows.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Bytes that were sent. Only grows.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Once, at the start: what was given up is tried again.
    pub async fn begin(&self) -> anyhow::Result<()> {
        self.ask(|store| store.retry_exports()).await
    }

    /// Sends everything that is due at `now`, one after the other, and removes what may be removed here.
    pub async fn work(&self, now: SystemTime) -> anyhow::Result<()> {
        let place = self.place.clone();
        for id in self
            .ask(move |store| store.exports_due(now, &place))
            .await?
        {
            self.export(&id, now).await?;
        }
        if self.remove {
            let place = self.place.clone();
            for id in self.ask(move |store| store.exported(&place)).await? {
                let keeper = self.keeper.clone();
                tokio::task::spawn_blocking(move || keeper.delete(&id)).await??;
            }
        }
        Ok(())
    }

    async fn export(&self, id: &str, now: SystemTime) -> anyhow::Result<()> {
        let asked = id.to_owned();
        let found = self
            .ask(move |store| Ok((store.recording(&asked)?, store.export(&asked)?)))
            .await?;
        // It may have been deleted since.
        let (Some(recording), export) = found else {
            return Ok(());
        };
        let export = export.filter(|export| export.place == self.place);
        let export = export.unwrap_or(Export {
            place: self.place.clone(),
            state: ExportState::Waiting,
            tries: 0,
            next: now,
            progress: String::new(),
            note: String::new(),
        });
        let mut parcel = Parcel {
            exporter: self,
            id,
            progress: serde_json::from_str(&export.progress).unwrap_or_default(),
            export,
        };
        match parcel.send(&recording).await {
            Ok(()) => {
                parcel.export.state = ExportState::Done;
                parcel.export.note.clear();
                self.done.fetch_add(1, Ordering::Relaxed);
                info!(recording = tag(id), "recording exported");
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let export = &mut parcel.export;
                export.tries += 1;
                export.next = now + retry_after(export.tries);
                export.note = words(&error);
                if export.tries >= TRIES_MAX {
                    export.state = ExportState::GivenUp;
                }
                warn!(
                    recording = tag(id),
                    tries = export.tries,
                    given_up = export.tries >= TRIES_MAX,
                    "cannot be exported: {error:#}"
                );
            }
        }
        parcel.save().await
    }

    /// Asks the store, on a thread that may wait for a disk.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> anyhow::Result<T> {
        let store = self.store.clone();
        Ok(tokio::task::spawn_blocking(move || ask(&*store)).await??)
    }
}

impl Parcel<'_> {
    async fn send(&mut self, recording: &Recording) -> anyhow::Result<()> {
        let program = file_of(&self.exporter.data_dir, self.id).context("this is no id")?;
        let folder = program.parent().expect("a file is in a folder").to_owned();
        let files = tokio::task::spawn_blocking(move || list(&folder));
        let mut files = files.await?.context("reading the recording's folder")?;
        files.push((CARD.to_owned(), Source::Card(card(recording))));
        for (name, source) in files {
            self.send_file(&name, source)
                .await
                .with_context(|| format!("sending {name}"))?;
        }
        Ok(())
    }

    async fn send_file(&mut self, name: &str, source: Source) -> anyhow::Result<()> {
        let source = Arc::new(source);
        let size = source.size().await?;
        let is_card = matches!(*source, Source::Card(_));
        // A card is small, and what stands on it can change.
        if self.progress.0.get(name) == Some(&Sent::Verified { size }) && !is_card {
            return Ok(());
        }
        let exporter = self.exporter;
        let verified = match &exporter.target {
            Target::Folder(folder) => {
                let (folder, data_dir) = (folder.clone(), exporter.data_dir.clone());
                let name = Path::new(self.id).join(name);
                let copied = tokio::task::spawn_blocking(move || {
                    apart(&folder, &data_dir)?;
                    copy(&source, &folder, &name)
                });
                let copied = copied.await?;
                if copied.is_ok() {
                    exporter.bytes.fetch_add(size, Ordering::Relaxed);
                }
                copied
            }
            Target::Bucket { bucket, prefix, .. } => {
                let at = object_store::path::Path::from_iter(
                    prefix
                        .split('/')
                        .chain([self.id])
                        .chain(name.split('/'))
                        .filter(|part| !part.is_empty()),
                );
                if size <= exporter.pace.part_bytes {
                    let bytes = source.read(0, size).await?;
                    bucket.put(&at, PutPayload::from(bytes)).await?;
                    exporter.bytes.fetch_add(size, Ordering::Relaxed);
                } else {
                    self.send_parts(bucket, &at, name, &source, size).await?;
                }
                verify(bucket, &at, &source, size, exporter.pace.part_bytes).await
            }
        };
        if verified.is_err() {
            // It is sent anew.
            self.progress.0.remove(name);
            return verified;
        }
        self.progress
            .0
            .insert(name.to_owned(), Sent::Verified { size });
        self.save().await
    }

    /// Goes on with an upload that was begun, or begins one.
    async fn send_parts(
        &mut self,
        bucket: &AmazonS3,
        at: &object_store::path::Path,
        name: &str,
        source: &Arc<Source>,
        size: u64,
    ) -> anyhow::Result<()> {
        let part_bytes = self.exporter.pace.part_bytes.max(size.div_ceil(PARTS_MAX));
        let is_stuck = self.export.tries > 0 && self.export.tries.is_multiple_of(ANEW_EVERY);
        let begun = match self.progress.0.get(name) {
            Some(Sent::Parts { upload, .. }) if is_stuck => {
                // If that fails too, the server throws it away when it likes.
                let _ = bucket.abort_multipart(at, upload).await;
                None
            }
            Some(Sent::Parts {
                size: of,
                part_bytes: by,
                upload,
                parts,
            }) if (*of, *by) == (size, part_bytes) => Some((upload.clone(), parts.clone())),
            _ => None,
        };
        let (upload, mut parts) = match begun {
            Some(begun) => begun,
            None => (bucket.create_multipart(at).await?, Vec::new()),
        };
        let count = size.div_ceil(part_bytes);
        while (parts.len() as u64) < count {
            let from = parts.len() as u64 * part_bytes;
            let bytes = source.read(from, part_bytes.min(size - from)).await?;
            let sent = bytes.len() as u64;
            let part = bucket
                .put_part(at, &upload, parts.len(), PutPayload::from(bytes))
                .await;
            let part = match part {
                Ok(part) => part,
                Err(error) => {
                    if let object_store::Error::NotFound { .. } = error {
                        // The server has forgotten the upload.
                        self.progress.0.remove(name);
                    }
                    return Err(error.into());
                }
            };
            self.exporter.bytes.fetch_add(sent, Ordering::Relaxed);
            parts.push(part.content_id);
            let sent = Sent::Parts {
                size,
                part_bytes,
                upload: upload.clone(),
                parts: parts.clone(),
            };
            self.progress.0.insert(name.to_owned(), sent);
            self.save().await?;
        }
        let parts = parts
            .into_iter()
            .map(|content_id| PartId { content_id })
            .collect();
        match bucket.complete_multipart(at, &upload, parts).await {
            Ok(_) => Ok(()),
            // It was completed before, and the answer was lost; or it is forgotten. What is there tells.
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn save(&mut self) -> anyhow::Result<()> {
        self.export.progress =
            serde_json::to_string(&self.progress).expect("a map of text and numbers");
        let (id, export) = (self.id.to_owned(), self.export.clone());
        self.exporter
            .ask(move |store| store.put_export(&id, &export))
            .await
    }
}

/// Where everything goes: told apart from other places by this, and for nobody to read.
pub fn place(config: &config::Export) -> String {
    let config::Export {
        folder,
        bucket,
        endpoint,
        prefix,
        ..
    } = config;
    match bucket.is_empty() {
        true => format!("folder {}", folder.display()),
        false => format!("bucket {endpoint} {bucket}/{}", prefix.trim_matches('/')),
    }
}

fn retry_after(tries: u32) -> Duration {
    RETRY_AFTER
        .saturating_mul(1 << (tries - 1).min(16))
        .min(RETRY_AFTER_MAX)
}

fn bucket(config: &config::Export, pace: Pace) -> anyhow::Result<AmazonS3> {
    let client = ClientOptions::new()
        .with_timeout(pace.request_max)
        .with_connect_timeout(Duration::from_secs(10).min(pace.request_max))
        .with_allow_http(config.endpoint.starts_with("http://"));
    let retry = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_access_key_id(&config.key_id)
        .with_secret_access_key(&config.secret.0)
        .with_retry(retry)
        .with_client_options(client);
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(&config.endpoint);
    }
    builder
        .build()
        .context("making the client for [recording.export]")
}

/// Reads everything back and compares it with what is here. No more is taken than was sent.
async fn verify(
    bucket: &AmazonS3,
    at: &object_store::path::Path,
    source: &Arc<Source>,
    size: u64,
    part_bytes: u64,
) -> anyhow::Result<()> {
    let there = bucket.head(at).await?.size;
    ensure!(
        there == size,
        Differs(format!(
            "the server says that it has {there} bytes, and {size} were sent"
        ))
    );
    let (mut here, mut there) = (Sha256::new(), Sha256::new());
    let mut from = 0;
    while from < size {
        let until = size.min(from + part_bytes);
        here.update(source.read(from, until - from).await?);
        let range = GetOptions {
            range: Some(GetRange::Bounded(from..until)),
            ..GetOptions::default()
        };
        let mut back = bucket.get_opts(at, range).await?.into_stream();
        let mut left = until - from;
        while let Some(bytes) = back.try_next().await? {
            let more = left.checked_sub(bytes.len() as u64);
            left = more.ok_or_else(|| Differs("the server gave back more than it got".into()))?;
            there.update(bytes);
        }
        ensure!(
            left == 0,
            Differs("the server gave back less than it got".into())
        );
        from = until;
    }
    ensure!(
        here.finalize() == there.finalize(),
        Differs("what the server gave back is not what was sent".into())
    );
    Ok(())
}

impl Source {
    async fn size(&self) -> io::Result<u64> {
        match self {
            Source::File(path) => Ok(tokio::fs::metadata(path).await?.len()),
            Source::Card(card) => Ok(card.len() as u64),
        }
    }

    /// A stretch that is there.
    async fn read(self: &Arc<Self>, from: u64, length: u64) -> anyhow::Result<Vec<u8>> {
        let source = self.clone();
        let length = usize::try_from(length).context("a part fits into memory")?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length];
            match &*source {
                Source::File(path) => File::open(path)?.read_exact_at(&mut bytes, from)?,
                Source::Card(card) => {
                    let from = usize::try_from(from).unwrap_or(usize::MAX);
                    let mut rest = card.get(from..).unwrap_or_default();
                    rest.read_exact(&mut bytes)?;
                }
            }
            io::Result::Ok(bytes)
        });
        Ok(read.await??)
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Source::File(path) => Box::new(File::open(path)?),
            Source::Card(card) => Box::new(&card[..]),
        })
    }
}

/// Refuses a folder in the data folder, in which a copy would be what it is a copy of.
fn apart(folder: &Path, data_dir: &Path) -> anyhow::Result<()> {
    // One that is not there yet may be mounted later; it is looked at again before each copy.
    let (Ok(folder), Ok(data_dir)) = (folder.canonicalize(), data_dir.canonicalize()) else {
        return Ok(());
    };
    ensure!(
        !folder.starts_with(&data_dir),
        "[recording.export] folder is in the data folder, where the recordings are already: name one outside of it"
    );
    Ok(())
}

/// Copies a file into the folder so that it is there whole or not at all, and reads it back. Blocks.
fn copy(source: &Source, folder: &Path, name: &Path) -> anyhow::Result<()> {
    // It is not made: where a disk is not mounted, that would fill the one below.
    std::fs::metadata(folder).context("the folder is not there: is its disk mounted?")?;
    let to = folder.join(name);
    let within = to.parent().context("a copy is in a folder")?;
    std::fs::create_dir_all(within)?;
    let partly = to.with_extension("part");
    let written = {
        let mut file = File::create(&partly)?;
        let written = pour(source.open()?, |bytes| file.write_all(bytes))?;
        file.sync_all()?;
        written
    };
    let file = File::open(&partly)?;
    // What the kernel still has in memory proves nothing. It may refuse, and then this is what can be had.
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    ensure!(
        pour(file, |_| Ok(()))? == written,
        Differs("what the folder gives back is not what was written".into())
    );
    std::fs::rename(&partly, &to)?;
    for above in within.ancestors().take_while(|at| at.starts_with(folder)) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// Reads to the end, and says what all of it comes to.
fn pour(mut from: impl Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<[u8; 32]> {
    let mut sum = Sha256::new();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let count = from.read(&mut bytes)?;
        if count == 0 {
            return Ok(sum.finalize().into());
        }
        sum.update(&bytes[..count]);
        to(&bytes[..count])?;
    }
}

/// What went wrong, for people who are not to read the addresses and paths of this house; the log has those.
fn words(error: &anyhow::Error) -> String {
    use object_store::Error as Bucket;
    for cause in error.chain() {
        if cause.is::<Differs>() {
            return "what came back is not what was sent".into();
        }
        if let Some(error) = cause.downcast_ref::<Bucket>() {
            return match error {
                Bucket::Unauthenticated { .. } | Bucket::PermissionDenied { .. } => {
                    "the server does not take our key".into()
                }
                Bucket::NotFound { .. } => {
                    "the server has not got the bucket, or what was sent to it".into()
                }
                _ => "the server cannot be reached, or does not do what it is asked".into(),
            };
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return format!("a file cannot be read or written ({})", error.kind());
        }
    }
    "it failed; the log says why".into()
}

/// What a recording is, for who finds it elsewhere.
fn card(recording: &Recording) -> Vec<u8> {
    let started = humantime::format_rfc3339_millis(recording.started).to_string();
    let card = json!({
        "id": recording.id,
        "room": recording.room,
        "title": recording.title,
        "started": started,
        "duration_s": recording.duration.as_secs_f64(),
        "gaps": recording.gaps,
    });
    serde_json::to_vec_pretty(&card).expect("text and numbers")
}

/// The files of a recording, by their names elsewhere; the program first, since it counts most.
fn list(folder: &Path) -> io::Result<Vec<(String, Source)>> {
    let mut paths = vec![("program.mp4".to_owned(), folder.join("program.mp4"))];
    let timeline = folder.join(super::timeline::FILE);
    if timeline.exists() {
        paths.push((super::timeline::FILE.to_owned(), timeline));
    }
    let mut tracks = Vec::new();
    match std::fs::read_dir(folder.join(super::beside::TRACKS)) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry?;
                if let Ok(name) = entry.file_name().into_string() {
                    let name = format!("{}/{name}", super::beside::TRACKS);
                    tracks.push((name, entry.path()));
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    tracks.sort();
    paths.extend(tracks);
    let files = paths
        .into_iter()
        .map(|(name, path)| (name, Source::File(path)));
    Ok(files.collect())
}
