//! Scenarios: those of the apps in `functions/`, each a test case by being there; and the verbs that run functions without
//! a broker, as a shell sees them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use fnhost::app::manifest;
use fnhost::app::schemas::Schemas;
use fnhost::deploy::Versions;
use fnhost::invocation::Handler;
use fnhost::sandbox::{Options, Sandbox};
use fnhost::scenario::{self, Bench, Unmet};

use crate::guests::guest;

mod invoke;
mod verb;
mod wrong;

#[test]
fn every_scenario_of_fulfilment_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/fulfilment");
    let manifest = manifest::read(&folder).unwrap_or_else(|faults| panic!("{faults}"));
    let schemas = Schemas::load(&manifest.schemas).unwrap_or_else(|faults| panic!("{faults}"));
    let sandbox = Sandbox::new(&Options::default()).unwrap();
    let load = |name: &String| Arc::new(sandbox.load_file(&guest(name)).unwrap()) as Arc<dyn Handler>;
    let names = manifest.app.functions.iter().map(|function| function.name.clone());
    let versions: Versions = names.map(|name| (name.clone(), load(&name))).collect();
    let bench = Bench::new(manifest.app, schemas, versions).unwrap();

    let scenarios = scenario::find(bench.app()).unwrap();
    let wrong: Vec<String> = scenarios
        .iter()
        .filter_map(|scenario| {
            let why = match bench.test(scenario).map(|ran| ran.unmet()) {
                Ok(None) => return None,
                Ok(Some(Unmet::Differs(difference))) => difference,
                Ok(Some(Unmet::NothingExpected)) => "it expects nothing".to_owned(),
                Ok(Some(Unmet::Unreadable(faults))) | Err(faults) => faults.to_string(),
            };
            Some(format!("---- {}\n{why}", scenario.name))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{}\n{} of {} scenarios fail; where what came out is right: fnhost test functions/fulfilment --build --bless",
        wrong.join("\n"),
        wrong.len(),
        scenarios.len()
    );

    let covered: BTreeSet<&str> =
        scenarios.iter().map(|scenario| scenario.name.split_once('/').map_or("", |(function, _)| function)).collect();
    assert_eq!(covered, BTreeSet::from(["", "inventory", "kpi", "measure", "notification", "shipper", "warehouse"]));
}
