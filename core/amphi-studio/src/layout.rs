//! Who is where in a composed picture, as a pure function: the same people give the same cells, whoever asks and whenever.
//!
//! All coordinates are even, since a composed picture is I420: one sample of colour covers two by two pixels.

pub use amphi_media::{CameraFit, Layout};
use amphi_media::{Source, VideoSize};

/// Pictures in one composed picture. Whoever comes later is heard, and shown when a place is free.
pub const CELLS_MAX: usize = 25;

/// Small pictures beside a large one.
const STRIP_MAX: usize = 5;

/// Nothing is composed on a canvas that is smaller than this either way: the lowest rung of the ladder has 144.
pub const CANVAS_SIDE_MIN: u32 = 128;

/// Space between cells and around them, as a share of the canvas's shorter side: 1/90, 8 pixels of 720.
const GAP_SHARE: u32 = 90;

/// How much of the canvas's width the strip takes, in percent.
const STRIP_PERCENT: u32 = 22;

/// By [`CameraFit::Auto`] a camera is cropped to its cell when at least this much of it, in percent, is still seen; a phone held
/// upright in a wide cell would lose two thirds and is shown whole, between bars.
const CROP_SEEN_PERCENT_MIN: u64 = 60;

/// How much larger than its cell a camera may be, as a share of the cell, to be cut instead of scaled: a layer of 360 lines in a
/// quarter of a picture of 720.
const CUT_SHARE: u32 = 16;

/// Somebody who may get a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guest {
    pub source: Source,
    /// Of the newest picture; none while there is none (camera off, nothing decoded yet).
    pub size: Option<VideoSize>,
}

/// A part of a picture, in pixels, all even.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Area {
    pub fn right(self) -> u32 {
        self.x + self.width
    }

    pub fn bottom(self) -> u32 {
        self.y + self.height
    }

    pub fn size(self) -> VideoSize {
        VideoSize::new(self.width, self.height)
    }

    /// The middle of it in another size, if that is only a little less.
    fn cut_to(self, size: VideoSize) -> Option<Area> {
        let beyond = |length: u32, cut: u32| {
            let beyond = length.checked_sub(cut)?;
            (beyond <= cut / CUT_SHARE).then_some(even(beyond / 2))
        };
        Some(Area {
            x: self.x + beyond(self.width, size.width)?,
            y: self.y + beyond(self.height, size.height)?,
            width: size.width,
            height: size.height,
        })
    }

    /// All of a picture of this size.
    pub fn of(size: VideoSize) -> Self {
        Self {
            x: 0,
            y: 0,
            width: even(size.width),
            height: even(size.height),
        }
    }

    /// The largest area of these proportions in the middle of this one.
    fn inner(self, proportions: VideoSize) -> Self {
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        let (across, down) = (
            u64::from(proportions.width.max(1)),
            u64::from(proportions.height.max(1)),
        );
        let (width, height) = if width * down <= height * across {
            (width, width * down / across)
        } else {
            (height * across / down, height)
        };
        let fits =
            |length: u64, most: u32| even(u32::try_from(length).unwrap_or(most).min(most)).max(2);
        let (width, height) = (fits(width, self.width), fits(height, self.height));
        Self {
            x: self.x + even((self.width.saturating_sub(width)) / 2),
            y: self.y + even((self.height.saturating_sub(height)) / 2),
            width,
            height,
        }
    }
}

/// One place in the composed picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Index of the guest.
    pub guest: usize,
    pub area: Area,
    /// Draw a card with the name although there may be a picture.
    pub card: bool,
}

/// Places for `guests`, the most important first, on a canvas. `lead` is who is large where somebody is: who speaks; the first
/// guest if nobody does.
///
/// Cells lie within the canvas, do not touch, and are as many as there are guests unless the layout shows fewer; none on a canvas
/// below [`CANVAS_SIDE_MIN`].
pub fn cells(
    layout: Layout,
    canvas: VideoSize,
    guests: &[Guest],
    lead: Option<usize>,
) -> Vec<Cell> {
    let canvas = Area::of(canvas);
    let gap = even(canvas.width.min(canvas.height) / GAP_SHARE).max(2);
    if guests.is_empty() || canvas.width.min(canvas.height) < CANVAS_SIDE_MIN {
        return Vec::new();
    }
    let inside = Area {
        x: gap,
        y: gap,
        width: canvas.width - 2 * gap,
        height: canvas.height - 2 * gap,
    };
    let all: Vec<usize> = (0..guests.len().min(CELLS_MAX)).collect();
    match layout {
        Layout::Grid => grid(inside, gap, &all, false),
        Layout::Audio => grid(inside, gap, &all, true),
        Layout::SideBySide => {
            let two: Vec<usize> = (0..guests.len().min(2)).collect();
            side_by_side(inside, gap, &two)
        }
        Layout::Speaker => large(inside, gap, guests, lead.unwrap_or(0)),
        Layout::Screen => {
            let screen = guests
                .iter()
                .position(|guest| guest.source == Source::Screen);
            large(inside, gap, guests, screen.or(lead).unwrap_or(0))
        }
    }
}

