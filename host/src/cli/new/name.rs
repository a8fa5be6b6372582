//! What an app and a function can be called.

use crate::app::manifest;
use crate::cli::Failure;

/// What a crate cannot be called, with blanks between: words of Rust, crates that come with it or that functions depend on.
const TAKEN_BY_RUST: &str = "abstract alloc as async await become box break const continue core crate do dyn else enum extern false final fn \
    fnhost-sdk for gen if impl in let loop macro match mod move mut override priv proc-macro pub ref return self serde serde-json \
    static std struct super test trait true try type typeof unsafe unsized use virtual where while yield";

/// Folders that an app has beside those of its functions.
const TAKEN_BY_APPS: [&str; 5] = ["build", "schemas", "target", "tests", "vendor"];

/// Refuses what cannot name an app.
pub(super) fn check_app(name: &str) -> Result<(), Failure> {
    check(name, "an app", "fnhost new app", "shop")
}

/// Refuses what cannot name a function, its crate and its folder.
pub(super) fn check_function(name: &str) -> Result<(), Failure> {
    check(name, "a function", "fnhost new function", "audit")?;
    let why = if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "begin it with a letter: it is the name of a crate too"
    } else if TAKEN_BY_RUST.split_whitespace().any(|word| word == name) {
        "take another name: it is the name of a crate too, and means something else to Rust"
    } else if TAKEN_BY_APPS.contains(&name) {
        "take another name: it is the name of a folder too, and an app keeps something else there"
    } else {
        return Ok(());
    };
    Err(cannot(name, "a function").hint(why))
}

/// Refuses what the manifest would, with the command that was probably meant.
fn check(name: &str, what: &str, command: &str, example: &str) -> Result<(), Failure> {
    if manifest::is_name(name) {
        return Ok(());
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mended = name.chars().map(plain).collect::<String>();
    let mended = Some(mended.trim_matches('-')).filter(|name| manifest::is_name(name));
    let rule = manifest::NAME_RULE;
    Err(cannot(name, what).hint(format!("a name is {rule}: {command} {}", mended.unwrap_or(example))))
}

fn cannot(name: &str, what: &str) -> Failure {
    Failure::fault(anyhow::anyhow!("`{name}` cannot name {what}"))
}
