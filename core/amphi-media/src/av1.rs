//! Reading AV1's open bitstream units (AV1 Bitstream & Decoding Process Specification, §5.3): where one ends, whether a
//! temporal unit can be begun with, and what its sequence header tells.

use crate::VideoSize;
use crate::bits::Bits;

/// Kinds of units (§6.2.2).
pub const OBU_SEQUENCE_HEADER: u8 = 1;
pub const OBU_TEMPORAL_DELIMITER: u8 = 2;
pub const OBU_FRAME_HEADER: u8 = 3;
pub const OBU_FRAME: u8 = 6;
pub const OBU_TILE_LIST: u8 = 8;
pub const OBU_PADDING: u8 = 15;

/// §6.10.2.
const KEY_FRAME: u32 = 0;

/// §6.4.2: colours that are not subsampled, whatever the profile.
const RGB: (u32, u32, u32) = (1, 13, 0);

/// One open bitstream unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Obu<'a> {
    pub kind: u8,
    /// Temporal layer in the upper three bits, spatial layer in the two after them (§5.3.3), where it says them.
    extension: Option<u8>,
    pub payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// The unit that `bytes` begin with, and what follows it. Without a size of its own it goes to the end. None when it is cut
    /// short, or what must be zero is not.
    pub fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, mut rest) = bytes.split_first()?;
        if head & 0x80 != 0 {
            return None;
        }
        let mut extension = None;
        if head & 0x04 != 0 {
            let (byte, after) = rest.split_first()?;
            (extension, rest) = (Some(*byte), after);
        }
        let mut after: &[u8] = &[];
        if head & 0x02 != 0 {
            let (size, behind) = leb128(rest)?;
            (rest, after) = behind.split_at_checked(size)?;
        }
        let kind = head >> 3 & 0x0f;
        let obu = Self {
            kind,
            extension,
            payload: rest,
        };
        Some((obu, after))
    }

    /// Writes it with its size, as everybody but RTP wants it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let has_extension = if self.extension.is_some() { 0x04 } else { 0 };
        out.push(self.kind << 3 | has_extension | 0x02);
        out.extend(self.extension);
        let mut size = self.payload.len();
        while size >= 0x80 {
            out.push(size as u8 | 0x80);
            size >>= 7;
        }
        out.push(size as u8);
        out.extend_from_slice(self.payload);
    }
}

/// The spatial layer, lowest first, of the unit whose first bytes these are (§5.3.3). None when they are too few.
pub fn spatial(unit: &[u8]) -> Option<u8> {
    match unit.first()? & 0x04 {
        0 => Some(0),
        _ => Some(unit.get(1)? >> 3 & 0x03),
    }
}

/// A number of the form that §4.10.5 describes, and what follows it. None when it is cut short or larger than 32 bits.
pub fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

/// The units of a temporal unit in which each has its size; it ends where they make no sense any more.
pub fn obus(unit: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let (obu, after) = Obu::split(rest)?;
        rest = after;
        Some(obu)
    })
}

/// What a temporal unit tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// A decoder can begin with it.
    pub key: bool,
    /// Only those that are begun with tell it: the size of the largest layer.
    pub size: Option<VideoSize>,
}

/// Reads the header of a temporal unit in which each unit has its size. None when there is no frame in it.
pub fn header(unit: &[u8]) -> Option<Header> {
    let mut sequence = None;
    for obu in obus(unit) {
        match obu.kind {
            OBU_SEQUENCE_HEADER => sequence = sequence_header(obu.payload).or(sequence),
            OBU_FRAME_HEADER | OBU_FRAME => {
                let size = sequence
                    .filter(|sequence| sequence.still || begins_with_key(obu.payload))
                    .map(|sequence| sequence.size);
                let key = size.is_some();
                return Some(Header { key, size });
            }
            _ => {}
        }
    }
    None
}

/// A frame's header says that it is a key frame and shown (§5.9.2): not one that was decoded before.
fn begins_with_key(payload: &[u8]) -> bool {
    let mut bits = Bits::new(payload);
    bits.take(1) == Some(0) && bits.take(2) == Some(KEY_FRAME) && bits.take(1) == Some(1)
}

