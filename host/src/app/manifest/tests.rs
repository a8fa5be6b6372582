//! What a manifest means, and each fault by what it prints.

mod rules;
mod shape;

use std::path::Path;
use std::time::Duration;

use super::{Manifest, parse};
use crate::app::fault::Faults;
use crate::app::{App, Limits, Retry, Source};
use crate::broker::From;

/// An app with nothing but what it must have.
const SMALL: &str = r#"name = "shop"

[topics.orders]

[topics.error]

[functions.stock]
source = "stock"
input = ["orders"]
"#;

const SCHEMAS: [&str; 3] = ["order", "order-received", "order-confirmed"];

fn read(text: &str) -> Result<Manifest, Faults> {
    parse(text, Path::new("shop/app.toml"), |_| Ok(SCHEMAS.map(String::from).into()))
}

fn app(text: &str) -> App {
    read(text).unwrap_or_else(|faults| panic!("{faults}")).app
}

/// The faults of [`SMALL`] with `from` replaced by `to`.
fn faults(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "`{from}` is not in it");
    faults_of(&SMALL.replacen(from, to, 1))
}

fn faults_of(text: &str) -> String {
    read(text).map(|manifest| manifest.explain()).unwrap_err().to_string()
}

/// The faults of [`SMALL`] with a line more in its function.
fn function_faults(line: &str) -> String {
    faults_of(&format!("{SMALL}{line}\n"))
}

const ROUTE: &str = r#"
[[routes]]
path = "/orders"
body = "order"
topic = "orders"
type = "shop.order"
member = "order"
id = "/id"
"#;

fn route_faults(from: &str, to: &str) -> String {
    assert!(ROUTE.contains(from), "`{from}` is not in it");
    faults_of(&format!("{SMALL}{}", ROUTE.replacen(from, to, 1)))
}

#[test]
fn smallest_app_has_defaults_for_all_the_rest() {
    let app = app(SMALL);
    let orders = &app.topics["orders"];
    assert_eq!((orders.partitions, orders.replication, orders.message_bytes_max), (6, None, 1_048_588));
    assert_eq!(orders.retention, Duration::from_secs(3 * 86_400));
    assert_eq!((orders.schema.as_deref(), orders.validate), (None, true));
    assert_eq!(app.topics["error"].message_bytes_max, 2 * 1_048_588);
    assert_eq!(app.workers.get("shop"), Some(&1));
    let stock = &app.functions[0];
    assert_eq!(stock.source, Source::Crate("shop/stock".into()));
    assert_eq!((stock.limits, stock.retry, stock.from), (Limits::default(), Retry::default(), From::Earliest));
    assert_eq!(app.component_file(stock), Path::new("shop/build/stock.wasm"));
}

#[test]
fn every_key_is_read() {
    let text = format!(
        r#"
        name = "shop"
        schemas = "../schemas"
        workers = 2
        [topics.orders]
        partitions = 3
        replication = 2
        retention = "12h"
        max-message = "2MiB"
        schema = "order-received"
        validate = false
        [topics.error]
        max-message = "4MiB"
        {ROUTE}
        method = "PUT"
        max-body = "1KiB"
        [functions.stock]
        source = "bin/stock.wasm"
        input = ["orders"]
        config = {{ a = "1" }}
        limits = {{ time = "1s", memory = "1MiB", output = "2KiB" }}
        retry = {{ attempts = 3, backoff = "10ms..1s" }}
        group = "stock"
        from = "latest"
        [groups.stock]
        workers = 4
        "#
    );
    let manifest = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(manifest.schemas, Path::new("shop/../schemas"));
    assert_eq!(manifest.sources["stock"].spot.as_ref().map(|spot| spot.line), Some(26));
    let app = manifest.app;
    assert_eq!(app.workers.iter().map(|(g, w)| (g.as_str(), *w)).collect::<Vec<_>>(), [("shop", 2), ("shop.stock", 4)]);
    let orders = &app.topics["orders"];
    assert_eq!((orders.partitions, orders.replication, orders.message_bytes_max), (3, Some(2), 2 << 20));
    assert_eq!((orders.retention, orders.validate), (Duration::from_secs(43_200), false));
    let route = &app.routes[0];
    assert_eq!((route.method.as_str(), route.path.as_str(), route.body_bytes_max), ("PUT", "/orders", 1024));
    let stock = &app.functions[0];
    assert_eq!(stock.source, Source::Component("shop/bin/stock.wasm".into()));
    assert_eq!(stock.config.get("a").map(String::as_str), Some("1"));
    assert_eq!(
        (stock.limits.time, stock.limits.memory_bytes, stock.limits.output_bytes),
        (Duration::from_secs(1), 1 << 20, 2048)
    );
    let retry = Retry { attempts: 3, backoff_min: Duration::from_millis(10), backoff_max: Duration::from_secs(1) };
    assert_eq!((stock.retry, stock.from, stock.group.as_deref()), (retry, From::Latest, Some("stock")));
}

#[test]
fn explained_app_is_the_same_app() {
    let full = format!(
        "{SMALL}group = \"own\"\n{ROUTE}\n[topics.\"a.b_c\"]\nretention = \"90s\"\nschema = \"order\"\n[groups.own]\nworkers = 3\n\
         [schedules.often]\nevery = \"90s\"\ntopic = \"orders\"\n"
    );
    for text in [SMALL, &full] {
        let manifest = read(text).unwrap();
        let explained = read(&manifest.explain()).unwrap_or_else(|faults| panic!("{faults}\n{}", manifest.explain()));
        assert_eq!(format!("{:?}", explained.app), format!("{:?}", manifest.app));
        assert_eq!(explained.schemas, manifest.schemas);
    }
}

#[test]
fn explanation_says_what_follows_too() {
    insta::assert_snapshot!(read(SMALL).unwrap().explain(), @r#"
    name = "shop"
    schemas = "schemas"
    workers = 1

    [topics.error]
    partitions = 6
    # replication: the broker's default
    retention = "3days"
    max-message = "2097176B"
    # schema: none, so nothing is validated

    [topics.orders]
    partitions = 6
    # replication: the broker's default
    retention = "3days"
    max-message = "1048588B"
    # schema: none, so nothing is validated

    [functions.stock]
    source = "stock"
    input = ["orders"]
    output = []
    config = {}
    limits = { time = "250ms", memory = "32MiB", output = "256KiB" }
    retry = { attempts = 5, backoff = "50ms..2s" }
    from = "earliest"

    # consumer group shop: stock
    # changelog shop.stock.orders.state: as many partitions as orders, compacted
    "#);
}

#[test]
fn file_that_is_not_there_is_named() {
    let error = super::load(Path::new("no/such/app.toml")).unwrap_err().to_string();
    assert!(error.starts_with("error: no/such/app.toml cannot be read: "), "{error}");
    assert!(error.ends_with("hint: name the folder of an app, or its app.toml"), "{error}");
}
