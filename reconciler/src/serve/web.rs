//! What is answered over HTTP: how things are, for people, programs and monitors; and webhooks,
//! which only ever lead to a look at what is followed. Nothing that is sent here is acted on.

mod webhook;

use super::shown::Shown;
use super::trigger::{Trigger, Triggers};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use webhook::{Verdict, Webhooks, is_same};

/// The variable with the secret that forges sign webhooks with.
pub const WEBHOOK_SECRET: &str = "TIEDOWN_WEBHOOK_SECRET";
/// The variable with the token that whoever reads `/api` shows.
pub const API_TOKEN: &str = "TIEDOWN_API_TOKEN";

/// The largest body of a webhook. Of a push with many commits forges send some megabytes.
const BODY_BYTES: usize = 8 * 1024 * 1024;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at once.
const CONNECTIONS: usize = 64;

/// What answers.
pub struct Web {
    shown: Arc<Shown>,
    triggers: Arc<Triggers>,
    webhooks: Webhooks,
    api_token: Option<String>,
}

impl Web {
    /// What answers, with the secrets of the environment.
    #[must_use]
    pub fn new(
        shown: Arc<Shown>,
        triggers: Arc<Triggers>,
        webhook_secret: Option<String>,
        api_token: Option<String>,
    ) -> Self {
        Self { shown, triggers, webhooks: Webhooks::new(webhook_secret), api_token }
    }

    /// Answers until it is dropped.
    pub async fn serve(self, listener: TcpListener) {
        let web = Arc::new(self);
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let web = Arc::clone(&web);
                    tokio::spawn(async move {
                        web.connection(stream).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    // Too many open files, mostly: they are closed by and by.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(move |request| {
            let web = Arc::clone(&self);
            async move { Ok::<_, Infallible>(web.answer(request).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match (is_read, path.as_str()) {
            (true, "/healthz") => text(StatusCode::OK, "ok\n"),
            (true, "/readyz") => match self.shown.ready() {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {why}\n")),
            },
            (true, "/metrics") => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                respond(StatusCode::OK, kind, self.shown.metrics())
            }
            (true, path) if path.starts_with("/api/") => match self.may_read(&request) {
                true => self.api(path),
                false => text(StatusCode::UNAUTHORIZED, "a bearer token is needed\n"),
            },
            (false, "/webhook") if *request.method() == Method::POST => self.webhook(request).await,
            (false, _) => text(StatusCode::METHOD_NOT_ALLOWED, "this is only read\n"),
            (true, _) => text(StatusCode::NOT_FOUND, "there is no such page\n"),
        }
    }

    fn may_read(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.api_token else { return true };
        let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        given
            .and_then(|given| given.strip_prefix(b"Bearer "))
            .is_some_and(|given| is_same(given, token.as_bytes()))
    }

    fn api(&self, path: &str) -> Response<Full<Bytes>> {
        let seen = |value: Value| match value {
            Value::Null => not_yet(),
            value => json_text(StatusCode::OK, &value),
        };
        match path {
            "/api/v1/status" => seen(self.shown.status()),
            "/api/v1/plan" => seen(self.shown.plan()),
            "/api/v1/report" => seen(self.shown.report()),
            "/api/v1/observed" => match self.shown.observed() {
                Some(document) => respond(StatusCode::OK, "application/json", document),
                None => not_yet(),
            },
            "/api/v1/history" => match self.shown.history() {
                Ok(history) => json_text(StatusCode::OK, &history),
                Err(why) => json_text(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": why })),
            },
            _ => json_text(StatusCode::NOT_FOUND, &json!({ "error": "there is no such page" })),
        }
    }

    async fn webhook(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = tokio::time::timeout(PATIENCE, Limited::new(body, BODY_BYTES).collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "that is too much\n");
            }
            Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the body did not come\n"),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come\n"),
        };
        match self.webhooks.judge(&head.headers, &body) {
            Verdict::Fetch => {
                tracing::info!("a webhook: somebody pushed");
                self.triggers.fire(Trigger::Webhook);
                text(StatusCode::ACCEPTED, "it is looked at\n")
            }
            Verdict::Seen => text(StatusCode::OK, "this was seen before\n"),
            Verdict::Off => text(StatusCode::FORBIDDEN, "webhooks are off: there is no secret\n"),
            Verdict::Unsigned => text(StatusCode::UNAUTHORIZED, "it is not signed\n"),
            Verdict::Wrong => text(StatusCode::UNAUTHORIZED, "the signature is wrong\n"),
        }
    }
}

fn not_yet() -> Response<Full<Bytes>> {
    json_text(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "no pass has ended yet" }))
}

fn json_text(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", format!("{value:#}\n"))
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.to_owned())
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
