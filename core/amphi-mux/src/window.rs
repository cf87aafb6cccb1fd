mod track;

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amphi_media::MediaTime;
use bytes::Bytes;

use crate::clip::{ClipPiece, ClipSegment, NoClip};
use crate::packager::{Output, Part, Rendition};
use crate::playlist::{self, File, Measured, Name, ThumbnailName};
use crate::thumbnails::{Forgotten, Place, Thumbnail, Thumbnails};
use track::{Form, Gone, Segment, Track};

/// Part targets that a low-latency player stays behind the end. RFC 8216bis §4.4.3.8 asks for three; sound comes a quarter of a second
/// after the picture, and with three Chromium had half a second of it in hand at times; each part more is a third of a second later
/// for everybody.
const PARTS_HELD_BACK: f64 = 3.4;

/// What left a long playlist may be asked for this long, or for as long as the playlist lists. RFC 8216bis §6.2.2 asks for the latter
/// however long that is; of two hours it would double the disk for players that read no playlist for so long.
const KEPT_MAX: Duration = Duration::from_secs(600);

/// Of the bytes that may be kept elsewhere, so much is listed; the rest is for what has left and may still be asked for.
const LISTED_SHARE: f64 = 0.75;

/// A request may be for a media sequence number this much beyond the newest (RFC 8216bis §6.2.5.2).
const ADVANCE_SEGMENTS: u64 = 2;

/// A thumbnail of a picture so much newer than what is out is not believed.
const THUMBNAIL_AHEAD_MAX: Duration = Duration::from_secs(60);

/// Which pictures `index.m3u8` names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Variants {
    #[default]
    All,
    /// The largest, and sound alone.
    Largest,
}

/// How much of a program is kept, and under which name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowConfig {
    /// Never used before, not even by an earlier run of the server: it is in every name, so that no name ever gets other bytes.
    /// Milliseconds of unix time when the program began will do.
    pub epoch: u64,
    /// Unix time of the programme clock's zero, in milliseconds.
    pub zero_unix_ms: i64,
    /// As the packager's.
    pub part_target: Duration,
    /// As the packager's; whole seconds.
    pub segment_max: Duration,
    /// How much the playlists list; not less than three times `segment_max` (RFC 8216bis §6.2.2).
    pub listed: Duration,
    /// How long a segment is still handed out after it left the playlist, for players that read the playlist before.
    pub kept: Duration,
    /// Above it the oldest bytes go, even listed ones, which are then told as gaps.
    pub bytes_max: usize,
    /// A longer window than memory holds.
    pub dvr: Option<Dvr>,
    /// A thumbnail of the program is made that often: whole seconds.
    pub thumbnails: Option<Duration>,
}

/// A window of segments that whoever has a disk keeps: see [`Window::poll`]. A segment that nobody has kept by the time at which it
/// would leave a window without this (`WindowConfig::listed`) leaves, with all before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dvr {
    /// How much the playlists list.
    pub listed: Duration,
    /// Bytes that are kept at once, of all renditions together. Above it the oldest segments leave early.
    pub bytes_max: u64,
}

impl Dvr {
    /// How long a segment is still handed out after it left the playlist.
    fn kept(&self, segment_max: Duration) -> Duration {
        (self.listed + segment_max).min(KEPT_MAX)
    }
}

impl WindowConfig {
    pub fn new(epoch: u64, zero_unix_ms: i64) -> Self {
        Self {
            epoch,
            zero_unix_ms,
            part_target: Duration::from_millis(334),
            segment_max: Duration::from_secs(4),
            listed: Duration::from_secs(20),
            kept: Duration::from_secs(24),
            bytes_max: 64 * 1024 * 1024,
            dvr: None,
            thumbnails: None,
        }
    }

    /// How far behind the newest part a low-latency player stays: what the playlists say as PART-HOLD-BACK.
    pub fn part_hold_back(&self) -> Duration {
        self.part_target.mul_f64(PARTS_HELD_BACK)
    }
}

/// Whether a playlist already holds what a blocking request waits for (RFC 8216bis §6.2.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Answer at once.
    Ready,
    /// Wait for the next part, but not longer than three target durations.
    NotYet,
    /// Too far ahead: status 400.
    TooFar,
}

