//! An app's components in a sandbox, before anything is started: what is wrong with them shows here. And what was deployed in
//! their place, loaded when the host is told of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tempfile::TempDir;

use super::super::failure::Interrupted;
use super::super::{Failure, compile, components};
use super::workers::workers_in;
use crate::admin::deployments::{Own, Refused, Stage, Staged};
use crate::app::manifest::Manifest;
use crate::app::{App, Function};
use crate::broker::Cause;
use crate::deploy::Versions;
use crate::deploy::follow::Loader;
use crate::deploy::modules::Modules;
use crate::event::Digest;
use crate::invocation::Handler;
use crate::sandbox::{Options, Sandbox};

/// An app whose functions can run.
pub(in super::super) struct Loaded {
    manifest: Manifest,
    sandbox: Arc<Sandbox>,
    versions: Versions,
    modules: Modules,
    cache: PathBuf,
    /// Without a folder to keep them in, compiled components last as long as this.
    _temporary: Option<TempDir>,
}

impl Loaded {
    /// Loads the component of each function. What is compiled is kept in `cache`.
    ///
    /// # Errors
    /// All that is wrong with the components; or Ctrl-C.
    pub(in super::super) fn load(manifest: Manifest, cache: Option<PathBuf>) -> Result<Self, Failure> {
        let temporary = match &cache {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("no folder for compiled components can be made")),
        };
        let temporary = temporary.transpose().map_err(Failure::fault)?;
        let cache = cache.or_else(|| Some(temporary.as_ref()?.path().to_owned())).unwrap_or_default();
        let instances_max = 2 * workers_in(&manifest.app) + 1;
        let options = Options { cache: Some(cache.clone()), instances_max, ..Options::default() };
        let sandbox = Sandbox::new(&options).map_err(Failure::fault)?;
        let modules = Modules::new(cache.join("modules"));
        let mut loaded = Self { manifest, sandbox, versions: Versions::new(), modules, cache, _temporary: temporary };
        loaded.versions = loaded.versions_of(&loaded.manifest.app.functions)?;
        for (function, version) in &loaded.versions {
            tracing::info!(function, version = version.digest().short(), "loaded");
        }
        Ok(loaded)
    }

    /// Keeps the bytes of what was loaded: their files may be other ones by the time that they are wanted again.
    pub(super) fn keep_own(&self) {
        for function in &self.manifest.app.functions {
            let digest = self.versions.get(&function.name).map(|version| version.digest());
            let Some(digest) = digest.filter(|digest| !self.modules.has(*digest)) else { continue };
            let kept = std::fs::read(self.manifest.app.component_file(function));
            let kept = kept.and_then(|wasm| match Digest::of(&wasm) == digest {
                true => self.modules.put(digest, &wasm).map(drop),
                false => Err(std::io::Error::other("it was changed while it was read")),
            });
            if let Err(error) = kept {
                tracing::warn!(function = function.name, %error, "its component is not kept: nobody could roll back to it");
            }
        }
    }

    /// What the components are of.
    pub(in super::super) fn app(&self) -> &App {
        &self.manifest.app
    }

    /// What each function was when it was loaded.
    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// What a function's component file is now, if that is not `active`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn newer(
        &self,
        function: &Arc<Function>,
        active: Option<Digest>,
    ) -> Result<Option<Arc<dyn Handler>>, Failure> {
        let file = self.manifest.app.component_file(function);
        // A file that cannot be read is said by whoever loads it.
        if std::fs::read(&file).is_ok_and(|bytes| active == Some(Digest::of(&bytes))) {
            return Ok(None);
        }
        Ok(self.versions_of(std::slice::from_ref(function))?.remove(&function.name))
    }

    /// Compiles what has to be, in a process of its own, and loads it.
    fn versions_of(&self, functions: &[Arc<Function>]) -> Result<Versions, Failure> {
        let files = functions.iter().map(|function| self.manifest.app.component_file(function));
        self.compile(files.collect()).map_err(|error| match error.is::<Interrupted>() {
            true => Failure::interrupted(),
            false => Failure::fault(error),
        })?;
        let root = self.manifest.app.root.display();
        let build = format!("run with --build, or fnhost build {root}");
        Ok(components::all(&self.sandbox, &self.manifest, functions, &build)?)
    }

    /// Compiles those of the files that were not compiled before, in a process of its own.
    fn compile(&self, mut files: Vec<PathBuf>) -> anyhow::Result<()> {
        files.retain(|file| self.sandbox.must_compile(file));
        compile::ahead(&self.cache, &files)
    }
}

impl Loader for Loaded {
    fn own(&self, function: &str) -> Result<Arc<dyn Handler>, Cause> {
        Ok(Arc::clone(self.versions.get(function).ok_or("the app has no such function")?))
    }

    fn deployed(
        &self,
        digest: Digest,
        fetch: &mut dyn FnMut() -> Result<Vec<u8>, Cause>,
    ) -> Result<Arc<dyn Handler>, Cause> {
        let path = match self.modules.has(digest) {
            true => self.modules.path(digest),
            false => self.modules.put(digest, &fetch()?)?,
        };
        self.compile(vec![path.clone()])?;
        Ok(Arc::new(self.sandbox.load_file(&path)?))
    }

    fn keep(&self, digests: &BTreeSet<Digest>) {
        let own = self.versions.values().map(|version| version.digest());
        self.modules.keep(&digests.iter().copied().chain(own).collect());
    }
}

impl Stage for Loaded {
    fn stage(&self, function: &str, digest: Digest, wasm: &[u8]) -> Result<Staged, Refused> {
        let refused = |reason: String, hint: Option<&str>| Refused { reason, hint: hint.map(str::to_owned) };
        let on_disk = |error: std::io::Error| refused(format!("the host cannot keep it: {error}"), None);
        let path = self.modules.put(digest, wasm).map_err(on_disk)?;
        self.compile(vec![path.clone()]).map_err(|error| refused(format!("{error:#}"), None))?;
        let version = self.sandbox.load_file(&path).map_err(|error| refused(error.to_string(), error.hint()))?;
        let known = self.app().functions.iter().find(|known| known.name == function);
        let known = known.ok_or_else(|| refused("the app has no such function".to_owned(), None))?;
        let warm = version.warm(known);
        warm.map_err(|failure| refused(format!("it does not start: {}, {}", failure.class, failure.reason), None))?;
        let source = version.source().map(str::to_owned);
        Ok(Staged { grants: version.grants(), state_format: version.state_format().to_owned(), source })
    }

    fn own_grants(&self, function: &str) -> BTreeSet<String> {
        self.versions.get(function).map(|version| version.grants()).unwrap_or_default()
    }

    fn own(&self, function: &str) -> Option<Own> {
        let version = self.versions.get(function)?;
        let digest = version.digest();
        let wasm = std::fs::read(self.modules.path(digest)).ok()?;
        let state_format = version.state_format().to_owned();
        (Digest::of(&wasm) == digest).then_some(Own { digest, wasm, state_format })
    }
}
