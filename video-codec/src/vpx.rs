//! VP8 (RFC 6386) and VP9 by libvpx.

use std::ffi::{c_int, c_uint};
use std::ptr::NonNull;

use amphi_media::VideoSize;
use amphi_studio::canvas::Picture;
use amphi_studio::{CodecError, VideoDecoder};

use crate::PIXELS_MAX;

/// libvpx's context; only pointers to it are known here.
#[repr(C)]
struct Context {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Planes {
    planes: [*const u8; 3],
    strides: [u32; 3],
    width: u32,
    height: u32,
}

unsafe extern "C" {
    fn amphi_vpx_open(is_vp9: c_int, pixels_max: u32) -> *mut Context;
    fn amphi_vpx_close(decoder: *mut Context);
    fn amphi_vpx_decode(
        decoder: *mut Context,
        data: *const u8,
        size: c_uint,
        picture: *mut Planes,
    ) -> c_int;
}

/// Decodes one track of VP8 or VP9, profile 0.
pub struct VpxDecoder {
    context: NonNull<Context>,
}

// SAFETY: libvpx keeps nothing that belongs to a thread; with one thread of its own at most, none of its own either.
unsafe impl Send for VpxDecoder {}

impl VpxDecoder {
    pub fn vp8() -> Result<Self, CodecError> {
        Self::open(false)
    }

    pub fn vp9() -> Result<Self, CodecError> {
        Self::open(true)
    }

    fn open(is_vp9: bool) -> Result<Self, CodecError> {
        // SAFETY: it asks for nothing and gives a context or null.
        let context = unsafe { amphi_vpx_open(c_int::from(is_vp9), PIXELS_MAX) };
        let context = NonNull::new(context)
            .ok_or_else(|| CodecError("libvpx could not be started".to_owned()))?;
        Ok(Self { context })
    }
}

impl VideoDecoder for VpxDecoder {
    fn decode(
        &mut self,
        data: &[u8],
        show: &mut dyn FnMut(&Picture<'_>),
    ) -> Result<(), CodecError> {
        let size = c_uint::try_from(data.len())
            .ok()
            .filter(|size| *size > 0)
            .ok_or_else(|| CodecError("libvpx: no data, or too much".to_owned()))?;
        let mut planes = Planes {
            planes: [std::ptr::null(); 3],
            strides: [0; 3],
            width: 0,
            height: 0,
        };
        // SAFETY: the context is alive, the data has that size, and the planes may be written.
        let result =
            unsafe { amphi_vpx_decode(self.context.as_ptr(), data.as_ptr(), size, &mut planes) };
        match result {
            1 => {}
            0 => return Ok(()),
            -2 => return Err(CodecError("libvpx: not 8 bits 4:2:0".to_owned())),
            -3 => return Err(CodecError("libvpx: the picture is too large".to_owned())),
            _ => return Err(CodecError("libvpx refused a frame".to_owned())),
        }
        let size = VideoSize::new(planes.width, planes.height);
        if size.pixels() > u64::from(PIXELS_MAX) {
            return Err(CodecError("libvpx: the picture is too large".to_owned()));
        }
        let strides = planes.strides.map(|stride| stride as usize);
        // SAFETY: libvpx's images have strides and planes for their displayed size, and last until the next call, which needs
        // `&mut self`.
        let picture = unsafe { crate::picture(size, planes.planes, strides) }
            .ok_or_else(|| CodecError("libvpx: a picture without planes".to_owned()))?;
        show(&picture);
        Ok(())
    }
}

impl Drop for VpxDecoder {
    fn drop(&mut self) {
        // SAFETY: it was opened, and is closed once.
        unsafe { amphi_vpx_close(self.context.as_ptr()) }
    }
}
