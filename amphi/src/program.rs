//! Programs: one per room that is on air or recorded, each on a thread of its own.
//!
//! Shard threads hand in what happens on stage ([`Programs::on_output`], which never waits); the program's thread
//! runs `amphi_studio::Program` and packs what comes of it, in pieces for the live origin and in finer ones for the
//! recorder. A broken program ends with a reason, and the call goes on.

mod easel;
mod post;
mod silence;
mod stage;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amphi_media::{Caption, Frame, MediaKind, MemberId, TrackId, VideoSize};
use amphi_room::Wish;
use amphi_shard::Output;
use amphi_studio::Input;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tracing::{error, info, warn};

use crate::egress::Live;
use crate::egress::record::{self, Gauge, Order};
use crate::store::Store;
use easel::Easel;
pub use easel::{Carried, EaselStats, Made, Means};
use post::{Control, Full, Post, Switch};
use worker::Worker;

/// Frames that wait for a program: some two seconds of a full stage. Beyond it, frames are dropped up to the next key
/// frame of their track.
const FRAMES_MAX: usize = 1_024;

/// Rooms that have said whether their next recording has tracks, and have not begun it.
const TRACKS_WANTED_MAX: usize = 1_024;

/// What a room is told for which there is no place.
pub const NO_PLACE: &str = "This server makes as many programs as it may (limits.broadcasts); try again when another room has ended its own.";

/// How long [`Programs::close`] waits for recordings to be closed.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Where programs keep things.
#[derive(Clone, Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// Programs at once: each has a thread, decoders and an encoder. A room beyond that is told in words.
    pub programs_max: usize,
    pub means: Means,
    /// The lower simulcast layers of who is on air are rungs, while pictures are cut.
    pub layers: bool,
    /// The sound is encoded in Opus too.
    pub opus: bool,
    pub recordings: record::Plan,
}

/// What a program asks of the call. Called on the program's thread; must not block.
pub trait Calls: Send + Sync + 'static {
    fn request_key_frame(&self, room: &str, track: TrackId);
    /// This track is drawn so large; none: as large as it comes.
    fn want_size(&self, room: &str, track: TrackId, size: Option<VideoSize>);
    /// Frames of this track's lower layers are taken too, or not any more.
    fn take_layers(&self, room: &str, track: TrackId, on: bool);
    /// The program cannot go on; the reason is for people.
    fn program_failed(&self, room: &str, reason: &str);
}

/// What a room's program is doing.
#[derive(Clone, Debug)]
pub struct ProgramState {
    pub wish: Wish,
    pub made: Made,
    /// The process that composes, while one does.
    pub composer: Option<u32>,
    pub on_air_member: Option<MemberId>,
    /// Something about the program in words for people.
    pub note: Option<String>,
    /// When the programme clock was zero.
    pub started: SystemTime,
    pub broadcasting: Option<Broadcasting>,
    pub recording: Option<RecordingState>,
}

#[derive(Clone, Debug)]
pub struct Broadcasting {
    /// In the names of everything that this broadcast hands out; never used before.
    pub epoch: u64,
    pub started: SystemTime,
    /// The first piece is out.
    pub on_air: bool,
}

#[derive(Clone, Debug)]
pub struct RecordingState {
    pub id: String,
    pub started: SystemTime,
    pub gauge: Arc<Gauge>,
}

/// What programs have done so far. All but `running` only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    pub running: u64,
    pub started: u64,
    /// Ended because of an error of ours or of an encoder.
    pub failed: u64,
    /// Not started because as many ran as may.
    pub refused: u64,
    pub frames: u64,
    /// Frames that a program had no room for, and those after them up to a key frame.
    pub frames_dropped: u64,
    /// What happened on stage that a program had no room for; it was given up.
    pub inputs_dropped: u64,
    pub captions: u64,
    /// Captions that were too many at once.
    pub captions_dropped: u64,
    pub parts: u64,
    pub recordings: u64,
    pub recording_gaps: u64,
    pub recording_io_errors: u64,
    pub recording_outputs_missed: u64,
    pub recording_tracks: u64,
    pub recording_beside_missed: u64,
    pub studio: amphi_studio::Counters,
    pub easel: EaselStats,
}

/// All programs of the process.
#[derive(Clone)]
pub struct Programs(Arc<Inner>);

struct Inner {
    config: Config,
    live: Arc<dyn Live>,
    store: Arc<dyn Store>,
    calls: OnceLock<Arc<dyn Calls>>,
    rooms: Mutex<Rooms>,
    totals: Mutex<Stats>,
    newest_epoch: AtomicU64,
    /// Every thread holds a sender, so that the receiver tells when all are gone.
    done: Receiver<Infallible>,
}

