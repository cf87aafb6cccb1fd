//! Packets → frames, for one track: puts packets in order, waits for those that are being sent again, and takes
//! pictures out of them (RFC 6184 for H.264, RFC 7741 for VP8, RFC 9628 for VP9, AOMedia's payload format for AV1, RFC 7587
//! for Opus).
//!
//! This is the only place where the packet lane becomes the frame lane.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amphi_media::{
    Codec, Frame, MediaKind, MediaTime, Rid, TrackId, VideoSize, av1, h264, vp8, vp9,
};
use bytes::Bytes;

use crate::av1::Aggregate;
use crate::format::Format;
use crate::packet::{FU_A, Packet, Parameters, STAP_A, Start, aggregated, vp8_payload};
use crate::vp9::Descriptor;

/// How long a lost video packet is waited for: a NACK, a round trip of 100 ms, and once more.
const VIDEO_WAIT: Duration = Duration::from_millis(300);

/// Lost audio is not sent again; this is for packets that overtook each other.
const AUDIO_WAIT: Duration = Duration::from_millis(60);

/// Most packets that wait for an earlier one: 300 ms at 4,000 packets per second. When it is full, the earlier one
/// is given up.
const HELD_MAX: usize = 1_200;

/// Packets held while waiting for a key frame, in case its first packet is overtaken by those after it.
const WAITING_HELD_MAX: usize = 64;

/// Largest coded picture. Browsers' key frames are below 1 MB even at 4K.
const PICTURE_BYTES_MAX: usize = 4 * 1024 * 1024;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What the caller should do after packets or time went in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Report {
    /// Nothing can be shown until a key frame comes.
    pub(crate) needs_key: bool,
    pub(crate) lost: u64,
    pub(crate) broken: u64,
    pub(crate) buffer_full: u64,
}

/// Makes frames of one track. Frames of one layer at a time, a change only at a key frame; the times go on across it.
#[derive(Debug)]
pub(crate) struct Framer {
    track: TrackId,
    /// What its frames say as theirs.
    rung: u8,
    /// The layer that frames are taken from, and its name.
    layer: Option<(u8, Rid)>,
    /// The sequence number that comes next; none while waiting for a key frame.
    next: Option<u64>,
    held: BTreeMap<u64, Packet>,
    /// Since when something is missing in front of what is held.
    missing_since: Option<Instant>,
    picture: Picture,
    parameters: ParameterSets,
    contiguous: bool,
    /// Added to a layer's RTP time to go on from the layer before.
    time_offset: i64,
    last: Option<Last>,
    report: Report,
}

/// The newest frame.
#[derive(Clone, Copy, Debug)]
struct Last {
    ticks: i64,
    capture_us: Option<i64>,
    arrived: Instant,
}

/// The picture that packets are being added to.
#[derive(Debug, Default)]
struct Picture {
    data: Vec<u8>,
    head: Option<Head>,
    key: bool,
    /// Something that a decoder shows is in it, not only parameter sets.
    shows: bool,
    has_sps: bool,
    in_fragment: bool,
    broken: bool,
    /// VP9: of the largest layer.
    size: Option<VideoSize>,
    /// AV1: what is there of the unit that goes on in the next packet.
    unit: Vec<u8>,
}

/// What the first packet of a picture tells.
#[derive(Clone, Copy, Debug)]
struct Head {
    timestamp: u32,
    time: u64,
    codec: Codec,
    capture_us: Option<i64>,
}

/// The newest H.264 parameter sets, and the size that the newest key frame told.
#[derive(Debug, Default)]
struct ParameterSets {
    sps: Vec<u8>,
    pps: Vec<u8>,
    size: Option<VideoSize>,
}

impl Framer {
    pub(crate) fn new(track: TrackId, rung: u8) -> Self {
        Self {
            track,
            rung,
            layer: None,
            next: None,
            held: BTreeMap::new(),
            missing_since: None,
            picture: Picture::default(),
            parameters: ParameterSets::default(),
            contiguous: true,
            time_offset: 0,
            last: None,
            report: Report::default(),
        }
    }

    /// The layer that frames come from.
    pub(crate) fn layer(&self) -> Option<u8> {
        self.layer.map(|(layer, _)| layer)
    }

    /// Video that cannot go on before a key frame comes.
    pub(crate) fn waits_for_key(&self) -> bool {
        self.next.is_none()
    }

