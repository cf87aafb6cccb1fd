//! Passes: a few letters in an address that let whoever has it read one recording for a while.
//!
//! A `<video>` element and a download link send no `Authorization`, and a token in an address would let its reader do
//! everything that its owner may. A pass is good for one recording, for reading, and for hours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;

use crate::token::{Keys, mac};

/// Passes end at whole multiples of this, so that an address stays the same for a while.
const STEP_S: u64 = 6 * 3_600;
/// A pass is good for at least this long.
const GOOD_FOR_S: u64 = 12 * 3_600;
/// Longer ones are not looked at.
const PASS_BYTES_MAX: usize = 128;

/// A pass for `recording` from `now_s` (seconds since 1970) on. None without a key.
pub fn issue(keys: &Keys, recording: &str, now_s: u64) -> Option<String> {
    let (_, secret) = keys.first()?;
    let until_s = (now_s + GOOD_FOR_S).next_multiple_of(STEP_S);
    let seal = mac(secret, &sealed(recording, until_s)).finalize();
    let seal = URL_SAFE_NO_PAD.encode(seal.into_bytes());
    Some(format!("{until_s}-{seal}"))
}

/// Whether `pass` lets its bearer read `recording` at `now_s`.
pub fn admits(keys: &Keys, recording: &str, pass: &str, now_s: u64) -> bool {
    if pass.len() > PASS_BYTES_MAX {
        return false;
    }
    let Some((until, seal)) = pass.split_once('-') else {
        return false;
    };
    let (Ok(until_s), Ok(seal)) = (until.parse::<u64>(), URL_SAFE_NO_PAD.decode(seal)) else {
        return false;
    };
    let sealed = sealed(recording, until_s);
    // Any key will do, so that passes live on when keys are exchanged one after the other.
    now_s <= until_s
        && keys
            .secrets()
            .any(|secret| mac(secret, &sealed).verify_slice(&seal).is_ok())
}

/// What is signed. No token begins like this (`.` stands between the parts of a token, and there is none here).
fn sealed(recording: &str, until_s: u64) -> String {
    format!("amphi recording pass\n{recording}\n{until_s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn keys(secret: &str) -> Keys {
        Keys::new([("key".to_owned(), secret.to_owned())])
    }

    #[test]
    fn a_pass_is_good_for_its_recording_for_hours_and_for_nothing_else() {
        let keys = keys("a secret of some length");
        let pass = issue(&keys, "evening", NOW).expect("there is a key");
        assert!(admits(&keys, "evening", &pass, NOW));
        assert!(admits(&keys, "evening", &pass, NOW + GOOD_FOR_S));
        assert!(!admits(&keys, "evening", &pass, NOW + GOOD_FOR_S + STEP_S));
        assert!(!admits(&keys, "morning", &pass, NOW));
        let others = self::keys("another secret, just as long");
        assert!(!admits(&others, "evening", &pass, NOW));
        assert_eq!(issue(&Keys::default(), "evening", NOW), None);
    }

    #[test]
    fn an_address_with_a_pass_stays_the_same_for_a_while() {
        let keys = keys("a secret of some length");
        let at = NOW.next_multiple_of(STEP_S) + 1;
        assert_eq!(issue(&keys, "a", at), issue(&keys, "a", at + STEP_S - 1));
        assert_ne!(issue(&keys, "a", at), issue(&keys, "a", at + STEP_S));
    }

    #[test]
    fn what_is_no_pass_admits_nobody() {
        let keys = keys("a secret of some length");
        let good = issue(&keys, "a", NOW).expect("there is a key");
        let (until, seal) = good.split_once('-').expect("two parts");
        let later = until.parse::<u64>().expect("a time") + STEP_S;
        let long = format!("{good}{}", "A".repeat(200));
        for bad in [
            "",
            "-",
            until,
            seal,
            "99999999999999999999999-AAAA",
            &format!("{later}-{seal}"),
            &format!("{until}-"),
            &format!("{until}-{}", &seal[1..]),
            &long,
        ] {
            assert!(!admits(&keys, "a", bad, NOW), "{bad:?}");
        }
    }
}