#[derive(Default)]
struct Rooms {
    running: BTreeMap<String, Running>,
    /// Threads of programs that were stopped and may not have ended yet; the next program of the room waits for them.
    ending: BTreeMap<String, JoinHandle<()>>,
    /// Rooms whose next recording is to have every member's tracks, or not, whatever the configuration says. What goes into
    /// files is no concern of the room, which only knows that it is recorded.
    tracks_wanted: BTreeMap<String, bool>,
    /// How many [`Place`]s are kept for a room.
    kept: BTreeMap<String, usize>,
    /// None after `close`.
    alive: Option<Sender<Infallible>>,
}

/// Room for one more program, kept for whoever is about to start it, until this is dropped.
pub struct Place {
    programs: Programs,
    room: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rooms = self.programs.rooms();
        match rooms.kept.get_mut(&self.room) {
            Some(places) if *places > 1 => *places -= 1,
            Some(_) | None => {
                rooms.kept.remove(&self.room);
            }
        }
    }
}

impl Rooms {
    /// Places that other rooms have. A program that is still ending counts: it has its thread, and its broadcast.
    fn taken_beside(&self, room: &str) -> usize {
        let ending = self
            .ending
            .iter()
            .filter(|(_, thread)| !thread.is_finished());
        let mut taken: BTreeSet<&String> = ending.map(|(room, _)| room).collect();
        taken.extend(self.running.keys());
        taken.extend(self.kept.keys());
        taken.into_iter().filter(|taken| *taken != room).count()
    }
}

/// The shard's end of a program. Dropping it ends the program.
struct Running {
    post: Post,
    frames: Sender<Frame>,
    /// Tracks, and which rung of them, whose frames are dropped up to their next key frame.
    dropping: BTreeSet<(TrackId, u8)>,
    state: Arc<Mutex<State>>,
    thread: JoinHandle<()>,
}

/// What the program's thread tells, and what is told about it.
struct State {
    program: ProgramState,
    counters: amphi_studio::Counters,
    easel: EaselStats,
    parts: u64,
    captions: u64,
    /// Dropped by the packager, and before it looked.
    captions_overflowed: u64,
    captions_unread: u64,
}

impl Programs {
    pub fn new(config: Config, live: Arc<dyn Live>, store: Arc<dyn Store>) -> Self {
        let (alive, done) = crossbeam_channel::bounded(0);
        Self(Arc::new(Inner {
            config,
            live,
            store,
            calls: OnceLock::new(),
            rooms: Mutex::new(Rooms {
                alive: Some(alive),
                ..Rooms::default()
            }),
            totals: Mutex::new(Stats::default()),
            newest_epoch: AtomicU64::new(0),
            done,
        }))
    }

    /// Whom programs ask for key frames. Once; what is asked for before is not asked for.
    pub fn connect(&self, calls: Arc<dyn Calls>) {
        if self.0.calls.set(calls).is_err() {
            warn!("programs were connected to the call twice");
        }
    }

    /// Takes the outputs of a shard that concern programs, and gives back any other. Never blocks.
    pub fn on_output(&self, output: Output) -> Option<Output> {
        match output {
            Output::StartProgram { room, wish } => self.start(room, wish),
            Output::ChangeProgram { room, wish } => self.change(&room, wish),
            Output::Program { room, input } => self.input(&room, input),
            Output::Caption { room, caption } => self.caption(&room, caption),
            Output::StopProgram { room } => self.stop(&room),
            Output::Broadcast { room, on } => self.broadcast(&room, on),
            Output::Recording { room, on } => self.record(&room, on),
            other => return Some(other),
        }
        None
    }

    /// Keeps a place for a program of `room`, which may run already. None, and counted, when as many run as may.
    pub fn keep_place(&self, room: &str) -> Option<Place> {
        let mut rooms = self.rooms();
        if rooms.taken_beside(room) >= self.0.config.programs_max {
            drop(rooms);
            held(&self.0.totals).refused += 1;
            return None;
        }
        *rooms.kept.entry(room.to_owned()).or_default() += 1;
        Some(Place {
            programs: self.clone(),
            room: room.to_owned(),
        })
    }

    /// Whether the recording of `room` that is about to begin has every member's tracks. Said again for each.
    pub fn want_tracks(&self, room: &str, wanted: bool) {
        let mut rooms = self.rooms();
        // Whoever asks and is then refused leaves a word behind; it is not worth more than a few.
        if rooms.tracks_wanted.len() >= TRACKS_WANTED_MAX {
            rooms.tracks_wanted.clear();
        }
        rooms.tracks_wanted.insert(room.to_owned(), wanted);
    }

