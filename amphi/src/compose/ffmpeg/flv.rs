//! Reading coded pictures from FLV (Adobe Flash Video File Format Specification 10.1, annex E), the one format of ffmpeg's that says
//! in front of each picture how long it is and writes it out at once. Nothing that it says is believed without a look.

use amphi_media::{VideoSize, h264};
use bytes::{Buf, Bytes, BytesMut};

/// No coded picture is larger, in bytes: a key frame of 4K is a tenth of it.
const TAG_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Signature, version, flags, offset; and the size of the tag before the first, which is none.
const HEAD_BYTES: usize = 9 + 4;
const TAG_HEAD_BYTES: usize = 11;
/// Stands behind each tag.
const TAG_TAIL_BYTES: usize = 4;

const TAG_VIDEO: u8 = 9;
const TAG_SCRIPT: u8 = 18;
/// `CodecID` of H.264.
const AVC: u8 = 7;
/// `AVCPacketType`.
const AVC_PARAMETERS: u8 = 0;
const AVC_PICTURE: u8 = 1;
const AVC_END: u8 = 2;
/// Parameter sets of one kind in one `AVCDecoderConfigurationRecord`; encoders send one.
const SETS_MAX: usize = 8;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Puts coded pictures together from what a pipe gives.
#[derive(Default)]
pub struct Reader {
    bytes: BytesMut,
    begun: bool,
    /// Parameter sets in Annex B form.
    parameters: Bytes,
    /// How many bytes the length in front of a NAL unit has.
    length_bytes: usize,
}

/// One coded picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// Modulo 2³¹.
    pub time_ms: u32,
    /// It stands for itself, and its parameter sets are in front of it.
    pub key: bool,
    /// What those say.
    pub size: Option<VideoSize>,
    /// An access unit of H.264 in Annex B form, of slices and parameter sets alone.
    pub data: Bytes,
}

/// What was read is not what an encoder writes, in words that follow "it wrote". Nothing helps but another encoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Nonsense(&'static str);

impl Reader {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole picture. **Call until there is none, so that no more than one waits.**
    pub fn next_picture(&mut self) -> Result<Option<Picture>, Nonsense> {
        if !self.begun {
            let seen = self.bytes.len().min(3);
            if self.bytes[..seen] != b"FLV"[..seen] {
                return Err(Nonsense("something that is no FLV"));
            }
            if self.bytes.len() < HEAD_BYTES {
                return Ok(None);
            }
            if self.bytes[5..9] != [0, 0, 0, 9] {
                return Err(Nonsense("an FLV with another head"));
            }
            self.bytes.advance(HEAD_BYTES);
            self.begun = true;
        }
        while let Some(head) = self.bytes.first_chunk::<TAG_HEAD_BYTES>() {
            let [kind, l0, l1, l2, t0, t1, t2, t3, ..] = *head;
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            // The highest byte comes last.
            let time_ms = u32::from_be_bytes([t3 & 0x7f, t0, t1, t2]);
            if length > TAG_BYTES_MAX {
                return Err(Nonsense("a picture beyond all bounds"));
            }
            if kind != TAG_VIDEO && kind != TAG_SCRIPT {
                return Err(Nonsense("something that is no picture"));
            }
            if self.bytes.len() < TAG_HEAD_BYTES + length + TAG_TAIL_BYTES {
                break;
            }
            self.bytes.advance(TAG_HEAD_BYTES);
            let tag = self.bytes.split_to(length).freeze();
            self.bytes.advance(TAG_TAIL_BYTES);
            if kind == TAG_VIDEO
                && let Some(picture) = self.video(tag, time_ms)?
            {
                return Ok(Some(picture));
            }
        }
        Ok(None)
    }

