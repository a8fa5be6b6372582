//! What takes spans as a collector does: OTLP over HTTP, protobuf.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A span as it came.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) span: Span,
    /// Of the process that told it.
    pub(super) resource: Vec<KeyValue>,
    /// What library it is of.
    pub(super) scope: String,
    /// The header `x-key` that it came with.
    pub(super) key: String,
}

impl Told {
    pub(super) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub(super) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    pub(super) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// An attribute as text; empty when there is none.
    pub(super) fn said(&self, key: &str) -> String {
        text(&self.span.attributes, key)
    }
}

/// The value of a key as text.
pub(super) fn text(of: &[KeyValue], key: &str) -> String {
    match of.iter().find(|of| of.key == key).and_then(|of| of.value.clone()) {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        None => String::new(),
        other => panic!("{key} is {other:?}"),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A collector, until it is dropped.
pub(super) struct Collector {
    _runtime: Runtime,
    address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Collector {
    pub(super) fn start() -> Self {
        Self::that_refuses(0)
    }

    /// One that says of every request that so many of its spans were refused.
    pub(super) fn that_refuses(rejected_spans: i64) -> Self {
        let partial_success =
            Some(ExportTracePartialSuccess { rejected_spans, error_message: "too many for today".to_owned() });
        let answer = ExportTraceServiceResponse { partial_success }.encode_to_vec();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let takes = Arc::clone(&told);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let key = headers.get("x-key").map_or("", |key| key.to_str().unwrap());
            takes.lock().unwrap().extend(read(&body, key));
            answer
        };
        let router = Router::new().route("/v1/traces", post(take));
        runtime.spawn(async move { axum_serve(listener, router).await });
        Self { _runtime: runtime, address, told }
    }

    /// What `--otlp-endpoint` is to be.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

/// As `axum::serve` does, which is not built in.
async fn axum_serve(listener: TcpListener, router: Router) {
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn read(body: &[u8], key: &str) -> Vec<Told> {
    let mut all = Vec::new();
    for of_resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let resource = of_resource.resource.unwrap_or_default().attributes;
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap_or_default().name;
            let told = |span| Told { span, resource: resource.clone(), scope: scope.clone(), key: key.to_owned() };
            all.extend(of_scope.spans.into_iter().map(told));
        }
    }
    all
}
