//! A listener under test, a client that says on the wire what no library would, and a publisher that does as told.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fnhost::admin::metrics::Metrics;
use fnhost::app::schemas::Schemas;
use fnhost::app::{App, Route, TopicSpec};
use fnhost::broker::{Promise, PublishError, Publisher, Stored};
use fnhost::event::Record;
use fnhost::ingress::{Drained, Error, Ingress, Options, serve};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a publish comes to.
pub(crate) enum Fate {
    Stored,
    TooLarge,
    Refused,
    Away,
    Unknown,
    Panics,
    /// Stored once the semaphore has a permit.
    Held(Arc<Semaphore>),
}

/// Stores in memory, at partition 3 and rising offsets, unless told otherwise.
pub(crate) struct FakePublisher {
    reachable: AtomicBool,
    /// What becomes of the next records; afterwards they are stored.
    fates: Mutex<VecDeque<Fate>>,
    stored: Arc<Mutex<Vec<Record>>>,
    /// Told of every record as it arrives.
    arrived: mpsc::Sender<()>,
}

impl Publisher for FakePublisher {
    fn publish(&self, record: Record) -> Promise<Result<Stored, PublishError>> {
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Stored);
        let stored = Arc::clone(&self.stored);
        self.arrived.send(()).unwrap();
        Box::pin(async move {
            let cause = "told to".into();
            match fate {
                Fate::Stored => {}
                Fate::Held(held) => held.acquire().await.unwrap().forget(),
                Fate::TooLarge => return Err(PublishError::Refused { too_large: true, cause }),
                Fate::Refused => {
                    return Err(PublishError::Refused { too_large: false, cause });
                }
                Fate::Away => return Err(PublishError::Away { cause }),
                Fate::Panics => panic!("told to"),
                Fate::Unknown => return Err(PublishError::Unknown { cause }),
            }
            let mut stored = stored.lock().unwrap();
            stored.push(record);
            Ok(Stored { partition: 3, offset: i64::try_from(stored.len()).unwrap() - 1 })
        })
    }

    fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }
}

impl FakePublisher {
    /// A publisher, and what is told of every record as it arrives.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<()>) {
        let (arrived, arrivals) = mpsc::channel();
        let reachable = AtomicBool::new(true);
        (Arc::new(Self { reachable, fates: Mutex::default(), stored: Arc::default(), arrived }), arrivals)
    }

    /// What becomes of the next record.
    pub(crate) fn next(&self, fate: Fate) {
        self.fates.lock().unwrap().push_back(fate);
    }

    /// Every record stored, in order.
    pub(crate) fn stored(&self) -> Vec<Record> {
        self.stored.lock().unwrap().clone()
    }
}

/// The app's routes, in front of a publisher that nobody looks at.
pub(crate) fn ingress(app: &App, options: Options) -> Result<Ingress, Error> {
    ready(app, options, FakePublisher::new().0, Metrics::new("0.1.0").unwrap())
}

fn ready(app: &App, options: Options, publisher: Arc<FakePublisher>, metrics: Arc<Metrics>) -> Result<Ingress, Error> {
    let schemas = Schemas::load(&root().join("schemas")).unwrap();
    let clock = Arc::new(|| UNIX_EPOCH + Duration::from_millis(1_795_243_381_003));
    Ingress::new(app, &schemas, publisher, metrics, None, options, clock)
}

/// A listener on a runtime of its own.
pub(crate) struct Listening {
    runtime: Runtime,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    drained: JoinHandle<Drained>,
}

impl Listening {
    /// Starts `serve` on a free port.
    pub(crate) fn start<F>(serve: impl FnOnce(TcpListener, oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = Drained> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let drained = runtime.spawn(serve(listener, stopped));
        Self { runtime, address, stop, drained }
    }

    /// Begins to drain.
    pub(crate) fn stop(self) -> Draining {
        self.stop.send(()).unwrap();
        Draining { runtime: self.runtime, drained: self.drained }
    }

    pub(crate) fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, read: Vec::new() }
    }
}

/// A listener that takes no more connections.
pub(crate) struct Draining {
    runtime: Runtime,
    drained: JoinHandle<Drained>,
}

