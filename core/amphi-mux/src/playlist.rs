//! Playlists as text (RFC 8216bis). What is in them is decided in `window.rs` and `recording/`; here is how it is written.

use std::cell::OnceCell;
use std::fmt::Write;

use amphi_media::VideoSize;

use crate::packager::{RUNGS_MAX, Rendition};

/// Low-latency playlists with `EXT-X-MAP` need 6; `EXT-X-GAP` needs 8 (RFC 8216bis §8).
const VERSION: u32 = 8;
/// … and delta updates need 9.
const VERSION_OF_DELTAS: u32 = 9;

/// The names of the playlists that the multivariant playlist names.
impl Rendition {
    /// "video", "video1" and so on down the ladder, "audio", "opus", "captions".
    pub fn name(self) -> String {
        match self {
            Rendition::Video => "video".to_owned(),
            Rendition::Lower { rung } => format!("video{rung}"),
            Rendition::Audio => "audio".to_owned(),
            Rendition::Opus => "opus".to_owned(),
            Rendition::Captions => "captions".to_owned(),
        }
    }

    pub fn playlist_name(self) -> String {
        format!("{}.m3u8", self.name())
    }

    pub fn of_playlist(name: &str) -> Option<Self> {
        match name.strip_suffix(".m3u8")? {
            "video" => Some(Rendition::Video),
            "audio" => Some(Rendition::Audio),
            "opus" => Some(Rendition::Opus),
            "captions" => Some(Rendition::Captions),
            other => lower(other.strip_prefix("video")?),
        }
    }

    /// Of an initialization section, a segment or a part, by its name.
    pub fn of_file(name: &str) -> Option<Self> {
        Name::parse(name).map(|name| name.rendition)
    }
}

fn lower(rung: &str) -> Option<Rendition> {
    let rung = u8::try_from(number(rung)?).ok()?;
    let is_lower = (1..RUNGS_MAX).contains(&rung);
    is_lower.then_some(Rendition::Lower { rung })
}

/// A file of a program: what stands in its playlists, and what is asked for by it. No name is ever given to other bytes,
/// since an epoch is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    pub rendition: Rendition,
    pub epoch: u64,
    pub file: File,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum File {
    Init { generation: u32 },
    Segment { sequence: u64 },
    Part { sequence: u64, index: u32 },
}

impl Name {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (head, rest) = name.split_once('-')?;
        let (epoch, rendition) = match head.split_at_checked(1)? {
            ("a", epoch) => (epoch, Rendition::Audio),
            ("o", epoch) => (epoch, Rendition::Opus),
            ("c", epoch) => (epoch, Rendition::Captions),
            ("v", head) => match head.split_once('r') {
                Some((epoch, rung)) => (epoch, lower(rung)?),
                None => (head, Rendition::Video),
            },
            _ => return None,
        };
        let file = if let Some(generation) = rest
            .strip_suffix("-init.mp4")
            .filter(|_| rendition != Rendition::Captions)
        {
            File::Init {
                generation: number(generation)?.try_into().ok()?,
            }
        } else {
            let media = rest.strip_suffix(extension(rendition))?;
            match media.split_once('.') {
                Some((sequence, index)) => File::Part {
                    sequence: number(sequence)?,
                    index: number(index)?.try_into().ok()?,
                },
                None => File::Segment {
                    sequence: number(media)?,
                },
            }
        };
        Some(Self {
            rendition,
            epoch: number(epoch)?,
            file,
        })
    }
}

/// Of segments and parts.
fn extension(rendition: Rendition) -> &'static str {
    match rendition {
        Rendition::Video | Rendition::Lower { .. } | Rendition::Audio | Rendition::Opus => ".m4s",
        Rendition::Captions => ".vtt",
    }
}

/// Only as we write it: no sign, no leading zero, so that one thing has one name.
fn number(text: &str) -> Option<u64> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rendition {
            Rendition::Video => write!(f, "v{}-", self.epoch)?,
            Rendition::Lower { rung } => write!(f, "v{}r{rung}-", self.epoch)?,
            Rendition::Audio => write!(f, "a{}-", self.epoch)?,
            Rendition::Opus => write!(f, "o{}-", self.epoch)?,
            Rendition::Captions => write!(f, "c{}-", self.epoch)?,
        }
        let extension = extension(self.rendition);
        match self.file {
            File::Init { generation } => write!(f, "{generation}-init.mp4"),
            File::Segment { sequence } => write!(f, "{sequence}{extension}"),
            File::Part { sequence, index } => write!(f, "{sequence}.{index}{extension}"),
        }
    }
}

