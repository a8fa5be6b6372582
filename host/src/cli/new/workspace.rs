//! The Cargo workspace that an app's functions are built in.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use toml_edit::{Array, DocumentMut, Item};

use super::parent;
use crate::cli::Failure;

/// The Cargo workspace that an app's functions are built in.
pub(super) struct Workspace {
    /// Its Cargo.toml.
    pub(super) file: PathBuf,
    /// Its folder, absolute.
    folder: PathBuf,
    document: DocumentMut,
}

impl Workspace {
    /// The workspace that `root`, an app's folder, is in.
    pub(super) fn above(root: &Path) -> Result<Self, Failure> {
        let root = root.canonicalize().with_context(|| format!("{} cannot be found", root.display()));
        let root = root.map_err(Failure::fault)?;
        for folder in root.ancestors() {
            let file = folder.join("Cargo.toml");
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            let workspace = Self::read(&text, folder)?;
            if workspace.document.contains_key("workspace") {
                return workspace.with_sdk();
            }
        }
        let error = anyhow::anyhow!("the app in {} is in no Cargo workspace", root.display());
        Err(Failure::fault(error).hint("take Cargo.toml, .cargo and vendor from an app that `fnhost new app` makes"))
    }

    /// The workspace that `text` describes, in `folder`.
    pub(super) fn read(text: &str, folder: &Path) -> Result<Self, Failure> {
        let file = folder.join("Cargo.toml");
        let document = text.parse().with_context(|| format!("{} cannot be read", file.display()));
        Ok(Self { document: document.map_err(Failure::fault)?, folder: folder.to_owned(), file })
    }

    /// Refuses a workspace whose crates cannot ask it for the SDK.
    fn with_sdk(self) -> Result<Self, Failure> {
        if self.has("dependencies", "fnhost-sdk") {
            return Ok(self);
        }
        let error = anyhow::anyhow!("the Cargo workspace in {} does not know the SDK", self.folder.display());
        Err(Failure::fault(error).hint(format!(
            "add to {}:\n\n[workspace.dependencies]\nfnhost-sdk = {{ path = \"…/fnhost-sdk\" }}\n\n\
             `fnhost new app` puts it into the app's folder `vendor`",
            self.file.display()
        )))
    }

    /// The Cargo.toml of a function's crate: what the workspace says for its crates is taken from there.
    pub(super) fn crate_manifest(&self, name: &str) -> String {
        let mut text = format!("[package]\nname = \"{name}\"\n");
        let keys = ["version", "edition", "rust-version", "license", "publish"];
        let defaults = [Some("\"0.1.0\""), Some("\"2024\""), None, None, Some("false")];
        for (key, default) in keys.into_iter().zip(defaults) {
            match default {
                _ if self.has("package", key) => text.push_str(&format!("{key}.workspace = true\n")),
                Some(default) => text.push_str(&format!("{key} = {default}\n")),
                None => {}
            }
        }
        text.push_str("\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n[dependencies]\nfnhost-sdk.workspace = true\n");
        text.push_str(match self.has("dependencies", "serde") {
            true => "serde = { workspace = true, features = [\"derive\"] }\n",
            false => "serde = { version = \"1\", features = [\"derive\"] }\n",
        });
        text.push_str("\n[dev-dependencies]\n");
        text.push_str(match self.has("dependencies", "serde_json") {
            true => "serde_json.workspace = true\n",
            false => "serde_json = \"1\"\n",
        });
        if self.document.get("workspace").is_some_and(|workspace| workspace.get("lints").is_some()) {
            text.push_str("\n[lints]\nworkspace = true\n");
        }
        text
    }

    /// Its Cargo.toml with one member more; `None` when `crate_folder`, which is to be made, is a member by itself.
    pub(super) fn with_member(&self, crate_folder: &Path) -> anyhow::Result<Option<String>> {
        let name = crate_folder.file_name().unwrap_or_default();
        let beside = parent(crate_folder).canonicalize().context("the app's folder cannot be found")?;
        let beside = beside.strip_prefix(&self.folder).context("the app lies outside of its workspace")?;
        let path = beside.join(name).display().to_string();
        let mut document = self.document.clone();
        let workspace = document.get_mut("workspace").and_then(Item::as_table_like_mut);
        let members = workspace.context("there is no `[workspace]`")?.entry("members");
        let members = members.or_insert(Item::Value(Array::new().into()));
        let members = members.as_array_mut().context("`members` of the workspace is no list")?;
        let all_beside = beside.join("*").display().to_string();
        if members.iter().filter_map(|member| member.as_str()).any(|member| member == path || member == all_beside) {
            return Ok(None);
        }
        push(members, &path);
        Ok(Some(document.to_string()))
    }

    fn has(&self, table: &str, key: &str) -> bool {
        let workspace = self.document.get("workspace");
        workspace.and_then(|item| item.get(table)).is_some_and(|table| table.get(key).is_some())
    }
}

/// Adds a string to a list, on a line of its own where the others have one each.
fn push(list: &mut Array, text: &str) {
    let decor = list.iter().last().map(|last| last.decor().clone());
    list.push(text);
    let on_its_own =
        decor.filter(|decor| decor.prefix().and_then(|raw| raw.as_str()).is_some_and(|p| p.contains('\n')));
    if let (Some(decor), Some(last)) = (on_its_own, list.iter_mut().last()) {
        *last.decor_mut() = decor;
    }
}
