//! What is drawn of people besides their pictures: names, muted marks, and a card where there is no picture.

use amphi_media::VideoSize;

use crate::canvas::Stamp;
use crate::layout::Area;
use crate::lettering::{Image, Lettering};

/// The stage with its lights down, warm light, and the limelight on who speaks: the colours of the pages.
pub const BACKDROP: [u8; 3] = [0x0d, 0x0f, 0x14];
pub const CARD: [u8; 3] = [0x1c, 0x20, 0x2b];
pub const LIMELIGHT: [u8; 3] = [0xff, 0xc8, 0x57];
const MUTED: [u8; 3] = [0xff, 0x8a, 0x80];

/// How dark it is behind a name.
const LABEL_COVER: f32 = 0.74;

/// A name takes this share of its cell's height, but stays readable and modest.
const LABEL_SHARE: u32 = 9;
const LABEL_MIN: u32 = 16;
const LABEL_MAX: u32 = 40;

/// The title takes this share of the picture's height.
const TITLE_SHARE: u32 = 14;

/// Colours of people without a picture, as hues; the pages have the same.
const HUES: [f32; 10] = [
    14.0, 42.0, 88.0, 150.0, 178.0, 208.0, 232.0, 268.0, 300.0, 336.0,
];

/// Longest name or title that is written, in characters.
const NAME_MAX: usize = 80;

/// What is told of somebody in a cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Face {
    pub name: String,
    pub muted: bool,
    pub size: VideoSize,
}

/// A name on a dark ground, with a mark when nobody hears them. None when there is no place or no name.
pub fn label(face: &Face, lettering: &mut dyn Lettering) -> Option<Stamp> {
    let height = (face.size.height / LABEL_SHARE).clamp(LABEL_MIN, LABEL_MAX);
    let pad = height / 3;
    let mark = if face.muted { height } else { 0 };
    let width_max = (face.size.width * 9 / 10).checked_sub(2 * pad + mark)?;
    if height * 3 > face.size.height || width_max < height {
        return None;
    }
    let text = lettering.line(&short(&face.name), height * 3 / 5, width_max);
    if text.size.width == 0 && !face.muted {
        return None;
    }
    let mut image = ground(text.size.width + 2 * pad + mark, height);
    if face.muted {
        muted_mark(&mut image, pad as f32 * 0.6, height as f32);
    }
    let top = (height - text.size.height.min(height)) / 2;
    image.put(&text, pad + mark, top);
    Some(Stamp::new(&image))
}

/// What the whole picture is called, on a dark ground. None when there is nothing to be called, or no place.
pub fn title(
    text: &str,
    canvas_height: u32,
    width_max: u32,
    lettering: &mut dyn Lettering,
) -> Option<Stamp> {
    let height = (canvas_height / TITLE_SHARE).max(LABEL_MIN) & !1;
    let pad = height / 3;
    let width_max = width_max.checked_sub(2 * pad)?;
    let text = lettering.line(&short(text), height * 3 / 5, width_max);
    if text.size.width == 0 {
        return None;
    }
    let mut image = ground(text.size.width + 2 * pad, height);
    let top = (height - text.size.height.min(height)) / 2;
    image.put(&text, pad, top);
    Some(Stamp::new(&image))
}

/// Dark, with round corners: white letters can be read on it, whatever is below.
fn ground(width: u32, height: u32) -> Image {
    let mut image = Image::new(VideoSize::new(width, height));
    let (half_width, half_height) = (width as f32 / 2.0, height as f32 / 2.0);
    paint(&mut image, BACKDROP, LABEL_COVER, |x, y| {
        rounded(
            x - half_width,
            y - half_height,
            half_width,
            half_height,
            height as f32 / 4.0,
        )
    });
    image
}

/// Initials on a disc of the name's own colour, for the middle of a cell.
pub fn card(face: &Face, lettering: &mut dyn Lettering) -> Stamp {
    let side = (face.size.width.min(face.size.height) * 9 / 20).max(16) & !1;
    let mut image = Image::new(VideoSize::new(side, side));
    let middle = side as f32 / 2.0;
    paint(&mut image, colour_of(&face.name), 1.0, |x, y| {
        (x - middle).hypot(y - middle) - middle
    });
    let text = lettering.line(&initials(&face.name), side * 9 / 20, side);
    let (left, top) = (
        (side - text.size.width.min(side)) / 2,
        (side - text.size.height.min(side)) / 2,
    );
    image.put(&text, left, top);
    Stamp::new(&image)
}

/// Where a card's disc goes.
pub fn middle(cell: Area, size: VideoSize) -> (u32, u32) {
    (
        (cell.x + (cell.width - size.width.min(cell.width)) / 2) & !1,
        (cell.y + (cell.height - size.height.min(cell.height)) / 2) & !1,
    )
}

