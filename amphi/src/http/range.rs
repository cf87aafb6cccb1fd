//! Ranges of bytes: what a `range` header asks for of something whose length is known (RFC 9110 §14).

use axum::http::HeaderValue;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The whole: what is not understood or not valid is ignored, and several ranges may be (§14.2).
    All,
    /// From the first to the last of these bytes.
    Part(u64, u64),
    /// Nothing that there is.
    Beyond,
}

/// `bytes=0-99`, `bytes=100-`, or `bytes=-100` for the last hundred; of fewer all of them (§14.1.2).
pub fn wanted(header: &HeaderValue, length: u64) -> Wanted {
    let Some((first, last)) = one(header) else {
        return Wanted::All;
    };
    let newest = length.saturating_sub(1);
    match (first, last) {
        (Some(first), Some(last)) if last < first => Wanted::All,
        (Some(first), _) if first >= length => Wanted::Beyond,
        (Some(first), last) => Wanted::Part(first, last.map_or(newest, |last| last.min(newest))),
        (None, None) => Wanted::All,
        (None, Some(0)) => Wanted::Beyond,
        (None, Some(_)) if length == 0 => Wanted::Beyond,
        (None, Some(last)) => Wanted::Part(length.saturating_sub(last), newest),
    }
}

/// Both ends of one range, as far as they are said. Numbers beyond all that there is are as good as the largest.
fn one(header: &HeaderValue) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.to_str().ok()?.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| -> Option<Option<u64>> {
        match text {
            "" => Some(None),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Some(text.parse().unwrap_or(u64::MAX)))
            }
            _ => None,
        }
    };
    Some((number(first)?, number(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_range_asks_for() {
        let check = |text: &str, length, expected| {
            let header = HeaderValue::from_str(text).expect("a header");
            assert_eq!(wanted(&header, length), expected, "{text} of {length}");
        };
        for (text, expected) in [
            ("bytes=0-3", Wanted::Part(0, 3)),
            ("bytes=8-", Wanted::Part(8, 9)),
            ("bytes=8-99", Wanted::Part(8, 9)),
            ("Bytes=007-7", Wanted::Part(7, 7)),
            ("bytes=-2", Wanted::Part(8, 9)),
            ("bytes=-10", Wanted::Part(0, 9)),
            ("bytes=-300", Wanted::Part(0, 9)),
            ("bytes=-99999999999999999999999", Wanted::Part(0, 9)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=18446744073709551616-", Wanted::Beyond),
        ] {
            check(text, 10, expected);
        }
        for ignored in [
            "bytes=5-3",
            "bytes=0-1,4-5",
            "lines=0-1",
            "bytes=abc",
            "bytes=",
            "bytes=-",
            "bytes",
            "bytes=1-2-3",
            "bytes=+1-2",
            "",
        ] {
            check(ignored, 10, Wanted::All);
        }
        check("bytes=0-", 0, Wanted::Beyond);
        check("bytes=-1", 0, Wanted::Beyond);
    }
}
