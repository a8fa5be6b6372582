//! Text from a guest on its way to people: short, on one line, without control characters.

use std::borrow::Cow;
use std::fmt::Write as _;

/// At most `bytes_max` bytes of `text` (a little more when characters had to be escaped), with `…` where it was cut.
pub(super) fn clean(text: &str, bytes_max: usize) -> Cow<'_, str> {
    let cut = cut(text, bytes_max);
    let whole = cut.len() == text.len();
    if whole && !cut.contains(char::is_control) {
        return Cow::Borrowed(cut);
    }
    let mut clean = escaped(cut);
    if !whole {
        clean.push('…');
    }
    Cow::Owned(clean)
}

/// The longest part of `text` from its beginning that is at most `bytes_max` bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// Control characters as Rust writes them: a line break as `\n`, an escape as `\u{1b}`.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len() + 8), |mut clean, c| {
        if c.is_control() {
            // Writing to a String cannot fail.
            _ = write!(clean, "{}", c.escape_default());
        } else {
            clean.push(c);
        }
        clean
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_left_as_it_is() {
        assert!(matches!(clean("größer als nötig", 100), Cow::Borrowed("größer als nötig")));
        assert_eq!(clean("", 0), "");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(clean("a\nb\t\u{1b}[31mc\0", 100), "a\\nb\\t\\u{1b}[31mc\\u{0}");
        assert_eq!(clean("\u{9b}31m\u{7f}", 100), "\\u{9b}31m\\u{7f}");
    }

    #[test]
    fn long_text_is_cut_at_a_characters_border() {
        assert_eq!(clean("äöü", 3), "ä…");
        assert_eq!(clean("äöü", 6), "äöü");
        assert_eq!(clean("abc", 0), "…");
    }
}
