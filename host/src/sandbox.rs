//! A component, in a fresh instance for every event: the bytes of a `.wasm` file to a [`Version`], and a
//! [`crate::invocation::Call`] to an [`Outcome`](crate::event::Outcome).
//!
//! One [`Sandbox`] a process; `check`, `run` and deployments load versions into it, workers call them. Nothing in an
//! instance outlives its call, and nothing of the outside is in reach: a function has its event, its state, its
//! configuration, a log, a clock that only its own steps move (`time`) and random numbers from a seed (`random`).
//! So the same call gives the same outcome. Sockets, HTTP and unknown imports are refused when a component is loaded
//! (`imports`).
//!
//! What bounds a call: the time of its thread, looked at by epochs (`ticker`), linear memory (`memory`), outputs (`outputs`), state
//! (`state`), log lines (`log`), handles, tables, the stack, and what a single call into the host may copy
//! (`version`). Each has an outcome of its own class; none of them ends the process.
//!
//! It knows no Kafka. The surprising parts: WASI is our own, because wasmtime-wasi's sleeps are real and it can do much
//! that no function may (`contract`); what is compiled is kept on disk and run from there (`cache`, the one place
//! with `unsafe`).

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use self::cache::Cache;
use self::contract::ComponentPre;
use self::declared::Declared;
use self::guest::Guest;
use self::ticker::Ticker;
use crate::event::Digest;

mod cache;
mod contract;
mod declared;
mod ended;
mod engine;
mod guest;
mod imports;
mod load_error;
mod log;
mod memory;
mod outputs;
mod process;
mod random;
mod spent;
mod state;
mod text;
mod ticker;
mod time;
mod version;

pub use self::load_error::LoadError;
use self::version::Told;
pub use self::version::Version;

/// The export that the host calls.
const HANDLER: &str = "fnhost:function/handler@0.1.0";

/// What a sandbox is made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where compiled components are kept; `None` compiles anew at each start.
    pub cache: Option<PathBuf>,
    /// How many instances may live at once: the number of workers, and one for `check`. A call beyond it waits.
    pub instances_max: usize,
    /// The largest component. 64 MiB unless told otherwise.
    pub component_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: None, instances_max: 2, component_bytes_max: 64 << 20 }
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not start.
    #[error("the WebAssembly engine does not start: {reason}")]
    Engine {
        /// What it says.
        reason: String,
    },
    /// No thread can be had.
    #[error("the sandbox cannot start a thread")]
    Thread(#[source] io::Error),
}

/// What all versions share.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<Guest>,
    ticker: Ticker,
    cache: Option<Cache>,
    component_bytes_max: usize,
}

impl Sandbox {
    /// A sandbox. One a process: a second engine would double what is reserved and kept warm.
    ///
    /// A cache that cannot be used is a warning, and the sandbox goes on without it.
    ///
    /// # Errors
    /// [`Error`] when the system does not give what it needs.
    pub fn new(options: &Options) -> Result<Arc<Self>, Error> {
        let of_engine = |error: wasmtime::Error| Error::Engine { reason: format!("{error:#}") };
        let engine = engine::new(options.instances_max).map_err(of_engine)?;
        let linker = imports::linker(&engine).map_err(of_engine)?;
        let ticker = Ticker::start(engine.clone(), options.instances_max).map_err(Error::Thread)?;
        let cache = options.cache.as_ref().and_then(|folder| {
            Cache::open(folder, &engine)
                .inspect_err(
                    |error| tracing::warn!(folder = %folder.display(), %error, "compiled components are not kept"),
                )
                .ok()
        });
        Ok(Arc::new(Self { engine, linker, ticker, cache, component_bytes_max: options.component_bytes_max }))
    }