/// What is read of a sequence header (§5.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SequenceHeader {
    /// 0 main, 1 high, 2 professional.
    pub profile: u8,
    /// Of the first operating point: 0 is level 2.0, 4 is 3.0, and so on (§A.3).
    pub level: u8,
    pub high_tier: bool,
    /// 8, 10 or 12.
    pub bits: u8,
    pub monochrome: bool,
    /// The colours have half the samples, by width and by height.
    pub halved: (bool, bool),
    /// Of the largest frame.
    pub size: VideoSize,
    /// One picture, in the short form.
    still: bool,
}

impl SequenceHeader {
    /// 8 bits, 4:2:0.
    pub fn is_usual(&self) -> bool {
        self.bits == 8 && !self.monochrome && self.halved == (true, true)
    }
}

/// Reads the payload of a sequence header's unit. None when it is cut short.
pub fn sequence_header(payload: &[u8]) -> Option<SequenceHeader> {
    let mut bits = Bits::new(payload);
    let profile = bits.take(3)?;
    let _still_picture = bits.take(1)?;
    let still = bits.flag()?;
    let (level, high_tier) = match still {
        true => (bits.take(5)?, false),
        false => operating_points(&mut bits)?,
    };
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let width = bits.take(width_bits as usize)? + 1;
    let height = bits.take(height_bits as usize)? + 1;
    tools(&mut bits, still)?;
    let deep = bits.flag()?;
    let twelve = deep && profile == 2 && bits.flag()?;
    let monochrome = profile != 1 && bits.flag()?;
    let colours = match bits.flag()? {
        true => (bits.take(8)?, bits.take(8)?, bits.take(8)?),
        false => (2, 2, 2),
    };
    let halved = if monochrome || profile == 0 {
        (true, true)
    } else if colours == RGB || profile == 1 {
        (false, false)
    } else if twelve {
        let _range = bits.take(1)?;
        let wide = bits.flag()?;
        (wide, wide && bits.flag()?)
    } else {
        (true, false)
    };
    Some(SequenceHeader {
        profile: u8::try_from(profile).ok()?,
        level: u8::try_from(level).ok()?,
        high_tier,
        bits: match (deep, twelve) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        },
        monochrome,
        halved,
        size: VideoSize::new(width, height),
        still,
    })
}

/// Times and operating points; level and tier of the first one.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u32, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        let _tick_and_scale = (bits.take(32)?, bits.take(32)?);
        if bits.flag()? {
            skip_uvlc(bits)?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? as usize + 1);
            let _tick_and_lengths = (bits.take(32)?, bits.take(10)?);
        }
    }
    let tells_display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        let _layers = bits.take(12)?;
        let level = bits.take(5)?;
        let high_tier = level > 7 && bits.flag()?;
        if let Some(count) = delay_bits
            && bits.flag()?
        {
            let _delays = (bits.take(count)?, bits.take(count)?, bits.take(1)?);
        }
        if tells_display_delay && bits.flag()? {
            let _delay = bits.take(4)?;
        }
        first = first.or(Some((level, high_tier)));
    }
    first
}

/// §4.10.3.
fn skip_uvlc(bits: &mut Bits<'_>) -> Option<()> {
    let mut zeros = 0;
    while !bits.flag()? {
        zeros += 1;
    }
    if zeros < 32 {
        bits.take(zeros)?;
    }
    Some(())
}

