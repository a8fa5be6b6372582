//! Paths as verbs take them and print them.

use std::path::{Path, PathBuf};

use crate::app::manifest;

/// The one name of a file or folder; of what is not there, as it was named.
pub(super) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

/// A file or folder as it would be typed here.
pub(super) fn typed(path: &Path) -> PathBuf {
    let whole = canonical(path);
    match std::env::current_dir() {
        Ok(here) => whole.strip_prefix(here).map(Path::to_path_buf).unwrap_or(whole),
        Err(_) => whole,
    }
}

/// The folder of an app that may have been named by its file.
pub(super) fn app_folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if path.ends_with(manifest::FILE) => written(folder),
        _ => path.to_path_buf(),
    }
}

/// Makes the folder that `path` is to be in, and says whether it is there.
pub(super) fn make_parent(path: &Path) -> bool {
    path.parent().is_none_or(|parent| std::fs::create_dir_all(parent).is_ok())
}

/// A folder with a name: that of the folder here is empty when it is the parent of a file.
pub(super) fn written(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() }
}
