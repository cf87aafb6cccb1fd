//! Everybody who is shown, drawn into one picture and encoded once.
//!
//! Time is that of the programme: the picture for an instant is made [`PICTURE_DELAY_US`] after it, from the newest frame
//! of each source that belongs before that instant, so that late frames still come in time and lips stay with the sound.
//! Work that nobody would see is not done: a source without a cell is not decoded, a cell without a new frame is not drawn,
//! an instant in which nothing changed is not encoded.

use std::collections::{BTreeMap, VecDeque};

use amphi_media::{Codec, Frame, MediaKind, MediaTime, MemberId, Sample, TrackId, VideoSize};
use bytes::Bytes;

use crate::canvas::{Canvas, Colour, Scaler};
use crate::clock::Seen;
use crate::io::{Output, StageTrack};
use crate::layout::{self, Area, Cell, Guest, Layout};
use crate::mixer::MemberClocks;
use crate::picture::Picture;
use crate::{CodecError, Counters, VideoCodecs, VideoDecoder};

/// How long after an instant its picture is made. A frame that comes later is shown with the next one.
const PICTURE_DELAY_US: i64 = 120_000;

/// Cameras and screens that are followed.
const TRACKS_MAX: usize = 256;

/// Frames of one source that wait to be decoded, and their bytes. Beyond it the source waits for a key frame.
const QUEUE_MAX: usize = 120;
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How often the composed picture has a key frame: a segment of the broadcast starts there.
const KEY_INTERVAL_US: i64 = 2_000_000;

/// How often a source is asked whose key frame is waited for.
const ASK_AGAIN_US: i64 = 1_000_000;

/// Shortest time that somebody is large before another one is.
const LEAD_MIN_US: i64 = 3_000_000;

/// Who is large stays so while its level times this is not below the loudest.
const STAY: f32 = 1.5;

/// Instants that are made up for when time has jumped; the others are left out.
const TICKS_BEHIND_MAX: i64 = 15;

/// After so many pictures in a row that could not be made the encoder is given up.
const ENCODER_ERRORS_MAX: u32 = 60;

/// After so many errors in a row a source's decoder is made anew.
const DECODER_ERRORS_MAX: u32 = 5;

const TICKS: u32 = 90_000;

/// The stage with its lights down, as on the pages.
const BACKDROP: (u8, u8, u8) = (0x0d, 0x0f, 0x14);
const CARD: (u8, u8, u8) = (0x1c, 0x20, 0x2b);

/// How a composed program looks, and what makes it.
pub struct Compose {
    /// Even.
    pub canvas: VideoSize,
    pub frames_per_second: u32,
    pub layout: Layout,
    pub codecs: VideoCodecs,
}

struct Coded {
    time_us: i64,
    key: bool,
    data: Bytes,
}

/// One camera or screen.
struct Shown {
    picture: Picture,
    queue: VecDeque<Coded>,
    queue_bytes: usize,
    decoder: Option<Box<dyn VideoDecoder>>,
    decoder_codec: Option<Codec>,
    errors_in_a_row: u32,
    /// Of the newest decoded picture.
    size: Option<VideoSize>,
    /// It has a cell, so its frames are worth keeping.
    visible: bool,
    asked_us: i64,
}

impl Shown {
    fn forget_queue(&mut self) {
        self.queue.clear();
        self.queue_bytes = 0;
        self.picture.needs_key = true;
    }

    fn is_showable(&self) -> bool {
        !self.picture.muted && self.picture.codec.is_some()
    }
}

pub(crate) struct Composer {
    fps: i64,
    layout: Layout,
    codecs: VideoCodecs,
    canvas: Canvas,
    /// What the canvas was before the cells moved.
    before: Canvas,
    scaler: Scaler,
    tracks: BTreeMap<TrackId, Shown>,
    arrived: u64,
    speakers: Vec<(MemberId, f32)>,
    /// Who is large, and since when.
    lead: Option<(MemberId, i64)>,
    /// What is on the canvas.
    cells: Vec<(TrackId, Area, bool)>,
    /// Number of the next instant.
    tick: i64,
    changed: bool,
    key_us: Option<i64>,
    key_wanted: bool,
    errors_in_a_row: u32,
}