    /// None when the room has no program.
    pub fn state(&self, room: &str) -> Option<ProgramState> {
        let state = self.rooms().running.get(room)?.state.clone();
        let state = held(&state);
        Some(state.program.clone())
    }

    pub fn stats(&self) -> Stats {
        let states: Vec<_> = self
            .rooms()
            .running
            .values()
            .map(|running| running.state.clone())
            .collect();
        let mut stats = *held(&self.0.totals);
        stats.running = states.len() as u64;
        for state in states {
            add_up(&mut stats, &held(&state));
        }
        stats
    }

    /// Ends every program and closes every recording, and takes no new ones. Waits for at most five seconds.
    pub fn close(&self) {
        let (running, ending) = {
            let mut rooms = self.rooms();
            rooms.alive = None;
            (
                std::mem::take(&mut rooms.running),
                std::mem::take(&mut rooms.ending),
            )
        };
        drop((running, ending));
        if self.0.done.recv_timeout(CLOSE_MAX) == Err(RecvTimeoutError::Timeout) {
            warn!("a recording could not be closed in time; it is finished at the next start");
        }
    }

    fn start(&self, room: String, wish: Wish) {
        self.stop(&room);
        let mut rooms = self.rooms();
        let Some(alive) = rooms.alive.clone() else {
            return;
        };
        if rooms.taken_beside(&room) >= self.0.config.programs_max {
            drop(rooms);
            warn!("a program was refused: limits.broadcasts run already");
            held(&self.0.totals).refused += 1;
            return self.tell_failed(&room, NO_PLACE);
        }
        let (post, letters) = post::post();
        let (frames, frame_queue) = crossbeam_channel::bounded(FRAMES_MAX);
        let state = Arc::new(Mutex::new(State {
            program: ProgramState {
                made: Easel::new(self.0.config.means.clone(), wish.clone(), Instant::now()).made(),
                wish: wish.clone(),
                composer: None,
                on_air_member: None,
                note: None,
                started: SystemTime::now(),
                broadcasting: None,
                recording: None,
            },
            counters: amphi_studio::Counters::default(),
            easel: EaselStats::default(),
            parts: 0,
            captions: 0,
            captions_overflowed: 0,
            captions_unread: 0,
        }));
        let worker = Worker {
            room: room.clone(),
            letters,
            frames: frame_queue,
            wish,
            means: self.0.config.means.clone(),
            state: state.clone(),
            programs: self.clone(),
            alive,
        };
        let before = rooms.ending.remove(&room);
        let spawned = std::thread::Builder::new()
            .name("program".to_owned())
            .spawn(move || {
                if let Some(before) = before {
                    // It says itself when it has panicked.
                    let _ = before.join();
                }
                worker.run();
            });
        match spawned {
            Ok(thread) => {
                info!("program started");
                held(&self.0.totals).started += 1;
                let dropping = BTreeSet::new();
                rooms.running.insert(
                    room,
                    Running {
                        post,
                        frames,
                        dropping,
                        state,
                        thread,
                    },
                );
            }
            Err(error) => {
                drop(rooms);
                error!("no thread for a program: {error}");
                self.failed(&room, "The server has no thread left for the program.");
            }
        }
    }

    fn change(&self, room: &str, wish: Wish) {
        let rooms = self.rooms();
        if let Some(running) = rooms.running.get(room) {
            held(&running.state).program.wish = wish.clone();
            running.switch(Switch::Wish(wish));
        }
    }

    fn stop(&self, room: &str) {
        let mut rooms = self.rooms();
        rooms.ending.retain(|_, thread| !thread.is_finished());
        if self.end(&mut rooms, room) {
            info!("program stops");
        }
    }

    /// False when there was none.
    fn end(&self, rooms: &mut Rooms, room: &str) -> bool {
        let Some(running) = rooms.running.remove(room) else {
            return false;
        };
        // The counters of what it still does until it ends are not worth waiting for.
        add_up(&mut held(&self.0.totals), &held(&running.state));
        rooms.ending.insert(room.to_owned(), running.thread);
        true
    }

    fn input(&self, room: &str, input: Input) {
        let mut rooms = self.rooms();
        let Some(running) = rooms.running.get_mut(room) else {
            return;
        };
        let dropped = match input {
            Input::Frame(frame) => running.take_frame(frame),
            other => {
                if let Err(Full) = running.post.put(Control::Input(other)) {
                    self.end(&mut rooms, room);
                    drop(rooms);
                    held(&self.0.totals).inputs_dropped += 1;
                    error!("a program did not look at its stage for so long that it was given up");
                    self.failed(room, "The program hung by an error of the server.");
                }
                return;
            }
        };
        drop(rooms);
        let mut totals = held(&self.0.totals);
        totals.frames += 1;
        totals.frames_dropped += u64::from(dropped);
    }

