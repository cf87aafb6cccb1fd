//! One track's sound: packets in, a steady stream of samples on the programme clock out.

use std::collections::{BTreeMap, VecDeque};

use amphi_media::{Codec, Frame, opus};
use bytes::Bytes;

use crate::clock::{MemberClock, Seen, TrackClock};
use crate::{AudioDecoder, Codecs, Counters, Piece, Stereo};

/// Ticks of sound per millisecond.
const MS: i64 = 48;

/// How many packets wait to be mixed. Twice the mixing delay in packets of 10 ms, and over a second of the usual 20 ms.
const PACKETS_MAX: usize = 64;

/// How much missing sound is made up before there is silence.
const CONCEAL_MAX: i64 = 100 * MS;

/// How much is made up after a packet that says that there is nothing to say (DTX, RFC 7587 §3.1.3): the decoder makes
/// the noise of the room until the next one, which comes after 400 ms.
const REST_MAX: i64 = 1_000 * MS;

/// A packet of so few bytes codes no sound.
const REST_BYTES: usize = 2;

/// Lost pieces are asked of decoders in multiples of this (2.5 ms, RFC 6716 §2.1.4).
const CONCEAL_UNIT: i64 = 120;

/// How long a packet lasts before the first one told.
const PACKET_USUAL: i64 = 20 * MS;

/// How long sound takes to come out of silence, and to go into it.
const FADE: usize = 240;

/// How far a track may stray from its place in the program before it is moved there, and how far it is moved per block
/// of 1,024 instants. 0.5 % is not heard as pitch; what is far off comes back at 2 %.
const STRAY_MAX: i64 = 5 * MS;
const STRAY_FAR: i64 = 20 * MS;
const STEP: i64 = 5;
const STEP_FAR: i64 = 20;

/// Beyond this a track is not moved but faded out and in again at its place.
const STRAY_JUMP: i64 = 200 * MS;

/// Samples kept on both sides of a block for the interpolation.
const BEFORE: i64 = 1;
const AFTER: i64 = 2;

struct Packet {
    data: Bytes,
    frames: i64,
}

/// The sound of one track. Positions are ticks of the track's own media clock, 48 kHz.
pub struct Voice {
    codec: Option<Codec>,
    decoder: Option<Box<dyn AudioDecoder>>,
    clock: TrackClock,
    muted: bool,
    gone: bool,
    packets: BTreeMap<i64, Packet>,
    /// Decoded sound, from `pcm_start` on.
    pcm: VecDeque<Stereo>,
    pcm_start: i64,
    /// What is mixed next; none while the track has no place in the program.
    read: Option<i64>,
    correcting: bool,
    /// Fade out in the next block and find the place anew.
    lost_place: bool,
    gain: f32,
    /// Nothing but silence was decoded since the last sound.
    silent: bool,
    concealed: i64,
    /// The newest packet said that there is nothing to say.
    resting: bool,
    packet_frames: i64,
    scratch: Vec<Stereo>,
}

impl Voice {
    pub fn new() -> Self {
        Self {
            codec: None,
            decoder: None,
            clock: TrackClock::default(),
            muted: false,
            gone: false,
            packets: BTreeMap::new(),
            pcm: VecDeque::new(),
            pcm_start: 0,
            read: None,
            correcting: false,
            lost_place: false,
            gain: 0.0,
            silent: true,
            concealed: 0,
            resting: false,
            packet_frames: PACKET_USUAL,
            scratch: Vec::new(),
        }
    }

    /// What was said before is still heard; what comes while muted is not.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// The track is no longer there: its sound fades at once, not even what waits is heard.
    pub fn leave(&mut self) {
        self.gone = true;
        self.packets.clear();
    }

    /// Faded and gone: may be thrown away.
    pub fn is_over(&self) -> bool {
        self.gone && (self.gain == 0.0 || self.read.is_none())
    }

