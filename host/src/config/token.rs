//! The token of the admin listener: who has it may operate the host.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Error, Names, Secret, environment};

/// Where the token comes from, when the environment holds it.
pub const TOKEN_VARIABLE: &str = "FNHOST_ADMIN_TOKEN";

const NAMES: Names = Names { option: "--admin-token-file", variable: TOKEN_VARIABLE };

/// What whoever calls the admin listener has to show. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `file`, or in [`TOKEN_VARIABLE`]; none when there is neither. A line break at the end does not count.
    ///
    /// # Errors
    /// When both are given, the file cannot be read, it is too short or too long, or no header can carry it.
    pub fn resolve(file: Option<&Path>) -> Result<Option<Self>, Error> {
        let variable = environment(TOKEN_VARIABLE)?;
        Secret::given(file, variable.as_deref(), NAMES)?.map(Self::of).transpose()
    }

    fn of(Secret(bytes): Secret) -> Result<Self, Error> {
        let text = String::from_utf8(bytes).map_err(|_| Error::TokenForm)?;
        if text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(Self(text)) } else { Err(Error::TokenForm) }
    }

    /// Whether `given` is it. How long that takes tells nothing about it.
    pub fn is(&self, given: &[u8]) -> bool {
        // Tags of one length, of which verify compares every byte.
        let Ok(keyed) = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()) else { return false };
        let expected = keyed.clone().chain_update(self.0.as_bytes()).finalize().into_bytes();
        keyed.chain_update(given).verify(&expected).is_ok()
    }

    /// The header that shows it.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, Error> {
        Token::of(Secret(text.as_bytes().to_vec()))
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let whole = token("0123456789abcdef").unwrap();
        assert!(whole.is(b"0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!whole.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{whole:?}"), "Token(…)");
    }

    #[test]
    fn a_token_that_no_header_carries_is_refused() {
        for none in ["0123456789 abcdef", "0123456789abcdef\n0", "0123456789abcdé…"] {
            assert!(matches!(token(none), Err(Error::TokenForm)), "{none}");
        }
    }
}
