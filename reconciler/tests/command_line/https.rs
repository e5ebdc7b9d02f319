//! Servers and forges are asked over TLS, and only those that an authority of this machine vouches
//! for.

use super::repo::{Repo, Said};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

#[test]
fn a_server_is_asked_over_tls_if_it_can_be_trusted() {
    let repo = Repo::new();
    let observed = repo.run(&["observe"]).out;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let authority = repo.dir().join("../authority.pem");
    let encoded = data_encoding::BASE64.encode(made.cert.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
    fs::write(&authority, pem).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the test process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream =
                StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut asked = [0; 4096];
            // Whoever does not trust it says nothing.
            let Ok(read) = stream.read(&mut asked) else { continue };
            let has_token = String::from_utf8_lossy(&asked[..read]).contains("Bearer t0ken");
            let status = if has_token { "200 OK" } else { "401 Unauthorized" };
            let length = observed.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(observed.as_bytes()).unwrap();
            stream.flush().unwrap();
        }
    });
    let plan = |server: &str, authority: &str| {
        let url = format!("https://{server}:{port}");
        let mut command = repo.command(&["plan", "--server", &url]);
        command.env("TIEDOWN_API_TOKEN", "t0ken").env("SSL_CERT_FILE", authority);
        Said::of(&command.output().unwrap())
    };
    let authority = authority.to_str().unwrap();
    let said = plan("localhost", authority);
    assert!(said.code == 0 && said.out.contains("Plan: 1 to add"), "{said}");
    // Another name than it is for, and an authority that nobody knows.
    for said in [plan("127.0.0.1", authority), plan("localhost", "/dev/null")] {
        assert!(said.code == 1 && said.err.contains("does not answer: "), "{said}");
        assert!(said.err.contains("certificate"), "{said}");
    }
}
