//! Orders posted at a steady rate, timed from when each was due to when its customer was told that it is shipped.
//!
//! Nothing waits for an answer before the next order is due: an order that could only be sent late counts from when it
//! was due, so a host that stalls cannot hide it. How it is seen that an order is shipped is in `seen.rs`. After the run
//! all notifications are read once more: each good order must have been shipped once, the others never.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::app::Stage;
use crate::asked::Asked;
use crate::ground::{Ground, On};
use crate::host::{Host, listening};
use crate::kafka::unique;
use crate::measure::{Moment, quantile};
use crate::orders::{id, is_good, order, tells_of_shipping};
use crate::seen::{Seen, by_asking, on_kafka};

/// What does not count: connections, caches and the broker's compiler.
const WARM_UP: Duration = Duration::from_secs(10);
/// How many requests may be open before one is sent late.
const CLIENTS: usize = 32;
/// How long the last orders may take.
const LAST: Duration = Duration::from_secs(15);

/// Posts, and tells quantiles.
pub(crate) fn latency(stage: &Stage, on: On, asked: &Asked) {
    println!("\n## Latency on {on:?}: {} orders/s for {} s\n", asked.rate, asked.seconds);
    let name = unique("bench");
    let (app, _) = stage.app(&name);
    let ground = Ground::lay_out(stage, on, &app);
    let cache = tempfile::tempdir().unwrap();
    let host = Host::start(stage, &ground, &name, cache.path(), &[]);
    let http = host.http();
    listening(&http);

    let seen = Seen::begin(match on {
        On::Kafka => on_kafka(stage.kafka()),
        On::Embedded => by_asking(&host.admin()),
    });
    let total = asked.rate * (asked.seconds + WARM_UP.as_secs() as usize);
    let gap = Duration::from_secs(1) / u32::try_from(asked.rate).unwrap();
    let begin = Instant::now() + Duration::from_millis(200);
    let due = |number: usize| begin + gap * u32::try_from(number).unwrap();
    let (pid, broker) = (host.pid(), ground.pid());
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
        let warm = Moment::now(&pid, broker.as_ref());
        let taken: Vec<(usize, Instant)> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (taken, warm.until(&Moment::now(&pid, broker.as_ref())))
    });
    let sight = seen.end(total - total.div_ceil(1000), LAST);
    let (resident, most) = (pid.mebibytes("VmRSS"), pid.mebibytes("VmHWM"));
    host.terminate();
    each_is_shipped_once(&ground, total);
    ground.clear();

    let counts = |number: usize| due(number) >= begin + WARM_UP;
    let shipped = (0..total).filter(|n| counts(*n) && is_good(*n));
    let shipped = shipped.map(|n| millis(sight.shipped[&id("posted", n)] - due(n))).collect();
    let answered = taken.iter().filter(|(n, _)| counts(*n));
    let answered = answered.map(|(n, at)| millis(*at - due(*n))).collect();
    println!("| from when it was due, in ms | p50 | p90 | p99 | p99.9 | most | orders |");
    println!("|---|---|---|---|---|---|---|");
    row("answered 202", answered);
    row("`shipped`, committed", shipped);
    if on == On::Embedded {
        row("(from one look at what is shipped to the next)", sight.gaps.into_iter().map(millis).collect());
    }
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

/// What a host that has ended left behind.
fn each_is_shipped_once(ground: &Ground<'_>, total: usize) {
    let mut times: HashMap<Vec<u8>, usize> = HashMap::new();
    for event in ground.notifications() {
        if tells_of_shipping(event.value.as_deref().unwrap()) {
            *times.entry(event.key.unwrap()).or_default() += 1;
        }
    }
    let once: HashMap<Vec<u8>, usize> =
        (0..total).filter(|n| is_good(*n)).map(|n| (id("posted", n).into_bytes(), 1)).collect();
    assert!(times == once, "{} orders were shipped, {} were to be, each once", times.len(), once.len());
}

fn row(what: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| quantile(&values, share);
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
