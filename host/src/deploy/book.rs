//! The book of deployments: what each function's versions are, and what every change of that writes. Pure.
//!
//! A [`Deployment`] is all there is to say of one function, so the newest of each function is the whole book. Each change makes
//! the next one, with the next number: numbers are of the app, and go up by one. A function keeps the [`VERSIONS_MAX`] versions
//! that were active last, for rollbacks; modules that no function keeps are to be dropped.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Digest, Offset};

/// How many versions of a function can be rolled back to, the active one included.
pub const VERSIONS_MAX: usize = 8;

/// Counts the changes of an app's deployments. 0 is before the first.
pub type Number = u64;

/// Which version of a function is active, and which others there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Which change this was.
    pub number: Number,
    /// The function's name.
    pub function: String,
    /// The active version; `None` is the component that the app came with.
    pub active: Option<Digest>,
    /// Those that are kept, the one last made active first.
    pub versions: Vec<Deployed>,
    /// The candidate beside the active version.
    pub shadow: Option<Deployed>,
}

impl Deployment {
    /// Everything that has bytes on the topic.
    pub fn kept(&self) -> impl Iterator<Item = &Deployed> {
        self.versions.iter().chain(&self.shadow)
    }
}

/// One version that was deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Its digest.
    pub digest: Digest,
    /// The change that brought it; 0 when the app came with it.
    pub number: Number,
    /// Where its bytes are.
    pub module: Module,
    /// What the one who deployed it said.
    pub note: String,
    /// When it was deployed, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The layout of the state that it keeps; `None` where an older host wrote it down.
    pub state_format: Option<String>,
    /// Why it is not to be used any more.
    pub failed: Option<String>,
}

/// Where the bytes of a component are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// How many bytes.
    pub bytes: u64,
    /// The offset of its first chunk.
    pub first: Offset,
}

/// Everything that was deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    number: Number,
    functions: BTreeMap<String, Deployment>,
}

/// What is to be written for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The function's new deployment.
    pub deployment: Deployment,
    /// Modules that nothing leads to any more, each with its number of bytes.
    pub dropped: BTreeMap<Digest, u64>,
}

/// A component that is to become a version.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its digest.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// What the one who deploys it says.
    pub note: String,
    /// The layout of the state that it keeps.
    pub state_format: Option<String>,
}

/// Why there is no change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is what runs.
    #[error("{} is active already", .0.short())]
    Active(Digest),
    /// It is known to have failed.
    #[error("{} is known to have failed", .0.short())]
    Failed(Digest),
    /// It was changed since it was looked at.
    #[error("somebody else changed `{0}` meanwhile")]
    Overtaken(String),
    /// There is none.
    #[error("no version of `{0}` was deployed")]
    NeverDeployed(String),
    /// There is none but the active one that did not fail.
    #[error("`{0}` has no other version to go back to")]
    NothingBefore(String),
    /// There is no candidate.
    #[error("`{0}` has no candidate beside its active version")]
    NoShadow(String),
    /// The candidate is another one.
    #[error("the candidate of `{function}` is {}, and not {digest}", candidate.short())]
    OtherShadow {
        /// The function.
        function: String,
        /// What was asked for.
        digest: String,
        /// What there is.
        candidate: Digest,
    },
    /// It is none of those that are kept.
    #[error("`{function}` has no version {digest}")]
    UnknownVersion {
        /// The function.
        function: String,
        /// What was asked for.
        digest: String,
    },
    /// The first digits of more than one.
    #[error("`{function}` has more than one version that begins with {digest}")]
    Ambiguous {
        /// The function.
        function: String,
        /// What was asked for.
        digest: String,
    },
}

impl Book {
    /// The number of the newest change.
    pub fn number(&self) -> Number {
        self.number
    }

    /// A function's deployment, if there ever was one.
    pub fn function(&self, name: &str) -> Option<&Deployment> {
        self.functions.get(name)
    }

    /// The newest deployment of each function.
    pub fn functions(&self) -> impl Iterator<Item = &Deployment> {
        self.functions.values()
    }

    /// The same book, whose next change has a number above `number`: partitions may wait for one that the topic, made anew, forgot.
    #[must_use]
    pub fn numbered_after(self, number: Number) -> Self {
        Self { number: self.number.max(number), ..self }
    }

    /// Takes over what was written. An older one than is known changes nothing.
    pub fn enter(&mut self, deployment: Deployment) {
        self.number = self.number.max(deployment.number);
        if self.functions.get(&deployment.function).is_none_or(|known| known.number < deployment.number) {
            self.functions.insert(deployment.function.clone(), deployment);
        }
    }

