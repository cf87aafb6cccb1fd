use serde::{Deserialize, Serialize};

/// How people are arranged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Layout {
    /// All of the same size.
    #[default]
    Grid,
    /// One large, the others in a strip beside it.
    Speaker,
    /// A shared screen large, cameras in a strip beside it. Without a screen: as [`Layout::Speaker`].
    Screen,
    /// The first two, of the same size, and nobody else.
    SideBySide,
    /// Nobody's picture, everybody's name.
    Audio,
}

impl Layout {
    pub const ALL: [Layout; 5] = [
        Layout::Grid,
        Layout::Speaker,
        Layout::Screen,
        Layout::SideBySide,
        Layout::Audio,
    ];

    /// As it stands in the API.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Grid => "grid",
            Layout::Speaker => "speaker",
            Layout::Screen => "screen",
            Layout::SideBySide => "side-by-side",
            Layout::Audio => "audio",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }
}

/// What becomes of a camera whose picture is not of its cell's shape. A shared screen is always whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum CameraFit {
    /// Cropped where most of it is still seen, else whole.
    #[default]
    Auto,
    /// It fills its cell, however much is cut off.
    Crop,
    /// All of it is seen, between bars.
    Whole,
}

impl CameraFit {
    pub const ALL: [CameraFit; 3] = [CameraFit::Auto, CameraFit::Crop, CameraFit::Whole];

    /// As it stands in the API.
    pub fn name(self) -> &'static str {
        match self {
            CameraFit::Auto => "auto",
            CameraFit::Crop => "crop",
            CameraFit::Whole => "whole",
        }
    }
}
