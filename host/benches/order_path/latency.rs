//! Orders posted at a steady rate, timed from when each was due to when its customer was told that it is shipped.
//!
//! Nothing waits for an answer before the next order is due: an order that could only be sent late counts from when it
//! was due, so a host that stalls cannot hide it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message as _;

use crate::app::Stage;
use crate::asked::Asked;
use crate::host::{Host, listening};
use crate::kafka::{Kafka, unique};
use crate::measure::{Moment, quantile};
use crate::orders::{id, order};
use crate::readers::reader;

/// What does not count: connections, caches and the broker's compiler.
const WARM_UP: Duration = Duration::from_secs(10);
/// How many requests may be open before one is sent late.
const CLIENTS: usize = 32;
/// How long the last orders may take.
const LAST: Duration = Duration::from_secs(15);

/// Posts, and tells quantiles.
pub(crate) fn latency(stage: &Stage, asked: &Asked) {
    println!("\n## Latency: {} orders/s for {} s\n", asked.rate, asked.seconds);
    let name = unique("bench");
    let (app, _) = stage.app(&name);
    stage.lay_out(&app);
    let cache = tempfile::tempdir().unwrap();
    let host = Host::start(stage, &name, cache.path());
    let http = host.http();
    listening(&http);

    let seen = Seen::begin(stage.kafka());
    let total = asked.rate * (asked.seconds + WARM_UP.as_secs() as usize);
    let gap = Duration::from_secs(1) / u32::try_from(asked.rate).unwrap();
    let begin = Instant::now() + Duration::from_millis(200);
    let due = |number: usize| begin + gap * u32::try_from(number).unwrap();
    let (pid, java) = (host.pid(), stage.broker());
    let (taken, span) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let http = &http;
                    move || post(http, client, total, due)
                })
            })
            .collect();
        sleep_until(begin + WARM_UP);
        let warm = Moment::now(&pid, java.as_ref());
        let taken: Vec<(usize, Instant)> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (taken, warm.until(&Moment::now(&pid, java.as_ref())))
    });
    let seen = seen.end(total - total.div_ceil(1000));
    let (resident, most) = (pid.mebibytes("VmRSS"), pid.mebibytes("VmHWM"));
    host.terminate();
    stage.clear_state(&app);

    let counts = |number: usize| due(number) >= begin + WARM_UP;
    let shipped = (0..total).filter(|n| counts(*n) && !n.is_multiple_of(1000));
    let mut shipped: Vec<f64> = shipped.map(|n| millis(seen[&id("posted", n)] - due(n))).collect();
    let answered = taken.iter().filter(|(n, _)| counts(*n));
    let mut answered: Vec<f64> = answered.map(|(n, at)| millis(*at - due(*n))).collect();
    println!("| from when it was due, in ms | p50 | p90 | p99 | p99.9 | most | orders |");
    println!("|---|---|---|---|---|---|---|");
    row("answered 202", &mut answered);
    row("`shipped` read committed", &mut shipped);
    let cores = |cpu: Duration| cpu.as_secs_f64() / span.took.as_secs_f64();
    println!(
        "\nCPU, cores: host {:.2}, broker {}. Memory of the host, MiB: {resident:.1}, at most {most:.1}",
        cores(span.host),
        span.broker.map_or_else(|| "-".to_owned(), |cpu| format!("{:.2}", cores(cpu))),
    );
}

/// Posts every order that is this client's when it is due, and tells when it was answered.
fn post(http: &str, client: usize, total: usize, due: impl Fn(usize) -> Instant) -> Vec<(usize, Instant)> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(LAST)).build().into();
    let url = format!("http://{http}/orders");
    let mut taken = Vec::new();
    for number in (client..total).step_by(CLIENTS) {
        let body = order(&id("posted", number), number);
        sleep_until(due(number));
        let mut answer = agent.post(&url).header("content-type", "application/json").send(body.as_bytes()).unwrap();
        assert_eq!(answer.status(), 202);
        // Read to its end, or the connection cannot be used again.
        answer.body_mut().read_to_vec().unwrap();
        taken.push((number, Instant::now()));
    }
    taken
}

/// When each order was seen to be shipped.
struct Seen {
    reader: std::thread::JoinHandle<HashMap<String, Instant>>,
    wanted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Seen {
    /// Begins to read the notifications that are committed from now on.
    fn begin(kafka: &Kafka) -> Self {
        let consumer = reader(kafka, "notification");
        let stop = Arc::new(AtomicBool::new(false));
        let wanted = Arc::new(AtomicUsize::new(usize::MAX));
        let reader = std::thread::spawn({
            let (stop, wanted) = (Arc::clone(&stop), Arc::clone(&wanted));
            move || read(&consumer, &stop, &wanted)
        });
        Self { reader, wanted, stop }
    }

    /// Waits until so many orders were seen.
    fn end(self, orders: usize) -> HashMap<String, Instant> {
        self.wanted.store(orders, Ordering::Relaxed);
        let deadline = Instant::now() + LAST;
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.reader.join().unwrap();
        assert_eq!(seen.len(), orders, "not all orders were shipped");
        seen
    }
}

fn read(consumer: &BaseConsumer, stop: &AtomicBool, wanted: &AtomicUsize) -> HashMap<String, Instant> {
    let mut seen = HashMap::new();
    while !stop.load(Ordering::Relaxed) && seen.len() < wanted.load(Ordering::Relaxed) {
        let Some(message) = consumer.poll(Duration::from_millis(50)) else { continue };
        let (message, now) = (message.unwrap(), Instant::now());
        let value = message.payload().unwrap();
        if value.windows(17).any(|part| part == br#""stage":"shipped""#) {
            let order = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
            assert!(seen.insert(order, now).is_none(), "an order was shipped twice");
        }
    }
    seen
}

fn row(what: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| quantile(values, share);
    println!(
        "| {what} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        values.len(),
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn sleep_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}
