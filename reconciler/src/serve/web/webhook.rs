//! Whether a webhook comes from the forge: GitHub and Gitea sign the body (HMAC-SHA256), GitLab
//! shows the secret itself. Compared in constant time; what was seen before is not acted on again.

use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use sha2::Sha256;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Deliveries that are remembered; older ones can at worst lead to one look too many.
const REMEMBERED: usize = 4096;

/// What to do about a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look.
    Fetch,
    /// Nothing: it came before.
    Seen,
    /// Nothing: there is no secret.
    Off,
    /// Nothing: no header of a forge is there.
    Unsigned,
    /// Nothing: somebody else sent it.
    Wrong,
}

/// Judges webhooks.
pub(super) struct Webhooks {
    secret: Option<String>,
    seen: Mutex<Seen>,
}

/// Deliveries, also in the order in which they came.
#[derive(Default)]
struct Seen {
    all: BTreeSet<Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

impl Webhooks {
    pub(super) fn new(secret: Option<String>) -> Self {
        Self { secret, seen: Mutex::default() }
    }

    /// Judges one by its headers and its body.
    pub(super) fn judge(&self, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let Some(secret) = &self.secret else { return Verdict::Off };
        let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
        let github = header("x-hub-signature-256").map(|value| value.strip_prefix(b"sha256="));
        let signed = github.or_else(|| header("x-gitea-signature").map(Some));
        let signed = signed.or_else(|| header("x-forgejo-signature").map(Some));
        let delivery = match (signed, header("x-gitlab-token")) {
            (Some(digits), _) => {
                let Some(signature) = digits.and_then(unhex) else { return Verdict::Wrong };
                if mac(secret.as_bytes(), body).verify_slice(&signature).is_err() {
                    return Verdict::Wrong;
                }
                // The body is signed and says what was pushed: equal ones are one delivery.
                Some(signature)
            }
            (None, Some(token)) => {
                if !is_same(token, secret.as_bytes()) {
                    return Verdict::Wrong;
                }
                let id = header("x-gitlab-webhook-uuid").zip(header("x-gitlab-event-uuid"));
                id.map(|(hook, event)| [hook, b"/", event].concat())
            }
            (None, None) => return Verdict::Unsigned,
        };
        let is_new = delivery.is_none_or(|delivery| self.is_new(delivery));
        if is_new { Verdict::Fetch } else { Verdict::Seen }
    }

    fn is_new(&self, delivery: Vec<u8>) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.all.insert(delivery.clone()) {
            return false;
        }
        seen.order.push_back(delivery);
        if seen.order.len() > REMEMBERED
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.all.remove(&oldest);
        }
        true
    }
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC has any length");
    mac.update(message);
    mac
}

/// Whether two secrets are one, in a time that says nothing about where they differ.
pub(super) fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let known = mac(secret, b"tiedown").finalize().into_bytes();
    mac(given, b"tiedown").verify_slice(&known).is_ok()
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if digits.len() != 64 {
        return None;
    }
    digits.chunks(2).map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    /// From GitHub's documentation of webhooks, for this secret and body.
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_str(value).unwrap();
            headers.insert(HeaderName::from_static(name), value);
        }
        headers
    }

    fn judge(pairs: &[(&'static str, &str)], body: &[u8]) -> Verdict {
        Webhooks::new(Some(SECRET.to_owned())).judge(&headers(pairs), body)
    }

    #[test]
    fn each_forge_shows_in_its_way_that_it_knows_the_secret() {
        let github = format!("sha256={SIGNATURE}");
        assert_eq!(judge(&[("x-hub-signature-256", &github)], BODY), Verdict::Fetch);
        assert_eq!(judge(&[("x-gitea-signature", SIGNATURE)], BODY), Verdict::Fetch);
        assert_eq!(judge(&[("x-forgejo-signature", SIGNATURE)], BODY), Verdict::Fetch);
        assert_eq!(judge(&[("x-gitlab-token", SECRET)], BODY), Verdict::Fetch);
    }

    #[test]
    fn whoever_does_not_know_it_starts_nothing() {
        let github = format!("sha256={SIGNATURE}");
        let last = format!("sha256={}8", &SIGNATURE[..63]);
        for (pairs, body, verdict) in [
            (vec![("x-hub-signature-256", github.as_str())], &b"Hello, World?"[..], Verdict::Wrong),
            (vec![("x-hub-signature-256", last.as_str())], BODY, Verdict::Wrong),
            (vec![("x-hub-signature-256", SIGNATURE)], BODY, Verdict::Wrong),
            (vec![("x-hub-signature-256", "sha256=")], BODY, Verdict::Wrong),
            (vec![("x-gitea-signature", "zz")], BODY, Verdict::Wrong),
            (vec![("x-gitlab-token", "It's a Secret to Everyone")], BODY, Verdict::Wrong),
            (vec![("x-gitlab-token", "")], BODY, Verdict::Wrong),
            // A wrong signature is not made good by a token that another forge would show.
            (vec![("x-gitea-signature", "00"), ("x-gitlab-token", SECRET)], BODY, Verdict::Wrong),
            (vec![("x-github-event", "push")], BODY, Verdict::Unsigned),
        ] {
            assert_eq!(judge(&pairs, body), verdict, "{pairs:?}");
        }
        let off = Webhooks::new(None);
        assert_eq!(off.judge(&headers(&[("x-gitlab-token", "")]), BODY), Verdict::Off);
    }

    #[test]
    fn what_came_before_is_not_acted_on_again() {
        let webhooks = Webhooks::new(Some(SECRET.to_owned()));
        let signed = headers(&[("x-gitea-signature", SIGNATURE)]);
        assert_eq!(webhooks.judge(&signed, BODY), Verdict::Fetch);
        assert_eq!(webhooks.judge(&signed, BODY), Verdict::Seen);
        let gitlab = |event| {
            let ids = [("x-gitlab-webhook-uuid", "a"), ("x-gitlab-event-uuid", event)];
            webhooks.judge(&headers(&[("x-gitlab-token", SECRET), ids[0], ids[1]]), BODY)
        };
        assert_eq!(["1", "1", "2"].map(gitlab), [Verdict::Fetch, Verdict::Seen, Verdict::Fetch]);
        for number in 0..2 * REMEMBERED {
            assert!(webhooks.is_new(number.to_le_bytes().to_vec()));
        }
        assert!(webhooks.seen.lock().unwrap().all.len() <= REMEMBERED);
    }
}
