//! Faults of several tables together.

use std::collections::BTreeSet;
use std::path::Path;

use super::{SMALL, app, faults, faults_of, function_faults, parse, read, route_faults};

#[test]
fn undeclared_topic_gets_the_nearest_declared_one() {
    insta::assert_snapshot!(faults("input = [\"orders\"]", "input = [\"order\"]"), @r#"
    error: function `stock` reads topic `order`, which app.toml does not declare
     --> shop/app.toml:9:10
      |
    9 | input = ["order"]
      |          ^^^^^^^ did you mean `orders`?

    hint: declare it with `[topics.order]`, or correct the name
    "#);
    insta::assert_snapshot!(function_faults("output = [\"shipments\"]"), @r#"
    error: function `stock` writes to topic `shipments`, which app.toml does not declare
      --> shop/app.toml:10:11
       |
    10 | output = ["shipments"]
       |           ^^^^^^^^^^^ known: `orders`, `error`

    hint: declare it with `[topics.shipments]`, or correct the name
    "#);
    insta::assert_snapshot!(route_faults("topic = \"orders\"", "topic = \"ordres\""), @r#"
    error: route `/orders` writes to topic `ordres`, which app.toml does not declare
      --> shop/app.toml:14:9
       |
    14 | topic = "ordres"
       |         ^^^^^^^^ did you mean `orders`?

    hint: declare it with `[topics.ordres]`, or correct the name
    "#);
}

#[test]
fn topics_that_are_the_hosts_own_are_not_for_outputs() {
    insta::assert_snapshot!(function_faults("output = [\"error\"]"), @r#"
    error: function `stock` writes to topic `error`, which is the host's own
      --> shop/app.toml:10:11
       |
    10 | output = ["error"]
       |           ^^^^^^^ the host alone writes it

    hint: to fail an event, return `reject` with a reason
    "#);
    insta::assert_snapshot!(function_faults("output = [\"shop.stock.orders.state\"]"), @r#"
    error: function `stock` writes to topic `shop.stock.orders.state`, which is the host's own
      --> shop/app.toml:10:11
       |
    10 | output = ["shop.stock.orders.state"]
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^ the host alone writes it

    hint: state is written through the `state` import
    "#);
    insta::assert_snapshot!(route_faults("topic = \"orders\"", "topic = \"error\""), @r#"
    error: route `/orders` writes to topic `error`, which is the host's own
      --> shop/app.toml:14:9
       |
    14 | topic = "error"
       |         ^^^^^^^ the host alone writes it

    hint: give the route a topic that a function reads
    "#);
    insta::assert_snapshot!(faults("[topics.error]", "[topics.\"shop.deployments\"]\n[topics.error]"), @r#"
    error: topic `shop.deployments` is the host's own
     --> shop/app.toml:5:9
      |
    5 | [topics."shop.deployments"]
      |         ^^^^^^^^^^^^^^^^^^ it holds which versions are active

    hint: give the topic another name
    "#);
}

#[test]
fn what_error_events_come_to_is_known_however_far_they_go() {
    let more = "[topics.found]\n[topics.told]\n[functions.find]\nsource = \"f\"\ninput = [\"error\"]\noutput = [\"found\"]\n\
                [functions.tell]\nsource = \"t\"\ninput = [\"found\"]\noutput = [\"told\"]\n\
                [functions.hear]\nsource = \"h\"\ninput = [\"told\", \"orders\"]\n";
    let app = app(&format!("{SMALL}{more}"));
    assert_eq!(Vec::from_iter(app.fed_by_errors()), ["find", "hear", "tell"]);
}

#[test]
fn schedules_have_a_slot_and_a_topic() {
    let with = |text: &str| faults_of(&format!("{SMALL}[schedules.minute]\n{text}"));
    insta::assert_snapshot!(with(""), @r#"
    error: schedule `minute` has no `every`
      --> shop/app.toml:10:12
       |
    10 | [schedules.minute]
       |            ^^^^^^

    hint: add `every = "…"`: how long a slot is, such as "60s": one tick a slot

    error: schedule `minute` has no `topic`
      --> shop/app.toml:10:12
       |
    10 | [schedules.minute]
       |            ^^^^^^

    hint: add `topic = "…"`: a topic that a function reads: each of its partitions gets the tick
    "#);
    insta::assert_snapshot!(with("every = \"100ms\"\ntopic = \"order\"\nat = \"noon\""), @r#"
    error: `every` of schedule `minute` is out of range
      --> shop/app.toml:11:9
       |
    11 | every = "100ms"
       |         ^^^^^^^ 1s to less than 1year

    error: schedule `minute` writes to topic `order`, which app.toml does not declare
      --> shop/app.toml:12:9
       |
    12 | topic = "order"
       |         ^^^^^^^ did you mean `orders`?

    hint: declare it with `[topics.order]`, or correct the name

    error: schedule `minute` has no key `at`
      --> shop/app.toml:13:1
       |
    13 | at = "noon"
       | ^^ unknown key

    hint: the keys here are `every`, `topic`
    "#);
    insta::assert_snapshot!(with("every = \"60\"\ntopic = \"error\""), @r#"
    error: `every` of schedule `minute` must be a time with its unit
      --> shop/app.toml:11:9
       |
    11 | every = "60"
       |         ^^^^ such as 250ms, 2s or 3d

    error: schedule `minute` writes to topic `error`, which is the host's own
      --> shop/app.toml:12:9
       |
    12 | topic = "error"
       |         ^^^^^^^ the host alone writes it

    hint: give the schedule a topic that a function reads
    "#);
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.\"shop.schedules\"]\n[topics.orders]"), @r#"
    error: topic `shop.schedules` is the host's own
     --> shop/app.toml:3:9
      |
    3 | [topics."shop.schedules"]
      |         ^^^^^^^^^^^^^^^^ it holds how far each schedule has come

    hint: give the topic another name
    "#);
}

#[test]
fn topic_names_are_kafkas() {
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.\"or ders\"]\n[topics.orders]"), @r#"
    error: `or ders` cannot name a topic
     --> shop/app.toml:3:9
      |
    3 | [topics."or ders"]
      |         ^^^^^^^^^ Kafka takes letters, digits, `.`, `_` and `-`
    "#);
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.\"a.b\"]\n[topics.a_b]\n[topics.orders]"), @r"
    error: Kafka takes `a.b` and `a_b` for one name
     --> shop/app.toml:4:9
      |
    4 | [topics.a_b]
      |         ^^^ `.` and `_` are the same in the names of its metrics
    ");
    let long = "x".repeat(240);
    let text = SMALL.replace("orders", &long);
    let text = faults_of(&text).replace(&long, "xxx…");
    insta::assert_snapshot!(text, @r#"
    error: the topic for the state of function `stock` for `xxx…` would have a name of 257 characters
     --> shop/app.toml:1:8
      |
    1 | name = "shop"
      |        ^^^^^^

    hint: Kafka takes 249: shorten the name of the topic or the function (`shop.stock.xxx….state`)
    "#);
}

#[test]
fn app_without_error_topic() {
    insta::assert_snapshot!(faults("[topics.error]\n", ""), @r"
    error: app.toml declares no topic `error`
     --> shop/app.toml

    hint: add `[topics.error]`: it takes every event that could not be processed
    ");
}

#[test]
fn error_topic_must_hold_the_largest_event_escaped() {
    insta::assert_snapshot!(faults("[topics.error]", "[topics.error]\nmax-message = \"1MiB\""), @r#"
    error: topic `error` cannot take what fails on `orders`: an error event holds the whole event, escaped
     --> shop/app.toml:6:15
      |
    6 | max-message = "1MiB"
      |               ^^^^^^ at least 2097176B, twice the 1048588B of its input

    hint: write `max-message = "3MiB"`, or leave it out: twice the largest input is the default
    "#);
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\nmax-message = \"40MiB\""), @r#"
    error: topic `orders` has records too large for a function to read
     --> shop/app.toml:4:15
      |
    4 | max-message = "40MiB"
      |               ^^^^^^^ at most 32MiB

    hint: an event that fails goes to the error topic whole, escaped, and no record is larger than 64MiB
    "#);
}

#[test]
fn topics_of_a_group_need_as_many_partitions() {
    let uneven = "[topics.more]\npartitions = 3\n[topics.error]";
    let text = SMALL.replace("[topics.error]", uneven).replace("[\"orders\"]", "[\"orders\", \"more\"]");
    insta::assert_snapshot!(faults_of(&text), @r"
    error: topics `orders` and `more` are read by one group, but have 6 and 3 partitions
     --> shop/app.toml:6:14
      |
    6 | partitions = 3
      |              ^ `orders` has 6

    hint: partition N of every topic of a group lies on one worker, which needs as many of each: make them equal
    ");
    let odd_one_first = SMALL.replace("[topics.orders]", "[topics.a]\n[topics.b]\n[topics.orders]\npartitions = 3");
    let more = "[functions.more]\nsource = \"more\"\ninput = [\"a\", \"b\"]\n";
    insta::assert_snapshot!(faults_of(&format!("{odd_one_first}{more}")), @r#"
    error: topics `a` and `orders` are read by one group, but have 6 and 3 partitions
     --> shop/app.toml:6:14
      |
    6 | partitions = 3
      |              ^ `a` has 6

    hint: partition N of every topic of a group lies on one worker, which needs as many of each: make them equal, or give function `stock` a group of its own with `group = "stock"`
    "#);
    let apart = format!(
        "{}\n[functions.other]\nsource = \"o\"\ngroup = \"other\"\ninput = [\"more\"]\n",
        SMALL.replace("[topics.error]", uneven)
    );
    assert!(read(&apart).is_ok());
}

#[test]
fn functions_of_a_group_begin_at_one_place_in_a_topic() {
    let other = "[functions.other]\nsource = \"other\"\ninput = [\"orders\"]\nfrom = \"latest\"\n";
    insta::assert_snapshot!(faults_of(&format!("{SMALL}{other}")), @r#"
    error: function `stock` and function `other` share a group, but not where it begins in topic `orders`
      --> shop/app.toml:13:8
       |
    13 | from = "latest"
       |        ^^^^^^^^ function `stock` begins from earliest

    hint: a group has one position in each partition: the same `from` for both, or a group of its own with `group = "other"`
    "#);
    assert!(read(&format!("{SMALL}{other}group = \"other\"\n")).is_ok());
    insta::assert_snapshot!(function_faults("from = \"newest\""), @r#"
    error: function `stock` cannot begin from `newest`
      --> shop/app.toml:10:8
       |
    10 | from = "newest"
       |        ^^^^^^^^ "earliest" or "latest"
    "#);
}

#[test]
fn group_that_no_function_has() {
    let text = format!("{SMALL}group = \"audit\"\n[groups.audits]\nworkers = 2\n");
    insta::assert_snapshot!(faults_of(&text), @r#"
    error: no function has the group `audits`
      --> shop/app.toml:11:9
       |
    11 | [groups.audits]
       |         ^^^^^^ did you mean `audit`?

    hint: give a function `group = "audits"`; the workers of the app's own group stand at the top: `workers = 2`
    "#);
}

#[test]
fn schema_that_is_not_there() {
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\nschema = \"order-recieved\""), @r#"
    error: there is no schema `order-recieved`
     --> shop/app.toml:4:10
      |
    4 | schema = "order-recieved"
      |          ^^^^^^^^^^^^^^^^ did you mean `order-received`?

    hint: write shop/schemas/order-recieved.schema.json; the folder of schemas is `schemas = "…"` at the top
    "#);
    insta::assert_snapshot!(route_faults("body = \"order\"", "body = \"invoice\""), @r#"
    error: there is no schema `invoice`
      --> shop/app.toml:13:8
       |
    13 | body = "invoice"
       |        ^^^^^^^^^ known: `order`, `order-confirmed`, `order-received`

    hint: write shop/schemas/invoice.schema.json; the folder of schemas is `schemas = "…"` at the top
    "#);
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\nvalidate = true"), @r#"
    error: topic `orders` is to be validated, but names no schema
     --> shop/app.toml:4:1
      |
    4 | validate = true
      | ^^^^^^^^

    hint: add `schema = "…"`, or leave `validate` out
    "#);
}

#[test]
fn all_faults_are_shown_at_once_in_the_order_of_the_file() {
    let text = SMALL.replace("[topics.orders]", "[topics.orders]\nretention = \"x\"").replace("input", "inptu");
    insta::assert_snapshot!(faults_of(&text), @r#"
    error: `retention` of topic `orders` must be a time with its unit
     --> shop/app.toml:4:13
      |
    4 | retention = "x"
      |             ^^^ such as 250ms, 2s or 3d

    error: function `stock` reads no topic
     --> shop/app.toml:8:12
      |
    8 | [functions.stock]
      |            ^^^^^

    hint: add `input = ["…"]`: the topics it handles

    error: function `stock` has no key `inptu`
      --> shop/app.toml:10:1
       |
    10 | inptu = ["orders"]
       | ^^^^^ did you mean `input`?

    hint: the keys here are `source`, `input`, `output`, `config`, `limits`, `retry`, `group`, `from`
    "#);
}

#[test]
fn schemas_folder_that_is_named_must_be_there() {
    let read = |text: &str| parse(text, Path::new("app.toml"), |_| Err(std::io::ErrorKind::NotFound.into()));
    assert!(read(SMALL).is_ok());
    let faults = read(&format!("schemas = \"x\"\n{SMALL}")).unwrap_err().to_string();
    insta::assert_snapshot!(faults, @r#"
    error: the schemas folder x cannot be read
     --> app.toml:1:11
      |
    1 | schemas = "x"
      |           ^^^ entity not found
    "#);
    let unused: BTreeSet<String> = BTreeSet::new();
    assert!(parse(SMALL, Path::new("app.toml"), |_| Ok(unused)).is_ok());
}
