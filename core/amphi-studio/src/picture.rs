//! One track's pictures: when each belongs, and whether a decoder can go on with it.

use amphi_media::{Codec, Frame, MemberId, Rid, Source, h264};
use bytes::{BufMut, Bytes, BytesMut};

use crate::clock::{MemberClock, Seen, TrackClock};
use crate::io::StageTrack;

/// How much of the time that passes a picture's place may be moved by, as a fraction: nobody sees 5 %.
const SLEW: i64 = 20;

/// Beyond this a track's place is not moved but taken anew.
const JUMP_US: i64 = 500_000;

/// One camera or screen on stage.
pub struct Picture {
    pub member: MemberId,
    pub member_name: String,
    pub source: Source,
    pub codec: Option<Codec>,
    pub muted: bool,
    /// Which came first.
    pub order: u64,
    /// When the newest frame came, programme clock; none before the first.
    pub seen_us: Option<i64>,
    /// It did not deliver when it was asked to; not asked again before then.
    pub shunned_until_us: i64,
    /// While off air: asked for a key frame, and none has come since.
    pub key_asked: bool,
    pub parameters: Parameters,
    /// Nothing but a key frame helps.
    pub needs_key: bool,
    /// How many lower layers of it are live.
    pub lower: u8,
    follow: Follow,
}

/// When frames of one track belong, on the programme clock.
#[derive(Default)]
pub struct Follow {
    clock: TrackClock,
    rid: Rid,
    /// Programme clock minus media clock, and the media time up to which it was moved.
    offset: Option<(i64, i64)>,
}

impl Picture {
    pub fn new(track: &StageTrack, order: u64) -> Self {
        Self {
            member: track.member,
            member_name: track.member_name.clone(),
            source: track.source,
            codec: track.codec,
            muted: track.muted,
            order,
            seen_us: None,
            shunned_until_us: i64::MIN,
            key_asked: false,
            parameters: Parameters::default(),
            needs_key: true,
            lower: 0,
            follow: Follow::default(),
        }
    }

    pub fn describe(&mut self, track: &StageTrack) {
        self.member_name = track.member_name.clone();
        self.source = track.source;
        self.codec = track.codec.or(self.codec);
        self.muted = track.muted;
        if track.muted {
            self.seen_us = None;
            self.needs_key = true;
        }
    }

    /// Its coded pictures can stand in the program as they are.
    pub fn can_be_shown(&self, now_us: i64) -> bool {
        self.codec == Some(Codec::H264) && !self.muted && now_us >= self.shunned_until_us
    }

    pub fn is_screen(&self) -> bool {
        self.source == Source::Screen
    }

    /// Follows the track's clock. The programme time of the frame, not yet fitted in between its neighbours, and
    /// whether the clock is another one than before.
    pub fn follow(
        &mut self,
        frame: &Frame,
        arrived_us: i64,
        member: &mut MemberClock,
    ) -> (i64, Seen) {
        self.seen_us = Some(arrived_us);
        self.needs_key |= frame.rid != self.follow.rid || !frame.contiguous;
        self.follow.follow(frame, arrived_us, member)
    }

    /// The frame's data as it goes into the program: a key frame with its parameter sets in front. None when a key
    /// frame has none and none are known.
    pub fn prepare(&mut self, frame: &Frame) -> Option<Bytes> {
        let data = self.parameters.prepare(frame.key, &frame.data)?;
        self.needs_key &= !frame.key;
        Some(data)
    }
}

impl Follow {
    /// The programme time of the frame, and whether the clock is another one than before.
    pub fn follow(
        &mut self,
        frame: &Frame,
        arrived_us: i64,
        member: &mut MemberClock,
    ) -> (i64, Seen) {
        let media_us = frame.time.micros();
        if frame.rid != self.rid {
            // Each layer has an RTP clock of its own.
            *self = Self {
                rid: frame.rid,
                ..Self::default()
            };
        }
        let seen = self
            .clock
            .observe(member, arrived_us, media_us, frame.sender_time_us);
        let target = self
            .clock
            .offset_us(member)
            .unwrap_or(arrived_us.saturating_sub(media_us));
        let offset = match self.offset {
            Some((offset, until)) if target.saturating_sub(offset).saturating_abs() <= JUMP_US => {
                let most = media_us.saturating_sub(until).max(0) / SLEW;
                offset + (target - offset).clamp(-most, most)
            }
            _ => target,
        };
        self.offset = Some((offset, media_us));
        (media_us.saturating_add(offset), seen)
    }
}

/// SPS and PPS of a track's newest key frame, in Annex B form; none before the first that carried them.
#[derive(Clone, Default)]
pub struct Parameters(pub Option<Bytes>);

impl Parameters {
    /// A coded picture, with parameter sets in front if it is a key frame. None when such a one has none and none are known.
    pub fn prepare(&mut self, key: bool, data: &Bytes) -> Option<Bytes> {
        if !key {
            return Some(data.clone());
        }
        let found = parameter_sets(data);
        let carried = found.is_some();
        self.0 = found.or(self.0.take());
        let parameters = self.0.as_ref()?;
        if carried {
            return Some(data.clone());
        }
        let mut whole = BytesMut::with_capacity(parameters.len() + data.len());
        whole.extend_from_slice(parameters);
        whole.extend_from_slice(data);
        Some(whole.freeze())
    }
}

/// The SPS and PPS units of a picture in Annex B form, in their order; none unless both are there.
fn parameter_sets(data: &[u8]) -> Option<Bytes> {
    let (mut sets, mut sps, mut pps) = (BytesMut::new(), false, false);
    for nal in h264::nal_units(data) {
        match h264::nal_type(nal) {
            Some(h264::NAL_SPS) => sps = true,
            Some(h264::NAL_PPS) => pps = true,
            Some(h264::NAL_SLICE | h264::NAL_IDR) => break,
            _ => continue,
        }
        sets.put_slice(&[0, 0, 0, 1]);
        sets.put_slice(nal);
    }
    (sps && pps).then(|| sets.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_found_in_front_of_the_slices_only() {
        let data = [
            0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3,
        ];
        let sets = parameter_sets(&data).expect("both are there");
        assert_eq!(&sets[..], [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2]);
        assert_eq!(
            parameter_sets(&[0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 3, 0, 0, 1, 0x68, 2]),
            None
        );
        assert_eq!(parameter_sets(&[]), None);
    }
}
