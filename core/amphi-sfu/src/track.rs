//! One published track: where it comes from, which of its layers are live, and who takes it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amphi_media::{Codec, Layer, Rid, SessionId, VideoSize};
use str0m::media::Mid;

use crate::Want;
use crate::av1::Places;
use crate::demand::Demand;
use crate::framer::Framer;
use crate::packet::{Packet, Parameters, Start};
use crate::padding::Numbering;
use crate::speakers::Level;

/// How many layers a track can have.
pub(crate) const LAYERS: usize = 3;

/// How often one layer's publisher may be asked for a key frame, whoever needs it.
/// Lower: a subscriber who joins sees a picture sooner. Higher: less bandwidth lost to key frames in big rooms.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);

/// How long a key frame that was asked for may take before it is asked for again.
const KEY_FRAME_PATIENCE: Duration = Duration::from_secs(1);

/// A layer that sends nothing for this long, while another one of its track does, has been switched off by the
/// publisher (its encoder gives up high layers first when the network or the CPU is short).
const LAYER_SILENT_AFTER: Duration = Duration::from_millis(1_200);

/// "While another one does": a screen that does not change sends a picture a second in all layers alike.
const LAYER_LIVELY: Duration = Duration::from_millis(300);

/// A layer is enlarged up to this, in percent, before a larger one is taken: nobody sees it, and that one costs four times as much.
const ENLARGED_PERCENT: u32 = 115;

/// How often silence is looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// A subscriber's line: which session, and where it stands in that session's list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscriber {
    pub(crate) session: SessionId,
    pub(crate) line: usize,
}

/// Where a track comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    pub(crate) session: SessionId,
    pub(crate) mid: Mid,
}

#[derive(Debug, Default)]
pub(crate) struct Track {
    pub(crate) source: Option<Source>,
    pub(crate) muted: bool,
    /// As the packets say.
    pub(crate) codec: Option<Codec>,
    /// Something of it came within [`crate::SILENT_AFTER`].
    pub(crate) live: bool,
    pub(crate) layers: [LayerState; LAYERS],
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) framer: Option<Framer>,
    /// Of the layers below that of `framer`, by layer, where they are taken beside it.
    pub(crate) lower: Option<BTreeMap<u8, Framer>>,
    /// At which size frames are looked at; none: the largest that there is.
    pub(crate) frame_size: Option<VideoSize>,
    /// Up to which layer its publisher believes it to be taken.
    pub(crate) demand: Demand,
    pub(crate) level: Level,
    /// When the caller's timer for this track fires.
    pub(crate) check_at: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LayerState {
    pub(crate) rid: Rid,
    pub(crate) live: bool,
    pub(crate) size: Option<VideoSize>,
    pub(crate) numbering: Numbering,
    pub(crate) places: Places,
    /// What it is sent on, and what it was sent on before, until when.
    ssrc: Option<u32>,
    left: Option<(u32, Instant)>,
    last: Option<Instant>,
    newest: Option<u64>,
    /// It has sent H.264 parameter sets, so a key frame begins with them and not with the IDR after them.
    has_parameters: bool,
    pub(crate) request: KeyRequest,
}

/// Key-frame requests for one layer, so that many who need one cost the publisher one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyRequest {
    sent: Option<Instant>,
    /// When one more is due, unless a key frame comes before.
    due: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Send,
    /// Another request stands for it.
    Merged,
    /// It will be sent when it is due.
    Later,
}

impl KeyRequest {
    pub(crate) fn ask(&mut self, now: Instant) -> Asked {
        if self.due.is_some() {
            return Asked::Merged;
        }
        match self.sent.map(|sent| sent + KEY_FRAME_INTERVAL) {
            Some(next) if next > now => {
                self.due = Some(next);
                Asked::Later
            }
            _ => {
                self.sent = Some(now);
                Asked::Send
            }
        }
    }

    /// A key frame came: whoever asked is served. True when that saved a request.
    pub(crate) fn serve(&mut self) -> bool {
        self.due.take().is_some()
    }

    /// True when a request that had to wait is to be sent.
    pub(crate) fn pass_time(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
            self.sent = Some(now);
        }
        due
    }

    /// Nothing has been asked lately, so whoever still waits should.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.due.is_none()
            && self
                .sent
                .is_none_or(|sent| now.saturating_duration_since(sent) >= KEY_FRAME_PATIENCE)
    }
}

/// How long packets of an SSRC that a layer has left may still come, late.
const STRAGGLE: Duration = Duration::from_secs(1);

/// What an SSRC tells of a layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    AsBefore,
    /// The layer goes on as another stream, whose numbers and pictures have nothing to do with those before.
    Another,
    /// Late, of the stream before.
    Straggler,
}

impl LayerState {
    /// What it was last heard on.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    fn forget_numbers(&mut self) {
        self.numbering = Numbering::default();
        self.places = Places::default();
        self.newest = None;
        self.has_parameters = false;
    }
}

