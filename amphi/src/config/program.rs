//! `[program]`: what is composed, and how.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

use amphi_media::{Bitrate, CameraFit, Layout, VideoSize};
use amphi_room::{ProgramKind, Wish};
use amphi_studio::composer::{RUNGS_MAX, Rung};
use amphi_studio::lettering::Image;
use serde::{Deserialize, Serialize};

use super::within;
use crate::compose::ffmpeg::{Ffmpeg, FfmpegCodec};
use crate::compose::lettering::fonts::files_of;

/// What is composed, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Composing {
    pub kind: ProgramWord,
    pub layout: LayoutWord,
    pub fit: FitWord,
    #[serde(deserialize_with = "ladder")]
    pub ladder: Vec<Size>,
    #[serde(deserialize_with = "within::<5, 60, _, _>")]
    pub frames_per_second: u32,
    pub room_title: bool,
    pub logo: Logo,
    pub fonts: Fonts,
    pub encoder: EncoderWord,
    pub ffmpeg: Outside,
}

impl Default for Composing {
    fn default() -> Self {
        let size = |width, height, kbit: u64| {
            Size(Rung {
                size: VideoSize::new(width, height),
                bitrate: Bitrate(kbit * 1_000),
            })
        };
        Self {
            kind: ProgramWord::Auto,
            layout: LayoutWord::Grid,
            fit: FitWord::Auto,
            ladder: vec![
                size(1_280, 720, 2_000),
                size(854, 480, 900),
                size(426, 240, 300),
                size(256, 144, 120),
            ],
            frames_per_second: 30,
            room_title: false,
            logo: Logo::default(),
            fonts: Fonts::default(),
            encoder: EncoderWord::OpenH264,
            ffmpeg: Outside::default(),
        }
    }
}

impl Composing {
    /// The ffmpeg that encodes, where one is to.
    pub fn ffmpeg(&self) -> Option<Ffmpeg> {
        let Outside {
            program,
            codec,
            device,
            options,
        } = self.ffmpeg.clone();
        (self.encoder == EncoderWord::Ffmpeg).then(|| Ffmpeg {
            program: program.0,
            codec: codec.into(),
            device: device.0,
            options: options.0,
        })
    }

    /// Where nobody says otherwise, in a room of this title.
    pub fn wish(&self, room_title: &str) -> Wish {
        Wish {
            program: self.kind.into(),
            layout: self.layout.into(),
            fit: self.fit.into(),
            title: if self.room_title {
                room_title.to_owned()
            } else {
                String::new()
            },
        }
    }
}

/// What makes a program's picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProgramWord {
    /// What this machine can carry best.
    #[default]
    Auto,
    /// Who speaks, cut at key frames.
    Cut,
    /// One picture of everybody.
    Compose,
}

impl From<ProgramWord> for ProgramKind {
    fn from(word: ProgramWord) -> Self {
        match word {
            ProgramWord::Auto => ProgramKind::Auto,
            ProgramWord::Cut => ProgramKind::Cut,
            ProgramWord::Compose => ProgramKind::Compose,
        }
    }
}

/// What encodes a composed picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderWord {
    /// It is built in.
    #[default]
    OpenH264,
    /// A program of this machine; openh264 when that does not work.
    Ffmpeg,
}

/// `[program.ffmpeg]`: which ffmpeg encodes, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outside {
    pub program: Program,
    pub codec: CodecWord,
    pub device: Device,
    pub options: Options,
}

/// An encoder of ffmpeg, by its name there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum CodecWord {
    #[default]
    #[serde(rename = "libx264")]
    X264,
    #[serde(rename = "h264_nvenc")]
    Nvenc,
    #[serde(rename = "h264_vaapi")]
    Vaapi,
    #[serde(rename = "h264_qsv")]
    Qsv,
    #[serde(rename = "h264_v4l2m2m")]
    V4l2M2m,
    #[serde(rename = "h264_videotoolbox")]
    VideoToolbox,
}

impl From<CodecWord> for FfmpegCodec {
    fn from(word: CodecWord) -> Self {
        match word {
            CodecWord::X264 => FfmpegCodec::X264,
            CodecWord::Nvenc => FfmpegCodec::Nvenc,
            CodecWord::Vaapi => FfmpegCodec::Vaapi,
            CodecWord::Qsv => FfmpegCodec::Qsv,
            CodecWord::V4l2M2m => FfmpegCodec::V4l2M2m,
            CodecWord::VideoToolbox => FfmpegCodec::VideoToolbox,
        }
    }
}

