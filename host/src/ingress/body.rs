//! A request's body, read up to a size and within a time.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::problem::Problem;

/// What is read of a body that nobody wants, in bytes. A client that is still sending reads the answer only when it is
/// through; were the connection closed under it, it might never see why it was refused.
const DISCARD_BYTES_MAX: usize = 4 << 20;

/// How long a body that nobody wants may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads the whole body. What is left of one that is refused stays in `body`.
pub(crate) async fn read(body: &mut Body, bytes_max: usize, within: Duration) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
            .detail(format!("this route takes bodies of up to {bytes_max} bytes"))
    };
    let announced = body.size_hint().lower();
    if announced > bytes_max as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
    let reading = async {
        while let Some(frame) = body.frame().await {
            let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "the body ended before it was complete");
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                if bytes.len() + data.len() > bytes_max {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(())
    };
    match timeout(within, reading).await {
        Ok(read) => read.map(|()| bytes),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")
            .detail(format!("it must be here within {} ms; send the request again", within.as_millis()))),
    }
}

/// Reads on while the refusal is on its way, so that the client comes to read it.
pub(crate) fn discard(mut body: Body) {
    if body.is_end_stream() {
        return;
    }
    // At most one a connection: the next request comes after the rest of this one's body.
    tokio::spawn(timeout(DISCARD_TIMEOUT, async move {
        let mut left = DISCARD_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len()));
            if left == 0 {
                break;
            }
        }
    }));
}
