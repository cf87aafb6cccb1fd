//! The sound of a program, once for each of its codings: it follows the segments that the picture decides, and where there is none AAC
//! decides them.

use std::collections::VecDeque;

use amphi_media::{MediaTime, Sample};
use bytes::Bytes;

use super::captions::Written;
use super::{
    AUDIO_RATE, AUDIO_UNIT_TICKS, Boundary, Entry, Filled, Output, PATIENCE_TICKS_MAX,
    PATIENCE_TICKS_MIN, Packager, Part, PartSample, Rendition, SAMPLE_BYTES_MAX, Span, State,
    VIDEO_RATE, init, ticks,
};

/// Sound that waits for the picture's segments to be decided: 10 s. It is a second when all is well.
const AUDIO_HELD_MAX: usize = 480;

/// One coding of the sound.
pub(super) struct Audio {
    pub rendition: Rendition,
    pub init: Entry,
    /// How long one sample of it lasts, in ticks of the sound.
    pub unit: i64,
    /// Segments that the picture has begun and this has not.
    pub boundaries: VecDeque<Boundary>,
    pub queue: VecDeque<Sample>,
    pub segment: Boundary,
    pub part: Vec<PartSample>,
    /// In ticks of the sound, as `next`.
    pub part_start: i64,
    pub part_index: u32,
    /// When the next access unit is due; nothing was packed before the first.
    pub next: Option<i64>,
    /// What begins before is not part of the program.
    pub floor: i64,
}

impl Audio {
    pub fn new(rendition: Rendition, init: Entry, unit: i64) -> Self {
        Self {
            rendition,
            init,
            unit,
            boundaries: VecDeque::new(),
            queue: VecDeque::new(),
            segment: Boundary {
                time: 0,
                sequence: 0,
                generation: 0,
                cut: false,
            },
            part: Vec::new(),
            part_start: 0,
            part_index: 0,
            next: None,
            floor: 0,
        }
    }
}

impl Packager {
    pub(super) fn aac(&self) -> &Audio {
        &self.sounds[0]
    }

    pub(super) fn push_audio(&mut self, sample: &Sample) {
        if !self.queue_sound(0, sample) {
            return;
        }
        let end = sample.time.rescale(AUDIO_RATE).ticks + AUDIO_UNIT_TICKS;
        self.clock = Some(
            MediaTime::new(end, AUDIO_RATE)
                .rescale(VIDEO_RATE)
                .ticks
                .max(self.clock.unwrap_or(0)),
        );
        match self.state {
            State::Waiting => {
                let first = self
                    .aac()
                    .queue
                    .front()
                    .map_or(end, |first| first.time.rescale(AUDIO_RATE).ticks);
                if MediaTime::new(end - first, AUDIO_RATE).to_duration() >= self.config.video_wait {
                    self.start_without_picture();
                }
            }
            State::Running | State::Ended => {
                self.hold_picture();
                self.advance_followers();
            }
        }
        self.pack_audio();
    }

    /// It follows the segments that picture and AAC have, and decides nothing.
    pub(super) fn push_opus(&mut self, sample: &Sample) {
        if self.sounds.len() > 1 && self.queue_sound(1, sample) {
            self.pack_audio();
        }
    }

    /// False when it is nothing that can be packed; the programme clock begins at zero.
    fn queue_sound(&mut self, of: usize, sample: &Sample) -> bool {
        let size = sample.data.len();
        if size == 0 || size > SAMPLE_BYTES_MAX || sample.time.ticks < 0 {
            self.counters.sound_dropped += 1;
            return false;
        }
        let queue = &mut self.sounds[of].queue;
        if queue.len() == AUDIO_HELD_MAX {
            queue.pop_front();
            self.counters.sound_dropped += 1;
        }
        queue.push_back(sample.clone());
        true
    }

    pub(super) fn start_without_picture(&mut self) {
        self.state = State::Running;
        let first = self
            .aac()
            .queue
            .front()
            .map_or(0, |first| first.time.rescale(AUDIO_RATE).ticks);
        let segment = Boundary {
            time: MediaTime::new(first, AUDIO_RATE).rescale(VIDEO_RATE).ticks,
            sequence: 0,
            generation: 0,
            cut: false,
        };
        self.begin_sounds(segment, first);
    }

    pub(super) fn begin_sounds(&mut self, segment: Boundary, floor: i64) {
        for sound in &mut self.sounds {
            sound.segment = segment;
            sound.floor = floor;
            self.outputs
                .push_back(Output::Init(init(sound.rendition, 0, &sound.init)));
        }
    }

    /// Sound has gone on and the picture has not: close the parts that it is late for.
    fn hold_picture(&mut self) {
        let Some(clock) = self.clock else { return };
        let patience = self.lag.clamp(PATIENCE_TICKS_MIN, PATIENCE_TICKS_MAX);
        while self
            .video
            .as_ref()
            .is_some_and(|video| video.part_start + self.part_target + patience <= clock)
        {
            self.fill_part();
        }
    }