impl Draining {
    /// What was cut off in the end.
    pub(crate) fn drained(self) -> Drained {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.drained).await }).unwrap().unwrap()
    }
}

/// An ingress for the orders of `schemas/`.
pub(crate) struct Door {
    pub(crate) listening: Listening,
    pub(crate) metrics: Arc<Metrics>,
    publisher: Arc<FakePublisher>,
    arrivals: mpsc::Receiver<()>,
}

/// The largest body that [`Door`] takes.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

pub(crate) fn app() -> App {
    let topic = TopicSpec {
        partitions: 6,
        replication: None,
        retention: Duration::from_secs(3 * 24 * 3600),
        message_bytes_max: 1_048_588,
        schema: Some("order-received".to_owned()),
        validate: true,
    };
    let route = Route {
        method: "POST".to_owned(),
        path: "/orders".to_owned(),
        body: "order".to_owned(),
        topic: "order-received".into(),
        event_type: "ppe4peeps.order-received".to_owned(),
        member: "order".to_owned(),
        id: "/id".to_owned(),
        body_bytes_max: BODY_BYTES_MAX,
    };
    App {
        name: "fulfilment".to_owned(),
        root: root().to_owned(),
        topics: BTreeMap::from([("order-received".into(), topic)]),
        routes: vec![route],
        schedules: Vec::new(),
        functions: vec![],
        workers: BTreeMap::new(),
    }
}

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

impl Door {
    pub(crate) fn open() -> Self {
        Self::with(Options::default(), PATIENCE)
    }

    pub(crate) fn with(options: Options, drain_within: Duration) -> Self {
        let metrics = Metrics::new("0.1.0").unwrap();
        let (publisher, arrivals) = FakePublisher::new();
        let ingress = ready(&app(), options, Arc::clone(&publisher), Arc::clone(&metrics)).unwrap();
        let listening = Listening::start(|listener, stop| async move {
            let stop = async { drop(stop.await) };
            serve(listener, ingress, stop, drain_within).await
        });
        Self { listening, metrics, publisher, arrivals }
    }

    /// What becomes of the next record.
    pub(crate) fn next(&self, fate: Fate) {
        self.publisher.next(fate);
    }

    pub(crate) fn set_reachable(&self, reachable: bool) {
        self.publisher.reachable.store(reachable, Ordering::Relaxed);
    }

    /// Every record stored, in order.
    pub(crate) fn stored(&self) -> Vec<Record> {
        self.publisher.stored()
    }

    /// Waits until one more record has reached the publisher.
    pub(crate) fn arrival(&self) {
        self.arrivals.recv_timeout(PATIENCE).unwrap();
    }

    /// Sends one order on a connection of its own.
    pub(crate) fn post(&self, body: &str, headers: &str) -> Answer {
        let mut client = self.listening.client();
        client.send(request("POST", "/orders", headers, body));
        client.answer().unwrap()
    }

    /// Waits until the metrics say that requests with this status were answered `times`.
    pub(crate) fn counted(&self, route: &str, status: u16, times: usize) {
        let series = format!(r#"fnhost_ingress_requests_total{{route="{route}",status="{status}"}} {times}"#);
        eventually(&series, || self.metrics.render().lines().any(|line| line == series));
    }
}

/// Waits until `what` holds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A request whose body is JSON unless `headers` say otherwise.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let kind = if headers.contains("content-type") { "" } else { "content-type: application/json\r\n" };
    let length = if headers.contains("transfer-encoding") { String::new() } else { length(body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{kind}{length}{headers}\r\n{body}")
}

fn length(bytes: usize) -> String {
    format!("content-length: {bytes}\r\n")
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    /// What the server does not take is not the test's business.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()));
    }

    /// The next answer, or `None` when the connection was closed.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let head_bytes = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8(self.read.drain(..head_bytes).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.more()?;
        }
        let body = self.read.drain(..length).collect();
        Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
    }

    /// Whether the server has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.more().is_none()
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(bytes) => {
                self.read.extend_from_slice(&buffer[..bytes]);
                Some(())
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::ConnectionReset) => None,
            Err(error) => panic!("the server neither answered nor closed: {error}"),
        }
    }
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The problem that it tells, with the status it was sent with.
    pub(crate) fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        problem
    }
}
