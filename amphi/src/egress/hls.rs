//! HLS, low-latency and plain: the live windows of all broadcasts, requests that wait for what is not there yet, and
//! how many people watch.
//!
//! What a playlist says is `amphi_mux`'s business ([`Window`]); how a request looks is `http/hls.rs`'s. Here is the
//! waiting in between. Everything is bounded: broadcasts, memory per broadcast, waiting requests, remembered viewers.
//!
//! Start reading at [`Origin`].

mod clip;
mod disk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amphi_media::{Codec, Sample};
use amphi_mux::{
    Dvr, Found, Output, Presence, RUNGS_MAX, Rendition, Thumbnail, ThumbnailPicker, Variants,
    Window, WindowConfig, WindowCounters,
};
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

pub use self::clip::{Clip, Refused};
use self::disk::{Disk, DiskStats, Shelf};
use super::viewers::{Audience, ON_STAGE, Tickets, Viewers};
use super::{Kind, Live, Setting};
use crate::gzip;
use crate::thumbnail::{self, Thumbnailer};

pub const KIND: Kind = Kind {
    name: "hls",
    summary: "Live playlists for everybody with a browser: low-latency and plain HLS from the same segments.",
    codecs: &[Codec::H264, Codec::Aac],
    options: &[
        Setting {
            key: "limits.broadcasts",
            summary: "Broadcasts at once.",
            default: "32",
        },
        Setting {
            key: "limits.broadcast_memory_mib",
            summary: "Memory for the live parts of one broadcast.",
            default: "48",
        },
        Setting {
            key: "broadcast.dvr",
            summary: "How far viewers may go back in a broadcast.",
            default: "2h",
        },
        Setting {
            key: "broadcast.dvr_bytes_max",
            summary: "Disk for that, of one broadcast.",
            default: "6442450944",
        },
        Setting {
            key: "broadcast.thumbnails",
            summary: "How often a thumbnail of a broadcast is made.",
            default: "10s",
        },
        Setting {
            key: "limits.blocked_requests",
            summary: "Requests that wait for a part at once.",
            default: "20000",
        },
    ],
};

/// How long the playlist of an ended broadcast says that it is over.
const ENDED_KEPT: Duration = Duration::from_secs(60);
/// A request waits for at most this many target durations (RFC 8216bis §6.2.5.2).
const WAIT_TARGETS: u32 = 3;
/// … and for a broadcast to begin: three of the usual target durations.
const BEGIN_WAIT_MAX: Duration = Duration::from_secs(12);

/// How long, after a broadcast's first part, `index.m3u8` waits for the rungs that are expected: many players read it once, and never
/// play what did not stand there. Longer: a publisher whose smaller pictures come late keeps everybody waiting for them.
const LADDER_WAIT_MAX: Duration = Duration::from_secs(2);

/// Clips that are made at once: each reads and writes as fast as the disk can.
const CLIPS_MAX: usize = 2;
/// Sound in both codings, and each rung that a picture may have.
const RENDITIONS: usize = RUNGS_MAX as usize + 3;

/// What the origin may use.
#[derive(Clone, Debug)]
pub struct Limits {
    pub broadcasts: usize,
    pub broadcast_bytes: usize,
    pub blocked_requests: usize,
    /// How far viewers may go back, and where segments are kept for it.
    pub dvr: Option<(Dvr, PathBuf)>,
    /// How often a thumbnail is made, and the binary that makes them: this one.
    pub thumbnails: Option<(Duration, PathBuf)>,
}

/// What was done, and what the bounds cost. Counters only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    pub broadcasts: usize,
    pub audience: Audience,
    /// Waiting at present.
    pub blocked: usize,
    pub parts: u64,
    pub part_bytes: u64,
    /// Held at present.
    pub bytes_held: u64,
    pub segments_evicted: u64,
    pub segments_missing: u64,
    pub playlists_rendered: u64,
    /// Requests that had to wait.
    pub blocked_total: u64,
    /// Refused because `limits.blocked_requests` waited already.
    pub blocked_refused: u64,
    /// Waited in vain.
    pub blocked_late: u64,
    /// Asked for what is too far ahead.
    pub too_far: u64,
    /// Broadcasts whose first viewers were given an `index.m3u8` without all rungs, since one did not come in time.
    pub ladders_short: u64,
    /// Broadcasts that got no window because `limits.broadcasts` had one.
    pub broadcasts_refused: u64,
    /// Times that a viewer was not kept, because the crowd is too big to count one by one.
    pub viewers_estimated: u64,
    /// On disk at present.
    pub bytes_kept: u64,
    pub segments_kept: u64,
    /// Left their window early: nobody had kept them, or `Dvr::bytes_max` was reached.
    pub segments_unkept: u64,
    pub segments_over: u64,
    pub disk: DiskStats,
    pub thumbnails: thumbnail::Stats,
}

