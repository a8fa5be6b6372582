//! Our own WASI beside wasmtime-wasi with nothing granted: a guest is told the same of a world that it has no part in.
//!
//! Clocks and random numbers are left out. Ours differ on purpose, and have tests of their own.

use wasmtime::component::{Component, Linker, ResourceTable, Val};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::*;

/// What a function imports beside WASI.
const OURS: &[(&str, &[&str])] = &[
    ("fnhost:function/state@0.1.0", &["get", "set", "delete", "scan"]),
    ("wasi:logging/logging@0.1.0-draft", &["log"]),
    ("wasi:config/store@0.2.0-rc.1", &["get", "get-all"]),
];

/// What the standard's own implementation keeps for a guest.
struct Standard {
    context: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Standard {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}

/// The test guest's report of `script`, on wasmtime-wasi.
fn standard_report(script: &str) -> String {
    static LOADED: OnceLock<(Engine, Component)> = OnceLock::new();
    let (engine, component) = LOADED.get_or_init(|| {
        let engine = Engine::default();
        let component = Component::from_file(&engine, guest("guest")).unwrap();
        (engine, component)
    });
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
    // The scripts here use none of ours.
    for (interface, functions) in OURS {
        let mut instance = linker.instance(interface).unwrap();
        for function in *functions {
            instance.func_new(function, |_, _, _, _| Err(wasmtime::Error::msg("not here"))).unwrap();
        }
    }
    let standard = Standard { context: WasiCtx::builder().build(), table: ResourceTable::new() };
    let mut store = Store::new(engine, standard);
    let instance = linker.instantiate(&mut store, component).unwrap();
    let handler = instance.get_export_index(&mut store, None, "fnhost:function/handler@0.1.0").unwrap();
    let handle = instance.get_export_index(&mut store, Some(&handler), "handle").unwrap();
    let handle = instance.get_func(&mut store, handle).unwrap();
    let mut result = [Val::Bool(false)];
    handle.call(&mut store, &[event(script)], &mut result).unwrap();
    let [Val::Result(Ok(Some(outputs)))] = &result else { panic!("`{script}` failed: {result:?}") };
    let Val::List(outputs) = outputs.as_ref() else { panic!("{outputs:?}") };
    let Val::Record(fields) = &outputs[0] else { panic!("{outputs:?}") };
    let value = fields.iter().find_map(|(name, value)| (name == "value").then_some(value)).unwrap();
    let Val::Option(Some(bytes)) = value else { panic!("{value:?}") };
    let Val::List(bytes) = bytes.as_ref() else { panic!("{bytes:?}") };
    let byte = |byte: &Val| if let Val::U8(byte) = byte { *byte } else { panic!("{byte:?}") };
    String::from_utf8(bytes.iter().map(byte).collect()).unwrap()
}

fn event(script: &str) -> Val {
    let bytes = |text: &str| Val::Option(Some(Box::new(Val::List(text.bytes().map(Val::U8).collect()))));
    let field = |name: &str, value: Val| (name.to_owned(), value);
    Val::Record(vec![
        field("topic", Val::String("in".to_owned())),
        field("timestamp", Val::Option(None)),
        field("key", bytes("key")),
        field("value", bytes(script)),
        field("headers", Val::List(vec![])),
    ])
}

#[test]
fn a_guest_is_told_what_the_standards_own_implementation_tells_one_that_was_granted_nothing() {
    for script in [
        "env out",
        "stdin out",
        "open out /etc/passwd",
        "open out .",
        "open out ../x",
        "write out /tmp/x",
        "write out x",
    ] {
        assert_eq!(report(run(script)), standard_report(script), "{script}");
    }
}
