//! Checks: how one knows that an instance serves.

use super::network::Port;
use super::time::Millis;
use alloc::collections::BTreeMap;
use alloc::string::String;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// One check of a manifest, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name: a key of `[checks]`, or `SECTION:PORT`.
    pub name: SmolStr,
    /// The port that is asked, on the instance's own address.
    pub port: Port,
    /// How it is asked.
    pub probe: Probe,
    /// Time from one ask to the next.
    pub interval: Millis,
    /// How long an answer may take.
    pub timeout: Millis,
    /// How long after its start an instance is not judged.
    pub grace_period: Millis,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Probe {
    /// A connection is accepted.
    Tcp,
    /// A request is answered with 2xx.
    Http {
        /// `GET` and so on.
        method: SmolStr,
        /// Path with a leading slash.
        path: SmolStr,
        /// `http` or `https`.
        protocol: SmolStr,
        /// More headers.
        headers: BTreeMap<String, String>,
        /// Whether a certificate that does not verify is accepted.
        tls_skip_verify: bool,
        /// The name that is asked for and that the certificate must have; `None`: the address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls_server_name: Option<String>,
    },
}

/// What one check said when it was asked last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The check's name.
    pub check: String,
    /// What was seen instead of a pass, such as `status 503`; `None`: it passed.
    pub instead: Option<String>,
}