    /// Nothing comes for a while (mute): begin anew with the next key frame, without calling it a loss.
    pub(crate) fn pause(&mut self) {
        self.restart();
        self.layer = None;
    }

    /// Takes a packet of the present layer, or the first packet of a key frame of another one, which is the switch.
    /// The caller decides about switches: it gives packets of other layers only when it wants one.
    pub(crate) fn push(
        &mut self,
        rid: Rid,
        packet: &Packet,
        now: Instant,
        frames: &mut dyn FnMut(Frame),
    ) -> Report {
        if self.layer() != Some(packet.layer) {
            if !matches!(
                packet.start,
                Start::Key {
                    parameters: Parameters::Here,
                    ..
                }
            ) {
                return self.take_report();
            }
            self.restart();
            self.parameters = ParameterSets::default();
            self.layer = Some((packet.layer, rid));
            self.time_offset = self.joined_offset(packet);
        }
        self.hold(packet, now);
        self.release(now, frames);
        self.take_report()
    }

    /// Gives up packets that were waited for long enough.
    pub(crate) fn pass_time(&mut self, now: Instant, frames: &mut dyn FnMut(Frame)) -> Report {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up(now, frames);
        }
        self.take_report()
    }

    /// When `pass_time` has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let wait = match self.held.values().next()?.format.codec.kind() {
            MediaKind::Audio => AUDIO_WAIT,
            MediaKind::Video => VIDEO_WAIT,
        };
        Some(self.missing_since? + wait)
    }

    fn take_report(&mut self) -> Report {
        std::mem::take(&mut self.report)
    }

    fn restart(&mut self) {
        self.next = None;
        self.held.clear();
        self.missing_since = None;
        self.picture = Picture::default();
    }

    fn hold(&mut self, packet: &Packet, now: Instant) {
        if self.next.is_some_and(|next| packet.seq < next) {
            return;
        }
        self.held.insert(packet.seq, packet.clone());
        if self.next.is_none() {
            self.begin();
        }
        if self.next.is_none() {
            while self.held.len() > WAITING_HELD_MAX {
                self.held.pop_first();
            }
        } else if self.held.len() > HELD_MAX {
            self.report.buffer_full += 1;
            self.missing_since = Some(now.checked_sub(VIDEO_WAIT).unwrap_or(now));
        }
    }

    /// Goes to the first held packet that a decoder can start with, if there is one.
    fn begin(&mut self) {
        let knows_parameters = !self.parameters.sps.is_empty();
        let starts = |packet: &Packet| match packet.start {
            // An IDR alone is enough only when its parameter sets are known. Before that, waiting for a packet that
            // brings them is right, because browsers put them in front of every key frame.
            Start::Key {
                parameters: Parameters::Elsewhere,
                ..
            } => knows_parameters,
            Start::Key {
                parameters: Parameters::Here,
                ..
            } => true,
            Start::Delta => false,
        };
        let first = self
            .held
            .iter()
            .find(|(_, packet)| starts(packet))
            .map(|(seq, _)| *seq);
        if let Some(first) = first {
            self.held = self.held.split_off(&first);
            self.next = Some(first);
            self.missing_since = None;
        }
    }

    /// Takes packets in order as far as they are there.
    fn release(&mut self, now: Instant, frames: &mut dyn FnMut(Frame)) {
        while let Some(next) = self.next {
            let Some(packet) = self.held.remove(&next) else {
                break;
            };
            self.next = Some(next + 1);
            self.missing_since = None;
            self.take(&packet, frames);
        }
        let waits = self.next.is_some() && !self.held.is_empty();
        self.missing_since = if waits {
            self.missing_since.or(Some(now))
        } else {
            None
        };
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up(now, frames);
        }
    }

    /// What is missing will not come: go on with what is there.
    fn give_up(&mut self, now: Instant, frames: &mut dyn FnMut(Frame)) {
        self.missing_since = None;
        self.contiguous = false;
        self.report.lost += 1;
        let Some((first, packet)) = self.held.first_key_value() else {
            return;
        };
        match packet.format.codec.kind() {
            MediaKind::Audio => self.next = Some(*first),
            MediaKind::Video => {
                self.picture = Picture::default();
                self.wait_for_key();
            }
        }
        self.release(now, frames);
    }

    fn wait_for_key(&mut self) {
        self.next = None;
        self.begin();
        self.report.needs_key = self.next.is_none();
    }

    fn take(&mut self, packet: &Packet, frames: &mut dyn FnMut(Frame)) {
        let codec = packet.format.codec;
        if codec.kind() == MediaKind::Audio {
            self.emit(packet, packet.payload.to_vec(), frames);
            return;
        }
        // A sender that sets no marker ends a picture by beginning the next one.
        if self
            .picture
            .head
            .is_some_and(|head| head.timestamp != packet.timestamp || head.codec != codec)
        {
            self.finish(packet.arrived, frames);
        }
        self.picture.head.get_or_insert(Head {
            timestamp: packet.timestamp,
            time: packet.time,
            codec,
            capture_us: packet.capture_us,
        });
        let understood = match codec {
            Codec::H264 => self.picture.add_h264(&packet.payload, &mut self.parameters),
            Codec::Vp8 => self.picture.add_vp8(&packet.payload),
            Codec::Vp9 => self.picture.add_vp9(&packet.payload),
            Codec::Av1 => self.picture.add_av1(&packet.payload),
            Codec::Opus | Codec::Aac => Err(Nonsense),
        };
        self.picture.broken |= understood.is_err();
        if packet.marker {
            self.finish(packet.arrived, frames);
        }
    }

    /// The picture is whole.
    fn finish(&mut self, arrived: Instant, frames: &mut dyn FnMut(Frame)) {
        let picture = std::mem::take(&mut self.picture);
        let Some(head) = picture.head else {
            return;
        };
        if picture.broken || picture.in_fragment {
            self.break_off();
            return;
        }
        if !picture.shows {
            return;
        }
        let mut key = picture.key;
        let data = match head.codec {
            Codec::H264 if key && !picture.has_sps => {
                if self.parameters.sps.is_empty() || self.parameters.pps.is_empty() {
                    self.break_off();
                    return;
                }
                let mut whole = Vec::with_capacity(
                    picture.data.len() + self.parameters.sps.len() + self.parameters.pps.len() + 8,
                );
                push_nal(&mut whole, &self.parameters.sps);
                push_nal(&mut whole, &self.parameters.pps);
                whole.extend_from_slice(&picture.data);
                whole
            }
            Codec::Vp8 => {
                let Some(header) = vp8::header(&picture.data) else {
                    self.break_off();
                    return;
                };
                key = header.key;
                self.parameters.size = header.size.or(self.parameters.size);
                picture.data
            }
            // All spatial layers, lowest first: a decoder shows the last one. The first says whether it needs others.
            Codec::Vp9 => {
                let Some(header) = vp9::header(&picture.data) else {
                    self.break_off();
                    return;
                };
                key = header.key;
                if key {
                    self.parameters.size = picture.size.or(header.size);
                }
                picture.data
            }
            // Likewise.
            Codec::Av1 => {
                let Some(header) = av1::header(&picture.data) else {
                    self.break_off();
                    return;
                };
                key = header.key;
                self.parameters.size = header.size.or(self.parameters.size);
                picture.data
            }
            _ => picture.data,
        };
        self.send(head, arrived, key, self.parameters.size, data, frames);
    }

    /// A picture made no sense, so those after it cannot be shown either.
    fn break_off(&mut self) {
        self.report.broken += 1;
        self.contiguous = false;
        self.wait_for_key();
    }

    fn emit(&mut self, packet: &Packet, data: Vec<u8>, frames: &mut dyn FnMut(Frame)) {
        let head = Head {
            timestamp: packet.timestamp,
            time: packet.time,
            codec: packet.format.codec,
            capture_us: packet.capture_us,
        };
        self.send(head, packet.arrived, true, None, data, frames);
    }

    fn send(
        &mut self,
        head: Head,
        arrived: Instant,
        key: bool,
        size: Option<VideoSize>,
        data: Vec<u8>,
        frames: &mut dyn FnMut(Frame),
    ) {
        let ticks = ticks(head.time).saturating_add(self.time_offset);
        self.last = Some(Last {
            ticks,
            capture_us: head.capture_us,
            arrived,
        });
        frames(Frame {
            track: self.track,
            codec: head.codec,
            rid: self.layer.map(|(_, rid)| rid).unwrap_or_default(),
            rung: self.rung,
            lower: 0,
            time: MediaTime::new(ticks, head.codec.clock_rate()),
            arrived,
            sender_time_us: head.capture_us,
            key,
            contiguous: std::mem::replace(&mut self.contiguous, true),
            size,
            data: Bytes::from(data),
        });
    }

    /// Every layer has an RTP clock of its own. Joins the new one to the old by the publisher's wall clock, or by
    /// arrival before the first sender reports.
    fn joined_offset(&self, packet: &Packet) -> i64 {
        let Some(last) = self.last else {
            return self.time_offset;
        };
        let us = match (last.capture_us, packet.capture_us) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => i64::try_from(
                packet
                    .arrived
                    .saturating_duration_since(last.arrived)
                    .as_micros(),
            )
            .unwrap_or(i64::MAX),
        };
        let ahead = us.saturating_mul(i64::from(packet.format.codec.clock_rate())) / 1_000_000;
        last.ticks
            .saturating_add(ahead.max(1))
            .saturating_sub(ticks(packet.time))
    }
}