/// The name or path of a program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub struct Program(pub PathBuf);

impl Default for Program {
    fn default() -> Self {
        Self("ffmpeg".into())
    }
}

impl TryFrom<PathBuf> for Program {
    type Error = String;
    fn try_from(path: PathBuf) -> Result<Self, String> {
        if path.as_os_str().is_empty() || path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err("a program has a name or a path, such as \"ffmpeg\"".to_owned());
        }
        Ok(Self(path))
    }
}

impl From<Program> for PathBuf {
    fn from(program: Program) -> PathBuf {
        program.0
    }
}

/// A GPU as ffmpeg calls it. Empty: its choice.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Device(pub String);

impl TryFrom<String> for Device {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('-') || text.contains('\0') {
            return Err(format!(
                "`{text}` is no device, such as \"/dev/dri/renderD129\" (h264_vaapi, h264_qsv) or \"1\" (h264_nvenc)"
            ));
        }
        Ok(Self(text))
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.0
    }
}

/// Options of ffmpeg: names with a `-`, each with its value.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Options(pub Vec<String>);

/// Options that are ours: what they say is what amphi relies on.
const OPTIONS_OURS: [&str; 14] = [
    "-i",
    "-f",
    "-c",
    "-codec",
    "-vcodec",
    "-pix_fmt",
    "-g",
    "-map",
    "-fps_mode",
    "-vsync",
    "-r",
    "-s",
    "-force_key_frames",
    "-enc_time_base",
];

impl TryFrom<Vec<String>> for Options {
    type Error = String;
    fn try_from(words: Vec<String>) -> Result<Self, String> {
        for pair in words.chunks(2) {
            let [name, value] = pair else {
                return Err(format!(
                    "`{}` has no value: options are names and values in turn, as in [\"-preset\", \"faster\"]",
                    pair.concat()
                ));
            };
            let has_nul = name.contains('\0') || value.contains('\0');
            if !name.starts_with('-') || name.len() < 2 || has_nul {
                return Err(format!(
                    "`{name}` is no option of ffmpeg's: they are names and values in turn, as in [\"-preset\", \"faster\"]"
                ));
            }
            let own = name.split(':').next().unwrap_or_default();
            if OPTIONS_OURS.contains(&own) {
                return Err(format!(
                    "`{name}` is set by amphi, which relies on it; take it out"
                ));
            }
        }
        Ok(Self(words))
    }
}

impl From<Options> for Vec<String> {
    fn from(options: Options) -> Vec<String> {
        options.0
    }
}

/// How people are arranged in one picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutWord {
    /// All of the same size.
    #[default]
    Grid,
    /// Who speaks large, the others beside.
    Speaker,
    /// A shared screen large, people beside.
    Screen,
    /// The first two, and nobody else.
    SideBySide,
    /// Names only.
    Audio,
}

impl From<LayoutWord> for Layout {
    fn from(word: LayoutWord) -> Self {
        match word {
            LayoutWord::Grid => Layout::Grid,
            LayoutWord::Speaker => Layout::Speaker,
            LayoutWord::Screen => Layout::Screen,
            LayoutWord::SideBySide => Layout::SideBySide,
            LayoutWord::Audio => Layout::Audio,
        }
    }
}

/// What becomes of a camera that is not of its cell's shape. Shared screens are always whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FitWord {
    /// Cropped where most of it is still seen, else whole.
    #[default]
    Auto,
    /// It fills its cell, however much is cut off.
    Crop,
    /// All of it is seen, between bars.
    Whole,
}

impl From<FitWord> for CameraFit {
    fn from(word: FitWord) -> Self {
        match word {
            FitWord::Auto => CameraFit::Auto,
            FitWord::Crop => CameraFit::Crop,
            FitWord::Whole => CameraFit::Whole,
        }
    }
}

/// One size of the composed picture: `"1280x720 2000k"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub Rung);

impl TryFrom<String> for Size {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parsed = || {
            let (size, bitrate) = text.split_once(' ')?;
            let (width, height) = size.split_once('x')?;
            let kbit: u64 = bitrate.trim().strip_suffix('k')?.parse().ok()?;
            Some((width.parse().ok()?, height.parse().ok()?, kbit))
        };
        let (width, height, kbit): (u32, u32, u64) = parsed().ok_or_else(|| {
            format!("`{text}` is not a size and its kilobits per second, as in \"1280x720 2000k\"")
        })?;
        let is_side = |side: u32| side.is_multiple_of(2) && (128..=3_840).contains(&side);
        if !is_side(width) || !is_side(height) || width * height > 3_840 * 2_160 {
            return Err(format!(
                "`{text}`: a picture's sides are even, from 128 to 3840, and it is no larger than 3840x2160"
            ));
        }
        if !(50..=40_000).contains(&kbit) {
            return Err(format!("`{text}`: a picture takes from 50k to 40000k"));
        }
        Ok(Self(Rung {
            size: VideoSize::new(width, height),
            bitrate: Bitrate(kbit * 1_000),
        }))
    }
}