    fn video(&mut self, mut tag: Bytes, time_ms: u32) -> Result<Option<Picture>, Nonsense> {
        let Some([what, kind, c0, c1, c2]) = tag.first_chunk::<5>().copied() else {
            return Err(Nonsense("a picture that is too short"));
        };
        if what & 0x0f != AVC {
            return Err(Nonsense("another codec than H.264"));
        }
        tag.advance(5);
        match kind {
            AVC_PARAMETERS => self.read_parameters(&tag)?,
            AVC_PICTURE if [c0, c1, c2] != [0; 3] => {
                return Err(Nonsense(
                    "pictures in another order than they are shown in (its options must not ask for B-frames)",
                ));
            }
            AVC_PICTURE => return self.picture(&tag, time_ms).map(Some),
            AVC_END => {}
            _ => return Err(Nonsense("an unknown kind of H.264")),
        }
        Ok(None)
    }

    /// An `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).
    fn read_parameters(&mut self, record: &[u8]) -> Result<(), Nonsense> {
        let wrong = Nonsense("parameter sets that cannot be read");
        let [1, _, _, _, lengths, rest @ ..] = record else {
            return Err(wrong);
        };
        let mut parameters = BytesMut::new();
        let mut rest = rest;
        for mask in [0x1f, 0xff] {
            let (count, mut sets) = rest.split_first().ok_or(wrong)?;
            let count = usize::from(count & mask);
            if count == 0 || count > SETS_MAX {
                return Err(wrong);
            }
            for _ in 0..count {
                let (length, after) = sets.split_first_chunk().ok_or(wrong)?;
                let length = usize::from(u16::from_be_bytes(*length));
                let (set, after) = after.split_at_checked(length).ok_or(wrong)?;
                parameters.extend_from_slice(&START_CODE);
                parameters.extend_from_slice(set);
                sets = after;
            }
            rest = sets;
        }
        self.length_bytes = usize::from(lengths & 3) + 1;
        self.parameters = parameters.freeze();
        Ok(())
    }

