//! Reading an Opus packet's first bytes (RFC 6716 §3.1): how long it lasts.

use std::time::Duration;

/// How long the packet lasts, from its table-of-contents byte and frame count. None when it is empty, has no
/// frames, or would last more than the 120 ms that RFC 6716 §3.2.5 allows.
pub fn duration(packet: &[u8]) -> Option<Duration> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame_us: u64 = match config {
        0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config & 3)],
        12..=15 => [10_000, 20_000][usize::from(config & 1)],
        _ => [2_500, 5_000, 10_000, 20_000][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    let total_us = frame_us * frames;
    (frames > 0 && total_us <= 120_000).then(|| Duration::from_micros(total_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_its_duration() {
        assert_eq!(
            duration(&[0xfc]),
            Some(Duration::from_millis(20)),
            "CELT fullband 20 ms, one frame"
        );
        assert_eq!(
            duration(&[0x78]),
            Some(Duration::from_millis(20)),
            "hybrid fullband 20 ms"
        );
        assert_eq!(
            duration(&[0x03 | (3 << 3), 2]),
            Some(Duration::from_millis(120)),
            "two frames of SILK 60 ms"
        );
        assert_eq!(
            duration(&[0x03 | (3 << 3), 3]),
            None,
            "180 ms is more than a packet may last"
        );
        assert_eq!(duration(&[0xff, 0]), None, "no frames");
        assert_eq!(duration(&[]), None);
    }
}
