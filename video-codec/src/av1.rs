//! AV1 by rav1d, which is dav1d in Rust. What it offers to others is dav1d's C interface, so this calls it as if it were C.

use std::ffi::{c_int, c_uint};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use amphi_media::{VideoSize, av1};
use amphi_studio::canvas::Picture;
use amphi_studio::{CodecError, VideoDecoder};
use re_rav1d::Dav1dResult;
use re_rav1d::include::dav1d::data::Dav1dData;
use re_rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dLogger, Dav1dSettings};
use re_rav1d::include::dav1d::headers::DAV1D_PIXEL_LAYOUT_I420;
use re_rav1d::include::dav1d::picture::Dav1dPicture;
use re_rav1d::src::lib::{
    dav1d_close, dav1d_data_create, dav1d_data_unref, dav1d_default_settings, dav1d_flush,
    dav1d_get_picture, dav1d_open, dav1d_picture_unref, dav1d_send_data,
};

use crate::PIXELS_MAX;

const OK: Dav1dResult = Dav1dResult(0);
const AGAIN: Dav1dResult = Dav1dResult(-libc::EAGAIN);
/// Said of a picture that is larger than the settings allow, before there is memory for it.
const TOO_LARGE: Dav1dResult = Dav1dResult(-libc::ERANGE);
/// Said of a depth that was not built in.
const TOO_DEEP: Dav1dResult = Dav1dResult(-libc::ENOPROTOOPT);

const SAYS_TOO_LARGE: &str = "rav1d: the picture is too large";
const SAYS_UNUSUAL: &str = "rav1d: not 8 bits 4:2:0";

/// Decodes one track of AV1, profile 0 with 8 bits, without film grain. Of several spatial layers the highest is shown.
///
/// What comes in at once is a temporal unit as RTP carries it: OBUs that have their sizes, with or without a temporal delimiter.
/// After one that was refused only a key frame helps.
pub struct Av1Decoder {
    context: Dav1dContext,
}

// SAFETY: the context is shared between threads of rav1d's own, where there are any; nothing of it belongs to the one that opened it.
unsafe impl Send for Av1Decoder {}

impl Av1Decoder {
    /// Starts no thread, and reads nothing but what the processor says of itself.
    pub fn new() -> Result<Self, CodecError> {
        let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: there is room for settings.
        unsafe { dav1d_default_settings(NonNull::from(&mut settings).cast()) };
        // SAFETY: they were just written.
        let mut settings = unsafe { settings.assume_init() };
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        // Film grain is noise that the encoder will not keep.
        settings.apply_grain = 0;
        settings.operating_point = 0;
        settings.all_layers = 0;
        settings.frame_size_limit = PIXELS_MAX as c_uint;
        // SAFETY: there is no function that could be called in the wrong way. Otherwise it writes to the standard error whatever a
        // stranger makes it say.
        settings.logger = unsafe { Dav1dLogger::new(None, None) };
        let mut context = None;
        // SAFETY: both live, and are what they should be.
        let opened = unsafe {
            dav1d_open(
                Some(NonNull::from(&mut context)),
                Some(NonNull::from(&mut settings)),
            )
        };
        let context = context
            .filter(|_| opened == OK)
            .ok_or_else(|| CodecError("rav1d could not be started".to_owned()))?;
        Ok(Self { context })
    }

    /// Sends one temporal unit.
    fn send(&mut self, unit: &[u8]) -> Dav1dResult {
        let mut data = Dav1dData::default();
        // SAFETY: the place lives.
        let bytes = unsafe { dav1d_data_create(Some(NonNull::from(&mut data)), unit.len()) };
        if bytes.is_null() {
            return Dav1dResult(-libc::ENOMEM);
        }
        // SAFETY: it was made for so many bytes, and nobody else has it.
        unsafe { std::ptr::copy_nonoverlapping(unit.as_ptr(), bytes, unit.len()) };
        // SAFETY: the context is open, and the data was made above.
        let sent = unsafe { dav1d_send_data(Some(self.context), Some(NonNull::from(&mut data))) };
        // SAFETY: it is what was made above, or empty because it was taken.
        unsafe { dav1d_data_unref(Some(NonNull::from(&mut data))) };
        sent
    }

