//! One worker in this process, over a backlog, from its first event to its last commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fnhost::admin::metrics::Metrics;
use fnhost::admin::status::{self, Status};
use fnhost::broker::{Member, Pulse};
use fnhost::config::Otlp;
use fnhost::deploy::shadow::Shadow;
use fnhost::deploy::{Deploy, Step, Versions};
use fnhost::event::{Digest, Outcome};
use fnhost::invocation::{Call, Handler};
use fnhost::sandbox::{Options, Sandbox};
use fnhost::spans::Spans;
use fnhost::worker;
use fnhost::worker::plan::{self, BatchLimits, Plan};
use fnhost::worker::thread::{self, SystemClock};

use crate::app::Stage;
use crate::ground::{Ground, On};
use crate::kafka::unique;
use crate::measure::{Moment, Pid, Span};
use crate::native::Native;
use crate::orders::{Backlog, tells_of_shipping};
use crate::replay::Replay;
use crate::seeing;

/// What handles the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Components in the sandbox.
    Sandboxed,
    /// Native code.
    Native,
    /// Components, and nothing holds their outputs against schemas.
    SandboxedUnchecked,
    /// What they once did, and nothing holds it against schemas.
    ReplayedUnchecked,
    /// Components in the sandbox, and another one beside inventory.
    Shadowed,
    /// Components in the sandbox, with spans of what is sampled.
    Spanned,
}

