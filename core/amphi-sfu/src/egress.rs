//! The numbers of one sending line: whatever track or layer it carries, the other side sees one unbroken stream.
//!
//! A line keeps its SSRC when another track is put on it, and SRTP's replay protection and the decoder's jitter buffer
//! go by sequence number; a layer or track whose numbers start elsewhere would not be decoded at all.

use std::time::Instant;

use amphi_media::TrackId;
use str0m::rtp::{Vp8Descriptor, Vp8Patch};

use crate::dependency::Dependency;
use crate::packet::{Packet, vp8_descriptor};

/// RTP's first number on a line; low, because the receiver starts with a roll-over count of 0 (RFC 3711 §3.3.1).
const FIRST_SEQ: u64 = 1_000;

/// RTP's first time on a line. The library sends sender reports with RTP time 0 before the first packet; this is so
/// far from 0 that a receiver takes those for outliers and not for a second point on the line between the clocks
/// (libwebrtc's limit is 2^25 ticks).
const FIRST_TIME: u32 = 1 << 30;

/// Capture times further apart than this are not believed when times are joined.
const JOIN_US_MAX: i64 = 10_000_000;

/// Where the numbers of the present source stand against those of the line.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    track: TrackId,
    layer: u8,
    /// Packets before this one belong to what the line has left behind.
    first_seq: u64,
    seq_offset: u64,
    time_offset: u32,
    picture_offset: u16,
    tl0_offset: u8,
    frame_offset: u16,
}

/// The newest packet that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: u64,
    time: u32,
    clock_rate: u32,
    track: TrackId,
    capture_us: Option<i64>,
    at: Instant,
    picture_id: Option<u16>,
    tl0: Option<u8>,
    /// AV1's, as its dependency descriptor numbers them.
    frame: Option<u16>,
}

#[derive(Debug, Default)]
pub(crate) struct Egress {
    anchor: Option<Anchor>,
    sent: Option<Sent>,
}

/// A packet's numbers on the line.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) seq: u64,
    pub(crate) time: u32,
    /// VP8: what changes in the payload descriptor, if anything does.
    pub(crate) vp8: Option<Vp8Numbers>,
    pub(crate) dependency: Option<Dependency>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Vp8Numbers {
    descriptor: Vp8Descriptor,
    picture_id: Option<u16>,
    tl0: Option<u8>,
}

impl Vp8Numbers {
    /// None only for picture ids of 7 bits that have outgrown them; such a stream is sent as it came.
    pub(crate) fn patch(&self) -> Option<Vp8Patch> {
        let mut patch = self.descriptor.patch();
        patch = self.picture_id.map_or(patch, |id| patch.picture_id(id));
        patch = self.tl0.map_or(patch, |tl0| patch.tl0_pic_idx(tl0));
        patch.build().ok()
    }
}

impl Egress {
    /// Forgets what the line carried, not how far it has counted. The next packet must be one that a decoder can
    /// start with.
    pub(crate) fn leave(&mut self) {
        self.anchor = None;
    }

    /// The line's numbers for a packet of this track. None when it is from before the switch to this source.
    /// A packet of another track or layer than the one before *is* the switch.
    pub(crate) fn number(&mut self, track: TrackId, packet: &Packet) -> Option<Numbers> {
        let descriptor = vp8_descriptor(packet);
        let picture_id = descriptor.and_then(|descriptor| descriptor.picture_id());
        let tl0 = descriptor.and_then(|descriptor| descriptor.tl0_pic_idx());
        let anchor = match self.anchor {
            Some(anchor) if anchor.track == track && anchor.layer == packet.layer => anchor,
            _ => self.join(track, packet, picture_id, tl0),
        };
        self.anchor = Some(anchor);
        if packet.seq < anchor.first_seq {
            return None;
        }
        let seq = packet.seq.wrapping_add(anchor.seq_offset);
        let time = packet.timestamp.wrapping_add(anchor.time_offset);
        let out_picture = picture_id.map(|id| id.wrapping_add(anchor.picture_offset) & 0x7fff);
        let dependency = dependency_of(packet).map(|dependency| {
            dependency.numbered(dependency.frame().wrapping_add(anchor.frame_offset))
        });
        let out_tl0 = tl0.map(|tl0| tl0.wrapping_add(anchor.tl0_offset));
        let vp8 = descriptor
            .filter(|_| anchor.picture_offset != 0 || anchor.tl0_offset != 0)
            .map(|descriptor| Vp8Numbers {
                descriptor,
                picture_id: out_picture,
                tl0: out_tl0,
            });
        if self.sent.is_none_or(|sent| seq > sent.seq) {
            self.sent = Some(Sent {
                seq,
                time,
                clock_rate: packet.format.codec.clock_rate(),
                track,
                capture_us: packet.capture_us,
                at: packet.arrived,
                picture_id: out_picture,
                tl0: out_tl0,
                frame: dependency
                    .as_ref()
                    .map(Dependency::frame)
                    .or(self.sent.and_then(|sent| sent.frame)),
            });
        }
        Some(Numbers {
            seq,
            time,
            vp8,
            dependency,
        })
    }

