//! Words in composed pictures, in the fonts that are embedded: the pages' own for Latin, Greek and Cyrillic, Noto for Arabic, Hebrew and
//! Devanagari. Other scripts by what is installed on the machine ([`fonts`]). A letter that no font has is a box.

pub mod fonts;

use std::path::{Path, PathBuf};

use amphi_media::VideoSize;
use amphi_studio::lettering::{Image, Lettering};
use cosmic_text::fontdb::{Database, FaceInfo, Language, Source};
use cosmic_text::{
    Attrs, Buffer, Color, Ellipsize, EllipsizeHeightLimit, Fallback, Family, FontSystem, Metrics,
    PlatformFallback, Shaping, SwashCache, Weight, Wrap,
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

/// Families and fonts, in the order in which they are asked for a letter. By these names the fonts of scripts are known; what a
/// variable font says of itself may be the name of its thinnest instance.
const EMBEDDED: [(&str, &[u8]); 9] = [
    (PAGES, font!("inter", "inter-latin")),
    (PAGES, font!("inter", "inter-latin-ext")),
    (PAGES, font!("inter", "inter-vietnamese")),
    (PAGES, font!("inter", "inter-cyrillic")),
    (PAGES, font!("inter", "inter-cyrillic-ext")),
    (PAGES, font!("inter", "inter-greek")),
    (
        "Noto Sans Arabic",
        font!("noto-sans-arabic", "noto-sans-arabic-arabic"),
    ),
    (
        "Noto Sans Hebrew",
        font!("noto-sans-hebrew", "noto-sans-hebrew-hebrew"),
    ),
    (
        "Noto Sans Devanagari",
        font!("noto-sans-devanagari", "noto-sans-devanagari-devanagari"),
    ),
];

/// The family that the pages are written in.
const PAGES: &str = "Inter";

/// Text is laid out this much smaller than the line that it stands in, so that deep letters and marks above tall ones fit.
const SIZE_OF_LINE: f32 = 0.82;

pub struct Letters {
    fonts: FontSystem,
    glyphs: SwashCache,
}

/// The weight in which everything is written. Fonts that have another one only are taken as if they had this, since a regular
/// letter is better than none.
const WEIGHT: Weight = Weight::SEMIBOLD;

impl Letters {
    /// With the fonts that are embedded and no others: what comes out is the same on every machine.
    pub fn embedded() -> Self {
        Self::of(&[])
    }

    /// Also with those of a folder, or of the machine's usual ones. Nothing is opened later on. What is left out is said.
    pub fn load(folder: Option<&Path>) -> Self {
        let chosen = fonts::chosen(folder);
        if chosen.left_out > 0 {
            // What composes has no log.
            eprintln!(
                "amphi: {} fonts are too large or too many for names",
                chosen.left_out
            );
        }
        Self::of(&chosen.fonts)
    }

    fn of(installed: &[PathBuf]) -> Self {
        // Whoever has a letter is asked in this order, after the one that is known for its script.
        let mut database = Database::new();
        for (family, packed) in EMBEDDED {
            let Ok(font) = wuff::decompress_woff2(packed) else {
                warn!("the embedded font {family} cannot be read");
                continue;
            };
            let mut one = Database::new();
            one.load_font_data(font);
            for face in one.faces().cloned() {
                database.push_face_info(FaceInfo {
                    families: vec![(family.to_owned(), Language::English_UnitedStates)],
                    weight: WEIGHT,
                    ..face
                });
            }
        }
        let mut others = Database::new();
        for path in installed {
            // One that is none, or has gone since, has no letters.
            let _ = others.load_font_file(path);
        }
        let usual = PlatformFallback.common_fallback();
        let is_ours = |name: &str| EMBEDDED.iter().any(|(family, _)| *family == name);
        for mut face in others.faces().cloned() {
            // They are asked after those that are embedded: these look as on the pages, and alike on every machine. By these names
            // they would be asked before.
            let families = std::mem::take(&mut face.families).into_iter();
            face.families = families
                .map(
                    |(name, language)| match is_ours(&name) || usual.contains(&name.as_str()) {
                        true => (format!("{name} (installed)"), language),
                        false => (name, language),
                    },
                )
                .collect();
            database.push_face_info(FaceInfo {
                weight: WEIGHT,
                ..face
            });
        }
        let mut fonts = FontSystem::new_with_locale_and_db("en".to_owned(), database);
        map_all(&mut fonts);
        Self {
            fonts,
            glyphs: SwashCache::new(),
        }
    }
}

/// Maps the files: asking for one face of a file does so, for all that are in it and for good.
fn map_all(fonts: &mut FontSystem) {
    let is_file = |face: &&FaceInfo| matches!(face.source, Source::File(_));
    loop {
        let unmapped = fonts.db().faces().find(is_file).map(|face| face.id);
        let Some(id) = unmapped else { return };
        fonts.get_font(id, WEIGHT);
        let is_mapped = fonts.db().face(id).is_some_and(|face| !is_file(&face));
        if !is_mapped {
            fonts.db_mut().remove_face(id);
        }
    }
}

impl Lettering for Letters {
    fn line(&mut self, text: &str, height: u32, width_max: u32) -> Image {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if height < 4 || width_max < 4 || text.trim().is_empty() {
            return Image::default();
        }
        let usual = height as f32 * SIZE_OF_LINE;
        let (drawn, above, below) = self.draw(&text, usual, height, width_max);
        // Some scripts reach further up and down than Latin does.
        let (drawn, above) = if above + below > height as i32 {
            let smaller = usual * height as f32 / (above + below) as f32;
            let (drawn, above, _) = self.draw(&text, smaller, height, width_max);
            (drawn, above)
        } else {
            (drawn, above)
        };
        fitted(&drawn, height, above)
    }
}

/// A line as it was drawn.
struct Drawn {
    /// Three lines high, the middle one of which is the line's own place.
    image: Image,
    left: u32,
    width: u32,
}

impl Letters {
    /// Also how far the ink reaches up and down from the middle of the line.
    fn draw(&mut self, text: &str, size: f32, height: u32, width_max: u32) -> (Drawn, i32, i32) {
        let line = height as f32;
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(size, line));
        buffer.set_wrap(Wrap::None);
        buffer.set_ellipsize(Ellipsize::End(EllipsizeHeightLimit::Lines(1)));
        buffer.set_size(Some(width_max as f32), Some(line));
        let attributes = Attrs::new().family(Family::Name(PAGES)).weight(WEIGHT);
        buffer.set_text(text, &attributes, Shaping::Advanced, None);
        let white = Color::rgb(0xff, 0xff, 0xff);
        let mut image = Image::new(VideoSize::new(width_max, height * 3));
        let (mut left, mut right) = (width_max, 0);
        let (mut top, mut bottom) = (height * 3 / 2, height * 3 / 2);
        buffer.draw(
            &mut self.fonts,
            &mut self.glyphs,
            white,
            |x, y, across, down, colour| {
                let [red, green, blue, cover] = colour.as_rgba();
                if cover == 0 {
                    return;
                }
                for y in y..y + down as i32 {
                    for x in x..x + across as i32 {
                        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y + height as i32))
                        else {
                            continue;
                        };
                        image.cover(x, y, [red, green, blue], f32::from(cover) / 255.0);
                        (left, right) = (left.min(x), right.max(x + 1));
                        (top, bottom) = (top.min(y), bottom.max(y + 1));
                    }
                }
            },
        );
        let middle = height as i32 * 3 / 2;
        let drawn = Drawn {
            image,
            left,
            width: right.min(width_max).saturating_sub(left),
        };
        (drawn, middle - top as i32, bottom as i32 - middle)
    }
}

