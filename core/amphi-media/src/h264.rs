//! Reading H.264 (ITU-T H.264, RFC 6184): NAL units in Annex B form, and what an SPS tells.

use crate::VideoSize;

/// `nal_unit_type` values that matter here (H.264 table 7-1).
pub const NAL_SLICE: u8 = 1;
pub const NAL_IDR: u8 = 5;
pub const NAL_SEI: u8 = 6;
pub const NAL_SPS: u8 = 7;
pub const NAL_PPS: u8 = 8;
pub const NAL_AUD: u8 = 9;

/// How many bytes of a slice are looked at for its header: first_mb, type, parameter set, frame number, order count,
/// each at its longest, with emulation prevention.
const SLICE_HEAD_BYTES: usize = 32;

/// Largest picture side that is believed; larger SPS values are treated as broken.
const SIDE_MAX: u32 = 16_384;

/// The type of a NAL unit, from its first byte.
pub fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|byte| byte & 0x1f)
}

/// Splits an Annex B byte stream (3- or 4-byte start codes) into NAL units, without the start codes.
/// Bytes before the first start code are not a NAL unit and are left out, as are empty units.
pub fn nal_units(annex_b: &[u8]) -> NalUnits<'_> {
    let start = next_start(annex_b, 0).map_or(annex_b.len(), |(_, after)| after);
    NalUnits {
        data: annex_b,
        at: start,
    }
}

/// See [`nal_units`].
pub struct NalUnits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while self.at < self.data.len() {
            let (end, after) =
                next_start(self.data, self.at).unwrap_or((self.data.len(), self.data.len()));
            let nal = trim_zeros(&self.data[self.at..end]);
            self.at = after;
            if !nal.is_empty() {
                return Some(nal);
            }
        }
        None
    }
}

/// Trailing zero bytes belong to the byte stream, not to the unit (H.264 annex B.1.1).
fn trim_zeros(nal: &[u8]) -> &[u8] {
    let end = nal
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    &nal[..end]
}

/// Where the next `00 00 01` is at or after `from`: (its first byte, the byte after it).
fn next_start(data: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(window) = data.get(at..at + 3) {
        match window {
            [0, 0, 1] => return Some((at, at + 3)),
            [_, _, 0 | 1] => at += 1,
            _ => at += 3,
        }
    }
    None
}

/// What a sequence parameter set tells that we need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sps {
    pub profile: u8,
    /// `constraint_set` flags byte, as it stands in a codecs string ("avc1.PPCCLL").
    pub constraints: u8,
    pub level: u8,
    /// After cropping.
    pub size: VideoSize,
    /// `seq_parameter_set_id`, 0–31.
    pub id: u8,
    /// Macroblocks of a whole picture, before cropping.
    pub macroblocks: u32,
    /// Whole frames in one colour plane order: neither fields nor separately coded planes. True of all WebRTC video.
    pub progressive: bool,
    /// Length of `frame_num` in a slice header.
    pub frame_num_bits: u32,
    pub order_count: OrderCount,
}

/// How a slice header carries its picture order count (H.264 §7.4.2.1.1, `pic_order_cnt_type` 0, 1, 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderCount {
    /// Its low bits are in the header.
    LowBits { bits: u32 },
    /// A difference to what is expected is in the header, unless it is always zero.
    Difference { always_zero: bool },
    /// Not at all: it follows from `frame_num`.
    FrameNum,
}

/// The head of a slice (H.264 §7.3.3), as far as it is needed to go on from its picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceHead {
    /// Other pictures may be predicted from this one (`nal_ref_idc` is not 0).
    pub reference: bool,
    pub first_macroblock: u32,
    pub picture_parameter_set: u32,
    pub frame_num: u32,
    /// `pic_order_cnt_lsb`, where the SPS says [`OrderCount::LowBits`].
    pub order_low_bits: Option<u32>,
}

