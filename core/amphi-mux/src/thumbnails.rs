//! Small pictures of a program, for whoever looks for a moment in it: which pictures they are made of, and the list of them.
//!
//! Time is divided into slots of equal length, counted from the programme clock's zero. A slot's thumbnail is of the first key frame in
//! it, and the slot's number is its media sequence number: a slot without one is a gap, and nothing has to be counted. That a thumbnail
//! is a little younger than its slot stands in its EXT-X-PROGRAM-DATE-TIME, which is exact.
//!
//! The list is an *Image Media Playlist* (the community's specification 0.4, github.com/image-media-playlist/spec), which
//! Shaka Player, Roku and others read. To a player that knows nothing of it, it is a comment.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amphi_media::{Bitrate, MediaKind, MediaTime, Sample, VideoSize, h264};
use bytes::Bytes;

use crate::playlist::{self, Image, Images, ThumbnailName};

/// Pixels of a thumbnail: those of 256 × 144, in whatever shape.
const PIXELS: f64 = 256.0 * 144.0;
/// No side is longer or shorter, whatever the shape.
const SIDE_MAX: u32 = 1024;
const SIDE_MIN: u32 = 16;

/// A larger one is not taken: one is some 8 kB.
const BYTES_MAX: usize = 128 * 1024;

/// Thumbnails that nobody has kept: older ones go. With a disk that works there is one.
const UNKEPT_MAX: usize = 64;

/// How long one may be asked for after it left the list.
const KEPT_US: i64 = 60_000_000;

/// A rung without a key frame for that long has left.
const RUNG_FORGOTTEN_US: i64 = 10_000_000;

/// A small picture of the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thumbnail {
    /// When what is on it was on air, on the programme clock.
    pub time: MediaTime,
    pub size: VideoSize,
    /// JPEG.
    pub bytes: Bytes,
}

/// The size of the thumbnail of a picture of this size: its shape, and never larger than it is. Even both ways.
pub fn thumbnail_size(of: VideoSize) -> VideoSize {
    let shrink = (PIXELS / (of.pixels().max(1) as f64)).sqrt().min(1.0);
    let side = |length: u32| {
        let length = (f64::from(length) * shrink / 2.0).round() as u32 * 2;
        length.clamp(SIDE_MIN, SIDE_MAX)
    };
    VideoSize::new(side(of.width), side(of.height))
}

/// Chooses the key frames that thumbnails are made of: in every slot the first, of the rung that is nearest in size.
#[derive(Debug)]
pub struct ThumbnailPicker {
    every_us: i64,
    newest_slot: Option<i64>,
    /// Size, and time of the newest key frame.
    rungs: BTreeMap<u8, (VideoSize, i64)>,
}

impl ThumbnailPicker {
    /// `every`: the length of a slot (`WindowConfig::thumbnails`).
    pub fn new(every: Duration) -> Self {
        Self {
            every_us: micros(every),
            newest_slot: None,
            rungs: BTreeMap::new(),
        }
    }

    /// Whether a thumbnail is to be made of this sample. Only key frames of pictures are looked at.
    pub fn wants(&mut self, sample: &Sample) -> bool {
        if sample.kind != MediaKind::Video || !sample.key {
            return false;
        }
        let Some(size) = size_of(&sample.data) else {
            return false;
        };
        let now = sample.time.micros();
        self.rungs.insert(sample.rung, (size, now));
        self.rungs
            .retain(|_, (_, newest)| now - *newest < RUNG_FORGOTTEN_US);
        let slot = now.div_euclid(self.every_us);
        let wanted = self.newest_slot.is_none_or(|newest| slot > newest)
            && self.nearest() == Some(sample.rung);
        if wanted {
            self.newest_slot = Some(slot);
        }
        wanted
    }

    /// The smallest that need not be blown up, else the largest.
    fn nearest(&self) -> Option<u8> {
        let pixels = |rung: &u8| self.rungs[rung].0.pixels();
        let large = self
            .rungs
            .keys()
            .filter(|rung| pixels(rung) as f64 >= PIXELS * 0.9);
        let smallest = large.min_by_key(|rung| pixels(rung));
        smallest
            .or_else(|| self.rungs.keys().max_by_key(|rung| pixels(rung)))
            .copied()
    }
}

