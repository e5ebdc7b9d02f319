//! Asks a check of an address once: a connection, or one request over HTTP or HTTPS. A redirect
//! is an answer like any other, and no success.

#[cfg(test)]
mod tests;
mod tls;

pub use tls::verifying_connector;

use crate::host::Answer;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use planner::model::health::{Check, Probe};
use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Asks once, and waits no longer than the check's timeout.
pub(super) async fn ask(
    connecting: impl Future<Output = io::Result<TcpStream>>,
    place: SocketAddrV4,
    check: &Check,
) -> Answer {
    let limit = Duration::from_millis(check.timeout.0);
    match tokio::time::timeout(limit, answer(connecting, place, check)).await {
        Ok(Ok(())) => Answer::Passing,
        Ok(Err(seen)) => Answer::Failing { seen },
        Err(_) => Answer::Failing { seen: format!("no answer within {}", check.timeout) },
    }
}

async fn answer(
    connecting: impl Future<Output = io::Result<TcpStream>>,
    place: SocketAddrV4,
    check: &Check,
) -> Result<(), String> {
    let stream = connecting.await.map_err(|error| refusal(place, &error))?;
    let Probe::Http { method, path, protocol, headers, tls_skip_verify, tls_server_name } =
        &check.probe
    else {
        return Ok(());
    };
    let mut request = Request::builder().method(method.as_str()).uri(path.as_str());
    if !headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
        request = match tls_server_name {
            Some(name) => request.header("host", name),
            None => request.header("host", place.to_string()),
        };
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the request cannot be made: {error}"))?;
    if protocol != "https" {
        return status(stream, request).await;
    }
    let stream =
        tls::wrap(stream, *place.ip(), tls_server_name.as_deref(), *tls_skip_verify).await?;
    status(stream, request).await
}

async fn status(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<(), String> {
    let broken = |error: hyper::Error| format!("no HTTP answer: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // The connection must be driven for the request to move; the answer alone is of interest.
    let driver = tokio::spawn(connection);
    let answered = sender.send_request(request).await;
    driver.abort();
    let status = answered.map_err(broken)?.status();
    if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
}

fn refusal(place: SocketAddrV4, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("nothing listens on {place}"),
        _ => format!("{place}: {error}"),
    }
}
