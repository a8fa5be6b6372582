//! The apps in `functions/`, as a host reads them.

use std::path::{Path, PathBuf};

use fnhost::app::manifest;
use fnhost::app::schemas::Schemas;

fn fulfilment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/fulfilment")
}

#[test]
fn fulfilment_is_without_faults_by_its_folder_and_by_its_file() {
    for path in [fulfilment(), fulfilment().join("app.toml")] {
        let app = manifest::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(app.name, "fulfilment");
        let names: Vec<&str> = app.functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["inventory", "warehouse", "shipper", "notification", "measure", "kpi"]);
        assert_eq!(app.groups().keys().collect::<Vec<_>>(), ["fulfilment", "fulfilment.kpi", "fulfilment.measure"]);
    }
}

#[test]
fn every_topic_of_fulfilment_keeps_three_days_and_has_a_schema_that_compiles() {
    let manifest = manifest::read(&fulfilment()).unwrap();
    let schemas = Schemas::load(&manifest.schemas).unwrap_or_else(|faults| panic!("{faults}"));
    for (name, topic) in &manifest.app.topics {
        assert_eq!(topic.retention.as_secs(), 3 * 24 * 60 * 60, "{name}");
        assert!(topic.schema.as_deref().and_then(|schema| schemas.get(schema)).is_some(), "{name}");
    }
    assert!(schemas.get(&manifest.app.routes[0].body).is_some());
}
