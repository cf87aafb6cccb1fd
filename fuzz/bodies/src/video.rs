//! Decoders of pictures, of which the largest part is not ours: whatever comes, a decoder answers with an error or with a picture
//! that is what its size says.

use amphi_media::{Codec, VideoSize};
use amphi_studio::canvas::{Canvas, Colour, Scaler};
use amphi_studio::layout::Area;

/// More only cost time.
const FRAMES_MAX: usize = 16;

pub fn decode_h264(bytes: &[u8]) {
    decode(Codec::H264, bytes);
}

pub fn decode_vp8(bytes: &[u8]) {
    decode(Codec::Vp8, bytes);
}

pub fn decode_vp9(bytes: &[u8]) {
    decode(Codec::Vp9, bytes);
}

pub fn decode_av1(bytes: &[u8]) {
    decode(Codec::Av1, bytes);
}

/// Frames one after the other, each behind its length (two bytes, big endian).
fn decode(codec: Codec, mut bytes: &[u8]) {
    let mut decoder = video_codec::decoder(codec).expect("it is bundled");
    for _ in 0..FRAMES_MAX {
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return;
        };
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        bytes = rest;
        let mut shown = 0;
        let decoded = decoder.decode(frame, &mut |picture| {
            shown += 1;
            let size = picture.size();
            assert!(size.width > 0 && size.height > 0);
            assert!(size.pixels() <= u64::from(video_codec::PIXELS_MAX));
            // Reads every sample of it.
            let mut canvas = Canvas::new(VideoSize::new(32, 32), Colour::BLACK);
            let whole = Area::of(size);
            canvas.draw(
                picture,
                whole,
                Area::of(canvas.size()),
                &mut Scaler::default(),
            );
        });
        assert!(decoded.is_ok() || shown == 0, "a picture and an error");
    }
}