    pub fn push(
        &mut self,
        frame: &Frame,
        arrived_us: i64,
        member: &mut MemberClock,
        codecs: &mut Codecs,
        counters: &mut Counters,
    ) {
        if self.muted || self.gone {
            counters.frames_unknown += 1;
            return;
        }
        let duration = match frame.codec {
            Codec::Opus => opus::duration(&frame.data),
            _ => None,
        };
        let Some(duration) = duration else {
            counters.packets_bad += 1;
            return;
        };
        if self.codec != Some(frame.codec) {
            self.codec = Some(frame.codec);
            self.decoder = (codecs.decoders)(frame.codec).ok();
        }
        if self.decoder.is_none() {
            counters.packets_bad += 1;
            return;
        }
        let seen = self.clock.observe(
            member,
            arrived_us,
            frame.time.micros(),
            frame.sender_time_us,
        );
        if seen == Seen::Jumped {
            counters.resyncs += 1;
            self.packets.clear();
            self.lost_place = self.read.is_some();
        }
        let frames = duration.as_micros() as i64 * MS / 1_000;
        let time = frame.time.rescale(crate::SAMPLE_RATE).ticks;
        if self.read.is_some() && !self.lost_place && time.saturating_add(frames) <= self.pcm_end()
        {
            counters.packets_late += 1;
            return;
        }
        self.packet_frames = frames;
        self.packets.insert(
            time,
            Packet {
                data: frame.data.clone(),
                frames,
            },
        );
        if self.packets.len() > PACKETS_MAX {
            self.packets.pop_first();
            counters.packets_overflow += 1;
        }
    }

    /// Adds this track's sound for the programme time `time` (48 kHz ticks) on to `mix`. True when there was some.
    pub fn mix(
        &mut self,
        time: i64,
        member: &MemberClock,
        mix: &mut [Stereo],
        counters: &mut Counters,
    ) -> bool {
        let Some(offset_us) = self.clock.offset_us(member) else {
            return false;
        };
        let place = time.saturating_sub(ticks(offset_us));
        let length = mix.len() as i64;
        let mut leaving = self.gone;
        let read = match self.read {
            Some(read) => {
                let stray = place.saturating_sub(read).saturating_abs();
                if stray > STRAY_JUMP && !self.lost_place {
                    self.lost_place = true;
                    counters.resyncs += u64::from(!self.is_quiet());
                }
                if self.is_quiet() || (self.lost_place && self.gain == 0.0) {
                    self.take_place(place)
                } else {
                    leaving |= self.lost_place;
                    read
                }
            }
            None => self.take_place(place),
        };
        let advance = length + self.correction(place.saturating_sub(read));
        let (first, last) = (read - BEFORE, read + advance + AFTER);
        self.forget_before(first);
        let sounds = !self.is_quiet()
            || self
                .packets
                .first_key_value()
                .is_some_and(|(time, _)| *time < last);
        if !sounds {
            self.gain = if leaving { 0.0 } else { 1.0 };
        } else {
            while self.pcm_end() < last {
                self.decode_more(last, counters);
            }
            self.add(read, advance, if leaving { 0.0 } else { 1.0 }, mix);
        }
        self.read = Some(read + advance);
        sounds
    }

    fn take_place(&mut self, place: i64) -> i64 {
        self.lost_place = false;
        self.correcting = false;
        self.pcm.clear();
        self.pcm_start = place - BEFORE;
        self.silent = true;
        self.gain = 1.0; // Sound fades in out of silence by itself.
        while let Some(packet) = self.packets.first_entry()
            && packet.key().saturating_add(packet.get().frames) <= self.pcm_start
        {
            packet.remove();
        }
        place
    }

    /// How many instants more than it gives the track takes up in the next block.
    fn correction(&mut self, stray: i64) -> i64 {
        if stray.abs() > STRAY_MAX {
            self.correcting = true;
        }
        if stray == 0 {
            self.correcting = false;
        }
        match self.correcting {
            true if stray.abs() > STRAY_FAR => stray.clamp(-STEP_FAR, STEP_FAR),
            true => stray.clamp(-STEP, STEP),
            false => 0,
        }
    }

