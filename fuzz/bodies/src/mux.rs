//! Files that a crash left behind, or that somebody put into the data folder; pictures on their way into parts; names that
//! anybody asks for.

use amphi_media::{MediaKind, MediaTime, Sample};
use amphi_mux::{Found, Output, Packager, PackagerConfig, Window, WindowConfig, recording};
use bytes::Bytes;

/// A recording: scanned, and made into a playlist.
pub fn recording(bytes: &[u8]) {
    // A member's track in the same folder has another head.
    let _about = recording::about(bytes);
    let _length = recording::length(bytes);
    let scan = recording::scan(bytes);
    assert!(
        scan.good_bytes <= bytes.len() as u64,
        "what is whole is in the file"
    );
    for fragment in &scan.fragments {
        assert!(
            fragment.offset + fragment.bytes <= scan.good_bytes,
            "{fragment:?} is in the file"
        );
    }
    // As the server does with every recording it lists.
    let _ = (scan.duration(), scan.has_video(), scan.gaps());
    let playlist = recording::vod_playlist(&scan, "program.mp4");
    if let Some(playlist) = &playlist {
        assert!(playlist.starts_with("#EXTM3U\n"));
    }
    let mut reader = recording::Reader::default();
    reader.read(&bytes[..bytes.len() / 2]);
    reader.read(bytes);
    assert_eq!(
        reader.playlist("program.mp4"),
        playlist,
        "read in two goes it is the same"
    );
}

/// A publisher's pictures in Annex B form, as key frame and as what follows, held over several parts, and cut.
pub fn access_unit(bytes: &[u8]) {
    let mut packager = Packager::new(PackagerConfig::new(&[0x11, 0x90][..]));
    let picture = |seconds: i64, cut: bool| Sample {
        kind: MediaKind::Video,
        rung: 0,
        time: MediaTime::new(seconds * 90_000, 90_000),
        key: true,
        cut,
        data: Bytes::copy_from_slice(bytes),
    };
    for sample in [picture(0, false), picture(1, false), picture(3, true)] {
        packager.push(&sample);
    }
    packager.end();
    while let Some(output) = packager.poll() {
        if let Output::Part(part) = output {
            assert!(
                part.duration.seconds() <= 0.334,
                "no part is longer than the target"
            );
        }
    }
}

/// The last component of a path below `/hls/{room}/`.
pub fn part_name(bytes: &[u8]) {
    let window = Window::new(WindowConfig::new(17, 0));
    let found = window.resource(&String::from_utf8_lossy(bytes));
    assert!(
        matches!(found, Found::Gone | Found::Unknown),
        "an empty window has {found:?}"
    );
}
