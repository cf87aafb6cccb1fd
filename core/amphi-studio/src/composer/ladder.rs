//! The composed picture, encoded at every size of the ladder.

use std::collections::VecDeque;

use amphi_media::{MediaKind, MediaTime, Sample};

use super::{Look, Output, RUNGS_MAX, Rung};
use crate::canvas::{Canvas, Colour, Scaler};
use crate::layout::Area;
use crate::{Coded, Counters, Encoded, EncoderConfig, VideoEncoder, VideoEncoders};

/// After so many pictures in a row that could not be made the encoder is given up.
const ENCODER_ERRORS_MAX: u32 = 60;

/// Pictures that wait for an encoder that gives them later. Beyond it, pictures are left out: a quarter of a second of them is as
/// much as sound and picture may be apart.
const LATER_MAX: usize = 8;

pub const TICKS: u32 = 90_000;

/// All encoders of one look. Their key frames are of the same instants, and what they make of one instant comes out together,
/// whichever of them is the last to have it.
pub struct Ladder {
    rungs: Vec<Encoding>,
    /// Instants that are not whole yet, in order. Empty between two of them where all encoders are as prompt as one could wish.
    waiting: VecDeque<Instant>,
    /// Instants that were left out since one came out.
    left_out: u64,
    broken: bool,
    /// From one instant to the next, in [`TICKS`].
    apart: i64,
}

/// Which picture it is that is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    pub at_us: i64,
    pub key: bool,
    /// The first of these encoders after others.
    pub cut: bool,
    /// The picture before once more, so that an encoder lets go of that.
    pub repeated: bool,
}

/// What an instant became, at every rung.
struct Instant {
    /// As the encoders know it.
    time: MediaTime,
    /// As it is given out.
    shown: MediaTime,
    cut: bool,
    repeated: bool,
    slots: Vec<Slot>,
}

enum Slot {
    Waits,
    Came(Coded),
    /// The encoder left it out, or failed.
    Nothing,
}

struct Encoding {
    encoder: Box<dyn VideoEncoder>,
    /// None for the top rung, which is encoded from the canvas itself.
    smaller: Option<Canvas>,
    errors_in_a_row: u32,
}

