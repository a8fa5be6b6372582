//! Compiled components on disk: a component's digest and an engine's settings to machine code.
//!
//! Compiling costs 0.1 s for Rust and 6 s for a language runtime; loading what was compiled costs milliseconds. A file
//! is `fnhost-c`, a SHA-256, and wasmtime's artefact; the SHA-256 covers the component's digest, the engine's settings
//! and the artefact, so a file that is damaged, cut, or another's is compiled again in its place. The folder must be
//! ours alone, because machine code from it is run: one that others can write to is not used. Whatever goes wrong here
//! costs the cache, with a warning, and never the component. At most [`FILES_MAX`] files are kept.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::event::Digest;

/// What a file begins with. If the form of a file changes, this does.
const MAGIC: &[u8; 8] = b"fnhost-c";
/// What the names of files end with.
const EXTENSION: &str = "compiled";
/// The files used last are kept.
const FILES_MAX: usize = 512;

/// A folder of compiled components.
pub(super) struct Cache {
    folder: PathBuf,
    /// A digest of everything about the engine that compiled code depends on.
    engine: [u8; 32],
}

impl Cache {
    /// The cache in `folder`, which is created when it is not there. Its parent is not: whoever removes that means it.
    ///
    /// # Errors
    /// When it cannot be created, or others than us could put something into it.
    pub(super) fn open(folder: &Path, engine: &Engine) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        check_ownership(folder)?;
        let mut hasher = Settings(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { folder: folder.to_owned(), engine: hasher.0.finalize().into() })
    }

    /// The component, if it was compiled before and what is stored is what we stored.
    pub(super) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled component cannot be read");
                return None;
            }
        };
        let Some(artefact) = self.checked(&file, digest) else {
            tracing::warn!(path = %path.display(), "a compiled component is damaged, and is compiled again");
            return None;
        };
        match trusted(engine, artefact) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled component is of no use, and is made again");
                None
            }
        }
    }

    /// Whether there is a file for it, good or not.
    pub(super) fn has(&self, digest: Digest) -> bool {
        self.path(digest).exists()
    }

    /// Keeps a component that was compiled from what `digest` names.
    pub(super) fn store(&self, digest: Digest, component: &Component) {
        let artefact = match component.serialize() {
            Ok(artefact) => artefact,
            Err(error) => {
                tracing::warn!(%error, "a compiled component cannot be written down");
                return;
            }
        };
        if let Err(error) = self.write(digest, &artefact).and_then(|()| self.prune()) {
            tracing::warn!(folder = %self.folder.display(), %error, "a compiled component is not kept");
        }
    }

    fn write(&self, digest: Digest, artefact: &[u8]) -> io::Result<()> {
        // Appears whole or not at all, readable by us alone.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&self.checksum(digest, artefact))?;
        file.write_all(artefact)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    /// Removes the files that were written longest ago, as far as there are too many.
    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push((fs::metadata(&path)?.modified()?, path));
            }
        }
        files.sort_unstable();
        for (_, path) in files.iter().take(files.len().saturating_sub(FILES_MAX)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}-{}.{EXTENSION}", digest.hex(), Digest(self.engine).short()))
    }

    /// The artefact in a file, when the file is whole and for this component and engine.
    fn checked<'a>(&self, file: &'a [u8], digest: Digest) -> Option<&'a [u8]> {
        let (checksum, artefact) = file.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
        (*checksum == self.checksum(digest, artefact)).then_some(artefact)
    }

    fn checksum(&self, digest: Digest, artefact: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(digest.0).chain_update(self.engine).chain_update(artefact).finalize().into()
    }
}

/// Refuses a folder that another user owns, or may write to.
fn check_ownership(folder: &Path) -> io::Result<()> {
    let metadata = fs::metadata(folder)?;
    // Who we are: the owner of what we create.
    let ours = tempfile::NamedTempFile::new_in(folder)?.as_file().metadata()?.uid();
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if metadata.uid() != ours {
        return refused("the folder belongs to another user");
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return refused("others may write to the folder (chmod go-w mends that)");
    }
    Ok(())
}

/// The component in an artefact that [`Cache::checked`] let through.
#[expect(unsafe_code, reason = "machine code is run as it is: the proof stands here")]
fn trusted(engine: &Engine, artefact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must be what `Component::serialize` gave. They come from a file whose SHA-256 covers them, the
    // component's digest and the engine's settings, so accident did not change them and they were made for this engine.
    // Intent could, by whoever may write to the folder: that is our own user alone (`check_ownership`), who could
    // as well replace this program. They are in our memory, not mapped, so they do not change after they were checked.
    // wasmtime checks its own version and settings once more.
    unsafe { Component::deserialize(engine, artefact) }
}

/// Feeds what is hashed to SHA-256: 64 bits would be too few to tell engines apart for certain.
struct Settings(Sha256);

impl Hasher for Settings {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not used: the digest is taken instead.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_files_written_last_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), &Engine::default()).unwrap();
        let name = |number: usize| folder.path().join(format!("{number}.{EXTENSION}"));
        for number in 0..FILES_MAX + 6 {
            let file = fs::File::create(name(number)).unwrap();
            let age = Duration::from_secs(u64::try_from(number).unwrap());
            file.set_modified(SystemTime::UNIX_EPOCH + age).unwrap();
        }
        fs::write(folder.path().join("another's"), "").unwrap();
        cache.prune().unwrap();
        assert!(!name(5).exists() && name(6).exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), FILES_MAX + 1, "what is not ours stays");
    }

    #[test]
    fn engines_with_other_settings_have_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let path = |engine: Engine| Cache::open(folder.path(), &engine).unwrap().path(Digest([1; 32]));
        assert_eq!(path(Engine::default()), path(Engine::default()));
        assert_ne!(path(Engine::default()), path(other));
    }
}
