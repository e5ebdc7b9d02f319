//! One request over HTTP or HTTPS, and one answer, with a deadline and a limit on its size.
//! Redirections are not followed: what is sent, a token above all, is for whom it was meant.

use executor::host::verifying_connector;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap};
use hyper::{Method, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// How long an answer may take in all.
const PATIENCE: Duration = Duration::from_secs(60);
/// The largest answer that is read: what hosts of a large fleet say has some tens of megabytes.
const BODY_BYTES: usize = 512 * 1024 * 1024;
/// How much of an answer is told where it is told as an error.
const TOLD: usize = 300;

/// What is asked. It has secrets, and so cannot be printed.
#[derive(Clone)]
pub struct Request {
    /// GET, POST, ….
    pub method: Method,
    /// Where, with scheme and host.
    pub url: String,
    /// Names and values, beside those that every request has.
    pub headers: Vec<(String, String)>,
    /// What is sent; a JSON text.
    pub body: Option<String>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// How.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as text; what is not UTF-8 replaced.
    pub body: String,
}

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It is no address.
    #[error("{0:?} is no address such as https://git.example.com")]
    NoAddress(String),
    /// A token would be read by whoever is on the way.
    #[error("{0} is asked without TLS, and a token would go there in clear")]
    InClear(String),
    /// There is nobody, or not in time.
    #[error("{host} does not answer")]
    Away {
        /// Who.
        host: String,
        /// What came instead.
        source: io::Error,
    },
    /// What came is no HTTP, or too much of it.
    #[error("{host} gives no answer that can be read")]
    Broken {
        /// Who.
        host: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was answered, and not with success.
    #[error("{host} answers {status} to {what}{}", if told.is_empty() { String::new() } else { format!(": {told}") })]
    Status {
        /// Who.
        host: String,
        /// How.
        status: StatusCode,
        /// What was asked: method and path.
        what: String,
        /// The beginning of what it said.
        told: String,
    },
}

impl Request {
    /// A question without a body.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: Vec::new(), body: None }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Asks; only an answer of success is one.
    ///
    /// # Errors
    /// [`HttpError`]. Nothing that was sent as a header or a body is in it.
    pub async fn send(&self) -> Result<Answer, HttpError> {
        let uri: Uri = self.url.parse().map_err(|_| self.no_address())?;
        let host = uri.host().ok_or_else(|| self.no_address())?.to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(self.no_address()),
        };
        let shows_token = |(name, _): &(String, String)| {
            name.eq_ignore_ascii_case(AUTHORIZATION.as_str()) || name.contains("token")
        };
        if !tls && !is_here(&host) && self.headers.iter().any(shows_token) {
            return Err(HttpError::InClear(host));
        }
        let late = || HttpError::Away {
            host: host.clone(),
            source: io::Error::new(io::ErrorKind::TimedOut, "it takes too long"),
        };
        let answer = tokio::time::timeout(PATIENCE, self.exchange(&uri, &host, tls)).await;
        let answer = answer.map_err(|_| late())??;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let told = answer.body.split_whitespace().collect::<Vec<_>>().join(" ");
        Err(HttpError::Status {
            what: format!("{} {}", self.method, uri.path()),
            status: answer.status,
            told: told.chars().take(TOLD).collect(),
            host,
        })
    }

    fn no_address(&self) -> HttpError {
        // Whoever wrote a password into it does not want to read it in a log.
        let shown = self.url.rsplit('@').next().unwrap_or_default();
        HttpError::NoAddress(shown.chars().take(80).collect())
    }

    async fn exchange(&self, uri: &Uri, host: &str, tls: bool) -> Result<Answer, HttpError> {
        let away = |source| HttpError::Away { host: host.to_owned(), source };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let stream = TcpStream::connect((bare, port)).await.map_err(away)?;
        if !tls {
            return self.over(stream, uri, host).await;
        }
        let connector = verifying_connector().map_err(|why| away(io::Error::other(why)))?;
        let name = ServerName::try_from(bare.to_owned());
        let name = name.map_err(|error| away(io::Error::other(error)))?;
        let stream = connector.connect(name, stream).await.map_err(away)?;
        self.over(stream, uri, host).await
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        uri: &Uri,
        host: &str,
    ) -> Result<Answer, HttpError> {
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| HttpError::Broken {
            host: host.to_owned(),
            source,
        };
        let authority = uri.authority().map_or(host, |all| {
            all.as_str().rsplit_once('@').map_or(all.as_str(), |(_, place)| place)
        });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = hyper::Request::builder()
            .method(&self.method)
            .uri(path)
            .header(HOST, authority)
            .header("user-agent", concat!("tiedown/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if self.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::from(self.body.clone().unwrap_or_default()));
        let request = request.body(body).map_err(|error| broken(error.into()))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(error.into()))?;
        // The connection must be driven for the request to move.
        let driver = tokio::spawn(connection);
        let answered = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, BODY_BYTES).collect().await?.to_bytes();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((head, body))
        };
        let answered = answered.await;
        driver.abort();
        let (head, body) = answered.map_err(broken)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// Whether it is this machine, whose wires nobody else reads.
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|at| at.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_answer_is_read_and_a_redirection_is_not_followed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/a/b?c=d", listener.local_addr().unwrap());
        let answers = tokio::spawn(async move {
            let mut seen = Vec::new();
            for answer in [
                "HTTP/1.1 200 OK\r\nX-More: yes\r\nContent-Length: 2\r\n\r\nok",
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nno\n such one",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                seen.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            seen
        });
        let ask = Request::get(url).header("authorization", "Bearer t0ken");
        let answer = ask.send().await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ok"));
        assert_eq!(answer.headers["x-more"], "yes");
        let told = ask.send().await.unwrap_err().to_string();
        assert_eq!(told, "127.0.0.1 answers 302 Found to GET /a/b");
        let told = ask.send().await.unwrap_err().to_string();
        assert_eq!(told, "127.0.0.1 answers 404 Not Found to GET /a/b: no such one");
        let seen = answers.await.unwrap();
        assert!(seen[0].starts_with("GET /a/b?c=d HTTP/1.1\r\nhost: 127.0.0.1:"), "{}", seen[0]);
        assert!(matches!(ask.send().await, Err(HttpError::Away { .. })));
    }

    #[tokio::test]
    async fn a_token_does_not_go_over_the_network_in_clear() {
        let ask = |url: &str| Request::get(url).header("private-token", "t0ken");
        let told = ask("http://192.0.2.1/").send().await.unwrap_err();
        assert!(matches!(&told, HttpError::InClear(host) if host == "192.0.2.1"), "{told}");
        for url in ["", "git.example.com", "ftp://git.example.com/", "https://a b/"] {
            assert!(matches!(ask(url).send().await, Err(HttpError::NoAddress(_))), "{url}");
        }
        let told = ask("nowhere://me:secret@git.example.com").send().await.unwrap_err();
        assert!(!told.to_string().contains("secret"), "{told}");
    }
}