/// Where a name goes: in the lower corner.
pub fn corner(cell: Area, size: VideoSize) -> (u32, u32) {
    let inset = (cell.height / 40).max(2) & !1;
    (
        cell.x + inset,
        (cell.bottom().saturating_sub(size.height + inset)) & !1,
    )
}

/// A microphone, struck through: a capsule, its holder, its foot, and a line.
fn muted_mark(image: &mut Image, left: f32, side: f32) {
    let (x0, unit) = (left + side / 2.0, side / 24.0);
    let y0 = side / 2.0;
    paint(image, MUTED, 1.0, |x, y| {
        let (x, y) = ((x - x0) / unit, (y - y0) / unit);
        let capsule = rounded(x, y + 2.5, 2.6, 5.0, 2.6);
        let holder = ((x.hypot(y + 0.5) - 5.2).abs() - 0.8).max(-y - 0.5);
        let foot = rounded(x, y - 6.8, 0.8, 2.0, 0.4);
        let line = ((x - y + 0.5).abs() / 2f32.sqrt() - 0.9).max(x.hypot(y) - 9.0);
        capsule.min(holder).min(foot).min(line) * unit
    });
}

/// Colours what is inside of a shape; `distance` is how far outside of it a point is, in pixels.
fn paint(image: &mut Image, colour: [u8; 3], cover: f32, distance: impl Fn(f32, f32) -> f32) {
    for y in 0..image.size.height {
        for x in 0..image.size.width {
            let inside = (0.5 - distance(x as f32 + 0.5, y as f32 + 0.5)).clamp(0.0, 1.0);
            image.cover(x, y, colour, inside * cover);
        }
    }
}

/// A rectangle with round corners around the origin, of these half sides.
fn rounded(x: f32, y: f32, half_width: f32, half_height: f32, radius: f32) -> f32 {
    let (x, y) = (
        x.abs() - half_width + radius,
        y.abs() - half_height + radius,
    );
    x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0) - radius
}

fn short(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .take(NAME_MAX)
        .collect()
}

/// One or two letters that stand for a name: `Ada Lovelace` is `AL`, `jonas` is `JO`.
fn initials(name: &str) -> String {
    let mut words = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let letters: String = match (words.next(), words.next()) {
        (None, _) => "?".to_owned(),
        (Some(word), None) => word.chars().take(2).collect(),
        (Some(first), Some(second)) => first
            .chars()
            .take(1)
            .chain(second.chars().take(1))
            .collect(),
    };
    letters.to_uppercase()
}

/// Always the same for a name, and as dark as white letters need.
fn colour_of(name: &str) -> [u8; 3] {
    let mut hash = 2_166_136_261u32;
    for char in name.chars() {
        hash = (hash ^ u32::from(char)).wrapping_mul(16_777_619);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b);
    let hue = HUES[(hash >> 8) as usize % HUES.len()];
    of_hsl(hue, 0.42, 0.31)
}

fn of_hsl(hue: f32, saturation: f32, lightness: f32) -> [u8; 3] {
    let chroma = (1.0 - (2.0 * lightness - 1.0).abs()) * saturation;
    [0.0, 8.0, 4.0].map(|offset| {
        let k = (offset + hue / 30.0) % 12.0;
        let part = lightness - chroma / 2.0 * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (part * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_those_of_the_first_two_words() {
        for (name, letters) in [
            ("Ada Lovelace", "AL"),
            ("jonas", "JO"),
            ("  émile-zola  x", "ÉZ"),
            ("محمد علي", "مع"),
            ("!!", "?"),
            ("", "?"),
        ] {
            assert_eq!(initials(name), letters, "{name:?}");
        }
    }

    #[test]
    fn colours_are_those_of_the_pages_and_dark_enough_for_white_letters() {
        // hsl(208 42% 31%) and hsl(14 42% 31%), as a browser computes them.
        assert_eq!(of_hsl(208.0, 0.42, 0.31), [46, 81, 112]);
        assert_eq!(of_hsl(14.0, 0.42, 0.31), [112, 61, 46]);
        assert_eq!(colour_of("Ada"), colour_of("Ada"));
    }

    #[test]
    fn a_shape_covers_what_is_inside_of_it() {
        let mut image = Image::new(VideoSize::new(20, 10));
        paint(&mut image, [255, 0, 0], 1.0, |x, y| {
            rounded(x - 10.0, y - 5.0, 10.0, 5.0, 3.0)
        });
        let alpha = |x: usize, y: usize| image.rgba[(y * 20 + x) * 4 + 3];
        assert_eq!((alpha(10, 5), alpha(0, 5), alpha(10, 0)), (255, 255, 255));
        assert!(alpha(0, 0) < 60, "the corner is round");
    }
}
