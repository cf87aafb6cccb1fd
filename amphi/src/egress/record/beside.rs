//! What is recorded beside the program: the timeline, and by choice every member's tracks as they were sent.
//!
//! [`Beside`] is what the program's thread holds: it never blocks. A thread of its own has one tape for each file, and
//! another one waits for the disk's syncs, which are made one after the other. Each file is whole by itself and tells
//! whose it is; [`tracks`] lists them by reading their heads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use amphi_media::{Codec, Frame, MediaKind, MediaTime, TrackId};
use amphi_mux::recording::{self, Chunk, TrackFrame, TrackWriter};
use amphi_studio::clock::{MemberClock, TrackClock};
use crossbeam_channel::{Receiver, Sender, select_biased};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::disk::{Disk, FileDisk};
use super::tape::{Form, Tape};
use super::timeline::{self, Event, Line, Lines};
use super::{Gauge, Order, RecordingFile, Syncer, tag};

/// What waits for the disk at most: two seconds of a full stage. Beyond it frames are left out up to the next key frame, and
/// lines of the timeline are missing.
const QUEUE_MAX: usize = 4_096;
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long something written may wait for its sync to begin: there are many files, and a sync of each takes its time.
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whose sync is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Files of tracks in one recording, and those of them that are written to at a time. Tracks beyond that are left out.
const FILES_MAX: u32 = 2_000;
const OPEN_MAX: usize = 256;
/// Lines that wait for the program's first piece: without one there is no recording, and no folder.
const HELD_MAX: usize = 1_024;
/// The folder of the tracks' files.
pub(super) const TRACKS: &str = "tracks";

/// Whose a track is, as it stands in its file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrackOf {
    pub track: u32,
    pub member: u64,
    pub name: String,
    /// As in [`Event::Track`].
    pub source: String,
    /// As in SDP: "H264", "opus".
    pub codec: String,
}

enum Message {
    Event(Line),
    /// Lines before this are missing.
    Missed,
    Frame {
        frame: Frame,
        of: Arc<TrackOf>,
    },
    Gone(TrackId),
}

/// The program's end of what is recorded beside it. Dropping it closes all files.
pub struct Beside {
    queue: Sender<Message>,
    gauge: Arc<Gauge>,
    has_tracks: bool,
    /// Tracks whose frames are left out up to their next key frame.
    dropping: BTreeSet<TrackId>,
    /// A line could not be handed over.
    owes_gap: bool,
}

impl Beside {
    /// Starts the thread. `zero` is the programme clock's zero. The receiver ends when all files are closed.
    pub fn start(order: &Order, zero: Instant) -> io::Result<(Self, Receiver<()>)> {
        let folder = super::file_path(&order.data_dir, &order.id);
        let folder = folder.parent().expect("a file is in a folder").to_owned();
        let open = Arc::new(|path: &Path| {
            FileDisk::create(path).map(|disk| Box::new(disk) as Box<dyn Disk>)
        });
        Self::start_on(open, folder, order, zero)
    }

    fn start_on(
        open: OpenAt,
        folder: PathBuf,
        order: &Order,
        zero: Instant,
    ) -> io::Result<(Self, Receiver<()>)> {
        let (queue, messages) = crossbeam_channel::bounded(QUEUE_MAX);
        let (alive, closed) = crossbeam_channel::bounded(0);
        let syncer = Syncer::start()?;
        let desk = Desk::new(open, folder, order, zero);
        std::thread::Builder::new()
            .name("recorder beside".to_owned())
            .spawn(move || {
                desk.run(&messages, &syncer);
                drop(alive);
            })?;
        let beside = Self {
            queue,
            gauge: order.gauge.clone(),
            has_tracks: order.tracks,
            dropping: BTreeSet::new(),
            owes_gap: false,
        };
        Ok((beside, closed))
    }