/// The ids in a PPS: (its own, that of the SPS it belongs to), H.264 §7.3.2.2. None when it is cut short.
pub fn pps_ids(nal: &[u8]) -> Option<(u32, u32)> {
    if nal_type(nal)? != NAL_PPS {
        return None;
    }
    let rbsp = without_emulation_prevention(nal.get(1..nal.len().min(SLICE_HEAD_BYTES))?);
    let mut bits = Bits::new(&rbsp);
    let ids = (bits.exp_golomb()?, bits.exp_golomb()?);
    (ids.0 <= 255 && ids.1 <= 31).then_some(ids)
}

/// The picture parameter set that a slice names, which is needed to know its SPS. None when it is no slice.
pub fn slice_parameter_set(nal: &[u8]) -> Option<u32> {
    if !matches!(nal_type(nal)?, NAL_SLICE | NAL_IDR) {
        return None;
    }
    let rbsp = without_emulation_prevention(nal.get(1..nal.len().min(SLICE_HEAD_BYTES))?);
    let mut bits = Bits::new(&rbsp);
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.exp_golomb()
}

/// Reads the head of a slice NAL unit whose SPS is `sps`. None when it is no slice, is cut short, or when `sps` is
/// not [`Sps::progressive`].
pub fn slice_head(nal: &[u8], sps: &Sps) -> Option<SliceHead> {
    let kind = nal_type(nal)?;
    if !matches!(kind, NAL_SLICE | NAL_IDR) || !sps.progressive {
        return None;
    }
    let reference = nal.first()? & 0x60 != 0;
    let rbsp = without_emulation_prevention(nal.get(1..nal.len().min(SLICE_HEAD_BYTES))?);
    let mut bits = Bits::new(&rbsp);
    let first_macroblock = bits.exp_golomb()?;
    bits.exp_golomb()?; // slice_type
    let picture_parameter_set = bits.exp_golomb()?;
    let frame_num = bits.read(sps.frame_num_bits)?;
    if kind == NAL_IDR {
        bits.exp_golomb()?; // idr_pic_id
    }
    let order_low_bits = match sps.order_count {
        OrderCount::LowBits { bits: length } => Some(bits.read(length)?),
        OrderCount::Difference { .. } | OrderCount::FrameNum => None,
    };
    Some(SliceHead {
        reference,
        first_macroblock,
        picture_parameter_set,
        frame_num,
        order_low_bits,
    })
}

