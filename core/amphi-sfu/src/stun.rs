//! Telling datagrams apart before anything is decrypted, and reading whom a STUN check is for.
//!
//! The caller has one socket for many sessions. It asks [`classify`] what a datagram is, finds the session by address
//! or, for STUN from an address that nobody has verified yet, by [`local_ufrag`], and drops the rest: an unknown source
//! then costs one look at a few bytes.

/// What a datagram on the media port is, told by its first byte (RFC 7983 §7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Stun,
    Dtls,
    /// RTP or RTCP, encrypted.
    Media,
    /// Nothing that WebRTC sends (TURN channels and ZRTP included: we speak neither).
    Unknown,
}

/// Tells what a datagram is from its first byte.
pub fn classify(first: u8) -> Protocol {
    match first {
        0..=3 => Protocol::Stun,
        20..=63 => Protocol::Dtls,
        128..=191 => Protocol::Media,
        4..=19 | 64..=127 | 192..=255 => Protocol::Unknown,
    }
}

const HEADER_BYTES: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;

/// RFC 8445 §5.3 allows 256 characters for one half; 513 for both with the colon (RFC 8489 §14.3: less than 509 bytes).
const USERNAME_BYTES_MAX: usize = 513;

/// The user name fragment of *our* side in a STUN binding request: the part before the colon of USERNAME
/// (RFC 8445 §7.2.2). None for anything else, also for requests that are cut short. Nothing is verified here: the
/// session checks MESSAGE-INTEGRITY.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    let header = datagram.get(..HEADER_BYTES)?;
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let mut attributes = datagram.get(HEADER_BYTES..HEADER_BYTES.checked_add(length)?)?;
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let size = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..size)?;
        if kind == USERNAME {
            if size > USERNAME_BYTES_MAX {
                return None;
            }
            let (ours, _theirs) = std::str::from_utf8(value).ok()?.split_once(':')?;
            return (!ours.is_empty()).then_some(ours);
        }
        // Values are padded to four bytes (RFC 8489 §14).
        attributes = rest.get(size.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend_from_slice(&kind.to_be_bytes());
            body.extend_from_slice(&(value.len() as u16).to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut out = vec![0, 1];
        out.extend_from_slice(&(body.len() as u16).to_be_bytes());
        out.extend_from_slice(&MAGIC_COOKIE);
        out.extend_from_slice(&[7; 12]);
        out.extend_from_slice(&body);
        out
    }

    #[test]
    fn the_local_fragment_stands_before_the_colon() {
        let datagram = request(&[
            (0x0024, &[0, 0, 0, 1]),
            (USERNAME, b"abcde:remote"),
            (0x0008, &[0; 20]),
        ]);
        assert_eq!(local_ufrag(&datagram), Some("abcde"));
    }

    #[test]
    fn an_attribute_of_odd_length_is_skipped_with_its_padding() {
        let datagram = request(&[(0x8022, b"str0m"), (USERNAME, b"abc:d")]);
        assert_eq!(local_ufrag(&datagram), Some("abc"));
    }

    #[test]
    fn what_is_not_a_whole_binding_request_names_nobody() {
        let whole = request(&[(USERNAME, b"abcde:remote")]);
        for end in 0..whole.len() {
            assert_eq!(local_ufrag(&whole[..end]), None, "cut at {end}");
        }
        let mut response = whole.clone();
        response[0] = 0x01;
        assert_eq!(local_ufrag(&response), None);
        let mut cookie = whole;
        cookie[4] = 0;
        assert_eq!(local_ufrag(&cookie), None);
        assert_eq!(local_ufrag(&request(&[(USERNAME, b"nocolon")])), None);
        assert_eq!(local_ufrag(&request(&[(USERNAME, b":remote")])), None);
        assert_eq!(
            local_ufrag(&request(&[(USERNAME, &[0xff, b':', b'a'])])),
            None
        );
        assert_eq!(local_ufrag(&request(&[])), None);
    }

    #[test]
    fn the_first_byte_tells_the_protocol() {
        assert_eq!(classify(0), Protocol::Stun);
        assert_eq!(classify(22), Protocol::Dtls);
        assert_eq!(classify(128), Protocol::Media);
        assert_eq!(classify(191), Protocol::Media);
        assert_eq!(classify(64), Protocol::Unknown);
        assert_eq!(classify(255), Protocol::Unknown);
    }
}