    /// Puts the first packet of a source right behind the last one sent.
    fn join(
        &self,
        track: TrackId,
        packet: &Packet,
        picture_id: Option<u16>,
        tl0: Option<u8>,
    ) -> Anchor {
        let (seq, time, next_picture, next_tl0) = match self.sent {
            None => (FIRST_SEQ, FIRST_TIME, picture_id, tl0),
            Some(sent) => {
                let time = sent.time.wrapping_add(ticks_since(&sent, track, packet));
                let next_picture = sent
                    .picture_id
                    .map(|id| id.wrapping_add(1) & 0x7fff)
                    .or(picture_id);
                (
                    sent.seq + 1,
                    time,
                    next_picture,
                    sent.tl0.map(|tl0| tl0.wrapping_add(1)).or(tl0),
                )
            }
        };
        Anchor {
            track,
            layer: packet.layer,
            first_seq: packet.seq,
            seq_offset: seq.wrapping_sub(packet.seq),
            time_offset: time.wrapping_sub(packet.timestamp),
            picture_offset: match (next_picture, picture_id) {
                (Some(next), Some(id)) => next.wrapping_sub(id) & 0x7fff,
                _ => 0,
            },
            tl0_offset: match (next_tl0, tl0) {
                (Some(next), Some(tl0)) => next.wrapping_sub(tl0),
                _ => 0,
            },
            frame_offset: match (self.sent.and_then(|sent| sent.frame), dependency_of(packet)) {
                (Some(last), Some(first)) => last.wrapping_add(1).wrapping_sub(first.frame()),
                _ => 0,
            },
        }
    }
}

fn dependency_of(packet: &Packet) -> Option<&Dependency> {
    packet.av1.as_ref()?.dependency.as_ref()
}