/// Why there is nothing to answer with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    NotOnAir,
    /// It was here, and is no more.
    Gone,
    /// It never was, nor will be.
    Unknown,
    /// Beyond what a player may wait for.
    TooFar,
    /// Too many are waiting.
    Busy,
    /// It did not come in time.
    Late,
}

/// A playlist, and how it may be sent.
#[derive(Clone, Debug)]
pub struct Playlist {
    pub body: Bytes,
    /// The same, packed with gzip.
    pub packed: Option<Bytes>,
    /// None where the bytes are for one viewer.
    pub tag: Option<Tag>,
}

/// Tells bytes from all others at this address, as an entity tag with its quotation marks (RFC 9110 §8.8.3): of the playlist, and of
/// its packed form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    pub plain: Bytes,
    pub packed: Bytes,
}

/// Which form of a media playlist is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Whole,
    /// A delta update (`_HLS_skip=YES`), where there is one.
    Delta,
}

/// A file that never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media(pub Bytes);

/// The live windows of all rooms on air. Filled by the programs' threads, read by HTTP.
pub struct Origin {
    limits: Limits,
    channels: Mutex<BTreeMap<String, Arc<Channel>>>,
    /// Sent to when a broadcast begins.
    begun: watch::Sender<()>,
    blocked: AtomicUsize,
    tickets: Tickets,
    disk: Option<(Dvr, Disk)>,
    thumbnails: Option<(Duration, Thumbnailer)>,
    /// Clips that are being made.
    clips: Arc<Semaphore>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    blocked_total: AtomicU64,
    blocked_refused: AtomicU64,
    blocked_late: AtomicU64,
    too_far: AtomicU64,
    ladders_short: AtomicU64,
    broadcasts_refused: AtomicU64,
    viewers_estimated: AtomicU64,
    /// Of windows that are gone.
    past: Mutex<WindowCounters>,
}

/// One broadcast of one room.
struct Channel {
    zero_unix_ms: i64,
    hold_back: Duration,
    wait_max: Duration,
    window: Mutex<Window>,
    /// Sent to when that rendition has something new; places as `index` says.
    changed: [watch::Sender<()>; RENDITIONS],
    ended: Mutex<Option<Instant>>,
    opening: Mutex<Opening>,
    viewers: Mutex<Viewers>,
    /// The newest playlist of each rendition, whole and as a delta update.
    packed: [[Mutex<Option<Playlist>>; 2]; RENDITIONS],
    packed_thumbnails: Mutex<Option<Playlist>>,
    /// Which pictures become thumbnails.
    picker: Option<Mutex<ThumbnailPicker>>,
    /// Where its segments are kept.
    shelf: Option<Shelf>,
}

/// The first moments of a broadcast's picture, in which not every rung is there.
#[derive(Default)]
struct Opening {
    /// When the first part came after rungs were expected.
    since: Option<tokio::time::Instant>,
    /// Rungs that the picture is to have; 0 while there is none, or that is not known.
    expected: u8,
    /// Somebody was told to wait.
    awaited: bool,
    over: bool,
}

impl Opening {
    fn is_whole(&self, window: &Window) -> bool {
        window.rungs() >= usize::from(self.expected)
    }
}

fn is_late(since: tokio::time::Instant) -> bool {
    since.elapsed() >= LADDER_WAIT_MAX
}

/// How far a broadcast has got with its first moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opened {
    NotYet {
        until: tokio::time::Instant,
    },
    /// A rung did not come in time; said once.
    Short,
    Yes,
}

/// What is asked of `index.m3u8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Index<'a> {
    /// The ticket that the address says.
    pub ticket: Option<&'a str>,
    pub variants: Variants,
}

/// Whether a room that has no live window, or an old one, is about to begin one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coming {
    Yes,
    No,
}