    /// The newest picture of what was sent. None when nothing is to be shown.
    fn newest(&mut self) -> Result<Option<Held>, Dav1dResult> {
        let mut newest = None;
        loop {
            let mut next = Held(Dav1dPicture::default());
            // SAFETY: the context is open and the place lives.
            match unsafe { dav1d_get_picture(Some(self.context), Some(NonNull::from(&mut next.0))) }
            {
                OK => newest = Some(next),
                AGAIN => return Ok(newest),
                error => return Err(error),
            }
        }
    }
}

impl VideoDecoder for Av1Decoder {
    fn decode(
        &mut self,
        data: &[u8],
        show: &mut dyn FnMut(&Picture<'_>),
    ) -> Result<(), CodecError> {
        if data.is_empty() {
            return Err(CodecError("rav1d: no data".to_owned()));
        }
        let decoded = match said_beforehand(data).unwrap_or_else(|| self.send(data)) {
            OK => self.newest(),
            error => Err(error),
        };
        let shown = match decoded {
            Ok(None) => return Ok(()),
            Ok(Some(held)) => held.with_picture(show),
            Err(TOO_LARGE) => Err(SAYS_TOO_LARGE),
            Err(TOO_DEEP) => Err(SAYS_UNUSUAL),
            Err(_) => Err("rav1d refused a frame"),
        };
        shown.map_err(|reason| {
            // SAFETY: the context is open.
            unsafe { dav1d_flush(self.context) };
            CodecError(reason.to_owned())
        })
    }
}

/// What would be said of it anyway, before there is memory for anything.
fn said_beforehand(unit: &[u8]) -> Option<Dav1dResult> {
    let mut sequences = av1::obus(unit)
        .filter(|obu| obu.kind == av1::OBU_SEQUENCE_HEADER)
        .filter_map(|obu| av1::sequence_header(obu.payload));
    sequences.find_map(|sequence| {
        if !sequence.is_usual() {
            return Some(TOO_DEEP);
        }
        (sequence.size.pixels() > u64::from(PIXELS_MAX)).then_some(TOO_LARGE)
    })
}

impl Drop for Av1Decoder {
    fn drop(&mut self) {
        let mut context = Some(self.context);
        // SAFETY: it was opened, and is closed once. Pictures that are still held keep what they need.
        unsafe { dav1d_close(Some(NonNull::from(&mut context))) }
    }
}

/// A picture of rav1d's until it is given back.
struct Held(Dav1dPicture);

impl Held {
    fn with_picture(&self, show: &mut dyn FnMut(&Picture<'_>)) -> Result<(), &'static str> {
        let Dav1dPicture {
            data, stride, p, ..
        } = &self.0;
        if p.layout != DAV1D_PIXEL_LAYOUT_I420 || p.bpc != 8 {
            return Err(SAYS_UNUSUAL);
        }
        let side = |side: c_int| u32::try_from(side).unwrap_or(0);
        let size = VideoSize::new(side(p.w), side(p.h));
        if size.pixels() > u64::from(PIXELS_MAX) {
            return Err(SAYS_TOO_LARGE);
        }
        let planes = data.map(|plane| {
            plane.map_or(std::ptr::null(), |plane| plane.as_ptr().cast_const().cast())
        });
        let strides =
            [stride[0], stride[1], stride[1]].map(|stride| usize::try_from(stride).unwrap_or(0));
        // SAFETY: its planes have a line of `stride` bytes for each of their height, and last as long as the picture is held.
        let picture = unsafe { crate::picture(size, planes, strides) }
            .ok_or("rav1d: a picture without planes")?;
        show(&picture);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: it came from `dav1d_get_picture`, or is empty; it is given back once.
        unsafe { dav1d_picture_unref(Some(NonNull::from(&mut self.0))) }
    }
}