fn size_of(annex_b: &[u8]) -> Option<VideoSize> {
    let sps = h264::nal_units(annex_b).find(|nal| h264::nal_type(nal) == Some(h264::NAL_SPS))?;
    h264::sps(sps).map(|sps| sps.size)
}

/// The thumbnails of one window.
pub(crate) struct Thumbnails {
    every_us: i64,
    epoch: u64,
    zero_unix_ms: i64,
    /// In order; slots that have none are not here.
    all: VecDeque<Held>,
    /// First one in the list.
    listed_from: u64,
    playlist: OnceCell<Bytes>,
}

struct Held {
    slot: u64,
    time_us: i64,
    size: VideoSize,
    length: usize,
    /// None when somebody else has it.
    bytes: Option<Bytes>,
    kept: bool,
    /// Programme time at which it left the list.
    left_us: Option<i64>,
}

/// What has left.
#[derive(Default)]
pub(crate) struct Forgotten {
    /// Of memory.
    pub bytes: u64,
    /// Kept elsewhere: name and size.
    pub kept: Vec<(String, u64)>,
}

impl Thumbnails {
    pub(crate) fn new(every: Duration, epoch: u64, zero_unix_ms: i64) -> Self {
        Self {
            every_us: micros(every),
            epoch,
            zero_unix_ms,
            all: VecDeque::new(),
            listed_from: 0,
            playlist: OnceCell::new(),
        }
    }

    /// Its name. None when it is of no use: too large, or its slot has one.
    pub(crate) fn push(&mut self, thumbnail: &Thumbnail) -> Option<String> {
        let time_us = thumbnail.time.micros();
        let slot = u64::try_from(time_us.div_euclid(self.every_us)).ok()?;
        let is_new = self.all.back().is_none_or(|newest| newest.slot < slot);
        if !is_new || thumbnail.bytes.len() > BYTES_MAX || slot < self.listed_from {
            return None;
        }
        self.all.push_back(Held {
            slot,
            time_us,
            size: thumbnail.size,
            length: thumbnail.bytes.len(),
            bytes: Some(thumbnail.bytes.clone()),
            kept: false,
            left_us: None,
        });
        self.changed();
        Some(self.name(slot).to_string())
    }

    /// Lets go of those that show nothing of what a player can still go back to: `oldest_us` is where that begins.
    pub(crate) fn let_go(&mut self, oldest_us: i64, now_us: i64) -> Forgotten {
        // The last one before it may be the nearest, and is up to a slot younger than its own begins.
        let first = u64::try_from(oldest_us.div_euclid(self.every_us) - 1).unwrap_or(0);
        let mut unkept = self.all.iter().filter(|one| !one.kept).count();
        let mut forgotten = Forgotten::default();
        if first > self.listed_from && self.all.front().is_some_and(|one| one.slot < first) {
            self.changed();
        }
        self.listed_from = self.listed_from.max(first);
        let listed_from = self.listed_from;
        for left in self.all.iter_mut().take_while(|one| one.slot < listed_from) {
            left.left_us.get_or_insert(now_us);
        }
        let is_old = |one: &Held| one.left_us.is_some_and(|left| now_us - left >= KEPT_US);
        while self.all.front().is_some_and(is_old) {
            let first = self.all.pop_front().expect("it was there");
            unkept -= usize::from(!first.kept);
            self.forget(&first, &mut forgotten);
        }
        while unkept > UNKEPT_MAX {
            let oldest = self.all.iter().position(|one| !one.kept);
            let Some(gone) = oldest.and_then(|oldest| self.all.remove(oldest)) else {
                break;
            };
            unkept -= 1;
            self.forget(&gone, &mut forgotten);
            self.changed();
        }
        forgotten
    }

