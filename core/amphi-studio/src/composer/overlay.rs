//! What is laid over the whole of a composed picture: what it is called, and the house's logo.
//!
//! It is laid over the finished picture and taken off again, so that people can be moved and drawn as if it were not there.

use amphi_media::VideoSize;

use super::{Look, faces};
use crate::canvas::{Canvas, Stamp};
use crate::layout::Area;
use crate::lettering::Lettering;

/// Most of the picture that a logo takes, as a share of its width and of its height.
const LOGO_WIDTH_SHARE: u32 = 5;
const LOGO_HEIGHT_SHARE: u32 = 8;

/// How far in from the edges, as a share of the shorter side: 24 pixels of 720.
const INSET_SHARE: u32 = 30;

#[derive(Default)]
pub struct Overlay {
    stamps: Vec<(Stamp, Area)>,
    /// What is below them, while they are on.
    below: Vec<Vec<u8>>,
}

impl Overlay {
    /// For a picture of this size: the title in the upper left corner, the logo in the upper right one.
    pub fn new(look: &Look, size: VideoSize, lettering: &mut dyn Lettering) -> Self {
        let inset = (size.width.min(size.height) / INSET_SHARE) & !1;
        let logo = look.logo.as_ref().and_then(|logo| {
            let most = VideoSize::new(
                size.width / LOGO_WIDTH_SHARE,
                size.height / LOGO_HEIGHT_SHARE,
            );
            let image = logo.shrunk(most)?;
            let left = (size.width.checked_sub(image.size.width + inset)?) & !1;
            Some(placed(Stamp::new(&image), left, inset))
        });
        let logo_width = logo.as_ref().map_or(0, |(_, area)| area.width + inset);
        let title_width = size.width.saturating_sub(2 * inset + logo_width);
        let title = faces::title(&look.title, size.height, title_width, lettering)
            .map(|stamp| placed(stamp, inset, inset));
        Self {
            stamps: title.into_iter().chain(logo).collect(),
            below: Vec::new(),
        }
    }

    pub fn put_on(&mut self, picture: &mut Canvas) {
        self.below.resize(self.stamps.len(), Vec::new());
        for ((stamp, area), below) in self.stamps.iter().zip(&mut self.below) {
            picture.copy_out(*area, below);
            picture.stamp(stamp, (area.x, area.y));
        }
    }

    /// From the picture that it was put on, before anything else is drawn there.
    pub fn take_off(&mut self, picture: &mut Canvas) {
        for ((_, area), below) in self.stamps.iter().zip(&self.below) {
            picture.copy_in(*area, below);
        }
    }
}

fn placed(stamp: Stamp, x: u32, y: u32) -> (Stamp, Area) {
    let VideoSize { width, height } = stamp.size();
    let area = Area {
        x,
        y,
        // A sample of colour is of two by two pixels.
        width: width.next_multiple_of(2),
        height: height.next_multiple_of(2),
    };
    (stamp, area)
}
