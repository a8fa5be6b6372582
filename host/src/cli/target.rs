//! What a verb that works on functions is pointed at: an app, one of its functions, or one scenario.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use super::paths::{canonical, written};
use crate::app::Function;
use crate::app::fault::{Fault, Faults, undeclared};
use crate::app::manifest::{self, Manifest};
use crate::scenario;

/// An app, and what of it is meant.
pub(super) struct Target {
    /// The app.
    pub(super) manifest: Manifest,
    /// One of its functions; `None` is the whole app.
    pub(super) function: Option<Arc<Function>>,
    /// Only scenarios in this folder: a folder of scenarios, or one of them.
    pub(super) within: Option<PathBuf>,
}

impl Target {
    /// What `path` names: an app's folder or its app.toml; a function's folder, or APP/FUNCTION; a scenario's folder.
    pub(super) fn find(path: &Path) -> Result<Self, Failure> {
        let is_manifest = path.extension().is_some_and(|extension| extension == "toml");
        if is_manifest || path.join(manifest::FILE).is_file() {
            return Ok(Self { manifest: manifest::read(path)?, function: None, within: None });
        }
        let Some(root) = root_of(path) else { return Err(nothing(path).into()) };
        let manifest = manifest::read(&root)?;
        Self::in_app(manifest, path).map_err(Failure::from)
    }

    /// What of an app `path` names.
    fn in_app(manifest: Manifest, path: &Path) -> Result<Self, Faults> {
        let app = &manifest.app;
        let place = canonical(path);
        let scenarios_of = |folder: &Path| {
            let all = canonical(&folder.join(scenario::FOLDER));
            let below = place.strip_prefix(&all).ok()?.components().next();
            // A file of a scenario stands for all of it.
            Some(below.map_or_else(|| all.clone(), |name| all.join(name)))
        };
        if let within @ Some(_) = scenarios_of(&app.root) {
            return Ok(Self { function: None, within, manifest });
        }
        let meant = |function: &Arc<Function>| {
            let folder = app.function_folder(function);
            let is_it = place == canonical(&folder) || place == canonical(&app.root.join(&function.name));
            let within = scenarios_of(&folder);
            (is_it || within.is_some()).then(|| (Arc::clone(function), within))
        };
        match app.functions.iter().find_map(meant) {
            Some((function, within)) => Ok(Self { function: Some(function), within, manifest }),
            None => {
                let known: Vec<&str> = app.functions.iter().map(|f| f.name.as_str()).collect();
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                let message = format!("`{name}` is no function of app `{}`", app.name);
                let fault = undeclared(message, &name, &known, "it has none");
                Err(fault.hint(format!("name a function as {}", app.root.join("NAME").display())).into())
            }
        }
    }

    /// The function, where one is wanted.
    pub(super) fn one_function(&self, path: &Path) -> Result<Arc<Function>, Faults> {
        self.function.clone().ok_or_else(|| {
            let named = |function: &Arc<Function>| path.join(&function.name).display().to_string();
            let names: Vec<String> = self.manifest.app.functions.iter().map(named).collect();
            let fault = Fault::new(format!("{} is an app, and one function is wanted", path.display()));
            fault.hint(format!("name one of {}", names.join(", "))).into()
        })
    }
}

/// The folder of the app that `path` is in: as the user named it where that will do, so that what is printed is short.
fn root_of(path: &Path) -> Option<PathBuf> {
    let place = canonical(path);
    let is_root = |folder: &PathBuf| folder.join(manifest::FILE).is_file() && place.starts_with(canonical(folder));
    let above = |path: &Path| path.ancestors().skip(1).map(written).find(is_root);
    above(path).or_else(|| above(&place))
}

fn nothing(path: &Path) -> Faults {
    let what = if path.exists() { "is in no app" } else { "is not there" };
    let fault = Fault::new(format!("{} {what}", path.display()));
    fault
        .hint(format!(
            "name an app or a function: the folder of an {}, or a folder of one of its functions",
            manifest::FILE
        ))
        .into()
}