/// What a packet changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Arrival {
    /// The track was silent, or speaks another codec than before.
    pub(crate) track_live: bool,
    /// The live layers or their sizes changed.
    pub(crate) layers: bool,
    /// A decoder can start with this packet, and those before it are not needed: a place to switch.
    pub(crate) entry: bool,
    /// A key frame came just before a request for one was due.
    pub(crate) served: bool,
}

impl Track {
    /// Takes note of a packet.
    pub(crate) fn arrive(&mut self, packet: &Packet) -> Arrival {
        let mut arrival = Arrival::default();
        let codec = packet.format.codec;
        if !self.live || self.codec != Some(codec) {
            self.live = true;
            self.codec = Some(codec);
            arrival.track_live = true;
        }
        let layer = &mut self.layers[usize::from(packet.layer)];
        layer.last = Some(packet.arrived);
        if !layer.live {
            layer.live = true;
            arrival.layers = true;
        }
        // A key frame whose beginning came late is no place to switch: what follows it has gone by already.
        let newest = layer.newest.is_none_or(|newest| packet.seq > newest);
        layer.newest = Some(
            layer
                .newest
                .map_or(packet.seq, |newest| newest.max(packet.seq)),
        );
        if let Start::Key { size, parameters } = packet.start {
            let here = parameters == Parameters::Here;
            layer.has_parameters |= here;
            arrival.entry = newest && (here || !layer.has_parameters);
            arrival.served = layer.request.serve();
            if size.is_some() && layer.size != size {
                layer.size = size;
                arrival.layers = true;
            }
        }
        arrival
    }

    /// Another source may begin to send: sequence numbers start anew.
    pub(crate) fn forget_numbers(&mut self) {
        for layer in &mut self.layers {
            layer.forget_numbers();
            layer.ssrc = None;
            layer.left = None;
        }
    }

    /// A packet of this layer came on this SSRC.
    pub(crate) fn hear_ssrc(&mut self, layer: u8, ssrc: u32, now: Instant) -> Heard {
        let layer = &mut self.layers[usize::from(layer)];
        if layer.ssrc == Some(ssrc) {
            return Heard::AsBefore;
        }
        let straggler = |(left, at)| left == ssrc && now.saturating_duration_since(at) < STRAGGLE;
        if layer.left.is_some_and(straggler) {
            return Heard::Straggler;
        }
        layer.left = layer.ssrc.map(|left| (left, now));
        layer.ssrc = Some(ssrc);
        if layer.left.is_none() {
            return Heard::AsBefore;
        }
        layer.forget_numbers();
        Heard::Another
    }

    /// Finds layers that have gone silent. True when there are any.
    pub(crate) fn check_layers(&mut self, now: Instant) -> bool {
        let age = |layer: &LayerState| {
            layer
                .last
                .map_or(Duration::MAX, |last| now.saturating_duration_since(last))
        };
        let youngest = self.layers.iter().map(age).min().unwrap_or(Duration::MAX);
        let mut changed = false;
        for layer in self.layers.iter_mut().filter(|layer| layer.live) {
            let silent = age(layer) >= LAYER_SILENT_AFTER && youngest <= LAYER_LIVELY;
            if silent || age(layer) >= crate::SILENT_AFTER {
                layer.live = false;
                changed = true;
            }
        }
        changed
    }

    /// Nothing of it is live any more.
    pub(crate) fn all_silent(&self) -> bool {
        self.layers.iter().all(|layer| !layer.live)
    }

    /// Nobody sends it any more.
    pub(crate) fn lose_source(&mut self) {
        self.source = None;
        self.demand = Demand::default();
        self.fall_silent();
    }

    /// Muted or without a source: whatever comes later begins anew.
    pub(crate) fn fall_silent(&mut self) {
        self.live = false;
        for layer in &mut self.layers {
            layer.live = false;
            layer.last = None;
        }
        self.level.silence();
        for framer in self.framers() {
            framer.pause();
        }
    }

    /// All that take frames of it.
    pub(crate) fn framers(&mut self) -> impl Iterator<Item = &mut Framer> {
        let lower = self.lower.iter_mut().flat_map(BTreeMap::values_mut);
        self.framer.iter_mut().chain(lower)
    }

    /// The live layers below the one for who takes frames.
    pub(crate) fn live_below(&self, layer: u8) -> impl Iterator<Item = u8> {
        (0u8..)
            .zip(&self.layers[..usize::from(layer)])
            .filter(|(_, layer)| layer.live)
            .map(|(index, _)| index)
    }

    /// The layer that somebody with this want should get: the highest live one that is not above it, else the lowest
    /// live one (too large a picture is better than none). None when nothing is wanted or live.
    pub(crate) fn choose(&self, want: Want) -> Option<u8> {
        let Want::AtMost(Layer(most)) = want else {
            return None;
        };
        let live = || {
            (0u8..)
                .zip(&self.layers)
                .filter(|(_, layer)| layer.live)
                .map(|(index, _)| index)
        };
        live()
            .filter(|index| *index <= most)
            .max()
            .or_else(|| live().min())
    }