    fn pcm_end(&self) -> i64 {
        self.pcm_start.saturating_add(self.pcm.len() as i64)
    }

    /// Nothing decoded is left that could be heard.
    fn is_quiet(&self) -> bool {
        self.silent && self.pcm.is_empty()
    }

    fn forget_before(&mut self, first: i64) {
        let over = first.saturating_sub(self.pcm_start).max(0);
        let drained = usize::try_from(over)
            .unwrap_or(usize::MAX)
            .min(self.pcm.len());
        self.pcm.drain(..drained);
        if self.silent && self.pcm.iter().all(|sample| *sample == [0.0; 2]) {
            self.pcm.clear();
        }
        self.pcm_start = if self.pcm.is_empty() {
            first
        } else {
            self.pcm_start + drained as i64
        };
    }

    /// Appends at least one instant at `pcm_end`; silence only as far as `until`.
    fn decode_more(&mut self, until: i64, counters: &mut Counters) {
        let at = self.pcm_end();
        // Packets that wait belong to the new place while the old one fades.
        let first = self.packets.first_key_value().filter(|_| !self.lost_place);
        match first.map(|(time, packet)| (*time, packet.frames)) {
            Some((time, frames)) if time <= at => {
                let packet = self
                    .packets
                    .remove(&time)
                    .map(|packet| packet.data)
                    .unwrap_or_default();
                if time.saturating_add(frames) <= at {
                    counters.packets_late += 1;
                    return self.append_silence(until.min(at + 1) - at);
                }
                self.concealed = 0;
                self.resting = packet.len() <= REST_BYTES;
                self.decode(Piece::Packet(&packet), frames, counters);
                self.scratch.drain(..(at - time) as usize);
                if self.silent {
                    fade_in(&mut self.scratch);
                }
                self.silent = false;
                self.pcm.extend(self.scratch.iter());
            }
            Some((time, frames)) => self.conceal(time - at, Some((time, frames)), until, counters),
            None => self.conceal(i64::MAX, None, until, counters),
        }
    }

    /// Fills a hole of `gap` instants, or a part of it.
    fn conceal(&mut self, gap: i64, next: Option<(i64, i64)>, until: i64, counters: &mut Counters) {
        if self.silent {
            return self.append_silence(gap.min(until - self.pcm_end()));
        }
        counters.concealed += u64::from(!self.resting);
        let most = if self.resting { REST_MAX } else { CONCEAL_MAX };
        let piece = gap.min(self.packet_frames).min(CONCEAL_MAX);
        let asked = (piece + CONCEAL_UNIT - 1) / CONCEAL_UNIT * CONCEAL_UNIT;
        let follower = next
            .filter(|(_, frames)| gap <= *frames)
            .and_then(|(time, _)| self.packets.get(&time))
            .map(|packet| packet.data.clone());
        match &follower {
            Some(next) => self.decode(Piece::LostBefore { next }, asked, counters),
            None => self.decode(Piece::Lost, asked, counters),
        }
        self.scratch.truncate(piece as usize);
        self.concealed += piece;
        // A track that was muted has nothing to make up, but must not end with a click either.
        let ends = self.muted || self.concealed >= most;
        if ends && piece < gap {
            fade_out(&mut self.scratch);
            self.silent = true;
        }
        self.pcm.extend(self.scratch.iter());
    }

    /// Into `scratch`: exactly `frames` finite samples, silence where the decoder failed.
    fn decode(&mut self, piece: Piece<'_>, frames: i64, counters: &mut Counters) {
        let frames = frames.max(0) as usize;
        self.scratch.clear();
        let decoded = match &mut self.decoder {
            Some(decoder) => decoder.decode(piece, frames, &mut self.scratch).is_ok(),
            None => false,
        };
        if !decoded {
            counters.packets_bad += 1;
            self.scratch.clear();
        }
        self.scratch.resize(frames, [0.0; 2]);
        for sample in self.scratch.iter_mut().flatten() {
            *sample = if sample.is_finite() {
                sample.clamp(-2.0, 2.0)
            } else {
                0.0
            };
        }
    }