impl From<Size> for String {
    fn from(Size(rung): Size) -> String {
        format!(
            "{}x{} {}k",
            rung.size.width,
            rung.size.height,
            rung.bitrate.0 / 1_000
        )
    }
}

fn ladder<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Size>, D::Error> {
    let ladder = Vec::<Size>::deserialize(from)?;
    let falls = ladder.windows(2).all(|pair| {
        pair[1].0.size.pixels() < pair[0].0.size.pixels() && pair[1].0.bitrate < pair[0].0.bitrate
    });
    if ladder.is_empty() || ladder.len() > RUNGS_MAX || !falls {
        return Err(serde::de::Error::custom(format!(
            "a ladder has one to {RUNGS_MAX} sizes, the largest first, each smaller and with fewer bits than the one before"
        )));
    }
    Ok(ladder)
}

/// A file of a logo is no larger, in bytes.
const LOGO_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Nor has it more columns or lines.
const LOGO_SIDE_MAX: u32 = 4_096;
/// It is kept in this size: a corner of the largest picture.
const LOGO_KEPT: VideoSize = VideoSize {
    width: 768,
    height: 384,
};

/// A PNG that is laid over composed pictures, and where it was read from. An empty text is none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub struct Logo(pub Option<(PathBuf, Image)>);

impl TryFrom<PathBuf> for Logo {
    type Error = String;
    fn try_from(path: PathBuf) -> Result<Self, String> {
        if path.as_os_str().is_empty() {
            return Ok(Self(None));
        }
        let image = read_png(&path)
            .map_err(|reason| format!("the logo {} cannot be taken: {reason}", path.display()))?;
        Ok(Self(Some((path, image))))
    }
}

impl From<Logo> for PathBuf {
    fn from(logo: Logo) -> PathBuf {
        logo.0.map(|(path, _)| path).unwrap_or_default()
    }
}

/// A folder of fonts for names. An empty text: where the system has them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub struct Fonts(pub Option<PathBuf>);

impl TryFrom<PathBuf> for Fonts {
    type Error = String;
    fn try_from(path: PathBuf) -> Result<Self, String> {
        if path.as_os_str().is_empty() {
            return Ok(Self(None));
        }
        files_of(&path).map_err(|error| {
            format!(
                "the folder of fonts {} cannot be read: {error}",
                path.display()
            )
        })?;
        Ok(Self(Some(path)))
    }
}