/// How far RTP time goes on from the last packet sent to this one: by the publisher's clock between two layers of one
/// track, whose pictures may have been under way for different times; by arrival otherwise. Never backwards.
fn ticks_since(sent: &Sent, track: TrackId, packet: &Packet) -> u32 {
    let by_capture = match (sent.capture_us, packet.capture_us) {
        (Some(before), Some(now)) if sent.track == track => Some(now.saturating_sub(before)),
        _ => None,
    };
    let by_arrival = packet
        .arrived
        .saturating_duration_since(sent.at)
        .as_micros();
    let us = match by_capture {
        Some(us) if us.abs() <= JOIN_US_MAX => u128::try_from(us).unwrap_or(0),
        _ => by_arrival,
    };
    // A day at 90 kHz does not fit, and does not matter: the receiver has long given up the old picture.
    u32::try_from(us * u128::from(sent.clock_rate) / 1_000_000)
        .unwrap_or(u32::MAX / 4)
        .clamp(1, u32::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use amphi_media::Codec;

    use super::*;
    use crate::av1::Place;
    use crate::format::Format;
    use crate::packet::{Parameters, Start};

    const ADA: TrackId = TrackId(1);
    const BO: TrackId = TrackId(2);

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn packet(codec: Codec, layer: u8, seq: u64, timestamp: u32, arrived: Instant) -> Packet {
        // A VP8 descriptor with a picture id of 15 bits and TL0PICIDX that follow the sequence number.
        let payload = match codec {
            Codec::Vp8 => vec![
                0x90,
                0xe0,
                0x80 | (seq >> 8) as u8,
                seq as u8,
                seq as u8,
                0x20,
                0,
                1,
                2,
            ],
            _ => vec![0x65, 1, 2],
        };
        Packet {
            layer,
            seq,
            timestamp,
            time: u64::from(timestamp),
            marker: true,
            format: Format::carried(codec).expect("it is carried"),
            audio_level: None,
            voice: None,
            payload: payload.into(),
            capture_us: None,
            arrived,
            start: Start::Key {
                size: None,
                parameters: Parameters::Here,
            },
            av1: None,
        }
    }

    #[test]
    fn frame_numbers_of_av1_go_on_across_a_switch() {
        let now = start();
        let mut egress = Egress::default();
        let av1 = |layer, seq, frame: u16| {
            let [high, low] = frame.to_be_bytes();
            let place = Place {
                spatial: 0,
                begins: true,
                ends: true,
                dependency: Dependency::read(&[0xc0, high, low]),
            };
            Packet {
                av1: Some(place),
                ..packet(Codec::Av1, layer, seq, 0, now)
            }
        };
        let mut frame = |track, packet: Packet| {
            let numbers = egress.number(track, &packet).expect("it is not late");
            numbers.dependency.map(|dependency| dependency.frame())
        };
        assert_eq!(frame(ADA, av1(2, 7, 0xfffe)), Some(0xfffe));
        assert_eq!(frame(ADA, av1(2, 8, 0xffff)), Some(0xffff));
        assert_eq!(frame(BO, av1(2, 900, 40)), Some(0));
        assert_eq!(frame(BO, av1(2, 901, 41)), Some(1));
        assert_eq!(frame(ADA, packet(Codec::Vp8, 2, 9, 0, now)), None);
        assert_eq!(frame(BO, av1(2, 950, 60)), Some(2));
    }

    fn numbers(egress: &mut Egress, track: TrackId, packet: &Packet) -> (u64, u32) {
        let numbers = egress.number(track, packet).expect("it is not late");
        (numbers.seq, numbers.time)
    }

    #[test]
    fn a_switch_goes_on_where_the_line_stood() {
        let now = start();
        let mut egress = Egress::default();
        let first = numbers(
            &mut egress,
            ADA,
            &packet(Codec::H264, 0, 65_530, 5_000, now),
        );
        assert_eq!(first, (FIRST_SEQ, FIRST_TIME));
        let gap = numbers(
            &mut egress,
            ADA,
            &packet(Codec::H264, 0, 65_540, 8_000, now),
        );
        assert_eq!(
            gap,
            (FIRST_SEQ + 10, FIRST_TIME + 3_000),
            "a gap stays a gap, so that it can be repaired"
        );
        let filled = numbers(
            &mut egress,
            ADA,
            &packet(Codec::H264, 0, 65_535, 6_500, now),
        );
        assert_eq!(filled, (FIRST_SEQ + 5, FIRST_TIME + 1_500));

        let later = now + Duration::from_millis(100);
        let layer = numbers(&mut egress, ADA, &packet(Codec::H264, 2, 7, 0, later));
        assert_eq!(layer, (FIRST_SEQ + 11, FIRST_TIME + 3_000 + 9_000));
        let other = numbers(
            &mut egress,
            BO,
            &packet(Codec::H264, 2, 900_000, 1 << 31, later),
        );
        assert_eq!(
            other,
            (FIRST_SEQ + 12, FIRST_TIME + 12_001),
            "never at the same time as the picture before"
        );
    }

    #[test]
    fn layers_are_joined_by_capture_time_where_it_is_known() {
        let now = start();
        let mut egress = Egress::default();
        let low = Packet {
            capture_us: Some(1_000_000),
            ..packet(Codec::H264, 0, 1, 0, now)
        };
        let high = Packet {
            capture_us: Some(1_033_333),
            ..packet(Codec::H264, 1, 1, 77, now + Duration::from_millis(300))
        };
        numbers(&mut egress, ADA, &low);
        assert_eq!(numbers(&mut egress, ADA, &high).1, FIRST_TIME + 2_999);
    }

    #[test]
    fn what_comes_from_before_a_switch_is_not_sent() {
        let now = start();
        let mut egress = Egress::default();
        numbers(&mut egress, ADA, &packet(Codec::H264, 0, 10, 0, now));
        numbers(&mut egress, ADA, &packet(Codec::H264, 1, 50, 0, now));
        assert!(
            egress
                .number(ADA, &packet(Codec::H264, 1, 49, 0, now))
                .is_none()
        );
    }

    #[test]
    fn vp8_picture_numbers_go_on_across_a_switch() {
        let now = start();
        let mut egress = Egress::default();
        let sent = egress
            .number(ADA, &packet(Codec::Vp8, 0, 300, 0, now))
            .expect("it is sent");
        assert!(
            sent.vp8.is_none(),
            "nothing to change before the first switch"
        );
        let mut check = |seq: u64, expected: (u16, u8)| {
            let numbers = egress
                .number(ADA, &packet(Codec::Vp8, 1, seq, 0, now))
                .expect("it is sent");
            let vp8 = numbers.vp8.expect("the numbers change");
            assert_eq!(
                (vp8.picture_id, vp8.tl0),
                (Some(expected.0), Some(expected.1))
            );
            assert!(vp8.patch().is_some());
        };
        check(9_000, (301, 45));
        check(9_001, (302, 46));
    }
}