    /// The version that is a component's bytes: validated, compiled or taken from the cache, and linked.
    ///
    /// Compiling takes 0.1 s for a Rust component, and seconds for a language runtime.
    ///
    /// # Errors
    /// [`LoadError`] when it is no function.
    pub fn load(self: &Arc<Self>, wasm: &[u8]) -> Result<Version, LoadError> {
        self.check_form(wasm)?;
        let digest = Digest::of(wasm);
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, digest)) {
            return self.version(wasm, &component, digest);
        }
        let component = Component::from_binary(&self.engine, wasm).map_err(invalid)?;
        let version = self.version(wasm, &component, digest)?;
        if let Some(cache) = &self.cache {
            cache.store(digest, &component);
        }
        Ok(version)
    }

    /// The version in a file. Its size is looked at before it is read.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be read, or is no function.
    pub fn load_file(self: &Arc<Self>, path: &Path) -> Result<Version, LoadError> {
        self.load(&self.read(path)?)
    }

    /// Whether loading the file will compile it, for all that can be told without doing so.
    pub fn must_compile(&self, path: &Path) -> bool {
        let Ok(wasm) = self.read(path) else { return false };
        self.check_form(&wasm).is_ok() && self.cache.as_ref().is_none_or(|cache| !cache.has(Digest::of(&wasm)))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        let unreadable = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => LoadError::NotThere { path: path.to_owned() },
            _ => LoadError::Unreadable { path: path.to_owned(), cause },
        };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(io::Error::other("it is no file")));
        }
        self.check_size(metadata.len())?;
        let mut wasm = Vec::new();
        // It may have grown since.
        let bytes_max = u64::try_from(self.component_bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        File::open(path).and_then(|file| file.take(bytes_max).read_to_end(&mut wasm)).map_err(unreadable)?;
        Ok(wasm)
    }

    fn check_size(&self, bytes: u64) -> Result<(), LoadError> {
        if usize::try_from(bytes).is_ok_and(|bytes| bytes <= self.component_bytes_max) {
            return Ok(());
        }
        Err(LoadError::TooLarge { bytes, bytes_max: self.component_bytes_max })
    }

    /// Whether the bytes begin as a component does.
    fn check_form(&self, wasm: &[u8]) -> Result<(), LoadError> {
        self.check_size(u64::try_from(wasm.len()).unwrap_or(u64::MAX))?;
        if wasm.is_empty() {
            return Err(LoadError::Empty);
        }
        if Engine::detect_precompiled(wasm).is_some() {
            return Err(LoadError::Precompiled);
        }
        match wasm.first_chunk::<8>() {
            Some(b"\0asm\x01\0\0\0") => Err(LoadError::CoreModule),
            Some([b'\0', b'a', b's', b'm', ..]) => Ok(()),
            _ if wasm.trim_ascii_start().starts_with(b"(") => Err(LoadError::Text),
            _ => Err(LoadError::NotWasm),
        }
    }

    fn version(self: &Arc<Self>, wasm: &[u8], component: &Component, digest: Digest) -> Result<Version, LoadError> {
        let told = Told { digest, grants: imports::grants(component), declared: Declared::of(wasm)? };
        Ok(Version::new(Arc::clone(self), self.link(component)?, told))
    }

    fn link(&self, component: &Component) -> Result<ComponentPre<Guest>, LoadError> {
        let exports: Vec<String> =
            component.component_type().exports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        if !exports.iter().any(|name| name == HANDLER) {
            let of_name = |name: &String| name.split('@').next() == HANDLER.split('@').next();
            return Err(LoadError::NoHandler { wanted: HANDLER, found: exports.into_iter().find(of_name) });
        }
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch { reason: format!("{error:#}") };
        let linker = imports::linker_for(&self.linker, component)?;
        linker.instantiate_pre(component).and_then(ComponentPre::new).map_err(mismatch)
    }
}

fn invalid(error: wasmtime::Error) -> LoadError {
    let reason = text::clean(&format!("{error:#}"), 512).into_owned();
    if reason.contains("which exceeds the limit of") {
        return LoadError::AboveLimits { reason };
    }
    LoadError::Invalid { reason }
}
