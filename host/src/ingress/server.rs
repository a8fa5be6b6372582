//! The accept loop below both listeners: connections, counted and timed, each served over HTTP/1.1 by a router.
//!
//! `axum::serve` waits for ever for the rest of a header and drains without a deadline, so the loop is our own. Bounded
//! by [`Limits`]: beyond the most connections new ones wait in the kernel's backlog; headers that come too slowly, and
//! connections that idle or grow too old, are closed. Bodies are the router's business.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// What bounds a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections are open at once; more wait to be accepted. 1,024 unless told otherwise.
    pub connections_max: usize,
    /// How long a connection is used. After it the running request is the last, so that clients come to know new
    /// hosts and one that never reads its answers does not stay. 10 minutes unless told otherwise.
    pub connection_age_max: Duration,
    /// How long a connection that is too old may take over its last request. 60 s unless told otherwise.
    pub last_request_timeout: Duration,
    /// How long a request's line and headers may take to arrive, and how long a connection may idle between requests;
    /// then it is closed. 10 s unless told otherwise.
    pub header_read_timeout: Duration,
    /// The most bytes of a request's line and headers; beyond them 431. 16 KiB unless told otherwise. At most 100
    /// headers, which is hyper's own limit.
    pub header_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connection_age_max: Duration::from_secs(10 * 60),
            last_request_timeout: Duration::from_secs(60),
            header_read_timeout: Duration::from_secs(10),
            header_bytes_max: 16 << 10,
        }
    }
}

/// What was cut off when the drain's time was over. All zero: everything ended by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were closed with a request on them.
    pub connections: usize,
    /// Requests that were still being published.
    pub requests: usize,
}

/// What hyper buffers of one connection, reading and writing, in bytes.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// How long to wait when a connection cannot be accepted, which is when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` resolves, then lets running requests end for at most `drain_within`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: impl Future<Output = ()> + Send,
    drain_within: Duration,
) -> Drained {
    let slots = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => note(ended),
            (stream, slot) = accept(&listener, &slots) => {
                let connection = Connection { router: router.clone(), limits: limits.clone(), stop: stopped.clone() };
                connections.spawn(connection.run(stream, slot));
            }
        }
    }
    drop(listener);
    drop(stop);
    let ended = timeout(drain_within, async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    });
    let cut = if ended.await.is_ok() { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { connections: cut, requests: 0 }
}

/// The next connection, as soon as there is room for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            // Nobody closes it.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// One connection, and when it ends.
struct Connection {
    router: Router,
    limits: Limits,
    /// Its sender is dropped at shutdown.
    stop: watch::Receiver<()>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, _slot: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read_timeout)
            .max_header_size(self.limits.header_bytes_max)
            .max_buf_size(BUFFER_BYTES_MAX.max(self.limits.header_bytes_max))
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router));
        let mut served = pin!(served);
        let ended = tokio::select! {
            ended = served.as_mut() => Some(ended),
            // Never `Ok`: nothing is ever sent.
            _ = self.stop.changed() => None,
            () = sleep(self.limits.connection_age_max) => None,
        };
        let ended = match ended {
            Some(ended) => Ok(ended),
            None => {
                served.as_mut().graceful_shutdown();
                timeout(self.limits.last_request_timeout, served).await
            }
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            Err(_) => tracing::debug!("a connection's last request took too long"),
        }
    }
}
