//! What comes to a session before and beside media.

use amphi_sfu::{sdp, stun};

/// A session description.
pub fn sdp(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(lines) = sdp::lines(text) {
        assert!(lines.len() <= sdp::LINES_MAX);
    }
}

/// A datagram on the media port.
pub fn stun(bytes: &[u8]) {
    if let Some(first) = bytes.first() {
        let _ = stun::classify(*first);
    }
    if let Some(ufrag) = stun::local_ufrag(bytes) {
        assert!(!ufrag.is_empty() && ufrag.len() < bytes.len());
    }
}
