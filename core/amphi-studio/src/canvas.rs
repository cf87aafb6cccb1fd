//! A picture that others are drawn into: I420, 8 bits, limited range (ITU-T H.273), as decoders give and encoders take it.
//!
//! A decoded picture is drawn once, straight into its cell: cropped, scaled and written in one go, plane by plane. No
//! picture is kept or copied in between. Scaling is bilinear between the two nearest lines and columns; where a picture
//! shrinks to less than half, it is halved first by averaging, so that no pixel is left out. What would shrink by a hundredth is cut.

mod scaler;

use amphi_media::VideoSize;

use crate::layout::Area;
use crate::lettering::Image;
pub use scaler::Scaler;
use scaler::{Into, Part};

/// A colour, as luma and the two differences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Colour {
    pub y: u8,
    pub u: u8,
    pub v: u8,
}

impl Colour {
    pub const BLACK: Colour = Colour {
        y: 16,
        u: 128,
        v: 128,
    };

    /// From sRGB by BT.601, limited range: what cameras in calls send.
    pub fn of_rgb(red: u8, green: u8, blue: u8) -> Self {
        let [r, g, b] = [red, green, blue].map(|part| f32::from(part) / 255.0);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        let part = |value: f32, middle: f32, span: f32| {
            (middle + span * value).round().clamp(0.0, 255.0) as u8
        };
        Self {
            y: part(luma, 16.0, 219.0),
            u: part((b - luma) / 1.772, 128.0, 224.0),
            v: part((r - luma) / 1.402, 128.0, 224.0),
        }
    }
}

/// Somebody else's picture.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    size: VideoSize,
    planes: [Plane<'a>; 3],
}

#[derive(Clone, Copy, Debug)]
struct Plane<'a> {
    bytes: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl Plane<'_> {
    fn line(&self, y: usize) -> &[u8] {
        let start = y.min(self.height - 1) * self.stride;
        &self.bytes[start..start + self.width]
    }
}

impl<'a> Picture<'a> {
    /// `planes` and `strides` of Y, U and V; the colour planes have half the width and height, rounded up. None when a plane is
    /// shorter than that, or empty.
    pub fn new(size: VideoSize, planes: [&'a [u8]; 3], strides: [usize; 3]) -> Option<Self> {
        let (width, height) = (size.width as usize, size.height as usize);
        let half = |length: usize| length.div_ceil(2);
        let plane = |index: usize, width: usize, height: usize| {
            let (bytes, stride) = (planes[index], strides[index]);
            let needed = stride
                .checked_mul(height.checked_sub(1)?)?
                .checked_add(width)?;
            (width > 0 && stride >= width && bytes.len() >= needed).then_some(Plane {
                bytes,
                stride,
                width,
                height,
            })
        };
        Some(Self {
            size,
            planes: [
                plane(0, width, height)?,
                plane(1, half(width), half(height))?,
                plane(2, half(width), half(height))?,
            ],
        })
    }

    pub fn size(&self) -> VideoSize {
        self.size
    }
}

/// A small picture that lets through what is below it, made to be laid over many pictures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    size: VideoSize,
    layers: [Layer; 3],
}

/// One plane of a stamp: value and cover (0 to 255) of each sample.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Layer {
    width: u32,
    pixels: Vec<(u8, u8)>,
}