impl Ladder {
    /// An error in words when an encoder cannot be made.
    pub fn new(look: &Look, encoders: &mut VideoEncoders) -> Result<Self, String> {
        let rungs = look
            .rungs
            .iter()
            .take(RUNGS_MAX)
            .enumerate()
            .map(|(index, rung)| {
                let Rung { size, bitrate } = *rung;
                let config = EncoderConfig {
                    size,
                    frames_per_second: look.frames_per_second,
                    bitrate,
                };
                Ok(Encoding {
                    encoder: encoders(&config).map_err(|error| {
                        format!(
                            "The picture cannot be encoded at {}x{}: {error}",
                            size.width, size.height
                        )
                    })?,
                    smaller: (index > 0).then(|| Canvas::new(size, Colour::BLACK)),
                    errors_in_a_row: 0,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self {
            rungs,
            waiting: VecDeque::new(),
            left_out: 0,
            broken: false,
            apart: i64::from(TICKS / look.frames_per_second.clamp(1, 60)),
        })
    }

    /// Ends its encoders. What was inside of them is lost.
    pub fn end(&mut self) {
        self.rungs.clear();
        self.waiting.clear();
    }

    /// One picture at every size. False when the top encoder did not take it.
    pub fn encode(
        &mut self,
        canvas: &Canvas,
        moment: Moment,
        scaler: &mut Scaler,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) -> bool {
        self.collect(counters, out);
        if self.broken || self.waiting.len() >= LATER_MAX {
            self.left_out += 1;
            return false;
        }
        let Moment {
            at_us,
            key,
            cut,
            repeated,
        } = moment;
        let time = MediaTime::new(at_us, 1_000_000).rescale(TICKS);
        self.move_repeated_up_to(time);
        let mut slots = Vec::with_capacity(self.rungs.len());
        let mut above = canvas;
        for encoding in &mut self.rungs {
            if let Some(smaller) = &mut encoding.smaller {
                let (from, into) = (Area::of(above.size()), Area::of(smaller.size()));
                if let Some(picture) = above.picture() {
                    smaller.draw(&picture, from, into, scaler);
                }
            }
            let picture = encoding.smaller.as_ref().unwrap_or(canvas);
            slots.push(match encoding.encoder.encode(picture, time, key) {
                Ok(encoded) => {
                    encoding.errors_in_a_row = 0;
                    match encoded {
                        Encoded::Now(coded) => Slot::Came(coded),
                        Encoded::Later => Slot::Waits,
                        Encoded::LeftOut => Slot::Nothing,
                    }
                }
                Err(_) => {
                    counters.encoder_errors += 1;
                    encoding.errors_in_a_row += 1;
                    Slot::Nothing
                }
            });
            above = picture;
        }
        let taken = !matches!(slots.first(), Some(Slot::Nothing) | None);
        self.waiting.push_back(Instant {
            time,
            shown: time,
            cut,
            repeated,
            slots,
        });
        self.collect(counters, out);
        taken
    }

    /// An encoder that keeps pictures lets go of repeated ones only when the next ones come, and that may be long after. They are
    /// shown right before those: nobody sees a difference, and nothing comes out late.
    fn move_repeated_up_to(&mut self, next: MediaTime) {
        let mut ticks = next.ticks;
        for instant in self.waiting.iter_mut().rev() {
            ticks -= self.apart;
            if !instant.repeated {
                return;
            }
            instant.shown.ticks = instant.shown.ticks.max(ticks);
        }
    }

    /// Gives out what has come of the encoders since.
    pub fn collect(&mut self, counters: &mut Counters, out: &mut impl Extend<Output>) {
        for (rung, encoding) in self.rungs.iter_mut().enumerate() {
            loop {
                match encoding.encoder.poll() {
                    Ok(None) => break,
                    Ok(Some(coded)) => {
                        let slot = (self.waiting.iter_mut())
                            .find(|instant| instant.time == coded.time)
                            .and_then(|instant| instant.slots.get_mut(rung));
                        if let Some(slot @ Slot::Waits) = slot {
                            *slot = Slot::Came(coded);
                        }
                    }
                    Err(_) => {
                        counters.encoder_errors += u64::from(!self.broken);
                        self.broken = true;
                        break;
                    }
                }
            }
        }
        while self.waiting.front().is_some_and(Instant::is_whole)
            && let Some(instant) = self.waiting.pop_front()
        {
            // Who is slow gives something out now and then. One that hangs, or only begins, is not slow, and making less would not
            // help it: what is left out because of that is told all at once.
            counters.ticks_left_out += std::mem::take(&mut self.left_out);
            for (rung, slot) in (0u8..).zip(instant.slots) {
                let Slot::Came(Coded { key, data, .. }) = slot else {
                    continue;
                };
                counters.pictures += u64::from(rung == 0);
                out.extend([Output::Sample(Sample {
                    kind: MediaKind::Video,
                    rung,
                    time: instant.shown,
                    key,
                    cut: instant.cut,
                    data,
                })]);
            }
        }
    }

    /// Pictures that are not repeated ones are still inside of an encoder: some only let go of one when the next one comes.
    pub fn owes(&self) -> bool {
        self.waiting.iter().any(|instant| !instant.repeated)
    }

    /// An encoder broke: all are to be made anew. What was inside of them is lost.
    pub fn must_be_replaced(&self) -> bool {
        self.broken
    }

    /// Instants that were left out and are not in the counters yet.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The top encoder fails again and again.
    pub fn is_broken(&self) -> bool {
        self.rungs
            .first()
            .is_none_or(|top| top.errors_in_a_row >= ENCODER_ERRORS_MAX)
    }
}

impl Instant {
    fn is_whole(&self) -> bool {
        !(self.slots.iter()).any(|slot| matches!(slot, Slot::Waits))
    }
}
