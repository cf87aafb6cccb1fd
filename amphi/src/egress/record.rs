//! Recording: a program's parts appended to one file that is whole after every append.
//!
//! [`Recorder`] is what the program's thread holds: it never blocks. A thread of its own feeds a `Tape`, which knows
//! what to do when the disk does not, and another one waits for the disk's syncs, so that what is written never waits
//! behind them; [`recover`] finishes at start-up what a crash has left open.

mod beside;
mod disk;
pub mod export;
mod keep;
mod tape;
pub mod timeline;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use amphi_media::Codec;
use amphi_mux::recording::Writer;
use amphi_mux::{Init, Output, recording};
use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, select_biased};
use tracing::{info, warn};

use super::Kind;
use crate::store::{Recording, RecordingState, Release, Store};
use disk::FileDisk;
use tape::{Open, Tape};

pub use beside::{Beside, TrackFile, TrackOf, track_file, tracks};
pub use disk::RecordingFile;
pub use keep::{Deletion, Keeper};

pub const KIND: Kind = Kind {
    name: "record",
    summary: "Records the program into a crash-safe MP4 file in the data folder.",
    codecs: &[Codec::H264, Codec::Aac],
    options: &[],
};

/// What waits for the disk at most: some ten seconds of program (twenty parts a second), and never more bytes than this.
/// Beyond it there is a gap in the recording.
const QUEUE_MAX: usize = 256;
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long something written may wait for its sync to begin.
const SYNC_AFTER: Duration = Duration::from_millis(200);

/// How long closing a recording waits for what stands beside the program.
const BESIDE_MAX: Duration = Duration::from_secs(4);

/// How often, and how far apart, the store is asked to take what a closed recording comes to: a full disk may be cleared.
const LAST_TRIES: u32 = 60;
const LAST_TRY_AFTER: Duration = Duration::from_secs(1);

/// How often the store is told how long the recording is by now.
const ROW_INTERVAL: Duration = Duration::from_secs(10);

/// The longest part of a room's name that goes into an id.
const SLUG_MAX: usize = 40;

/// What a recorder is to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// See [`new_id`].
    pub id: String,
    pub room: String,
    pub data_dir: PathBuf,
    pub started: SystemTime,
    pub release: Release,
    /// Every member's tracks are recorded as they are sent, too.
    pub tracks: bool,
    /// Unix time of the programme clock's zero, in milliseconds.
    pub zero_unix_ms: i64,
    pub gauge: Arc<Gauge>,
}

/// What becomes of recordings that nobody has decided about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Everybody may watch them.
    pub published: bool,
    /// None: for ever.
    pub keep_for: Option<Duration>,
    /// Every member's tracks are recorded too, unless somebody says otherwise.
    pub tracks: bool,
}

impl Plan {
    /// What is written down for a recording that begins at `started`.
    pub fn release(&self, started: SystemTime) -> Release {
        Release {
            published: self.published,
            keep_until: self.keep_for.and_then(|span| started.checked_add(span)),
        }
    }
}

/// How a recording is doing, to be read by anybody.
#[derive(Debug, Default)]
pub struct Gauge {
    gaps: AtomicU64,
    bytes: AtomicU64,
    duration_ms: AtomicU64,
    io_errors: AtomicU64,
    outputs_missed: AtomicU64,
    queued_bytes: AtomicUsize,
    tracks: AtomicU64,
    beside_bytes: AtomicUsize,
    beside_missed: AtomicU64,
    beside_io_errors: AtomicU64,
    trouble: Mutex<Option<ErrorKind>>,
}

impl Gauge {
    /// Places where something is missing.
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How much of the program is in the file.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms.load(Ordering::Relaxed))
    }

    pub fn io_errors(&self) -> u64 {
        self.io_errors.load(Ordering::Relaxed)
    }

    /// Outputs of the program that were not recorded, because the disk was too slow.
    pub fn outputs_missed(&self) -> u64 {
        self.outputs_missed.load(Ordering::Relaxed)
    }

    /// Files of members' tracks.
    pub fn tracks(&self) -> u64 {
        self.tracks.load(Ordering::Relaxed)
    }

    /// Frames of members' tracks and lines of the timeline that were not recorded: the disk was too slow, there were too
    /// many tracks, or they are coded in a way that is not written.
    pub fn beside_missed(&self) -> u64 {
        self.beside_missed.load(Ordering::Relaxed)
    }

    /// Writes that failed, beside the program.
    pub fn beside_io_errors(&self) -> u64 {
        self.beside_io_errors.load(Ordering::Relaxed)
    }

    /// Why nothing can be written at present; it is tried again every second.
    pub fn trouble(&self) -> Option<ErrorKind> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Message {
    Output(Output),
    /// Outputs before this are missing; these initialization sections are in force.
    Missed(Vec<Init>),
}

