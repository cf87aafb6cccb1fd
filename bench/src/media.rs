//! What is published: real coded pictures and sound, made once with ffmpeg and looped.

use std::process::Command;

use anyhow::{Context as _, ensure};
use bytes::Bytes;

/// Pictures per second of the fixture.
pub const FRAME_RATE: u32 = 30;
/// One key frame in so many pictures: two seconds.
pub const KEY_INTERVAL: usize = 60;
/// Long enough that the newest picture in a part is not taken for one of the loop before.
const SECONDS: usize = 10;

/// One loop of a camera and of a microphone.
pub struct Media {
    /// Pixels across and down.
    pub size: (u32, u32),
    /// See [`film`].
    pub pictures: Vec<Bytes>,
    /// Opus, 20 ms each, 32 kbit/s.
    pub sounds: Vec<Bytes>,
}

impl Media {
    pub fn make() -> anyhow::Result<Self> {
        Self::of(1280, 720, 1_500)
    }

    pub fn of(width: u32, height: u32, kbit_s: u32) -> anyhow::Result<Self> {
        let coded = film(0, width, height, kbit_s, SECONDS)?;
        let pictures = pictures(&coded);
        let expected = SECONDS * FRAME_RATE as usize;
        ensure!(
            pictures.len() == expected,
            "ffmpeg made {} pictures, not {expected}",
            pictures.len()
        );

        let sounds = sounds("sine=frequency=440:sample_rate=48000", "audio", SECONDS)?;
        ensure!(
            sounds.len() >= SECONDS * 50,
            "ffmpeg made {} packets of sound",
            sounds.len()
        );
        Ok(Self {
            size: (width, height),
            pictures,
            sounds,
        })
    }

    /// Mean, in bits per second.
    pub fn video_bitrate(&self) -> u64 {
        let bytes: usize = self.pictures.iter().map(Bytes::len).sum();
        bytes as u64 * 8 * u64::from(FRAME_RATE) / self.pictures.len() as u64
    }
}

/// Somebody who speaks, or is as loud as that: noise that swells four times a second. Opus, 20 ms each, 32 kbit/s.
pub fn voice(member: u64, seconds: usize) -> anyhow::Result<Vec<Bytes>> {
    let swells = format!(
        "anoisesrc=color=pink:amplitude=0.4:sample_rate=48000:seed={member},tremolo=f=4:d=0.9"
    );
    sounds(&swells, "voip", seconds)
}

fn sounds(source: &str, application: &str, seconds: usize) -> anyhow::Result<Vec<Bytes>> {
    let seconds = seconds.to_string();
    let mut arguments = vec!["-f", "lavfi", "-i", source, "-t", &seconds];
    arguments.extend([
        "-c:a",
        "libopus",
        "-application",
        application,
        "-b:a",
        "32k",
    ]);
    arguments.extend(["-vbr", "off", "-frame_duration", "20", "-f", "ogg", "-"]);
    let ogg = ffmpeg(&arguments)?;
    // The first two packets are headers (RFC 7845 §3).
    Ok(ogg_packets(&ogg)?.into_iter().skip(2).collect())
}

/// The film of [`film`] by another encoder of ffmpeg, with what it is told, picture by picture; none where this ffmpeg has no such
/// encoder.
pub fn film_by(
    encoder: &str,
    told: &[&str],
    (width, height, kbit_s): (u32, u32, u32),
    seconds: usize,
) -> anyhow::Result<Option<Vec<Bytes>>> {
    let known = ffmpeg(&["-encoders"])?;
    let known = String::from_utf8_lossy(&known);
    if !(known.lines()).any(|line| line.split_whitespace().nth(1) == Some(encoder)) {
        return Ok(None);
    }
    let picture = test_picture(0, width, height);
    let (rate, seconds) = (format!("{kbit_s}k"), seconds.to_string());
    let keys = KEY_INTERVAL.to_string();
    let mut arguments = vec!["-f", "lavfi", "-i", &picture, "-t", &seconds];
    arguments.extend(["-pix_fmt", "yuv420p", "-c:v", encoder, "-b:v", &rate]);
    arguments.extend(["-g", &keys, "-threads", "1"]);
    arguments.extend(told);
    arguments.extend(["-f", "ivf", "-"]);
    Ok(Some(ivf_pictures(&ffmpeg(&arguments)?)?))
}

fn test_picture(member: u64, width: u32, height: u32) -> String {
    format!(
        "testsrc2=size={width}x{height}:rate={FRAME_RATE},hue=h={}",
        member * 40
    )
}

/// A camera's film as a browser sends it: H.264 constrained baseline, no B-frames, one slice each, Annex B. Members have different
/// ones.
pub fn film(
    member: u64,
    width: u32,
    height: u32,
    kbit_s: u32,
    seconds: usize,
) -> anyhow::Result<Vec<u8>> {
    let settings = format!(
        "keyint={KEY_INTERVAL}:min-keyint={KEY_INTERVAL}:scenecut=0:bframes=0:sliced-threads=0:threads=1:\
         repeat-headers=1:aud=0"
    );
    let picture = test_picture(member, width, height);
    let (rate, buffer) = (format!("{kbit_s}k"), format!("{}k", kbit_s / 2));
    let seconds = seconds.to_string();
    let mut arguments = vec!["-f", "lavfi", "-i", &picture, "-t", &seconds];
    arguments.extend(["-pix_fmt", "yuv420p", "-c:v", "libx264"]);
    arguments.extend(["-profile:v", "baseline", "-preset", "veryfast"]);
    arguments.extend(["-tune", "zerolatency", "-b:v", &rate, "-maxrate", &rate]);
    arguments.extend(["-bufsize", &buffer, "-x264-params", &settings]);
    arguments.extend(["-f", "h264", "-"]);
    ffmpeg(&arguments)
}

