//! Packing answers that are text.

use std::io::Write;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Longer texts are packed with less effort: they are made while somebody waits.
const LARGE: usize = 64 * 1024;

/// The bytes as a gzip stream; none if that fails.
pub fn pack(bytes: &[u8]) -> Option<Bytes> {
    let effort = match bytes.len() {
        ..LARGE => Compression::default(),
        LARGE.. => Compression::fast(),
    };
    let mut encoder = GzEncoder::new(Vec::new(), effort);
    encoder.write_all(bytes).ok()?;
    Some(encoder.finish().ok()?.into())
}

/// Whether the client takes gzip (RFC 9110 §12.5.3; a quality of zero is a no).
pub fn is_taken(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut words = coding.split(';').map(str::trim);
            let named = words
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            named
                && !words.any(|word| {
                    word.strip_prefix("q=")
                        .is_some_and(|q| q.parse() == Ok(0.0))
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))])
        };
        assert!(is_taken(&headers("br, GZIP;q=0.5")) && is_taken(&headers("gzip")));
        assert!(
            !is_taken(&headers("gzip;q=0"))
                && !is_taken(&headers("br"))
                && !is_taken(&HeaderMap::new())
        );
    }
}
