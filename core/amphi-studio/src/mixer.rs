//! The sound of the program: everybody on stage, each brought to the same loudness, summed, kept below full scale, encoded
//! without a hole.

use std::collections::BTreeMap;

use amphi_media::{Frame, MediaKind, MediaTime, MemberId, Sample, TrackId};
use bytes::Bytes;

use crate::clock::MemberClock;
use crate::leveller::{Leveller, share};
use crate::limiter::{LOOKAHEAD, Limiter};
use crate::voice::Voice;
use crate::{ACCESS_UNIT_FRAMES, Codecs, Counters, PACKET_FRAMES, SAMPLE_RATE, Stereo};

/// How many tracks are decoded and mixed. A decoder costs about 30 KB and 0.3 % of a core.
const VOICES_MAX: usize = 64;

/// After so many access units in a row that could not be made (one second) the encoder is given up.
const ENCODER_ERRORS_MAX: u32 = 47;

/// Whose delays count for which track.
pub type MemberClocks = BTreeMap<MemberId, MemberClock>;

struct Speaker {
    member: MemberId,
    voice: Voice,
    leveller: Leveller,
    /// The voice's next block; all zero while it has no sound.
    block: Box<[Stereo; ACCESS_UNIT_FRAMES]>,
    sounds: bool,
}

pub struct Mixer {
    codecs: Codecs,
    speakers: BTreeMap<TrackId, Speaker>,
    limiter: Limiter,
    /// Blocks encoded so far.
    blocks: i64,
    errors_in_a_row: u32,
    /// What was mixed and is not in a packet of Opus yet: less than one.
    unpacked: Vec<Stereo>,
    /// Packets of Opus so far.
    packets: i64,
}

impl Mixer {
    pub fn new(codecs: Codecs) -> Self {
        Self {
            codecs,
            speakers: BTreeMap::new(),
            limiter: Limiter::new(),
            blocks: 0,
            errors_in_a_row: 0,
            unpacked: Vec::with_capacity(ACCESS_UNIT_FRAMES + PACKET_FRAMES),
            packets: 0,
        }
    }

    pub fn set_track(
        &mut self,
        track: TrackId,
        member: MemberId,
        muted: bool,
        counters: &mut Counters,
    ) {
        if !self.speakers.contains_key(&track) {
            if self.speakers.len() >= VOICES_MAX {
                counters.tracks_refused += 1;
                return;
            }
            self.speakers.insert(
                track,
                Speaker {
                    member,
                    voice: Voice::new(),
                    leveller: Leveller::new(),
                    block: Box::new([[0.0; 2]; ACCESS_UNIT_FRAMES]),
                    sounds: false,
                },
            );
        }
        if let Some(speaker) = self.speakers.get_mut(&track) {
            speaker.voice.set_muted(muted);
        }
    }

    /// Fades the track out; it is forgotten once it is silent.
    pub fn remove_track(&mut self, track: TrackId) {
        if let Some(speaker) = self.speakers.get_mut(&track) {
            speaker.voice.leave();
        }
    }

    /// Whose sound this track is.
    pub fn member(&self, track: TrackId) -> Option<MemberId> {
        self.speakers.get(&track).map(|speaker| speaker.member)
    }

    pub fn push(
        &mut self,
        frame: &Frame,
        arrived_us: i64,
        clocks: &mut MemberClocks,
        counters: &mut Counters,
    ) {
        let Some(speaker) = self.speakers.get_mut(&frame.track) else {
            counters.frames_unknown += 1;
            return;
        };
        let member = clocks.entry(speaker.member).or_default();
        speaker
            .voice
            .push(frame, arrived_us, member, &mut self.codecs, counters);
    }

    /// Up to which programme time, in microseconds, packets must be there before the next block is mixed.
    pub fn next_due_us(&self) -> i64 {
        (self.blocks + 1) * ACCESS_UNIT_FRAMES as i64 * 1_000_000 / i64::from(SAMPLE_RATE) + 1_500
    }

