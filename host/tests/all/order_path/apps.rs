//! Apps of a test's own: a folder with a manifest, whose functions are the test guest.

use std::fs;
use std::path::{Path, PathBuf};

use fnhost::event::Record;

use crate::guests::guest;
use crate::kafka::unique;

/// An app whose name no other test has; its folder ends with it.
pub(crate) struct OwnApp {
    folder: tempfile::TempDir,
    /// Its name. Topics of its manifest may begin with it.
    pub(crate) name: String,
}

impl OwnApp {
    /// An app from the text of its manifest, without the name. `APP` in it is the app's name, `GUEST` the file of the
    /// test guest. The error topic is the same for every app of these tests, because they may share a broker.
    pub(crate) fn new(manifest: &str) -> Self {
        let app = Self { folder: tempfile::tempdir().unwrap(), name: unique("app") };
        app.write("app.toml", app.manifest(manifest));
        app
    }

    /// A second manifest for the same app, beside the first.
    pub(crate) fn variant(&self, file: &str, manifest: &str) -> PathBuf {
        self.write(file, self.manifest(manifest));
        self.folder.path().join(file)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The name of a topic that the manifest has as `APP.stem`.
    pub(crate) fn topic(&self, stem: &str) -> String {
        format!("{}.{stem}", self.name)
    }

    /// A record for such a topic.
    pub(crate) fn record(&self, stem: &str, key: &str, value: &str) -> Record {
        Record {
            topic: self.topic(stem).into(),
            partition: None,
            key: Some(key.into()),
            value: Some(value.into()),
            headers: vec![],
        }
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let file = self.folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn manifest(&self, text: &str) -> String {
        let text = text.replace("APP", &self.name).replace("GUEST", &guest("guest").display().to_string());
        format!("name = \"{}\"\n{text}\n[topics.error]\nmax-message = \"4MiB\"\n", self.name)
    }
}
