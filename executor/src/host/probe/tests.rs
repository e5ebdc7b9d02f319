//! Checks against servers on loopback, each for one connection.

use super::*;
use planner::model::network::Port;
use planner::model::time::Millis;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

async fn asked(check: &Check) -> Answer {
    let place = SocketAddrV4::new(Ipv4Addr::LOCALHOST, check.port.0);
    ask(TcpStream::connect(place), place, check).await
}

fn check(port: u16, probe: Probe) -> Check {
    Check {
        name: "alive".into(),
        port: Port(port),
        probe,
        interval: Millis(1000),
        timeout: Millis(5000),
        grace_period: Millis(0),
    }
}

fn http(protocol: &str, skip: bool, name: Option<&str>) -> Probe {
    Probe::Http {
        method: "HEAD".into(),
        path: "/up?full=1".into(),
        protocol: protocol.into(),
        headers: BTreeMap::from([("X-Check".to_owned(), "yes".to_owned())]),
        tls_skip_verify: skip,
        tls_server_name: name.map(str::to_owned),
    }
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// Reads a request and answers it; what was asked.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, status: &str) -> String {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        asked.push(byte);
    }
    let head = format!("HTTP/1.1 {status}\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.shutdown().await;
    String::from_utf8_lossy(&asked).into_owned()
}

/// Asks over plain HTTP of a server that answers with the status; the answer and what was asked.
async fn plain(status: &'static str) -> (Answer, String) {
    let (listener, port) = listener().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("somebody asks");
        answer(stream, status).await
    });
    let said = asked(&check(port, http("http", false, None))).await;
    (said, server.await.expect("the server ends"))
}

/// The same over TLS, with a certificate that nobody has signed for `shop.internal`.
async fn secure(skip: bool, name: Option<&str>) -> (Answer, Option<String>) {
    let made = rcgen::generate_simple_self_signed(["shop.internal".to_owned()]).expect("a key");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    let (listener, port) = listener().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("somebody asks");
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let name = stream.get_ref().1.server_name().unwrap_or("no name").to_owned();
        answer(stream, "204 No Content").await;
        Some(name)
    });
    let said = asked(&check(port, http("https", skip, name))).await;
    (said, server.await.expect("the server ends"))
}

fn seen(answer: Answer) -> String {
    match answer {
        Answer::Passing => "passing".to_owned(),
        Answer::Failing { seen } => seen,
    }
}

#[tokio::test]
async fn a_request_is_asked_as_written_and_a_redirect_is_no_success() {
    let (said, asked) = plain("200 OK").await;
    assert_eq!(said, Answer::Passing);
    assert!(asked.starts_with("HEAD /up?full=1 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("\r\nx-check: yes\r\n"), "{asked}");
    for status in ["302 Found", "404 Not Found", "503 Service Unavailable", "199 Odd"] {
        let (said, _) = plain(status).await;
        assert_ne!(said, Answer::Passing, "{status}");
    }
    assert_eq!(seen(plain("301 Moved").await.0), "status 301");
}

#[tokio::test]
async fn a_certificate_is_verified_unless_any_will_do() {
    let (said, _) = secure(false, Some("shop.internal")).await;
    let said = seen(said);
    assert!(said.starts_with("no TLS: ") && said.contains("certificate"), "{said}");
    let (said, name) = secure(true, Some("shop.internal")).await;
    assert_eq!((said, name.as_deref()), (Answer::Passing, Some("shop.internal")));
    // An address is no name to ask for (RFC 6066).
    let (said, name) = secure(true, None).await;
    assert_eq!((said, name.as_deref()), (Answer::Passing, Some("no name")));
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_told_apart() {
    let (listener, port) = listener().await;
    let mut silent = check(port, http("http", false, None));
    silent.timeout = Millis(50);
    assert_eq!(seen(asked(&silent).await), "no answer within 50ms");
    assert_eq!(asked(&check(port, Probe::Tcp)).await, Answer::Passing);
    drop(listener);
    let said = seen(asked(&check(port, Probe::Tcp)).await);
    assert_eq!(said, format!("nothing listens on 127.0.0.1:{port}"));
}