fn ticks(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// The payload does not follow its RFC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Nonsense;

impl Picture {
    /// RFC 6184 §5.6 to §5.8: a NAL unit, several, or a piece of one. Interleaved forms are not negotiated.
    fn add_h264(&mut self, payload: &[u8], parameters: &mut ParameterSets) -> Result<(), Nonsense> {
        match h264::nal_type(payload).ok_or(Nonsense)? {
            1..=23 => self.add_nal(payload, parameters),
            STAP_A => {
                for unit in aggregated(payload) {
                    self.add_nal(unit.map_err(|_| Nonsense)?, parameters)?;
                }
                Ok(())
            }
            FU_A => self.add_fragment(payload),
            _ => Err(Nonsense),
        }
    }

    fn add_nal(&mut self, nal: &[u8], parameters: &mut ParameterSets) -> Result<(), Nonsense> {
        if self.in_fragment || self.data.len() + nal.len() > PICTURE_BYTES_MAX {
            return Err(Nonsense);
        }
        self.note(h264::nal_type(nal).ok_or(Nonsense)?);
        match h264::nal_type(nal) {
            Some(h264::NAL_SPS) => {
                parameters.size = Some(h264::sps(nal).ok_or(Nonsense)?.size);
                parameters.sps = nal.to_vec();
            }
            Some(h264::NAL_PPS) => parameters.pps = nal.to_vec(),
            _ => {}
        }
        push_nal(&mut self.data, nal);
        Ok(())
    }

    fn add_fragment(&mut self, payload: &[u8]) -> Result<(), Nonsense> {
        let [indicator, header, piece @ ..] = payload else {
            return Err(Nonsense);
        };
        let (begins, ends, kind) = (header & 0x80 != 0, header & 0x40 != 0, header & 0x1f);
        if begins == self.in_fragment || self.data.len() + piece.len() > PICTURE_BYTES_MAX {
            return Err(Nonsense);
        }
        // Parameter sets are smaller than any packet; in pieces they would escape being remembered.
        if matches!(kind, h264::NAL_SPS | h264::NAL_PPS) {
            return Err(Nonsense);
        }
        if begins {
            self.note(kind);
            push_nal(&mut self.data, &[(indicator & 0xe0) | kind]);
        }
        self.data.extend_from_slice(piece);
        self.in_fragment = !ends;
        Ok(())
    }

    /// Remembers what kinds of NAL units the picture has (H.264 table 7-1).
    fn note(&mut self, kind: u8) {
        self.key |= kind == h264::NAL_IDR;
        self.shows |= (h264::NAL_SLICE..=h264::NAL_IDR).contains(&kind);
        self.has_sps |= kind == h264::NAL_SPS;
    }

    fn add_vp8(&mut self, payload: &[u8]) -> Result<(), Nonsense> {
        let (begins, piece) = vp8_payload(payload).ok_or(Nonsense)?;
        if begins != self.data.is_empty() || self.data.len() + piece.len() > PICTURE_BYTES_MAX {
            return Err(Nonsense);
        }
        self.data.extend_from_slice(piece);
        self.shows = true;
        Ok(())
    }
}

impl Picture {
    /// Frames of spatial layers follow each other, each whole.
    fn add_vp9(&mut self, payload: &[u8]) -> Result<(), Nonsense> {
        let descriptor = Descriptor::read(payload).ok_or(Nonsense)?;
        let piece = &payload[descriptor.bytes..];
        if descriptor.begins == self.in_fragment
            || self.data.len() + piece.len() > PICTURE_BYTES_MAX
        {
            return Err(Nonsense);
        }
        self.data.extend_from_slice(piece);
        self.in_fragment = !descriptor.ends;
        self.size = descriptor.size.or(self.size);
        self.shows = true;
        Ok(())
    }
}

impl Picture {
    /// Units are put together, and given the sizes that RTP leaves out.
    fn add_av1(&mut self, payload: &[u8]) -> Result<(), Nonsense> {
        let aggregate = Aggregate::read(payload).ok_or(Nonsense)?;
        if aggregate.goes_on != self.in_fragment {
            return Err(Nonsense);
        }
        for piece in aggregate.pieces() {
            let piece = piece.map_err(|_| Nonsense)?;
            if self.data.len() + self.unit.len() + piece.bytes.len() > PICTURE_BYTES_MAX {
                return Err(Nonsense);
            }
            self.unit.extend_from_slice(piece.bytes);
            self.in_fragment = !piece.ends;
            if piece.ends {
                self.end_unit()?;
            }
        }
        Ok(())
    }

    fn end_unit(&mut self) -> Result<(), Nonsense> {
        let unit = std::mem::take(&mut self.unit);
        if unit.is_empty() {
            return Ok(());
        }
        let (obu, _) = av1::Obu::split(&unit)
            .filter(|(_, after)| after.is_empty())
            .ok_or(Nonsense)?;
        match obu.kind {
            // A picture is one temporal unit, and files want it without a delimiter. The others show nothing.
            av1::OBU_TEMPORAL_DELIMITER | av1::OBU_TILE_LIST | av1::OBU_PADDING => return Ok(()),
            av1::OBU_FRAME | av1::OBU_FRAME_HEADER => self.shows = true,
            _ => {}
        }
        obu.write(&mut self.data);
        Ok(())
    }
}

fn push_nal(out: &mut Vec<u8>, nal: &[u8]) {
    out.extend_from_slice(&START_CODE);
    out.extend_from_slice(nal);
}

/// One RTP packet for [`depacketize`].
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Sequence number with its roll-overs.
    pub seq: u64,
    /// RTP time.
    pub time: u32,
    pub marker: bool,
    pub bytes: &'a [u8],
}

