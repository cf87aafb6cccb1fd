//! The lower simulcast layers of who is on air, as rungs below the picture: each picture of a layer at the time at which the picture of
//! the same instant was shown.
//!
//! A cut is one for all rungs at once. A layer has its key frame a moment before or after the picture's: what came since then
//! is shown in an instant at the cut, so that the layer begins with it.

use std::collections::{BTreeMap, VecDeque};

use amphi_media::{Frame, MediaKind, MediaTime, Rid, Sample, TrackId};
use bytes::Bytes;

use super::{AHEAD_MAX_US, TICKS};
use crate::Counters;
use crate::clock::{MemberClock, Seen};
use crate::io::Output;
use crate::picture::{Follow, Parameters};

/// Layers below the highest that are followed, of all tracks.
const LAYERS_MAX: usize = 8;

/// Pictures of one layer that are kept, from a key frame on: what a cut may begin with, and what waits for the picture of its time.
const PICTURES_MAX: usize = 96;
const BYTES_MAX: usize = 1024 * 1024;

/// Pictures of two layers that are no further apart are of the same instant.
const SAME_US: i64 = 8_000;

/// Capture times of the publisher's that say something else than the arrivals by more than this are not believed.
const TRUST_US: i64 = 500_000;

/// How long a picture waits for the higher layer's of its time. That one is larger, and so later.
const PATIENCE_US: i64 = 150_000;

/// A key frame is kept beside a newer one for so long: a cut may still come before that one.
const CUT_BEFORE_US: i64 = 500_000;

/// A layer that was silent for so long when a cut comes does not begin with it.
const SILENT_US: i64 = 700_000;

/// Pictures of the top rung that are remembered.
const SHOWN_MAX: usize = 32;

/// A picture of the top rung: its time by its own clock, and when it was shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub time_us: i64,
    /// `Frame::sender_time_us`.
    pub sender_us: Option<i64>,
    pub ticks: i64,
}

/// Lower layers of the tracks that are on air or about to be.
#[derive(Default)]
pub struct Lower {
    layers: BTreeMap<(TrackId, u8), Layer>,
    shown: VecDeque<Shown>,
    /// When the newest picture of each rung was shown, whosever it was.
    last_ticks: BTreeMap<u8, i64>,
    /// A layer has other parameter sets than it began with: only a cut helps.
    wants_cut: bool,
}

#[derive(Default)]
struct Layer {
    rid: Rid,
    follow: Follow,
    parameters: Parameters,
    /// A decoder cannot go on before a key frame.
    needs_key: bool,
    /// From a key frame on, where one came.
    recent: VecDeque<Coded>,
    bytes: usize,
    /// So many of them came out or were passed over.
    done: usize,
    /// The parameter sets that it began with. None while it has nothing to show.
    begun: Option<Bytes>,
}

struct Coded {
    time_us: i64,
    sender_us: Option<i64>,
    data: Bytes,
    /// The parameter sets of a key frame.
    key: Option<Bytes>,
}

impl Lower {
    pub fn remove(&mut self, track: TrackId) {
        self.layers.retain(|(of, _), _| *of != track);
    }

    /// Whether the next key frame of the top rung should be a cut.
    pub fn wants_cut(&self) -> bool {
        self.wants_cut
    }

    /// A picture of a lower layer arrived.
    pub fn push(
        &mut self,
        now_us: i64,
        frame: &Frame,
        arrived_us: i64,
        member: &mut MemberClock,
        counters: &mut Counters,
    ) {
        let place = (frame.track, frame.rung);
        if !self.layers.contains_key(&place) && self.layers.len() >= LAYERS_MAX {
            counters.pictures_lower_dropped += 1;
            return;
        }
        let layer = self.layers.entry(place).or_default();
        let (time_us, seen) = layer.follow.follow(frame, arrived_us, member);
        counters.resyncs += u64::from(seen == Seen::Jumped);
        layer.needs_key |= layer.rid != frame.rid || !frame.contiguous;
        layer.rid = frame.rid;
        let prepared = layer.parameters.prepare(frame.key, &frame.data);
        let Some(data) = prepared.filter(|_| frame.key || !layer.needs_key) else {
            layer.needs_key = true;
            counters.pictures_lower_dropped += 1;
            return;
        };
        layer.needs_key = false;
        layer.bytes += data.len();
        layer.recent.push_back(Coded {
            time_us: time_us.min(now_us + AHEAD_MAX_US).max(0),
            sender_us: frame.sender_time_us,
            data,
            key: layer.parameters.0.clone().filter(|_| frame.key),
        });
        layer.forget_old(now_us, counters);
    }

    /// The top rung has begun anew with a key frame of this track's layer `of`: the layers below it do too, each with what came since
    /// its own key frame.
    pub fn begin(
        &mut self,
        track: TrackId,
        of: Rid,
        at: Shown,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        self.wants_cut = false;
        self.shown.clear();
        self.show(at);
        // A layer that has become the top one is none below it.
        self.layers
            .retain(|(from, _), layer| *from != track || layer.rid != of);
        for ((from, rung), layer) in &mut self.layers {
            layer.begun = None;
            if *from == track {
                // A picture that did not wait for the one above may have been shown after the cut.
                let last_ticks = self.last_ticks.entry(*rung).or_insert(at.ticks - 1);
                *last_ticks = at.ticks.max(*last_ticks + 1) - 1;
                layer.begin(*rung, at, last_ticks, counters, out);
            }
        }
    }