impl Stamp {
    pub fn new(image: &Image) -> Self {
        let VideoSize { width, height } = image.size;
        let at = |x: u32, y: u32| -> Option<(Colour, u8)> {
            let inside = x < width && y < height;
            let index = (y as usize * width as usize + x as usize) * 4;
            let pixel = image.rgba.get(index..index + 4).filter(|_| inside)?;
            Some((Colour::of_rgb(pixel[0], pixel[1], pixel[2]), pixel[3]))
        };
        let luma = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| at(x, y).map_or((0, 0), |(colour, cover)| (colour.y, cover)))
            .collect();
        // A sample of colour stands for two by two pixels; each counts as far as it covers.
        let half = |take: fn(Colour) -> u8| {
            let sample = |x: u32, y: u32| {
                let around = [(0, 0), (1, 0), (0, 1), (1, 1)];
                let pixels = around.map(|(right, down)| at(2 * x + right, 2 * y + down));
                let cover: u32 = pixels
                    .iter()
                    .flatten()
                    .map(|(_, cover)| u32::from(*cover))
                    .sum();
                let sum: u32 = pixels
                    .iter()
                    .flatten()
                    .map(|(colour, cover)| u32::from(take(*colour)) * u32::from(*cover))
                    .sum();
                let value = sum.checked_div(cover).unwrap_or(0);
                (value as u8, (cover / 4) as u8)
            };
            (0..height.div_ceil(2))
                .flat_map(|y| (0..width.div_ceil(2)).map(move |x| (x, y)))
                .map(|(x, y)| sample(x, y))
                .collect()
        };
        let layer = |width, pixels| Layer { width, pixels };
        Self {
            size: image.size,
            layers: [
                layer(width, luma),
                layer(width.div_ceil(2), half(|colour| colour.u)),
                layer(width.div_ceil(2), half(|colour| colour.v)),
            ],
        }
    }

    pub fn size(&self) -> VideoSize {
        self.size
    }
}

/// The picture that is composed.
#[derive(Clone, PartialEq, Eq)]
pub struct Canvas {
    size: VideoSize,
    planes: [Vec<u8>; 3],
}

impl std::fmt::Debug for Canvas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Canvas({}x{})", self.size.width, self.size.height)
    }
}

impl Canvas {
    /// Sizes are even; an odd one is rounded down.
    pub fn new(size: VideoSize, colour: Colour) -> Self {
        let size = VideoSize::new(size.width & !1, size.height & !1);
        let luma = size.width as usize * size.height as usize;
        Self {
            size,
            planes: [
                vec![colour.y; luma],
                vec![colour.u; luma / 4],
                vec![colour.v; luma / 4],
            ],
        }
    }

    pub fn size(&self) -> VideoSize {
        self.size
    }

    /// Y, U and V without gaps between lines.
    pub fn planes(&self) -> [&[u8]; 3] {
        [&self.planes[0], &self.planes[1], &self.planes[2]]
    }

