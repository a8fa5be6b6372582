use std::path::PathBuf;

use super::*;
use crate::app::{Function, Limits, Retry, Source};
use crate::broker::From;

/// A function of the app, which reads one topic.
fn function(name: &str, input: &str, group: Option<&str>) -> Arc<Function> {
    Arc::new(Function {
        name: name.to_owned(),
        source: Source::Component(PathBuf::from("f.wasm")),
        input: vec![input.into()],
        output: vec![],
        config: BTreeMap::new(),
        limits: Limits::default(),
        retry: Retry::default(),
        group: group.map(str::to_owned),
        from: From::Earliest,
    })
}

fn app() -> App {
    App {
        name: "fulfilment".to_owned(),
        root: PathBuf::new(),
        topics: BTreeMap::new(),
        routes: vec![],
        schedules: Vec::new(),
        functions: vec![
            function("inventory", "order-received", None),
            function("audit", "order-received", Some("audit")),
        ],
        workers: BTreeMap::new(),
    }
}

/// A status whose time is the number of seconds in the second value.
fn status() -> (Arc<Status>, Arc<AtomicU64>) {
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&seconds);
    let uptime: Uptime = Arc::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    (Status::new(&app(), Duration::from_secs(10), uptime), seconds)
}

fn told(reasons: Vec<Reason>) -> Vec<String> {
    let told = |r: Reason| [r.worker, r.partition, Some(r.reason)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    reasons.into_iter().map(told).collect()
}

fn running(status: &Status) -> WorkerStatus {
    status.set_broker_reachable(true);
    let worker = status.worker("w-0", "fulfilment");
    worker.set_phase(Phase::Running);
    worker
}

#[test]
fn a_host_is_live_while_every_worker_beats() {
    let (status, seconds) = status();
    let (first, second) = (status.worker("w-0", "fulfilment"), status.worker("w-1", "fulfilment"));
    seconds.store(10, Ordering::Relaxed);
    assert_eq!(status.dead(), []);
    first.beat();
    seconds.store(20, Ordering::Relaxed);
    assert_eq!(told(status.dead()), ["w-1 has been silent for 20 s"]);
    second.beat();
    assert_eq!(status.dead(), []);
}

#[test]
fn a_broker_that_is_away_makes_a_host_unready_but_not_dead() {
    let (status, _) = status();
    let worker = running(&status);
    status.set_broker_reachable(false);
    worker.set_phase(Phase::Away);
    assert_eq!(status.dead(), []);
    assert_eq!(told(status.unready()), ["the broker is away", "w-0 cannot reach the broker"]);
}

#[test]
fn a_worker_that_ended_is_dead_unless_the_host_drains() {
    let (status, seconds) = status();
    let worker = running(&status);
    worker.set_phase(Phase::Over);
    seconds.store(11, Ordering::Relaxed);
    assert_eq!(told(status.dead()), ["w-0 has been silent for 11 s"]);
    status.set_draining();
    assert_eq!(status.dead(), []);
}

#[test]
fn a_host_is_ready_once_all_its_workers_run() {
    let (status, _) = status();
    assert_eq!(told(status.unready()), ["the broker is away", "no worker has begun"]);
    status.set_broker_reachable(true);
    let workers = ["w-0", "w-1"].map(|name| status.worker(name, "fulfilment"));
    assert_eq!(
        told(status.unready()),
        ["w-0 waits for its place in the group", "w-1 waits for its place in the group"]
    );
    workers[0].set_phase(Phase::Running);
    workers[1].set_phase(Phase::Restoring);
    assert_eq!(told(status.unready()), ["w-1 restores state"]);
    workers[1].set_phase(Phase::Running);
    assert_eq!(status.unready(), []);
}

#[test]
fn a_stopped_partition_and_a_drain_make_a_host_unready() {
    let (status, _) = status();
    let worker = running(&status);
    let partition = Partition::new("order-received", 3);
    worker.set_stopped(BTreeMap::from([(partition, "its error event is refused".to_owned())]));
    assert_eq!(told(status.unready()), ["w-0 order-received[3] stopped: its error event is refused"]);
    worker.set_stopped(BTreeMap::new());
    assert_eq!(status.unready(), []);
    status.set_draining();
    assert_eq!(told(status.unready()), ["the host is draining"]);
}

#[test]
fn functions_show_the_partitions_and_lags_of_their_own_group() {
    let (status, _) = status();
    let worker = running(&status);
    let partition = |number| Partition::new("order-received", number);
    worker.set_partitions([partition(0), Partition::new("order-confirmed", 0)]);
    worker.set_stopped(BTreeMap::from([(partition(0), "why".to_owned())]));
    status.set_version("inventory", Digest::of(b"component"));
    let at = |number, position| Progress { partition: partition(number), position, start: 0, end: 10 };
    status.set_lag("fulfilment", &[at(0, Some(7)), at(1, None)]);
    status.set_lag("fulfilment.audit", &[at(0, Some(10))]);

    let [inventory, audit] = <[FunctionView; 2]>::try_from(status.functions().functions).unwrap();
    assert_eq!(inventory.version.as_deref(), Some(Digest::of(b"component").to_string().as_str()));
    assert_eq!((inventory.group.as_str(), inventory.lag), ("fulfilment", 13));
    let view = |number, owned, lag, stopped: Option<&str>| PartitionView {
        topic: "order-received".into(),
        partition: number,
        owned,
        lag: Some(lag),
        stopped: stopped.map(str::to_owned),
    };
    assert_eq!(inventory.partitions, [view(0, true, 3, Some("why")), view(1, false, 10, None)]);
    assert_eq!((audit.version, audit.lag), (None, 0));
    assert_eq!(audit.partitions, [view(0, false, 0, None)]);
}

#[test]
fn a_worker_that_is_registered_again_takes_its_own_place() {
    let (status, _) = status();
    drop(running(&status));
    running(&status);
    assert_eq!(status.unready(), []);
    assert_eq!(lock(&status.workers).len(), 1);
}
