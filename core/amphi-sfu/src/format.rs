//! What the packets of one payload type hold, and which payload type of a subscriber can hold the same.

use amphi_media::Codec;
use str0m::Rtc;
use str0m::format::{Codec as StrCodec, CodecConfig, FormatParams, PayloadParams};
use str0m::media::{Frequency, Mid, Pt};

/// What a payload type means, whatever its number is in one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Format {
    pub(crate) codec: Codec,
    h264: Option<H264>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct H264 {
    /// What a decoder must be able to do: 0 (constrained) baseline, 1 main, 2 high.
    profile: u8,
    /// RFC 6184 §6: 0 single NAL units only, 1 aggregated and fragmented ones too.
    packetization_mode: u8,
}

impl Format {
    /// The usual format of a codec: for H.264 baseline with fragments. None for what we do not carry.
    pub(crate) fn carried(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Opus | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => Some(Self { codec, h264: None }),
            Codec::H264 => Some(Self {
                codec,
                h264: Some(H264 {
                    profile: 0,
                    packetization_mode: 1,
                }),
            }),
            Codec::Aac => None,
        }
    }

    /// None for what we do not carry.
    pub(crate) fn of(params: &PayloadParams) -> Option<Self> {
        let spec = params.spec();
        match spec.codec {
            StrCodec::Opus => Some(Self {
                codec: Codec::Opus,
                h264: None,
            }),
            StrCodec::Vp8 => Some(Self {
                codec: Codec::Vp8,
                h264: None,
            }),
            // Profile 0 is 8 bits 4:2:0 (RFC 9628 §6); nobody here decodes the others.
            StrCodec::Vp9 if spec.format.profile_id.unwrap_or(0) == 0 => Some(Self {
                codec: Codec::Vp9,
                h264: None,
            }),
            // Likewise (AV1 specification §6.4.1).
            StrCodec::Av1 if spec.format.profile.unwrap_or(0) == 0 => Some(Self {
                codec: Codec::Av1,
                h264: None,
            }),
            StrCodec::H264 => Some(Self {
                codec: Codec::H264,
                h264: Some(H264::of(&spec.format)),
            }),
            _ => None,
        }
    }

    /// How well a receiver of `other` takes packets of this format: more is better, none means not at all.
    fn fit(self, other: Format) -> Option<u8> {
        if self.codec != other.codec {
            return None;
        }
        let (Some(ours), Some(theirs)) = (self.h264, other.h264) else {
            return Some(3);
        };
        if theirs.profile < ours.profile || theirs.packetization_mode < ours.packetization_mode {
            return None;
        }
        let same_profile = u8::from(theirs.profile == ours.profile);
        let same_mode = u8::from(theirs.packetization_mode == ours.packetization_mode);
        Some(1 + same_profile + same_mode)
    }
}

impl H264 {
    /// RFC 6184 §8.1: without a profile it is baseline, without a mode it is 0.
    fn of(format: &FormatParams) -> Self {
        let profile_idc = format.profile_level_id.unwrap_or(0x42_00_0a) >> 16;
        let profile = match profile_idc {
            0x42 => 0,
            0x4d => 1,
            _ => 2,
        };
        Self {
            profile,
            packetization_mode: format.packetization_mode.unwrap_or(0),
        }
    }
}

/// Formats by payload type number, for one session.
pub(crate) struct PayloadTypes([Option<Format>; 128]);

impl PayloadTypes {
    pub(crate) fn of(rtc: &Rtc) -> Self {
        let mut table = [None; 128];
        for params in rtc.codec_config().params() {
            if let Some(entry) = table.get_mut(usize::from(*params.pt())) {
                *entry = Format::of(params);
            }
        }
        Self(table)
    }

    pub(crate) fn format(&self, payload_type: Pt) -> Option<Format> {
        self.0.get(usize::from(*payload_type)).copied().flatten()
    }
}

/// The payload type under which the other side of this m-line takes `format`. (`Rtc::writer` would know, but panics
/// in RTP mode.)
pub(crate) fn payload_type(rtc: &Rtc, mid: Mid, format: Format) -> Option<Pt> {
    let media = rtc.media(mid)?;
    rtc.codec_config()
        .params()
        .iter()
        .filter(|params| media.remote_pts().contains(&params.pt()))
        .filter_map(|params| Some((format.fit(Format::of(params)?)?, params.pt())))
        // The first of the best: what the configuration prefers.
        .fold(None, |best: Option<(u8, Pt)>, next| {
            if best.is_none_or(|best| next.0 > best.0) {
                Some(next)
            } else {
                best
            }
        })
        .map(|(_, payload_type)| payload_type)
}

/// Payload types of offers of ours; answers take the other side's. They stay out of 64..96, which RTP and RTCP share
/// on one port (RFC 5761 §4).
pub(crate) fn configure(config: &mut CodecConfig, codecs: &[Codec]) {
    /// Payload type, its RTX, packetization mode 1 or not, profile-level-id.
    const H264: [(u8, u8, bool, u32); 6] = [
        (102, 103, true, 0x42e01f),
        (104, 105, true, 0x42001f),
        (106, 107, false, 0x42e01f),
        (108, 109, false, 0x42001f),
        (112, 113, true, 0x4d001f),
        (114, 115, false, 0x4d001f),
    ];
    config.clear();
    for codec in codecs {
        match codec {
            Codec::Opus => {
                // DTX is the sender's choice; what comes in is forwarded with its gaps.
                let format = FormatParams {
                    min_p_time: Some(10),
                    use_inband_fec: Some(true),
                    ..FormatParams::default()
                };
                config.add_config(
                    111.into(),
                    None,
                    StrCodec::Opus,
                    Frequency::FORTY_EIGHT_KHZ,
                    Some(2),
                    format,
                );
            }
            Codec::H264 => {
                for (payload_type, rtx, mode_1, profile) in H264 {
                    config.add_h264(payload_type.into(), Some(rtx.into()), mode_1, profile);
                }
            }
            Codec::Vp8 => config.enable_vp8(true),
            Codec::Vp9 => {
                let format = FormatParams {
                    profile_id: Some(0),
                    ..FormatParams::default()
                };
                config.add_config(
                    98.into(),
                    Some(99.into()),
                    StrCodec::Vp9,
                    Frequency::NINETY_KHZ,
                    None,
                    format,
                );
            }
            // Profile 0, as nothing is said.
            Codec::Av1 => config.enable_av1(true),
            Codec::Aac => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(profile: u8, packetization_mode: u8) -> Format {
        Format {
            codec: Codec::H264,
            h264: Some(H264 {
                profile,
                packetization_mode,
            }),
        }
    }

    #[test]
    fn a_receiver_must_be_able_to_do_what_the_sender_does() {
        assert_eq!(h264(0, 1).fit(h264(0, 1)), Some(3));
        assert_eq!(
            h264(0, 0).fit(h264(0, 1)),
            Some(2),
            "single units are legal in mode 1"
        );
        assert_eq!(
            h264(0, 1).fit(h264(0, 0)),
            None,
            "fragments are not legal in mode 0"
        );
        assert_eq!(h264(0, 1).fit(h264(1, 1)), Some(2), "main decodes baseline");
        assert_eq!(
            h264(1, 1).fit(h264(0, 1)),
            None,
            "baseline does not decode main"
        );
        assert_eq!(
            h264(0, 1).fit(Format {
                codec: Codec::Vp8,
                h264: None
            }),
            None
        );
    }
}
