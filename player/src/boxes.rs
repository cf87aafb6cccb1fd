//! Reading boxes (ISO/IEC 14496-12) as far as a witness needs them: what an initialization section says of its track,
//! and when the samples of a fragment are shown. Any bytes are read without panic, in time in proportion to them.

use crate::picture;

/// A fragment with more samples is not believed: a segment of ours has some two hundred.
const SAMPLES_MAX: u32 = 100_000;
/// Fragments in one segment.
const FRAGMENTS_MAX: usize = 4_096;

/// What an initialization section says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Init {
    pub track: u32,
    /// Ticks per second.
    pub timescale: u32,
    /// RFC 6381: `avc1.42c01f`, `mp4a.40.2`.
    pub codec: String,
    /// Of the picture.
    pub size: Option<(u32, u32)>,
    default_duration: u32,
    default_size: u32,
    default_flags: u32,
}

/// One movie fragment: `moof` and `mdat`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Decoding time of the first sample, in ticks.
    pub time: u64,
    /// Of all samples together, in ticks.
    pub duration: u64,
    pub samples: u32,
    /// Samples that last longer than a millisecond: what one can see.
    pub pictures: u32,
    /// The first sample can be decoded without any before it.
    pub sync: bool,
}

type Kind = [u8; 4];

/// The boxes that `bytes` are made of: kind, what is in it, and where it begins.
struct Boxes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<(Kind, &'a [u8], usize), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let found = one_box(rest);
        let Some((kind, inside, size)) = found else {
            self.at = self.bytes.len();
            return Some(Err("a box is longer than what it is in".into()));
        };
        let at = self.at;
        self.at += size;
        Some(Ok((kind, inside, at)))
    }
}

fn one_box(rest: &[u8]) -> Option<(Kind, &[u8], usize)> {
    let kind: Kind = rest.get(4..8)?.try_into().ok()?;
    let (head, size) = match u32_at(rest, 0)? {
        0 => (8, rest.len()),
        1 => (16, usize::try_from(u64_at(rest, 8)?).ok()?),
        size => (8, usize::try_from(size).ok()?),
    };
    Some((kind, rest.get(head..size)?, size))
}

fn boxes(bytes: &[u8]) -> Boxes<'_> {
    Boxes { bytes, at: 0 }
}

/// The only box of this kind.
fn only<'a>(bytes: &'a [u8], kind: &Kind) -> Result<&'a [u8], String> {
    let mut found = None;
    for one in boxes(bytes) {
        let (this, inside, _) = one?;
        if this == *kind && found.replace(inside).is_some() {
            return Err(format!("there are two {}", name(kind)));
        }
    }
    found.ok_or_else(|| format!("there is no {}", name(kind)))
}

fn name(kind: &Kind) -> String {
    String::from_utf8_lossy(kind).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u32> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u32::from(u16::from_be_bytes(two.try_into().ok()?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(eight.try_into().ok()?))
}

/// A full box's version and flags (ISO/IEC 14496-12 §4.2).
fn flags(bytes: &[u8]) -> Option<(u8, u32)> {
    let word = u32_at(bytes, 0)?;
    Some(((word >> 24) as u8, word & 0x00ff_ffff))
}

impl Init {
    /// Reads `ftyp` and `moov` of one track.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.get(4..8) != Some(b"ftyp") {
            return Err("it does not begin with ftyp".into());
        }
        let moov = only(bytes, b"moov")?;
        let trak = only(moov, b"trak")?;
        let mdia = only(trak, b"mdia")?;
        let tkhd = only(trak, b"tkhd")?;
        let short = |what: &str| format!("{what} is too short");
        let long = flags(tkhd).ok_or_else(|| short("tkhd"))?.0 == 1;
        let track = u32_at(tkhd, if long { 20 } else { 12 }).ok_or_else(|| short("tkhd"))?;
        let sides = if long { 88 } else { 76 };
        let shown = (
            u32_at(tkhd, sides).ok_or_else(|| short("tkhd"))? >> 16,
            u32_at(tkhd, sides + 4).ok_or_else(|| short("tkhd"))? >> 16,
        );
        let mdhd = only(mdia, b"mdhd")?;
        let long = flags(mdhd).ok_or_else(|| short("mdhd"))?.0 == 1;
        let timescale = u32_at(mdhd, if long { 20 } else { 12 }).ok_or_else(|| short("mdhd"))?;
        if timescale == 0 {
            return Err("its timescale is zero".into());
        }
        let trex = only(only(moov, b"mvex")?, b"trex")?;
        if u32_at(trex, 4) != Some(track) {
            return Err("trex is of another track".into());
        }
        let word = |at| u32_at(trex, at).ok_or_else(|| short("trex"));
        let (codec, size) = sample_entry(only(only(only(mdia, b"minf")?, b"stbl")?, b"stsd")?)?;
        if let Some(size) = size.filter(|size| *size != shown) {
            return Err(format!(
                "tkhd says {}x{} and the picture is {}x{}",
                shown.0, shown.1, size.0, size.1
            ));
        }
        Ok(Self {
            track,
            timescale,
            codec,
            size,
            default_duration: word(12)?,
            default_size: word(16)?,
            default_flags: word(20)?,
        })
    }

    /// Ticks in seconds.
    pub fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / f64::from(self.timescale)
    }
}