    /// Mixes and encodes the next block. Without what belongs before the programme's zero, or could not be made.
    pub fn mix(&mut self, clocks: &MemberClocks, counters: &mut Counters) -> Vec<Sample> {
        let start = self.blocks * ACCESS_UNIT_FRAMES as i64;
        self.blocks += 1;
        // The limiter's look-ahead makes everything late, so what is mixed in is as much ahead.
        let mut block = self.sum(start + LOOKAHEAD as i64, clocks, counters);
        self.speakers.retain(|_, speaker| !speaker.voice.is_over());
        counters.limited += u64::from(self.limiter.limit(&mut block));
        let unit = self.encode(&block, counters);
        let time = start - i64::from(self.codecs.encoder.delay());
        let mut made: Vec<Sample> = unit
            .filter(|_| time >= 0)
            .map(|data| sample(0, time, data))
            .into_iter()
            .collect();
        counters.access_units += made.len() as u64;
        made.extend(self.pack(&block, counters));
        made
    }

    /// Puts the block into packets of Opus, where they are wanted.
    fn pack(
        &mut self,
        block: &[Stereo; ACCESS_UNIT_FRAMES],
        counters: &mut Counters,
    ) -> Vec<Sample> {
        let Some(encoder) = &mut self.codecs.opus else {
            return Vec::new();
        };
        self.unpacked.extend(block);
        let (whole, rest) = self.unpacked.as_chunks::<PACKET_FRAMES>();
        let rest = rest.to_vec();
        let mut made = Vec::new();
        for pcm in whole {
            let mut packet = encoder.encode(pcm);
            if packet.is_err() {
                counters.encoder_errors += 1;
                encoder.reset();
                packet = encoder.encode(&[[0.0; 2]; PACKET_FRAMES]);
            }
            let time = self.packets * PACKET_FRAMES as i64 - i64::from(encoder.delay());
            self.packets += 1;
            let packet = packet.ok().filter(|_| time >= 0);
            made.extend(packet.map(|data| sample(Sample::OPUS, time, data)));
        }
        self.unpacked = rest;
        made
    }

    /// The encoder fails again and again.
    pub fn is_broken(&self) -> bool {
        self.errors_in_a_row > ENCODER_ERRORS_MAX
    }

    /// Everybody's sound from `time` on, levelled, in one.
    fn sum(
        &mut self,
        time: i64,
        clocks: &MemberClocks,
        counters: &mut Counters,
    ) -> [Stereo; ACCESS_UNIT_FRAMES] {
        let mut mix = [[0.0f32; 2]; ACCESS_UNIT_FRAMES];
        let silent_clock = MemberClock::default();
        let (mut all, mut most) = (0.0, 0.0f64);
        for speaker in self.speakers.values_mut() {
            let member = clocks.get(&speaker.member).unwrap_or(&silent_clock);
            if speaker.sounds {
                speaker.block.fill([0.0; 2]);
            }
            let block = speaker.block.as_mut_slice();
            speaker.sounds = speaker.voice.mix(time, member, block, counters);
            match speaker.sounds {
                true => speaker.leveller.hear(block),
                false => speaker.leveller.pause(),
            }
            all += speaker.leveller.taken();
            most = most.max(speaker.leveller.taken());
        }
        for speaker in self.speakers.values_mut().filter(|speaker| speaker.sounds) {
            let share = share(speaker.leveller.taken(), all, most);
            let block = speaker.block.as_slice();
            speaker.leveller.add(share, block, &mut mix);
        }
        mix
    }

    fn encode(
        &mut self,
        block: &[Stereo; ACCESS_UNIT_FRAMES],
        counters: &mut Counters,
    ) -> Option<Bytes> {
        let encoder = &mut self.codecs.encoder;
        let mut made = encoder.encode(block);
        if made.is_err() {
            counters.encoder_errors += 1;
            encoder.reset();
            made = encoder.encode(&[[0.0; 2]; ACCESS_UNIT_FRAMES]);
        }
        if made.is_err() {
            encoder.reset();
            self.errors_in_a_row += 1;
            return None;
        }
        self.errors_in_a_row = 0;
        made.ok()
    }
}

fn sample(rung: u8, time: i64, data: Bytes) -> Sample {
    Sample {
        kind: MediaKind::Audio,
        rung,
        time: MediaTime::new(time, SAMPLE_RATE),
        key: true,
        cut: false,
        data,
    }
}
