//! The bytes of deployed components on disk, so that a restart needs none of them from the broker.
//!
//! A file a module, named by its digest, which is checked with every read. Whatever goes wrong here costs the file, with a warning:
//! the topic has the bytes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::event::Digest;

/// What the names of files end with.
const EXTENSION: &str = "wasm";

/// What was written less long ago stays, whatever leads to it: it may be on its way onto the topic.
const NEW: Duration = Duration::from_secs(3600);

/// A folder of modules.
#[derive(Clone, Debug)]
pub struct Modules(PathBuf);

impl Modules {
    /// The modules in `folder`, which is made with the first of them.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where a module is.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.0.join(digest.hex()).with_extension(EXTENSION)
    }

    /// Whether a module is there, whole.
    pub fn has(&self, digest: Digest) -> bool {
        fs::read(self.path(digest)).is_ok_and(|wasm| Digest::of(&wasm) == digest)
    }

    /// Keeps a module.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, digest: Digest, wasm: &[u8]) -> io::Result<PathBuf> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(wasm)?;
        let path = self.path(digest);
        // Appears whole or not at all.
        file.persist(&path)?;
        Ok(path)
    }

    /// Removes all modules but these and those that are new.
    pub fn keep(&self, digests: &BTreeSet<Digest>) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let names: BTreeSet<PathBuf> = digests.iter().map(|digest| self.path(*digest)).collect();
        let is_module = |path: &Path| path.extension().is_some_and(|extension| extension == EXTENSION);
        for path in entries.flatten().map(|entry| entry.path()) {
            if is_module(&path) && !names.contains(&path) && !is_new(&path) {
                // The next time will do.
                fs::remove_file(path).ok();
            }
        }
    }
}

fn is_new(path: &Path) -> bool {
    let written = fs::metadata(path).and_then(|meta| meta.modified());
    // A time that lies ahead is as new as any.
    written.is_ok_and(|at| at.elapsed().map_or(true, |age| age < NEW))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_nothing_leads_to_goes_when_it_is_no_longer_new() {
        let folder = tempfile::tempdir().unwrap();
        let modules = Modules::new(folder.path().join("modules"));
        let [kept, staged, old] = [b"kept", b"new.", b"old."].map(|wasm| {
            modules.put(Digest::of(wasm), wasm).unwrap();
            Digest::of(wasm)
        });
        for digest in [kept, old] {
            let file = fs::File::options().append(true).open(modules.path(digest)).unwrap();
            file.set_modified(std::time::SystemTime::now() - 2 * NEW).unwrap();
        }
        modules.keep(&[kept].into());
        assert_eq!([kept, staged, old].map(|digest| modules.has(digest)), [true, true, false]);
    }
}
