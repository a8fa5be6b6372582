//! What is loaded, and what is refused with which words.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;

use fnhost::event::Digest;
use fnhost::sandbox::LoadError;

use super::*;

fn refused(wasm: &[u8]) -> LoadError {
    match sandbox().load(wasm) {
        Err(error) => error,
        Ok(version) => panic!("{} was loaded", version.digest()),
    }
}

#[track_caller]
fn assert_refused(wasm: &[u8], says: &str, hint: &str) {
    let error = refused(wasm);
    let line = error.to_string();
    assert!(line.contains(says), "`{line}` has no `{says}`");
    assert!(!line.contains('\n') && line.len() < 700, "{line}");
    assert!(error.hint().unwrap_or_default().contains(hint), "{:?}", error.hint());
}

#[test]
fn every_function_of_the_reference_application_loads() {
    for name in ["inventory", "warehouse", "shipper", "notification", "measure", "kpi"] {
        let path = guest(name);
        let version = sandbox().load_file(&path).unwrap();
        assert_eq!(version.digest(), Digest::of(&fs::read(path).unwrap()));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = sandbox().load_file(Path::new("/nowhere/inventory.wasm")).err().unwrap();
    assert_eq!(error.to_string(), "/nowhere/inventory.wasm is not there");
    assert!(error.hint().unwrap().contains("fnhost build"));
}

#[test]
fn a_folder_is_no_component() {
    let folder = tempfile::tempdir().unwrap();
    let error = sandbox().load_file(folder.path()).err().unwrap();
    assert!(error.to_string().contains("cannot be read: it is no file"), "{error}");
}

#[test]
fn an_empty_file_is_refused() {
    assert_refused(b"", "it is empty", "wasm32-wasip2");
}

#[test]
fn what_is_no_webassembly_is_refused() {
    assert_refused(b"#!/bin/sh\n", "it is no WebAssembly", "wasm32-wasip2");
    assert_refused(b"\0as", "it is no WebAssembly", "wasm32-wasip2");
    assert_refused(b" (component)", "as text", "wasm-tools parse");
}

#[test]
fn a_core_module_is_refused_with_the_command_that_makes_a_component() {
    assert_refused(&component("(module)"), "core WebAssembly module", "cargo build --release --target wasm32-wasip2");
}

#[test]
fn a_precompiled_artefact_is_refused() {
    let engine = wasmtime::Engine::default();
    let artefact = engine.precompile_component(&component("(component)")).unwrap();
    assert_refused(&artefact, "precompiled artefact", ".wasm file");
}

#[test]
fn a_large_file_is_refused_without_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.wasm");
    // 200 MB that take no room on the disk.
    File::create(&path).unwrap().set_len(200_000_000).unwrap();
    let error = sandbox().load_file(&path).err().unwrap();
    assert_eq!(error.to_string(), "it is too large: 200000000 bytes, and 67108864 is the most");
    assert!(error.hint().unwrap().contains("strip"));
}

#[test]
fn a_damaged_component_is_refused() {
    let wasm = fs::read(guest("guest")).unwrap();
    assert_refused(&wasm[..wasm.len() / 2], "it is not valid", "build it");
    let mut damaged = wasm;
    damaged[2000..2100].fill(0xff);
    assert!(sandbox().load(&damaged).is_err());
}

#[test]
fn a_component_without_the_handler_is_refused() {
    assert_refused(&component("(component)"), "it does not export fnhost:function/handler@0.1.0", "wit/function.wit");
    let other = r#"(component (instance $i) (export "fnhost:function/handler@0.2.0" (instance $i)))"#;
    assert_refused(&component(other), "but fnhost:function/handler@0.2.0", "wit/function.wit");
    let empty = r#"(component (instance $i) (export "fnhost:function/handler@0.1.0" (instance $i)))"#;
    assert_refused(&component(empty), "it does not fit the contract", "wit/function.wit");
}

/// A component with an import, and a handler of the right name.
fn importing(import: &str) -> Vec<u8> {
    component(&format!(
        r#"(component
            (import "{import}" (instance))
            (instance $i) (export "fnhost:function/handler@0.1.0" (instance $i)))"#
    ))
}

