//! What a component declares of itself: the layout of the state that it keeps, and what it calls itself in what it publishes.
//!
//! Custom sections `fnhost:state-format` and `fnhost:source` of the component, or of the module within it that the SDK put them into. Read
//! from the bytes, before anything of them is run. Bounded: [`BYTES_MAX`] visible characters each.

use wasmparser::{Parser, Payload};

use super::LoadError;

/// The name of the section with the state's layout.
const STATE_FORMAT: &str = "fnhost:state-format";
/// The name of the section with the CloudEvents `source`.
const SOURCE: &str = "fnhost:source";
/// What a component keeps that declares nothing.
pub(super) const DEFAULT: &str = "1";
/// The longest of them.
const BYTES_MAX: usize = 256;

/// What a component declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// The layout of the state that it keeps.
    pub(super) state_format: String,
    /// The CloudEvents `source` of what it publishes, as far as it says.
    pub(super) source: Option<String>,
}

impl Declared {
    /// What the component of these bytes declares.
    pub(super) fn of(wasm: &[u8]) -> Result<Self, LoadError> {
        let invalid = |reason: String| LoadError::Invalid { reason };
        let (mut state_format, mut source) = (None, None);
        for payload in Parser::new(0).parse_all(wasm) {
            let Payload::CustomSection(section) = payload.map_err(|error| invalid(error.to_string()))? else {
                continue;
            };
            let declared = match section.name() {
                STATE_FORMAT => &mut state_format,
                SOURCE => &mut source,
                _ => continue,
            };
            let text = std::str::from_utf8(section.data()).unwrap_or_default();
            if !(1..=BYTES_MAX).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                let name = section.name();
                return Err(invalid(format!("its section {name} is to be 1 to {BYTES_MAX} visible characters")));
            }
            declared.get_or_insert_with(|| text.to_owned());
        }
        Ok(Self { state_format: state_format.unwrap_or_else(|| DEFAULT.to_owned()), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(section: &str) -> Vec<u8> {
        wat::parse_str(format!("(component (core module {section}))")).unwrap()
    }

    #[test]
    fn what_a_module_within_a_component_declares_is_the_components() {
        let of = |section: &str| Declared::of(&component(section)).unwrap();
        assert_eq!(of(r#"(@custom "fnhost:state-format" "baskets-2")"#).state_format, "baskets-2");
        assert_eq!(of(r#"(@custom "other" "baskets-2")"#), Declared { state_format: "1".into(), source: None });
        assert_eq!(of(r#"(@custom "fnhost:source" "/shop/baskets")"#).source.as_deref(), Some("/shop/baskets"));
    }

    #[test]
    fn a_format_that_nobody_could_type_is_refused() {
        for none in ["", "two words", "\\07", &"x".repeat(257)] {
            let wasm = component(&format!(r#"(@custom "fnhost:state-format" "{none}")"#));
            assert!(Declared::of(&wasm).is_err(), "{none}");
        }
    }
}