/// Codec and size of the one sample entry.
fn sample_entry(stsd: &[u8]) -> Result<(String, Option<(u32, u32)>), String> {
    let entries = stsd.get(8..).ok_or("stsd is too short")?;
    let (kind, inside, _) = boxes(entries).next().ok_or("stsd is empty")??;
    match &kind {
        b"avc1" => {
            // VisualSampleEntry (§12.1.3): 78 bytes before its boxes.
            let said = (u16_at(inside, 24), u16_at(inside, 26));
            let avcc = only(inside.get(78..).ok_or("avc1 is too short")?, b"avcC")?;
            let head = avcc.get(1..4).ok_or("avcC is too short")?;
            let codec = format!("avc1.{:02x}{:02x}{:02x}", head[0], head[1], head[2]);
            let length = u16_at(avcc, 6).ok_or("avcC has no SPS")? as usize;
            let sps = avcc.get(8..8 + length).ok_or("avcC is too short")?;
            if sps.get(1..4) != Some(head) {
                return Err("avcC and its SPS are of two profiles".into());
            }
            let size = picture::size(sps).ok_or("its SPS cannot be read")?;
            if said != (Some(size.0), Some(size.1)) {
                return Err(format!(
                    "avc1 says {said:?} and its SPS {}x{}",
                    size.0, size.1
                ));
            }
            Ok((codec, Some(size)))
        }
        b"mp4a" => {
            let esds = only(inside.get(28..).ok_or("mp4a is too short")?, b"esds")?;
            let object = audio_object(esds).ok_or("esds cannot be read")?;
            Ok((format!("mp4a.{object}"), None))
        }
        b"Opus" => {
            // Encapsulation of Opus in ISOBMFF §4.3: 48 kHz whatever it is made of, and a box that says how it is decoded.
            let rate = u32_at(inside, 24).ok_or("Opus is too short")? >> 16;
            let dops = only(inside.get(28..).ok_or("Opus is too short")?, b"dOps")?;
            let channels = u32::from(*dops.get(1).ok_or("dOps is too short")?);
            if dops.first() != Some(&0) || rate != 48_000 || Some(channels) != u16_at(inside, 16) {
                return Err(format!(
                    "Opus says {rate} Hz and {channels} channels in dOps"
                ));
            }
            Ok(("opus".to_owned(), None))
        }
        other => Err(format!("{} is no codec that is known here", name(other))),
    }
}

/// `40.2` of an ES descriptor (ISO/IEC 14496-1 §7.2.6.5, ISO/IEC 14496-3 §1.6.2.1).
fn audio_object(esds: &[u8]) -> Option<String> {
    let stream = descriptor(esds.get(4..)?, 3)?;
    let options = *stream.get(2)?;
    let mut at = 3;
    at += if options & 0x80 != 0 { 2 } else { 0 };
    at += if options & 0x40 != 0 {
        1 + usize::from(*stream.get(at)?)
    } else {
        0
    };
    at += if options & 0x20 != 0 { 2 } else { 0 };
    let decoder = descriptor(stream.get(at..)?, 4)?;
    let object = *decoder.first()?;
    if object != 0x40 {
        return Some(format!("{object:02x}"));
    }
    let specific = descriptor(decoder.get(13..)?, 5)?;
    let kind = *specific.first()? >> 3;
    let kind = if kind == 31 {
        32 + ((u16_at(specific, 0)? >> 5) & 0x3f)
    } else {
        u32::from(kind)
    };
    Some(format!("40.{kind}"))
}

/// What is in the descriptor with this tag that `bytes` begin with.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    if *bytes.first()? != tag {
        return None;
    }
    let mut size = 0usize;
    for at in 1..=4 {
        let byte = *bytes.get(at)?;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return bytes.get(at + 1..(at + 1).checked_add(size)?);
        }
    }
    None
}