impl Composer {
    pub fn new(compose: Compose) -> Self {
        let canvas = Canvas::new(compose.canvas, backdrop());
        Self {
            fps: i64::from(compose.frames_per_second.clamp(1, 60)),
            layout: compose.layout,
            codecs: compose.codecs,
            before: canvas.clone(),
            canvas,
            scaler: Scaler::default(),
            tracks: BTreeMap::new(),
            arrived: 0,
            speakers: Vec::new(),
            lead: None,
            cells: Vec::new(),
            tick: 0,
            changed: true,
            key_us: None,
            key_wanted: false,
            errors_in_a_row: 0,
        }
    }

    pub fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
    }

    pub fn set_track(&mut self, track: &StageTrack, counters: &mut Counters) {
        if let Some(shown) = self.tracks.get_mut(&track.track) {
            shown.picture.describe(track);
            if track.muted {
                shown.forget_queue();
                shown.size = None;
            }
            return;
        }
        if self.tracks.len() >= TRACKS_MAX {
            counters.tracks_refused += 1;
            return;
        }
        self.arrived += 1;
        let shown = Shown {
            picture: Picture::new(track, self.arrived),
            queue: VecDeque::new(),
            queue_bytes: 0,
            decoder: None,
            decoder_codec: None,
            errors_in_a_row: 0,
            size: None,
            visible: false,
            asked_us: i64::MIN / 2,
        };
        self.tracks.insert(track.track, shown);
    }

    pub fn remove_track(&mut self, track: TrackId) {
        self.tracks.remove(&track);
    }

    pub fn set_speakers(&mut self, speakers: Vec<(MemberId, f32)>) {
        self.speakers = speakers;
    }

    pub fn members(&self) -> impl Iterator<Item = MemberId> {
        self.tracks.values().map(|shown| shown.picture.member)
    }

    /// The next picture is a key frame.
    pub fn need_key_frame(&mut self) {
        self.key_wanted = true;
    }

    /// The encoder fails again and again.
    pub fn is_broken(&self) -> bool {
        self.errors_in_a_row >= ENCODER_ERRORS_MAX
    }

    pub fn push(
        &mut self,
        frame: &Frame,
        arrived_us: i64,
        clocks: &mut MemberClocks,
        counters: &mut Counters,
    ) {
        let Some(shown) = self
            .tracks
            .get_mut(&frame.track)
            .filter(|shown| !shown.picture.muted)
        else {
            counters.frames_unknown += 1;
            return;
        };
        if shown.picture.codec.replace(frame.codec) != Some(frame.codec) {
            shown.forget_queue();
        }
        let member = clocks.entry(shown.picture.member).or_default();
        let (time_us, seen) = shown.picture.follow(frame, arrived_us, member);
        counters.resyncs += u64::from(seen == Seen::Jumped);
        if !shown.visible {
            shown.picture.needs_key = true;
            return;
        }
        let data = match frame.codec {
            Codec::H264 => shown.picture.prepare(frame),
            _ => {
                shown.picture.needs_key &= !frame.key;
                Some(frame.data.clone())
            }
        };
        let Some(data) = data else {
            counters.keys_unusable += 1;
            return;
        };
        if shown.picture.needs_key {
            counters.pictures_broken += 1;
            return;
        }
        if shown.queue.len() >= QUEUE_MAX || shown.queue_bytes + data.len() > QUEUE_BYTES_MAX {
            counters.pictures_overflow += 1;
            shown.forget_queue();
            return;
        }
        shown.queue_bytes += data.len();
        shown.queue.push_back(Coded {
            time_us,
            key: frame.key,
            data,
        });
    }

    /// Programme time at which the next picture is made.
    pub fn next_due_us(&self) -> i64 {
        self.tick_us(self.tick) + PICTURE_DELAY_US
    }

    /// Makes the pictures that are due.
    pub fn compose(&mut self, now_us: i64, counters: &mut Counters, out: &mut impl Extend<Output>) {
        let newest = (now_us - PICTURE_DELAY_US) * self.fps / 1_000_000;
        if newest - self.tick > TICKS_BEHIND_MAX {
            let left_out = newest - TICKS_BEHIND_MAX - self.tick;
            counters.ticks_left_out += u64::try_from(left_out).unwrap_or(0);
            self.tick += left_out;
        }
        while self.next_due_us() <= now_us {
            let at_us = self.tick_us(self.tick);
            self.tick += 1;
            self.arrange(at_us, counters);
            self.ask(now_us, counters, out);
            for index in 0..self.cells.len() {
                self.draw_cell(index, at_us, counters);
            }
            self.encode(at_us, counters, out);
        }
    }

    fn tick_us(&self, tick: i64) -> i64 {
        tick * 1_000_000 / self.fps
    }

    /// Who is shown and where; moves what is on the canvas when that is not as it was.
    fn arrange(&mut self, at_us: i64, counters: &mut Counters) {
        self.follow_speakers(at_us);
        let order = self.order();
        let guests: Vec<Guest> = order
            .iter()
            .filter_map(|track| self.tracks.get(track))
            .map(|shown| Guest {
                source: shown.picture.source,
                size: shown.size,
            })
            .collect();
        let lead = self.lead.and_then(|(lead, _)| {
            order.iter().position(|track| {
                self.tracks
                    .get(track)
                    .is_some_and(|shown| shown.picture.member == lead && !shown.picture.is_screen())
            })
        });
        let cells: Vec<(TrackId, Area, bool)> =
            layout::cells(self.layout, self.canvas.size(), &guests, lead)
                .into_iter()
                .filter_map(|Cell { guest, area, card }| Some((*order.get(guest)?, area, card)))
                .collect();
        if cells == self.cells {
            return;
        }
        counters.layouts += 1;
        self.rearrange(cells);
    }

    /// Who can be shown: screens first, then in the order in which they came.
    fn order(&self) -> Vec<TrackId> {
        let mut order: Vec<(bool, u64, TrackId)> = self
            .tracks
            .iter()
            .filter(|(_, shown)| shown.is_showable())
            .map(|(track, shown)| (!shown.picture.is_screen(), shown.picture.order, *track))
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, _, track)| track).collect()
    }

    /// Lets the loudest lead, unless who leads has done so for a moment only or is nearly as loud.
    fn follow_speakers(&mut self, at_us: i64) {
        let Some((loudest, level)) = self.speakers.first().copied() else {
            return;
        };
        let stays = self.lead.is_some_and(|(lead, since_us)| {
            let own = self.speakers.iter().find(|(member, _)| *member == lead);
            at_us - since_us < LEAD_MIN_US || own.is_some_and(|(_, own)| own * STAY >= level)
        });
        if !stays {
            self.lead = Some((loudest, at_us));
        }
    }

    /// What is in a cell already moves with it, so that nobody is dark until the next frame comes: a screen may not change for
    /// a minute.
    fn rearrange(&mut self, cells: Vec<(TrackId, Area, bool)>) {
        self.changed = true;
        std::mem::swap(&mut self.canvas, &mut self.before);
        let whole = Area {
            x: 0,
            y: 0,
            width: self.canvas.size().width,
            height: self.canvas.size().height,
        };
        self.canvas.fill(whole, backdrop());
        for (track, area, card) in &cells {
            self.canvas.fill(*area, colour(CARD));
            let was = self
                .cells
                .iter()
                .find(|(other, _, was_card)| other == track && was_card == card);
            if let (Some((_, from, _)), Some(before)) = (was, self.before.picture()) {
                self.canvas.draw(&before, *from, *area, &mut self.scaler);
            }
        }
        for (track, shown) in &mut self.tracks {
            let visible = cells.iter().any(|(other, _, card)| other == track && !card);
            if !visible && shown.visible {
                shown.forget_queue();
                shown.decoder = None;
            }
            shown.visible = visible;
        }
        self.cells = cells;
    }

    fn ask(&mut self, now_us: i64, counters: &mut Counters, out: &mut impl Extend<Output>) {
        for (track, shown) in &mut self.tracks {
            let waits = shown.visible && shown.picture.needs_key;
            if waits && now_us - shown.asked_us >= ASK_AGAIN_US {
                shown.asked_us = now_us;
                counters.key_frame_requests += 1;
                out.extend([Output::NeedKeyFrame { track: *track }]);
            }
        }
    }

    /// Decodes what belongs before this instant, and draws the last of it.
    fn draw_cell(&mut self, index: usize, at_us: i64, counters: &mut Counters) {
        let Some((track, area, false)) = self.cells.get(index).copied() else {
            return;
        };
        let Self {
            tracks,
            codecs,
            canvas,
            scaler,
            changed,
            ..
        } = self;
        let Some(shown) = tracks.get_mut(&track) else {
            return;
        };
        while shown
            .queue
            .front()
            .is_some_and(|coded| coded.time_us <= at_us)
            && let Some(coded) = shown.queue.pop_front()
        {
            shown.queue_bytes -= coded.data.len();
            let is_last = shown.queue.front().is_none_or(|next| next.time_us > at_us);
            let result = decode(shown, &coded, codecs, &mut |source, size, picture| {
                if !is_last {
                    return;
                }
                canvas.fill(area, Colour::BLACK);
                let (taken, filled) = layout::placed(source, size, area);
                canvas.draw(picture, taken, filled, scaler);
                *changed = true;
            });
            match result {
                Ok(()) => {
                    shown.errors_in_a_row = 0;
                    counters.pictures_decoded += 1;
                }
                Err(_) => {
                    counters.decoder_errors += 1;
                    shown.errors_in_a_row += 1;
                    if shown.errors_in_a_row >= DECODER_ERRORS_MAX {
                        shown.decoder = None;
                        shown.errors_in_a_row = 0;
                    }
                    shown.forget_queue();
                }
            }
        }
    }

    fn encode(&mut self, at_us: i64, counters: &mut Counters, out: &mut impl Extend<Output>) {
        if self.cells.is_empty() && self.key_us.is_none() {
            // Sound only until somebody is shown.
            return;
        }
        let due = |key_us| at_us - key_us >= KEY_INTERVAL_US;
        let key = self.key_wanted || self.key_us.is_none_or(due);
        if !self.changed && !key {
            counters.ticks_unchanged += 1;
            return;
        }
        let time = MediaTime::new(at_us, 1_000_000).rescale(TICKS);
        match self.codecs.encoder.encode(&self.canvas, time, key) {
            Ok(Some(data)) => {
                self.errors_in_a_row = 0;
                self.changed = false;
                if key {
                    self.key_us = Some(at_us);
                    self.key_wanted = false;
                }
                counters.pictures += 1;
                out.extend([Output::Sample(Sample {
                    kind: MediaKind::Video,
                    rung: 0,
                    time,
                    key,
                    cut: false,
                    data,
                })]);
            }
            Ok(None) => {}
            Err(_) => {
                counters.encoder_errors += 1;
                self.errors_in_a_row += 1;
            }
        }
    }
}

