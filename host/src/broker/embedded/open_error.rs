//! Why a file of the embedded broker cannot be opened, and what mends it.

use std::io;
use std::path::{Path, PathBuf};

use super::file::FORMAT;
use crate::broker::Cause;

/// Why [`Embedded::open`](super::Embedded::open) failed. Nothing in the file was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later fnhost wrote it.
    #[error("{} was written by a newer fnhost: it has format {found}, this fnhost knows {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It is something else, or begins with something else.
    #[error("{} is not a file of the embedded broker, or its beginning is overwritten", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What it holds does not fit together.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        cause: Cause,
    },
    /// The operating system refuses.
    #[error("{} cannot be {what}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it refuses.
        #[source]
        cause: io::Error,
    },
}

impl OpenError {
    /// What mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::InUse { path } => {
                let path = path.display();
                format!("stop the other fnhost (`fuser {path}` tells its process id), or name another file")
            }
            Self::Newer { path, .. } => {
                let path = path.display();
                format!("use the newer fnhost again, or begin with an empty file: mv {path} {path}.newer")
            }
            Self::Foreign { path } => {
                let path = path.display();
                format!("name another file, or move this one away: mv {path} {path}.old")
            }
            Self::Damaged { path, .. } => {
                let path = path.display();
                format!("bring back a copy of it, or begin with an empty file: mv {path} {path}.damaged")
            }
            Self::Io { path, cause, .. } => hint_of(path, cause),
        }
    }
}

fn hint_of(path: &Path, cause: &io::Error) -> String {
    let shown = path.display();
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("let the user who runs fnhost write there, or name a file in another folder: ls -ld {shown}")
        }
        io::ErrorKind::ReadOnlyFilesystem => "name a file on a disk that is not mounted read-only".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("free some space on the disk that holds {shown}, then run it again")
        }
        io::ErrorKind::IsADirectory => format!("name a file, such as {}", path.join("broker.redb").display()),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            format!("a file is where a folder should be: look at {shown}")
        }
        _ => format!("look at {shown} and the disk that holds it"),
    }
}
