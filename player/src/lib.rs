//! A player of HLS, low-latency and plain, as one pure value, and a witness: it says which rule of RFC 8216bis
//! (draft-pantos-hls-rfc8216bis) a server broke, over a whole live session.
//!
//! A [`Player`] knows no socket, no clock and no thread: answers and times go in ([`Input`]), requests and violations
//! come out ([`Output`]). It fetches what hls.js and AVPlayer fetch, when they fetch it: the multivariant playlist, media
//! playlists by blocking reload, the hinted part before it exists, parts, whole segments, initialization sections; or, as a
//! plain player, whole segments and playlists by the clock. It decodes nothing. It is *not* a part of amphi, shares no
//! code with the muxer that it judges, and so can find it wrong.
//!
//! What it can prove is listed in [`Rule`]. Start reading at [`Player`]. With the feature `net`, [`net::watch`] runs one
//! over HTTP.

mod boxes;
mod captions;
mod io;
mod media;
#[cfg(feature = "net")]
pub mod net;
mod picture;
mod player;
mod playlist;
mod rendition;
mod rules;
mod shown;
mod uri;

pub use boxes::{Fragment, Init, fragments};
pub use io::*;
pub use player::Player;
pub use playlist::{Media, Multivariant, Problem};
pub use rules::Rule;
