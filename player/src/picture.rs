//! How large a picture is, as its sequence parameter set says (ITU-T H.264 §7.3.2.1.1).

/// Width and height after cropping; none of what cannot be read.
pub(crate) fn size(sps: &[u8]) -> Option<(u32, u32)> {
    let plain = without_emulation(sps.get(1..)?);
    let mut bits = Bits {
        bytes: &plain,
        at: 0,
    };
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.unsigned()?;
    let mut chroma = 1;
    let mut planes_apart = false;
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
        chroma = bits.unsigned()?;
        planes_apart = chroma == 3 && bits.take(1)? == 1;
        bits.unsigned()?;
        bits.unsigned()?;
        bits.take(1)?;
        if bits.take(1)? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.take(1)? == 1 {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.take(1)?;
            bits.unsigned()?;
            bits.unsigned()?;
            for _ in 0..bits.unsigned()?.min(255) {
                bits.unsigned()?;
            }
        }
        _ => {}
    }
    bits.unsigned()?;
    bits.take(1)?;
    let width = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
    let rows = bits.unsigned()?.checked_add(1)?;
    let frames_only = bits.take(1)?;
    if frames_only == 0 {
        bits.take(1)?;
    }
    let height = rows.checked_mul(16)?.checked_mul(2 - frames_only)?;
    bits.take(1)?;
    if bits.take(1)? == 0 {
        return Some((width, height));
    }
    let (across, down) = match chroma {
        _ if planes_apart => (1, 1),
        0 | 3 => (1, 1),
        2 => (2, 1),
        _ => (2, 2),
    };
    let mut side = |unit: u32| {
        let (one, other) = (bits.unsigned()?, bits.unsigned()?);
        one.checked_add(other)?.checked_mul(unit)
    };
    let (cut_across, cut_down) = (side(across)?, side(down * (2 - frames_only))?);
    Some((
        width.checked_sub(cut_across)?,
        height.checked_sub(cut_down)?,
    ))
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            let code = i64::from(bits.unsigned()?);
            let delta = if code % 2 == 1 {
                (code + 1) / 2
            } else {
                -(code / 2)
            };
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// Takes out the bytes that keep start codes from appearing (§7.4.1.1).
fn without_emulation(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// ue(v) of §9.1.
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        Some((1u32 << zeros) - 1 + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_cropping() {
        // Of x264, constrained baseline: 20x12 macroblocks of which 12 rows are cropped, and 80x45.
        let small = [
            0x67, 0x42, 0xc0, 0x0c, 0xda, 0x05, 0x06, 0x7e, 0x7c, 0x04, 0x40, 0x00, 0x00, 0x03,
            0x00, 0x40, 0x00, 0x00, 0x0c, 0x83, 0xc5, 0x0a, 0xa8,
        ];
        let large = [
            0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0x04, 0x40, 0x00, 0x00, 0x03,
            0x00, 0x40, 0x00, 0x00, 0x0c, 0x83, 0xc6, 0x0c, 0xa8,
        ];
        assert_eq!(size(&small), Some((320, 180)));
        assert_eq!(size(&large), Some((1280, 720)));
        assert_eq!(size(&small[..5]), None);
        assert_eq!(size(&[]), None);
    }
}