/// The fragments of a segment or a part.
pub fn fragments(bytes: &[u8], init: &Init) -> Result<Vec<Fragment>, String> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Fragment, u64)> = None;
    for one in boxes(bytes) {
        let (kind, inside, at) = one?;
        match &kind {
            b"moof" => {
                if open.is_some() {
                    return Err("a moof has no mdat".into());
                }
                let (fragment, samples) = movie_fragment(inside, init)?;
                open = Some((at, fragment, samples));
            }
            b"mdat" => {
                let Some((_, fragment, samples)) = open.take() else {
                    return Err("an mdat has no moof".into());
                };
                if samples != inside.len() as u64 {
                    return Err(format!(
                        "samples of {samples} bytes in an mdat of {}",
                        inside.len()
                    ));
                }
                if found.len() == FRAGMENTS_MAX {
                    return Err("it has more fragments than any segment".into());
                }
                found.push(fragment);
            }
            _ => {}
        }
    }
    if open.is_some() {
        return Err("a moof has no mdat".into());
    }
    if found.is_empty() {
        return Err("it has no fragment".into());
    }
    Ok(found)
}

/// What a `moof` says, and how many bytes its samples are.
fn movie_fragment(moof: &[u8], init: &Init) -> Result<(Fragment, u64), String> {
    let traf = only(moof, b"traf")?;
    let tfhd = only(traf, b"tfhd")?;
    let short = |what: &str| format!("{what} is too short");
    let (_, has) = flags(tfhd).ok_or_else(|| short("tfhd"))?;
    if u32_at(tfhd, 4) != Some(init.track) {
        return Err("a fragment is of another track".into());
    }
    if has & 1 != 0 {
        return Err("a fragment counts its bytes from the file's start".into());
    }
    let mut at = 8 + if has & 2 != 0 { 4 } else { 0 };
    let mut default = |bit: u32, otherwise: u32| {
        if has & bit == 0 {
            return Ok(otherwise);
        }
        at += 4;
        u32_at(tfhd, at - 4).ok_or_else(|| short("tfhd"))
    };
    let duration = default(8, init.default_duration)?;
    let size = default(16, init.default_size)?;
    let sample_flags = default(32, init.default_flags)?;
    let tfdt = only(traf, b"tfdt")?;
    let time = match flags(tfdt) {
        Some((1, _)) => u64_at(tfdt, 4),
        Some(_) => u32_at(tfdt, 4).map(u64::from),
        None => None,
    };
    let mut fragment = Fragment {
        time: time.ok_or_else(|| short("tfdt"))?,
        duration: 0,
        samples: 0,
        pictures: 0,
        sync: false,
    };
    let mut bytes = 0;
    for one in boxes(traf) {
        let (kind, inside, _) = one?;
        if &kind == b"trun" {
            let run = Run {
                duration,
                size,
                flags: sample_flags,
                instant: init.timescale / 1_000,
            };
            bytes += run.read(inside, &mut fragment)?;
        }
    }
    if fragment.samples == 0 {
        return Err("a fragment has no sample".into());
    }
    Ok((fragment, bytes))
}

/// What holds for samples of a `trun` that do not say it themselves.
struct Run {
    duration: u32,
    size: u32,
    flags: u32,
    /// Ticks that nobody can see.
    instant: u32,
}

impl Run {
    /// Adds a run's samples; says how many bytes they are.
    fn read(&self, trun: &[u8], fragment: &mut Fragment) -> Result<u64, String> {
        const SHORT: &str = "trun is too short";
        let (_, has) = flags(trun).ok_or(SHORT)?;
        let count = u32_at(trun, 4).ok_or(SHORT)?;
        let mut at = 8 + if has & 1 != 0 { 4 } else { 0 };
        let mut first = None;
        if has & 4 != 0 {
            first = Some(u32_at(trun, at).ok_or(SHORT)?);
            at += 4;
        }
        if count > SAMPLES_MAX - fragment.samples.min(SAMPLES_MAX) {
            return Err("it has more samples than any fragment".into());
        }
        let mut bytes = 0u64;
        for index in 0..count {
            let mut field = |bit: u32, otherwise: u32| {
                if has & bit == 0 {
                    return Ok(otherwise);
                }
                at += 4;
                u32_at(trun, at - 4).ok_or(SHORT)
            };
            let duration = field(0x100, self.duration)?;
            let size = field(0x200, self.size)?;
            let flags = field(0x400, self.flags)?;
            field(0x800, 0)?;
            let flags = first.filter(|_| index == 0).unwrap_or(flags);
            if fragment.samples == 0 {
                fragment.sync = flags & 0x0001_0000 == 0;
            }
            fragment.samples += 1;
            fragment.duration += u64::from(duration);
            fragment.pictures += u32::from(duration > self.instant);
            bytes += u64::from(size);
        }
        Ok(bytes)
    }
}
