//! What a component's imports are linked to.
//!
//! The contract, and WASI's io, clocks, random and cli, are functions of ours, the same for all components. The
//! filesystem is there because language runtimes import it, with no directory in it: each of its functions that a
//! component imports is a trap that no guest can reach without a directory. Sockets, HTTP and whatever else there is
//! are refused by name.

use std::collections::BTreeSet;

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, HasSelf, Linker, ResourceType, Val};

use super::LoadError;
use super::contract::fnhost::function::state;
use super::contract::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
    terminal_stdout,
};
use super::contract::wasi::clocks::{monotonic_clock, wall_clock};
use super::contract::wasi::config::store;
use super::contract::wasi::io::{error, poll, streams};
use super::contract::wasi::logging::logging;
use super::contract::wasi::random::{insecure, insecure_seed, random};
use super::ended::Ended;
use super::guest::Guest;
use super::log::Log;
use super::process::Process;
use super::random::Random;
use super::state::State;
use super::time::Time;

/// Why sockets and HTTP are refused.
pub(super) const NO_NETWORK: &str = "functions have no network";
const NOT_THERE: &str = "the host has no such thing";
const OTHER_VERSION: &str = "the host has another version of it";

/// A linker with all that every component may import.
pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    state::add_to_linker::<Guest, HasSelf<State>>(l, |guest| &mut guest.state)?;
    store::add_to_linker::<Guest, HasSelf<Guest>>(l, |guest| guest)?;
    for add in [
        logging::add_to_linker::<Guest, HasSelf<Log>>,
        error::add_to_linker::<Guest, HasSelf<Log>>,
        streams::add_to_linker::<Guest, HasSelf<Log>>,
        stdin::add_to_linker::<Guest, HasSelf<Log>>,
        stdout::add_to_linker::<Guest, HasSelf<Log>>,
        stderr::add_to_linker::<Guest, HasSelf<Log>>,
    ] {
        add(l, |guest| &mut guest.log)?;
    }
    for add in [
        poll::add_to_linker::<Guest, HasSelf<Time>>,
        monotonic_clock::add_to_linker::<Guest, HasSelf<Time>>,
        wall_clock::add_to_linker::<Guest, HasSelf<Time>>,
    ] {
        add(l, |guest| &mut guest.time)?;
    }
    for add in [
        random::add_to_linker::<Guest, HasSelf<Random>>,
        insecure::add_to_linker::<Guest, HasSelf<Random>>,
        insecure_seed::add_to_linker::<Guest, HasSelf<Random>>,
    ] {
        add(l, |guest| &mut guest.random)?;
    }
    for add in [
        environment::add_to_linker::<Guest, HasSelf<Process>>,
        exit::add_to_linker::<Guest, HasSelf<Process>>,
        terminal_input::add_to_linker::<Guest, HasSelf<Process>>,
        terminal_output::add_to_linker::<Guest, HasSelf<Process>>,
        terminal_stdin::add_to_linker::<Guest, HasSelf<Process>>,
        terminal_stdout::add_to_linker::<Guest, HasSelf<Process>>,
        terminal_stderr::add_to_linker::<Guest, HasSelf<Process>>,
    ] {
        add(l, |guest| &mut guest.process)?;
    }
    Ok(linker)
}

/// A linker for one component, or the import that no function gets.
pub(super) fn linker_for(common: &Linker<Guest>, component: &Component) -> Result<Linker<Guest>, LoadError> {
    let engine = component.engine();
    let mut linker = common.clone();
    for (name, import) in component.component_type().imports(engine) {
        check(name)?;
        if name.starts_with("wasi:filesystem/")
            && let ComponentItem::ComponentInstance(instance) = import.ty
        {
            stub(&mut linker, name, &instance, component)
                .map_err(|error| LoadError::Mismatch { reason: format!("{error:#}") })?;
        }
    }
    Ok(linker)
}

/// Of what a component imports, the interfaces that give it something to reach, without their versions. What has no effect, or
/// nothing behind it, such as a filesystem without directories, is left out: language runtimes import it as they please.
pub(super) fn grants(component: &Component) -> BTreeSet<String> {
    const GRANT: [&str; 5] = ["fnhost:function/state", "wasi:config/", "wasi:logging/", "wasi:clocks/", "wasi:random/"];
    let imports = component.component_type();
    let imports =
        imports.imports(component.engine()).map(|(name, _)| name.split('@').next().unwrap_or(name).to_owned());
    imports.filter(|name| GRANT.iter().any(|granting| name.starts_with(granting))).collect()
}

