//! Names of rooms and members: what is accepted, and why not.

/// Longest room name or identity, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest shown name or title, in bytes.
pub const TITLE_BYTES_MAX: usize = 256;

/// Why a name was refused, in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadName {
    #[error("a name is needed")]
    Empty,
    #[error("a name may have at most 128 bytes")]
    TooLong,
    #[error(
        "a room's name may have letters, digits, spaces and - _ . ~ only, and may not begin or end with a dot or a space"
    )]
    Characters,
    #[error("a name may not hold control characters")]
    Control,
}

/// Checks a room's name. It becomes a part of addresses and of file names, so it is kept narrow: letters and digits of
/// any script, combining marks excepted, and `-_.~ `.
pub fn room(name: &str) -> Result<(), BadName> {
    length(name)?;
    let edge = |c: char| c == '.' || c == ' ';
    let fits = name
        .chars()
        .all(|c| c.is_alphanumeric() || "-_.~ ".contains(c));
    if !fits || name.starts_with(edge) || name.ends_with(edge) {
        return Err(BadName::Characters);
    }
    Ok(())
}

/// Checks an identity: any text without control characters.
pub fn identity(name: &str) -> Result<(), BadName> {
    length(name)?;
    if name.chars().any(char::is_control) {
        return Err(BadName::Control);
    }
    Ok(())
}

fn length(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(BadName::TooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_that_could_be_paths_or_markup_are_refused() {
        for good in ["town-hall", "Ålesund 2", "会議", "a.b_c~d"] {
            assert_eq!(room(good), Ok(()), "{good}");
        }
        for bad in [
            "..", ".", ".hidden", "a/b", "a\\b", "a%2fb", "<b>", "a\0b", " a", "a\n", "a?b", "a#b",
        ] {
            assert_eq!(room(bad), Err(BadName::Characters), "{bad}");
        }
        assert_eq!(room(""), Err(BadName::Empty));
        assert_eq!(room(&"a".repeat(129)), Err(BadName::TooLong));
    }

    #[test]
    fn identities_may_hold_anything_but_control_characters() {
        assert_eq!(identity("0xabc <b>"), Ok(()));
        assert_eq!(identity("a\u{7}"), Err(BadName::Control));
    }
}
