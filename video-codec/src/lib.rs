//! The picture's codecs, each a library behind a trait of `amphi-studio`: H.264 by openh264, VP8 and VP9 by libvpx,
//! AV1 by rav1d.
//!
//! They decode what strangers send. Whoever uses this runs it in a process that may do nothing else (`amphi program-worker`); here
//! it is only seen to that what is refused is refused in words and that nothing is larger than [`PIXELS_MAX`].

mod av1;
mod h264;
mod vpx;

use amphi_media::Codec;
use amphi_studio::canvas::Picture;
use amphi_studio::{CodecError, VideoCodecs, VideoDecoder};

pub use av1::Av1Decoder;
pub use h264::{H264Decoder, H264Encoder};
pub use vpx::VpxDecoder;

/// Pictures with more pixels are refused: 4096 × 2304, somewhat above 4K.
pub const PIXELS_MAX: u32 = 4096 * 2304;

/// The codecs of one composed program.
pub fn video_codecs() -> VideoCodecs {
    VideoCodecs {
        encoders: Box::new(|config| Ok(Box::new(H264Encoder::new(config)?))),
        decoders: Box::new(decoder),
    }
}

/// A decoder for one track.
pub fn decoder(codec: Codec) -> Result<Box<dyn VideoDecoder>, CodecError> {
    match codec {
        Codec::H264 => Ok(Box::new(H264Decoder::new()?)),
        Codec::Vp8 => Ok(Box::new(VpxDecoder::vp8()?)),
        Codec::Vp9 => Ok(Box::new(VpxDecoder::vp9()?)),
        Codec::Av1 => Ok(Box::new(Av1Decoder::new()?)),
        Codec::Opus | Codec::Aac => Err(CodecError(format!(
            "there is no decoder for {}",
            codec.name()
        ))),
    }
}

/// A decoder's picture as slices, if it is what its size says.
///
/// # Safety
/// Each plane has at least `stride × (height − 1) + width` readable bytes (half of both, rounded up, for the colour planes) while
/// the result lives.
unsafe fn picture<'a>(
    size: amphi_media::VideoSize,
    planes: [*const u8; 3],
    strides: [usize; 3],
) -> Option<Picture<'a>> {
    let (width, height) = (size.width as usize, size.height as usize);
    if width == 0 || height == 0 || planes.iter().any(|plane| plane.is_null()) {
        return None;
    }
    let plane = |index: usize| {
        let shift = usize::from(index > 0);
        let (width, height) = ((width + shift) >> shift, (height + shift) >> shift);
        let stride = strides[index];
        if stride < width {
            return None;
        }
        // SAFETY: the caller says that so many bytes are there.
        Some(unsafe { std::slice::from_raw_parts(planes[index], stride * (height - 1) + width) })
    };
    Picture::new(size, [plane(0)?, plane(1)?, plane(2)?], strides)
}