#[test]
fn an_import_that_is_not_for_functions_is_refused_by_name() {
    for import in ["wasi:sockets/tcp@0.2.3", "wasi:http/outgoing-handler@0.2.0"] {
        assert_refused(&importing(import), &format!("it imports {import}: functions have no network"), "topic");
    }
    assert_refused(&importing("wasi:keyvalue/store@0.2.0"), "it imports wasi:keyvalue/store@0.2.0", "wit/function.wit");
    assert_refused(&importing("fnhost:function/state@0.9.0"), "another version", "wit/function.wit");
}

#[test]
fn more_initial_memory_than_any_function_may_have_is_refused() {
    let large = r#"(component
        (core module $m (memory 2000))
        (core instance (instantiate $m))
        (instance $i) (export "fnhost:function/handler@0.1.0" (instance $i)))"#;
    assert_refused(&component(large), "it needs more than a function may have", "64 MiB");
}

#[test]
fn what_no_function_needs_of_webassembly_is_refused() {
    for (proposal, module) in [
        ("threads", "(memory 1 1 shared)"),
        ("memory64", "(memory i64 1)"),
        ("multiple memories", "(memory 1) (memory 1)"),
        ("exceptions", "(tag)"),
        ("garbage collection", "(type (struct))"),
    ] {
        let wasm = component(&format!("(component (core module {module}))"));
        let error = refused(&wasm);
        assert!(matches!(error, LoadError::Invalid { .. }), "{proposal}: {error}");
    }
}

mod cache {
    use super::*;

    fn cached(folder: &Path) -> Arc<Sandbox> {
        Sandbox::new(&Options { cache: Some(folder.to_owned()), instances_max: 1, ..Options::default() }).unwrap()
    }

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[track_caller]
    fn assert_works(sandbox: &Arc<Sandbox>) {
        let version = sandbox.load_file(&guest("guest")).unwrap();
        assert_eq!(report(case("emit out works").run_on(&version)), "works");
    }

    #[test]
    fn a_compiled_component_is_kept_for_ourselves_and_used_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("cache");
        assert_works(&cached(&folder));
        let kept = files(&folder);
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o077, 0);

        let written = fs::metadata(&kept[0]).unwrap().modified().unwrap();
        assert_works(&cached(&folder));
        assert_eq!(fs::metadata(&kept[0]).unwrap().modified().unwrap(), written, "it was compiled again");
    }

    #[test]
    fn a_cache_in_a_folder_that_was_removed_costs_no_more_than_the_cache() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("removed/cache");
        assert_works(&cached(&folder));
        assert!(!folder.exists());
    }

    #[test]
    fn a_damaged_cut_or_foreign_file_is_compiled_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("cache");
        assert_works(&cached(&folder));
        let path = files(&folder).remove(0);
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let mut magic = good.clone();
        magic[0] ^= 1;
        for bad in [&flipped, &magic, &good[..good.len() - 1].to_vec(), &good[..20].to_vec(), &vec![]] {
            fs::write(&path, bad).unwrap();
            assert_works(&cached(&folder));
            assert_eq!(fs::read(&path).unwrap().len(), good.len(), "it was written anew");
        }

        // What was compiled from one component, under the name of another.
        let sandbox = cached(&folder);
        sandbox.load_file(&guest("inventory")).unwrap();
        let other = files(&folder).into_iter().find(|file| *file != path).unwrap();
        fs::copy(&other, &path).unwrap();
        assert_works(&cached(&folder));
        assert_ne!(fs::read(&path).unwrap(), fs::read(&other).unwrap());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_works(&cached(folder.path()));
        assert_eq!(files(folder.path()).len(), 0);
    }

    #[test]
    fn a_cache_that_cannot_be_written_costs_only_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "file", b"");
        assert_works(&cached(&file.join("cache")));
        assert_works(&cached(Path::new("/proc/no-such-folder")));
    }

    #[test]
    fn a_component_that_is_no_function_is_not_kept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("cache");
        assert!(cached(&folder).load(&component("(component)")).is_err());
        assert_eq!(files(&folder).len(), 0);
    }
}