/// The program's end of a recording. Dropping it closes the recording.
pub struct Recorder {
    queue: Sender<Message>,
    beside: Beside,
    gauge: Arc<Gauge>,
    /// The queue was full; nothing goes in until half of it is free.
    full: bool,
    /// What the recorder has not been told while it was full.
    owed_inits: Vec<Init>,
}

impl Recorder {
    /// Starts the recorder's threads, which hold `alive` until the recording is closed. `zero` is the programme clock's zero.
    pub fn start<A: Send + 'static>(
        order: Order,
        zero: Instant,
        store: Arc<dyn Store>,
        alive: A,
    ) -> std::io::Result<Self> {
        let path = file_path(&order.data_dir, &order.id);
        let open =
            move || FileDisk::create(&path).map(|disk| Box::new(disk) as Box<dyn disk::Disk>);
        Self::start_on(Box::new(open), order, zero, store, alive)
    }

    fn start_on<A: Send + 'static>(
        open: Open,
        order: Order,
        zero: Instant,
        store: Arc<dyn Store>,
        alive: A,
    ) -> std::io::Result<Self> {
        let (queue, messages) = crossbeam_channel::bounded(QUEUE_MAX);
        let gauge = order.gauge.clone();
        let syncer = Syncer::start()?;
        let (beside, beside_closed) = Beside::start(&order, zero)?;
        std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || {
                record(open, order, &messages, &beside_closed, &*store, &syncer);
                drop(alive);
            })?;
        Ok(Self {
            queue,
            beside,
            gauge,
            full: false,
            owed_inits: Vec::new(),
        })
    }

    /// What is recorded beside the program.
    pub fn beside(&mut self) -> &mut Beside {
        &mut self.beside
    }

    /// Takes what the packager put out. Never blocks.
    pub fn push(&mut self, output: &Output) {
        if self.full {
            self.owe(output);
            let has_room = self.queue.len() <= QUEUE_MAX / 2
                && self.gauge.queued_bytes.load(Ordering::Relaxed) <= QUEUE_BYTES_MAX / 2;
            if has_room {
                self.full = self
                    .queue
                    .try_send(Message::Missed(std::mem::take(&mut self.owed_inits)))
                    .is_err();
            }
            return;
        }
        let bytes = size(output);
        let queued = self.gauge.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = queued + bytes <= QUEUE_BYTES_MAX
            && match self.queue.try_send(Message::Output(output.clone())) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => false,
                // The recorder's thread is gone, which it has said itself.
                Err(TrySendError::Disconnected(_)) => false,
            };
        if !sent {
            self.gauge.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.full = true;
            self.owe(output);
        }
    }

    fn owe(&mut self, output: &Output) {
        self.gauge.outputs_missed.fetch_add(1, Ordering::Relaxed);
        if let Output::Init(init) = output {
            self.owed_inits
                .retain(|owed| owed.rendition != init.rendition);
            self.owed_inits.push(init.clone());
        }
    }
}

fn size(output: &Output) -> usize {
    match output {
        Output::Init(init) => init.bytes.len(),
        Output::Part(part) => part.bytes.len(),
        Output::Left(_) | Output::End => 0,
    }
}

/// The thread that waits for the disk.
struct Syncer {
    begun: Sender<disk::Sync>,
    ended: Receiver<std::io::Result<()>>,
}

