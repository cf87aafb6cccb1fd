//! Words in composed pictures, in the fonts that are embedded: the pages' own for Latin, Greek and Cyrillic, Noto for Arabic, Hebrew and
//! Devanagari. Other scripts by what is installed on the machine, if something is.

use amphi_media::VideoSize;
use amphi_studio::lettering::{Image, Lettering};
use cosmic_text::fontdb::{Database, Source};
use cosmic_text::{
    Attrs, Buffer, Color, Ellipsize, EllipsizeHeightLimit, Family, FontSystem, Metrics, Shaping,
    SwashCache, Weight, Wrap,
};
use tracing::warn;

macro_rules! font {
    ($package:literal, $name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../web/node_modules/@fontsource-variable/",
            $package,
            "/files/",
            $name,
            "-wght-normal.woff2"
        ))
    };
}

/// In the order in which they are asked for a letter.
const EMBEDDED: [&[u8]; 9] = [
    font!("inter", "inter-latin"),
    font!("inter", "inter-latin-ext"),
    font!("inter", "inter-vietnamese"),
    font!("inter", "inter-cyrillic"),
    font!("inter", "inter-cyrillic-ext"),
    font!("inter", "inter-greek"),
    font!("noto-sans-arabic", "noto-sans-arabic-arabic"),
    font!("noto-sans-hebrew", "noto-sans-hebrew-hebrew"),
    font!("noto-sans-devanagari", "noto-sans-devanagari-devanagari"),
];

/// Scripts that no embedded font has: where Debian's and others' packages put fonts for them.
const INSTALLED: [&str; 6] = [
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansBengali-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansTamil-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansSymbols2-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
];

/// A font that is larger is left alone: it would be read into memory for every program.
const FONT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Text is laid out this much smaller than the line that it stands in, so that deep letters and marks above tall ones fit.
const SIZE_OF_LINE: f32 = 0.82;

pub struct Letters {
    fonts: FontSystem,
    glyphs: SwashCache,
}

impl Letters {
    /// Reads all fonts: nothing is opened later on.
    pub fn load() -> Self {
        let mut database = Database::new();
        for (number, packed) in EMBEDDED.into_iter().enumerate() {
            match wuff::decompress_woff2(packed) {
                Ok(font) => database.load_font_data(font),
                Err(_) => warn!("embedded font {number} cannot be read"),
            }
        }
        for path in INSTALLED {
            let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FONT_BYTES_MAX);
            if let Some(font) = std::fs::read(path).ok().filter(|_| small) {
                database.load_font_source(Source::Binary(std::sync::Arc::new(font)));
            }
        }
        Self {
            fonts: FontSystem::new_with_locale_and_db("en".to_owned(), database),
            glyphs: SwashCache::new(),
        }
    }
}

impl Lettering for Letters {
    fn line(&mut self, text: &str, height: u32, width_max: u32) -> Image {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if height < 4 || width_max < 4 || text.trim().is_empty() {
            return Image::default();
        }
        let line = height as f32;
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(line * SIZE_OF_LINE, line));
        buffer.set_wrap(Wrap::None);
        buffer.set_ellipsize(Ellipsize::End(EllipsizeHeightLimit::Lines(1)));
        buffer.set_size(Some(width_max as f32), Some(line));
        let attributes = Attrs::new()
            .family(Family::Name("Inter Variable"))
            .weight(Weight::SEMIBOLD);
        buffer.set_text(&text, &attributes, Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.fonts, false);
        // A line that is read from the right stands at the right end of the buffer.
        let (mut left, mut right) = (f32::MAX, 0f32);
        for run in buffer.layout_runs() {
            for glyph in run.glyphs {
                left = left.min(glyph.x);
                right = right.max(glyph.x + glyph.w);
            }
        }
        if right <= left {
            return Image::default();
        }
        let left = left.floor() as i32;
        let width = (right.ceil() as i32 - left).clamp(1, width_max as i32) as u32;
        let mut image = Image::new(VideoSize::new(width, height));
        let white = Color::rgb(0xff, 0xff, 0xff);
        buffer.draw(
            &mut self.fonts,
            &mut self.glyphs,
            white,
            |x, y, across, down, colour| {
                let [red, green, blue, cover] = colour.as_rgba();
                for line in y..y + down as i32 {
                    for column in x - left..x - left + across as i32 {
                        if let (Ok(column), Ok(line)) = (u32::try_from(column), u32::try_from(line))
                        {
                            let cover = f32::from(cover) / 255.0;
                            image.cover(column, line, [red, green, blue], cover);
                        }
                    }
                }
            },
        );
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of an image is covered, in pixels.
    fn ink(image: &Image) -> f32 {
        image
            .rgba
            .chunks_exact(4)
            .map(|pixel| f32::from(pixel[3]) / 255.0)
            .sum()
    }

    #[test]
    fn scripts_of_many_people_are_written_in_their_own_letters() {
        let mut letters = Letters::load();
        let unknown = letters.line("\u{10FFFD}", 40, 400);
        for name in [
            "Ada",
            "Žofie",
            "Иван",
            "Ελένη",
            "محمد",
            "שרה",
            "अनीता",
            "Nguyễn",
        ] {
            let image = letters.line(name, 40, 400);
            assert_eq!(image.size.height, 40);
            assert!(ink(&image) > 100.0, "{name}: {}", ink(&image));
            let one = letters.line(&name.chars().next().expect("a letter").to_string(), 40, 400);
            assert_ne!(one, unknown, "{name} is not boxes");
        }
        // Joined letters are narrower than the same ones apart.
        let joined = letters.line("بببب", 40, 400).size.width;
        let apart = letters.line("ب ب ب ب", 40, 400).size.width;
        assert!(joined * 10 < apart * 8, "{joined} {apart}");
    }

    #[test]
    fn a_long_name_ends_in_an_ellipsis_within_its_width() {
        let mut letters = Letters::load();
        let long = "Adalbert ".repeat(40);
        let image = letters.line(&long, 24, 200);
        assert!((150..=200).contains(&image.size.width), "{:?}", image.size);
        assert!(ink(&image) > 100.0);
    }

    #[test]
    fn nothing_to_write_gives_nothing() {
        let mut letters = Letters::load();
        for text in ["", "   ", "\u{7}\n"] {
            assert_eq!(letters.line(text, 24, 200), Image::default(), "{text:?}");
        }
        assert_eq!(letters.line("Ada", 2, 200), Image::default());
        assert_eq!(letters.line("Ada", 24, 0), Image::default());
    }
}
