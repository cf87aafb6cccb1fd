//! A recording that is read while it grows.

use std::cell::Cell;

use amphi_mux::recording::{
    ByteSource, Chunk, HEADER_BYTES, Place, Reader, Writer, scan, vod_playlist,
};
use amphi_mux::{Output, Packager};

use crate::program::*;
use crate::recording::{three_shots, write};
use crate::window::ZERO_UNIX_MS;

/// A file of which it is known how much of it was read.
struct Counted<'a> {
    bytes: &'a [u8],
    read: Cell<usize>,
}

impl ByteSource for Counted<'_> {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        self.read.set(self.read.get() + into.len());
        self.bytes.read_at(offset, into)
    }
}

/// At each of these lengths the reader lists what a whole scan does.
fn check(file: &[u8], lengths: impl IntoIterator<Item = usize>) {
    let mut reader = Reader::default();
    for length in lengths {
        let so_far = &file[..length];
        reader.read(so_far);
        assert_eq!(
            reader.playlist("program.mp4"),
            vod_playlist(&scan(so_far), "program.mp4"),
            "at {length} of {}",
            file.len()
        );
    }
    assert!(reader.playlist("program.mp4").is_some());
}

fn put(file: &mut Vec<u8>, chunk: &Chunk) {
    match chunk.place {
        Place::Header => file[..HEADER_BYTES].copy_from_slice(&chunk.bytes),
        Place::Append => file.extend_from_slice(&chunk.bytes),
    }
}

fn with_a_gap() -> Vec<u8> {
    let mut writer = Writer::new(ZERO_UNIX_MS);
    let mut file = vec![0; HEADER_BYTES];
    for output in &pack(&plain(12.0)) {
        let lost =
            matches!(output, Output::Part(part) if (3.0..6.5).contains(&part.time.seconds()));
        writer.push(output);
        while let Some(chunk) = writer.poll() {
            if lost {
                writer.lost(&chunk);
            } else {
                put(&mut file, &chunk);
            }
        }
    }
    file
}

#[test]
fn a_file_that_grows_is_listed_as_one_that_is_scanned_whole() {
    let shots = write(&mut Writer::new(ZERO_UNIX_MS), &pack(&three_shots()));
    for step in [311, 4_096, 60_000] {
        check(&shots, (0..shots.len()).step_by(step).chain([shots.len()]));
        let gap = with_a_gap();
        check(&gap, (0..gap.len()).step_by(step).chain([gap.len()]));
    }
}

#[test]
fn what_was_read_is_not_read_again() {
    let file = write(&mut Writer::new(ZERO_UNIX_MS), &pack(&plain(12.0)));
    let source = |length: usize| Counted {
        bytes: &file[..length],
        read: Cell::new(0),
    };
    let (most, all) = (source(file.len() * 9 / 10), source(file.len()));
    let mut reader = Reader::default();
    reader.read(&most);
    reader.read(&all);
    let (first, second) = (most.read.get(), all.read.get());
    assert!(second < first / 5, "{second} bytes after {first}");
    let nothing_new = source(file.len());
    reader.read(&nothing_new);
    assert!(nothing_new.read.get() < 1_000, "{}", nothing_new.read.get());
}

#[test]
fn a_header_that_is_written_again_and_a_file_that_is_another_are_read() {
    let mut packager = Packager::new(config());
    let mut writer = Writer::new(ZERO_UNIX_MS);
    let sound_only = pack_on(&mut packager, &sound(0.0, 5.0));
    let mut file = write(&mut writer, &sound_only);
    let mut reader = Reader::default();
    let same = |reader: &Reader, file: &[u8]| {
        let whole = vod_playlist(&scan(file), "x.mp4");
        assert!(whole.is_some());
        assert_eq!(reader.playlist("x.mp4"), whole);
    };
    reader.read(&file[..]);
    same(&reader, &file);
    let picture = together(&[shot(CAMERA, 5.0, 30.0, 120), sound(5.0, 4.0)]);
    for output in &pack_on(&mut packager, &picture) {
        writer.push(output);
        while let Some(chunk) = writer.poll() {
            put(&mut file, &chunk);
        }
    }
    reader.read(&file[..]);
    same(&reader, &file);
    for other in [
        write(&mut Writer::new(ZERO_UNIX_MS), &pack(&three_shots())),
        with_a_gap(),
    ] {
        reader.read(&other[..]);
        same(&reader, &other);
    }
    reader.read(&file[..100]);
    assert_eq!(reader.playlist("x.mp4"), None);
}