/// Where a picture of `size` goes in a cell: which part of it is taken, and which part of the cell it fills.
///
/// Cameras are cropped as `fit` says; screens never, since what is cut off may be what is talked about. A cropped camera that is
/// only a little larger than its cell loses its edge and is not scaled: that is sharper, and costs a copy.
pub fn placed(fit: CameraFit, source: Source, size: VideoSize, cell: Area) -> (Area, Area) {
    match seen(fit, source, size, cell) {
        Some(seen) => (seen.cut_to(cell.size()).unwrap_or(seen), cell),
        None => (Area::of(size), cell.inner(size)),
    }
}

/// How large a picture should come for a cell: one of these shapes that has either of these sides is not enlarged. Where it is
/// cropped that is more than the cell, since what is cut off is sent too.
pub fn wanted(fit: CameraFit, source: Source, size: VideoSize, cell: Area) -> VideoSize {
    let Some(seen) = seen(fit, source, size, cell) else {
        return cell.size();
    };
    let whole = Area::of(size);
    let all = |cell: u32, whole: u32, seen: u32| {
        let all = u64::from(cell) * u64::from(whole) / u64::from(seen.max(1));
        even(u32::try_from(all).unwrap_or(u32::MAX))
    };
    VideoSize::new(
        all(cell.width, whole.width, seen.width),
        all(cell.height, whole.height, seen.height),
    )
}

/// Which part of a picture is seen when it is cropped to its cell; none when it is shown whole.
fn seen(fit: CameraFit, source: Source, size: VideoSize, cell: Area) -> Option<Area> {
    let whole = Area::of(size);
    let seen = whole.inner(cell.size());
    let enough = seen.size().pixels() * 100 >= whole.size().pixels() * CROP_SEEN_PERCENT_MIN;
    let cropped = match fit {
        CameraFit::Auto => enough,
        CameraFit::Crop => true,
        CameraFit::Whole => false,
    };
    (cropped && source != Source::Screen).then_some(seen)
}

/// Rows of 16:9 cells, as large as may be; the last row in the middle.
fn grid(inside: Area, gap: u32, guests: &[usize], card: bool) -> Vec<Cell> {
    let count = u32::try_from(guests.len()).expect("bounded by CELLS_MAX");
    let size = |columns: u32| {
        let rows = count.div_ceil(columns);
        let most = Area {
            width: (inside.width - (columns - 1) * gap) / columns,
            height: (inside.height - (rows - 1) * gap) / rows,
            ..inside
        };
        most.inner(VideoSize::new(16, 9)).size()
    };
    let columns = (1..=count)
        .filter(|columns| {
            let rows = count.div_ceil(*columns);
            inside.width > (columns + rows) * gap && inside.height > rows * gap * 2
        })
        .max_by_key(|columns| (size(*columns).pixels(), std::cmp::Reverse(*columns)))
        .unwrap_or(1);
    let VideoSize { width, height } = size(columns);
    let rows = count.div_ceil(columns);
    let top = inside.y + even((inside.height - (rows * height + (rows - 1) * gap)) / 2);
    guests
        .iter()
        .zip(0u32..)
        .map(|(guest, index)| {
            let row = index / columns;
            let in_row = (count - row * columns).min(columns);
            let row_width = in_row * width + (in_row - 1) * gap;
            let left = inside.x + even((inside.width - row_width) / 2);
            let area = Area {
                x: left + index % columns * (width + gap),
                y: top + row * (height + gap),
                width,
                height,
            };
            Cell {
                guest: *guest,
                area,
                card,
            }
        })
        .collect()
}

/// Upright halves, as two people at a table.
fn side_by_side(inside: Area, gap: u32, guests: &[usize]) -> Vec<Cell> {
    let count = u32::try_from(guests.len()).expect("two at most");
    let width = even((inside.width - (count - 1) * gap) / count);
    guests
        .iter()
        .zip(0u32..)
        .map(|(guest, index)| Cell {
            guest: *guest,
            area: Area {
                x: inside.x + index * (width + gap),
                width,
                height: even(inside.height),
                ..inside
            },
            card: false,
        })
        .collect()
}

/// `lead` large, the others in a strip on the right, of the same size whether they are two or five.
fn large(inside: Area, gap: u32, guests: &[Guest], lead: usize) -> Vec<Cell> {
    let lead = if lead < guests.len() { lead } else { 0 };
    let others: Vec<usize> = (0..guests.len())
        .filter(|guest| *guest != lead)
        .take(STRIP_MAX)
        .collect();
    if others.is_empty() {
        return vec![Cell {
            guest: lead,
            area: Area {
                width: even(inside.width),
                height: even(inside.height),
                ..inside
            },
            card: false,
        }];
    }
    let rows = u32::try_from(STRIP_MAX).expect("a handful");
    let by_height = (inside.height - (rows - 1) * gap) / rows * 16 / 9;
    let width = even(by_height.min(inside.width * STRIP_PERCENT / 100));
    let height = even(width * 9 / 16);
    let main = Area {
        width: even(inside.width - width - gap),
        height: even(inside.height),
        ..inside
    };
    let count = u32::try_from(others.len()).expect("bounded by STRIP_MAX");
    let top = inside.y + even((inside.height - (count * height + (count - 1) * gap)) / 2);
    let strip = others.iter().zip(0u32..).map(|(guest, index)| Cell {
        guest: *guest,
        area: Area {
            x: main.right() + gap,
            y: top + index * (height + gap),
            width,
            height,
        },
        card: false,
    });
    let lead = Cell {
        guest: lead,
        area: main,
        card: false,
    };
    std::iter::once(lead).chain(strip).collect()
}

fn even(length: u32) -> u32 {
    length & !1
}