    fn picture(&self, mut units: &[u8], time_ms: u32) -> Result<Picture, Nonsense> {
        let wrong = Nonsense("a picture that cannot be read");
        if self.parameters.is_empty() {
            return Err(Nonsense("a picture before its parameter sets"));
        }
        let mut data = BytesMut::with_capacity(self.parameters.len() + units.len() + 64);
        let (mut key, mut has_slices, mut has_sets) = (false, false, false);
        while !units.is_empty() {
            let (length, after) = units.split_at_checked(self.length_bytes).ok_or(wrong)?;
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let (unit, after) = after.split_at_checked(length).ok_or(wrong)?;
            units = after;
            match h264::nal_type(unit) {
                Some(h264::NAL_IDR) => (key, has_slices) = (true, true),
                Some(h264::NAL_SLICE) => has_slices = true,
                Some(h264::NAL_SPS) => has_sets = true,
                Some(h264::NAL_PPS) => {}
                // Delimiters, fillers, what an encoder tells of itself.
                _ => continue,
            }
            data.extend_from_slice(&START_CODE);
            data.extend_from_slice(unit);
        }
        if !has_slices {
            return Err(wrong);
        }
        let mut data = data.freeze();
        if key && !has_sets {
            data = [&self.parameters[..], &data[..]].concat().into();
        }
        let size = h264::nal_units(&data)
            .find_map(h264::sps)
            .map(|sps| sps.size);
        Ok(Picture {
            time_ms,
            key,
            size: size.filter(|_| key),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 320x180 by x264 (High, level 1.2).
    const SPS: &[u8] = &[
        0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03,
        0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0x99, 0x60,
    ];
    const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];

    fn head() -> Vec<u8> {
        b"FLV\x01\x01\0\0\0\x09\0\0\0\0".to_vec()
    }

    fn tag(kind: u8, time_ms: u32, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32).to_be_bytes();
        let [t3, t0, t1, t2] = time_ms.to_be_bytes();
        let mut tag = vec![
            kind, length[1], length[2], length[3], t0, t1, t2, t3, 0, 0, 0,
        ];
        tag.extend(content);
        tag.extend((content.len() as u32 + 11).to_be_bytes());
        tag
    }

    fn parameters() -> Vec<u8> {
        let mut record = vec![
            0x17,
            0,
            0,
            0,
            0,
            1,
            0x64,
            0,
            0x0c,
            0xff,
            0xe1,
            0,
            SPS.len() as u8,
        ];
        record.extend(SPS);
        record.extend([1, 0, PPS.len() as u8]);
        record.extend(PPS);
        tag(TAG_VIDEO, 0, &record)
    }

    fn picture(time_ms: u32, units: &[&[u8]]) -> Vec<u8> {
        let mut content = vec![0x27, 1, 0, 0, 0];
        for unit in units {
            content.extend((unit.len() as u32).to_be_bytes());
            content.extend(*unit);
        }
        tag(TAG_VIDEO, time_ms, &content)
    }

    /// What comes of it when it is read in pieces of so many bytes.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Picture>, Nonsense> {
        let mut reader = Reader::default();
        let mut pictures = Vec::new();
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            while let Some(picture) = reader.next_picture()? {
                pictures.push(picture);
            }
        }
        Ok(pictures)
    }

    #[test]
    fn pictures_come_out_with_their_parameters_however_they_are_cut() {
        let bytes = [
            head(),
            tag(TAG_SCRIPT, 0, b"onMetaData"),
            parameters(),
            picture(0, &[&[0x06, 1, 2], &[0x65, 7, 7]]),
            picture(0x7f00_0021, &[&[0x09, 0x10], &[0x41, 8], &[0x41, 9]]),
            tag(TAG_VIDEO, 40, &[0x17, 2, 0, 0, 0]),
        ]
        .concat();
        let start = |unit: &[u8]| [&START_CODE[..], unit].concat();
        let expected = vec![
            Picture {
                time_ms: 0,
                key: true,
                size: Some(VideoSize::new(320, 180)),
                data: [start(SPS), start(PPS), start(&[0x65, 7, 7])]
                    .concat()
                    .into(),
            },
            Picture {
                time_ms: 0x7f00_0021,
                key: false,
                size: None,
                data: [start(&[0x41, 8]), start(&[0x41, 9])].concat().into(),
            },
        ];
        for piece in [1, 7, bytes.len()] {
            assert_eq!(
                read(&bytes, piece).as_ref(),
                Ok(&expected),
                "in pieces of {piece}"
            );
        }
    }

    #[test]
    fn what_no_encoder_writes_is_refused_in_words() {
        let whole = |rest: Vec<u8>| [head(), parameters(), rest].concat();
        let mut reordered = picture(0, &[&[0x65, 7]]);
        reordered[TAG_HEAD_BYTES + 4] = 33;
        let mut cut_short = picture(0, &[&[0x65, 7, 7, 7]]);
        cut_short[TAG_HEAD_BYTES + 8] = 200;
        for (bytes, words) in [
            (b"FUN".to_vec(), "no FLV"),
            (b"FLV\x01\x01\0\0\0\x0a\0\0\0\0".to_vec(), "another head"),
            (
                whole(vec![9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]),
                "bounds",
            ),
            (whole(tag(8, 0, &[0xaf, 1, 2])), "no picture"),
            (
                whole(tag(TAG_VIDEO, 0, &[0x12, 1, 0, 0, 0, 9])),
                "another codec",
            ),
            (whole(tag(TAG_VIDEO, 0, &[0x17])), "too short"),
            (
                whole(tag(TAG_VIDEO, 0, &[0x17, 9, 0, 0, 0])),
                "unknown kind",
            ),
            (
                whole(tag(TAG_VIDEO, 0, &[0x17, 0, 0, 0, 0, 1, 2, 3])),
                "parameter sets",
            ),
            (whole(picture(0, &[])), "cannot be read"),
            (whole(picture(0, &[&[0x06, 1]])), "cannot be read"),
            (whole(cut_short), "cannot be read"),
            (whole(reordered), "another order"),
            (
                [head(), picture(0, &[&[0x65, 7]])].concat(),
                "before its parameter sets",
            ),
        ] {
            let refused = read(&bytes, 5).expect_err(words);
            assert!(refused.to_string().contains(words), "{refused}: {words}");
        }
    }
}
