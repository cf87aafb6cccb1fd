//! H.264 access units on their way into a file, and the picture that says "nothing changed".
//!
//! **Why we write a picture of our own.** An LL-HLS part may not be longer than the part target, and a part without a
//! sample does not exist for a player. A screen share sends one frame a second, a camera that is off none at all: there
//! would be nothing to put into the next part, the player would run dry, and sound would stop with the picture. So the
//! picture on screen is repeated: a P picture all of whose macroblocks are skipped (H.264 §7.3.4), some 20 bytes that
//! decode to a copy of the picture before. It is not used for reference (`nal_ref_idc` 0), so the decoder's memory is
//! as if it had never been, and every byte of the source stays as it came. It brings its own picture parameter set
//! (CAVLC, no deblocking), so it is the same whatever the source's entropy coding is.
//!
//! Two of them in a row carry the same picture order count, which H.264 §8.2.1 forbids and decoders that output in
//! decoding order do not notice (FFmpeg is tried in the tests, Chromium was tried by hand; Firefox and Safari were not).

use amphi_media::h264::{self, NAL_IDR, NAL_PPS, NAL_SEI, NAL_SLICE, NAL_SPS, OrderCount, Sps};
use bytes::Bytes;

use crate::boxes::Entry;

/// Parameter sets of one kind that one key frame may bring; more is a broken or hostile source.
const PARAMETER_SETS_MAX: usize = 16;
/// Longest parameter set that is believed; 16 bits is what `avcC` can hold.
const PARAMETER_SET_BYTES_MAX: usize = 4096;

/// The parameter sets in force, and what they tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Parameters {
    pub entry: Entry,
    /// All of them as they go in front of a key frame: length-prefixed, our own last.
    prefix: Vec<u8>,
    sps: Sps,
    still_pps: u32,
}

/// A picture as it goes into `mdat`.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub data: Bytes,
    /// The same picture once more, to be decoded right after it.
    pub repeat: Bytes,
}

/// Whether an access unit starts a decoder (an IDR picture).
pub(crate) fn is_key(annex_b: &[u8]) -> bool {
    h264::nal_units(annex_b).any(|nal| h264::nal_type(nal) == Some(NAL_IDR))
}

/// The parameter sets a key frame brings. None when it brings none, too many, or such as no WebRTC source sends
/// (interlaced, separate colour planes).
pub(crate) fn parameters(annex_b: &[u8]) -> Option<Parameters> {
    let mut sps: Vec<&[u8]> = Vec::new();
    let mut pps: Vec<&[u8]> = Vec::new();
    let mut slice = None;
    for nal in h264::nal_units(annex_b) {
        match h264::nal_type(nal)? {
            NAL_SPS if !sps.contains(&nal) => sps.push(nal),
            NAL_PPS if !pps.contains(&nal) => pps.push(nal),
            NAL_IDR => {
                slice = Some(nal);
                break;
            }
            _ => {}
        }
    }
    let sane = |sets: &[&[u8]]| {
        sets.len() <= PARAMETER_SETS_MAX
            && sets.iter().all(|set| set.len() <= PARAMETER_SET_BYTES_MAX)
    };
    if !sane(&sps) || !sane(&pps) {
        return None;
    }
    // The slice names a PPS, which names the SPS that is in force.
    let named = h264::slice_parameter_set(slice?)?;
    let ids: Vec<(u32, u32)> = pps.iter().filter_map(|pps| h264::pps_ids(pps)).collect();
    let (_, sps_id) = *ids.iter().find(|(id, _)| *id == named)?;
    let active = sps
        .iter()
        .position(|nal| h264::sps(nal).is_some_and(|sps| u32::from(sps.id) == sps_id))?;
    sps.swap(0, active);
    let active = h264::sps(sps[0]).filter(|sps| sps.progressive)?;
    let still_pps = (0..=255)
        .rev()
        .find(|id| ids.iter().all(|(used, _)| used != id))?;

    let sps_nals: Vec<Bytes> = sps.iter().map(|nal| Bytes::copy_from_slice(nal)).collect();
    let mut pps_nals: Vec<Bytes> = pps.iter().map(|nal| Bytes::copy_from_slice(nal)).collect();
    pps_nals.push(still_parameter_set(still_pps, sps_id).into());
    let mut prefix = Vec::new();
    for nal in sps_nals.iter().chain(&pps_nals) {
        push_nal(&mut prefix, nal);
    }
    Some(Parameters {
        entry: Entry::Video {
            size: active.size,
            sps: sps_nals,
            pps: pps_nals,
        },
        prefix,
        sps: active,
        still_pps,
    })
}

