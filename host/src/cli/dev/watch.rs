//! Which files changed: what the operating system tells of the apps' folders, less what building makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::app::{App, manifest};
use crate::sync::lock;

/// Changes that wait at most. More are told by those that wait: all of an app is built.
pub(super) const CHANGES_MAX: usize = 256;
/// An editor writes a file in several steps: this long nothing must have changed.
const QUIET: Duration = Duration::from_millis(40);
/// Something that is written all the time must not keep what was saved from being built.
const UNQUIET_MAX: Duration = Duration::from_secs(2);
/// What building and running write to.
const MADE: [&str; 4] = ["target", "build", ".fnhost", ".git"];

/// What building writes beside the sources, and people write too.
const LOCK_FILE: &str = "Cargo.lock";

/// What happened.
pub(super) enum Change {
    /// These files changed.
    Files(Vec<PathBuf>),
    /// Ctrl-C.
    End,
}

/// A watch over folders.
pub(super) struct Watcher {
    notify: RecommendedWatcher,
    folders: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// The lock files as building left them.
    locked: BTreeMap<PathBuf, Vec<u8>>,
}

impl Watcher {
    /// A watch over nothing yet.
    ///
    /// # Errors
    /// When the operating system has no watch left.
    pub(super) fn start(changes: SyncSender<Change>) -> anyhow::Result<Self> {
        let folders: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
        let within = Arc::clone(&folders);
        let notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            let watched = lock(&within);
            let files: Vec<PathBuf> = event.paths.into_iter().filter(|path| !is_made(path, &watched)).collect();
            drop(watched);
            if !files.is_empty() {
                // When the queue is full, what waits in it has the apps built all the same.
                drop(changes.try_send(Change::Files(files)));
            }
        });
        Ok(Self { notify: notify.context("changes of files cannot be watched")?, folders, locked: BTreeMap::new() })
    }

    /// Notes what building an app wrote, for [`Self::news`].
    pub(super) fn note_built(&mut self, app: &App) {
        let watched = lock(&self.folders).clone();
        let is_watched = |folder: &&Path| watched.iter().any(|known| folder.starts_with(known));
        for folder in folders(app).filter_map(|folder| folder.canonicalize().ok()) {
            // A crate's lock file is its workspace's.
            let files = folder.ancestors().take_while(is_watched).map(|folder| folder.join(LOCK_FILE));
            self.locked.extend(files.filter_map(|file| Some((file.clone(), fs::read(file).ok()?))));
        }
    }

    /// Those of the files that changed since all was built: not the lock files that building itself wrote.
    pub(super) fn news(&self, files: Vec<PathBuf>) -> Vec<PathBuf> {
        let is_as_built =
            |file: &PathBuf| self.locked.get(file).is_some_and(|built| fs::read(file).is_ok_and(|now| now == *built));
        files.into_iter().filter(|file| !is_as_built(file)).collect()
    }

    /// Watches an app's folder, its schemas and its functions' crates, wherever they lie.
    ///
    /// # Errors
    /// A folder that cannot be watched.
    pub(super) fn follow(&mut self, app: &App, schemas: &Path) -> anyhow::Result<()> {
        for folder in folders(app).chain([schemas.to_owned()]) {
            // A folder of schemas need not be there.
            let Ok(folder) = folder.canonicalize() else { continue };
            if lock(&self.folders).iter().any(|known| folder.starts_with(known)) {
                continue;
            }
            self.notify
                .watch(&folder, RecursiveMode::Recursive)
                .with_context(|| format!("{} cannot be watched", folder.display()))?;
            lock(&self.folders).insert(folder);
        }
        Ok(())
    }
}

/// Where an app's sources lie: its functions' crates, wherever they are, and its own folder.
pub(super) fn folders(app: &App) -> impl Iterator<Item = PathBuf> {
    app.functions.iter().map(|function| app.function_folder(function)).chain([app.root.clone()])
}

/// All that changed until it was quiet, or for long enough; `None` when it is to end.
pub(super) fn settled(first: Vec<PathBuf>, changed: &Receiver<Change>) -> Option<Vec<PathBuf>> {
    let until = Instant::now() + UNQUIET_MAX;
    let mut files = first;
    loop {
        if Instant::now() >= until {
            return Some(files);
        }
        match changed.recv_timeout(QUIET) {
            Ok(Change::Files(more)) => files.extend(more),
            Ok(Change::End) => return None,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Some(files),
        }
    }
}

/// Whether the file says what the app is, rather than what a function does.
pub(super) fn is_description(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == manifest::FILE || name.ends_with(".schema.json")
}

/// Whether building or running wrote it, or an editor that is not done yet. Sources may be below a folder of any name, and have
/// any in `src`.
fn is_made(path: &Path, watched: &BTreeSet<PathBuf>) -> bool {
    let of_editor = |name: &str| name.ends_with('~') || name.ends_with(".swp") || name.starts_with(".#");
    let within = watched.iter().find_map(|folder| path.strip_prefix(folder).ok()).unwrap_or(path);
    let mut folders = within.iter().filter_map(|part| part.to_str()).take_while(|part| *part != "src");
    folders.any(|part| MADE.contains(&part)) || path.file_name().and_then(|name| name.to_str()).is_some_and(of_editor)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_lock_file_that_building_wrote_is_no_news_until_it_changes_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (lock, source) = (root.join(LOCK_FILE), root.join("src/lib.rs"));
        fs::write(root.join(manifest::FILE), "name = \"shop\"\n[topics.error]\n").unwrap();
        let app = manifest::read(&root).unwrap().app;
        let mut watcher = Watcher::start(sync_channel(8).0).unwrap();
        watcher.follow(&app, &root.join("schemas")).unwrap();
        fs::write(&lock, "version = 4").unwrap();
        let all = || vec![lock.clone(), source.clone()];
        assert_eq!(watcher.news(all()), all(), "nothing was built yet");

        watcher.note_built(&app);
        assert_eq!(watcher.news(all()), std::slice::from_ref(&source));
        fs::write(&lock, "version = 5").unwrap();
        assert_eq!(watcher.news(all()), all());
        fs::remove_file(&lock).unwrap();
        assert_eq!(watcher.news(all()), all());
    }
}