    /// Writes down what happened. Never blocks.
    pub fn event(&mut self, ms: i64, event: Event) {
        if self.owes_gap && self.queue.try_send(Message::Missed).is_ok() {
            self.owes_gap = false;
        }
        let sent = !self.owes_gap
            && self
                .queue
                .try_send(Message::Event(Line { ms, event }))
                .is_ok();
        if !sent {
            self.owes_gap = true;
            self.gauge.beside_missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records a frame, if tracks are recorded. Never blocks. False when the track wants a key frame.
    pub fn frame(&mut self, frame: &Frame, of: &Arc<TrackOf>) -> bool {
        if !self.has_tracks {
            return true;
        }
        let starts = frame.key || frame.codec.kind() == MediaKind::Audio;
        if self.dropping.contains(&frame.track) && !starts {
            self.gauge.beside_missed.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let bytes = frame.data.len();
        let queued = self.gauge.beside_bytes.fetch_add(bytes, Ordering::Relaxed);
        let message = Message::Frame {
            frame: frame.clone(),
            of: of.clone(),
        };
        let sent = queued + bytes <= QUEUE_BYTES_MAX && self.queue.try_send(message).is_ok();
        if sent {
            self.dropping.remove(&frame.track);
        } else {
            self.gauge.beside_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.gauge.beside_missed.fetch_add(1, Ordering::Relaxed);
            self.dropping.insert(frame.track);
        }
        sent
    }

    /// The track will not come any more.
    pub fn track_gone(&mut self, track: TrackId) {
        self.dropping.remove(&track);
        if self.has_tracks {
            // Without room for it, the file is closed with the recording.
            let _ = self.queue.try_send(Message::Gone(track));
        }
    }
}

/// Opens a file for a tape.
type OpenAt = Arc<dyn Fn(&Path) -> io::Result<Box<dyn Disk>> + Send + Sync>;

/// A track's file.
impl Form for TrackWriter {
    type Piece = TrackFrame;

    fn push(&mut self, frame: &TrackFrame) {
        TrackWriter::push(self, frame);
    }

    fn flush(&mut self) {
        TrackWriter::flush(self);
    }

    fn poll(&mut self) -> Option<Chunk> {
        TrackWriter::poll(self)
    }

    fn lost(&mut self, chunk: &Chunk) {
        TrackWriter::lost(self, chunk);
    }

    fn span(frame: &TrackFrame) -> Option<(MediaTime, MediaTime)> {
        Some((frame.time, frame.time))
    }
}

/// What the thread has before it.
struct Desk {
    id: String,
    open: OpenAt,
    folder: PathBuf,
    zero: Instant,
    gauge: Arc<Gauge>,
    timeline: Tape<Lines>,
    /// Lines from before the program's first piece.
    held: Vec<Line>,
    begun: bool,
    files: u32,
    tracks: BTreeMap<TrackId, Track>,
    /// The clocks of members.
    members: BTreeMap<u64, MemberClock>,
    /// Whose sync is under way; none: the timeline's.
    syncing: Option<Option<TrackId>>,
    io_errors: u64,
    was_failing: bool,
}

/// A track that is written.
struct Track {
    codec: Codec,
    clock: TrackClock,
    /// None for a codec that is not written as it was sent.
    tape: Option<Tape<TrackWriter>>,
}

impl Desk {
    fn new(open: OpenAt, folder: PathBuf, order: &Order, zero: Instant) -> Self {
        let (opener, path) = (open.clone(), folder.join(timeline::FILE));
        Self {
            id: order.id.clone(),
            timeline: Tape::new(
                Lines::default(),
                Box::new(move || opener(&path)),
                SYNC_AFTER,
            ),
            open,
            folder,
            zero,
            gauge: order.gauge.clone(),
            held: Vec::new(),
            begun: false,
            files: 0,
            tracks: BTreeMap::new(),
            members: BTreeMap::new(),
            syncing: None,
            io_errors: 0,
            was_failing: false,
        }
    }

    fn run(mut self, messages: &Receiver<Message>, syncer: &Syncer) {
        let look = crossbeam_channel::tick(LOOK_EVERY);
        loop {
            select_biased! {
                recv(syncer.ended) -> result => {
                    self.end_sync(result.expect("the sync's thread outlives this one"));
                }
                recv(look) -> _ => self.look(syncer),
                recv(messages) -> message => match message {
                    Ok(message) => self.take(message),
                    Err(_) => break,
                },
            }
        }
        if self.syncing.is_some() {
            let result = syncer.wait();
            self.end_sync(result);
        }
        self.begin_if_due();
        let now = Instant::now();
        for track in std::mem::take(&mut self.tracks).into_values() {
            self.close(now, track);
        }
        self.timeline.finish(now);
        self.read_off();
    }

    fn take(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            Message::Event(line) if self.begun => self.timeline.push(now, &line),
            Message::Event(line) => {
                if self.held.len() < HELD_MAX {
                    self.held.push(line);
                } else {
                    self.gauge.beside_missed.fetch_add(1, Ordering::Relaxed);
                }
                self.begin_if_due();
            }
            Message::Missed => self.timeline.form().miss(),
            Message::Frame { frame, of } => {
                let bytes = frame.data.len();
                self.gauge.beside_bytes.fetch_sub(bytes, Ordering::Relaxed);
                self.record(now, &frame, &of);
            }
            Message::Gone(track) => {
                // One whose sync is under way is closed with the recording.
                if self.syncing != Some(Some(track))
                    && let Some(track) = self.tracks.remove(&track)
                {
                    self.close(now, track);
                }
            }
        }
    }

    /// The timeline begins with the program.
    fn begin_if_due(&mut self) {
        if !self.begun && self.gauge.bytes() > 0 {
            self.begun = true;
            for line in std::mem::take(&mut self.held) {
                self.timeline.push(Instant::now(), &line);
            }
        }
    }

    fn record(&mut self, now: Instant, frame: &Frame, of: &TrackOf) {
        let other = |track: &Track| track.codec != frame.codec;
        if self.tracks.get(&frame.track).is_some_and(other)
            && self.syncing != Some(Some(frame.track))
        {
            let track = self.tracks.remove(&frame.track).expect("it was there");
            self.close(now, track);
        }
        if !self.tracks.contains_key(&frame.track) {
            let tape = self.new_tape(frame.codec, of);
            let track = Track {
                codec: frame.codec,
                clock: TrackClock::default(),
                tape,
            };
            self.tracks.insert(frame.track, track);
        }
        let track = self.tracks.get_mut(&frame.track).expect("it is there");
        let member = self.members.entry(of.member).or_default();
        let arrived_us = micros(frame.arrived.saturating_duration_since(self.zero));
        let media_us = frame.time.micros();
        track
            .clock
            .observe(member, arrived_us, media_us, frame.sender_time_us);
        let offset_us = track.clock.offset_us(member).unwrap_or(0);
        let Some(tape) = track.tape.as_mut().filter(|_| track.codec == frame.codec) else {
            self.gauge.beside_missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let piece = TrackFrame {
            time: MediaTime::new(media_us.saturating_add(offset_us), 1_000_000),
            key: frame.key,
            contiguous: frame.contiguous,
            size: frame.size,
            data: frame.data.clone(),
        };
        tape.push(now, &piece);
    }

    fn new_tape(&mut self, codec: Codec, of: &TrackOf) -> Option<Tape<TrackWriter>> {
        let open_now = self.tracks.values().filter(|track| track.tape.is_some());
        if self.files >= FILES_MAX || open_now.count() >= OPEN_MAX {
            return None;
        }
        let of = TrackOf {
            codec: codec.name().to_owned(),
            ..of.clone()
        };
        let note = serde_json::to_vec(&of).expect("text and numbers");
        let writer = TrackWriter::new(codec, &note)?;
        self.files += 1;
        let name = format!("{:04}-{}.mp4", self.files, of.source);
        let path = self.folder.join(TRACKS).join(name);
        let opener = self.open.clone();
        self.gauge.tracks.fetch_add(1, Ordering::Relaxed);
        Some(Tape::new(
            writer,
            Box::new(move || opener(&path)),
            SYNC_AFTER,
        ))
    }

    fn close(&mut self, now: Instant, track: Track) {
        if let Some(mut tape) = track.tape {
            tape.finish(now);
            self.io_errors += tape.io_errors();
        }
    }

    /// Begins the sync that is due for the longest, if none is under way.
    fn look(&mut self, syncer: &Syncer) {
        self.begin_if_due();
        self.read_off();
        if self.syncing.is_some() {
            return;
        }
        let now = Instant::now();
        let tracks = self.tracks.iter().filter_map(|(id, track)| {
            let due = track.tape.as_ref()?.sync_due()?;
            Some((due, Some(*id)))
        });
        let timeline = self.timeline.sync_due().map(|due| (due, None));
        let Some((_, whose)) = tracks.chain(timeline).min_by_key(|(due, _)| *due) else {
            return;
        };
        let sync = match whose {
            None => self.timeline.begin_sync(now),
            Some(track) => {
                let track = self.tracks.get_mut(&track).expect("it was just there");
                track.tape.as_mut().and_then(|tape| tape.begin_sync(now))
            }
        };
        if let Some(sync) = sync {
            self.syncing = Some(whose);
            syncer.begin(sync);
        }
    }

    fn end_sync(&mut self, result: io::Result<()>) {
        let now = Instant::now();
        match self.syncing.take() {
            Some(None) => self.timeline.end_sync(now, result),
            Some(Some(track)) => {
                let track = self.tracks.get_mut(&track);
                if let Some(tape) = track.and_then(|track| track.tape.as_mut()) {
                    tape.end_sync(now, result);
                }
            }
            None => {}
        }
    }

    fn read_off(&mut self) {
        let tapes = self.tracks.values().filter_map(|track| track.tape.as_ref());
        let (mut errors, mut failing) = (self.io_errors, None);
        for tape in tapes {
            errors += tape.io_errors();
            failing = failing.or(tape.is_failing().then(|| tape.last_error()));
        }
        errors += self.timeline.io_errors();
        failing = failing.or(self
            .timeline
            .is_failing()
            .then(|| self.timeline.last_error()));
        self.gauge.beside_io_errors.store(errors, Ordering::Relaxed);
        match (failing, self.was_failing) {
            (Some(error), false) => warn!(
                recording = tag(&self.id),
                "what stands beside the program cannot be written, trying again: {error}"
            ),
            (None, true) => info!(
                recording = tag(&self.id),
                "what stands beside the program is written again"
            ),
            (Some(_), true) | (None, false) => {}
        }
        self.was_failing = failing.is_some();
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// One file of a member's track.
#[derive(Clone, PartialEq, Debug)]
pub struct TrackFile {
    /// In the folder of the tracks: `0001-camera.mp4`.
    pub name: String,
    pub of: TrackOf,
    /// Programme time of its first frame.
    pub begin_us: i64,
    /// From its first frame to the end of its last one.
    pub length: Duration,
    pub size_bytes: u64,
}

/// The tracks of a recording, in the order in which they began. None when none were recorded. Blocks.
pub fn tracks(data_dir: &Path, id: &str) -> io::Result<Vec<TrackFile>> {
    let program = super::file_path(data_dir, id);
    let folder = program.with_file_name(TRACKS);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let Some(path) = track_file(data_dir, id, &name) else {
            continue;
        };
        let file = RecordingFile::new(File::open(path)?)?;
        // One without a head has nothing in it yet.
        let Some(about) = recording::about(&file) else {
            continue;
        };
        let Ok(of) = serde_json::from_slice(&about.note) else {
            continue;
        };
        found.push(TrackFile {
            name,
            of,
            begin_us: about.begin_us,
            length: recording::length(&file).unwrap_or_default(),
            size_bytes: recording::ByteSource::size(&file),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Where a track's file is. None for what is no name of one, so that no address leads out of the folder.
pub fn track_file(data_dir: &Path, id: &str, name: &str) -> Option<PathBuf> {
    let (number, source) = name.strip_suffix(".mp4")?.split_once('-')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_source = !source.is_empty()
        && source.len() <= 20
        && source
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let program = super::file_of(data_dir, id)?;
    (is_number && is_source).then(|| program.with_file_name(TRACKS).join(name))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;
    use std::time::SystemTime;

    use amphi_media::Rid;

    use super::*;
    use crate::egress::record::disk;
    use crate::store::Release;

    const ID: &str = "20261122-beside";

    struct World {
        folder: tempfile::TempDir,
        order: Order,
        zero: Instant,
        beside: Option<Beside>,
        closed: Receiver<()>,
    }

    impl World {
        fn new(tracks: bool) -> Self {
            let open =
                |path: &Path| FileDisk::create(path).map(|disk| Box::new(disk) as Box<dyn Disk>);
            Self::on(tracks, Arc::new(open))
        }

        fn on(tracks: bool, open: OpenAt) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let order = Order {
                id: ID.to_owned(),
                room: "hall".into(),
                data_dir: folder.path().to_owned(),
                started: SystemTime::UNIX_EPOCH,
                release: Release::default(),
                tracks,
                zero_unix_ms: 0,
                gauge: Arc::default(),
            };
            // The program has begun.
            order.gauge.bytes.store(1, Ordering::Relaxed);
            let zero = Instant::now();
            let into = folder.path().join("recordings").join(ID);
            let (beside, closed) = Beside::start_on(open, into, &order, zero).expect("two threads");
            Self {
                folder,
                order,
                zero,
                beside: Some(beside),
                closed,
            }
        }

        fn beside(&mut self) -> &mut Beside {
            self.beside.as_mut().expect("it is not closed")
        }

        /// Waits until all files are closed.
        fn close(&mut self) {
            self.beside = None;
            let ended = self.closed.recv_timeout(Duration::from_secs(20));
            assert_eq!(
                ended,
                Err(crossbeam_channel::RecvTimeoutError::Disconnected)
            );
        }

        fn files(&self) -> Vec<TrackFile> {
            tracks(self.folder.path(), ID).expect("read")
        }

        fn lines(&self) -> Vec<Event> {
            let file = self.folder.path().join("recordings").join(ID);
            let read = timeline::read(&file.join(timeline::FILE), 0, 100_000).expect("read");
            read.lines.into_iter().map(|line| line.event).collect()
        }
    }

    fn of(track: u32, name: &str, source: &str) -> Arc<TrackOf> {
        Arc::new(TrackOf {
            track,
            member: u64::from(track) / 10,
            name: name.to_owned(),
            source: source.to_owned(),
            codec: String::new(),
        })
    }

    fn sound(zero: Instant, track: u32, n: u32) -> Frame {
        Frame {
            track: TrackId(track),
            codec: Codec::Opus,
            rid: Rid::NONE,
            rung: 0,
            lower: 0,
            time: MediaTime::new(77_000 + i64::from(n) * 960, 48_000),
            arrived: zero + Duration::from_millis(1_000) + Duration::from_millis(20) * n,
            sender_time_us: None,
            key: true,
            contiguous: true,
            size: None,
            data: vec![0xfc; 60].into(),
        }
    }

    /// 640×360 (RFC 6386 §9.1).
    fn picture(zero: Instant, track: u32, n: u32, key: bool) -> Frame {
        let data = match key {
            true => vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 9],
            false => vec![0x11, 1, 2, 3],
        };
        Frame {
            codec: Codec::Vp8,
            time: MediaTime::new(i64::from(n) * 3_600, 90_000),
            arrived: zero + Duration::from_millis(40) * n,
            key,
            data: data.into(),
            ..sound(zero, track, n)
        }
    }

    #[test]
    fn every_track_has_a_file_that_tells_whose_it_is_and_when_it_began() {
        let mut world = World::new(true);
        let zero = world.zero;
        let (voice, camera) = (of(11, "Ada", "microphone"), of(20, "Bo", "camera"));
        for n in 0..100 {
            world.beside().frame(&sound(zero, 11, n), &voice);
            world
                .beside()
                .frame(&picture(zero, 20, n, n % 25 == 0), &camera);
        }
        world.beside().event(5, Event::Left { member: 2 });
        world.close();
        let files = world.files();
        let told: Vec<_> = files
            .iter()
            .map(|file| {
                let of = &file.of;
                (
                    file.name.as_str(),
                    of.name.as_str(),
                    of.codec.as_str(),
                    file.begin_us,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("0001-microphone.mp4", "Ada", "opus", 1_000_000),
                ("0002-camera.mp4", "Bo", "VP8", 0)
            ]
        );
        assert!(files.iter().all(|file| file.size_bytes > 16 * 1024));
        let lengths: Vec<_> = files.iter().map(|file| file.length.as_millis()).collect();
        assert_eq!(lengths, [2_000, 99 * 40 + 33]);
        assert_eq!(world.lines(), [Event::Left { member: 2 }]);
        assert_eq!(
            (
                world.order.gauge.tracks(),
                world.order.gauge.beside_missed()
            ),
            (2, 0)
        );
    }

    #[test]
    fn without_the_choice_there_is_a_timeline_and_no_track() {
        let mut world = World::new(false);
        let frame = sound(world.zero, 11, 0);
        world.beside().frame(&frame, &of(11, "Ada", "microphone"));
        world.beside().event(1, Event::OnAir { member: Some(1) });
        world.close();
        assert_eq!((world.files(), world.lines().len()), (Vec::new(), 1));
    }

    #[test]
    fn before_the_program_has_begun_nothing_is_written() {
        let mut world = World::new(false);
        world.order.gauge.bytes.store(0, Ordering::Relaxed);
        world.beside().event(1, Event::OnAir { member: None });
        world.close();
        assert!(!world.folder.path().join("recordings").exists());
    }

    #[test]
    fn a_track_that_changes_its_codec_goes_on_in_another_file() {
        let mut world = World::new(true);
        let zero = world.zero;
        let camera = of(20, "Bo", "camera");
        for n in 0..10 {
            world.beside().frame(&picture(zero, 20, n, n == 0), &camera);
        }
        let vp9 = Frame {
            codec: Codec::Vp9,
            size: Some(amphi_media::VideoSize::new(320, 180)),
            ..picture(zero, 20, 10, true)
        };
        world.beside().frame(&vp9, &camera);
        let aac = Frame {
            codec: Codec::Aac,
            ..picture(zero, 21, 0, true)
        };
        world.beside().frame(&aac, &of(21, "Bo", "screen"));
        world.close();
        let codecs: Vec<_> = world
            .files()
            .into_iter()
            .map(|file| file.of.codec)
            .collect();
        assert_eq!(codecs, ["VP8", "VP9"]);
        assert_eq!(world.order.gauge.beside_missed(), 1, "AAC is not written");
    }

    #[derive(Default)]
    struct Hangs {
        lock: Mutex<()>,
        /// A write was begun.
        reached: AtomicBool,
    }

    /// A disk on which writes wait for a lock, or fail.
    struct SlowDisk {
        hangs: Arc<Hangs>,
        fails: Arc<AtomicBool>,
        file: FileDisk,
    }

    impl Disk for SlowDisk {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.hangs.reached.store(true, Ordering::Relaxed);
            drop(self.hangs.lock.lock());
            if self.fails.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.file.write_at(offset, bytes)
        }

        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.file.truncate(length)
        }

        fn sync(&self) -> disk::Sync {
            self.file.sync()
        }
    }

    fn slow(hangs: &Arc<Hangs>, fails: &Arc<AtomicBool>) -> OpenAt {
        let (hangs, fails) = (hangs.clone(), fails.clone());
        Arc::new(move |path: &Path| {
            let file = FileDisk::create(path)?;
            Ok(Box::new(SlowDisk {
                hangs: hangs.clone(),
                fails: fails.clone(),
                file,
            }) as Box<dyn Disk>)
        })
    }

    #[test]
    fn a_disk_that_hangs_never_holds_up_the_program_and_what_is_left_out_is_counted() {
        let hangs = Arc::<Hangs>::default();
        let mut world = World::on(true, slow(&hangs, &Arc::default()));
        let (zero, camera) = (world.zero, of(20, "Bo", "camera"));
        let hanging = hangs.lock.lock().expect("nobody panicked");
        // Frames until the first write: from then on nothing is taken from the queue.
        let mut begun = 0;
        while !hangs.reached.load(Ordering::Relaxed) {
            assert!(begun < 2_000, "it writes");
            begun += 1;
            world
                .beside()
                .frame(&picture(zero, 20, begun, true), &camera);
            std::thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        let mut wants_key = 0;
        for n in begun..3 * u32::try_from(QUEUE_MAX).expect("small") {
            let taken = world.beside().frame(&picture(zero, 20, n, false), &camera);
            wants_key += u32::from(!taken);
        }
        world.beside().event(9, Event::OnAir { member: None });
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(wants_key > 0 && world.order.gauge.beside_missed() > 4_000);
        drop(hanging);
        // It takes a key frame to go on.
        while !world.beside().queue.is_empty() {
            assert!(start.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(
            !world
                .beside()
                .frame(&picture(zero, 20, 20_000, false), &camera)
        );
        assert!(
            world
                .beside()
                .frame(&picture(zero, 20, 20_001, true), &camera)
        );
        world.beside().event(10, Event::OnAir { member: Some(2) });
        world.close();
        assert_eq!(world.files().len(), 1);
        assert_eq!(
            world.lines(),
            [Event::Gap, Event::OnAir { member: Some(2) }]
        );
    }

    #[test]
    fn a_full_disk_costs_what_comes_meanwhile_and_nothing_of_before() {
        let fails = Arc::new(AtomicBool::new(false));
        let mut world = World::on(true, slow(&Arc::default(), &fails));
        let (zero, voice) = (world.zero, of(11, "Ada", "microphone"));
        for n in 0..50 {
            world.beside().frame(&sound(zero, 11, n), &voice);
        }
        std::thread::sleep(Duration::from_millis(300));
        let before = world.files()[0].size_bytes;
        fails.store(true, Ordering::Relaxed);
        for n in 50..100 {
            world.beside().frame(&sound(zero, 11, n), &voice);
        }
        world.close();
        assert_eq!(world.files()[0].size_bytes, before);
        assert!(world.order.gauge.beside_io_errors() > 0);
    }

    #[test]
    fn what_is_no_name_of_a_track_has_no_file() {
        let file = |name| track_file(Path::new("/data"), "a-b", name);
        for name in [
            "",
            "0001-.mp4",
            "001-camera.mp4",
            "0001-../x.mp4",
            "0001-Camera.mp4",
            "../0001-camera.mp4",
            "0001-camera.mp4.mp4",
            "program.mp4",
        ] {
            assert_eq!(file(name), None, "{name}");
        }
        assert_eq!(
            file("0001-screen_audio.mp4"),
            Some(PathBuf::from(
                "/data/recordings/a-b/tracks/0001-screen_audio.mp4"
            ))
        );
    }
}
