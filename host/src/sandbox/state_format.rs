//! The layout of the state that a component keeps, as it declares it itself.
//!
//! A custom section `fnhost:state-format` of the component, or of the module within it that the SDK put it into. Read from the bytes,
//! before anything of them is run. Bounded: a name of [`BYTES_MAX`] visible characters.

use wasmparser::{Parser, Payload};

use super::LoadError;

/// The name of the section.
const SECTION: &str = "fnhost:state-format";
/// What a component keeps that declares nothing.
pub(super) const DEFAULT: &str = "1";
/// The longest name of a format.
const BYTES_MAX: usize = 64;

/// The format that a component declares.
pub(super) fn of(wasm: &[u8]) -> Result<String, LoadError> {
    let invalid = |reason: String| LoadError::Invalid { reason };
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload.map_err(|error| invalid(error.to_string()))? else { continue };
        if section.name() != SECTION {
            continue;
        }
        let text = std::str::from_utf8(section.data()).unwrap_or_default();
        if !(1..=BYTES_MAX).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid(format!("its section {SECTION} is to be 1 to {BYTES_MAX} visible characters")));
        }
        return Ok(text.to_owned());
    }
    Ok(DEFAULT.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(section: &str) -> Vec<u8> {
        wat::parse_str(format!("(component (core module {section}))")).unwrap()
    }

    #[test]
    fn what_a_module_within_a_component_declares_is_its_format() {
        assert_eq!(of(&component(r#"(@custom "fnhost:state-format" "baskets-2")"#)).unwrap(), "baskets-2");
        assert_eq!(of(&component(r#"(@custom "other" "baskets-2")"#)).unwrap(), "1");
    }

    #[test]
    fn a_format_that_nobody_could_type_is_refused() {
        for none in ["", "two words", "\\07", &"x".repeat(65)] {
            let wasm = component(&format!(r#"(@custom "fnhost:state-format" "{none}")"#));
            assert!(of(&wasm).is_err(), "{none}");
        }
    }
}