/// A thumbnail of a program: like [`Name`], but of no rendition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ThumbnailName {
    pub epoch: u64,
    pub slot: u64,
}

impl ThumbnailName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (epoch, slot) = name
            .strip_prefix('i')?
            .strip_suffix(".jpg")?
            .split_once('-')?;
        Some(Self {
            epoch: number(epoch)?,
            slot: number(slot)?,
        })
    }
}

impl std::fmt::Display for ThumbnailName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "i{}-{}.jpg", self.epoch, self.slot)
    }
}

/// The name of the list of thumbnails.
pub(crate) const THUMBNAILS: &str = "thumbnails.m3u8";

/// A list of thumbnails: an Image Media Playlist.
pub(crate) struct Images {
    /// Seconds from the beginning of one's slot to that of the next.
    pub duration: f64,
    /// Of slots that follow each other.
    pub images: Vec<Image>,
    pub ended: bool,
}

pub(crate) struct Image {
    pub name: ThumbnailName,
    /// Unix time in milliseconds of what is on it.
    pub date_ms: i64,
    /// None where there is none.
    pub size: Option<VideoSize>,
}

impl Images {
    pub(crate) fn render(&self) -> String {
        let mut out = String::with_capacity(256 + self.images.len() * 160);
        self.write(&mut out)
            .expect("a String takes all that is written to it");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self {
            duration,
            images,
            ended,
        } = self;
        writeln!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{}",
            duration.round() as u64
        )?;
        let first = images.first().map_or(0, |image| image.name.slot);
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-IMAGES-ONLY")?;
        for Image {
            name,
            date_ms,
            size,
        } in images
        {
            writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", Date(*date_ms))?;
            match size {
                Some(VideoSize { width, height }) => writeln!(
                    out,
                    "#EXTINF:{duration:.5},\n#EXT-X-TILES:RESOLUTION={width}x{height},LAYOUT=1x1,DURATION={duration:.5}"
                )?,
                None => writeln!(out, "#EXT-X-GAP\n#EXTINF:{duration:.5},")?,
            }
            writeln!(out, "{name}")?;
        }
        match ended {
            true => writeln!(out, "#EXT-X-ENDLIST"),
            false => Ok(()),
        }
    }
}

/// A live media playlist.
pub(crate) struct Live<'a> {
    pub rendition: Rendition,
    pub epoch: u64,
    pub target_duration: u64,
    pub part_target: f64,
    /// PART-HOLD-BACK, in seconds.
    pub part_hold_back: f64,
    /// CAN-SKIP-UNTIL, in seconds; none when there are no delta updates.
    pub skip_until: Option<u64>,
    /// So many of the first segments are left out: this is a delta update.
    pub skipped: usize,
    pub segments: Vec<LiveSegment<'a>>,
    /// The newest part of each other playlist.
    pub reports: Vec<Report>,
    pub ended: bool,
}

/// Another playlist's newest part.
pub(crate) struct Report {
    pub rendition: Rendition,
    pub sequence: u64,
    pub part: u32,
}

pub(crate) struct LiveSegment<'a> {
    pub sequence: u64,
    pub generation: u32,
    /// Whose initialization section it needs.
    pub map: Rendition,
    /// Unix time in milliseconds of its first sample.
    pub date_ms: i64,
    /// None while it is being filled.
    pub duration: Option<f64>,
    pub gap: bool,
    /// Empty when they are too old to be listed.
    pub parts: Vec<LivePart>,
    /// Its lines, once written, of a segment of which nothing else will be said.
    pub lines: Option<&'a OnceCell<String>>,
}

pub(crate) struct LivePart {
    pub duration: f64,
    pub independent: bool,
}

impl Live<'_> {
    pub(crate) fn render(&self) -> String {
        let mut out = String::with_capacity(4096 + self.segments.len() * 128);
        let name = |file| Name {
            rendition: self.rendition,
            epoch: self.epoch,
            file,
        };
        write_live(&mut out, self, &name).expect("a String takes all that is written to it");
        out
    }
}