enum Look<T> {
    Found(T),
    Wait,
    /// … but not longer than to then: after that there is something, if less than was hoped for.
    WaitUntil(tokio::time::Instant),
    Missing(Missing),
}

impl Origin {
    pub fn new(limits: Limits) -> Self {
        let disk = limits.dvr.clone().and_then(|(dvr, folder)| {
            let started = Disk::start(folder);
            if let Err(error) = &started {
                tracing::error!("no thread for going back in broadcasts: {error}");
            }
            Some((dvr, started.ok()?))
        });
        let thumbnails = limits.thumbnails.clone().and_then(|(every, program)| {
            let started = Thumbnailer::start(program);
            if let Err(error) = &started {
                tracing::error!("no thread for thumbnails: {error}");
            }
            Some((every, started.ok()?))
        });
        Self {
            disk,
            thumbnails,
            clips: Arc::new(Semaphore::new(CLIPS_MAX)),
            limits,
            channels: Mutex::default(),
            begun: watch::Sender::new(()),
            blocked: AtomicUsize::new(0),
            tickets: Tickets::default(),
            counters: Counters::default(),
        }
    }

    /// `index.m3u8`, with a ticket of its own in the addresses that it names (`viewers.rs`).
    ///
    /// Whoever asks between "go live" and the first part waits for it, if told that it is `coming`; and, for a moment, for the first
    /// parts of the smaller pictures, where some are expected.
    pub async fn multivariant(
        &self,
        room: &str,
        index: Index<'_>,
        coming: Coming,
    ) -> Result<Playlist, Missing> {
        let query = match index.ticket {
            Some(ON_STAGE) => format!("v={ON_STAGE}"),
            Some(_) | None => format!("v={}", self.ticket(room)),
        };
        self.wait(room, Rendition::Audio, coming, |channel| {
            let window = channel.window();
            // The waiting are many, and each list is made for one: not before it is to be sent.
            match channel.opened(&window) {
                Opened::NotYet { until } => return Look::WaitUntil(until),
                Opened::Short => {
                    self.counters.ladders_short.fetch_add(1, Ordering::Relaxed);
                }
                Opened::Yes => {}
            }
            match window.multivariant_for(index.variants, &query) {
                Some(body) => Look::Found(Playlist {
                    body,
                    packed: None,
                    tag: None,
                }),
                None => Look::Wait,
            }
        })
        .await
    }

    /// A media playlist: at once, or when it has part `at` (media sequence number, part of it).
    pub async fn playlist(
        &self,
        room: &str,
        rendition: Rendition,
        at: Option<(u64, Option<u32>)>,
        form: Form,
    ) -> Result<Playlist, Missing> {
        let channel_playlist = |channel: &Arc<Channel>| {
            let window = channel.window();
            let presence = at.map_or(Presence::Ready, |(msn, part)| {
                window.contains(rendition, msn, part)
            });
            // Of one that is waited for, nothing is to be written yet.
            let playlist = || match form {
                Form::Whole => window.playlist(rendition),
                Form::Delta => window.delta_update(rendition),
            };
            let made = (presence == Presence::Ready).then(playlist).flatten();
            match (presence, made) {
                (Presence::TooFar, _) => Look::Missing(Missing::TooFar),
                (Presence::Ready, Some(body)) => Look::Found((body, channel.clone())),
                // A program of sound alone never has one of pictures, and not every program has a ladder.
                (Presence::Ready, None) if window.ended() || is_optional(rendition) => {
                    Look::Missing(Missing::Unknown)
                }
                (Presence::Ready, None) | (Presence::NotYet, _) => Look::Wait,
            }
        };
        let (body, channel) = self
            .wait(room, rendition, Coming::No, channel_playlist)
            .await?;
        Ok(channel.packed(rendition, form, body))
    }

    /// The list of thumbnails; empty before the first one. Unknown where none are made.
    pub fn thumbnails(&self, room: &str) -> Result<Playlist, Missing> {
        let channel = self.channel(room).ok_or(Missing::NotOnAir)?;
        let body = channel.window().thumbnails_playlist();
        let body = body.ok_or(Missing::Unknown)?;
        Ok(packed(&channel.packed_thumbnails, body))
    }

    pub fn makes_thumbnails(&self) -> bool {
        self.thumbnails.is_some()
    }

