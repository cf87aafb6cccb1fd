//! Tokens and names, as anybody sends them.

use amphi_policy::name;
use amphi_policy::token::{self, Keys};

const NOW_S: u64 = 1_800_000_000;

/// A token. Nothing that a fuzzer makes may be accepted for a key it does not know, and what was read can be signed
/// and read again.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let keys = |secret: &str| Keys::new([("devkey".to_owned(), secret.to_owned())]);
    assert!(
        token::verify(text, &keys("nobody signed with this"), NOW_S).is_err(),
        "a forged token was accepted"
    );
    if let Ok(claims) = token::verify(text, &keys("secret"), NOW_S) {
        let again = token::sign(&claims, "devkey", "secret");
        // Signing writes no field that was empty, so it only gets shorter than what was within the bound.
        assert_eq!(
            token::verify(&again, &keys("secret"), NOW_S).as_ref(),
            Ok(&claims)
        );
    }
}

/// A room's name: what is accepted can be one part of a path and of an address.
pub fn room_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if name::room(text).is_ok() {
        assert!(!text.is_empty() && text.len() <= 128);
        assert!(
            !text.contains(['/', '\\', '\0', '%', '?', '#', '<']) && !text.starts_with('.'),
            "{text:?}"
        );
    }
    if name::identity(text).is_ok() {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}