fn write_live(out: &mut String, live: &Live<'_>, name: &dyn Fn(File) -> Name) -> std::fmt::Result {
    let first = live.segments.first();
    let version = live.skip_until.map_or(VERSION, |_| VERSION_OF_DELTAS);
    writeln!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}",
        live.target_duration
    )?;
    write!(
        out,
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},HOLD-BACK={:.1}",
        live.part_hold_back,
        live.target_duration as f64 * 3.0,
    )?;
    match live.skip_until {
        Some(seconds) => writeln!(out, ",CAN-SKIP-UNTIL={seconds}.0")?,
        None => writeln!(out)?,
    }
    writeln!(out, "#EXT-X-PART-INF:PART-TARGET={:.3}", live.part_target)?;
    writeln!(
        out,
        "#EXT-X-MEDIA-SEQUENCE:{}",
        first.map_or(0, |segment| segment.sequence)
    )?;
    let generation = first.map_or(0, |segment| segment.generation);
    // A generation is a discontinuity, so its number is the sequence number of the first segment's, whose own tag is
    // left out (RFC 8216bis §6.2.2: a tag that leaves the playlist counts one up).
    writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{generation}")?;
    if !live.rendition.is_picture() {
        // Of the picture it cannot be promised: a source may keep its key frame back.
        writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
    }
    let (skipped, written) = live
        .segments
        .split_at(live.skipped.min(live.segments.len()));
    if !skipped.is_empty() {
        writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={}", skipped.len())?;
    }
    // The map of what is skipped is said again: whoever lost it needs no other playlist for it.
    let mut current = skipped.last().map(|last| last.generation);
    let mut mapped = None;
    for segment in written {
        for _ in current.unwrap_or(segment.generation)..segment.generation {
            writeln!(out, "#EXT-X-DISCONTINUITY")?;
        }
        current = Some(segment.generation);
        let map = Name {
            rendition: segment.map,
            ..name(File::Init {
                generation: segment.generation,
            })
        };
        // WebVTT needs none (RFC 8216bis §3.1.4).
        if mapped != Some(map) && map.rendition != Rendition::Captions {
            writeln!(out, "#EXT-X-MAP:URI=\"{map}\"")?;
            mapped = Some(map);
        }
        match segment.lines {
            Some(lines) => out.push_str(lines.get_or_init(|| {
                let mut lines = String::new();
                write_segment(&mut lines, segment, name)
                    .expect("a String takes all that is written to it");
                lines
            })),
            None => write_segment(out, segment, name)?,
        }
    }
    if live.ended {
        return writeln!(out, "#EXT-X-ENDLIST");
    }
    if let Some(last) = live.segments.last() {
        let next = match last.duration {
            Some(_) => File::Part {
                sequence: last.sequence + 1,
                index: 0,
            },
            None => File::Part {
                sequence: last.sequence,
                index: u32::try_from(last.parts.len()).expect("a segment has a dozen parts"),
            },
        };
        writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"", name(next))?;
    }
    for report in &live.reports {
        writeln!(
            out,
            "#EXT-X-RENDITION-REPORT:URI=\"{}\",LAST-MSN={},LAST-PART={}",
            report.rendition.playlist_name(),
            report.sequence,
            report.part,
        )?;
    }
    Ok(())
}

fn write_segment(
    out: &mut String,
    segment: &LiveSegment<'_>,
    name: &dyn Fn(File) -> Name,
) -> std::fmt::Result {
    writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", Date(segment.date_ms))?;
    for (index, part) in segment.parts.iter().enumerate() {
        let index = u32::try_from(index).expect("a segment has a dozen parts");
        let independent = if part.independent {
            ",INDEPENDENT=YES"
        } else {
            ""
        };
        let uri = name(File::Part {
            sequence: segment.sequence,
            index,
        });
        writeln!(
            out,
            "#EXT-X-PART:DURATION={:.5},URI=\"{uri}\"{independent}",
            part.duration
        )?;
    }
    if segment.gap {
        writeln!(out, "#EXT-X-GAP")?;
    }
    if let Some(duration) = segment.duration {
        writeln!(
            out,
            "#EXTINF:{duration:.5},\n{}",
            name(File::Segment {
                sequence: segment.sequence
            })
        )?;
    }
    Ok(())
}