    fn append_silence(&mut self, frames: i64) {
        let length = self.pcm.len() + frames.max(1) as usize;
        self.pcm.resize(length, [0.0; 2]);
    }

    /// Adds `mix.len()` instants made of `advance` from `read` on, moving the gain towards `target`.
    fn add(&mut self, read: i64, advance: i64, target: f32, mix: &mut [Stereo]) {
        let from = (read - self.pcm_start) as usize;
        let length = mix.len() as i64;
        let slope = 1.0 / FADE as f32;
        for (index, out) in mix.iter_mut().enumerate() {
            self.gain += (target - self.gain).clamp(-slope, slope);
            let sample = if advance == length {
                self.pcm[from + index]
            } else {
                let scaled = index as i64 * advance;
                let whole = from + (scaled / length) as usize;
                between(&self.pcm, whole, (scaled % length) as f32 / length as f32)
            };
            for (out, sample) in out.iter_mut().zip(sample) {
                *out += sample * self.gain;
            }
        }
        if (self.gain - target).abs() < slope {
            self.gain = target;
        }
    }
}

/// Microseconds as ticks of 48 kHz.
fn ticks(us: i64) -> i64 {
    (i128::from(us) * i128::from(MS) / 1_000)
        .try_into()
        .unwrap_or(if us < 0 { i64::MIN } else { i64::MAX })
}

/// The value `fraction` after `pcm[at]`, on a cubic through its four neighbours (Catmull and Rom).
fn between(pcm: &VecDeque<Stereo>, at: usize, fraction: f32) -> Stereo {
    let (a, b, c, d) = (pcm[at - 1], pcm[at], pcm[at + 1], pcm[at + 2]);
    std::array::from_fn(|side| {
        let (a, b, c, d) = (a[side], b[side], c[side], d[side]);
        let slope = 0.5 * (c - a);
        let square = a - 2.5 * b + 2.0 * c - 0.5 * d;
        let cube = 0.5 * (d - a) + 1.5 * (b - c);
        b + fraction * (slope + fraction * (square + fraction * cube))
    })
}

fn fade_in(pcm: &mut [Stereo]) {
    let length = FADE.min(pcm.len());
    for (index, sample) in pcm[..length].iter_mut().enumerate() {
        let gain = index as f32 / length as f32;
        *sample = sample.map(|value| value * gain);
    }
}

fn fade_out(pcm: &mut [Stereo]) {
    let length = FADE.min(pcm.len());
    let at = pcm.len() - length;
    for (index, sample) in pcm[at..].iter_mut().enumerate() {
        let gain = 1.0 - (index + 1) as f32 / length as f32;
        *sample = sample.map(|value| value * gain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_between_two_others_is_on_their_curve() {
        let line: VecDeque<Stereo> = (0..8).map(|n| [n as f32, -(n as f32)]).collect();
        assert_eq!(between(&line, 3, 0.0), [3.0, -3.0]);
        assert_eq!(between(&line, 3, 0.5), [3.5, -3.5]);
        let tone: VecDeque<Stereo> = (0..100).map(|n| [(n as f32 * 0.13).sin(); 2]).collect();
        for at in 1..97 {
            let exact = ((at as f32 + 0.25) * 0.13).sin();
            assert!((between(&tone, at, 0.25)[0] - exact).abs() < 1e-3);
        }
    }

    #[test]
    fn fades_end_where_they_should() {
        let mut pcm = vec![[1.0; 2]; 960];
        fade_in(&mut pcm);
        assert_eq!((pcm[0], pcm[FADE]), ([0.0; 2], [1.0; 2]));
        fade_out(&mut pcm);
        assert_eq!((pcm[959 - FADE], pcm[959]), ([1.0; 2], [0.0; 2]));
        fade_in(&mut []);
    }
}
