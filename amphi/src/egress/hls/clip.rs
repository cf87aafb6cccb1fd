//! Clips: a stretch of a running broadcast as a file, from its window, without encoding.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use amphi_media::MediaTime;
use amphi_mux::recording::{Chunk, HEADER_BYTES, Place};
use amphi_mux::{ClipPiece, Clipper, NoClip};
use tokio::sync::OwnedSemaphorePermit;

use super::{Channel, Missing, Origin};

/// Why there is no clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    Missing(Missing),
    /// What there is of the broadcast, in unix milliseconds.
    Outside {
        from_ms: i64,
        to_ms: i64,
    },
}

/// A clip that can be written. While it is there, so are its segments, unless the window lets go of them.
pub struct Clip {
    channel: Arc<Channel>,
    pieces: Vec<ClipPiece>,
    to: MediaTime,
    _turn: OwnedSemaphorePermit,
}

impl Origin {
    /// What was shown from one unix time, in milliseconds, to another.
    pub fn clip(&self, room: &str, from_ms: i64, to_ms: i64) -> Result<Clip, Refused> {
        let channel = self
            .channel(room)
            .ok_or(Refused::Missing(Missing::NotOnAir))?;
        let zero_ms = channel.zero_unix_ms;
        let [from, to] =
            [from_ms, to_ms].map(|ms| MediaTime::new(ms.saturating_sub(zero_ms), 1_000));
        let pieces = channel.window().clip(from, to).map_err(|none| match none {
            NoClip::NothingYet => Refused::Missing(Missing::NotOnAir),
            NoClip::Outside(from, to) => Refused::Outside {
                // Inwards to whole milliseconds, so that what is said would do.
                from_ms: zero_ms + from.micros().div_euclid(1_000) + 1,
                to_ms: zero_ms + to.micros().div_euclid(1_000),
            },
        })?;
        let turn = self.clips.clone().try_acquire_owned();
        Ok(Clip {
            channel,
            pieces,
            to,
            _turn: turn.map_err(|_| Refused::Missing(Missing::Busy))?,
        })
    }
}

impl Clip {
    /// Writes the file, in the layout of a recording. Blocks.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.set_len(HEADER_BYTES as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut clipper = Clipper::new(self.channel.zero_unix_ms, self.to);
        for piece in &self.pieces {
            match piece {
                ClipPiece::Init(init) => clipper.push_init(init),
                ClipPiece::Segment(segment) => {
                    let bytes = match (&segment.bytes, &self.channel.shelf) {
                        (Some(bytes), _) => bytes.clone(),
                        (None, Some(shelf)) => fs::read(shelf.path(&segment.name))?.into(),
                        (None, None) => return Err(io::ErrorKind::NotFound.into()),
                    };
                    clipper.push_segment(segment, &bytes);
                }
            }
            while let Some(Chunk { place, bytes }) = clipper.poll() {
                if place == Place::Header {
                    file.seek(SeekFrom::Start(0))?;
                }
                file.write_all(&bytes)?;
                file.seek(SeekFrom::End(0))?;
            }
        }
        file.sync_all()
    }
}