/// What the encoder may use, which does not matter here.
fn tools(bits: &mut Bits<'_>, still: bool) -> Option<()> {
    if !still && bits.flag()? {
        let _frame_id_lengths = bits.take(7)?;
    }
    let _superblocks_and_intra = bits.take(3)?;
    if !still {
        let _compound_and_filters = bits.take(4)?;
        let orders = bits.flag()?;
        if orders {
            let _compound_and_motion = bits.take(2)?;
        }
        let screen_content = bits.flag()? || bits.flag()?;
        if screen_content && !bits.flag()? {
            let _integer_motion = bits.take(1)?;
        }
        if orders {
            let _order_bits = bits.take(3)?;
        }
    }
    let _superres_cdef_restoration = bits.take(3)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// libaom's, 320 × 180 in real time: level 2.0, one operating point.
    const SEQUENCE: &[u8] = &[
        0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40,
    ];

    fn unit(obus: &[(u8, &[u8])]) -> Vec<u8> {
        let mut unit = Vec::new();
        for (kind, payload) in obus {
            let obu = Obu {
                kind: *kind,
                extension: None,
                payload,
            };
            obu.write(&mut unit);
        }
        unit
    }

    #[test]
    fn what_is_written_is_read_again() {
        let long = vec![7; 300];
        let obu = Obu {
            kind: OBU_FRAME,
            extension: Some(0x28),
            payload: &long,
        };
        let mut bytes = Vec::new();
        obu.write(&mut bytes);
        assert_eq!(bytes[..4], [0x36, 0x28, 0xac, 0x02]);
        bytes.push(9);
        assert_eq!(Obu::split(&bytes), Some((obu, &[9][..])));
        assert_eq!(spatial(&bytes), Some(1));
        assert_eq!(spatial(&[0x32]), Some(0));
        assert_eq!(spatial(&[0x36]), None);
        // Without a size, as in RTP.
        let bare = [[0x34, 0x28].as_slice(), &long].concat();
        assert_eq!(Obu::split(&bare), Some((obu, &[][..])));
    }

    #[test]
    fn a_unit_that_is_cut_short_is_none() {
        let whole = unit(&[(OBU_FRAME, &[1, 2, 3])]);
        for length in 0..whole.len() {
            assert_eq!(Obu::split(&whole[..length]), None, "{length}");
        }
        assert_eq!(Obu::split(&[0x80, 1]), None, "the forbidden bit");
        assert_eq!(Obu::split(&[0x14]), None, "no extension");
    }

    #[test]
    fn numbers_have_eight_bytes_and_32_bits_at_most() {
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26, 1]), Some((624_485, &[1][..])));
        assert_eq!(
            leb128(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
            Some((0, &[][..]))
        );
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(leb128(&[0x80; 9]), None);
        assert_eq!(leb128(&[0x80]), None);
    }

    #[test]
    fn a_key_frame_behind_its_sequence_header_tells_the_size() {
        let size = Some(VideoSize::new(320, 180));
        let check = |obus: &[(u8, &[u8])], key: bool| {
            let size = size.filter(|_| key);
            assert_eq!(header(&unit(obus)), Some(Header { key, size }), "{obus:?}");
        };
        check(
            &[(OBU_SEQUENCE_HEADER, SEQUENCE), (OBU_FRAME, &[0x10])],
            true,
        );
        check(
            &[(OBU_SEQUENCE_HEADER, SEQUENCE), (OBU_FRAME_HEADER, &[0x1f])],
            true,
        );
        check(&[(OBU_FRAME, &[0x10])], false);
        for other in [0x30, 0x80, 0x00] {
            check(
                &[(OBU_SEQUENCE_HEADER, SEQUENCE), (OBU_FRAME, &[other])],
                false,
            );
        }
        assert_eq!(header(&unit(&[(OBU_SEQUENCE_HEADER, SEQUENCE)])), None);
    }

    #[test]
    fn a_sequence_header_tells_what_a_decoder_must_be_able_to_do() {
        let read = sequence_header(SEQUENCE).expect("it is whole");
        assert!(read.is_usual());
        assert_eq!((read.profile, read.level, read.high_tier), (0, 0, false));
        assert_eq!(read.size, VideoSize::new(320, 180));
        // The same in 10 bits, in 4:4:4 and without colours.
        let other = |head: u8, tail: &[u8]| {
            let whole = [&[head], &SEQUENCE[1..8], tail].concat();
            let read = sequence_header(&whole).expect("it is whole");
            assert!(!read.is_usual());
            (read.profile, read.bits, read.monochrome, read.halved)
        };
        assert_eq!(
            other(0x00, &[0xf9, 0x40, 0x40]),
            (0, 10, false, (true, true))
        );
        assert_eq!(other(0x20, &[0xf9, 0x02]), (1, 8, false, (false, false)));
        assert_eq!(other(0x00, &[0xf9, 0x2a]), (0, 8, true, (true, true)));
        for length in 0..9 {
            assert_eq!(sequence_header(&SEQUENCE[..length]), None, "{length}");
        }
    }
}
