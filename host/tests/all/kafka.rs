//! The Kafka of the tests.
//!
//! [`kafka`] gives every test of the process one Apache Kafka: the one that `FNHOST_TEST_BROKERS` names, or one that is
//! started here from the jars on Maven Central and ends with the process, however that ends. A test that must take its
//! broker away gets an [`OwnBroker`]. [`Kafka`] carries what tests do to a broker behind the product's back: topics,
//! raw reads and writes, transactions left open, and Kafka's own command line tools.
//!
//! | variable | meaning |
//! |---|---|
//! | `FNHOST_TEST_BROKERS` | brokers to use, `host:port,…`; nothing is started |
//! | `FNHOST_TEST_KAFKA_VERSION` | version to start; 3.0.2 or later, by default [`install::VERSION`] |
//! | `CI` | `true`: no Kafka is a failure |
//!
//! Without Kafka, and outside CI, [`kafka`] says so on stderr and gives `None`; the caller returns.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

mod install;
mod itself;
mod records;
mod server;
mod tools;

pub(crate) use install::{Jars, VERSION};
pub(crate) use records::{Isolation, Open, count_by_value};
pub(crate) use server::OwnBroker;

/// How long anything here waits before it fails, saying what for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A Kafka that can be reached, and what tests do to it from outside.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    /// `host:port`, several with commas.
    pub(crate) brokers: String,
}

/// The Kafka that the tests of this process share, or `None`, said loudly, when there is none.
///
/// # Panics
/// With `CI=true` when there is none; always when there are jars and they do not start.
pub(crate) fn kafka() -> Option<&'static Kafka> {
    static SHARED: OnceLock<Option<(Kafka, Option<OwnBroker>)>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        if let Some(brokers) = variable("FNHOST_TEST_BROKERS") {
            say(&format!("using {brokers}, from FNHOST_TEST_BROKERS"));
            return Some((Kafka { brokers }, None));
        }
        OwnBroker::start(&[]).map(|own| (own.kafka().clone(), Some(own)))
    });
    shared.as_ref().map(|(kafka, _)| kafka)
}

/// Says that tests were left out, or fails where that must not be.
///
/// # Panics
/// With `CI=true`.
pub(crate) fn without_kafka(reason: &str) {
    static SAID: OnceLock<()> = OnceLock::new();
    let in_ci = variable("CI").is_some_and(|ci| ci == "true");
    assert!(!in_ci, "no Kafka for the tests: {reason}");
    SAID.get_or_init(|| {
        say("=======================================================================");
        say("THE TESTS THAT NEED A KAFKA ARE NOT RUN, AND COUNT AS PASSED:");
        say(reason);
        say("Install Java 17 and Maven, or set FNHOST_TEST_BROKERS=127.0.0.1:9092.");
        say("=======================================================================");
    });
}

/// Tells the person who waits. Past the test harness, which holds back what `eprintln!` says in tests that pass.
pub(crate) fn say(line: &str) {
    // Who cannot hear it loses nothing but comfort.
    writeln!(std::io::stderr(), "kafka: {line}").ok();
}

/// A name that no other test has, in this process or another.
pub(crate) fn unique(stem: &str) -> String {
    format!("{stem}-{}", uuid::Uuid::new_v4().simple())
}

/// Asks until there is an answer. What it asks must wait by itself, for there is no sleep here.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was awaited.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
    }
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What an environment variable holds, unless it is empty.
#[expect(clippy::disallowed_methods, reason = "the tests are configured here, the product in config")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
