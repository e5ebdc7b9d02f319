//! TLS for checks over https: against the machine's own authorities, or, where the manifest says
//! so, against none.

use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Configurations are made once: reading the machine's authorities takes a while.
static VERIFYING: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(verifying);
static TRUSTING: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(trusting);

/// Speaks TLS over the connection. The certificate must be for `name`, or for the address where no
/// name is given.
///
/// # Errors
/// What was seen instead, in words.
pub(super) async fn wrap(
    stream: TcpStream,
    address: Ipv4Addr,
    name: Option<&str>,
    skip_verify: bool,
) -> Result<TlsStream<TcpStream>, String> {
    let config = if skip_verify { &*TRUSTING } else { &*VERIFYING };
    let name = match name {
        Some(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| format!("tls_server_name {name:?} is not a name"))?,
        None => ServerName::from(std::net::IpAddr::V4(address)),
    };
    let connector = TlsConnector::from(config.clone()?);
    connector.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))
}

/// What speaks TLS with whoever one of the machine's own authorities vouches for.
///
/// # Errors
/// Why there is none, in words.
pub fn verifying_connector() -> Result<TlsConnector, String> {
    Ok(TlsConnector::from((*VERIFYING).clone()?))
}

fn verifying() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    // One that cannot be read is as one that is not there: what it signed does not verify.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = builder()?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

fn trusting() -> Result<Arc<ClientConfig>, String> {
    let any = Arc::new(AnyCertificate(ring::default_provider()));
    let config = builder()?.dangerous().with_custom_certificate_verifier(any);
    Ok(Arc::new(config.with_no_client_auth()))
}

fn builder() -> Result<
    tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::WantsVerifier>,
    String,
> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))
}

/// Takes any certificate; that whoever shows it has its key is still seen.
#[derive(Debug)]
struct AnyCertificate(CryptoProvider);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