    /// As another picture is drawn from it.
    pub fn picture(&self) -> Option<Picture<'_>> {
        let width = self.size.width as usize;
        Picture::new(self.size, self.planes(), [width, width / 2, width / 2])
    }

    /// Paints `area`, as far as it is on the canvas.
    pub fn fill(&mut self, area: Area, colour: Colour) {
        for (index, value) in [colour.y, colour.u, colour.v].into_iter().enumerate() {
            let Some((stride, area)) = self.plane_area(index, area) else {
                return;
            };
            for y in area.y..area.bottom() {
                let start = y as usize * stride + area.x as usize;
                self.planes[index][start..start + area.width as usize].fill(value);
            }
        }
    }

    /// Draws `taken` of `picture` into `area`. What is outside of either is left out: an area that is not wholly on the canvas is
    /// not drawn at all.
    pub fn draw(&mut self, picture: &Picture<'_>, taken: Area, area: Area, scaler: &mut Scaler) {
        let inside = |area: Area, size: VideoSize| {
            area.width > 0
                && area.height > 0
                && area.right() <= size.width
                && area.bottom() <= size.height
        };
        let even = [area.x, area.y, area.width, area.height]
            .iter()
            .all(|length| length % 2 == 0);
        if !inside(taken, picture.size) || !inside(area, self.size) || !even {
            return;
        }
        for index in 0..3 {
            let shift = u32::from(index > 0);
            let Some((stride, to)) = self.plane_area(index, area) else {
                return;
            };
            let plane = &picture.planes[index];
            let (x, y) = ((taken.x >> shift) as usize, (taken.y >> shift) as usize);
            let from = Part {
                x,
                y,
                width: ((taken.width + shift) >> shift).min(plane.width as u32 - x as u32) as usize,
                height: ((taken.height + shift) >> shift).min(plane.height as u32 - y as u32)
                    as usize,
            };
            let start = to.y as usize * stride + to.x as usize;
            let into = Into {
                bytes: &mut self.planes[index][start..],
                stride,
                width: to.width as usize,
                height: to.height as usize,
            };
            scaler.scale(plane, from, into);
        }
    }

    /// Becomes `from` and `to` together, `share` of 256 of the latter. All three are of one size; nothing happens where they are not.
    pub fn mix(&mut self, from: &Canvas, to: &Canvas, share: u16) {
        if self.size != from.size || self.size != to.size {
            return;
        }
        let share = share.min(256);
        let planes = self.planes.iter_mut().zip(&from.planes).zip(&to.planes);
        for ((out, from), to) in planes {
            for ((out, from), to) in out.iter_mut().zip(from).zip(to) {
                // At most 255 × 256 + 128, which u16 holds.
                let mixed = u16::from(*from) * (256 - share) + u16::from(*to) * share + 128;
                *out = (mixed >> 8) as u8;
            }
        }
    }

    /// Lays a stamp over the canvas with its corner at an even place, as far as it is on it.
    pub fn stamp(&mut self, stamp: &Stamp, (x, y): (u32, u32)) {
        for (index, layer) in stamp.layers.iter().enumerate() {
            let shift = u32::from(index > 0);
            let (width, height) = (self.size.width >> shift, self.size.height >> shift);
            let (x, y) = (x >> shift, y >> shift);
            if x >= width {
                continue;
            }
            let lines = layer.pixels.chunks_exact(layer.width.max(1) as usize);
            let shown = layer.width.min(width - x) as usize;
            for (line, pixels) in (y..height).zip(lines) {
                let start = line as usize * width as usize + x as usize;
                let into = &mut self.planes[index][start..start + shown];
                for (below, (value, cover)) in into.iter_mut().zip(pixels) {
                    let cover = u32::from(*cover);
                    let mixed = u32::from(*below) * (255 - cover) + u32::from(*value) * cover;
                    *below = ((mixed + 127) / 255) as u8;
                }
            }
        }
    }

    /// What is in `area`, as far as it is on the canvas, in the order in which [`Canvas::copy_in`] takes it.
    pub fn copy_out(&self, area: Area, into: &mut Vec<u8>) {
        into.clear();
        for index in 0..3 {
            let Some((stride, area)) = self.plane_area(index, area) else {
                return;
            };
            for y in area.y..area.bottom() {
                let start = y as usize * stride + area.x as usize;
                into.extend_from_slice(&self.planes[index][start..start + area.width as usize]);
            }
        }
    }

    /// Puts back what was copied out of the same area.
    pub fn copy_in(&mut self, area: Area, mut from: &[u8]) {
        for index in 0..3 {
            let Some((stride, area)) = self.plane_area(index, area) else {
                return;
            };
            for y in area.y..area.bottom() {
                let Some((line, rest)) = from.split_at_checked(area.width as usize) else {
                    return;
                };
                let start = y as usize * stride + area.x as usize;
                self.planes[index][start..start + line.len()].copy_from_slice(line);
                from = rest;
            }
        }
    }

    /// `area` in samples of a plane, and the plane's line length. None when nothing of it is on the canvas.
    fn plane_area(&self, index: usize, area: Area) -> Option<(usize, Area)> {
        let shift = u32::from(index > 0);
        let (width, height) = (self.size.width >> shift, self.size.height >> shift);
        let (x, y) = (area.x >> shift, area.y >> shift);
        let area = Area {
            x,
            y,
            width: (area.width >> shift).min(width.checked_sub(x)?),
            height: (area.height >> shift).min(height.checked_sub(y)?),
        };
        (area.width > 0 && area.height > 0).then_some((width as usize, area))
    }
}
