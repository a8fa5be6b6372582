//! Why a file is no function, in the words of whoever built it.

use std::path::PathBuf;

/// Why a component cannot be loaded. `Display` is one line; [`LoadError::hint`] says what mends it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there.
    #[error("{} is not there", path.display())]
    NotThere {
        /// Which file.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why. It stands in the line, so it is no source of its own.
        cause: std::io::Error,
    },
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// More bytes than `component_bytes_max`. A file is not even read then.
    #[error("it is too large: {bytes} bytes, and {bytes_max} is the most")]
    TooLarge {
        /// How many bytes it has.
        bytes: u64,
        /// How many it may have.
        bytes_max: usize,
    },
    /// It does not begin as WebAssembly does.
    #[error("it is no WebAssembly")]
    NotWasm,
    /// WebAssembly as text.
    #[error("it is WebAssembly as text, not a component in binary form")]
    Text,
    /// A module, which is only what a component is made from.
    #[error("it is a core WebAssembly module, not a component")]
    CoreModule,
    /// Machine code that an engine made from a component.
    #[error("it is a precompiled artefact: the host runs only what it compiled itself")]
    Precompiled,
    /// It cannot be parsed, validated or compiled.
    #[error("it is not valid: {reason}")]
    Invalid {
        /// What the validator says.
        reason: String,
    },
    /// It begins with more than any function may have.
    #[error("it needs more than a function may have: {reason}")]
    AboveLimits {
        /// What is too much.
        reason: String,
    },
    /// It does not export the handler, or another version of it.
    #[error("it does not export {wanted}{}", found.as_ref().map(|found| format!(", but {found}")).unwrap_or_default())]
    NoHandler {
        /// The export that the host calls.
        wanted: &'static str,
        /// What it exports under the same name, of another version.
        found: Option<String>,
    },
    /// It imports what no function gets.
    #[error("it imports {import}: {reason}")]
    Import {
        /// Which import.
        import: String,
        /// Why it is not there.
        reason: &'static str,
    },
    /// An import or export has a known name and another type.
    #[error("it does not fit the contract: {reason}")]
    Mismatch {
        /// Which one, and how.
        reason: String,
    },
}

impl LoadError {
    /// What mends it, when that can be told.
    pub fn hint(&self) -> Option<&'static str> {
        const BUILD: &str = "build it as a component: cargo build --release --target wasm32-wasip2";
        match self {
            Self::NotThere { .. } => Some("build it first: fnhost build"),
            Self::CoreModule | Self::NotWasm | Self::Empty | Self::Invalid { .. } => Some(BUILD),
            Self::Text => Some("turn it into a binary: wasm-tools parse"),
            Self::Precompiled => Some("name the .wasm file that it was made from"),
            Self::TooLarge { .. } => Some("leave debug data out: strip = true in the release profile"),
            Self::AboveLimits { .. } => Some("make its initial memory smaller: 64 MiB is the most"),
            Self::NoHandler { .. } | Self::Mismatch { .. } => {
                Some("build it against wit/function.wit of this host, or with its fnhost-sdk")
            }
            Self::Import { reason, .. } if *reason == super::imports::NO_NETWORK => {
                Some("publish to a topic instead, or leave the language runtime's network parts out of the build")
            }
            Self::Import { .. } => Some("what a function can import stands in wit/function.wit; beside it WASI 0.2"),
            Self::Unreadable { .. } => None,
        }
    }
}
