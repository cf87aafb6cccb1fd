//! Frames ↔ bytes: the only place that writes a box or a playlist.
//!
//! - [`Packager`]: the program's samples become CMAF parts (ISO/IEC 23000-19), picture and sound apart, cut into
//!   segments that carry the same numbers in both.
//! - [`Window`]: the newest parts in bounded memory, the playlists over them (RFC 8216bis, low latency and plain), and
//!   what a blocking request is to be told.
//! - [`ThumbnailPicker`]: which pictures become small ones to look for a moment by; the window lists those, too.
//! - [`recording`]: the same parts in one file that is whole after every append, read back after a crash, and a
//!   playlist over that file.
//!
//! It is deliberately not a server (no URL, no header, no waiting), not a recorder (no file), and not a codec: the one
//! thing it writes into a bitstream is a picture that says "nothing changed" (`picture.rs` says why).
//!
//! Start reading at [`Packager`].

mod boxes;
mod clip;
mod packager;
mod picture;
mod playlist;
pub mod recording;
mod thumbnails;
mod window;

pub use clip::{ClipPiece, ClipSegment, Clipper, NoClip};
pub use packager::{
    Init, Output, Packager, PackagerConfig, PackagerCounters, Part, RUNGS_MAX, Rendition,
};
pub use thumbnails::{
    THUMBNAILS_PLAYLIST, Thumbnail, ThumbnailPicker, is_thumbnail, thumbnail_size,
};
pub use window::{Dvr, Found, Order, Presence, Variants, Window, WindowConfig, WindowCounters};