/// Refuses an import that is nothing for functions. What passes may still have another type than ours.
fn check(name: &str) -> Result<(), LoadError> {
    /// Interfaces, each with the versions of it that are linked: all that begin so.
    const KNOWN: [(&str, &str); 6] = [
        ("fnhost:function/", "0.1."),
        ("wasi:logging/logging", "0.1.0-draft"),
        ("wasi:config/store", "0.2.0-rc.1"),
        ("wasi:io/", "0.2."),
        ("wasi:random/", "0.2."),
        ("wasi:filesystem/", "0.2."),
    ];
    const KNOWN_PARTS: [(&str, &[&str]); 2] = [
        ("wasi:clocks/", &["monotonic-clock", "wall-clock"]),
        (
            "wasi:cli/",
            &[
                "environment",
                "exit",
                "stdin",
                "stdout",
                "stderr",
                "terminal-input",
                "terminal-output",
                "terminal-stdin",
                "terminal-stdout",
                "terminal-stderr",
            ],
        ),
    ];
    let refused = |reason| Err(LoadError::Import { import: name.to_owned(), reason });
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    if interface.starts_with("wasi:sockets/") || interface.starts_with("wasi:http/") {
        return refused(NO_NETWORK);
    }
    let known = KNOWN.iter().find(|(known, _)| interface.starts_with(known)).map(|(_, versions)| *versions);
    let part = KNOWN_PARTS.iter().find_map(|(package, parts)| {
        let part = interface.strip_prefix(package)?;
        parts.contains(&part).then_some("0.2.")
    });
    match known.or(part) {
        Some(versions) if version.starts_with(versions) => Ok(()),
        Some(_) => refused(OTHER_VERSION),
        None => refused(NOT_THERE),
    }
}

enum Directory {}
enum DirectoryEntries {}

/// Links a filesystem interface in which nothing is.
fn stub(
    linker: &mut Linker<Guest>,
    name: &str,
    interface: &ComponentInstance,
    component: &Component,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(name)?;
    for (item, import) in interface.exports(component.engine()) {
        match (item, import.ty) {
            ("descriptor", ComponentItem::Resource(_)) => {
                instance.resource(item, ResourceType::host::<Directory>(), |_, _| Ok(()))?;
            }
            ("directory-entry-stream", ComponentItem::Resource(_)) => {
                instance.resource(item, ResourceType::host::<DirectoryEntries>(), |_, _| Ok(()))?;
            }
            ("get-directories", ComponentItem::ComponentFunc(_)) => {
                instance.func_new(item, |_, _, _, results| {
                    results.fill(Val::List(vec![]));
                    Ok(())
                })?;
            }
            ("filesystem-error-code", ComponentItem::ComponentFunc(_)) => {
                instance.func_new(item, |_, _, _, results| {
                    results.fill(Val::Option(None));
                    Ok(())
                })?;
            }
            (_, ComponentItem::ComponentFunc(_)) => {
                let called = format!("it called {name} {item}, and functions have no files");
                instance.func_new(item, move |_, _, _, _| Err(Ended::Refused(called.clone()).into()))?;
            }
            // Streams and errors are those of wasi:io, which the component has imported before.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(import: &str) -> &'static str {
        match check(import) {
            Err(LoadError::Import { import: named, reason }) => {
                assert_eq!(named, import);
                reason
            }
            other => panic!("{import}: {other:?}"),
        }
    }

    #[test]
    fn any_release_of_wasi_two_is_linked() {
        for import in ["wasi:cli/stdout@0.2.0", "wasi:io/streams@0.2.12", "wasi:clocks/wall-clock@0.2.3"] {
            check(import).unwrap();
        }
    }

    #[test]
    fn whatever_reaches_out_is_refused_by_name() {
        for import in ["wasi:sockets/tcp@0.2.0", "wasi:http/outgoing-handler@0.2.3", "wasi:sockets/types@0.3.0"] {
            assert_eq!(refused(import), NO_NETWORK);
        }
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        for import in ["wasi:keyvalue/store@0.2.0", "wasi:cli/run@0.2.0", "wasi:clocks/timezone@0.2.0", "env", ""] {
            assert_eq!(refused(import), NOT_THERE);
        }
    }

    #[test]
    fn another_version_is_refused_as_such() {
        for import in
            ["fnhost:function/state@0.2.0", "wasi:io/streams@0.3.0", "wasi:config/store", "wasi:io/poll@0.20.0"]
        {
            assert_eq!(refused(import), OTHER_VERSION);
        }
    }
}
