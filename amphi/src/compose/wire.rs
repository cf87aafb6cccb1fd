//! What a program and its composer say to each other over a Unix socket: a length (4 bytes, little endian) and so many bytes of
//! postcard.
//!
//! Both ends are this very binary, so nothing here has to last from one version to the next.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use amphi_studio::Counters;
use amphi_studio::composer::{Input, Output};
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// No message is longer: a key frame of 4K is a few megabytes.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

/// To the composer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// First of all, and before files are given up.
    Begin {
        /// Where fonts for names are; none: where the system has them.
        fonts: Option<PathBuf>,
        /// What the programme clock says at the instant `at_us` of [`machine_clock_us`]: however long the process takes to begin, it
        /// tells the same time as its program.
        now_us: i64,
        at_us: i64,
    },
    Input(Input),
}

/// The clock that all processes of a machine share, in microseconds: it only goes forward, and begins anywhere.
pub fn machine_clock_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// From the composer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    Output(Output),
    Report(Report),
}

/// What it cost, about once a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Since the composer began.
    pub counters: Counters,
    /// Processor time of the process since it began, in microseconds.
    pub cpu_us: u64,
    /// How long it has lived, and how much of that it did not wait for something to do, in microseconds.
    pub lived_us: u64,
    pub busy_us: u64,
    /// The picture that was made the latest after its time since the last report: by so many microseconds.
    pub late_us: i64,
}

/// The message as it goes over the socket.
pub fn packed(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let bytes = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    if length > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a message beyond the bound",
        ));
    }
    let mut bytes = bytes;
    let length = u32::try_from(length).expect("bounded by BYTES_MAX");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

pub fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&packed(message)?)
}

/// Puts messages together from what a socket gives.
#[derive(Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// Up to here they were taken.
    taken: usize,
}

impl Reader {
    /// Reads once. False at the end of the stream.
    pub fn fill(&mut self, from: &mut impl Read) -> io::Result<bool> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let length = self.bytes.len();
        self.bytes.resize(length + 64 * 1024, 0);
        let read = from.read(&mut self.bytes[length..]);
        let count = *read.as_ref().unwrap_or(&0);
        self.bytes.truncate(length + count);
        match read {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The next whole message. An error when it is none: the other end is broken.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let rest = &self.bytes[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a message beyond the bound",
            ));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = postcard::from_bytes(message)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.taken += 4 + length;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use amphi_media::{Codec, TrackId};
    use bytes::Bytes;

    use super::*;

    fn frame(size: usize) -> Told {
        Told::Input(Input::Frame {
            track: TrackId(7),
            codec: Codec::Vp8,
            time_us: -3,
            key: true,
            contiguous: false,
            data: Bytes::from(vec![9; size]),
        })
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let mut bytes = Vec::new();
        for size in [0, 1, 70_000] {
            write(&mut bytes, &frame(size)).expect("a vector takes all");
        }
        for piece in [1, 7, 1_000, usize::MAX] {
            let mut reader = Reader::default();
            let mut sizes = Vec::new();
            for mut chunk in bytes.chunks(piece.min(bytes.len())) {
                while !chunk.is_empty() {
                    assert!(reader.fill(&mut chunk).expect("memory does not fail"));
                    while let Some(told) = reader.next_message::<Told>().expect("whole messages") {
                        let Told::Input(Input::Frame { data, time_us, .. }) = told else {
                            panic!("another message: {told:?}");
                        };
                        assert_eq!(time_us, -3);
                        sizes.push(data.len());
                    }
                }
            }
            assert_eq!(sizes, [0, 1, 70_000], "in pieces of {piece}");
        }
    }

    #[test]
    fn a_length_beyond_the_bound_and_what_is_no_message_are_errors() {
        let mut reader = Reader::default();
        reader.fill(&mut &[0xff; 8][..]).expect("memory");
        assert!(reader.next_message::<Told>().is_err());
        let mut reader = Reader::default();
        reader.fill(&mut &[1, 0, 0, 0, 0xff][..]).expect("memory");
        assert!(reader.next_message::<Told>().is_err());
        assert!(packed(&frame(BYTES_MAX)).is_err());
    }
}