/// Decodes one frame and gives what comes of it to `show`, with its source and size.
fn decode(
    shown: &mut Shown,
    coded: &Coded,
    codecs: &mut VideoCodecs,
    show: &mut dyn FnMut(amphi_media::Source, VideoSize, &crate::canvas::Picture<'_>),
) -> Result<(), CodecError> {
    if shown.decoder.is_none() || shown.decoder_codec != shown.picture.codec {
        if !coded.key {
            return Err(CodecError("it begins without a key frame".to_owned()));
        }
        let codec = shown
            .picture
            .codec
            .ok_or_else(|| CodecError("its codec is not known".to_owned()))?;
        shown.decoder = Some((codecs.decoders)(codec)?);
        shown.decoder_codec = Some(codec);
    }
    let source = shown.picture.source;
    let mut size = None;
    let Some(decoder) = &mut shown.decoder else {
        return Ok(());
    };
    decoder.decode(&coded.data, &mut |picture| {
        size = Some(picture.size());
        show(source, picture.size(), picture);
    })?;
    shown.size = size.or(shown.size);
    Ok(())
}

fn backdrop() -> Colour {
    colour(BACKDROP)
}

fn colour((red, green, blue): (u8, u8, u8)) -> Colour {
    Colour::of_rgb(red, green, blue)
}
