//! Words in a picture, and other small images. The shell has the fonts.

use amphi_media::VideoSize;
use serde::{Deserialize, Serialize};

/// Pixels in RGBA, not premultiplied, without gaps between lines.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    pub size: VideoSize,
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}x{})", self.size.width, self.size.height)
    }
}

impl Image {
    /// Nothing to be seen.
    pub fn new(size: VideoSize) -> Self {
        let pixels = size.width as usize * size.height as usize;
        Self {
            size,
            rgba: vec![0; pixels * 4],
        }
    }

    /// Lays a colour over a pixel as far as `cover` (0 to 1) says. What is outside is left out.
    pub fn cover(&mut self, x: u32, y: u32, colour: [u8; 3], cover: f32) {
        let cover = cover.clamp(0.0, 1.0);
        if x >= self.size.width || y >= self.size.height || cover == 0.0 {
            return;
        }
        let at = (y as usize * self.size.width as usize + x as usize) * 4;
        let pixel = &mut self.rgba[at..at + 4];
        let below = f32::from(pixel[3]) / 255.0 * (1.0 - cover);
        let whole = cover + below;
        for (part, colour) in pixel.iter_mut().zip(colour) {
            let mixed = (f32::from(colour) * cover + f32::from(*part) * below) / whole;
            *part = mixed.round() as u8;
        }
        pixel[3] = (whole * 255.0).round() as u8;
    }

    /// In its own proportions no larger than `most`: as it is, or smaller by averaging. None when nothing is left of it, or when it
    /// has not the pixels that it says it has.
    pub fn shrunk(&self, most: VideoSize) -> Option<Image> {
        let VideoSize { width, height } = self.size;
        let pixels = usize::try_from(self.size.pixels()).ok()?;
        if pixels == 0 || pixels.checked_mul(4) != Some(self.rgba.len()) {
            return None;
        }
        if width <= most.width && height <= most.height {
            return Some(self.clone());
        }
        let (across, down) = (u64::from(width), u64::from(height));
        let (most_across, most_down) = (u64::from(most.width), u64::from(most.height));
        let size = if across * most_down >= down * most_across {
            (most_across, down * most_across / across)
        } else {
            (across * most_down / down, most_down)
        };
        let size = VideoSize::new(u32::try_from(size.0).ok()?, u32::try_from(size.1).ok()?);
        if size.pixels() == 0 {
            return None;
        }
        let mut image = Image::new(size);
        let span = |at: u32, to: u32, from: u32| {
            let edge = |at: u32| u64::from(at) * u64::from(from) / u64::from(to);
            (edge(at), edge(at + 1).max(edge(at) + 1))
        };
        for (index, out) in (0u32..).zip(image.rgba.chunks_exact_mut(4)) {
            let (left, right) = span(index % size.width, size.width, width);
            let (top, bottom) = span(index / size.width, size.height, height);
            // What covers more counts more.
            let mut sums = [0u64; 4];
            for y in top..bottom {
                for x in left..right {
                    let at = usize::try_from((y * across + x) * 4).ok()?;
                    let pixel = self.rgba.get(at..at + 4)?;
                    let cover = u64::from(pixel[3]);
                    for (sum, part) in sums.iter_mut().zip(&pixel[..3]) {
                        *sum += u64::from(*part) * cover;
                    }
                    sums[3] += cover;
                }
            }
            for (part, sum) in out.iter_mut().zip(&sums[..3]) {
                *part = sum.checked_div(sums[3]).unwrap_or(0) as u8;
            }
            out[3] = (sums[3] / ((right - left) * (bottom - top))) as u8;
        }
        Some(image)
    }

    /// Lays another image over this one.
    pub fn put(&mut self, image: &Image, x: u32, y: u32) {
        let width = image.size.width.max(1) as usize;
        for (index, pixel) in image.rgba.chunks_exact(4).enumerate() {
            let (column, line) = ((index % width) as u32, (index / width) as u32);
            let colour = [pixel[0], pixel[1], pixel[2]];
            self.cover(x + column, y + line, colour, f32::from(pixel[3]) / 255.0);
        }
    }
}

/// Writes lines of text, in whatever script.
pub trait Lettering: Send {
    /// One line, white where glyphs have no colours of their own, as high as `height` from the top of tall letters to the foot of deep
    /// ones. What would be wider than `width_max` ends in an ellipsis. Empty when nothing can be seen of it.
    fn line(&mut self, text: &str, height: u32, width_max: u32) -> Image;
}
