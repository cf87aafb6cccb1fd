//! What a server sends to our own player, which believes nothing of it.

use player::{Init, Media, Multivariant, fragments};

/// A playlist of either kind.
pub fn hls_playlist(bytes: &[u8]) {
    if let Ok(media) = Media::read(bytes) {
        assert!(media.duration().is_finite() && media.duration() >= 0.0);
        assert!(media.segments.len() <= bytes.len());
        let open = media.segments.iter().rev().skip(1);
        assert!(open.into_iter().all(|segment| segment.uri.is_some()));
        let _ = (media.next(), media.newest_part(), media.newest_segment());
    }
    if let Ok(index) = Multivariant::read(bytes) {
        assert!(!index.variants.is_empty());
    }
}

/// An initialization section and the fragments after it, as one file.
pub fn hls_boxes(bytes: &[u8]) {
    let Ok(init) = Init::read(bytes) else { return };
    assert!(init.timescale > 0);
    if let Ok(found) = fragments(bytes, &init) {
        assert!(!found.is_empty());
        for fragment in found {
            assert!(fragment.samples > 0 && fragment.pictures <= fragment.samples);
            assert!(init.seconds(fragment.duration).is_finite());
        }
    }
}
