//! What composing costs on this machine, measured before anybody goes on air: four cameras of moving pictures, in virtual time.

use amphi_media::{
    Bitrate, Codec, Layout, MediaKind, MediaTime, MemberId, Source, TrackId, VideoSize,
};
use amphi_studio::canvas::{Canvas, Colour};
use amphi_studio::composer::{Composer, Described, Input, Look, Output};
use amphi_studio::cost::Step;
use amphi_studio::layout::Area;
use amphi_studio::{CodecError, Encoded, EncoderConfig, VideoEncoder};
use bytes::Bytes;

use super::lettering::Letters;
use crate::codec::trial::used_us;

const MEMBERS: u32 = 4;
const LAYER: VideoSize = VideoSize {
    width: 640,
    height: 360,
};
const LAYER_BITRATE: Bitrate = Bitrate(500_000);

/// Until everybody has a cell. It is not measured.
const BEGIN_US: i64 = 500_000;
/// How much is composed.
const FILM_US: i64 = 1_000_000;
/// How often the cameras take a picture.
const CAMERA_PER_SECOND: u32 = 30;

/// A camera's pictures, coded; the first is a key frame.
pub struct Film(Vec<Bytes>);

impl Film {
    /// One second in which everything moves.
    pub fn make() -> Result<Self, CodecError> {
        let mut encoder = video_codec::H264Encoder::new(&EncoderConfig {
            size: LAYER,
            frames_per_second: CAMERA_PER_SECOND,
            bitrate: LAYER_BITRATE,
        })?;
        let mut canvas = Canvas::new(LAYER, Colour::BLACK);
        let pictures = (0..CAMERA_PER_SECOND).map(|picture| {
            for tile in 0..144 {
                let area = Area {
                    x: tile % 16 * 40,
                    y: tile / 16 * 40,
                    width: 40,
                    height: 40,
                };
                let shade = (tile * 37 + picture * 5) as u8;
                canvas.fill(area, Colour::of_rgb(shade, shade / 2 + 60, 255 - shade));
            }
            let time = MediaTime::new(i64::from(picture), CAMERA_PER_SECOND);
            match encoder.encode(&canvas, time, picture == 0)? {
                Encoded::Now(coded) => Ok(coded.data),
                Encoded::Later | Encoded::LeftOut => {
                    Err(CodecError("a picture was left out".to_owned()))
                }
            }
        });
        Ok(Self(pictures.collect::<Result<_, _>>()?))
    }
}

/// The share of one core that composing four cameras takes at this step.
pub fn share(film: &Film, step: &Step) -> Result<f32, CodecError> {
    let mut composer = Composer::new(video_codec::video_codecs(), Box::new(Letters::load()));
    let mut pictures = 0;
    let mut tell = |now_us: i64, input: Input, composer: &mut Composer| {
        composer.handle_input(now_us, input);
        while let Some(output) = composer.poll_output() {
            match output {
                Output::Sample(sample) => pictures += usize::from(sample.rung == 0),
                Output::Failed { reason } => return Err(CodecError(reason)),
                Output::NeedKeyFrame { .. } | Output::Wanted { .. } => {}
            }
        }
        Ok(())
    };
    let look = Look {
        title: String::new(),
        logo: None,
        layout: Layout::Grid,
        frames_per_second: step.frames_per_second,
        rungs: step.rungs.clone(),
    };
    tell(0, Input::Look(look), &mut composer)?;
    for member in 0..MEMBERS {
        let track = Described {
            track: TrackId(member),
            member: MemberId(u64::from(member)),
            name: format!("Camera {member}"),
            kind: MediaKind::Video,
            source: Source::Camera,
            muted: false,
        };
        tell(0, Input::Track(track), &mut composer)?;
    }
    let mut began_us = 0;
    let film_at =
        |picture: usize| BEGIN_US + picture as i64 * 1_000_000 / i64::from(CAMERA_PER_SECOND);
    // The first picture shows that there is a camera, and gets it a cell.
    let times = std::iter::once((0, 0)).chain((0..film.0.len()).map(|at| (film_at(at), at)));
    for (number, (time_us, picture)) in times.enumerate() {
        catch_up(&mut composer, time_us, &mut tell)?;
        if number == 1 {
            began_us = used_us();
        }
        for member in 0..MEMBERS {
            let frame = Input::Frame {
                track: TrackId(member),
                codec: Codec::H264,
                time_us,
                key: picture == 0,
                contiguous: true,
                data: film.0[picture].clone(),
            };
            tell(time_us, frame, &mut composer)?;
        }
    }
    catch_up(&mut composer, BEGIN_US + FILM_US + 200_000, &mut tell)?;
    let used_us = used_us() - began_us;
    let counters = composer.counters();
    if counters.decoder_errors + counters.encoder_errors > 0 || pictures == 0 {
        return Err(CodecError(format!(
            "the codecs refuse their own pictures: {counters:?}"
        )));
    }
    Ok(used_us as f32 / FILM_US as f32)
}

fn catch_up(
    composer: &mut Composer,
    until_us: i64,
    tell: &mut impl FnMut(i64, Input, &mut Composer) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    while let Some(at) = composer.poll_timeout().filter(|at| *at <= until_us) {
        tell(at, Input::Timeout, composer)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use amphi_studio::composer::Rung;

    use super::*;

    #[test]
    fn a_larger_picture_costs_more() {
        let film = Film::make().expect("the encoder works");
        let step = |width, height| Step {
            frames_per_second: 30,
            rungs: vec![Rung {
                size: VideoSize::new(width, height),
                bitrate: Bitrate(1_000_000),
            }],
        };
        let share = |step: Step| share(&film, &step).expect("composed");
        let (large, small) = (share(step(1920, 1080)), share(step(320, 180)));
        assert!(small > 0.0 && large > 2.0 * small, "{large} {small}");
    }
}
