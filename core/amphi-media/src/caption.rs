/// Characters that one caption has at most: a very long sentence. The rest is left out.
const CHARS_MAX: usize = 400;

/// A piece of what is said, as text, when all of it was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caption {
    /// Who says it, as people read it; empty: not known.
    pub who: String,
    pub text: String,
}

impl Caption {
    /// On one line, and no longer than 400 characters. None when there is nothing to be read.
    pub fn new(who: &str, text: &str) -> Option<Self> {
        let text = line(text);
        let is_some = text.chars().any(|one| !one.is_whitespace());
        is_some.then(|| Self {
            who: line(who),
            text,
        })
    }
}

/// Without line breaks and other control characters, and with single spaces.
fn line(text: &str) -> String {
    let mut line = String::new();
    let words = text.split(|one: char| one.is_whitespace() || one.is_control());
    let mut left = CHARS_MAX;
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
            left = left.saturating_sub(1);
        }
        let length = word.chars().count();
        if length > left {
            line.extend(word.chars().take(left.saturating_sub(1)));
            line.push('…');
            break;
        }
        line.push_str(word);
        left -= length;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_one_line_of_words() {
        let caption = Caption::new("Ada\nL.", "  Hello,\r\n\tworld\0!\u{2028}").expect("words");
        assert_eq!(
            (caption.who.as_str(), caption.text.as_str()),
            ("Ada L.", "Hello, world !")
        );
        assert_eq!(Caption::new("Ada", " \n\u{1}\u{a0}"), None);
    }

    #[test]
    fn a_caption_has_an_end() {
        let long = "word ".repeat(200);
        let caption = Caption::new("", &long).expect("words");
        assert!(caption.text.chars().count() <= CHARS_MAX + 1);
        assert!(caption.text.ends_with('…'));
        let caption = Caption::new("", &"é".repeat(1_000)).expect("words");
        assert_eq!(caption.text.chars().count(), CHARS_MAX);
    }
}