/// The frames in packets of one stream that arrived at `now`, in this order. Packets that are missing are given up
/// once all have been looked at. This is what the SFU does with a track that somebody takes frames of, for those who
/// have packets and no session (fuzzing, tools). None for a codec that is not carried.
pub fn depacketize<'a>(
    codec: Codec,
    now: Instant,
    packets: impl IntoIterator<Item = Payload<'a>>,
) -> Option<Vec<Frame>> {
    let format = Format::carried(codec)?;
    let mut frames = Vec::new();
    let mut framer = Framer::new(TrackId(0), 0);
    for packet in packets {
        let packet = Packet {
            layer: 0,
            seq: packet.seq,
            timestamp: packet.time,
            time: u64::from(packet.time),
            marker: packet.marker,
            format,
            audio_level: None,
            voice: None,
            start: Start::of(codec, packet.bytes),
            av1: None,
            payload: packet.bytes.into(),
            capture_us: None,
            arrived: now,
        };
        framer.push(Rid::NONE, &packet, now, &mut |frame| frames.push(frame));
    }
    // Each time that is passed gives up one gap; there are fewer gaps than packets held.
    while let Some(deadline) = framer.deadline() {
        framer.pass_time(deadline, &mut |frame| frames.push(frame));
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x80, 0xb4, 0x3c, 0x22, 0x11,
        0xa8,
    ];
    const PPS: &[u8] = &[0x68, 0xce];

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn packet(codec: Codec, seq: u64, time: u32, marker: bool, payload: &[u8]) -> Packet {
        Packet {
            layer: 2,
            seq,
            timestamp: time,
            time: u64::from(time),
            marker,
            format: Format::carried(codec).expect("it is carried"),
            audio_level: None,
            voice: None,
            start: Start::of(codec, payload),
            av1: None,
            payload: payload.into(),
            capture_us: None,
            arrived: start(),
        }
    }

    fn h264_packet(seq: u64, time: u32, marker: bool, payload: &[u8]) -> Packet {
        packet(Codec::H264, seq, time, marker, payload)
    }

    fn stap() -> Vec<u8> {
        let mut stap = vec![0x78];
        for unit in [SPS, PPS] {
            stap.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            stap.extend_from_slice(unit);
        }
        stap
    }

    /// A framer, what came out of it, and what it said last.
    struct Bench {
        framer: Framer,
        now: Instant,
        frames: Vec<Frame>,
        report: Report,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                framer: Framer::new(TrackId(1), 0),
                now: start(),
                frames: Vec::new(),
                report: Report::default(),
            }
        }

        fn push(&mut self, packet: Packet) {
            let frames = &mut self.frames;
            self.report = self
                .framer
                .push(Rid::NONE, &packet, self.now, &mut |frame| {
                    frames.push(frame)
                });
        }

        fn wait(&mut self, duration: Duration) {
            self.now += duration;
            let frames = &mut self.frames;
            self.report = self
                .framer
                .pass_time(self.now, &mut |frame| frames.push(frame));
        }

        /// Times of the frames, negative where packets are missing in front of one.
        fn times(&self) -> Vec<i64> {
            let sign = |frame: &Frame| if frame.contiguous { 1 } else { -1 };
            self.frames
                .iter()
                .map(|frame| frame.time.ticks * sign(frame))
                .collect()
        }
    }

    fn units(frame: &Frame) -> Vec<u8> {
        h264::nal_units(&frame.data)
            .filter_map(h264::nal_type)
            .collect()
    }

    #[test]
    fn packets_are_put_in_order() {
        let mut bench = Bench::new();
        bench.push(h264_packet(10, 1, false, &stap()));
        bench.push(h264_packet(12, 1, true, &[0x7c, 0x45, 2]));
        bench.push(h264_packet(13, 2, true, &[0x41, 3]));
        assert!(bench.frames.is_empty());
        bench.push(h264_packet(11, 1, false, &[0x7c, 0x85, 1]));
        assert_eq!(bench.times(), [1, 2]);
        assert_eq!(
            units(&bench.frames[0]),
            [h264::NAL_SPS, h264::NAL_PPS, h264::NAL_IDR]
        );
        assert_eq!(bench.framer.deadline(), None);
    }

    #[test]
    fn a_key_frame_whose_first_packet_is_overtaken_is_not_lost() {
        let mut bench = Bench::new();
        bench.framer.layer = Some((2, Rid::NONE));
        bench.push(h264_packet(11, 1, true, &[0x65, 1]));
        assert!(
            bench.frames.is_empty(),
            "an IDR alone is nothing before its parameter sets"
        );
        bench.push(h264_packet(10, 1, false, &stap()));
        assert_eq!(bench.times(), [1]);
    }

    #[test]
    fn parameter_sets_are_put_in_front_of_every_key_frame() {
        let mut bench = Bench::new();
        bench.push(h264_packet(1, 1, true, &stap()));
        assert!(
            bench.frames.is_empty(),
            "parameter sets alone are no picture"
        );
        bench.push(h264_packet(2, 2, true, &[0x65, 1]));
        bench.push(h264_packet(3, 3, true, &[0x65, 2]));
        for frame in &bench.frames {
            assert_eq!(units(frame), [h264::NAL_SPS, h264::NAL_PPS, h264::NAL_IDR]);
            assert!(frame.key);
        }
        assert_eq!(bench.frames.len(), 2);
    }

    #[test]
    fn a_picture_without_a_marker_ends_where_the_next_one_begins() {
        let mut bench = Bench::new();
        bench.push(h264_packet(1, 1, false, &stap()));
        bench.push(h264_packet(2, 1, false, &[0x65, 1]));
        bench.push(h264_packet(3, 2, false, &[0x41, 1]));
        assert_eq!(bench.times(), [1]);
    }

    #[test]
    fn what_stays_missing_is_given_up_and_the_next_key_frame_awaited() {
        let mut bench = Bench::new();
        bench.push(h264_packet(1, 1, false, &stap()));
        bench.push(h264_packet(2, 1, true, &[0x65, 1]));
        bench.push(h264_packet(4, 3, true, &[0x41, 1]));
        bench.wait(VIDEO_WAIT - Duration::from_millis(1));
        assert_eq!(bench.report, Report::default());
        bench.wait(Duration::from_millis(1));
        assert_eq!(
            bench.report,
            Report {
                needs_key: true,
                lost: 1,
                ..Report::default()
            }
        );
        bench.push(h264_packet(5, 4, true, &[0x41, 1]));
        bench.push(h264_packet(6, 5, false, &stap()));
        bench.push(h264_packet(7, 5, true, &[0x65, 1]));
        bench.push(h264_packet(8, 6, true, &[0x41, 1]));
        assert_eq!(bench.times(), [1, -5, 6]);
    }

    #[test]
    fn a_key_frame_that_is_there_already_ends_the_waiting_for_one() {
        let mut bench = Bench::new();
        bench.push(h264_packet(1, 1, false, &stap()));
        bench.push(h264_packet(2, 1, true, &[0x65, 1]));
        bench.push(h264_packet(4, 3, true, &[0x41, 1]));
        bench.push(h264_packet(5, 4, false, &stap()));
        bench.push(h264_packet(6, 4, true, &[0x65, 1]));
        bench.wait(VIDEO_WAIT);
        assert_eq!(
            bench.report,
            Report {
                lost: 1,
                ..Report::default()
            }
        );
        assert_eq!(bench.times(), [1, -4]);
    }

    #[test]
    fn lost_audio_is_not_waited_for_long_and_the_rest_goes_on() {
        let mut bench = Bench::new();
        let opus = |seq, time| packet(Codec::Opus, seq, time, false, &[0xfc, 1]);
        bench.push(opus(1, 1));
        bench.push(opus(3, 3));
        bench.push(opus(5, 5));
        bench.wait(AUDIO_WAIT);
        bench.wait(AUDIO_WAIT);
        assert_eq!(bench.times(), [1, -3, -5]);
        bench.push(opus(2, 2));
        assert_eq!(bench.frames.len(), 3, "too late");
    }

    #[test]
    fn nonsense_breaks_one_picture_off_and_asks_for_a_key_frame() {
        let nonsense: [&[u8]; 7] = [
            &[0x7c, 0x05, 1],
            &[0x7c],
            &[0x78, 0, 9, 1],
            &[0x79, 0, 0],
            &[0],
            &[0x7c, 0x87, 1],
            &[0x67, 1],
        ];
        for payload in nonsense {
            let mut bench = Bench::new();
            bench.push(h264_packet(1, 1, false, &stap()));
            bench.push(h264_packet(2, 1, true, &[0x65, 1]));
            bench.push(h264_packet(3, 2, true, payload));
            assert_eq!(bench.report.broken, 1, "{payload:02x?}");
            assert!(bench.report.needs_key);
            assert_eq!(bench.times(), [1]);
        }
    }

    #[test]
    fn a_fragment_that_is_never_ended_is_no_picture() {
        let mut bench = Bench::new();
        bench.push(h264_packet(1, 1, false, &stap()));
        bench.push(h264_packet(2, 1, true, &[0x7c, 0x85, 1]));
        assert_eq!((bench.report.broken, bench.frames.len()), (1, 0));
    }

    #[test]
    fn a_full_buffer_gives_up_what_it_waits_for() {
        let mut bench = Bench::new();
        bench.push(h264_packet(1, 1, false, &stap()));
        bench.push(h264_packet(2, 1, true, &[0x65, 1]));
        let mut full = 0;
        for seq in 4..4 + HELD_MAX as u64 + 10 {
            bench.push(h264_packet(seq, seq as u32, true, &[0x41, 1]));
            full += bench.report.buffer_full;
        }
        assert_eq!(full, 1);
        assert!(bench.framer.held.len() <= HELD_MAX);
        assert!(bench.framer.waits_for_key());
    }

    #[test]
    fn vp8_frames_of_several_packets_are_joined() {
        let key = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
        let mut bench = Bench::new();
        bench.push(packet(
            Codec::Vp8,
            1,
            1,
            false,
            &[&[0x90, 0x80, 0x80, 1], &key[..]].concat(),
        ));
        bench.push(packet(Codec::Vp8, 2, 1, true, &[0x80, 0x80, 0x80, 1, 0xaa]));
        bench.push(packet(Codec::Vp8, 3, 2, true, &[0x10, 0x11, 0xbb]));
        assert_eq!(bench.frames[0].data[..], [&key[..], &[0xaa]].concat());
        assert_eq!(bench.frames[0].size, Some(VideoSize::new(640, 360)));
        assert_eq!(
            (bench.frames[1].key, &bench.frames[1].data[..]),
            (false, &[0x11, 0xbb][..])
        );
        bench.push(packet(Codec::Vp8, 4, 3, true, &[0x00, 0x11]));
        assert_eq!(bench.report.broken, 1, "a piece without a beginning");
    }

    #[test]
    fn vp9_layers_are_joined_and_a_torn_one_breaks_its_picture_off() {
        let frame = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        let mut bench = Bench::new();
        let vp9 =
            |seq, time, marker, payload: &[u8]| packet(Codec::Vp9, seq, time, marker, payload);
        bench.push(vp9(1, 1, false, &[&[0x2c, 0, 0][..], &frame].concat()));
        bench.push(vp9(2, 1, false, &[0x28, 3, 0, 0xaa]));
        bench.push(vp9(3, 1, true, &[0x24, 3, 0, 0xbb]));
        assert_eq!(
            bench.frames[0].data[..],
            [&frame[..], &[0xaa, 0xbb]].concat()
        );
        assert!(bench.frames[0].key);
        assert_eq!(bench.frames[0].size, Some(VideoSize::new(640, 360)));
        bench.push(vp9(4, 2, false, &[0x6c, 0, 0, 0x86]));
        bench.push(vp9(5, 2, true, &[0x64, 3, 0, 0xcc]));
        assert_eq!(bench.report.broken, 1, "a piece without a beginning");
        assert!(bench.report.needs_key);
    }

    /// libaom's for 320 × 180.
    const SEQUENCE: [u8; 12] = [
        0x08, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40,
    ];

    #[test]
    fn av1_units_are_joined_and_get_sizes() {
        let mut bench = Bench::new();
        let av1 =
            |seq, time, marker, payload: &[u8]| packet(Codec::Av1, seq, time, marker, payload);
        // A delimiter, the sequence header, and a key frame of two layers, the lower one in three pieces.
        let first = [&[0x48, 1, 0x10, 12], &SEQUENCE[..], &[3, 0x34, 0x00, 0x10]].concat();
        bench.push(av1(1, 1, false, &first));
        bench.push(av1(2, 1, false, &[0xd0, 7, 8]));
        bench.push(av1(3, 1, true, &[0xa0, 1, 9, 0x36, 0x08, 2, 0x30, 5]));
        let sized = [&[0x0a, 11], &SEQUENCE[1..], &[0x36, 0x00, 4, 0x10, 7, 8, 9]].concat();
        let whole = [&sized[..], &[0x36, 0x08, 2, 0x30, 5]].concat();
        assert_eq!(bench.frames[0].data[..], whole);
        assert!(bench.frames[0].key && bench.frames[0].contiguous);
        assert_eq!(bench.frames[0].size, Some(VideoSize::new(320, 180)));
        bench.push(av1(4, 2, true, &[0x10, 0x30, 0x30]));
        assert_eq!(bench.frames[1].data[..], [0x32, 1, 0x30]);
        assert!(!bench.frames[1].key);
        assert_eq!(bench.frames[1].size, Some(VideoSize::new(320, 180)));
    }

    #[test]
    fn av1_that_makes_no_sense_breaks_its_picture_off() {
        let nonsense: [&[u8]; 7] = [
            &[0x90, 1],
            &[0x50, 0x30, 0x30],
            &[0x00, 9, 0x30],
            &[0x10, 0x32, 5, 0x30],
            &[0x10, 0x32, 0, 0x30],
            &[0x10, 0xb0, 0x30],
            &[0x10],
        ];
        for payload in nonsense {
            let mut bench = Bench::new();
            let key = [&[0x28, 12], &SEQUENCE[..], &[0x30, 0x10]].concat();
            bench.push(packet(Codec::Av1, 1, 1, true, &key));
            bench.push(packet(Codec::Av1, 2, 2, true, payload));
            assert_eq!(bench.report.broken, 1, "{payload:02x?}");
            assert!(bench.report.needs_key);
            assert_eq!(bench.times(), [1]);
        }
    }

    #[test]
    fn packets_alone_are_enough_to_take_frames_out() {
        let parameters = stap();
        let payloads = [
            Payload {
                seq: 1,
                time: 1,
                marker: false,
                bytes: &parameters,
            },
            Payload {
                seq: 2,
                time: 1,
                marker: true,
                bytes: &[0x65, 1],
            },
            Payload {
                seq: 9,
                time: 2,
                marker: true,
                bytes: &[0x41, 1],
            },
        ];
        assert_eq!(
            depacketize(Codec::H264, start(), payloads).map(|frames| frames.len()),
            Some(1)
        );
        assert_eq!(depacketize(Codec::Aac, start(), []), None);
    }
}
