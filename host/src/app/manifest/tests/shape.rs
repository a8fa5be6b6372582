//! Faults of one table by itself.

use super::{ROUTE, SMALL, faults, faults_of, function_faults, route_faults};

#[test]
fn what_is_no_toml_is_shown_where_it_stops_being_so() {
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders"), @r"
    error: this is no TOML: unclosed table, expected `]`
     --> shop/app.toml:3:15
      |
    3 | [topics.orders
      |               ^
    ");
}

#[test]
fn app_without_name_and_app_with_an_odd_one() {
    insta::assert_snapshot!(faults("name = \"shop\"", ""), @r#"
    error: app.toml has no `name`
     --> shop/app.toml:1:1
      |
    1 |
      | ^

    hint: add `name = "…"`: everything that the host owns on Kafka begins with it
    "#);
    insta::assert_snapshot!(faults("\"shop\"", "\"Shop!\""), @r#"
    error: `Shop!` cannot name an app
     --> shop/app.toml:1:8
      |
    1 | name = "Shop!"
      |        ^^^^^^^ 1 to 64 small letters, digits and `-`
    "#);
}

#[test]
fn unknown_key_gets_the_nearest_known_one() {
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\npartitons = 3"), @r"
    error: topic `orders` has no key `partitons`
     --> shop/app.toml:4:1
      |
    4 | partitons = 3
      | ^^^^^^^^^ did you mean `partitions`?

    hint: the keys here are `partitions`, `replication`, `retention`, `max-message`, `schema`, `validate`
    ");
    insta::assert_snapshot!(faults("name", "colour = 1\nname"), @r"
    error: app.toml has no key `colour`
     --> shop/app.toml:1:1
      |
    1 | colour = 1
      | ^^^^^^ unknown key

    hint: the keys here are `name`, `schemas`, `workers`, `topics`, `routes`, `functions`, `schedules`, `groups`
    ");
}

#[test]
fn value_of_another_type_says_which_is_meant() {
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\npartitions = \"3\""), @r#"
    error: `partitions` of topic `orders` must be a whole number
     --> shop/app.toml:4:14
      |
    4 | partitions = "3"
      |              ^^^ this is of type string
    "#);
    insta::assert_snapshot!(function_faults("output = [1]"), @r"
    error: `output` of function `stock` must be a list of strings
      --> shop/app.toml:10:11
       |
    10 | output = [1]
       |           ^ this is of type integer
    ");
    insta::assert_snapshot!(function_faults("config = { max = 3 }"), @r"
    error: `max` of `config` of function `stock` must be a string
      --> shop/app.toml:10:18
       |
    10 | config = { max = 3 }
       |                  ^ this is of type integer
    ");
    insta::assert_snapshot!(faults("[topics.orders]", "[topics]\norders = 3"), @r#"
    error: `orders` of `topics` must be a table
     --> shop/app.toml:4:10
      |
    4 | orders = 3
      |          ^ this is of type integer

    error: function `stock` reads topic `orders`, which app.toml does not declare
      --> shop/app.toml:10:10
       |
    10 | input = ["orders"]
       |          ^^^^^^^^ known: `error`

    hint: declare it with `[topics.orders]`, or correct the name
    "#);
}

#[test]
fn sizes_and_times_need_units() {
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\nretention = \"3\""), @r#"
    error: `retention` of topic `orders` must be a time with its unit
     --> shop/app.toml:4:13
      |
    4 | retention = "3"
      |             ^^^ such as 250ms, 2s or 3d
    "#);
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\nmax-message = 4096"), @r#"
    error: `max-message` of topic `orders` must be a size with its unit, such as "256KiB"
     --> shop/app.toml:4:15
      |
    4 | max-message = 4096
      |               ^^^^ this is of type integer
    "#);
    insta::assert_snapshot!(function_faults("limits = { memory = \"32\" }"), @r#"
    error: `memory` of `limits` of function `stock` must be a size with its unit
      --> shop/app.toml:10:21
       |
    10 | limits = { memory = "32" }
       |                     ^^^^ such as 256KiB or 4MiB
    "#);
}

#[test]
fn values_out_of_range_say_the_range() {
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\npartitions = 0"), @r"
    error: `partitions` of topic `orders` is out of range
     --> shop/app.toml:4:14
      |
    4 | partitions = 0
      |              ^ 1 to 10000
    ");
    insta::assert_snapshot!(faults("[topics.orders]", "[topics.orders]\nmax-message = \"64KiB\""), @r#"
    error: `max-message` of topic `orders` is less than a full batch
     --> shop/app.toml:4:15
      |
    4 | max-message = "64KiB"
      |               ^^^^^^^ at least 1000000B

    hint: Kafka holds it against a whole batch of records, and the client fills one up to this size; how large one event may be is `limits.output` of its function, or `max-body` of its route
    "#);
    insta::assert_snapshot!(function_faults("limits = { memory = \"65MiB\" }"), @r#"
    error: `memory` of `limits` of function `stock` is out of range
      --> shop/app.toml:10:21
       |
    10 | limits = { memory = "65MiB" }
       |                     ^^^^^^^ 64KiB to 64MiB
    "#);
    insta::assert_snapshot!(function_faults("limits = { time = \"0s\" }"), @r#"
    error: `time` of `limits` of function `stock` is out of range
      --> shop/app.toml:10:19
       |
    10 | limits = { time = "0s" }
       |                   ^^^^ 1ms to less than 1m
    "#);
    insta::assert_snapshot!(function_faults("retry = { backoff = \"2s..1s\" }"), @r#"
    error: `backoff` of `retry` of function `stock` begins after its end
      --> shop/app.toml:10:21
       |
    10 | retry = { backoff = "2s..1s" }
       |                     ^^^^^^^^ the shorter time comes first
    "#);
    insta::assert_snapshot!(faults("name", "workers = 65\nname"), @r"
    error: `workers` of app.toml is out of range
     --> shop/app.toml:1:11
      |
    1 | workers = 65
      |           ^^ 1 to 64
    ");
}

#[test]
fn tries_of_one_event_stay_under_a_minute() {
    insta::assert_snapshot!(function_faults("retry = { attempts = 40, backoff = \"1s..2s\" }"), @r#"
    error: one event could keep function `stock` busy for 1m 27s
      --> shop/app.toml:10:1
       |
    10 | retry = { attempts = 40, backoff = "1s..2s" }
       | ^^^^^ 40 attempts of 250ms and the waits between them

    hint: stay under 60 s, for all events of the group wait meanwhile: fewer attempts, shorter waits, less time
    "#);
    insta::assert_snapshot!(function_faults("limits = { time = \"30s\" }"), @r#"
    error: one event could keep function `stock` busy for 2m 30s 750ms
      --> shop/app.toml:10:1
       |
    10 | limits = { time = "30s" }
       | ^^^^^^ 5 attempts of 30s and the waits between them

    hint: stay under 60 s, for all events of the group wait meanwhile: fewer attempts, shorter waits, less time
    "#);
}

#[test]
fn routes_are_whole() {
    insta::assert_snapshot!(route_faults("member = \"order\"\n", ""), @r#"
    error: route 1 has no `member`
      --> shop/app.toml:11:1
       |
    11 | [[routes]]
       | ^^^^^^^^^^

    hint: add `member = "…"`: the member of `data` that holds the body, such as "order"
    "#);
    insta::assert_snapshot!(route_faults("\"/orders\"", "\"orders/{id}\""), @r#"
    error: `orders/{id}` is no path
      --> shop/app.toml:12:8
       |
    12 | path = "orders/{id}"
       |        ^^^^^^^^^^^^^ such as /orders: no pattern, query or empty part
    "#);
    insta::assert_snapshot!(route_faults("\"/id\"", "\"id\""), @r#"
    error: `id` is no JSON Pointer to a member
      --> shop/app.toml:17:6
       |
    17 | id = "id"
       |      ^^^^ such as /id
    "#);
    insta::assert_snapshot!(route_faults("path", "method = \"GET\"\npath"), @r#"
    error: `GET` is no method of a route
      --> shop/app.toml:12:10
       |
    12 | method = "GET"
       |          ^^^^^ one of POST, PUT, PATCH
    "#);
    insta::assert_snapshot!(route_faults("path", "max-body = \"1MiB\"\npath"), @r#"
    error: route `/orders` takes bodies that topic `orders` does not: the event around a body weighs up to 16KiB
      --> shop/app.toml:12:12
       |
    12 | max-body = "1MiB"
       |            ^^^^^^ 1MiB into 1048588B

    hint: lower `max-body`, or raise the topic's `max-message`
    "#);
    insta::assert_snapshot!(faults_of(&format!("{SMALL}{ROUTE}{ROUTE}")), @r#"
    error: two routes serve POST /orders
      --> shop/app.toml:20:8
       |
    20 | path = "/orders"
       |        ^^^^^^^^^ the second one

    hint: give one of them another path
    "#);
}

#[test]
fn function_names_and_inputs() {
    insta::assert_snapshot!(faults("[functions.stock]", "[functions.Stock]"), @r"
    error: `Stock` cannot name a function
     --> shop/app.toml:7:12
      |
    7 | [functions.Stock]
      |            ^^^^^ 1 to 64 small letters, digits and `-`
    ");
    insta::assert_snapshot!(faults("input = [\"orders\"]", "input = []"), @r#"
    error: function `stock` reads no topic
     --> shop/app.toml:9:1
      |
    9 | input = []
      | ^^^^^

    hint: add `input = ["…"]`: the topics it handles
    "#);
    insta::assert_snapshot!(faults("input = [\"orders\"]", "input = [\"orders\", \"orders\"]"), @r#"
    error: `input` of function `stock` names `orders` twice
     --> shop/app.toml:9:20
      |
    9 | input = ["orders", "orders"]
      |                    ^^^^^^^^ once is enough
    "#);
    insta::assert_snapshot!(faults("source = \"stock\"\n", ""), @r#"
    error: function `stock` has no `source`
     --> shop/app.toml:7:12
      |
    7 | [functions.stock]
      |            ^^^^^

    hint: add `source = "…"`: a crate beside app.toml, or a .wasm file
    "#);
}