/// Turns an access unit from start codes to 4-byte lengths (ISO/IEC 14496-15 §5.3.2). Slices and SEI stay; delimiters and
/// filler go. A key frame gets `parameters` in front of it although they are in `avcC` too: one recorded file has one
/// `avcC` and survives a change of size only by what is in band. None when nothing to decode is left.
pub(crate) fn picture(annex_b: &[u8], key: bool, parameters: &Parameters) -> Option<Picture> {
    let mut data = Vec::with_capacity(annex_b.len() + parameters.prefix.len() + 16);
    if key {
        data.extend_from_slice(&parameters.prefix);
    }
    let mut head = None;
    for nal in h264::nal_units(annex_b) {
        match h264::nal_type(nal)? {
            NAL_SLICE | NAL_IDR => {
                if head.is_none() {
                    head = h264::slice_head(nal, &parameters.sps);
                    head?;
                }
                push_nal(&mut data, nal);
            }
            NAL_SEI => push_nal(&mut data, nal),
            _ => {}
        }
    }
    let head = head?;
    let data = Bytes::from(data);
    let repeat = if head.reference {
        let mut repeat = Vec::with_capacity(32);
        push_nal(
            &mut repeat,
            &still(parameters, head.frame_num, head.order_low_bits),
        );
        repeat.into()
    } else {
        // Nothing was predicted from it and nothing changed by it: decoding it again gives the same picture.
        data.clone()
    };
    Some(Picture { data, repeat })
}

fn push_nal(out: &mut Vec<u8>, nal: &[u8]) {
    let length = u32::try_from(nal.len()).expect("samples are bounded when they come in");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(nal);
}

/// A PPS for our own pictures (H.264 §7.3.2.2).
fn still_parameter_set(id: u32, sps_id: u32) -> Vec<u8> {
    let mut bits = BitWriter::new(0x68);
    bits.exp_golomb(id);
    bits.exp_golomb(sps_id);
    bits.push(0, 1); // entropy_coding_mode: CAVLC
    bits.push(0, 1); // bottom_field_pic_order_in_frame_present
    bits.exp_golomb(0); // num_slice_groups - 1
    bits.exp_golomb(0); // num_ref_idx_l0_default_active - 1
    bits.exp_golomb(0); // num_ref_idx_l1_default_active - 1
    bits.push(0, 1); // weighted_pred
    bits.push(0, 2); // weighted_bipred_idc
    bits.exp_golomb(0); // pic_init_qp - 26, signed; zero is the same
    bits.exp_golomb(0); // pic_init_qs - 26
    bits.exp_golomb(0); // chroma_qp_index_offset
    bits.push(1, 1); // deblocking_filter_control_present
    bits.push(0, 1); // constrained_intra_pred
    bits.push(0, 1); // redundant_pic_cnt_present
    bits.finish()
}

/// The picture that repeats the reference picture numbered `frame_num` (H.264 §7.3.3, §7.3.4).
fn still(parameters: &Parameters, frame_num: u32, order_low_bits: Option<u32>) -> Vec<u8> {
    let sps = &parameters.sps;
    let mut bits = BitWriter::new(NAL_SLICE);
    bits.exp_golomb(0); // first_mb_in_slice
    bits.exp_golomb(5); // slice_type: P, and so are all slices of this picture
    bits.exp_golomb(parameters.still_pps);
    // A picture that follows a reference picture counts one up, itself a reference or not (§7.4.3).
    bits.push(
        (frame_num + 1) & low_bits(sps.frame_num_bits),
        sps.frame_num_bits,
    );
    match sps.order_count {
        // Pictures are two apart, so that each field has its number; one up is after this one and before the next.
        OrderCount::LowBits { bits: length } => {
            bits.push((order_low_bits.unwrap_or(0) + 1) & low_bits(length), length)
        }
        OrderCount::Difference { always_zero: false } => bits.exp_golomb(0),
        OrderCount::Difference { always_zero: true } | OrderCount::FrameNum => {}
    }
    bits.push(0, 1); // num_ref_idx_active_override
    bits.push(0, 1); // ref_pic_list_modification_l0
    bits.exp_golomb(0); // slice_qp_delta
    bits.exp_golomb(1); // disable_deblocking_filter_idc
    bits.exp_golomb(sps.macroblocks); // mb_skip_run: the whole picture
    bits.finish()
}

fn low_bits(count: u32) -> u32 {
    (1 << count) - 1
}

/// Writes a NAL unit bit by bit, with emulation prevention (H.264 §7.3.1).
struct BitWriter {
    out: Vec<u8>,
    current: u8,
    filled: u32,
    zeros: u32,
}

impl BitWriter {
    fn new(header: u8) -> Self {
        Self {
            out: vec![header],
            current: 0,
            filled: 0,
            zeros: 0,
        }
    }

    fn push(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            self.current = (self.current << 1) | u8::from((value >> shift) & 1 == 1);
            self.filled += 1;
            if self.filled == 8 {
                self.byte();
            }
        }
    }

    fn byte(&mut self) {
        if self.zeros >= 2 && self.current <= 3 {
            self.out.push(3);
            self.zeros = 0;
        }
        self.zeros = if self.current == 0 { self.zeros + 1 } else { 0 };
        self.out.push(self.current);
        (self.current, self.filled) = (0, 0);
    }

    /// ue(v), H.264 §9.1.
    fn exp_golomb(&mut self, value: u32) {
        let code = value + 1;
        let length = 32 - code.leading_zeros();
        self.push(0, length - 1);
        self.push(code, length);
    }

    /// Ends with `rbsp_trailing_bits`.
    fn finish(mut self) -> Vec<u8> {
        self.push(1, 1);
        while self.filled != 0 {
            self.push(0, 1);
        }
        self.out
    }
}
