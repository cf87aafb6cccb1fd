//! Planes in other sizes: bilinear, and halved before where they shrink to less than half.

use super::Plane;

/// What is larger by less than this share of what it is drawn into is cut: 854 columns, halved, are 426.
const CUT_SHARE: usize = 100;

#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

pub(super) struct Into<'a> {
    pub bytes: &'a mut [u8],
    pub stride: usize,
    pub width: usize,
    pub height: usize,
}

/// Scales planes. Keeps its working memory, so that a steady stream of pictures allocates nothing.
#[derive(Debug, Default)]
pub struct Scaler {
    /// For each column: left source column and weight of the one right of it, in 1/128.
    columns: Vec<(u32, u8)>,
    columns_for: (usize, usize, usize),
    line: Vec<u8>,
    halved: [Vec<u8>; 2],
}

impl Scaler {
    pub(super) fn scale(&mut self, plane: &Plane<'_>, from: Part, mut into: Into<'_>) {
        if let Some(from) = cut(from, &into) {
            for y in 0..into.height {
                let source = &plane.line(from.y + y)[from.x..from.x + from.width];
                into.bytes[y * into.stride..][..into.width].copy_from_slice(source);
            }
            return;
        }
        if from.width >= into.width * 2 && from.height >= into.height * 2 && from.height > 1 {
            let mut halved = std::mem::take(&mut self.halved[0]);
            let mut spare = std::mem::take(&mut self.halved[1]);
            let mut size = halve(plane, from, &mut halved);
            let mut span = Span::of(from).half();
            while size.0 >= into.width * 2 && size.1 >= into.height * 2 {
                let smaller = packed(&halved, size);
                size = halve(&smaller, whole(size), &mut spare);
                span = span.half();
                std::mem::swap(&mut halved, &mut spare);
            }
            let (smaller, all) = (packed(&halved, size), whole(size));
            if cut(all, &into).is_some() {
                self.scale(&smaller, all, into);
            } else {
                self.stretch(&smaller, all, span, &mut into);
            }
            self.halved = [halved, spare];
            return;
        }
        self.stretch(plane, from, Span::of(from), &mut into);
    }

    /// Bilinear, with sample positions in the middle of pixels.
    fn stretch(&mut self, plane: &Plane<'_>, from: Part, span: Span, into: &mut Into<'_>) {
        if self.columns_for != (from.width, span.width, into.width) {
            self.columns_for = (from.width, span.width, into.width);
            self.columns = (0..into.width)
                .map(|column| {
                    let (left, weight) = position(column, from.width, span.width, into.width);
                    (left as u32, weight)
                })
                .collect();
        }
        self.line.resize(from.width + 1, 0);
        for y in 0..into.height {
            let (above, weight) = position(y, from.height, span.height, into.height);
            let below = (above + 1).min(from.height - 1);
            let range = from.x..from.x + from.width;
            let (above, below) = (
                &plane.line(from.y + above)[range.clone()],
                &plane.line(from.y + below)[range],
            );
            let (line, last) = self.line.split_at_mut(from.width);
            if weight == 0 {
                line.copy_from_slice(above);
            } else {
                let weight = u16::from(weight);
                for ((out, above), below) in line.iter_mut().zip(above).zip(below) {
                    *out = ((u16::from(*above) * (128 - weight) + u16::from(*below) * weight + 64)
                        >> 7) as u8;
                }
            }
            // So that the column right of the last one can be read.
            last[0] = line[from.width - 1];
            let out = &mut into.bytes[y * into.stride..][..into.width];
            if from.width == into.width {
                out.copy_from_slice(line);
                continue;
            }
            for (out, (left, weight)) in out.iter_mut().zip(&self.columns) {
                // Both neighbours in one load.
                let pair = &self.line[*left as usize..][..2];
                let [a, b] = [pair[0], pair[1]].map(u16::from);
                let weight = u16::from(*weight);
                *out = ((a * (128 - weight) + b * weight + 64) >> 7) as u8;
            }
        }
    }
}

/// The middle of `from` that is as large as `into`, where the two differ by less than anybody sees: then nothing is scaled.
fn cut(from: Part, into: &Into<'_>) -> Option<Part> {
    let beyond = |length: usize, cut: usize| {
        let beyond = length.checked_sub(cut)?;
        (beyond <= cut / CUT_SHARE).then_some(beyond / 2)
    };
    Some(Part {
        x: from.x + beyond(from.width, into.width)?,
        y: from.y + beyond(from.height, into.height)?,
        width: into.width,
        height: into.height,
    })
}

fn whole((width, height): (usize, usize)) -> Part {
    Part {
        x: 0,
        y: 0,
        width,
        height,
    }
}

fn packed(bytes: &[u8], (width, height): (usize, usize)) -> Plane<'_> {
    Plane {
        bytes,
        stride: width,
        width,
        height,
    }
}

/// How far a part reaches, in 1/128 of a sample. After halving an odd length this is a half more than there are samples.
#[derive(Clone, Copy, Debug)]
struct Span {
    width: usize,
    height: usize,
}

impl Span {
    fn of(part: Part) -> Self {
        Self {
            width: part.width * 128,
            height: part.height * 128,
        }
    }

    fn half(self) -> Self {
        Self {
            width: self.width / 2,
            height: self.height / 2,
        }
    }
}

/// Where sample `index` of `into` lies among `from` samples that stand for `span`: the one before, and the weight of the one
/// after in 1/128.
fn position(index: usize, from: usize, span: usize, into: usize) -> (usize, u8) {
    let at = ((2 * index + 1) * span / (2 * into)).saturating_sub(64);
    let at = at.min((from - 1) * 128);
    (at / 128, (at % 128) as u8)
}

/// Averages two by two samples.
fn halve(plane: &Plane<'_>, from: Part, out: &mut Vec<u8>) -> (usize, usize) {
    let (width, height) = (from.width / 2, from.height / 2);
    out.resize(width * height, 0);
    for (y, line) in out.chunks_exact_mut(width).enumerate() {
        let range = from.x..from.x + width * 2;
        let above = &plane.line(from.y + 2 * y)[range.clone()];
        let below = &plane.line(from.y + 2 * y + 1)[range];
        for ((out, above), below) in line
            .iter_mut()
            .zip(above.chunks_exact(2))
            .zip(below.chunks_exact(2))
        {
            let sum = u16::from(above[0])
                + u16::from(above[1])
                + u16::from(below[0])
                + u16::from(below[1]);
            *out = ((sum + 2) >> 2) as u8;
        }
    }
    (width, height)
}