/// What a name in a playlist stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    Init(Bytes),
    /// A segment, a part or a thumbnail.
    Media(Bytes),
    /// A segment or a thumbnail that is no longer in memory: whoever keeps them has it, under this name.
    Kept(String),
    /// The part that the playlist hints at, or the segment that is being filled: wait for the next part.
    NotYet,
    /// It was here, or in an earlier program: status 410 or 404.
    Gone,
    /// Never was a name of ours: status 404.
    Unknown,
}

/// What to do with a segment or a thumbnail, for whoever keeps them. Names are those in the playlists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Keep it, and say so ([`Window::kept`]).
    Keep { name: String, bytes: Bytes },
    /// It was kept, and nobody will ask for it any more.
    Forget { name: String },
}

/// What a window holds, and what it cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowCounters {
    pub parts: u64,
    pub bytes: u64,
    /// Held at present in memory, and kept elsewhere; all others only grow.
    pub bytes_held: u64,
    pub bytes_kept: u64,
    /// Segments that left because they were old.
    pub segments_left: u64,
    /// Segments that left early because `bytes_max` was reached.
    pub segments_evicted: u64,
    /// Segments of a rendition that never came.
    pub segments_missing: u64,
    pub segments_kept: u64,
    /// Segments that left a long window early because nobody had kept them.
    pub segments_unkept: u64,
    /// Segments that left a long window early because `Dvr::bytes_max` was reached.
    pub segments_over: u64,
    pub playlists_rendered: u64,
    /// Thumbnails that were taken.
    pub thumbnails: u64,
}

/// The newest part of a program in memory: playlists, initialization sections, segments and parts.
///
/// Push every output of the packager, and **poll after every push, and after `kept`**. A playlist is rendered once after each of its parts, for everybody
/// who asks. Nothing here waits: when `revision` has changed, ask again.
pub struct Window {
    config: WindowConfig,
    /// Picture and sound, which every window has, and the lower rungs that have begun.
    tracks: BTreeMap<Rendition, Track>,
    ended: bool,
    revision: u64,
    indexes: Indexes,
    thumbnails: Option<Thumbnails>,
    orders: VecDeque<Order>,
    playlists_rendered: Cell<u64>,
    counters: WindowCounters,
}

/// The multivariant playlists of this revision, as far as anybody asked.
#[derive(Default)]
struct Indexes {
    all: OnceCell<Option<Bytes>>,
    largest: OnceCell<Option<Bytes>>,
}

impl Window {
    pub fn new(config: WindowConfig) -> Self {
        Self {
            tracks: Rendition::BOTH
                .map(|rendition| (rendition, Track::new(rendition)))
                .into(),
            ended: false,
            revision: 0,
            indexes: Indexes::default(),
            thumbnails: config
                .thumbnails
                .map(|every| Thumbnails::new(every, config.epoch, config.zero_unix_ms)),
            orders: VecDeque::new(),
            playlists_rendered: Cell::new(0),
            counters: WindowCounters::default(),
            config,
        }
    }

    /// Takes what the packager put out, in that order.
    pub fn push(&mut self, output: &Output) {
        self.indexes = Indexes::default();
        match output {
            Output::Init(init) => {
                let track = self.track_mut(init.rendition);
                track.inits.insert(init.generation, init.clone());
                track.left = false;
            }
            Output::Left(rendition) => {
                let track = self.track_mut(*rendition);
                track.close_last();
                track.left = true;
                self.have_kept();
                self.follow_top();
                self.revision += 1;
            }
            Output::Part(part) => {
                self.take_part(part);
                self.bound_bytes();
                self.bound_kept();
                if part.rendition == Rendition::Video {
                    self.follow_top();
                }
                self.let_go_of_thumbnails();
                self.revision += 1;
            }
            Output::End => {
                self.ended = true;
                for track in self.tracks.values_mut() {
                    // A program that goes off air in the middle of a segment: its parts are all there will be of it, and a
                    // part belongs to a segment (RFC 8216bis §3.2).
                    track.close_last();
                    track.changed();
                }
                if let Some(thumbnails) = &mut self.thumbnails {
                    thumbnails.changed();
                }
                self.follow_top();
                self.have_kept();
                self.revision += 1;
            }
        }
    }

