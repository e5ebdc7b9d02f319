//! `[experimental]`: commands of the image, withdrawn switches, and settings that have moved.

use crate::manifest::duration::Duration;
use crate::manifest::fields::{Bare, Fields, Texts};
use crate::manifest::keys;
use crate::manifest::node::{Entry, Shape};
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::written::empty;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use serde::Serialize;

/// `[experimental]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Experimental {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Arguments, for groups without a command.
    #[serde(skip_serializing_if = "empty")]
    pub cmd: Option<At<Texts>>,
    /// Entrypoint instead of the image's.
    #[serde(skip_serializing_if = "empty")]
    pub entrypoint: Option<At<Texts>>,
    /// What runs instead of entrypoint and arguments.
    #[serde(skip_serializing_if = "empty")]
    pub exec: Option<At<Texts>>,
    /// Withdrawn.
    #[serde(skip_serializing_if = "empty")]
    pub auto_rollback: Option<At<bool>>,
    /// A Consul of Fly's.
    #[serde(skip_serializing_if = "empty")]
    pub enable_consul: Option<At<bool>>,
    /// An etcd of Fly's.
    #[serde(skip_serializing_if = "empty")]
    pub enable_etcd: Option<At<bool>>,
    /// Withdrawn.
    #[serde(skip_serializing_if = "empty")]
    pub lazy_load_images: Option<At<bool>>,
    /// Secrets of attached apps.
    pub attached: Attached,
    /// Inline JSON or a path ending in `.json`.
    #[serde(skip_serializing_if = "empty")]
    pub machine_config: Option<At<String>>,
}

/// `[experimental.attached]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Attached {
    /// `[experimental.attached.secrets]`.
    pub secrets: Secrets,
}

/// `[experimental.attached.secrets]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Secrets {
    /// Names that secrets are exported under.
    #[serde(skip_serializing_if = "empty")]
    pub export: Option<At<BTreeMap<String, At<String>>>>,
}

/// Settings found in `[experimental]` that belong elsewhere.
pub(crate) struct Moved<'a> {
    pub(crate) kill_timeout: Option<At<Duration>>,
    /// Entries of `metrics_port` and `metrics_path`.
    pub(crate) metrics_port: Option<Entry<'a>>,
    pub(crate) metrics_path: Option<Entry<'a>>,
}

pub(crate) fn read<'a>(
    problems: &mut Problems,
    root: &Fields<'a>,
) -> (Option<Experimental>, Option<Moved<'a>>) {
    let Some(entry) = root.entry("experimental") else { return (None, None) };
    let patched = root.exact("experimental").is_some();
    if patched && Fields::is_empty(entry.node) {
        return (None, None);
    }
    let Some(fields) = Fields::of(problems, entry.node, "experimental", &keys::EXPERIMENTAL) else {
        return (None, None);
    };
    let experimental = Experimental {
        span: fields.span,
        cmd: argv(problems, &fields, "cmd", patched),
        entrypoint: argv(problems, &fields, "entrypoint", patched),
        exec: argv(problems, &fields, "exec", patched),
        auto_rollback: fields.boolean(problems, "auto_rollback"),
        enable_consul: fields.boolean(problems, "enable_consul"),
        enable_etcd: fields.boolean(problems, "enable_etcd"),
        lazy_load_images: fields.boolean(problems, "lazy_load_images"),
        attached: attached(problems, &fields),
        machine_config: fields.text(problems, "machine_config"),
    };
    let moved = patched.then(|| Moved {
        // Not read at all where the top has one of its own.
        kill_timeout: match root.exact("kill_timeout") {
            Some(_) => None,
            None => fields
                .exact("kill_timeout")
                .and_then(|_| fields.duration(problems, "kill_timeout", Bare::Seconds)),
        },
        metrics_port: fields.exact("metrics_port"),
        metrics_path: fields.exact("metrics_path"),
    });
    (Some(experimental), moved)
}

/// One text is one argument; it is not split.
fn argv(
    problems: &mut Problems,
    fields: &Fields<'_>,
    name: &str,
    patched: bool,
) -> Option<At<Texts>> {
    let entry = fields.entry(name)?;
    match entry.node.shape {
        Shape::Text(text) if patched && entry.key == name => {
            let one: Vec<At<String>> = vec![At::new(text.to_string(), entry.node.span)];
            Some(At::new(one, entry.node.span))
        }
        _ => fields.texts(problems, name),
    }
}

fn attached(problems: &mut Problems, fields: &Fields<'_>) -> Attached {
    let read = |problems: &mut Problems| {
        let node = fields.entry("attached")?.node;
        let attached = Fields::of(problems, node, "experimental.attached", &keys::ATTACHED)?;
        let node = attached.entry("secrets")?.node;
        let path = "experimental.attached.secrets";
        let secrets = Fields::of(problems, node, path, &keys::SECRETS)?;
        secrets.text_map(problems, "export")
    };
    Attached { secrets: Secrets { export: read(problems) } }
}
