//! The steps of a deployment, on a thread that may block: staged, compared with the active version, written.
//!
//! Whoever stages ([`Stage`]) compiles the component and makes an instance of it. What comes out of that is held against the active
//! version: what it calls itself, what it may reach, the layout of its state. Every step refuses with what is wrong and what mends it,
//! and nothing is written before the last.

use std::collections::BTreeSet;
use std::time::SystemTime;

use axum::http::StatusCode;

use super::wire::Changed;
use super::{Asked, Deployments};
use crate::deploy::book::{Book, Candidate, Module};
use crate::deploy::ledger::Layout;
use crate::event::Digest;
use crate::ingress::problem::Problem;
use crate::worker::error_event::epoch_ms;

/// Looks at components before they are deployed. Blocks, for as long as compiling takes.
pub trait Stage: Send + Sync {
    /// Compiles a component and makes one instance of it.
    ///
    /// # Errors
    /// Why it is no version of any function.
    fn stage(&self, function: &str, digest: Digest, wasm: &[u8]) -> Result<Staged, Refused>;

    /// What the component that the app came with may reach.
    fn own_grants(&self, function: &str) -> BTreeSet<String>;

    /// The component that the app came with, if there is one.
    fn own(&self, function: &str) -> Option<Own>;
}

/// The component that an app came with.
pub struct Own {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub wasm: Vec<u8>,
    /// The layout of the state that it keeps.
    pub state_format: String,
}

/// A component that could be deployed.
pub struct Staged {
    /// The interfaces that it imports, without their versions, and that give it something to reach.
    pub grants: BTreeSet<String>,
    /// The layout of the state that it keeps.
    pub state_format: String,
    /// What it calls itself in what it publishes, as far as it says.
    pub source: Option<String>,
}

/// Why a component could not be staged.
pub struct Refused {
    /// What is wrong with it.
    pub reason: String,
    /// What mends that.
    pub hint: Option<String>,
}

/// What a component is beside the active version.
struct Compared {
    /// What it calls itself, when the active version calls itself something else.
    called: Option<String>,
    wider: Vec<String>,
    narrower: Vec<String>,
    /// The layout of its state, when it is another one.
    state_format: Option<String>,
}

impl Deployments {
    /// Every step of a deployment. A dry run goes through all of them and writes nothing.
    pub(super) fn deploy(
        &self,
        function: &str,
        asked: &Asked,
        wasm: &[u8],
        digest: Digest,
    ) -> Result<Changed, Problem> {
        let base = self.base(function)?;
        let staged = self.stage.stage(function, digest, wasm).map_err(unstaged)?;
        let Compared { called, wider, narrower, state_format } = self.compare(function, asked, &staged)?;
        let own = self.stage.own(function);
        let (bytes, note, at_ms) = (wasm.len() as u64, asked.note.clone(), epoch_ms(SystemTime::now()));
        let candidate = Candidate { digest, bytes, note, state_format: Some(staged.state_format) };
        let changed = self.change(function, base, asked.dry_run, |book, layout| {
            if asked.shadow {
                let module = layout.bring(book, digest, wasm);
                return book.shadow(function, candidate, module, own.as_ref().map(|own| own.digest), at_ms);
            }
            let own = own_beneath(book, function, own.as_ref(), layout);
            book.deploy(function, candidate, layout.bring(book, digest, wasm), own, at_ms)
        })?;
        Ok(Changed { called, wider, narrower, state_format, ..changed })
    }

    /// Holds a component against the active version.
    fn compare(&self, function: &str, asked: &Asked, staged: &Staged) -> Result<Compared, Problem> {
        let active = self.deploy.active().versions.get(function).cloned();
        let is_called = active.as_ref().and_then(|version| version.source());
        let called = staged.source.clone().filter(|says| is_called.is_some_and(|is| is != says));
        if let (Some(says), Some(is), false) = (&called, is_called, asked.allow_wider) {
            return Err(of_another_function(function, says, is));
        }
        // What a version before it was trusted with is nothing new: one that reaches less must not stand in its way.
        let mut before = self.stage.own_grants(function);
        before.extend(active.as_ref().map(|version| version.grants()).unwrap_or_default());
        let wider: Vec<String> = staged.grants.difference(&before).cloned().collect();
        let narrower: Vec<String> = before.difference(&staged.grants).cloned().collect();
        let conflict = |title, detail| Err(Problem::new(StatusCode::CONFLICT, title).detail(detail));
        if !wider.is_empty() && !asked.allow_wider {
            let detail = format!(
                "it imports {}, and the active version does not; allow that if it is meant to (--allow-wider)",
                wider.join(", ")
            );
            return conflict("the component reaches more than the active version", detail);
        }
        let is_kept = active.is_some_and(|version| version.state_format() == staged.state_format);
        let state_format = (!is_kept).then(|| staged.state_format.clone());
        if let (true, Some(format)) = (asked.shadow, &state_format) {
            let detail = format!(
                "its state has format {format}, another one than that of the active version, so it could not read that"
            );
            return conflict("the component cannot run beside the active version", detail);
        }
        Ok(Compared { called, wider, narrower, state_format })
    }
}

fn unstaged(Refused { reason, hint }: Refused) -> Problem {
    let title = format!("the component cannot be deployed: {reason}");
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title);
    match hint {
        Some(hint) => problem.detail(hint),
        None => problem,
    }
}

/// A component that calls itself something else than the active version does would reject whatever it is given.
fn of_another_function(function: &str, says: &str, is: &str) -> Problem {
    let detail = format!(
        "it calls itself {says}, and the active version of `{function}` {is}; deploy it to its own function, or allow it if it was given \
         another name (--allow-wider)"
    );
    Problem::new(StatusCode::CONFLICT, "the component is one of another function").detail(detail)
}

/// What is to lie beneath the first version of a function that is deployed: the component that the app came with.
pub(super) fn own_beneath<'a>(
    book: &Book,
    function: &str,
    own: Option<&'a Own>,
    layout: &mut Layout<'a>,
) -> Option<(Candidate, Module)> {
    let own = own.filter(|_| book.function(function).is_none_or(|known| known.active.is_none()));
    own.map(|Own { digest, wasm, state_format }| {
        let note = "the app came with it".to_owned();
        let state_format = Some(state_format.clone());
        let candidate = Candidate { digest: *digest, bytes: wasm.len() as u64, note, state_format };
        (candidate, layout.bring(book, *digest, wasm))
    })
}
