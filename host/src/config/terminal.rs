//! What the environment says of terminals: <https://no-color.org>, <https://bixense.com/clicolors> and `TERM`.
//!
//! What is no terminal at all is for whoever writes there to see.

use std::ffi::OsString;

/// Whether colour is unwanted even on a terminal.
pub fn is_colour_unwanted() -> bool {
    unwanted(variable("NO_COLOR"), variable("CLICOLOR"), variable("TERM"))
}

/// Whether the terminal can only be written on, line after line.
pub fn is_terminal_dumb() -> bool {
    is_dumb(variable("TERM").as_ref())
}

fn unwanted(no_color: Option<OsString>, clicolor: Option<OsString>, term: Option<OsString>) -> bool {
    no_color.is_some_and(|value| !value.is_empty())
        || clicolor.is_some_and(|value| value == "0")
        || is_dumb(term.as_ref())
}

fn is_dumb(term: Option<&OsString>) -> bool {
    term.is_none_or(|term| term.is_empty() || term == "dumb")
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_unwanted_where_any_of_the_three_says_so() {
        let unwanted = |no_color: Option<&str>, clicolor: Option<&str>, term: Option<&str>| {
            unwanted(no_color.map(Into::into), clicolor.map(Into::into), term.map(Into::into))
        };
        let xterm = Some("xterm");
        assert!(!unwanted(None, None, xterm) && !unwanted(Some(""), Some("1"), xterm));
        assert!(unwanted(Some("1"), None, xterm) && unwanted(Some("0"), Some("1"), xterm));
        assert!(
            unwanted(None, Some("0"), xterm) && unwanted(None, Some("1"), Some("dumb")) && unwanted(None, None, None)
        );
    }
}