/// Reads an SPS NAL unit (header byte included), H.264 §7.3.2.1.1. None when it is cut short or makes no sense.
pub fn sps(nal: &[u8]) -> Option<Sps> {
    if nal_type(nal)? != NAL_SPS {
        return None;
    }
    let rbsp = without_emulation_prevention(nal.get(1..)?);
    let mut bits = Bits::new(&rbsp);
    let profile = bits.read(8)? as u8;
    let constraints = bits.read(8)? as u8;
    let level = bits.read(8)? as u8;
    let id = u8::try_from(bits.exp_golomb()?)
        .ok()
        .filter(|id| *id <= 31)?;
    let mut chroma_format = 1;
    let mut separate_planes = 0;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma_format = bits.exp_golomb()?;
        if chroma_format > 3 {
            return None;
        }
        if chroma_format == 3 {
            separate_planes = bits.read(1)?;
        }
        bits.exp_golomb()?; // bit_depth_luma_minus8
        bits.exp_golomb()?; // bit_depth_chroma_minus8
        bits.read(1)?;
        if bits.read(1)? == 1 {
            let lists = if chroma_format == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.read(1)? == 1 {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    let frame_num_bits = bits
        .exp_golomb()?
        .checked_add(4)
        .filter(|length| *length <= 16)?;
    let order_count = match bits.exp_golomb()? {
        0 => OrderCount::LowBits {
            bits: bits
                .exp_golomb()?
                .checked_add(4)
                .filter(|length| *length <= 16)?,
        },
        1 => {
            let always_zero = bits.read(1)? == 1;
            bits.signed_exp_golomb()?;
            bits.signed_exp_golomb()?;
            let cycle = bits.exp_golomb()?;
            if cycle > 255 {
                return None;
            }
            for _ in 0..cycle {
                bits.signed_exp_golomb()?;
            }
            OrderCount::Difference { always_zero }
        }
        2 => OrderCount::FrameNum,
        _ => return None,
    };
    bits.exp_golomb()?; // max_num_ref_frames
    bits.read(1)?;
    let width_mbs = bits.exp_golomb()?.checked_add(1)?;
    let height_units = bits.exp_golomb()?.checked_add(1)?;
    let frame_mbs_only = bits.read(1)?;
    if frame_mbs_only == 0 {
        bits.read(1)?;
    }
    bits.read(1)?;
    let width = width_mbs.checked_mul(16)?;
    let height = height_units
        .checked_mul(16)?
        .checked_mul(2 - frame_mbs_only)?;
    let (mut crop_x, mut crop_y) = (0u32, 0u32);
    if bits.read(1)? == 1 {
        let (left, right, top, bottom) = (
            bits.exp_golomb()?,
            bits.exp_golomb()?,
            bits.exp_golomb()?,
            bits.exp_golomb()?,
        );
        let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = (if chroma_format == 1 { 2 } else { 1 }) * (2 - frame_mbs_only);
        crop_x = left.checked_add(right)?.checked_mul(unit_x)?;
        crop_y = top.checked_add(bottom)?.checked_mul(unit_y)?;
    }
    let size = VideoSize::new(width.checked_sub(crop_x)?, height.checked_sub(crop_y)?);
    let sane = (1..=SIDE_MAX).contains(&size.width) && (1..=SIDE_MAX).contains(&size.height);
    let macroblocks = (width / 16).checked_mul(height / 16)?;
    let progressive = frame_mbs_only == 1 && separate_planes == 0;
    sane.then_some(Sps {
        profile,
        constraints,
        level,
        size,
        id,
        macroblocks,
        progressive,
        frame_num_bits,
        order_count,
    })
}

fn skip_scaling_list(bits: &mut Bits<'_>, length: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..length {
        if next != 0 {
            next = (last + i64::from(bits.signed_exp_golomb()?)).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// Removes `emulation_prevention_three_byte`s (H.264 §7.4.1).
fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for byte in nal {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = *self.data.get(self.at / 8)?;
            value = (value << 1) | u32::from((byte >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// ue(v), H.264 §9.1; codes longer than 32 bits make no sense here.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.read(zeros)?;
        ((1u64 << zeros) - 1 + u64::from(rest)).try_into().ok()
    }

    /// se(v), H.264 §9.1.1.
    fn signed_exp_golomb(&mut self) -> Option<i32> {
        let code = i64::from(self.exp_golomb()?);
        let value = if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -(code / 2)
        };
        value.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Constrained baseline, level 3.1, 1280×720, as libwebrtc's OpenH264 writes it.
    const SPS_720P: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x80, 0xb4, 0x3c, 0x22, 0x11,
        0xa8,
    ];

    #[test]
    fn start_codes_of_three_and_four_bytes_split_units() {
        let stream = [
            0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 4, 0, 0,
        ];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 4]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
        assert_eq!(nal_units(&[]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn an_sps_tells_profile_and_size() {
        let sps = sps(SPS_720P).expect("a whole SPS");
        assert_eq!(
            (sps.profile, sps.constraints, sps.level),
            (0x42, 0xc0, 0x1f)
        );
        assert_eq!(sps.size, VideoSize::new(1280, 720));
        assert_eq!(
            (sps.id, sps.macroblocks, sps.progressive),
            (0, 80 * 45, true)
        );
    }

    #[test]
    fn a_cut_sps_is_refused() {
        for end in 0..8 {
            assert_eq!(sps(&SPS_720P[..end]), None);
        }
    }
}