    /// Another picture of the top rung was shown.
    pub fn show(&mut self, shown: Shown) {
        if self.shown.len() == SHOWN_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back(shown);
    }

    /// Lets out what has its place.
    pub fn flush(
        &mut self,
        track: TrackId,
        now_us: i64,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        let Self {
            layers,
            shown,
            last_ticks,
            wants_cut,
        } = self;
        for ((_, rung), layer) in layers.iter_mut().filter(|((from, _), _)| *from == track) {
            let last_ticks = last_ticks.entry(*rung).or_insert(-1);
            while let Some(next) = layer.recent.get(layer.done) {
                let Some(ticks) = next.place(shown, now_us) else {
                    break;
                };
                match (&next.key, &layer.begun) {
                    // It comes later than the cut, or comes back.
                    (Some(key), None) if !*wants_cut => layer.begun = Some(key.clone()),
                    (Some(key), Some(begun)) if key != begun => {
                        *wants_cut = true;
                        layer.begun = None;
                    }
                    (Some(_) | None, _) => {}
                }
                layer.put_out(*rung, ticks, last_ticks, counters, out);
            }
        }
    }
}

impl Coded {
    /// How much after a picture of the top rung it was captured. By the publisher's clock where it is known: that of the track may
    /// be on its way to where it belongs.
    fn after_us(&self, shown: &Shown) -> i64 {
        let by_track = self.time_us - shown.time_us;
        let by_sender = self.sender_us.zip(shown.sender_us);
        by_sender
            .map(|(own, shown)| own.saturating_sub(shown))
            .filter(|after| after.saturating_sub(by_track).saturating_abs() <= TRUST_US)
            .unwrap_or(by_track)
    }

    /// When it is to be shown. None while the top rung's picture of the same instant may still come.
    fn place(&self, shown: &VecDeque<Shown>, now_us: i64) -> Option<i64> {
        let newest = shown.back()?;
        let is_twin = |one: &&Shown| self.after_us(one).abs() <= SAME_US;
        if let Some(twin) = shown.iter().rev().find(is_twin) {
            return Some(twin.ticks);
        }
        let after_us = self.after_us(newest);
        if after_us > 0 && now_us - self.time_us < PATIENCE_US {
            return None;
        }
        let after = MediaTime::new(after_us, 1_000_000).rescale(TICKS);
        Some(newest.ticks + after.ticks)
    }
}

impl Layer {
    /// Begins at the cut with the newest key frame until then, and all pictures since. Where there is none, the next one will do.
    fn begin(
        &mut self,
        rung: u8,
        at: Shown,
        last_ticks: &mut i64,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        let past = self
            .recent
            .iter()
            .take_while(|one| one.after_us(&at) <= SAME_US)
            .count();
        let lively = |one: &Coded| one.after_us(&at) >= -SILENT_US;
        let key = self
            .recent
            .range(..past)
            .rposition(|one| one.key.is_some())
            .filter(|_| self.recent.back().is_some_and(lively));
        self.done = key.unwrap_or(past);
        self.begun = key.and_then(|key| self.recent[key].key.clone());
        for _ in self.done..past {
            self.put_out(rung, at.ticks, last_ticks, counters, out);
        }
    }

    /// Puts out the next picture, or passes it over while there is nothing to begin with.
    fn put_out(
        &mut self,
        rung: u8,
        ticks: i64,
        last_ticks: &mut i64,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        let Some(next) = self.recent.get(self.done) else {
            return;
        };
        self.done += 1;
        if self.begun.is_none() {
            counters.pictures_lower_dropped += 1;
            return;
        }
        *last_ticks = ticks.max(*last_ticks + 1);
        counters.pictures_lower += 1;
        out.extend([Output::Sample(Sample {
            kind: MediaKind::Video,
            rung,
            time: MediaTime::new(*last_ticks, TICKS),
            key: next.key.is_some(),
            cut: false,
            data: next.data.clone(),
        })]);
    }

    /// Keeps what a cut could begin with.
    fn forget_old(&mut self, now_us: i64, counters: &mut Counters) {
        let old = |one: &Coded| one.key.is_some() && one.time_us < now_us - CUT_BEFORE_US;
        let mut from = self.recent.iter().rposition(old).unwrap_or(0);
        if self.recent.len() > PICTURES_MAX || self.bytes > BYTES_MAX {
            let newest = self.recent.iter().rposition(|one| one.key.is_some());
            // Without a newer key frame a cut has nothing to begin with before the next one.
            from = newest
                .filter(|key| *key > 0)
                .unwrap_or(self.recent.len() - 1);
        }
        for coded in self.recent.drain(..from) {
            self.bytes -= coded.data.len();
        }
        counters.pictures_lower_dropped += from.saturating_sub(self.done) as u64;
        self.done = self.done.saturating_sub(from);
    }
}