impl Syncer {
    fn start() -> std::io::Result<Self> {
        let (begun, syncs) = crossbeam_channel::bounded::<disk::Sync>(1);
        let (results, ended) = crossbeam_channel::bounded(1);
        std::thread::Builder::new()
            .name("recorder sync".to_owned())
            .spawn(move || {
                for sync in syncs {
                    if results.send(sync()).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { begun, ended })
    }

    fn begin(&self, sync: disk::Sync) {
        // There is one at a time, so there is always room.
        let _ = self.begun.try_send(sync);
    }

    /// What came of the sync that was begun.
    fn wait(&self) -> std::io::Result<()> {
        self.ended
            .recv()
            .expect("the sync's thread outlives this one")
    }
}

/// The recorder's thread.
fn record(
    open: Open,
    order: Order,
    messages: &Receiver<Message>,
    beside_closed: &Receiver<()>,
    store: &dyn Store,
    syncer: &Syncer,
) {
    let gauge = order.gauge.clone();
    let id = order.id.clone();
    let tape = Tape::new(Writer::new(order.zero_unix_ms), open, SYNC_AFTER);
    let mut row = Row {
        started: order.started,
        order,
        store,
        written: None,
    };
    let recorded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(tape, &mut row, messages, beside_closed, &gauge, syncer)
    }));
    if recorded.is_err() {
        tracing::error!(
            recording = tag(&id),
            "the recorder broke; what it wrote is kept"
        );
        match finish_left_open(
            &row.order.data_dir,
            &row.recording(RecordingState::Recording, Duration::ZERO),
        ) {
            Ok(recording) => row.put(recording),
            Err(error) => warn!(recording = tag(&id), "cannot be read back: {error:#}"),
        }
    }
}

fn run(
    mut tape: Tape,
    row: &mut Row<'_>,
    messages: &Receiver<Message>,
    beside_closed: &Receiver<()>,
    gauge: &Gauge,
    syncer: &Syncer,
) {
    loop {
        let wait = match tape.sync_due() {
            Some(due) => crossbeam_channel::at(due),
            None => crossbeam_channel::never(),
        };
        select_biased! {
            recv(syncer.ended) -> result => {
                tape.end_sync(Instant::now(), result.expect("the sync's thread outlives this one"));
            }
            recv(messages) -> message => match message {
                Ok(Message::Output(output)) => {
                    gauge.queued_bytes.fetch_sub(size(&output), Ordering::Relaxed);
                    tape.push(Instant::now(), &output);
                }
                Ok(Message::Missed(inits)) => {
                    tape.miss();
                    for init in inits {
                        tape.push(Instant::now(), &Output::Init(init));
                    }
                }
                Err(_) => break,
            },
            recv(wait) -> _ => {}
        }
        let now = Instant::now();
        if let Some(sync) = tape.begin_sync(now) {
            syncer.begin(sync);
        }
        read_off(&tape, gauge);
        row.put_if_due(now, &tape);
    }
    if tape.is_syncing() {
        tape.end_sync(Instant::now(), syncer.wait());
    }
    tape.finish(Instant::now());
    read_off(&tape, gauge);
    // What is ready may be deleted or taken elsewhere: nobody writes into its folder any more.
    if beside_closed.recv_timeout(BESIDE_MAX) == Err(RecvTimeoutError::Timeout) {
        warn!(
            recording = tag(&row.order.id),
            "what stands beside the program takes long to be closed"
        );
    }
    if tape.bytes() == 0 {
        info!(
            recording = tag(&row.order.id),
            "nothing to record came, so there is no recording"
        );
        return;
    }
    row.finish(&tape);
}

fn read_off(tape: &Tape, gauge: &Gauge) {
    gauge.gaps.store(tape.gaps(), Ordering::Relaxed);
    gauge.bytes.store(tape.bytes(), Ordering::Relaxed);
    let duration_ms = u64::try_from(tape.duration().as_millis()).unwrap_or(u64::MAX);
    gauge.duration_ms.store(duration_ms, Ordering::Relaxed);
    gauge.io_errors.store(tape.io_errors(), Ordering::Relaxed);
    let mut trouble = gauge.trouble.lock().unwrap_or_else(PoisonError::into_inner);
    let was_failing = trouble.is_some();
    *trouble = tape.trouble();
    drop(trouble);
    if tape.is_failing() && !was_failing {
        warn!(
            "the recording cannot be written, trying again: {}",
            tape.last_error()
        );
    } else if was_failing && !tape.is_failing() {
        info!("the recording is written again");
    }
}

