//! Bitstreams, as publishers send them.

use std::time::Duration;

use amphi_media::{av1, h264, opus, vp8, vp9};

/// An Annex B stream: split, and every unit read as whatever it says it is.
pub fn h264(bytes: &[u8]) {
    let mut sps = None;
    let mut units = 0;
    for nal in h264::nal_units(bytes) {
        units += nal.len();
        sps = h264::sps(nal).or(sps);
        let _ = h264::pps_ids(nal);
        let _ = h264::slice_parameter_set(nal);
        if let Some(sps) = &sps {
            let _ = h264::slice_head(nal, sps);
        }
    }
    assert!(units <= bytes.len(), "units are pieces of the stream");
    if let Some(sps) = sps {
        assert!(
            sps.size.width > 0 && sps.size.height > 0,
            "a picture has a size"
        );
    }
}

/// One Opus packet.
pub fn opus(bytes: &[u8]) {
    if let Some(duration) = opus::duration(bytes) {
        assert!(
            duration > Duration::ZERO && duration <= Duration::from_millis(120),
            "RFC 6716 §3.2.5"
        );
    }
}

/// One temporal unit of AV1, as its header is read, and each of its units once more.
pub fn av1(bytes: &[u8]) {
    if let Some(header) = av1::header(bytes) {
        assert_eq!(
            header.key,
            header.size.is_some(),
            "units that are begun with, and only they, have a size"
        );
    }
    let mut again = Vec::new();
    for obu in av1::obus(bytes) {
        again.clear();
        obu.write(&mut again);
        assert_eq!(
            av1::Obu::split(&again),
            Some((obu, &[][..])),
            "what is written is read again"
        );
        if let Some(sequence) = av1::sequence_header(obu.payload) {
            assert!(sequence.size.width > 0 && sequence.size.height > 0);
        }
    }
}

/// One VP9 frame.
pub fn vp9(bytes: &[u8]) {
    if let Some(header) = vp9::header(bytes) {
        assert_eq!(
            header.key,
            header.size.is_some(),
            "key frames, and only they, have a size"
        );
    }
}

/// One VP8 frame.
pub fn vp8(bytes: &[u8]) {
    if let Some(header) = vp8::header(bytes) {
        assert_eq!(
            header.key,
            header.size.is_some(),
            "key frames, and only they, have a size"
        );
    }
}
