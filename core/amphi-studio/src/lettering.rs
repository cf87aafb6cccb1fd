//! Words in a picture. The shell has the fonts.

use amphi_media::VideoSize;

/// Pixels in RGBA, not premultiplied, without gaps between lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Image {
    pub size: VideoSize,
    pub rgba: Vec<u8>,
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