/// The recording's row in the store. It appears once something is in the file.
struct Row<'a> {
    order: Order,
    store: &'a dyn Store,
    /// When the first thing in the file was there; the order's time until then.
    started: SystemTime,
    written: Option<Instant>,
}

impl Row<'_> {
    fn put_if_due(&mut self, now: Instant, tape: &Tape) {
        let due = self
            .written
            .is_none_or(|written| now - written >= ROW_INTERVAL);
        if due && tape.is_begun() {
            self.written = Some(now);
            self.read_start(tape);
            self.put(self.recording(RecordingState::Recording, tape.duration()));
        }
    }

    fn read_start(&mut self, tape: &Tape) {
        let Some(begin) = tape.begin() else { return };
        let unix_ms = self.order.zero_unix_ms + begin.rescale(1_000).ticks;
        self.started = SystemTime::UNIX_EPOCH
            + Duration::from_millis(u64::try_from(unix_ms).unwrap_or_default());
    }

    fn finish(&mut self, tape: &Tape) {
        self.read_start(tape);
        let ready = self.recording(RecordingState::Ready, tape.duration());
        let taken = (1..LAST_TRIES).any(|_| {
            self.store.put_recording(&ready).is_ok() || {
                std::thread::sleep(LAST_TRY_AFTER);
                false
            }
        });
        if !taken {
            self.put(ready);
        }
        info!(
            recording = tag(&self.order.id),
            bytes = tape.bytes(),
            gaps = tape.gaps(),
            "recording closed"
        );
    }

    fn recording(&self, state: RecordingState, duration: Duration) -> Recording {
        let title = match self.store.settings(&self.order.room) {
            Ok(settings) => settings.map(|settings| settings.title).unwrap_or_default(),
            Err(_) => String::new(),
        };
        Recording {
            id: self.order.id.clone(),
            room: self.order.room.clone(),
            title,
            started: self.started,
            duration,
            state,
            size_bytes: self.order.gauge.bytes(),
            gaps: self.order.gauge.gaps(),
            release: self.order.release,
        }
    }

    /// What the store does not take is found in the file at the next start.
    fn put(&self, recording: Recording) {
        if let Err(error) = self.store.put_recording(&recording) {
            warn!(
                recording = tag(&self.order.id),
                "not written into the store: {error}"
            );
        }
    }
}

/// An id for a recording that begins at `started`: `20261122-103000-town-hall-x7k2`. Lower case letters, digits and
/// hyphens only, since it is a folder's name and a part of addresses.
pub fn new_id(room: &str, started: SystemTime) -> String {
    let stamp = humantime::format_rfc3339_seconds(started)
        .to_string()
        .replace(['-', ':', 'Z'], "")
        .replace('T', "-");
    let mut slug = String::new();
    for c in room.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() >= SLUG_MAX {
            break;
        }
    }
    let slug = match slug.trim_end_matches('-') {
        "" => "room",
        slug => slug,
    };
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let tail: String = (0..4)
        .map(|_| char::from(LETTERS[usize::from(rand::random::<u8>()) % LETTERS.len()]))
        .collect();
    format!("{stamp}-{slug}-{tail}")
}

/// Where the file of a recording is. None for what cannot be an id, so that no address leads out of the folder.
pub fn file_of(data_dir: &Path, id: &str) -> Option<PathBuf> {
    let is_id = !id.is_empty()
        && id.len() <= 100
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    is_id.then(|| file_path(data_dir, id))
}

fn file_path(data_dir: &Path, id: &str) -> PathBuf {
    data_dir.join("recordings").join(id).join("program.mp4")
}

/// What logs call a recording: the random end of its id, because the rest of it is the room's name.
fn tag(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or_default()
}

/// Finishes what a crash has left open: the store is told what of it is whole. Once, at start-up,
/// before anything is recorded. How many there were.
pub fn recover(data_dir: &Path, store: &dyn Store) -> anyhow::Result<usize> {
    let unfinished = store
        .unfinished_recordings()
        .context("asking for recordings that were left open")?;
    for left in &unfinished {
        match finish_left_open(data_dir, left) {
            Ok(recording) => {
                info!(
                    recording = tag(&recording.id),
                    bytes = recording.size_bytes,
                    "recording recovered"
                );
                store
                    .put_recording(&recording)
                    .context("writing down a recovered recording")?;
            }
            Err(error) => warn!(recording = tag(&left.id), "cannot be recovered: {error:#}"),
        }
    }
    Ok(unfinished.len())
}