    /// The process that makes thumbnails, while one does.
    pub fn thumbnailer(&self) -> Option<u32> {
        let (_, thumbnailer) = self.thumbnails.as_ref()?;
        thumbnailer.process_id()
    }

    /// An initialization section, a segment, a part or a thumbnail, by the name it has in a playlist. The part that a playlist
    /// hints at is waited for.
    pub async fn media(&self, room: &str, name: &str) -> Result<Media, Missing> {
        let rendition = Rendition::of_file(name).unwrap_or(Rendition::Audio);
        let found = self.wait(room, rendition, Coming::No, |channel| {
            match channel.window().resource(name) {
                Found::Init(bytes) | Found::Media(bytes) => Look::Found(Ok(Media(bytes))),
                Found::Kept(name) => match &channel.shelf {
                    Some(shelf) => Look::Found(Err(shelf.path(&name))),
                    None => Look::Missing(Missing::Gone),
                },
                Found::NotYet => Look::Wait,
                Found::Gone => Look::Missing(Missing::Gone),
                Found::Unknown => Look::Missing(Missing::Unknown),
            }
        });
        match (found.await?, &self.disk) {
            (Ok(media), _) => Ok(media),
            // It may have been forgotten just now.
            (Err(path), Some((_, disk))) => {
                let read = disk.read(&path).await;
                read.map(Media).map_err(|_| Missing::Gone)
            }
            (Err(_), None) => Err(Missing::Gone),
        }
    }

    /// A ticket for one viewer of this room.
    pub fn ticket(&self, room: &str) -> String {
        self.tickets.ticket(room)
    }