fn ffmpeg(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(arguments)
        .output()
        .context(
            "starting ffmpeg (Debian: apt install ffmpeg): the bench publishes real coded pictures",
        )?;
    ensure!(
        output.status.success(),
        "ffmpeg: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// Where NAL units start in an Annex B stream: (start code, unit).
fn unit_starts(stream: &[u8]) -> Vec<(usize, usize)> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 < stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            let code = if at > 0 && stream[at - 1] == 0 {
                at - 1
            } else {
                at
            };
            starts.push((code, at + 3));
            at += 3;
        } else {
            at += 1;
        }
    }
    starts
}

/// Splits a stream of one slice per picture into pictures; parameter sets go with the picture that follows.
pub fn pictures(stream: &[u8]) -> Vec<Bytes> {
    let starts = unit_starts(stream);
    let mut pictures = Vec::new();
    let mut begin = 0;
    for (index, (_, unit)) in starts.iter().enumerate() {
        if matches!(stream[*unit] & 0x1f, 1 | 5) {
            let end = starts
                .get(index + 1)
                .map_or(stream.len(), |(code, _)| *code);
            pictures.push(Bytes::copy_from_slice(&stream[begin..end]));
            begin = end;
        }
    }
    pictures
}

/// The last NAL unit of a picture: its slice, by which it is known again.
pub fn slice_of(picture: &[u8]) -> &[u8] {
    let start = unit_starts(picture).last().map_or(0, |(_, unit)| *unit);
    let slice = &picture[start..];
    let end = slice
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    &slice[..end]
}

/// The frames of an IVF file: 32 bytes of header, then each with its size and time in front (12 bytes).
fn ivf_pictures(file: &[u8]) -> anyhow::Result<Vec<Bytes>> {
    ensure!(file.starts_with(b"DKIF"), "not an IVF file");
    let mut rest = file.get(32..).context("a cut IVF header")?;
    let mut pictures = Vec::new();
    while !rest.is_empty() {
        let (size, after) = rest.split_first_chunk().context("a cut IVF frame")?;
        let size = u32::from_le_bytes(*size) as usize;
        let picture = after.get(8..8 + size).context("a cut IVF frame")?;
        pictures.push(Bytes::copy_from_slice(picture));
        rest = &after[8 + size..];
    }
    Ok(pictures)
}

/// The packets of an Ogg stream (RFC 3533 §6).
fn ogg_packets(mut stream: &[u8]) -> anyhow::Result<Vec<Bytes>> {
    let mut packets = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    while !stream.is_empty() {
        ensure!(
            stream.len() >= 27 && stream.starts_with(b"OggS"),
            "not an Ogg page"
        );
        let segments = usize::from(stream[26]);
        let table = stream.get(27..27 + segments).context("a cut Ogg page")?;
        let mut at = 27 + segments;
        for size in table {
            let size = usize::from(*size);
            open.extend_from_slice(stream.get(at..at + size).context("a cut Ogg page")?);
            at += size;
            if size < 255 {
                packets.push(Bytes::from(std::mem::take(&mut open)));
            }
        }
        stream = &stream[at..];
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_split_into_pictures_with_their_parameter_sets() {
        let stream = [
            0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3, 0, 0, 0, 1, 0x61, 4, 5,
        ];
        let split = pictures(&stream);
        assert_eq!(
            split,
            [
                Bytes::copy_from_slice(&stream[..17]),
                Bytes::copy_from_slice(&stream[17..])
            ]
        );
        assert_eq!(slice_of(&split[0]), [0x65, 3]);
        assert_eq!(slice_of(&split[1]), [0x61, 4, 5]);
    }

    #[test]
    fn an_ivf_file_is_split_into_its_pictures() {
        let mut file = b"DKIF".to_vec();
        file.extend([0; 28]);
        for picture in [&[1u8, 2, 3][..], &[4]] {
            file.extend((picture.len() as u32).to_le_bytes());
            file.extend([0; 8]);
            file.extend(picture);
        }
        let pictures = ivf_pictures(&file).expect("two pictures");
        assert_eq!(pictures, [&[1u8, 2, 3][..], &[4]]);
        assert!(ivf_pictures(&file[..file.len() - 1]).is_err());
        assert!(ivf_pictures(b"RIFF").is_err());
    }

    #[test]
    fn ogg_packets_go_over_segments() {
        let mut page = b"OggS".to_vec();
        page.extend([0; 22]);
        page.extend([3, 255, 1, 2]);
        page.extend([7; 256]);
        page.extend([8; 2]);
        let packets = ogg_packets(&page).expect("a page");
        assert_eq!(packets.iter().map(Bytes::len).collect::<Vec<_>>(), [256, 2]);
        assert!(ogg_packets(b"OggX").is_err());
    }
}
