//! Files that a crash left behind, or that somebody put into the data folder.

use amphi_mux::recording;

/// A recording: scanned, and made into a playlist.
pub fn recording(bytes: &[u8]) {
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
    if let Some(playlist) = recording::vod_playlist(&scan, "program.mp4") {
        assert!(playlist.starts_with("#EXTM3U\n"));
    }
}
