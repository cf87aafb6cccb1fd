//! The composed picture, encoded at every size of the ladder.

use amphi_media::{MediaKind, MediaTime, Sample};

use super::{Look, Output, RUNGS_MAX, Rung};
use crate::canvas::{Canvas, Colour, Scaler};
use crate::layout::Area;
use crate::{Counters, EncoderConfig, VideoEncoder, VideoEncoders};

/// After so many pictures in a row that could not be made the encoder is given up.
const ENCODER_ERRORS_MAX: u32 = 60;

pub const TICKS: u32 = 90_000;

/// All encoders of one look. Their key frames are of the same instants.
pub struct Ladder {
    rungs: Vec<Encoding>,
}

/// Which picture it is that is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    pub at_us: i64,
    pub key: bool,
    /// The first of these encoders after others.
    pub cut: bool,
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
        Ok(Self { rungs })
    }

    /// One picture at every size. False when the top one did not come out.
    pub fn encode(
        &mut self,
        canvas: &Canvas,
        moment: Moment,
        scaler: &mut Scaler,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) -> bool {
        let Moment { at_us, key, cut } = moment;
        let time = MediaTime::new(at_us, 1_000_000).rescale(TICKS);
        let mut top_came_out = false;
        let mut above = canvas;
        for (rung, encoding) in (0u8..).zip(&mut self.rungs) {
            if let Some(smaller) = &mut encoding.smaller {
                let (from, into) = (Area::of(above.size()), Area::of(smaller.size()));
                if let Some(picture) = above.picture() {
                    smaller.draw(&picture, from, into, scaler);
                }
            }
            let picture = encoding.smaller.as_ref().unwrap_or(canvas);
            match encoding.encoder.encode(picture, time, key) {
                Ok(Some(data)) => {
                    encoding.errors_in_a_row = 0;
                    counters.pictures += u64::from(rung == 0);
                    top_came_out |= rung == 0;
                    out.extend([Output::Sample(Sample {
                        kind: MediaKind::Video,
                        rung,
                        time,
                        key,
                        cut,
                        data,
                    })]);
                }
                Ok(None) => {}
                Err(_) => {
                    counters.encoder_errors += 1;
                    encoding.errors_in_a_row += 1;
                }
            }
            above = picture;
        }
        top_came_out
    }

    /// The top encoder fails again and again.
    pub fn is_broken(&self) -> bool {
        self.rungs
            .first()
            .is_none_or(|top| top.errors_in_a_row >= ENCODER_ERRORS_MAX)
    }
}