    /// Takes a thumbnail. One that is of no use is passed over: of a program that makes none, of a time that has one, after the end.
    pub fn push_thumbnail(&mut self, thumbnail: &Thumbnail) {
        let newest = self.newest().unwrap_or(thumbnail.time).micros();
        let ahead = thumbnail.time.micros() - newest;
        let is_ahead = ahead > MediaTime::from_duration(THUMBNAIL_AHEAD_MAX, 1_000_000).ticks;
        let Some(thumbnails) = self
            .thumbnails
            .as_mut()
            .filter(|_| !self.ended && !is_ahead)
        else {
            return;
        };
        let Some(name) = thumbnails.push(thumbnail) else {
            return;
        };
        self.indexes = Indexes::default();
        self.counters.thumbnails += 1;
        self.counters.bytes_held += thumbnail.bytes.len() as u64;
        if self.config.dvr.is_some() {
            let bytes = thumbnail.bytes.clone();
            self.orders.push_back(Order::Keep { name, bytes });
        }
        self.let_go_of_thumbnails();
    }

    /// `thumbnails.m3u8`. None of a program that makes none.
    pub fn thumbnails_playlist(&self) -> Option<Bytes> {
        self.thumbnails
            .as_ref()
            .map(|thumbnails| thumbnails.playlist(self.ended))
    }

    /// Thumbnails leave with what they show.
    fn let_go_of_thumbnails(&mut self) {
        let leading = match self.has_video() {
            true => Rendition::Video,
            false => Rendition::Audio,
        };
        let oldest = self.track(leading).and_then(Track::oldest_us);
        let (Some(oldest_us), Some(newest)) = (oldest, self.newest()) else {
            return;
        };
        let Some(thumbnails) = &mut self.thumbnails else {
            return;
        };
        let Forgotten { bytes, kept } = thumbnails.let_go(oldest_us, newest.micros());
        self.counters.bytes_held -= bytes;
        for (name, size) in kept {
            self.counters.bytes_kept -= size;
            self.orders.push_back(Order::Forget { name });
        }
    }

    /// `index.m3u8`. None until there is something to play.
    pub fn multivariant(&self) -> Option<Bytes> {
        self.multivariant_of(Variants::All)
    }

    /// `index.m3u8` of these variants, whose playlists are to be asked for with `query` (without the `?`): by it the shell tells one
    /// viewer from another.
    pub fn multivariant_for(&self, variants: Variants, query: &str) -> Option<Bytes> {
        let plain = self.multivariant_of(variants)?;
        let mut text = String::from_utf8_lossy(&plain).into_owned();
        for rendition in self.tracks.keys() {
            let name = rendition.playlist_name();
            text = text.replace(&name, &format!("{name}?{query}"));
        }
        Some(text.into())
    }

    fn multivariant_of(&self, variants: Variants) -> Option<Bytes> {
        let made = match variants {
            Variants::All => &self.indexes.all,
            Variants::Largest => &self.indexes.largest,
        };
        made.get_or_init(|| self.index(variants)).clone()
    }

    fn index(&self, variants: Variants) -> Option<Bytes> {
        let top = self.track(Rendition::Video);
        let measured = |rendition| {
            let measured = self.track(rendition)?.measured(None)?;
            Some((rendition, measured))
        };
        let aac = measured(Rendition::Audio)?;
        let rungs_max = match variants {
            Variants::All => usize::MAX,
            Variants::Largest => 1,
        };
        let rungs: Vec<(Rendition, Measured)> = self
            .pictures()
            .filter_map(|track| Some((track.rendition, track.measured(top)?)))
            .take(rungs_max)
            .collect();
        // Variants must have the same segments, and two codings of sound alone do not.
        let opus = measured(Rendition::Opus).filter(|_| !rungs.is_empty());
        let sounds: Vec<(Rendition, Measured)> = [aac].into_iter().chain(opus).collect();
        let thumbnails = self.thumbnails.as_ref().and_then(Thumbnails::measured);
        let captions = self.track(Rendition::Captions).and_then(Track::bits);
        Some(playlist::multivariant(&rungs, &sounds, captions, thumbnails).into())
    }

    /// The media playlist of `rendition`. None until its first part.
    pub fn playlist(&self, rendition: Rendition) -> Option<Bytes> {
        let track = self.track(rendition)?;
        let made = track.full.get_or_init(|| self.render(track, Form::Full));
        made.clone()
    }