    /// Where a module is, if any function keeps it.
    pub fn module(&self, digest: Digest) -> Option<Module> {
        self.functions.values().flat_map(Deployment::kept).find(|v| v.digest == digest).map(|v| v.module)
    }

    /// Makes `candidate` the active version. `module` is where its bytes are or will be. When nothing was deployed before, `own` is
    /// kept beneath it: the component that ran until now, to go back to.
    ///
    /// # Errors
    /// [`Refusal::Active`].
    pub fn deploy(
        &self,
        function: &str,
        candidate: Candidate,
        module: Module,
        own: Option<(Candidate, Module)>,
        at_ms: u64,
    ) -> Result<Change, Refusal> {
        let known = self.functions.get(function);
        let active = known.and_then(|known| known.active).or_else(|| Some(own.as_ref()?.0.digest));
        if active == Some(candidate.digest) {
            return Err(Refusal::Active(candidate.digest));
        }
        let entry = |Candidate { digest, note, state_format, .. }, number, module| Deployed {
            digest,
            number,
            module,
            note,
            at_ms,
            state_format,
            failed: None,
        };
        let digest = candidate.digest;
        let before = match (known.filter(|known| known.active.is_some()), own) {
            (Some(known), _) => known.versions.clone(),
            (None, own) => own.map(|(own, module)| entry(own, 0, module)).into_iter().collect(),
        };
        let mut versions = vec![entry(candidate, self.number + 1, module)];
        versions.extend(before.into_iter().filter(|version| version.digest != digest));
        Ok(self.change(function, Some(digest), versions))
    }

    /// Puts `candidate` beside the active version, in the place of another one. `own` is the component that the app came with.
    ///
    /// # Errors
    /// [`Refusal::Active`].
    pub fn shadow(
        &self,
        function: &str,
        candidate: Candidate,
        module: Module,
        own: Option<Digest>,
        at_ms: u64,
    ) -> Result<Change, Refusal> {
        let known = self.functions.get(function);
        let active = known.and_then(|known| known.active);
        if active.or(own) == Some(candidate.digest) {
            return Err(Refusal::Active(candidate.digest));
        }
        let Candidate { digest, note, state_format, .. } = candidate;
        let number = self.number + 1;
        let shadow = Deployed { digest, number, module, note, at_ms, state_format, failed: None };
        let versions = known.map(|known| known.versions.clone()).unwrap_or_default();
        Ok(self.change_with(function, active, versions, Some(shadow)))
    }

    /// The candidate beside a function's active version.
    ///
    /// # Errors
    /// [`Refusal::NoShadow`].
    pub fn shadow_of(&self, function: &str) -> Result<&Deployed, Refusal> {
        let shadow = self.functions.get(function).and_then(|known| known.shadow.as_ref());
        shadow.ok_or_else(|| Refusal::NoShadow(function.to_owned()))
    }

    /// The same, if its digest begins with `digits`: somebody may have put another one in its place.
    ///
    /// # Errors
    /// [`Refusal::NoShadow`], [`Refusal::OtherShadow`].
    pub fn shadow_named(&self, function: &str, digits: &str) -> Result<&Deployed, Refusal> {
        let shadow = self.shadow_of(function)?;
        let digits = digits.strip_prefix("sha256:").unwrap_or(digits).to_ascii_lowercase();
        match !digits.is_empty() && shadow.digest.hex().starts_with(&digits) {
            true => Ok(shadow),
            false => {
                Err(Refusal::OtherShadow { function: function.to_owned(), digest: digits, candidate: shadow.digest })
            }
        }
    }

    /// Takes the candidate whose digest begins with `digits` away.
    ///
    /// # Errors
    /// [`Refusal::NoShadow`], [`Refusal::OtherShadow`].
    pub fn discard(&self, function: &str, digits: &str) -> Result<Change, Refusal> {
        self.shadow_named(function, digits)?;
        let known = self.functions.get(function);
        let versions = known.map(|known| known.versions.clone()).unwrap_or_default();
        Ok(self.change_with(function, known.and_then(|known| known.active), versions, None))
    }