/// What a run took.
pub(crate) struct Run {
    pub(crate) events: usize,
    pub(crate) span: Span,
    /// CPU time of the host's threads, from their beginning.
    pub(crate) threads: BTreeMap<String, Duration>,
    /// Wall time in handlers, and in commits.
    pub(crate) invoking: Duration,
    pub(crate) committing: Duration,
    pub(crate) transactions: usize,
    /// Of a candidate: how often it did the same, and how often it was passed over.
    pub(crate) beside: Option<(u64, u64)>,
}

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Ships a backlog.
///
/// # Panics
/// When it is not shipped exactly.
pub(crate) fn run(stage: &Stage, on: On, kind: Kind, backlog: Backlog) -> Run {
    let (mut app, schemas) = stage.app(&unique("bench"));
    if matches!(kind, Kind::SandboxedUnchecked | Kind::ReplayedUnchecked) {
        app.topics.values_mut().for_each(|topic| topic.validate = false);
    }
    let ground = Ground::lay_out(stage, on, &app);
    ground.write(backlog);

    let begun = Arc::new(OnceLock::new());
    let (host, java) = (Pid::own(), ground.pid());
    let mut versions = Versions::new();
    let mut replays = match kind {
        Kind::ReplayedUnchecked => Replay::record(&app, backlog),
        _ => BTreeMap::new(),
    };
    let sandbox = Sandbox::new(&Options::default()).unwrap();
    for function in &app.functions {
        let handler: Box<dyn Handler> = match kind {
            Kind::Sandboxed | Kind::SandboxedUnchecked | Kind::Shadowed | Kind::Spanned => {
                Box::new(sandbox.load_file(&app.component_file(function)).unwrap())
            }
            Kind::Native => Box::new(Native::of(&function.name)),
            Kind::ReplayedUnchecked => Box::new(replays.remove(&function.name).unwrap()),
        };
        let begun = Begun { handler, begun: Arc::clone(&begun), host: host.clone(), broker: java.clone() };
        versions.insert(function.name.clone(), Arc::new(begun));
    }

    let metrics = Metrics::new("bench").unwrap();
    let groups = app.groups();
    let (group, functions) = groups.first_key_value().unwrap();
    let limits = BatchLimits::default();
    let plan = Plan::new(
        &app,
        group,
        functions,
        &plan::Parts {
            secret: b"a secret of the bench",
            instance: "bench",
            schema: &|name| schemas.get(name),
            metrics: &|name| metrics.function(name),
            limits,
        },
    );
    let otlp = Otlp::resolve(Some(&seeing::collector()), None).unwrap();
    let spans =
        otlp.filter(|_| kind == Kind::Spanned).map(|otlp| Spans::start(&otlp, "bench", None, &metrics).unwrap());
    let plan = plan.recorded_by(spans.clone());
    let member = Member {
        group: group.clone(),
        name: format!("{group}.bench.0"),
        stable: false,
        topics: plan.topics(),
        poll_interval_max: Duration::from_secs(300),
        events_max: limits.events_max,
        bytes_max: limits.bytes_max,
        prefetch_bytes_max: 16 << 20,
        pulse: Pulse::default(),
    };
    let deploy = Arc::new(Deploy::new(versions));
    let candidate = (kind == Kind::Shadowed).then(|| {
        let mut wasm = std::fs::read(stage.component("inventory")).unwrap();
        wasm.extend([0, 2, 1, 1]);
        let version = deploy.active().versions["inventory"].clone();
        let shadow = Arc::new(Shadow::new(Arc::new(sandbox.load(&wasm).unwrap())).unwrap());
        deploy.advance(1, "inventory", Step { version, previous: None, shadow: Some(Arc::clone(&shadow)) });
        shadow
    });
    let parts = worker::Parts {
        broker: ground.broker(),
        plan: Arc::new(plan),
        deploy: Arc::clone(&deploy),
        clock: Arc::new(SystemClock::default()),
        metrics: Arc::clone(&metrics),
        status: Status::new(&app, status::SILENCE_MAX, status::uptime()).worker("bench", group),
        tap: None,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let worker = thread::spawn("worker".to_owned(), parts, member, Arc::clone(&stop), Duration::from_secs(20)).unwrap();

    let deadline = Instant::now() + PATIENCE;
    let wanted = backlog.events() as f64;
    while total(&metrics, "fnhost_events_total") < wanted {
        assert!(!worker.is_finished(), "the worker ended: {:?}", worker.join());
        assert!(Instant::now() < deadline, "not done after {PATIENCE:?}:\n{}", metrics.render());
        std::thread::sleep(Duration::from_millis(10));
    }
    let end = Moment::now(&host, java.as_ref());
    let threads = host.cpu_by_thread();
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap().unwrap();

    let begun: &Moment = begun.get().unwrap();
    is_shipped(&ground, backlog);
    ground.clear();
    if let Some(spans) = spans {
        spans.flush(Duration::from_secs(5));
        assert_eq!(total(&metrics, "fnhost_spans_total{result=\"dropped\"}"), 0.0);
    }
    let beside = candidate.map(|shadow| shadow.tally()).map(|tally| {
        assert_eq!(tally.differ, [0; 3], "{:?}", tally.examples);
        (tally.same, tally.passed_over)
    });
    Run {
        events: backlog.events(),
        span: begun.until(&end),
        threads,
        invoking: Duration::from_secs_f64(total(&metrics, "fnhost_invocation_seconds_sum")),
        committing: Duration::from_secs_f64(total(&metrics, "fnhost_transaction_seconds_sum")),
        transactions: total(&metrics, "fnhost_transactions_total") as usize,
        beside,
    }
}

/// Every good order was shipped, once, and the customer was told of it once.
fn is_shipped(ground: &Ground<'_>, backlog: Backlog) {
    let notified = ground.notifications();
    assert_eq!(notified.len(), 2 * backlog.good());
    let shipped = notified.iter().filter(|event| tells_of_shipping(event.value.as_deref().unwrap())).count();
    assert_eq!(shipped, backlog.good());
}

/// A metric over all of its labels.
fn total(metrics: &Metrics, name: &str) -> f64 {
    let text = metrics.render();
    let of = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(|line| of(line)).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// A handler that notes when it was first called.
struct Begun {
    handler: Box<dyn Handler>,
    begun: Arc<OnceLock<Moment>>,
    host: Pid,
    broker: Option<Pid>,
}

impl Handler for Begun {
    fn handle(&self, call: Call<'_>) -> Outcome {
        self.begun.get_or_init(|| Moment::now(&self.host, self.broker.as_ref()));
        self.handler.handle(call)
    }

    fn digest(&self) -> Digest {
        self.handler.digest()
    }

    fn state_format(&self) -> &str {
        "1"
    }
}