    fn caption(&self, room: &str, caption: Caption) {
        if let Some(running) = self.rooms().running.get(room) {
            let put = running.post.put(Control::Caption(caption));
            put.expect("only tracks can want for place");
        }
    }

    fn broadcast(&self, room: &str, on: bool) {
        let epoch = self.next_epoch();
        let rooms = self.rooms();
        let Some(running) = rooms.running.get(room) else {
            return;
        };
        let mut state = held(&running.state);
        if on == state.program.broadcasting.is_some() {
            return;
        }
        state.program.broadcasting = on.then(|| Broadcasting {
            epoch,
            started: SystemTime::now(),
            on_air: false,
        });
        drop(state);
        running.switch(Switch::Broadcast(on.then_some(epoch)));
    }

    fn record(&self, room: &str, on: bool) {
        let mut rooms = self.rooms();
        let tracks = rooms.tracks_wanted.remove(room);
        let tracks = tracks.unwrap_or(self.0.config.recordings.tracks);
        let Some(running) = rooms.running.get(room) else {
            return;
        };
        let mut state = held(&running.state);
        if on == state.program.recording.is_some() {
            return;
        }
        let before = state.program.recording.take();
        if let Some(before) = before {
            add_recording(&mut held(&self.0.totals), &before.gauge);
        }
        let order = on.then(|| {
            let started = SystemTime::now();
            Order {
                id: record::new_id(room, started),
                room: room.to_owned(),
                data_dir: self.0.config.data_dir.clone(),
                started,
                release: self.0.config.recordings.release(started),
                tracks,
                zero_unix_ms: unix_ms(state.program.started),
                gauge: Arc::default(),
            }
        });
        state.program.recording = order.as_ref().map(|order| RecordingState {
            id: order.id.clone(),
            started: order.started,
            gauge: order.gauge.clone(),
        });
        drop(state);
        held(&self.0.totals).recordings += u64::from(on);
        running.switch(Switch::Record(order.map(Box::new)));
    }

    fn failed(&self, room: &str, reason: &str) {
        held(&self.0.totals).failed += 1;
        self.tell_failed(room, reason);
    }

    fn tell_failed(&self, room: &str, reason: &str) {
        if let Some(calls) = self.0.calls.get() {
            calls.program_failed(room, reason);
        }
    }

    /// The time in unix milliseconds, but never twice the same.
    fn next_epoch(&self) -> u64 {
        let now = u64::try_from(unix_ms(SystemTime::now())).unwrap_or(0);
        let newest = &self.0.newest_epoch;
        let before = newest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |newest| {
            Some(now.max(newest + 1))
        });
        now.max(before.unwrap_or(0) + 1)
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        held(&self.0.rooms)
    }
}

impl Running {
    fn switch(&self, switch: Switch) {
        self.post
            .put(Control::Switch(switch))
            .expect("only tracks can want for place");
    }

    /// True when the frame was dropped.
    fn take_frame(&mut self, frame: Frame) -> bool {
        let track = (frame.track, frame.rung);
        let is_key = frame.key || frame.codec.kind() == MediaKind::Audio;
        if self.dropping.contains(&track) && !is_key {
            return true;
        }
        match self.frames.try_send(frame) {
            Ok(()) => {
                self.dropping.remove(&track);
                false
            }
            Err(TrySendError::Full(_)) => {
                self.dropping.insert(track);
                true
            }
            Err(TrySendError::Disconnected(_)) => true,
        }
    }
}

fn add_up(stats: &mut Stats, state: &State) {
    stats.studio += state.counters;
    stats.easel.started += state.easel.started;
    stats.easel.died += state.easel.died;
    stats.easel.hung += state.easel.hung;
    stats.easel.frames_dropped += state.easel.frames_dropped;
    stats.easel.cpu_us += state.easel.cpu_us;
    stats.parts += state.parts;
    stats.captions += state.captions;
    stats.captions_dropped += state.captions_overflowed + state.captions_unread;
    if let Some(recording) = &state.program.recording {
        add_recording(stats, &recording.gauge);
    }
}

fn add_recording(stats: &mut Stats, gauge: &Gauge) {
    stats.recording_gaps += gauge.gaps();
    stats.recording_io_errors += gauge.io_errors() + gauge.beside_io_errors();
    stats.recording_tracks += gauge.tracks();
    stats.recording_beside_missed += gauge.beside_missed();
    stats.recording_outputs_missed += gauge.outputs_missed();
}

/// The value behind a lock. What a panic has left behind is still read: states here are whole after every statement.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