/// What was measured of one rendition, for the multivariant playlist.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Measured {
    /// RFC 6381, the newest first.
    pub codecs: Vec<String>,
    pub size: Option<VideoSize>,
    pub bits: Bits,
    pub frame_rate: f64,
}

/// Bits a second: the most of any segment, and of all together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bits {
    pub peak: u64,
    pub average: u64,
}

/// `rungs` from the top on, with their playlists; none when there is no picture. `sounds`, each with its playlist: all variants are listed
/// with the first one, and then with the next, so that a player which reads no further has what every player plays. `captions`: what they take, where there are some. `thumbnails`: their
/// size, and bits a second.
pub(crate) fn multivariant(
    rungs: &[(Rendition, Measured)],
    sounds: &[(Rendition, Measured)],
    captions: Option<Bits>,
    thumbnails: Option<(VideoSize, u64)>,
) -> String {
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n");
    write_multivariant(&mut out, rungs, sounds, captions, thumbnails)
        .expect("a String takes all that is written to it");
    out
}

fn write_multivariant(
    out: &mut String,
    rungs: &[(Rendition, Measured)],
    sounds: &[(Rendition, Measured)],
    captions: Option<Bits>,
    thumbnails: Option<(VideoSize, u64)>,
) -> std::fmt::Result {
    let group = |sound: Rendition| match sound {
        Rendition::Opus => "mix-opus",
        Rendition::Audio | Rendition::Video | Rendition::Lower { .. } | Rendition::Captions => {
            "mix"
        }
    };
    // All variants have the same ones.
    let text = match captions {
        Some(_) => ",SUBTITLES=\"captions\"",
        None => "",
    };
    let captions_bits = captions.unwrap_or_default();
    if rungs.is_empty() {
        writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS")?;
    } else {
        for (sound, _) in sounds {
            writeln!(
                out,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\",NAME=\"Mix\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"{}\"",
                group(*sound),
                sound.playlist_name(),
            )?;
        }
    }
    if captions.is_some() {
        writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"captions\",NAME=\"Captions\",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog\",URI=\"{}\"",
            Rendition::Captions.playlist_name(),
        )?;
    }
    for (sound, audio) in sounds {
        let group = match rungs.is_empty() {
            true => String::new(),
            false => format!(",AUDIO=\"{}\"", group(*sound)),
        };
        for (rendition, video) in rungs {
            let size = video.size.unwrap_or_default();
            writeln!(
                out,
                "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{},{}\",RESOLUTION={}x{},FRAME-RATE={:.3}{group}{text}\n{}",
                video.bits.peak + audio.bits.peak + captions_bits.peak,
                video.bits.average + audio.bits.average + captions_bits.average,
                video.codecs.join(","),
                audio.codecs.join(","),
                size.width,
                size.height,
                video.frame_rate,
                rendition.playlist_name(),
            )?;
        }
        // For who has no room for a picture, too; players that show pictures pass it over.
        writeln!(
            out,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"{group}{text}\n{}",
            audio.bits.peak + captions_bits.peak,
            audio.bits.average + captions_bits.average,
            audio.codecs.join(","),
            sound.playlist_name(),
        )?;
    }
    match thumbnails {
        Some((VideoSize { width, height }, bits)) => writeln!(
            out,
            "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH={bits},RESOLUTION={width}x{height},CODECS=\"jpeg\",URI=\"{THUMBNAILS}\"",
        ),
        None => Ok(()),
    }
}

/// A playlist of a finished file by byte ranges.
pub(crate) struct Vod<'a> {
    pub uri: &'a str,
    pub segments: Vec<VodSegment>,
}

#[derive(Clone, Copy)]
pub(crate) struct VodSegment {
    /// (offset, length) of the initialization section.
    pub map: (u64, u64),
    /// (offset, length).
    pub bytes: (u64, u64),
    pub duration: f64,
    pub date_ms: i64,
    /// Something before it is missing.
    pub discontinuity: bool,
}