impl From<Fonts> for PathBuf {
    fn from(fonts: Fonts) -> PathBuf {
        fonts.0.unwrap_or_default()
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = file.take(LOGO_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LOGO_BYTES_MAX {
        return Err(format!("it has more than {LOGO_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

fn read_png(path: &Path) -> Result<Image, String> {
    let words = |error: png::DecodingError| format!("it is no PNG that can be read ({error})");
    let mut decoder = png::Decoder::new(Cursor::new(bytes_of(path)?));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(words)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width > LOGO_SIDE_MAX || height > LOGO_SIDE_MAX {
        return Err(format!(
            "it is {width}x{height}; {LOGO_SIDE_MAX}x{LOGO_SIDE_MAX} is the most"
        ));
    }
    let bytes = reader
        .output_buffer_size()
        .ok_or_else(|| "it is too large".to_owned())?;
    let mut pixels = vec![0; bytes];
    let frame = reader.next_frame(&mut pixels).map_err(words)?;
    pixels.truncate(frame.buffer_size());
    let rgba: Vec<u8> = match frame.color_type {
        png::ColorType::Rgba => pixels,
        png::ColorType::Rgb => {
            let with_alpha = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2], 255];
            pixels.chunks_exact(3).flat_map(with_alpha).collect()
        }
        png::ColorType::GrayscaleAlpha => {
            let spread = |pixel: &[u8]| [pixel[0], pixel[0], pixel[0], pixel[1]];
            pixels.chunks_exact(2).flat_map(spread).collect()
        }
        png::ColorType::Grayscale => pixels
            .iter()
            .flat_map(|grey| [*grey, *grey, *grey, 255])
            .collect(),
        png::ColorType::Indexed => return Err("its palette cannot be read".to_owned()),
    };
    let image = Image {
        size: VideoSize::new(width, height),
        rgba,
    };
    image
        .shrunk(LOGO_KEPT)
        .ok_or_else(|| format!("it is {width}x{height}: too narrow to be shown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png_of(size: (u32, u32), colour: png::ColorType, bytes: &[u8]) -> tempfile::TempPath {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut encoder = png::Encoder::new(&mut file, size.0, size.1);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(bytes).expect("pixels");
        drop(writer);
        file.into_temp_path()
    }

    fn logo(path: &Path) -> Result<Image, String> {
        let logo = Logo::try_from(path.to_owned())?;
        assert_eq!(PathBuf::from(logo.clone()), path);
        Ok(logo.0.expect("a path was given").1)
    }

    #[test]
    fn options_that_are_none_or_that_amphi_relies_on_are_refused_in_words() {
        let options = |words: &[&str]| {
            Options::try_from(
                words
                    .iter()
                    .map(|word| (*word).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(options(&["-preset", "faster", "-x264-params", "aq-mode=2"]).is_ok());
        assert!(options(&[]).is_ok());
        for (words, said) in [
            (&["-preset"][..], "no value"),
            (&["preset", "faster"], "no option"),
            (&["-pre\0set", "faster"], "no option"),
            (&["-c:v", "h264_nvenc"], "take it out"),
            (&["-codec:v:0", "h264_nvenc"], "take it out"),
            (&["-pix_fmt", "yuv444p"], "take it out"),
            (&["-f", "mpegts"], "take it out"),
            (&["-r:v", "25"], "relies on it"),
        ] {
            let refused = options(words).expect_err("it is refused");
            assert!(refused.contains(said), "{refused}");
        }
        assert!(Device::try_from("-y".to_owned()).is_err());
        assert!(Program::try_from(PathBuf::new()).is_err());
        assert!(Program::try_from(PathBuf::from("ff\0mpeg")).is_err());
    }

    #[test]
    fn a_logo_of_any_kind_of_pixels_is_read() {
        for (colour, bytes, pixel) in [
            (png::ColorType::Rgba, vec![9, 8, 7, 6], [9, 8, 7, 6]),
            (png::ColorType::Rgb, vec![9, 8, 7], [9, 8, 7, 255]),
            (png::ColorType::Grayscale, vec![9], [9, 9, 9, 255]),
            (png::ColorType::GrayscaleAlpha, vec![9, 6], [9, 9, 9, 6]),
        ] {
            let path = png_of((20, 10), colour, &bytes.repeat(200));
            let image = logo(&path).expect("it can be read");
            assert_eq!(image.size, VideoSize::new(20, 10));
            assert_eq!(image.rgba[..4], pixel, "{colour:?}");
        }
    }

    #[test]
    fn a_large_logo_is_kept_small_and_in_its_proportions() {
        let path = png_of(
            (2_000, 500),
            png::ColorType::Grayscale,
            &vec![200; 1_000_000],
        );
        let image = logo(&path).expect("it can be read");
        assert_eq!(image.size, VideoSize::new(768, 192));
        assert!(
            image
                .rgba
                .chunks_exact(4)
                .all(|pixel| pixel == [200, 200, 200, 255])
        );
    }

    #[test]
    fn what_is_no_logo_is_refused_in_words() {
        let text = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(text.path(), "a letter").expect("written");
        let thin = png_of((4_000, 1), png::ColorType::Grayscale, &[0; 4_000]);
        for (path, words) in [
            (Path::new("/nowhere/logo.png"), "No such file"),
            (text.path(), "no PNG"),
            (&*thin, "too narrow"),
        ] {
            let refused = logo(path).expect_err("it is none");
            assert!(
                refused.contains(words) && refused.contains("logo"),
                "{refused}"
            );
        }
        assert_eq!(Logo::try_from(PathBuf::new()), Ok(Logo(None)));
    }

    #[test]
    fn a_folder_of_fonts_that_is_not_there_is_refused_in_words() {
        let refused = Fonts::try_from(PathBuf::from("/nowhere")).expect_err("there is none");
        assert!(
            refused.contains("/nowhere") && refused.contains("No such file"),
            "{refused}"
        );
        assert_eq!(Fonts::try_from(PathBuf::new()), Ok(Fonts(None)));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        assert_eq!(Fonts::try_from(path.clone()), Ok(Fonts(Some(path))));
    }
}