    /// Somebody asked for a media playlist: by its ticket, or, for players that drop it, by address and program.
    pub fn saw_viewer(
        &self,
        room: &str,
        rendition: Rendition,
        ticket: Option<&str>,
        address: Option<IpAddr>,
        agent: &str,
    ) {
        let Some(channel) = self.channel(room).filter(|_| ticket != Some(ON_STAGE)) else {
            return;
        };
        let viewer = self.tickets.viewer(room, ticket, address, agent);
        if !lock(&channel.viewers).saw(Instant::now(), viewer, rendition) {
            self.counters
                .viewers_estimated
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many watch, and what.
    pub fn audience(&self, room: &str) -> Audience {
        self.channel(room)
            .map_or_else(Audience::default, |channel| {
                channel.audience(Instant::now())
            })
    }

    /// What is said in the broadcast of `room` can be read too.
    pub fn has_captions(&self, room: &str) -> bool {
        let channel = self.channel(room);
        channel.is_some_and(|channel| channel.window().has_captions())
    }

    /// How far a viewer who keeps to PART-HOLD-BACK is behind the programme; none when the room is not on air, or
    /// nothing can be played yet.
    pub fn seconds_behind(&self, room: &str) -> Option<f64> {
        let channel = self.channel(room)?;
        let newest = {
            let window = channel.window();
            if window.ended() {
                return None;
            }
            window.newest()?
        };
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let age_ms = now_ms - channel.zero_unix_ms - newest.micros() / 1_000;
        Some((age_ms as f64 / 1_000.0 + channel.hold_back.as_secs_f64()).max(0.0))
    }

    /// Lets go of what ended a minute ago. Call it now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        lock(&self.channels).retain(|_, channel| {
            let keep =
                lock(&channel.ended).is_none_or(|ended| now.duration_since(ended) < ENDED_KEPT);
            if !keep {
                self.remember(channel);
            }
            keep
        });
    }

    pub fn stats(&self) -> Stats {
        let now = Instant::now();
        let channels: Vec<Arc<Channel>> = lock(&self.channels).values().cloned().collect();
        let mut windows = *lock(&self.counters.past);
        let mut audience = Audience::default();
        for channel in &channels {
            let counters = channel.window().counters();
            add(&mut windows, &counters);
            windows.bytes_held += counters.bytes_held;
            windows.bytes_kept += counters.bytes_kept;
            audience += channel.audience(now);
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            broadcasts: channels
                .iter()
                .filter(|channel| lock(&channel.ended).is_none())
                .count(),
            audience,
            blocked: self.blocked.load(Ordering::Relaxed),
            parts: windows.parts,
            part_bytes: windows.bytes,
            bytes_held: windows.bytes_held,
            segments_evicted: windows.segments_evicted,
            segments_missing: windows.segments_missing,
            playlists_rendered: windows.playlists_rendered,
            blocked_total: count(&self.counters.blocked_total),
            blocked_refused: count(&self.counters.blocked_refused),
            blocked_late: count(&self.counters.blocked_late),
            too_far: count(&self.counters.too_far),
            ladders_short: count(&self.counters.ladders_short),
            broadcasts_refused: count(&self.counters.broadcasts_refused),
            viewers_estimated: count(&self.counters.viewers_estimated),
            bytes_kept: windows.bytes_kept,
            segments_kept: windows.segments_kept,
            segments_unkept: windows.segments_unkept,
            segments_over: windows.segments_over,
            disk: (self.disk.as_ref()).map_or(DiskStats::default(), |(_, disk)| disk.stats()),
            thumbnails: (self.thumbnails.as_ref())
                .map_or(thumbnail::Stats::default(), |(_, made)| made.stats()),
        }
    }

    /// Looks until there is something, something is known to be missing, or the time is over.
    async fn wait<T>(
        &self,
        room: &str,
        rendition: Rendition,
        coming: Coming,
        look: impl Fn(&Arc<Channel>) -> Look<T>,
    ) -> Result<T, Missing> {
        let mut waiting: Option<(Blocked<'_>, tokio::time::Instant)> = None;
        loop {
            // Before looking, so that what comes between the look and the wait is not missed.
            let begun = (coming == Coming::Yes).then(|| self.begun.subscribe());
            // Each time anew: the room may have begun another broadcast.
            let channel = self.channel(room);
            let channel = channel.filter(|channel| coming == Coming::No || !channel.is_over());
            let (mut changed, wait_max) = match &channel {
                Some(channel) => (
                    channel.changed[index(rendition)].subscribe(),
                    channel.wait_max,
                ),
                None => (begun.ok_or(Missing::NotOnAir)?, BEGIN_WAIT_MAX),
            };
            let look_again = match channel.as_ref().map_or(Look::Wait, &look) {
                Look::Found(found) => return Ok(found),
                Look::Missing(missing) => {
                    if missing == Missing::TooFar {
                        self.counters.too_far.fetch_add(1, Ordering::Relaxed);
                    }
                    return Err(missing);
                }
                Look::Wait => None,
                Look::WaitUntil(until) => Some(until),
            };
            let deadline = match &waiting {
                Some((_, deadline)) => *deadline,
                None => {
                    let deadline = tokio::time::Instant::now() + wait_max;
                    waiting = Some((self.block()?, deadline));
                    deadline
                }
            };
            let until = look_again.map_or(deadline, |again| again.min(deadline));
            let changed = tokio::time::timeout_at(until, changed.changed()).await;
            if changed.is_err() && until == deadline {
                self.counters.blocked_late.fetch_add(1, Ordering::Relaxed);
                return Err(Missing::Late);
            }
        }
    }

    fn block(&self) -> Result<Blocked<'_>, Missing> {
        let before = self.blocked.fetch_add(1, Ordering::Relaxed);
        let blocked = Blocked(&self.blocked);
        if before >= self.limits.blocked_requests {
            self.counters
                .blocked_refused
                .fetch_add(1, Ordering::Relaxed);
            return Err(Missing::Busy);
        }
        self.counters.blocked_total.fetch_add(1, Ordering::Relaxed);
        Ok(blocked)
    }

    fn channel(&self, room: &str) -> Option<Arc<Channel>> {
        lock(&self.channels).get(room).cloned()
    }

    /// Keeps the counters of a window that goes.
    fn remember(&self, channel: &Channel) {
        add(&mut lock(&self.counters.past), &channel.window().counters());
    }
}

