//! The command line, and how failures are printed.

mod help;
mod options;

use clap::CommandFactory;

use super::*;
use crate::broker;
use crate::event::Partition;

#[test]
fn command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn arguments_of_run_reach_their_places() {
    let line = "fnhost run shop --brokers a:1,b:2 --kafka sasl.password=hunter2 --kafka client.id=x --instance a-1 \
                --http 0.0.0.0:80 --drain-time 1m -v";
    let Verb::Run(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().verb else { panic!("not run") };
    assert!(!format!("{args:?}").contains("hunter2"));
    let Connection::Kafka { brokers, properties } = args.broker.resolve().unwrap() else { panic!("no Kafka") };
    assert_eq!((brokers.as_str(), properties.as_map().len()), ("a:1,b:2", 2));
    assert_eq!(args.instance.as_ref().map(Instance::as_str), Some("a-1"));
    assert_eq!((args.http.port(), args.admin.admin.port(), args.drain_time.as_secs()), (80, 9090, 60));
}

#[test]
fn instance_with_a_dot_is_refused() {
    let error = Cli::try_parse_from(["fnhost", "run", "shop", "--brokers", "a:1", "--instance", "a.b"]).unwrap_err();
    assert!(error.to_string().contains("1 to 64 letters, digits, `-` and `_`"), "{error}");
}

fn printed(failure: &Failure) -> (String, Exit) {
    let mut out = Vec::new();
    let exit = failure.print(&mut out);
    (String::from_utf8(out).unwrap(), exit)
}

fn of_broker(error: broker::Error) -> String {
    let asked = Asked {
        path: "functions/shop".as_ref(),
        app: "shop",
        brokers: "localhost:9092",
        option: "--brokers localhost:9092",
    };
    let (text, exit) = printed(&Failure::broker(error, &asked));
    assert_eq!(exit, Exit::Fault);
    text
}

#[test]
fn causes_are_a_line_each_and_the_hint_comes_last() {
    let error = anyhow::anyhow!("connection refused").context("no answer from localhost:9092").context("it is away");
    let (text, exit) = printed(&Failure::fault(error).hint("start it"));
    insta::assert_snapshot!(text, @r"
    error: it is away
      caused by: no answer from localhost:9092
      caused by: connection refused

    hint: start it
    ");
    assert_eq!(exit, Exit::Fault);
}

#[test]
fn reader_that_is_gone_is_no_failure() {
    let (text, exit) = printed(&io::Error::from(io::ErrorKind::BrokenPipe).into());
    assert_eq!((text.as_str(), exit), ("", Exit::Done));
}

#[test]
fn fault_of_fnhost_itself_ends_with_70() {
    let cause = "no such thing".into();
    let asked =
        Asked { path: "shop".as_ref(), app: "shop", brokers: "localhost:9092", option: "--brokers localhost:9092" };
    let (text, exit) = printed(&Failure::broker(broker::Error::Bug { what: "asking the broker", cause }, &asked));
    let text = text.replace(env!("CARGO_PKG_VERSION"), "0.0.0");
    insta::assert_snapshot!(text, @r"
    error: unexpected: asking the broker
      caused by: no such thing

    hint: this is a fault of fnhost 0.0.0: please report it
    ");
    assert_eq!(exit, Exit::Internal);
}

#[test]
fn every_error_of_the_broker_says_what_mends_it() {
    let partition = Partition::new("orders", 3);
    let errors = [
        broker::Error::Away { endpoint: "localhost:9092".into(), cause: "connection refused".into() },
        broker::Error::Unfit { name: "Kafka 2.4".into(), reason: "it has no transactions of groups".into() },
        broker::Error::Denied { operation: "Write", resource: "Topic orders".into() },
        broker::Error::NoSuchTopic { topic: "orders".into() },
        broker::Error::OffsetGone { partition: partition.clone(), wanted: 4, earliest: 9 },
        broker::Error::Shrunk { partition: partition.clone(), expected: 9, end: 4 },
        broker::Error::Corrupt { partition, cause: "checksum".into() },
        broker::Error::Unstable { group: "shop".into() },
        broker::Error::Fenced { name: "shop.a.0".into() },
        broker::Error::Config { key: "client.dns".into(), reason: "no such property".into() },
        broker::Error::Refused { action: "create `orders`".into(), cause: "too few brokers".into() },
    ];
    assert!(errors.iter().all(|error| broker::Error::NAMES.contains(&error.name())));
    let texts: Vec<String> = errors.into_iter().map(of_broker).collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    error: the broker at localhost:9092 is away
      caused by: connection refused

    hint: is Kafka running at localhost:9092, and does it advertise an address that can be reached from here? kafka-broker-api-versions.sh --bootstrap-server localhost:9092 asks it; without a Kafka, take --embedded FILE in place of --brokers

    error: Kafka 2.4 cannot be used: it has no transactions of groups

    hint: fnhost needs a broker with transactions: Apache Kafka 3.9 or later

    error: the broker denies Write on Topic orders

    hint: allow the host's user Write on Topic orders with kafka-acls.sh --bootstrap-server localhost:9092 --add; all that the host itself owns begins with `shop`, so a prefixed ACL covers it

    error: topic `orders` does not exist

    hint: fnhost topics apply functions/shop --brokers localhost:9092

    error: orders[3] begins at offset 9, but 4 is next: what lay between was deleted unread

    hint: raise `retention` of the topic in functions/shop, or stop its readers for less long; to go on from what is left: kafka-consumer-groups.sh --bootstrap-server localhost:9092 --group shop --topic orders:3 --reset-offsets --to-earliest --execute

    error: orders[3] ends at offset 4, but 9 was there before: the log was cut or made anew

    hint: was topic orders deleted and made again? positions and state belong to the old one: give the app another name, or delete its group and changelogs too

    error: orders[3] cannot be read
      caused by: checksum

    hint: look at it with kafka-dump-log.sh on the broker that leads orders[3]; another replica may be whole

    error: a transaction that Kafka does not end holds positions of group `shop`

    hint: kafka-transactions.sh --bootstrap-server localhost:9092 find-hanging --broker-id N --max-transaction-timeout 1 shows where it is open; in each of these partitions, __consumer_offsets last: kafka-transactions.sh --bootstrap-server localhost:9092 abort --topic T --partition P --start-offset START

    error: another process runs as `shop.a.0`

    hint: stop the other process that runs as shop.a.0, or give this one a name of its own with --instance

    error: client property `client.dns`: no such property

    hint: correct `client.dns`, given by --kafka or --kafka-file; librdkafka's CONFIGURATION.md lists all keys

    error: the broker refuses to create `orders`
      caused by: too few brokers

    hint: change the topic in functions/shop to what the broker takes, then run it again: nothing is done twice
    "#);
}