    /// Makes an older version active again: the one whose digest begins with `digest`, or else the one that was active last and did
    /// not fail.
    ///
    /// # Errors
    /// Any [`Refusal`].
    pub fn rollback(&self, function: &str, digest: Option<&str>) -> Result<Change, Refusal> {
        let (known, active) = self.active(function)?;
        let target = match digest {
            Some(digits) => {
                let digits = digits.strip_prefix("sha256:").unwrap_or(digits).to_ascii_lowercase();
                let mut all =
                    known.versions.iter().filter(|v| v.digest.hex().starts_with(&digits) && !digits.is_empty());
                let (first, second) = (all.next(), all.next());
                let (function, digest) = (function.to_owned(), digits.clone());
                match (first, second) {
                    (Some(version), None) => version,
                    (None, _) => return Err(Refusal::UnknownVersion { function, digest }),
                    (Some(_), Some(_)) => return Err(Refusal::Ambiguous { function, digest }),
                }
            }
            None => self.before(known, active).ok_or_else(|| Refusal::NothingBefore(function.to_owned()))?,
        };
        if target.digest == active {
            return Err(Refusal::Active(active));
        }
        let target = Deployed { failed: None, ..target.clone() };
        Ok(self.change(function, Some(target.digest), front(target, &known.versions)))
    }

    /// Marks a version as failed. If it is the active one, the one before it is active again.
    ///
    /// # Errors
    /// [`Refusal::UnknownVersion`], [`Refusal::Failed`] when that is known, [`Refusal::NothingBefore`] when there is nothing to go back
    /// to.
    pub fn fail(&self, function: &str, digest: Digest, reason: &str) -> Result<Change, Refusal> {
        let (known, active) = self.active(function)?;
        let unknown = || Refusal::UnknownVersion { function: function.to_owned(), digest: digest.to_string() };
        let failed = known.versions.iter().find(|version| version.digest == digest).ok_or_else(unknown)?;
        if failed.failed.is_some() {
            return Err(Refusal::Failed(digest));
        }
        let failed = Deployed { failed: Some(reason.to_owned()), ..failed.clone() };
        let marked = known.versions.iter().map(|v| if v.digest == digest { failed.clone() } else { v.clone() });
        let marked: Vec<Deployed> = marked.collect();
        if active != digest {
            return Ok(self.change(function, Some(active), marked));
        }
        let before = self.before(known, active).ok_or_else(|| Refusal::NothingBefore(function.to_owned()))?;
        Ok(self.change(function, Some(before.digest), front(before.clone(), &marked)))
    }

    /// Forgets every version: what the app came with is active again.
    ///
    /// # Errors
    /// [`Refusal::NeverDeployed`].
    pub fn remove(&self, function: &str) -> Result<Change, Refusal> {
        self.active(function)?;
        Ok(self.change(function, None, Vec::new()))
    }

    fn active(&self, function: &str) -> Result<(&Deployment, Digest), Refusal> {
        let known = self.functions.get(function).and_then(|known| Some((known, known.active?)));
        known.ok_or_else(|| Refusal::NeverDeployed(function.to_owned()))
    }

    /// The version to go back to from `active`.
    fn before<'a>(&self, known: &'a Deployment, active: Digest) -> Option<&'a Deployed> {
        known.versions.iter().find(|version| version.digest != active && version.failed.is_none())
    }

    fn change(&self, function: &str, active: Option<Digest>, mut versions: Vec<Deployed>) -> Change {
        versions.truncate(VERSIONS_MAX);
        let shadow = self.functions.get(function).and_then(|known| known.shadow.clone());
        // What is active needs nothing beside it, and what is removed has nothing.
        let shadow = shadow.filter(|shadow| active.is_some() && active != Some(shadow.digest));
        self.change_with(function, active, versions, shadow)
    }

    fn change_with(
        &self,
        function: &str,
        active: Option<Digest>,
        versions: Vec<Deployed>,
        shadow: Option<Deployed>,
    ) -> Change {
        let number = self.number + 1;
        let deployment = Deployment { number, function: function.to_owned(), active, versions, shadow };
        let mut after = self.clone();
        after.enter(deployment.clone());
        let kept: BTreeSet<Digest> = after.functions.values().flat_map(Deployment::kept).map(|v| v.digest).collect();
        let before = self.functions.get(function).into_iter().flat_map(Deployment::kept);
        let dropped = before.filter(|v| !kept.contains(&v.digest)).map(|v| (v.digest, v.module.bytes)).collect();
        Change { deployment, dropped }
    }
}

/// `versions` with `first` in front.
fn front(first: Deployed, versions: &[Deployed]) -> Vec<Deployed> {
    let others = versions.iter().filter(|version| version.digest != first.digest).cloned();
    std::iter::once(first.clone()).chain(others).collect()
}

#[cfg(test)]
mod tests;