impl Live for Origin {
    fn begin(&self, room: &str, window: WindowConfig) {
        self.sweep();
        let mut channels = lock(&self.channels);
        if !channels.contains_key(room) && channels.len() >= self.limits.broadcasts {
            // One that is over makes room before its minute is.
            let over = channels
                .iter()
                .find(|(_, channel)| lock(&channel.ended).is_some())
                .map(|(room, _)| room.clone());
            match over.and_then(|over| channels.remove(&over)) {
                Some(channel) => self.remember(&channel),
                None => {
                    drop(channels);
                    self.counters
                        .broadcasts_refused
                        .fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        "a broadcast is not served: limits.broadcasts are on air already"
                    );
                    return;
                }
            }
        }
        let bytes_max = window.bytes_max.min(self.limits.broadcast_bytes);
        let shelf = self.disk.as_ref().map(|(_, disk)| disk.shelf());
        let dvr = (self.disk.as_ref()).map(|(dvr, _)| window.dvr.unwrap_or(*dvr));
        let thumbnails = self.thumbnails.as_ref().map(|(every, _)| *every);
        let window = WindowConfig {
            bytes_max,
            dvr,
            thumbnails,
            ..window
        };
        let channel = Arc::new(Channel::new(window, shelf));
        let before = channels.insert(room.to_owned(), channel);
        drop(channels);
        if let Some(before) = before {
            self.remember(&before);
            before.wake(None);
        }
        self.begun.send_replace(());
    }

    fn expect(&self, room: &str, rungs: u8) {
        if let Some(channel) = self.channel(room) {
            let mut opening = lock(&channel.opening);
            opening.expected = rungs;
            if rungs == 0 {
                opening.since = None;
            }
        }
    }

    fn push(&self, room: &str, output: &Output) {
        let Some(channel) = self.channel(room) else {
            return;
        };
        channel.push(output);
        match output {
            Output::Part(part) => {
                channel.wake(Some(part.rendition));
                if channel.has_just_opened() {
                    // Who waits for all rungs waits where sound comes, which goes on when this one is too late.
                    channel.wake(Some(Rendition::Audio));
                }
                if part.rendition == Rendition::Video {
                    let following = channel.window().following();
                    for rendition in following {
                        channel.wake(Some(rendition));
                    }
                }
            }
            Output::Left(rendition) => channel.wake(Some(*rendition)),
            Output::End => channel.wake(None),
            Output::Init(_) => {}
        }
    }

    fn key_frame(&self, room: &str, picture: &Sample) {
        let Some((_, thumbnailer)) = &self.thumbnails else {
            return;
        };
        let channel = self.channel(room);
        let Some(channel) = channel.filter(|channel| channel.wants_thumbnail(picture)) else {
            return;
        };
        let time = picture.time;
        // The room may go off air before it is made.
        let channel = Arc::downgrade(&channel);
        thumbnailer.make(picture.data.clone(), move |made| {
            if let Some(channel) = channel.upgrade() {
                channel.push_thumbnail(&Thumbnail {
                    time,
                    size: made.size,
                    bytes: made.bytes,
                });
            }
        });
    }

    fn end(&self, room: &str) {
        let Some(channel) = self.channel(room) else {
            return;
        };
        let ended = channel.window().ended();
        if !ended {
            channel.push(&Output::End);
        }
        *lock(&channel.ended) = Some(Instant::now());
        channel.wake(None);
    }
}