impl Vod<'_> {
    pub(crate) fn render(&self) -> String {
        let mut out = String::with_capacity(256 + self.segments.len() * 80);
        self.write(&mut out)
            .expect("a String takes all that is written to it");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let longest = self
            .segments
            .iter()
            .map(|segment| segment.duration.round() as u64)
            .max()
            .unwrap_or(0)
            .max(1);
        writeln!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{longest}\n#EXT-X-PLAYLIST-TYPE:VOD"
        )?;
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:0")?;
        let mut map = None;
        for (index, segment) in self.segments.iter().enumerate() {
            if segment.discontinuity && index > 0 {
                writeln!(out, "#EXT-X-DISCONTINUITY")?;
            }
            if map != Some(segment.map) {
                let (offset, length) = segment.map;
                writeln!(
                    out,
                    "#EXT-X-MAP:URI=\"{}\",BYTERANGE=\"{length}@{offset}\"",
                    self.uri
                )?;
                map = Some(segment.map);
            }
            if index == 0 || segment.discontinuity {
                writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", Date(segment.date_ms))?;
            }
            let (offset, length) = segment.bytes;
            writeln!(
                out,
                "#EXTINF:{:.5},\n#EXT-X-BYTERANGE:{length}@{offset}\n{}",
                segment.duration, self.uri
            )?;
        }
        writeln!(out, "#EXT-X-ENDLIST")
    }
}

/// Unix milliseconds as RFC 3339 in UTC.
struct Date(i64);

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        // Howard Hinnant, "chrono-compatible low-level date algorithms": days since 1970 to year, month, day, with years
        // that begin in March.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
            ms % 1_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(Date(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Date(951_827_696_789).to_string(),
            "2000-02-29T12:34:56.789Z"
        );
        assert_eq!(
            Date(1_735_689_599_999).to_string(),
            "2024-12-31T23:59:59.999Z"
        );
        assert_eq!(Date(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_playlist_has_one_name() {
        let lower = (1..RUNGS_MAX).map(|rung| Rendition::Lower { rung });
        let all = lower
            .chain(Rendition::BOTH)
            .chain([Rendition::Opus, Rendition::Captions]);
        for rendition in all {
            let name = rendition.playlist_name();
            assert_eq!(Rendition::of_playlist(&name), Some(rendition));
        }
        for name in [
            "video0.m3u8",
            "video6.m3u8",
            "video01.m3u8",
            "audio1.m3u8",
            "video",
            "",
        ] {
            assert_eq!(Rendition::of_playlist(name), None, "{name}");
        }
    }

    #[test]
    fn a_thumbnail_has_one_name_and_no_other_file_has_it() {
        let name = ThumbnailName { epoch: 17, slot: 3 };
        assert_eq!(name.to_string(), "i17-3.jpg");
        assert_eq!(ThumbnailName::parse("i17-3.jpg"), Some(name));
        for other in [
            "i17-03.jpg",
            "i17-3.jpeg",
            "i17-.jpg",
            "i-3.jpg",
            "i17-3-4.jpg",
            "v17-3.jpg",
            "../i17-3.jpg",
            "i17-3.jpg/",
        ] {
            assert_eq!(ThumbnailName::parse(other), None, "{other}");
        }
        assert_eq!(Name::parse("i17-3.jpg"), None);
    }

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_no_other_spelling() {
        let names = [
            "v17-0-init.mp4",
            "a17-3-init.mp4",
            "v17-0.m4s",
            "a17-12.m4s",
            "v17-12.3.m4s",
            "v17r1-0-init.mp4",
            "v17r5-12.3.m4s",
            "o17-3-init.mp4",
            "o17-12.3.m4s",
            "c17-12.vtt",
            "c17-12.3.vtt",
            "a18446744073709551615-1.0.m4s",
        ];
        for name in names {
            assert_eq!(
                Name::parse(name).map(|name| name.to_string()).as_deref(),
                Some(name)
            );
        }
        let others = [
            "",
            "v",
            "v17",
            "v17-",
            "v17-.m4s",
            "x17-1.m4s",
            "v17-01.m4s",
            "v17-+1.m4s",
            "v017-1.m4s",
            "v17r0-1.m4s",
            "v17r6-1.m4s",
            "v17r01-1.m4s",
            "v17r-1.m4s",
            "a17r1-1.m4s",
            "o17r1-1.m4s",
            "c17-1.m4s",
            "c17-0-init.mp4",
            "a17-1.vtt",
            "v17-1.m4s ",
            "v17--init.mp4",
            "v17-1.2.3.m4s",
            "v17-1..m4s",
            "../v17-1.m4s",
            "v17-4294967296-init.mp4",
            "é17-1.m4s",
            "v17-18446744073709551616.m4s",
        ];
        for name in others {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }
}
