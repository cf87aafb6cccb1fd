//! H.264 (ITU-T H.264) by openh264.

use std::ffi::{c_int, c_uchar, c_void};
use std::ptr::{NonNull, null_mut};

use amphi_media::{MediaTime, VideoSize, h264};
use amphi_studio::canvas::{Canvas, Picture};
use amphi_studio::{CodecError, Coded, Encoded, EncoderConfig, VideoDecoder, VideoEncoder};
use bytes::BytesMut;
use openh264_sys2::source::APILoader;
use openh264_sys2::{
    CAMERA_VIDEO_REAL_TIME, CM_SMPTE170M, CONSTANT_ID, CP_SMPTE170M, DECODER_OPTION_TRACE_LEVEL,
    ENCODER_OPTION_TRACE_LEVEL, ERROR_CON_DISABLE, ISVCDecoder, ISVCEncoder, LOW_COMPLEXITY,
    PRO_MAIN, RC_BITRATE_MODE, SBufferInfo, SDecodingParam, SEncParamExt, SFrameBSInfo,
    SM_SINGLE_SLICE, SSourcePicture, TRC_SMPTE170M, VF_UNDEF, VIDEO_BITSTREAM_AVC, WELS_LOG_QUIET,
    videoFormatI420, videoFrameTypeIDR, videoFrameTypeSkip,
};

use crate::PIXELS_MAX;

/// A call into openh264's table of functions, which is whole once the object was made.
macro_rules! call {
    ($object:expr, $function:ident $(, $argument:expr)*) => {{
        let object = $object.as_ptr();
        // Every entry of the table is there: openh264 fills it with its constructor.
        let function = (**object).$function.expect("openh264's table has all its functions");
        function(object $(, $argument)*)
    }};
}

/// Decodes one track.
pub struct H264Decoder {
    decoder: NonNull<ISVCDecoder>,
}

// SAFETY: openh264's objects belong to no thread.
unsafe impl Send for H264Decoder {}

impl H264Decoder {
    pub fn new() -> Result<Self, CodecError> {
        let mut decoder: *mut ISVCDecoder = null_mut();
        // SAFETY: it writes a pointer to a new decoder, or fails.
        let made = unsafe { APILoader::WelsCreateDecoder(&mut decoder) };
        let decoder = NonNull::new(decoder)
            .filter(|_| made == 0)
            .ok_or_else(|| CodecError("openh264's decoder could not be made".to_owned()))?;
        let decoder = Self { decoder };
        let mut parameters = SDecodingParam {
            eEcActiveIdc: ERROR_CON_DISABLE,
            ..Default::default()
        };
        parameters.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
        let mut quiet: c_int = WELS_LOG_QUIET as c_int;
        // SAFETY: the decoder is alive; the options are read during the calls only.
        let started = unsafe {
            call!(
                decoder.decoder,
                SetOption,
                DECODER_OPTION_TRACE_LEVEL,
                (&raw mut quiet).cast::<c_void>()
            );
            call!(decoder.decoder, Initialize, &parameters)
        };
        if started != 0 {
            return Err(CodecError(format!(
                "openh264's decoder could not be started: {started}"
            )));
        }
        Ok(decoder)
    }
}