fn finish_left_open(data_dir: &Path, left: &Recording) -> anyhow::Result<Recording> {
    let ready = |duration, size_bytes, gaps| Recording {
        state: RecordingState::Ready,
        duration,
        size_bytes,
        gaps,
        ..left.clone()
    };
    let path = file_of(data_dir, &left.id).context("this is no id of a recording")?;
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(ready(Duration::ZERO, 0, left.gaps));
        }
        Err(error) => return Err(error).context("opening the file"),
    };
    // A torn end stays where it is: players pass over it, and what cannot be read today may be whole tomorrow.
    let file = RecordingFile::new(file).context("asking for the file's length")?;
    let sum = recording::sum(&file);
    Ok(ready(sum.duration, sum.good_bytes, u64::from(sum.gaps)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::codec::film;
    use crate::store::{
        Announced, Complaint, Export, Outdated, ReleaseChange, Report, RoomSettings, SqliteStore,
        StoreError, Unpublished, Which,
    };

    const ALL: Which = Which {
        room: None,
        unpublished_of: Unpublished::OfEveryRoom,
    };

    fn order(data_dir: &Path, id: &str) -> Order {
        Order {
            id: id.to_owned(),
            room: "hall".to_owned(),
            data_dir: data_dir.to_owned(),
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_343_400),
            release: Release::default(),
            tracks: false,
            zero_unix_ms: 1_795_343_400_000,
            gauge: Arc::default(),
        }
    }

    fn store(data_dir: &Path) -> Arc<SqliteStore> {
        Arc::new(
            SqliteStore::open(&data_dir.join("amphi.db"))
                .expect("an empty folder takes a database"),
        )
    }

    /// Waits until the recorder's thread has ended.
    struct Closed(crossbeam_channel::Receiver<()>);

    impl Closed {
        fn new() -> (crossbeam_channel::Sender<()>, Self) {
            let (alive, ended) = crossbeam_channel::bounded(0);
            (alive, Self(ended))
        }

        fn wait(self) {
            let ended = self.0.recv_timeout(Duration::from_secs(20));
            assert_eq!(
                ended,
                Err(RecvTimeoutError::Disconnected),
                "the recorder ends"
            );
        }
    }

    #[test]
    fn an_id_is_a_safe_name_whatever_the_room_is_called() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_343_400);
        let id = new_id("Town Hall", at);
        assert!(id.starts_with("20261122-103000-town-hall-"), "{id}");
        for room in [
            "",
            "../../etc",
            "été 2026",
            "会議",
            "a~b_c.d",
            &"x".repeat(128),
            "<script>",
        ] {
            let id = new_id(room, at);
            assert!(file_of(Path::new("/data"), &id).is_some(), "{id}");
            assert!(id.len() <= 16 + SLUG_MAX + 6 && !id.contains("--"), "{id}");
        }
        assert_ne!(new_id("a", at), new_id("a", at));
    }

    #[test]
    fn what_is_no_id_has_no_file() {
        for id in [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            "A",
            "a\0",
            "a b",
            "é",
            &"a".repeat(101),
        ] {
            assert_eq!(file_of(Path::new("/data"), id), None, "{id:?}");
        }
        let file = file_of(Path::new("/data"), "20261122-a");
        assert_eq!(
            file,
            Some(PathBuf::from("/data/recordings/20261122-a/program.mp4"))
        );
    }

    #[test]
    fn a_recording_is_listed_while_it_grows_and_ready_when_it_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let (alive, closed) = Closed::new();
        let order = order(folder.path(), "20261122-hall");
        let mut recorder =
            Recorder::start(order.clone(), Instant::now(), store.clone(), alive).expect("a thread");
        // As slowly as the disk takes it: what a queue of ten seconds does is another test.
        for output in film::packaged(5) {
            recorder.push(&output);
            std::thread::sleep(Duration::from_millis(5));
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while store.recording("20261122-hall").expect("a store").is_none() {
            assert!(Instant::now() < deadline, "it is listed");
            std::thread::sleep(Duration::from_millis(20));
        }
        let listed = store
            .recording("20261122-hall")
            .expect("a store")
            .expect("it was there");
        assert_eq!(listed.state, RecordingState::Recording);
        drop(recorder);
        closed.wait();
        let ready = store
            .recording("20261122-hall")
            .expect("a store")
            .expect("it was there");
        assert_eq!(
            (ready.state, ready.gaps, ready.room.as_str()),
            (RecordingState::Ready, 0, "hall")
        );
        assert!(
            ready.duration > Duration::from_secs(4),
            "{:?}",
            ready.duration
        );
        let file = file_of(folder.path(), "20261122-hall").expect("an id");
        assert_eq!(
            std::fs::metadata(file).expect("a file").len(),
            ready.size_bytes
        );
    }

    #[test]
    fn when_nothing_comes_there_is_no_recording_and_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let (alive, closed) = Closed::new();
        drop(
            Recorder::start(
                order(folder.path(), "20261122-empty"),
                Instant::now(),
                store.clone(),
                alive,
            )
            .expect("a thread"),
        );
        closed.wait();
        assert_eq!(store.recordings(&ALL).expect("a store"), []);
        assert!(!folder.path().join("recordings").exists());
    }

    #[test]
    fn what_a_crash_left_open_is_ready_after_the_next_start_and_keeps_every_byte() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let order = order(folder.path(), "20261122-crash");
        let path = file_of(folder.path(), &order.id).expect("an id");
        // The tape alone: nobody closes it, as after kill -9.
        let open_path = path.clone();
        let open =
            move || FileDisk::create(&open_path).map(|disk| Box::new(disk) as Box<dyn disk::Disk>);
        let mut tape = Tape::new(Writer::new(order.zero_unix_ms), Box::new(open), SYNC_AFTER);
        for output in film::packaged(5) {
            tape.push(Instant::now(), &output);
        }
        let row = Row {
            started: order.started,
            order,
            store: &*store,
            written: None,
        };
        row.put(row.recording(RecordingState::Recording, Duration::ZERO));
        let whole = std::fs::read(&path).expect("the file");
        let torn = &whole[..whole.len() - 100];
        std::fs::write(&path, torn).expect("the file");

        assert_eq!(recover(folder.path(), &*store).expect("a store"), 1);
        let ready = store
            .recording("20261122-crash")
            .expect("a store")
            .expect("it is listed");
        assert_eq!(ready.state, RecordingState::Ready);
        assert!(
            ready.duration > Duration::from_millis(3_900),
            "{:?}",
            ready.duration
        );
        assert!(
            ready.size_bytes < torn.len() as u64,
            "the torn end does not count"
        );
        assert_eq!(
            std::fs::read(&path).expect("the file"),
            torn,
            "and stays: reading must never cost a byte"
        );
        assert_eq!(
            recover(folder.path(), &*store).expect("a store"),
            0,
            "once is enough"
        );
    }

    #[test]
    fn a_recording_whose_file_is_gone_is_ready_and_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let order = order(folder.path(), "20261122-gone");
        let row = Row {
            started: order.started,
            order,
            store: &*store,
            written: None,
        };
        row.put(row.recording(RecordingState::Recording, Duration::from_secs(5)));
        recover(folder.path(), &*store).expect("a store");
        let ready = store
            .recording("20261122-gone")
            .expect("a store")
            .expect("it is listed");
        assert_eq!(
            (ready.state, ready.duration, ready.size_bytes),
            (RecordingState::Ready, Duration::ZERO, 0)
        );
    }

    /// A store on a disk that is full for a while.
    struct FullStore(Arc<SqliteStore>, std::sync::atomic::AtomicU32);

    impl Store for FullStore {
        fn settings(&self, room: &str) -> Result<Option<RoomSettings>, StoreError> {
            self.0.settings(room)
        }

        fn put_settings(&self, room: &str, settings: &RoomSettings) -> Result<(), StoreError> {
            self.0.put_settings(room, settings)
        }

        fn announced(
            &self,
            from: SystemTime,
            now: SystemTime,
        ) -> Result<Vec<Announced>, StoreError> {
            self.0.announced(from, now)
        }

        fn end_announcement(&self, room: &str, until: SystemTime) -> Result<(), StoreError> {
            self.0.end_announcement(room, until)
        }

        fn put_report(&self, complaint: &Complaint) -> Result<u64, StoreError> {
            self.0.put_report(complaint)
        }

        fn reports(&self, room: &str) -> Result<Vec<Report>, StoreError> {
            self.0.reports(room)
        }

        fn delete_report(&self, room: &str, id: u64) -> Result<bool, StoreError> {
            self.0.delete_report(room, id)
        }

        fn put_recording(&self, recording: &Recording) -> Result<(), StoreError> {
            let is_full = recording.state == RecordingState::Ready
                && self
                    .1
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok();
            match is_full {
                true => Err(StoreError::Newer { found: 2, known: 1 }),
                false => self.0.put_recording(recording),
            }
        }

        fn recording(&self, id: &str) -> Result<Option<Recording>, StoreError> {
            self.0.recording(id)
        }

        fn recordings(&self, which: &Which) -> Result<Vec<Recording>, StoreError> {
            self.0.recordings(which)
        }

        fn release(&self, id: &str, change: &ReleaseChange) -> Result<bool, StoreError> {
            self.0.release(id, change)
        }

        fn settle_undecided(&self, published: bool) -> Result<u64, StoreError> {
            self.0.settle_undecided(published)
        }

        fn begin_deletion(&self, id: &str) -> Result<bool, StoreError> {
            self.0.begin_deletion(id)
        }

        fn end_deletion(&self, id: &str) -> Result<(), StoreError> {
            self.0.end_deletion(id)
        }

        fn deletions(&self) -> Result<Vec<String>, StoreError> {
            self.0.deletions()
        }

        fn outdated(&self, now: SystemTime, which: &Outdated) -> Result<Vec<String>, StoreError> {
            self.0.outdated(now, which)
        }

        fn export(&self, id: &str) -> Result<Option<Export>, StoreError> {
            self.0.export(id)
        }

        fn put_export(&self, id: &str, export: &Export) -> Result<(), StoreError> {
            self.0.put_export(id, export)
        }

        fn exports_due(&self, now: SystemTime, place: &str) -> Result<Vec<String>, StoreError> {
            self.0.exports_due(now, place)
        }

        fn exported(&self, place: &str) -> Result<Vec<String>, StoreError> {
            self.0.exported(place)
        }

        fn retry_exports(&self) -> Result<(), StoreError> {
            self.0.retry_exports()
        }

        fn unfinished_recordings(&self) -> Result<Vec<Recording>, StoreError> {
            self.0.unfinished_recordings()
        }
    }

    #[test]
    fn a_store_that_is_full_when_a_recording_is_closed_is_told_when_it_is_not_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let sqlite = store(folder.path());
        let full = Arc::new(FullStore(sqlite.clone(), 2.into()));
        let (alive, closed) = Closed::new();
        let order = order(folder.path(), "20261122-full");
        let mut recorder = Recorder::start(order, Instant::now(), full, alive).expect("a thread");
        for output in film::packaged(2) {
            recorder.push(&output);
        }
        drop(recorder);
        closed.wait();
        let ready = sqlite.recording("20261122-full").expect("a store");
        assert_eq!(ready.expect("it is listed").state, RecordingState::Ready);
    }

    /// A disk that writes when it is let: as slow as a test likes, on any machine.
    struct SlowDisk {
        let_write: Receiver<()>,
        file: FileDisk,
    }

    impl disk::Disk for SlowDisk {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
            // An error: nobody holds it back any more.
            let _ = self.let_write.recv();
            self.file.write_at(offset, bytes)
        }

        fn truncate(&mut self, length: u64) -> std::io::Result<()> {
            self.file.truncate(length)
        }

        fn sync(&self) -> disk::Sync {
            self.file.sync()
        }
    }

    /// It takes half of what comes: a push that waited for it would wait for ever here, since who pushes lets it write.
    #[test]
    fn a_disk_that_is_too_slow_costs_gaps_and_never_holds_up_the_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let (alive, closed) = Closed::new();
        let order = order(folder.path(), "20261122-slow");
        let path = file_of(folder.path(), &order.id).expect("an id");
        let (permits, let_write) = crossbeam_channel::bounded(0);
        let open_path = path.clone();
        let open = move || {
            let (let_write, file) = (let_write.clone(), FileDisk::create(&open_path)?);
            Ok(Box::new(SlowDisk { let_write, file }) as Box<dyn disk::Disk>)
        };
        let gauge = order.gauge.clone();
        let mut recorder =
            Recorder::start_on(Box::new(open), order, Instant::now(), store.clone(), alive)
                .expect("a thread");
        let outputs = film::recorded(60);
        for (index, output) in outputs.iter().enumerate() {
            recorder.push(output);
            assert!(recorder.queue.len() <= QUEUE_MAX);
            if index % 2 == 0 {
                // Not for long: before a key frame there may be nothing to write.
                let _ = permits.send_timeout((), Duration::from_millis(20));
            }
        }
        drop((permits, recorder));
        closed.wait();
        let ready = store
            .recording("20261122-slow")
            .expect("a store")
            .expect("it is listed");
        let scan = recording::scan(
            &RecordingFile::new(std::fs::File::open(path).expect("a file")).expect("a file"),
        );
        let missed = gauge.outputs_missed();
        println!("{missed} of {} missed, {} gaps", outputs.len(), ready.gaps);
        assert!(missed > 0 && ready.gaps > 0);
        assert_eq!((gauge.io_errors(), ready.state), (0, RecordingState::Ready));
        assert!(scan.playable && scan.good_bytes == ready.size_bytes);
        // One after which no key frame came any more is not marked.
        assert!((1..=ready.gaps).contains(&u64::from(scan.gaps())));
        assert!(scan.fragments.len() > QUEUE_MAX, "what was taken is there");
    }

    /// A disk on which writes wait for a lock.
    struct HangingDisk {
        hangs: Arc<Mutex<()>>,
        file: FileDisk,
    }

    impl disk::Disk for HangingDisk {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
            drop(self.hangs.lock());
            self.file.write_at(offset, bytes)
        }

        fn truncate(&mut self, length: u64) -> std::io::Result<()> {
            self.file.truncate(length)
        }

        fn sync(&self) -> disk::Sync {
            self.file.sync()
        }
    }

    #[test]
    fn a_disk_that_hangs_never_holds_up_the_program_and_leaves_a_marked_gap() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let (alive, closed) = Closed::new();
        let order = order(folder.path(), "20261122-hangs");
        let path = file_of(folder.path(), &order.id).expect("an id");
        let hangs = Arc::new(Mutex::new(()));
        let (opened, open_path) = (hangs.clone(), path.clone());
        let open = move || {
            let file = FileDisk::create(&open_path)?;
            Ok(Box::new(HangingDisk {
                hangs: opened.clone(),
                file,
            }) as Box<dyn disk::Disk>)
        };
        let gauge = order.gauge.clone();
        let mut recorder =
            Recorder::start_on(Box::new(open), order, Instant::now(), store.clone(), alive)
                .expect("a thread");
        let outputs = film::recorded(40);
        let (before, rest) = outputs.split_at(outputs.len() / 4);
        let (during, after) = rest.split_at(rest.len() / 2);
        for output in before {
            recorder.push(output);
            std::thread::sleep(Duration::from_millis(2));
        }
        let hanging = hangs.lock().expect("nobody panicked");
        let start = Instant::now();
        for output in during {
            recorder.push(output);
        }
        assert!(
            start.elapsed() < Duration::from_millis(200),
            "pushing took {:?}",
            start.elapsed()
        );
        assert!(gauge.outputs_missed() > 0 && recorder.queue.len() <= QUEUE_MAX);
        drop(hanging);
        for output in after {
            recorder.push(output);
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(recorder);
        closed.wait();
        let ready = store
            .recording("20261122-hangs")
            .expect("a store")
            .expect("it is listed");
        assert_eq!((ready.state, ready.gaps), (RecordingState::Ready, 1));
        let scan = recording::scan(
            &RecordingFile::new(std::fs::File::open(path).expect("a file")).expect("a file"),
        );
        assert_eq!(scan.gaps(), 1);
        assert_eq!(scan.good_bytes, ready.size_bytes);
        assert!(
            scan.duration() > Duration::from_secs(38),
            "{:?}",
            scan.duration()
        );
    }
}
