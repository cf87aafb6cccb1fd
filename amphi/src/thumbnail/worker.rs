//! `amphi thumbnail-worker`: the process that makes thumbnails of coded pictures, and can do nothing else.
//!
//! It is started by the server with its end of a Unix socket as standard input, and ends when the other end does.

use amphi_media::Codec;
use amphi_mux::thumbnail_size;
use amphi_studio::canvas::{Canvas, Colour, Picture, Scaler};
use amphi_studio::layout::Area;
use anyhow::Context;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::{Answer, Made, Wanted};
use crate::compose::sandbox;
use crate::compose::wire::{self, Reader};
use crate::compose::worker::socket;

/// Of JPEG, from 1 to 100: some 8 kB for a camera's picture.
const QUALITY: u8 = 75;

/// Until the server has gone.
pub fn run() -> anyhow::Result<()> {
    let mut socket = socket()?;
    if let Err(unfiltered) =
        sandbox::enter(sandbox::FILES).context("giving up what is not needed")?
    {
        eprintln!("amphi: {unfiltered}");
    }
    let mut reader = Reader::default();
    while reader.fill(&mut socket)? {
        while let Some(Wanted { picture }) = reader.next_message()? {
            let answer = match thumbnail(&picture) {
                Ok(made) => Answer::Made(made),
                Err(reason) => Answer::Refused(reason),
            };
            wire::write(&mut socket, &answer)?;
        }
    }
    Ok(())
}

/// Of one key frame of H.264. Each has a decoder of its own, so that none has a say in another's.
fn thumbnail(coded: &[u8]) -> Result<Made, String> {
    let mut decoder = video_codec::decoder(Codec::H264).map_err(|error| error.to_string())?;
    let mut made = None;
    decoder
        .decode(coded, &mut |picture| made = Some(small(picture)))
        .map_err(|error| error.to_string())?;
    made.unwrap_or_else(|| Err("no picture came of it".to_owned()))
}

fn small(picture: &Picture<'_>) -> Result<Made, String> {
    let size = thumbnail_size(picture.size());
    let mut canvas = Canvas::new(size, Colour::BLACK);
    let whole = Area::of(canvas.size());
    canvas.draw(
        picture,
        Area::of(picture.size()),
        whole,
        &mut Scaler::default(),
    );
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_optimized_huffman_tables(true);
    let side = |length: u32| u16::try_from(length).map_err(|_| "it is too large".to_owned());
    let (width, height) = (side(size.width)?, side(size.height)?);
    encoder
        .encode(&full_range(&canvas), width, height, ColorType::Ycbcr)
        .map_err(|error| error.to_string())?;
    Ok(Made {
        size,
        bytes: bytes.into(),
    })
}

/// Y, Cb and Cr of every pixel, as JPEG has them (JFIF: BT.601 in full range) from what pictures in calls have (the same in limited range).
fn full_range(canvas: &Canvas) -> Vec<u8> {
    let [luma, blue, red] = canvas.planes();
    let width = canvas.size().width as usize;
    let stretched = |value: u8, middle: i32, zero: i32, span: i32| {
        let value = (i32::from(value) - zero) * 255 + span / 2;
        (value.div_euclid(span) + middle).clamp(0, 255) as u8
    };
    let mut all = Vec::with_capacity(luma.len() * 3);
    for (index, &y) in luma.iter().enumerate() {
        let colour = index / width / 2 * (width / 2) + index % width / 2;
        all.push(stretched(y, 0, 16, 219));
        all.push(stretched(blue[colour], 128, 128, 224));
        all.push(stretched(red[colour], 128, 128, 224));
    }
    all
}

#[cfg(test)]
mod tests {
    use amphi_media::VideoSize;

    use super::*;

    #[test]
    fn limited_range_becomes_full_range() {
        for (limited, full) in [
            (Colour::BLACK, [0, 128, 128]),
            (Colour::of_rgb(255, 255, 255), [255, 128, 128]),
            // JFIF's of pure red and blue.
            (Colour::of_rgb(255, 0, 0), [76, 85, 255]),
            (Colour::of_rgb(0, 0, 255), [29, 255, 107]),
        ] {
            let canvas = Canvas::new(VideoSize::new(4, 2), limited);
            let all = full_range(&canvas);
            assert_eq!(all.len(), 4 * 2 * 3);
            for pixel in all.chunks_exact(3) {
                let near = |(one, other): (&u8, u8)| one.abs_diff(other) <= 2;
                assert!(pixel.iter().zip(full).all(near), "{pixel:?} {full:?}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_in_words() {
        for coded in [&b""[..], b"\0\0\0\x01\x65", b"nonsense", &[0; 4096]] {
            assert!(!thumbnail(coded).expect_err("no picture").is_empty());
        }
    }
}