impl VideoDecoder for H264Decoder {
    fn decode(
        &mut self,
        data: &[u8],
        show: &mut dyn FnMut(&Picture<'_>),
    ) -> Result<(), CodecError> {
        let size = c_int::try_from(data.len())
            .ok()
            .filter(|size| *size > 0)
            .ok_or_else(|| CodecError("openh264: no data, or too much".to_owned()))?;
        if announces_too_large(data) {
            return Err(CodecError("openh264: the picture is too large".to_owned()));
        }
        let mut planes: [*mut c_uchar; 3] = [null_mut(); 3];
        let mut info = SBufferInfo::default();
        // SAFETY: the decoder is alive, the data has that size, planes and info may be written.
        let state = unsafe {
            call!(
                self.decoder,
                DecodeFrameNoDelay,
                data.as_ptr(),
                size,
                planes.as_mut_ptr(),
                &mut info
            )
        };
        if state != 0 {
            return Err(CodecError(format!("openh264 refused a frame: {state:#x}")));
        }
        if info.iBufferStatus != 1 {
            // Above the baseline profile it keeps pictures back in case one that is shown earlier follows. In a call none does.
            // SAFETY: as above; it gives a finished picture out or leaves everything as it is.
            unsafe {
                call!(self.decoder, FlushFrame, planes.as_mut_ptr(), &mut info);
            }
        }
        if info.iBufferStatus != 1 {
            return Ok(());
        }
        // SAFETY: a finished picture's description is of this kind.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let side = |length: c_int| u32::try_from(length).unwrap_or(0);
        let size = VideoSize::new(side(buffer.iWidth), side(buffer.iHeight));
        if size.pixels() > u64::from(PIXELS_MAX) || buffer.iFormat != videoFormatI420 as c_int {
            return Err(CodecError("openh264: a picture of another kind".to_owned()));
        }
        let [luma, colour] = buffer
            .iStride
            .map(|stride| usize::try_from(stride).unwrap_or(0));
        let planes = planes.map(<*mut c_uchar>::cast_const);
        // SAFETY: openh264's picture buffers have these strides and sizes, and last until the next call, which needs `&mut self`.
        let picture = unsafe { crate::picture(size, planes, [luma, colour, colour]) }
            .ok_or_else(|| CodecError("openh264: a picture without planes".to_owned()))?;
        show(&picture);
        Ok(())
    }
}

impl Drop for H264Decoder {
    fn drop(&mut self) {
        // SAFETY: it was made, and is destroyed once.
        unsafe {
            call!(self.decoder, Uninitialize);
            APILoader::WelsDestroyDecoder(self.decoder.as_ptr());
        }
    }
}

/// Asked before the decoder takes memory for it.
fn announces_too_large(data: &[u8]) -> bool {
    h264::nal_units(data)
        .filter(|nal| h264::nal_type(nal) == Some(h264::NAL_SPS))
        .filter_map(h264::sps)
        .any(|sps| sps.size.pixels() > u64::from(PIXELS_MAX))
}

/// Encodes one size of the composed picture: Main profile, CABAC, one slice, no picture left out.
///
/// openh264's own bindings cannot say all of that, so its parameters are set here. Screen content has a mode of its own, which costs
/// a third more and is not used.
pub struct H264Encoder {
    encoder: NonNull<ISVCEncoder>,
    size: VideoSize,
    output: Box<SFrameBSInfo>,
}

// SAFETY: openh264's objects belong to no thread; with one thread it has none of its own either.
unsafe impl Send for H264Encoder {}

impl H264Encoder {
    pub fn new(config: &EncoderConfig) -> Result<Self, CodecError> {
        let EncoderConfig {
            size,
            frames_per_second,
            bitrate,
        } = *config;
        let whole = |length: u32| c_int::try_from(length).ok().filter(|length| *length >= 16);
        let (Some(width), Some(height)) = (whole(size.width), whole(size.height)) else {
            return Err(CodecError("openh264: no picture is below 16x16".to_owned()));
        };
        if size.width % 2 != 0
            || size.height % 2 != 0
            || size.pixels() > u64::from(PIXELS_MAX)
            || !(1..=60).contains(&frames_per_second)
        {
            return Err(CodecError(
                "openh264: sizes are even and at most 4096x2304, rates 1 to 60".to_owned(),
            ));
        }
        let mut encoder: *mut ISVCEncoder = null_mut();
        // SAFETY: it writes a pointer to a new encoder, or fails.
        let made = unsafe { APILoader::WelsCreateSVCEncoder(&mut encoder) };
        let encoder = NonNull::new(encoder)
            .filter(|_| made == 0)
            .ok_or_else(|| CodecError("openh264's encoder could not be made".to_owned()))?;
        let encoder = Self {
            encoder,
            size,
            output: Box::default(),
        };
        let bits = c_int::try_from(bitrate.0).unwrap_or(c_int::MAX).max(10_000);
        let rate = frames_per_second as f32;
        let mut parameters = SEncParamExt::default();
        let mut quiet: c_int = WELS_LOG_QUIET as c_int;
        // SAFETY: the encoder is alive; the option is read and the defaults are written during the calls only.
        unsafe {
            call!(
                encoder.encoder,
                SetOption,
                ENCODER_OPTION_TRACE_LEVEL,
                (&raw mut quiet).cast::<c_void>()
            );
            call!(encoder.encoder, GetDefaultParams, &mut parameters);
        }
        parameters.iUsageType = CAMERA_VIDEO_REAL_TIME;
        parameters.iPicWidth = width;
        parameters.iPicHeight = height;
        parameters.iTargetBitrate = bits;
        parameters.iMaxBitrate = bits.saturating_add(bits / 5);
        parameters.iRCMode = RC_BITRATE_MODE;
        parameters.fMaxFrameRate = rate;
        parameters.iTemporalLayerNum = 1;
        parameters.iSpatialLayerNum = 1;
        parameters.iComplexityMode = LOW_COMPLEXITY;
        // Key frames come when they are asked for, and never else.
        parameters.uiIntraPeriod = 0;
        parameters.bEnableSceneChangeDetect = false;
        parameters.eSpsPpsIdStrategy = CONSTANT_ID;
        parameters.iEntropyCodingModeFlag = 1;
        // A picture that is left out here would be a hole in the program; the composer leaves out those that show nothing new.
        parameters.bEnableFrameSkip = false;
        parameters.iMultipleThreadIdc = 1;
        parameters.bEnableDenoise = false;
        let layer = &mut parameters.sSpatialLayers[0];
        layer.iVideoWidth = width;
        layer.iVideoHeight = height;
        layer.fFrameRate = rate;
        layer.iSpatialBitrate = parameters.iTargetBitrate;
        layer.iMaxSpatialBitrate = parameters.iMaxBitrate;
        layer.uiProfileIdc = PRO_MAIN;
        layer.sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
        // What cameras send in calls is BT.601, limited range: libwebrtc makes it so, and mostly says nothing.
        layer.bVideoSignalTypePresent = true;
        layer.uiVideoFormat = VF_UNDEF as c_uchar;
        layer.bFullRange = false;
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = CP_SMPTE170M as c_uchar;
        layer.uiTransferCharacteristics = TRC_SMPTE170M as c_uchar;
        layer.uiColorMatrix = CM_SMPTE170M as c_uchar;
        // SAFETY: the encoder is alive, and copies the parameters.
        let started = unsafe { call!(encoder.encoder, InitializeExt, &parameters) };
        if started != 0 {
            return Err(CodecError(format!(
                "openh264's encoder could not be started: {started}"
            )));
        }
        Ok(encoder)
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError> {
        if picture.size() != self.size {
            return Err(CodecError("openh264: a picture of another size".to_owned()));
        }
        let [y, u, v] = picture
            .planes()
            // openh264 does not write to them, though its interface says it could.
            .map(|plane| plane.as_ptr().cast_mut());
        let width = self.size.width as c_int;
        let source = SSourcePicture {
            iColorFormat: videoFormatI420 as c_int,
            iStride: [width, width / 2, width / 2, 0],
            pData: [y, u, v, null_mut()],
            iPicWidth: width,
            iPicHeight: self.size.height as c_int,
            uiTimeStamp: time.rescale(1_000).ticks,
            ..Default::default()
        };
        // SAFETY: the encoder is alive; the planes are of the size that is told, and are read during the call.
        let result = unsafe {
            if key {
                call!(self.encoder, ForceIntraFrame, true);
            }
            call!(self.encoder, EncodeFrame, &source, &mut *self.output)
        };
        if result != 0 {
            return Err(CodecError(format!("openh264 could not encode: {result}")));
        }
        if self.output.eFrameType == videoFrameTypeSkip {
            return Ok(Encoded::LeftOut);
        }
        let mut data = BytesMut::new();
        let layers = usize::try_from(self.output.iLayerNum).unwrap_or(0);
        for layer in self.output.sLayerInfo.iter().take(layers) {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            // SAFETY: openh264 says so many lengths, and the buffer has as many bytes as they come to, until the next call.
            unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, count);
                let size: c_int = lengths.iter().sum();
                let size = usize::try_from(size).unwrap_or(0);
                data.extend_from_slice(std::slice::from_raw_parts(layer.pBsBuf, size));
            }
        }
        if data.is_empty() {
            return Err(CodecError("openh264 gave nothing for a picture".to_owned()));
        }
        Ok(Encoded::Now(Coded {
            time,
            key: self.output.eFrameType == videoFrameTypeIDR,
            data: data.freeze(),
        }))
    }
}

impl Drop for H264Encoder {
    fn drop(&mut self) {
        // SAFETY: it was made, and is destroyed once.
        unsafe {
            call!(self.encoder, Uninitialize);
            APILoader::WelsDestroySVCEncoder(self.encoder.as_ptr());
        }
    }
}