    /// Packs the sound for which it is decided in which segment it is.
    pub(super) fn pack_audio(&mut self) {
        if self.state == State::Waiting {
            return;
        }
        for of in 0..self.sounds.len() {
            self.pack_sound(of);
        }
    }

    fn pack_sound(&mut self, of: usize) {
        while let Some(unit) = self.sounds[of].queue.front() {
            let time = unit.time.rescale(AUDIO_RATE).ticks;
            let on_picture_clock = MediaTime::new(time, AUDIO_RATE).rescale(VIDEO_RATE).ticks;
            let decided = match &self.video {
                // A segment can still begin at the held-back picture, and after it.
                Some(video) => {
                    self.state == State::Ended || on_picture_clock < video.rung.pending.time
                }
                // Without a picture AAC says where segments begin.
                None => {
                    let aac = self.aac().next;
                    of == 0 || self.state == State::Ended || aac.is_some_and(|next| time < next)
                }
            };
            if !decided {
                return;
            }
            let sound = &mut self.sounds[of];
            let unit = sound.queue.pop_front().expect("it was at the front");
            let half = sound.unit / 2;
            if time < sound.next.map_or(sound.floor, |next| next - half) {
                self.counters.sound_dropped += 1;
                continue;
            }
            let hole = sound.next.is_none_or(|next| time - next > half);
            self.follow_boundaries(of, on_picture_clock, hole);
            self.pack_unit(of, unit.data, time);
        }
    }

    fn follow_boundaries(&mut self, of: usize, time: i64, hole: bool) {
        let sound = &self.sounds[of];
        let over = time - sound.segment.time >= ticks(self.config.segment_target);
        if of == 0 && self.video.is_none() && sound.boundaries.is_empty() && over {
            self.begin_segment(time, false);
        }
        loop {
            let sound = &mut self.sounds[of];
            let boundary = sound.boundaries.front().copied();
            let Some(boundary) = boundary.filter(|boundary| boundary.time <= time) else {
                return;
            };
            // The sound's segment ends up to as much later than the picture's, unless there is no sound to be had.
            let units = i64::try_from(sound.part.len()).expect("a part is short");
            let length = MediaTime::new(units * sound.unit, AUDIO_RATE).rescale(VIDEO_RATE);
            if !hole && length.ticks < self.last_part_min {
                return;
            }
            sound.boundaries.pop_front();
            self.close_audio_part(of, true);
            let sound = &mut self.sounds[of];
            sound.segment = boundary;
            sound.part_index = 0;
            if boundary.cut {
                let init = init(sound.rendition, boundary.generation, &sound.init);
                self.outputs.push_back(Output::Init(init));
            }
        }
    }

    fn pack_unit(&mut self, of: usize, data: Bytes, time: i64) {
        let sound = &self.sounds[of];
        let due = sound.next.unwrap_or(time);
        let hole = time - due > sound.unit / 2;
        // `part_target` is in ticks of the picture.
        let length = MediaTime::new(due + sound.unit - sound.part_start, AUDIO_RATE);
        if hole || length.rescale(VIDEO_RATE).ticks > self.part_target {
            self.close_audio_part(of, false);
        }
        self.counters.sound_holes += u64::from(hole);
        let start = if hole { time } else { due };
        let sound = &mut self.sounds[of];
        if sound.part.is_empty() {
            sound.part_start = start;
        }
        sound.part.push(PartSample {
            data,
            duration: u32::try_from(sound.unit).expect("1,024 and less fits"),
            key: true,
        });
        sound.next = Some(start + sound.unit);
    }

    /// What is to be read during a part of the sound.
    fn put_out_captions(&mut self, span: Span) {
        let Some(Written {
            bytes,
            begin,
            shown,
        }) = self.captions.part(&span)
        else {
            return;
        };
        self.counters.parts += 1;
        self.counters.segments += u64::from(span.ends_segment);
        self.counters.bytes += bytes.len() as u64;
        let time = |ticks| MediaTime::new(ticks, AUDIO_RATE);
        self.outputs.push_back(Output::Part(Part {
            rendition: Rendition::Captions,
            generation: span.segment.generation,
            sequence: span.segment.sequence,
            index: span.index,
            time: time(span.start),
            duration: time(span.end - span.start),
            bytes,
            independent: true,
            discontinuity: span.segment.cut && span.index == 0,
            ends_segment: span.ends_segment,
            frames: begin,
            shown,
        }));
    }

    pub(super) fn close_audio_part(&mut self, of: usize, ends_segment: bool) {
        let sound = &mut self.sounds[of];
        if sound.part.is_empty() {
            return;
        }
        let samples = std::mem::take(&mut sound.part);
        let start = sound.part_start;
        let end = start + i64::try_from(samples.len()).expect("a part is short") * sound.unit;
        let span = Span {
            segment: sound.segment,
            index: sound.part_index,
            start,
            end,
            from: start,
            until: end,
            ends_segment,
        };
        sound.part_index += 1;
        let rendition = sound.rendition;
        let frames = u32::try_from(samples.len()).expect("a part holds some 16 of them");
        self.put_out(rendition, span, Filled { samples, frames });
        if of == 0 {
            self.put_out_captions(span);
        }
    }
}
