//! Messages to people and programs elsewhere: a webhook, a chat that takes Slack's, e-mail by the
//! machine's own sendmail. Addresses of webhooks are secrets: they are in no message and no error.

use crate::http::{HttpError, Request};
use executor::command::{Command, CommandError};
use hyper::Method;
use serde_json::{Value, json};

/// The variable with the address that gets a JSON document.
pub const URL: &str = "TIEDOWN_NOTIFY_URL";
/// The variable with the address of a chat.
pub const SLACK_URL: &str = "TIEDOWN_SLACK_URL";

/// Who is told. Addresses are secrets, and so it cannot be printed.
#[derive(Clone)]
pub enum Listener {
    /// A program: the document, by POST.
    Webhook(String),
    /// A chat: the text.
    Slack(String),
    /// Somebody's mailbox.
    Mail(String),
}

/// Why somebody could not be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable has no address.
    #[error("{variable} is no address that can be used")]
    Address {
        /// Which.
        variable: &'static str,
    },
    /// There was no success.
    #[error("{host} could not be told: {why}")]
    Refused {
        /// Who.
        host: String,
        /// Why, in words.
        why: String,
    },
    /// The mail could not be handed over.
    #[error("the mail could not be handed over")]
    Mail(#[from] CommandError),
}

/// Reads an address of mail: one that is neither an option nor a second line.
///
/// # Errors
/// In words, what it is not.
pub fn mail(text: &str) -> Result<String, String> {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && c != ',';
    if text.contains('@') && !text.starts_with('-') && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("it is no address such as ops@example.com".to_owned())
}

impl Listener {
    /// Tells: the text to people, its first line as the subject, the document to programs.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub async fn tell(&self, text: &str, document: &Value) -> Result<(), NotifyError> {
        match self {
            Self::Webhook(url) => post(URL, url, document).await,
            Self::Slack(url) => post(SLACK_URL, url, &json!({ "text": text.trim_end() })).await,
            Self::Mail(to) => {
                let subject = text.lines().next().unwrap_or_default();
                let mail = format!(
                    "To: {to}\nSubject: {subject}\nAuto-Submitted: auto-generated\n\
                     MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
                     Content-Transfer-Encoding: 8bit\n\n{text}"
                );
                Command::named("sendmail")?.args(["-i", "--", to]).script(mail).output().await?;
                Ok(())
            }
        }
    }
}

async fn post(variable: &'static str, url: &str, body: &Value) -> Result<(), NotifyError> {
    let (method, url, body) = (Method::POST, url.to_owned(), Some(body.to_string()));
    let told = Request { method, url, headers: Vec::new(), body }.send().await;
    // What was asked, and what was said to that, may have the secret part of the address.
    let (host, why) = match told {
        Ok(_) => return Ok(()),
        Err(HttpError::NoAddress(_)) => return Err(NotifyError::Address { variable }),
        Err(HttpError::Status { host, status, .. }) => (host, status.to_string()),
        Err(HttpError::InClear(host)) => (host, "without TLS".to_owned()),
        Err(HttpError::Away { host, source }) => (host, source.to_string()),
        Err(HttpError::Broken { host, source }) => (host, source.to_string()),
    };
    Err(NotifyError::Refused { host, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_neither_an_option_nor_a_header() {
        assert_eq!(mail("ops@example.com").as_deref(), Ok("ops@example.com"));
        for wrong in ["ops", "-oQ/tmp@x", "a@b\nBcc: c@d", "a@b, c@d", "a b@c"] {
            assert!(mail(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_secret_part_of_an_address_is_in_no_error() {
        for url in ["http://127.0.0.1:1/services/s3cret", "s3cret", "ftp://x/s3cret"] {
            let told = Listener::Slack(url.to_owned()).tell("x", &json!({})).await.unwrap_err();
            assert!(!executor::chain(&told).contains("s3cret"), "{}", executor::chain(&told));
        }
    }
}