impl Channel {
    fn new(config: WindowConfig, shelf: Option<Shelf>) -> Self {
        Self {
            shelf,
            zero_unix_ms: config.zero_unix_ms,
            hold_back: config.part_hold_back(),
            picker: (config.thumbnails).map(|every| Mutex::new(ThumbnailPicker::new(every))),
            wait_max: config.segment_max * WAIT_TARGETS,
            window: Mutex::new(Window::new(config)),
            changed: std::array::from_fn(|_| watch::Sender::new(())),
            ended: Mutex::default(),
            opening: Mutex::default(),
            viewers: Mutex::default(),
            packed: Default::default(),
            packed_thumbnails: Mutex::default(),
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        lock(&self.window)
    }

    fn push(self: &Arc<Self>, output: &Output) {
        let mut window = self.window();
        window.push(output);
        self.have_done(window);
    }

    /// A part came. True when it is the one with which the first moments are over, and somebody waits for that.
    fn has_just_opened(&self) -> bool {
        let window = self.window();
        let mut opening = lock(&self.opening);
        if opening.over || opening.expected == 0 {
            return false;
        }
        let since = *opening.since.get_or_insert_with(tokio::time::Instant::now);
        opening.over = opening.is_whole(&window) || (!opening.awaited && is_late(since));
        opening.over && opening.awaited
    }

    /// Whether every rung is there that is expected, or was waited for long enough.
    fn opened(&self, window: &Window) -> Opened {
        let mut opening = lock(&self.opening);
        let Some(since) = opening.since.filter(|_| !opening.over && !window.ended()) else {
            return Opened::Yes;
        };
        if opening.expected == 0 || opening.is_whole(window) {
            return Opened::Yes;
        }
        if is_late(since) {
            opening.over = true;
            return match opening.awaited {
                true => Opened::Short,
                false => Opened::Yes,
            };
        }
        opening.awaited = true;
        Opened::NotYet {
            until: since + LADDER_WAIT_MAX,
        }
    }

    fn wants_thumbnail(&self, picture: &Sample) -> bool {
        (self.picker.as_ref()).is_some_and(|picker| lock(picker).wants(picture))
    }

    fn push_thumbnail(self: &Arc<Self>, thumbnail: &Thumbnail) {
        let mut window = self.window();
        window.push_thumbnail(thumbnail);
        self.have_done(window);
    }

    /// A segment or a thumbnail is on the disk. False when it is of no use any more.
    fn kept(self: &Arc<Self>, name: &str) -> bool {
        let mut window = self.window();
        let kept = window.kept(name);
        self.have_done(window);
        kept
    }

    /// Gives the disk its orders.
    fn have_done(self: &Arc<Self>, mut window: MutexGuard<'_, Window>) {
        while let Some(order) = window.poll() {
            if let Some(shelf) = &self.shelf {
                shelf.order(self, order);
            }
        }
    }

    fn is_over(&self) -> bool {
        lock(&self.ended).is_some()
    }

    /// Wakes who waits for this rendition, or everybody.
    fn wake(&self, rendition: Option<Rendition>) {
        match rendition {
            Some(rendition) => {
                self.changed[index(rendition)].send_replace(());
            }
            None => {
                for changed in &self.changed {
                    changed.send_replace(());
                }
            }
        }
    }

    fn audience(&self, now: Instant) -> Audience {
        lock(&self.viewers).count(now)
    }

    /// With its packed form and its tag: made once, by who asks first.
    fn packed(&self, rendition: Rendition, form: Form, body: Bytes) -> Playlist {
        let forms = &self.packed[index(rendition)];
        packed(
            match form {
                Form::Whole => &forms[0],
                Form::Delta => &forms[1],
            },
            body,
        )
    }
}

/// A playlist with its packed form and its tag. `newest` is the newest one of its kind.
fn packed(newest: &Mutex<Option<Playlist>>, body: Bytes) -> Playlist {
    let mut known = lock(newest);
    // The held clone keeps its memory in place, so the same address is the same playlist.
    let is_this =
        |known: &&Playlist| known.body.as_ptr() == body.as_ptr() && known.body.len() == body.len();
    if let Some(known) = known.as_ref().filter(is_this) {
        return known.clone();
    }
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let hash = hasher.finish();
    let playlist = Playlist {
        packed: gzip::pack(&body),
        tag: Some(Tag {
            plain: format!("\"{hash:016x}\"").into(),
            packed: format!("\"{hash:016x}-gzip\"").into(),
        }),
        body,
    };
    *known = Some(playlist.clone());
    playlist
}

/// One waiting request.
struct Blocked<'a>(&'a AtomicUsize);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn index(rendition: Rendition) -> usize {
    match rendition {
        Rendition::Audio => 0,
        Rendition::Video => 1,
        Rendition::Lower { rung } => 1 + usize::from(rung),
        Rendition::Opus => 1 + usize::from(RUNGS_MAX),
        Rendition::Captions => 2 + usize::from(RUNGS_MAX),
    }
}

/// Not every program has it.
fn is_optional(rendition: Rendition) -> bool {
    match rendition {
        Rendition::Video | Rendition::Audio => false,
        Rendition::Lower { .. } | Rendition::Opus | Rendition::Captions => true,
    }
}

/// Adds what only grows.
fn add(to: &mut WindowCounters, more: &WindowCounters) {
    to.parts += more.parts;
    to.bytes += more.bytes;
    to.segments_left += more.segments_left;
    to.segments_evicted += more.segments_evicted;
    to.segments_missing += more.segments_missing;
    to.playlists_rendered += more.playlists_rendered;
    to.segments_kept += more.segments_kept;
    to.segments_unkept += more.segments_unkept;
    to.segments_over += more.segments_over;
    to.thumbnails += more.thumbnails;
}

/// A window whose program panicked is still readable, and is replaced by the room's next broadcast.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