/// The line alone, moved up or down as far as it must be to be whole. `above`: how far it reaches up from its middle.
fn fitted(drawn: &Drawn, height: u32, above: i32) -> Image {
    if drawn.width == 0 {
        return Image::default();
    }
    let middle = height as i32 * 3 / 2;
    let half = height as i32 / 2;
    // By its own middle if it fits so, else by its top.
    let reaches_down = (0..drawn.image.size.height).rev().find(|y| {
        let width = drawn.image.size.width as usize;
        let start = *y as usize * width * 4;
        let line = &drawn.image.rgba[start..start + width * 4];
        line.chunks_exact(4).any(|pixel| pixel[3] > 0)
    });
    let below = reaches_down.map_or(0, |y| y as i32 + 1 - middle);
    let shift = if below > half {
        below - half
    } else if above > half {
        half - above
    } else {
        0
    };
    let mut image = Image::new(VideoSize::new(drawn.width, height));
    for y in 0..height {
        let from = y as i32 + height as i32 + shift;
        if !(0..drawn.image.size.height as i32).contains(&from) {
            continue;
        }
        let width = drawn.image.size.width as usize;
        let start = (from as usize * width + drawn.left as usize) * 4;
        let into = y as usize * drawn.width as usize * 4;
        let bytes = drawn.width as usize * 4;
        image.rgba[into..into + bytes].copy_from_slice(&drawn.image.rgba[start..start + bytes]);
    }
    image
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
        let mut letters = Letters::embedded();
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
    fn a_letter_that_no_font_has_is_a_box_among_those_that_are_written() {
        let mut letters = Letters::embedded();
        let box_alone = letters.line("\u{10FFFD}", 40, 400);
        assert!(ink(&box_alone) > 40.0, "{}", ink(&box_alone));
        // Georgian is not embedded.
        let georgian = letters.line("ნ", 40, 400);
        assert_eq!(georgian, box_alone);
        let mixed = letters.line("Ada ნ", 40, 400);
        let ada = letters.line("Ada", 40, 400);
        assert!(mixed.size.width > ada.size.width + box_alone.size.width);
    }

    /// Where Debian's `fonts-noto-core` and `fonts-noto-cjk` are; elsewhere there is nothing to be seen.
    #[test]
    fn scripts_of_installed_fonts_are_written_and_the_embedded_ones_come_first() {
        let mut letters = Letters::load(None);
        let mut own = Letters::embedded();
        for name in ["Žofie", "Иван", "Ελένη", "محمد", "שרה", "अनीता", "Nguyễn"]
        {
            let (with, without) = (letters.line(name, 40, 400), own.line(name, 40, 400));
            assert_eq!(with, without, "{name} looks alike everywhere");
        }
        let installed = fonts::chosen(None).fonts;
        let has = |script: &str| {
            let of_script = |path: &std::path::PathBuf| {
                path.to_string_lossy()
                    .contains(&format!("{script}-Regular"))
            };
            installed.iter().any(of_script)
        };
        let unknown = letters.line("\u{10FFFD}", 40, 400);
        let mut seen = 0;
        for (script, name) in [
            ("SansGeorgian", "გიორგი"),
            ("SansArmenian", "Անի"),
            ("SansTelugu", "కృష్ణ"),
            ("SansGujarati", "આરતી"),
            ("SansKhmer", "សុខា"),
            ("SansEthiopic", "አበበ"),
            ("SansThai", "สมชาย"),
            ("SansBengali", "অনিতা"),
            ("SansTamil", "அனிதா"),
            ("SansSinhala", "අනිතා"),
            ("SansMyanmar", "အောင်"),
            ("SansLao", "ສົມ"),
            ("SerifTibetan", "བཀྲ་ཤིས"),
            ("SansBalinese", "ᬩᬮᬶ"),
            ("SansCJK", "김민수"),
            ("SansCJK", "王芳"),
            ("SansCJK", "さくら"),
        ] {
            if !has(script) {
                continue;
            }
            seen += 1;
            let image = letters.line(name, 40, 400);
            assert!(ink(&image) > 100.0, "{name}: {}", ink(&image));
            for letter in name.chars().filter(|letter| letter.is_alphanumeric()) {
                let alone = letters.line(&letter.to_string(), 40, 400);
                assert_ne!(alone, unknown, "{letter} of {name} is no box");
            }
        }
        eprintln!("{seen} names in installed fonts");
    }

    #[test]
    fn letters_that_reach_far_down_or_up_are_whole() {
        let mut letters = Letters::embedded();
        for name in ["مع", "Ắ", "ؤ", "gjpqy", "É"] {
            let image = letters.line(name, 48, 400);
            let line = |y: usize| {
                let width = image.size.width as usize * 4;
                let line = &image.rgba[y * width..(y + 1) * width];
                line.chunks_exact(4).any(|pixel| pixel[3] > 200)
            };
            assert!(!line(0) && !line(47), "{name} is cut off");
            assert!((10..38).any(line), "{name} is there");
        }
    }

    #[test]
    fn a_long_name_ends_in_an_ellipsis_within_its_width() {
        let mut letters = Letters::embedded();
        let long = "Adalbert ".repeat(40);
        let image = letters.line(&long, 24, 200);
        assert!((150..=200).contains(&image.size.width), "{:?}", image.size);
        assert!(ink(&image) > 100.0);
    }

    #[test]
    fn nothing_to_write_gives_nothing() {
        let mut letters = Letters::embedded();
        for text in ["", "   ", "\u{7}\n"] {
            assert_eq!(letters.line(text, 24, 200), Image::default(), "{text:?}");
        }
        assert_eq!(letters.line("Ada", 2, 200), Image::default());
        assert_eq!(letters.line("Ada", 24, 0), Image::default());
    }
}
