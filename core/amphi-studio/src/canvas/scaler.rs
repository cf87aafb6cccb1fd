//! Planes in other sizes: bilinear, and halved before where they shrink to less than half.
//!
//! A line becomes as wide as it should be at positions that differ from column to column, which no vector unit likes. So blocks of
//! lines are laid on their side first: then a column lies in a row in memory, and all of it is mixed with all of the next one at one
//! position. All inner loops are long and over bytes in a row, for the compiler to make vectors of.

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

/// Lines of a block. Fewer would be loops so short that the compiler unrolls them and makes no vectors.
const LINES: usize = 32;

/// Scales planes. Keeps its working memory, so that a steady stream of pictures allocates nothing.
#[derive(Debug, Default)]
pub struct Scaler {
    /// For each column: left source column and weight of the one right of it, in 1/128.
    columns: Vec<(u32, u8)>,
    columns_for: (usize, usize, usize),
    /// A block upright, and on its side.
    block: [Vec<u8>; 2],
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
        let row = |y: usize| position(y, from.height, span.height, into.height);
        let line = |y: usize| &plane.line(from.y + y)[from.x..from.x + from.width];
        let between = |above: usize| [line(above), line((above + 1).min(from.height - 1))];
        if from.width == into.width {
            for y in 0..into.height {
                let (above, weight) = row(y);
                let out = &mut into.bytes[y * into.stride..][..into.width];
                mix_lines(between(above), weight, out);
            }
            return;
        }
        self.find_columns(from.width, span.width, into.width);
        // One more, so that the column right of the last one can be read.
        let width = from.width + 1;
        for block in &mut self.block {
            block.resize(LINES * width.max(into.width), 0);
        }
        let [upright, lying] = &mut self.block;
        for top in (0..into.height).step_by(LINES) {
            let lines = top..into.height.min(top + LINES);
            for (y, out) in lines.clone().zip(upright.chunks_exact_mut(width)) {
                let (above, weight) = row(y);
                mix_lines(between(above), weight, out);
                out[width - 1] = out[width - 2];
            }
            let size = LINES * width;
            lay_down(&mut upright[..size], &mut lying[..size]);
            mix_columns(lying, &self.columns, upright);
            let size = LINES * into.width;
            set_up(&mut upright[..size], &mut lying[..size]);
            for (y, line) in lines.zip(lying.chunks_exact(into.width)) {
                into.bytes[y * into.stride..][..into.width].copy_from_slice(line);
            }
        }
    }

    fn find_columns(&mut self, from: usize, span: usize, into: usize) {
        if self.columns_for == (from, span, into) {
            return;
        }
        self.columns_for = (from, span, into);
        self.columns.clear();
        self.columns.extend((0..into).map(|column| {
            let (left, weight) = position(column, from, span, into);
            (left as u32, weight)
        }));
    }
}

/// What lies between two lines, `weight` of 128 of the latter.
fn mix_lines([above, below]: [&[u8]; 2], weight: u8, out: &mut [u8]) {
    for (out, (above, below)) in out.iter_mut().zip(above.iter().zip(below)) {
        *out = mix(*above, *below, weight);
    }
}

/// What lies between two columns, for each of `columns`: the left one of the two, and the weight of the right one.
fn mix_columns(from: &[u8], columns: &[(u32, u8)], out: &mut [u8]) {
    let (from, _) = from.as_chunks::<LINES>();
    let (out, _) = out.as_chunks_mut::<LINES>();
    for (out, (left, weight)) in out.iter_mut().zip(columns) {
        let pair = &from[*left as usize..][..2];
        for (out, (left, right)) in out.iter_mut().zip(pair[0].iter().zip(&pair[1])) {
            *out = mix(*left, *right, *weight);
        }
    }
}

fn mix(one: u8, other: u8, weight: u8) -> u8 {
    // So that the compiler knows that nothing overflows.
    let weight = u16::from(weight % 128);
    ((u16::from(one) * (128 - weight) + u16::from(other) * weight + 64) >> 7) as u8
}

/// Lines become columns, each of [`LINES`] bytes: bytes of the upper half and of the lower half in turns, until all bits of the
/// line's number have moved behind those of the column's. Nothing of use is left in `from`.
fn lay_down(from: &mut [u8], to: &mut [u8]) {
    for step in 0..STEPS {
        let (from, to) = in_turns(step, from, to);
        let (upper, lower) = from.split_at(from.len() / 2);
        let (pairs, _) = to.as_chunks_mut::<2>();
        for (pair, (upper, lower)) in pairs.iter_mut().zip(upper.iter().zip(lower)) {
            *pair = [*upper, *lower];
        }
    }
}

/// Columns become lines again. Nothing of use is left in `from`.
fn set_up(from: &mut [u8], to: &mut [u8]) {
    for step in 0..STEPS {
        let (from, to) = in_turns(step, from, to);
        let (upper, lower) = to.split_at_mut(from.len() / 2);
        let (pairs, _) = from.as_chunks::<2>();
        for (pair, (upper, lower)) in pairs.iter().zip(upper.iter_mut().zip(lower)) {
            // As one number: of two bytes the compiler makes no vectors here.
            let pair = u16::from_le_bytes(*pair);
            [*upper, *lower] = [pair as u8, (pair >> 8) as u8];
        }
    }
}

/// How often a block is halved until there is one line.
const STEPS: u32 = LINES.ilog2();

/// From which of the two to which. After an odd number of steps all is in the other one.
fn in_turns<'a>(step: u32, one: &'a mut [u8], other: &'a mut [u8]) -> (&'a [u8], &'a mut [u8]) {
    const { assert!(STEPS % 2 == 1 && LINES.is_power_of_two()) };
    match step % 2 {
        0 => (one, other),
        _ => (other, one),
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
        let (above, _) = above.as_chunks::<2>();
        let (below, _) = below.as_chunks::<2>();
        for ((out, above), below) in line.iter_mut().zip(above).zip(below) {
            // As one number: of two bytes the compiler makes no vectors here.
            let [above, below] = [above, below].map(|pair| u16::from_le_bytes(*pair));
            let sum = (above & 0xff) + (above >> 8) + (below & 0xff) + (below >> 8);
            *out = ((sum + 2) >> 2) as u8;
        }
    }
    (width, height)
}