    fn forget(&self, gone: &Held, forgotten: &mut Forgotten) {
        forgotten.bytes += gone.bytes.as_ref().map_or(0, Bytes::len) as u64;
        if gone.kept {
            let name = self.name(gone.slot).to_string();
            forgotten.kept.push((name, gone.length as u64));
        }
    }

    /// It is kept elsewhere now: the bytes that are no longer here. None when it is of no use any more.
    pub(crate) fn kept(&mut self, name: ThumbnailName) -> Option<u64> {
        let slot = self.slot_of(name)?;
        let held = self.all.iter_mut().rev().find(|one| one.slot == slot)?;
        if held.left_us.is_some() {
            return None;
        }
        held.kept = true;
        Some(held.bytes.take().map_or(0, |bytes| bytes.len() as u64))
    }

    pub(crate) fn find(&self, name: ThumbnailName) -> Option<Place> {
        let slot = self.slot_of(name)?;
        let found = self.all.binary_search_by_key(&slot, |one| one.slot);
        match found {
            Ok(at) => Some(match &self.all[at].bytes {
                Some(bytes) => Place::Here(bytes.clone()),
                None => Place::Kept,
            }),
            Err(_) => self
                .all
                .back()
                .is_some_and(|newest| slot < newest.slot)
                .then_some(Place::Gone),
        }
    }

    /// Bytes that somebody else keeps.
    pub(crate) fn bytes_kept(&self) -> u64 {
        let kept = self.all.iter().filter(|one| one.kept);
        kept.map(|one| one.length as u64).sum()
    }

    /// The list; empty before the first one.
    pub(crate) fn playlist(&self, ended: bool) -> Bytes {
        let made = self.playlist.get_or_init(|| {
            let mut images = Vec::new();
            let mut next = None;
            for one in self.listed() {
                // Slots without one, from the first that has one on.
                images.extend(
                    (next.unwrap_or(one.slot)..one.slot).map(|slot| self.image(slot, None)),
                );
                images.push(self.image(one.slot, Some(one)));
                next = Some(one.slot + 1);
            }
            let images = Images {
                duration: self.every_us as f64 / 1e6,
                images,
                ended,
            };
            images.render().into()
        });
        made.clone()
    }

    fn image(&self, slot: u64, held: Option<&Held>) -> Image {
        let begins_us = i64::try_from(slot)
            .unwrap_or(i64::MAX)
            .saturating_mul(self.every_us);
        Image {
            name: self.name(slot),
            date_ms: self.zero_unix_ms + held.map_or(begins_us, |held| held.time_us) / 1_000,
            size: held.map(|held| held.size),
        }
    }

    /// The playlist is to be made anew.
    pub(crate) fn changed(&mut self) {
        self.playlist = OnceCell::new();
    }

    /// Of those that are listed, for the multivariant playlist: the newest one's size, and bits a second at most.
    pub(crate) fn measured(&self) -> Option<(VideoSize, u64)> {
        let size = self.listed().last()?.size;
        let most = self.listed().map(|one| one.length).max().unwrap_or(0);
        let every = MediaTime::new(self.every_us, 1_000_000).to_duration();
        Some((size, Bitrate::of(most as u64, every).0.max(1)))
    }

    fn listed(&self) -> impl Iterator<Item = &Held> {
        self.all.iter().filter(|one| one.slot >= self.listed_from)
    }

    fn name(&self, slot: u64) -> ThumbnailName {
        ThumbnailName {
            epoch: self.epoch,
            slot,
        }
    }

    fn slot_of(&self, name: ThumbnailName) -> Option<u64> {
        (name.epoch == self.epoch).then_some(name.slot)
    }
}

/// Where a thumbnail is.
pub(crate) enum Place {
    Here(Bytes),
    Kept,
    Gone,
}

/// Never zero.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros())
        .unwrap_or(i64::MAX)
        .max(1)
}

/// The name of the list, beside the other playlists.
pub const THUMBNAILS_PLAYLIST: &str = playlist::THUMBNAILS;

/// Whether a file of a program, by its name, is a thumbnail.
pub fn is_thumbnail(name: &str) -> bool {
    ThumbnailName::parse(name).is_some()
}
