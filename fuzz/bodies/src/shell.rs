//! What the shell reads: its configuration, framed packets on the TCP port, the delivery directives of HLS.

use std::path::Path;

use amphi::compose::ffmpeg::flv;
use amphi::compose::wire::{Reader, Said, Told};
use amphi::config::{Config, ConfigError};
use amphi::net::tcp::Framing;
use amphi_media::h264;

/// A configuration file. What is refused is refused with a line that is in the file.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Config::parse(text, Path::new("amphi.toml")) {
        Err(ConfigError::Wrong { line, .. }) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&line));
        }
        Err(_) => {}
        // What is asked of every configuration before anything starts.
        Ok(config) => {
            let _ = (
                config.keys(),
                config.shards(),
                config.advertised(),
                config.room("town-hall"),
            );
        }
    }
}

/// What a composer says, which decodes strangers' bitstreams and could be theirs; and what it is told. Cut into reads of a few bytes
/// and then as a whole: as many messages come out.
pub fn composer_wire(bytes: &[u8]) {
    fn messages<T: serde::de::DeserializeOwned>(bytes: &[u8], step: usize) -> (usize, bool) {
        let mut reader = Reader::default();
        let mut count = 0;
        for mut read in bytes.chunks(step) {
            while !read.is_empty() {
                reader.fill(&mut read).expect("memory does not fail");
                loop {
                    match reader.next_message::<T>() {
                        Ok(Some(_)) => count += 1,
                        Ok(None) => break,
                        Err(_) => return (count, true),
                    }
                }
            }
        }
        (count, false)
    }
    let whole = bytes.len().max(1);
    assert_eq!(messages::<Said>(bytes, 3), messages::<Said>(bytes, whole));
    assert_eq!(messages::<Told>(bytes, 3), messages::<Told>(bytes, whole));
}

/// What an ffmpeg writes that encodes for us. Cut into reads of a few bytes and then as a whole: the same pictures come out, each a
/// picture of H.264, with parameter sets where a decoder starts.
pub fn coded_flv(bytes: &[u8]) {
    let pictures = |step: usize| {
        let mut reader = flv::Reader::default();
        let mut pictures = Vec::new();
        for read in bytes.chunks(step) {
            reader.push(read);
            loop {
                match reader.next_picture() {
                    Ok(Some(picture)) => pictures.push(picture),
                    Ok(None) => break,
                    Err(_) => return (pictures, true),
                }
            }
        }
        (pictures, false)
    };
    let (whole, refused) = pictures(bytes.len().max(1));
    assert_eq!(pictures(3), (whole.clone(), refused));
    for picture in whole {
        let kinds: Vec<u8> = h264::nal_units(&picture.data)
            .filter_map(h264::nal_type)
            .collect();
        assert!(!kinds.is_empty());
        assert!(!picture.key || kinds.contains(&h264::NAL_IDR));
    }
}

/// The TCP port's stream (RFC 4571), cut into reads of one byte and then as a whole: the same packets come out.
pub fn tcp_framing(bytes: &[u8]) {
    let packets = |step: usize| {
        let mut framing = Framing::default();
        let mut packets = Vec::new();
        for read in bytes.chunks(step) {
            framing.buffer().extend_from_slice(read);
            while let Some(packet) = framing.next_packet() {
                assert!(!packet.is_empty());
                packets.push(packet);
            }
        }
        packets
    };
    let whole = packets(bytes.len().max(1));
    assert_eq!(packets(1), whole);
    assert!(whole.iter().map(|packet| packet.len() + 2).sum::<usize>() <= bytes.len());
}

/// `_HLS_msn` and `_HLS_part` of a playlist request.
pub fn hls_query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (msn, part) = match text.split_once('&') {
        Some((msn, part)) => (Some(msn), Some(part)),
        None => (None, Some(text)),
    };
    assert!(
        amphi::http::waited_for(None, part).is_err(),
        "a part of nothing is nothing"
    );
    if let Ok(Some((number, _))) = amphi::http::waited_for(msn, part) {
        assert_eq!(msn.and_then(|msn| msn.parse().ok()), Some(number));
    }
}