    /// The layer for who takes frames: the smallest one that is not enlarged, or the largest.
    pub(crate) fn choose_for_frames(&self) -> Option<u8> {
        let best = self.choose(Want::AtMost(Layer::HIGH))?;
        let Some(wanted) = self.frame_size else {
            return Some(best);
        };
        (0u8..)
            .zip(&self.layers)
            .filter(|(_, layer)| layer.live)
            .find(|(_, layer)| layer.size.is_some_and(|size| fills(size, wanted)))
            .map_or(Some(best), |(index, _)| Some(index))
    }

    /// Up to which layer the frame taker takes it: as [`Self::choose_for_frames`], if all layers were live. Before its size
    /// was heard a layer counts as too small. None when nobody takes frames.
    pub(crate) fn taken_for_frames(&self) -> Option<Layer> {
        self.framer.as_ref()?;
        let enough = |layer: &LayerState| match (layer.size, self.frame_size) {
            (Some(size), Some(wanted)) => fills(size, wanted),
            (None, _) | (_, None) => false,
        };
        let first = (0u8..)
            .zip(&self.layers)
            .find(|(index, layer)| *index >= self.lowest().0 && enough(layer));
        Some(first.map_or(Layer::HIGH, |(index, _)| Layer(index)))
    }

    /// The lowest layer that its publisher has named; without names there is only one.
    pub(crate) fn lowest(&self) -> Layer {
        let mut named = (0u8..)
            .zip(&self.layers)
            .filter(|(_, layer)| layer.rid != Rid::NONE);
        named.next().map_or(Layer::HIGH, |(index, _)| Layer(index))
    }

    /// The live layers, lowest first, with their sizes.
    pub(crate) fn live_layers(&self) -> Vec<(Layer, Option<VideoSize>)> {
        (0u8..)
            .zip(&self.layers)
            .filter(|(_, layer)| layer.live)
            .map(|(index, layer)| (Layer(index), layer.size))
            .collect()
    }

    /// When the track should be looked at again.
    pub(crate) fn next_check(&self, now: Instant) -> Option<Instant> {
        let silence = self.live.then(|| now + CHECK_INTERVAL);
        let requests = self
            .layers
            .iter()
            .filter_map(|layer| layer.request.due)
            .min();
        let lower = self.lower.iter().flat_map(BTreeMap::values);
        let frames = self.framer.iter().chain(lower);
        let frames = frames.filter_map(Framer::deadline).min();
        [silence, requests, frames, self.demand.deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}

/// A picture of this size is large enough for a place of that one.
fn fills(size: VideoSize, wanted: VideoSize) -> bool {
    size.width * ENLARGED_PERCENT >= wanted.width * 100
        || size.height * ENLARGED_PERCENT >= wanted.height * 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn live(layers: &[usize]) -> Track {
        let mut track = Track::default();
        for layer in layers {
            track.layers[*layer].live = true;
        }
        track
    }

    #[test]
    fn requests_within_the_interval_cost_one_more_at_its_end() {
        let now = start();
        let mut request = KeyRequest::default();
        assert_eq!(request.ask(now), Asked::Send);
        let soon = now + Duration::from_millis(100);
        assert_eq!(request.ask(soon), Asked::Later);
        assert_eq!(request.ask(soon), Asked::Merged);
        assert!(!request.pass_time(soon));
        assert!(request.pass_time(now + KEY_FRAME_INTERVAL));
        assert_eq!(request.ask(now + KEY_FRAME_INTERVAL), Asked::Later);
        assert!(request.serve(), "a key frame serves those who waited");
        assert!(!request.pass_time(now + KEY_FRAME_INTERVAL * 3));
    }

    #[test]
    fn a_want_gets_the_best_live_layer_and_never_nothing() {
        let most = |layer| Want::AtMost(layer);
        assert_eq!(live(&[0, 1, 2]).choose(most(Layer::MEDIUM)), Some(1));
        assert_eq!(live(&[0, 2]).choose(most(Layer::MEDIUM)), Some(0));
        assert_eq!(live(&[2]).choose(most(Layer::LOW)), Some(2));
        assert_eq!(live(&[]).choose(most(Layer::HIGH)), None);
        assert_eq!(live(&[2]).choose(Want::Paused), None);
    }

    #[test]
    fn a_layer_is_silent_only_while_another_one_is_lively() {
        let now = start();
        let mut track = live(&[0, 2]);
        track.layers[0].last = Some(now);
        track.layers[2].last = Some(now);
        let second = now + Duration::from_millis(1_300);
        assert!(
            !track.check_layers(second),
            "a screen at rest is not silence"
        );
        track.layers[0].last = Some(second);
        assert!(track.check_layers(second));
        assert_eq!(track.live_layers(), [(Layer::LOW, None)]);
    }
}
