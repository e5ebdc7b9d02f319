//! Asks a check of an address once: a connection, or one HTTP request.

use crate::host::Answer;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use planner::model::health::{Check, Probe};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;
use tokio::net::TcpStream;

/// Asks once, and waits no longer than the check's timeout.
pub(super) async fn ask(address: Ipv4Addr, check: &Check) -> Answer {
    let limit = Duration::from_millis(check.timeout.0);
    match tokio::time::timeout(limit, answer(address, check)).await {
        Ok(Ok(())) => Answer::Passing,
        Ok(Err(seen)) => Answer::Failing { seen },
        Err(_) => Answer::Failing { seen: format!("no answer within {}", check.timeout) },
    }
}

async fn answer(address: Ipv4Addr, check: &Check) -> Result<(), String> {
    let place = SocketAddrV4::new(address, check.port.0);
    let stream = TcpStream::connect(place).await.map_err(|error| refusal(place, &error))?;
    match &check.probe {
        Probe::Tcp => Ok(()),
        Probe::Http { protocol, .. } if protocol == "https" => {
            Err("checks over https are not built yet; use a tcp check".to_owned())
        }
        Probe::Http { method, path, headers, .. } => {
            let mut request = Request::builder().method(method.as_str()).uri(path.as_str());
            if !headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
                request = request.header("host", place.to_string());
            }
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request
                .body(Empty::<Bytes>::new())
                .map_err(|error| format!("the request cannot be made: {error}"))?;
            status(stream, request).await
        }
    }
}

async fn status(stream: TcpStream, request: Request<Empty<Bytes>>) -> Result<(), String> {
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

fn refusal(place: SocketAddrV4, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("nothing listens on {place}"),
        _ => format!("{place}: {error}"),
    }
}
