//! The admin listener over real connections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use fnhost::admin::deployments::{Deployments, Own, Refused, Stage, Staged};
use fnhost::admin::events::Events;
use fnhost::admin::metrics::Metrics;
use fnhost::admin::status::{Phase, SILENCE_MAX, Status, uptime};
use fnhost::admin::{limits, router, serve};
use fnhost::app::{App, Function, Limits, Retry, Source};
use fnhost::broker::{From, Progress};
use fnhost::deploy::ledger::Ledger;
use fnhost::deploy::{Deploy, Versions};
use fnhost::event::{Digest, Partition};
use tokio::sync::Semaphore;

use self::logs::Logs;
use crate::ingress::wire::{self, Answer, FakePublisher, Listening, PATIENCE};

mod events;
mod logs;

/// Nothing is deployed here.
struct NoStage;

impl Stage for NoStage {
    fn stage(&self, _: &str, _: Digest, _: &[u8]) -> Result<Staged, Refused> {
        Err(Refused { reason: "nothing is deployed here".to_owned(), hint: None })
    }

    fn own_grants(&self, _: &str) -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn own(&self, _: &str) -> Option<Own> {
        None
    }
}

struct Admin {
    listening: Listening,
    status: Arc<Status>,
    logs: Arc<Logs>,
    publisher: Arc<FakePublisher>,
    /// Kept, because the publisher tells of every record.
    _arrivals: mpsc::Receiver<()>,
}

impl Admin {
    fn open() -> Self {
        let inventory = Function {
            name: "inventory".to_owned(),
            source: Source::Component(PathBuf::from("inventory.wasm")),
            input: vec!["order-received".into()],
            output: vec!["order-confirmed".into()],
            config: BTreeMap::new(),
            limits: Limits::default(),
            retry: Retry::default(),
            group: None,
            from: From::Earliest,
        };
        let app = App { functions: vec![Arc::new(inventory)], ..wire::app() };
        let status = Status::new(&app, SILENCE_MAX, uptime());
        let (logs, (publisher, arrivals)) = (Arc::new(Logs::default()), FakePublisher::new());
        let events = Events::new(&app, Arc::clone(&logs) as _, Arc::clone(&publisher) as _, Arc::clone(&status));
        let deployments = Arc::new(Deployments {
            functions: [String::from("inventory")].into(),
            ledger: Arc::new(Ledger::new(Arc::clone(&logs) as _, "fulfilment.deployments".into())),
            deploy: Arc::new(Deploy::new(Versions::new())),
            stage: Arc::new(NoStage),
            nudge: Arc::default(),
            status: Arc::clone(&status),
            slot: Semaphore::new(1),
            follows: true,
        });
        let router = router(Arc::clone(&status), Metrics::new("0.1.0").unwrap(), events, deployments, None);
        let listening = Listening::start(|listener, stop| async move {
            serve(listener, router, &limits(), async { drop(stop.await) }, PATIENCE).await
        });
        Self { listening, status, logs, publisher, _arrivals: arrivals }
    }

    fn send(&self, method: &str, path: &str) -> Answer {
        let mut client = self.listening.client();
        client.send(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
        client.answer().unwrap()
    }
}

#[test]
fn a_host_is_live_before_it_is_ready() {
    let admin = Admin::open();
    assert_eq!(admin.send("GET", "/livez").status, 200);
    let problem = admin.send("GET", "/readyz").problem();
    assert_eq!(problem["title"], "the host is not ready");
    assert_eq!(problem["reasons"][0], serde_json::json!({ "reason": "the broker is away" }));

    admin.status.set_broker_reachable(true);
    let worker = admin.status.worker("fulfilment.a.0", "fulfilment");
    let problem = admin.send("GET", "/readyz").problem();
    let reason = serde_json::json!({ "worker": "fulfilment.a.0", "reason": "waits for its place in the group" });
    assert_eq!(problem["reasons"], serde_json::json!([reason]));

    worker.set_phase(Phase::Running);
    let answer = admin.send("GET", "/readyz");
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({ "status": "ready" })));
}

#[test]
fn functions_are_shown_with_their_versions_and_lags() {
    let admin = Admin::open();
    let worker = admin.status.worker("fulfilment.a.0", "fulfilment");
    let partition = Partition::new("order-received", 3);
    worker.set_partitions([partition.clone()]);
    admin.status.set_version("inventory", Digest::of(b"component"));
    admin.status.set_lag("fulfilment", &[Progress { partition, position: Some(38), start: 0, end: 41 }]);
    let shown = serde_json::to_string_pretty(&admin.send("GET", "/functions").json()).unwrap();
    insta::assert_snapshot!(shown, @r#"
    {
      "app": "fulfilment",
      "deployments": {
        "number": 0
      },
      "functions": [
        {
          "function": "inventory",
          "group": "fulfilment",
          "input": [
            "order-received"
          ],
          "lag": 3,
          "partitions": [
            {
              "lag": 3,
              "owned": true,
              "partition": 3,
              "topic": "order-received"
            }
          ],
          "version": "sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa"
        }
      ]
    }
    "#);
}

#[test]
fn metrics_are_in_the_format_that_prometheus_reads() {
    let admin = Admin::open();
    let answer = admin.send("GET", "/metrics");
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(
        answer.body.contains(",version=\"0.1.0\",") && answer.body.contains("\nfnhost_live 1\n"),
        "{}",
        answer.body
    );
    let ready = |admin: &Admin| admin.send("GET", "/metrics").body.contains("\nfnhost_ready 1\n");
    assert!(!ready(&admin));
    admin.status.set_broker_reachable(true);
    let worker = admin.status.worker("fulfilment.a.0", "fulfilment");
    worker.set_phase(Phase::Running);
    assert!(ready(&admin));
    let partition = Partition::new("order-received", 3);
    worker.set_partitions([partition.clone(), Partition::new("order-received", 4)]);
    worker.set_stopped([(partition, "its error event was refused".to_owned())].into());
    let body = admin.send("GET", "/metrics").body;
    for (state, count) in [("owned", 2), ("stopped", 1)] {
        let line = format!("\nfnhost_partitions{{group=\"fulfilment\",state=\"{state}\"}} {count}\n");
        assert!(body.contains(&line), "{line} is not in {body}");
    }
    assert!(body.contains("\nfnhost_ready 0\n"), "{body}");
}

#[test]
fn requests_for_nothing_are_refused() {
    let admin = Admin::open();
    let answer = admin.send("GET", "/healthz");
    assert_eq!(
        answer.problem()["detail"],
        "/healthz is not one of /livez, /readyz, /metrics, /functions, /functions/NAME/versions, /functions/NAME/rollback and /events/TOPIC"
    );
    assert_eq!(answer.status, 404);
    for path in ["/livez", "/readyz", "/metrics", "/functions"] {
        let answer = admin.send("POST", path);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{path}");
        answer.problem();
    }
}

#[test]
fn events_are_told_to_nobody_who_came_by_a_name_that_others_give_out() {
    let admin = Admin::open();
    let asked = |host: &str| {
        let mut client = admin.listening.client();
        client.send(format!("GET /events/order-received HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        client.answer().unwrap().status
    };
    for host in ["evil.example", "evil.example:9090", "127.0.0.1.evil.example"] {
        assert_eq!(asked(host), 421, "{host}");
    }
    for host in ["127.0.0.1:9090", "[::1]:9090", "localhost:9090", "host"] {
        assert_ne!(asked(host), 421, "{host}");
    }
}