    /// The same without what a player that read it lately already has (RFC 8216bis §6.2.5.1): the whole where nothing can be left out.
    pub fn delta_update(&self, rendition: Rendition) -> Option<Bytes> {
        let track = self.track(rendition)?;
        let made = track.delta.get_or_init(|| match self.config.dvr {
            Some(_) => self.render(track, Form::Delta),
            None => self.playlist(rendition),
        });
        made.clone()
    }

    fn render(&self, track: &Track, form: Form) -> Option<Bytes> {
        let others = self
            .tracks
            .values()
            .filter(|other| other.rendition != track.rendition);
        let reports = others.filter_map(Track::report).collect();
        let live = track.live(&self.config, reports, self.ended, form)?;
        self.playlists_rendered
            .set(self.playlists_rendered.get() + 1);
        Some(live.render().into())
    }

    /// What is to be kept elsewhere, and no longer. Nothing unless the configuration has a [`Dvr`].
    pub fn poll(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// A segment or a thumbnail is kept elsewhere. False when it is of no use any more: it is to be forgotten.
    pub fn kept(&mut self, name: &str) -> bool {
        if let Some(name) = ThumbnailName::parse(name) {
            let kept = (self.thumbnails.as_mut()).and_then(|thumbnails| thumbnails.kept(name));
            self.counters.bytes_kept += kept.unwrap_or(0);
            self.counters.bytes_held -= kept.unwrap_or(0);
            return kept.is_some();
        }
        let Some(name) = Name::parse(name).filter(|name| name.epoch == self.config.epoch) else {
            return false;
        };
        let File::Segment { sequence } = name.file else {
            return false;
        };
        let Some(track) = self.tracks.get_mut(&name.rendition) else {
            return false;
        };
        let listed = sequence >= track.listed_from;
        let Some(segment) = track.segment_mut(sequence).filter(|one| listed && !one.gap) else {
            return false;
        };
        if !segment.kept {
            segment.kept = true;
            self.counters.segments_kept += 1;
            self.counters.bytes_kept += segment.size as u64;
            self.bound_kept();
        }
        true
    }

    /// What to do with a request for `rendition`'s playlist that says `_HLS_msn` and maybe `_HLS_part`.
    pub fn contains(&self, rendition: Rendition, msn: u64, part: Option<u32>) -> Presence {
        if self.ended {
            return Presence::Ready;
        }
        let segments = self.track(rendition).map(|track| &track.segments);
        let Some(last) = segments.and_then(VecDeque::back) else {
            return if msn <= ADVANCE_SEGMENTS {
                Presence::NotYet
            } else {
                Presence::TooFar
            };
        };
        if msn > last.sequence + ADVANCE_SEGMENTS {
            return Presence::TooFar;
        }
        let parts = u64::try_from(last.parts.len()).expect("a segment has a dozen parts");
        // How many parts after the newest one it is; a part beyond the end of a segment is the first of the next.
        let ahead = match (msn.cmp(&last.sequence), part) {
            (std::cmp::Ordering::Less, _) => return Presence::Ready,
            (std::cmp::Ordering::Equal, None) if last.complete => return Presence::Ready,
            (std::cmp::Ordering::Equal, Some(part)) if u64::from(part) < parts => {
                return Presence::Ready;
            }
            (std::cmp::Ordering::Equal, Some(part)) => u64::from(part) - parts,
            (std::cmp::Ordering::Greater, Some(part)) => u64::from(part),
            (_, None) => 0,
        };
        let limit = if self.config.part_target < Duration::from_secs(1) {
            (3.0 / self.config.part_target.as_secs_f64()) as u64
        } else {
            3
        };
        if ahead > limit {
            Presence::TooFar
        } else {
            Presence::NotYet
        }
    }

    /// What `name`, the last component of a path, stands for.
    pub fn resource(&self, name: &str) -> Found {
        if let Some(name) = ThumbnailName::parse(name) {
            return self.thumbnail(name);
        }
        let Some(name) = Name::parse(name) else {
            return Found::Unknown;
        };
        if name.epoch != self.config.epoch {
            return Found::Gone;
        }
        let Some(track) = self.track(name.rendition) else {
            return Found::Unknown;
        };
        match name.file {
            File::Init { generation } => match track.inits.get(&generation) {
                Some(init) => Found::Init(init.bytes.clone()),
                None if track
                    .inits
                    .keys()
                    .next()
                    .is_some_and(|first| generation < *first) =>
                {
                    Found::Gone
                }
                None => Found::Unknown,
            },
            File::Segment { sequence } => {
                let track = self.owner(track, sequence);
                track.find(sequence, self.ended, |segment| {
                    match (&segment.whole, segment.complete) {
                        (Some(whole), _) => Found::Media(whole.clone()),
                        (None, true) if segment.kept && !segment.gap => {
                            Found::Kept(segment_name(track.rendition, self.config.epoch, sequence))
                        }
                        (None, true) => Found::Gone,
                        (None, false) => Found::NotYet,
                    }
                })
            }
            File::Part { sequence, index } => {
                let track = self.owner(track, sequence);
                track.find(sequence, self.ended, |segment| {
                    let index = usize::try_from(index).unwrap_or(usize::MAX);
                    match segment.parts.get(index) {
                        Some(piece) if !segment.gap => Found::Media(piece.bytes.clone()),
                        Some(_) => Found::Gone,
                        None if segment.parts.is_empty() && segment.complete => Found::Gone,
                        None if !segment.complete && index == segment.parts.len() => Found::NotYet,
                        None => Found::Unknown,
                    }
                })
            }
        }
    }

    /// Whose bytes a segment of `track` has: the top rung's, while that one had left.
    fn owner<'a>(&'a self, track: &'a Track, sequence: u64) -> &'a Track {
        let last = track.segments.back().map(|last| last.sequence);
        let borrowed = match track.segment(sequence) {
            Some(segment) => segment.borrowed,
            None => track.left && last.is_some_and(|last| sequence > last),
        };
        let top = self.track(Rendition::Video).filter(|_| borrowed);
        top.unwrap_or(track)
    }

    /// What is said can be read too.
    pub fn has_captions(&self) -> bool {
        self.track(Rendition::Captions).is_some()
    }

    /// How many rungs of the picture `index.m3u8` lists.
    pub fn rungs(&self) -> usize {
        let top = self.track(Rendition::Video);
        let pictures = self.pictures();
        pictures
            .filter(|track| track.measured(top).is_some())
            .count()
    }

    /// Rungs that have left, whose playlists go on when the top one's does.
    pub fn following(&self) -> Vec<Rendition> {
        let following = self.tracks.values().filter(|track| track.left);
        following.map(|track| track.rendition).collect()
    }

    fn thumbnail(&self, name: ThumbnailName) -> Found {
        if name.epoch != self.config.epoch {
            return Found::Gone;
        }
        let found = (self.thumbnails.as_ref()).and_then(|thumbnails| thumbnails.find(name));
        match found {
            Some(Place::Here(bytes)) => Found::Media(bytes),
            Some(Place::Kept) => Found::Kept(name.to_string()),
            Some(Place::Gone) => Found::Gone,
            None => Found::Unknown,
        }
    }

    /// What a clip from `from` to `to` (programme clock) is made of: the picture, from the segment in which `from` is, and its sound.
    pub fn clip(&self, from: MediaTime, to: MediaTime) -> Result<Vec<ClipPiece>, NoClip> {
        let leading = match self.has_video() {
            true => Rendition::Video,
            false => Rendition::Audio,
        };
        let track = self.track(leading).ok_or(NoClip::NothingYet)?;
        let first = track.segment(track.listed_from).ok_or(NoClip::NothingYet)?;
        let rate = leading.rate();
        let span = [first.time, track.end()].map(|ticks| MediaTime::new(ticks, rate));
        let micros = [from, to].map(MediaTime::micros);
        if micros[0] < span[0].micros() || micros[1] > span[1].micros() || micros[0] >= micros[1] {
            return Err(NoClip::Outside(span[0], span[1]));
        }
        let picture = track.between(from.rescale(rate).ticks, to.rescale(rate).ticks);
        // The sound's segments end a little later than the picture's of the same number.
        let begin = picture
            .first()
            .map_or(from, |first| MediaTime::new(first.time, rate));
        let mut pieces: Vec<(i64, Rendition, &Segment)> = Vec::new();
        let timed = |rendition: Rendition, segment| (rendition, segment);
        for (rendition, segment) in picture.iter().map(|one| timed(leading, *one)) {
            pieces.push((
                MediaTime::new(segment.time, rate).micros(),
                rendition,
                segment,
            ));
        }
        if let (Rendition::Video, Some(sound)) = (leading, self.track(Rendition::Audio)) {
            let rate = Rendition::Audio.rate();
            for segment in sound.between(begin.rescale(rate).ticks, to.rescale(rate).ticks) {
                let micros = MediaTime::new(segment.time, rate).micros();
                pieces.push((micros, Rendition::Audio, segment));
            }
        }
        // Where both begin alike, the picture first.
        pieces.sort_by_key(|(micros, rendition, _)| (*micros, *rendition));
        let mut all = Vec::new();
        let mut announced: BTreeMap<Rendition, u32> = BTreeMap::new();
        for (index, (_, rendition, segment)) in pieces.into_iter().enumerate() {
            // Both are in the file from its beginning.
            let wanted: &[Rendition] = match (index, leading) {
                (0, Rendition::Video) => &Rendition::BOTH,
                _ => &[rendition],
            };
            for rendition in wanted {
                let init =
                    (self.track(*rendition)).and_then(|track| track.inits.get(&segment.generation));
                let before = announced.insert(*rendition, segment.generation);
                if let Some(init) = init.filter(|_| before != Some(segment.generation)) {
                    all.push(ClipPiece::Init(init.clone()));
                }
            }
            all.push(ClipPiece::Segment(ClipSegment {
                rendition,
                generation: segment.generation,
                sequence: segment.sequence,
                name: segment_name(rendition, self.config.epoch, segment.sequence),
                bytes: segment.in_memory(),
            }));
        }
        Ok(all)
    }

    /// Grows whenever an answer may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The program has, or has had, a picture. `multivariant` is another one before and after.
    pub fn has_video(&self) -> bool {
        self.track(Rendition::Video)
            .is_some_and(|track| !track.segments.is_empty())
    }

    /// The end of the newest part, of the picture where there is one, on the programme clock.
    pub fn newest(&self) -> Option<MediaTime> {
        let rendition = if self.has_video() {
            Rendition::Video
        } else {
            Rendition::Audio
        };
        let track = self.track(rendition)?;
        track
            .segments
            .back()
            .map(|last| MediaTime::new(last.time + last.duration, track.rendition.rate()))
    }

    pub fn counters(&self) -> WindowCounters {
        WindowCounters {
            playlists_rendered: self.playlists_rendered.get(),
            ..self.counters
        }
    }

    /// Rungs that have not left.
    fn pictures(&self) -> impl Iterator<Item = &Track> {
        let tracks = self.tracks.values();
        tracks.filter(|track| track.rendition.is_picture() && !track.left)
    }

    fn track(&self, rendition: Rendition) -> Option<&Track> {
        self.tracks.get(&rendition)
    }

    fn track_mut(&mut self, rendition: Rendition) -> &mut Track {
        let new = || Track::new(rendition);
        self.tracks.entry(rendition).or_insert_with(new)
    }

    fn take_part(&mut self, part: &Part) {
        let mut gone = Gone::default();
        let Some(missing) = self.track_mut(part.rendition).take(part, &mut gone) else {
            return;
        };
        self.counters.parts += 1;
        self.counters.bytes += part.bytes.len() as u64;
        self.counters.bytes_held += part.bytes.len() as u64;
        self.counters.segments_missing += missing;
        self.have_kept();
        let config = self.config.clone();
        let track = self.track_mut(part.rendition);
        track.let_go(track.end(), &config, &mut gone);
        self.count(part.rendition, gone);
    }

    /// Lets rungs that have left, or had, go on with the top rung's segments.
    fn follow_top(&mut self) {
        let Some(top) = self.tracks.remove(&Rendition::Video) else {
            return;
        };
        let mut all = Vec::new();
        let borrow = |track: &&mut Track| track.left || track.borrowed > 0;
        for track in self.tracks.values_mut().filter(borrow) {
            let mut gone = Gone::default();
            track.follow(&top, &mut gone);
            track.let_go(track.end(), &self.config, &mut gone);
            all.push((track.rendition, gone));
        }
        self.tracks.insert(Rendition::Video, top);
        for (rendition, gone) in all {
            self.count(rendition, gone);
        }
    }

    /// Asks for what was completed to be kept.
    fn have_kept(&mut self) {
        for track in self.tracks.values_mut() {
            for sequence in std::mem::take(&mut track.closed) {
                let rendition = track.rendition;
                let segment = track.segment_mut(sequence);
                let whole = segment.and_then(|segment| segment.whole.clone());
                if let (Some(bytes), Some(_)) = (whole, self.config.dvr) {
                    let name = segment_name(rendition, self.config.epoch, sequence);
                    self.orders.push_back(Order::Keep { name, bytes });
                }
            }
        }
    }

    fn count(&mut self, rendition: Rendition, gone: Gone) {
        self.counters.segments_left += gone.segments;
        self.counters.segments_unkept += gone.unkept;
        self.counters.bytes_held -= gone.bytes;
        for (sequence, size) in gone.kept {
            self.counters.bytes_kept -= size as u64;
            let name = segment_name(rendition, self.config.epoch, sequence);
            self.orders.push_back(Order::Forget { name });
        }
    }

    /// Keeps to `Dvr::bytes_max`: the oldest segments leave the playlists, and what has left longest is forgotten.
    fn bound_kept(&mut self) {
        let Some(dvr) = self.config.dvr else { return };
        if self.counters.bytes_kept <= (dvr.bytes_max as f64 * LISTED_SHARE) as u64 {
            return;
        }
        let oldest = |tracks: &BTreeMap<Rendition, Track>,
                      which: fn(&Track) -> Option<&Segment>| {
            let found = tracks.values().filter_map(|track| {
                let segment = which(track)?;
                let time = MediaTime::new(segment.time, track.rendition.rate());
                Some((time.micros(), track.rendition, segment.own_size() as u64))
            });
            found.min()
        };
        let mut listed: u64 = self.tracks.values().map(Track::kept_and_listed).sum();
        // They leave with the segments of their time.
        listed += self.thumbnails.as_ref().map_or(0, Thumbnails::bytes_kept);
        while listed > (dvr.bytes_max as f64 * LISTED_SHARE) as u64 {
            let Some((_, rendition, size)) = oldest(&self.tracks, Track::first_old) else {
                break;
            };
            self.track_mut(rendition).leave_first();
            self.counters.segments_over += 1;
            listed = listed.saturating_sub(size);
        }
        while self.counters.bytes_kept > dvr.bytes_max {
            let Some((_, rendition, _)) = oldest(&self.tracks, Track::first_left) else {
                break;
            };
            let mut gone = Gone::default();
            self.track_mut(rendition).forget_first(&mut gone);
            self.count(rendition, gone);
        }
    }

    fn bound_bytes(&mut self) {
        while self.counters.bytes_held > self.config.bytes_max as u64 {
            // The older of the two oldest; the last segment of each stays, whatever it weighs.
            let oldest = |track: &Track| {
                let newest = track.segments.len().saturating_sub(1);
                let full = track
                    .segments
                    .iter()
                    .take(newest)
                    .find(|segment| segment.bytes > 0);
                full.map(|segment| {
                    (
                        MediaTime::new(segment.time, track.rendition.rate()).micros(),
                        track.rendition,
                    )
                })
            };
            let Some((_, rendition)) = self.tracks.values().filter_map(oldest).min() else {
                return;
            };
            let track = self.track_mut(rendition);
            let Some(segment) = track.segments.iter_mut().find(|segment| segment.bytes > 0) else {
                return;
            };
            let bytes = std::mem::take(&mut segment.bytes) as u64;
            segment.whole = None;
            let evicted = !segment.kept;
            if evicted {
                segment.gap = true;
                for piece in &mut segment.parts {
                    piece.bytes = Bytes::new();
                }
            } else {
                segment.parts.clear();
            }
            track.changed();
            self.counters.bytes_held -= bytes;
            self.counters.segments_evicted += u64::from(evicted);
        }
    }
}

fn segment_name(rendition: Rendition, epoch: u64, sequence: u64) -> String {
    let file = File::Segment { sequence };
    let name = Name {
        rendition,
        epoch,
        file,
    };
    name.to_string()
}
