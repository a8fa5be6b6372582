//! What an event costs: inventory with an order of 700 bytes, in a fresh instance (as the host runs it), in one that
//! lives on (what the isolation costs), and natively (what the sandbox costs).
//!
//! Prints p50 and p99 of 20,000 calls each, then criterion's estimates:
//! `cargo bench -p fnhost --bench sandbox`, best on one idle core (`taskset -c 1`).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use fnhost::app::{Function, Limits, Retry, Source};
use fnhost::broker::From;
use fnhost::event::{Event, Outcome, Partition};
use fnhost::invocation::{Call, Handler, NoState, View};
use fnhost::sandbox::{Options, Sandbox, Version};
use fnhost_sdk::RawEvent;
use fnhost_sdk::testing::{MemoryConfig, MemoryLog, MemoryState};

#[path = "../tests/all/guests.rs"]
mod guests;

const CALLS: usize = 20_000;
const CONFIG: [(&str, &str); 2] = [("products", "P-1001 P-1002 P-1003"), ("max-quantity", "100")];

fn order() -> Vec<u8> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    std::fs::read(schemas.join("examples/order-received/valid/one-product.json")).unwrap()
}

fn event() -> Event {
    Event {
        partition: Partition::new("order-received", 0),
        offset: 0,
        timestamp_ms: Some(1_700_000_000_000),
        key: Some(b"0199b3c4-5e01-7a10-8c2d-4f6e8a9b0001".to_vec()),
        value: Some(order()),
        headers: vec![],
    }
}

fn function(component: PathBuf) -> Arc<Function> {
    Arc::new(Function {
        name: "inventory".into(),
        source: Source::Component(component),
        input: vec!["order-received".into()],
        output: vec!["order-confirmed".into()],
        config: CONFIG.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        limits: Limits::default(),
        retry: Retry::default(),
        group: None,
        from: From::Earliest,
    })
}

struct Fresh {
    version: Version,
    function: Arc<Function>,
    event: Event,
    state: Arc<dyn View>,
}

impl Fresh {
    fn new() -> Self {
        let component = guests::guest("inventory");
        let version = Sandbox::new(&Options::default()).unwrap().load_file(&component).unwrap();
        Self { version, function: function(component), event: event(), state: Arc::new(NoState) }
    }

    fn call(&self) {
        let state = Arc::clone(&self.state);
        let call = Call { event: &self.event, function: &self.function, seed: [7; 32], state, stop: None };
        match self.version.handle(call) {
            Outcome::Completed(effects) => assert_eq!((effects.outputs.len(), effects.changes.len()), (1, 1)),
            other => panic!("{other:?}"),
        }
    }
}

/// An instance that is called again and again, on an engine of its own that checks and limits nothing.
mod reused {
    use super::*;
    use wasmtime::component::{Component, HasSelf, Linker};
    use wasmtime::{Config, Engine, Store};

    wasmtime::component::bindgen!({ path: "../wit", world: "fnhost:function/function" });

    use self::fnhost::function::{state, types};
    use self::wasi::{config::store, logging::logging};

    struct Host;

    impl types::Host for Host {}

    impl state::Host for Host {
        fn get(&mut self, _: Vec<u8>) -> Option<Vec<u8>> {
            None
        }
        fn set(&mut self, _: Vec<u8>, _: Vec<u8>) {}
        fn delete(&mut self, _: Vec<u8>) {}
        fn scan(&mut self, _: Vec<u8>, _: Option<Vec<u8>>, _: u32) -> Vec<state::Entry> {
            vec![]
        }
    }

    impl logging::Host for Host {
        fn log(&mut self, _: logging::Level, _: String, _: String) {}
    }

    impl store::Host for Host {
        fn get(&mut self, key: String) -> Result<Option<String>, store::Error> {
            Ok(CONFIG.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
        }
        fn get_all(&mut self) -> Result<Vec<(String, String)>, store::Error> {
            Ok(vec![])
        }
    }

    pub(super) struct Reused {
        store: Store<Host>,
        instance: Function,
        event: Event,
    }

    impl Reused {
        pub(super) fn new() -> Self {
            let engine =
                Engine::new(Config::new().concurrency_support(false).cranelift_nan_canonicalization(true)).unwrap();
            let component =
                Component::from_binary(&engine, &std::fs::read(guests::guest("inventory")).unwrap()).unwrap();
            let mut linker = Linker::new(&engine);
            linker.allow_shadowing(true);
            linker.define_unknown_imports_as_traps(&component).unwrap();
            Function::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).unwrap();
            let mut store = Store::new(&engine, Host);
            let instance = Function::instantiate(&mut store, &component, &linker).unwrap();
            Self { store, instance, event: event() }
        }

        pub(super) fn call(&mut self) {
            let event = types::Event {
                topic: self.event.partition.topic.to_string(),
                timestamp: self.event.timestamp_ms,
                key: self.event.key.clone(),
                value: self.event.value.clone(),
                headers: vec![],
            };
            let returned = self.instance.fnhost_function_handler().call_handle(&mut self.store, &event).unwrap();
            assert_eq!(returned.unwrap().len(), 1);
        }
    }
}

fn raw_event() -> RawEvent {
    let event = event();
    RawEvent {
        topic: event.partition.topic.to_string(),
        timestamp: event.timestamp_ms,
        key: event.key,
        value: event.value,
        headers: vec![],
    }
}

fn native(event: &RawEvent, config: &MemoryConfig) {
    let returned = inventory::invoke(event, &mut MemoryState::default(), config, &mut MemoryLog::default());
    assert_eq!(returned.unwrap().len(), 1);
}

/// Prints what half of the calls, and all but a hundredth, stay below.
fn percentiles(name: &str, mut call: impl FnMut()) {
    for _ in 0..CALLS / 10 {
        call();
    }
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|_| {
            let begin = Instant::now();
            call();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |share: f64| times[(CALLS as f64 * share) as usize];
    println!("{name:>8}: p50 {:>8.1?}, p99 {:>8.1?} of {CALLS} calls", at(0.5), at(0.99));
}

fn bench(criterion: &mut Criterion) {
    let fresh = Fresh::new();
    let mut reused = reused::Reused::new();
    let (event, config) = (raw_event(), MemoryConfig::from(CONFIG));

    percentiles("fresh", || fresh.call());
    percentiles("reused", || reused.call());
    percentiles("native", || native(&event, &config));

    let mut group = criterion.benchmark_group("inventory, an order of 700 bytes");
    group.bench_function("fresh", |b| b.iter(|| fresh.call()));
    group.bench_function("reused", |b| b.iter(|| reused.call()));
    group.bench_function("native", |b| {
        b.iter(|| native(&event, &config));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
