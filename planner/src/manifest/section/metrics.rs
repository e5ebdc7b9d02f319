//! `[[metrics]]`: where metrics are read; read for completeness. Also written `[metrics]`,
//! `metric`, and as `metrics_port` and `metrics_path` of `[experimental]`.

use crate::manifest::fields::{Fields, Texts};
use crate::manifest::go;
use crate::manifest::keys;
use crate::manifest::node::{Entry, Shape};
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::section::checks::valid_port;
use crate::manifest::section::experimental::Moved;
use crate::manifest::section::processes::GroupNames;
use crate::manifest::section::top;
use crate::manifest::written::{empty, texts};
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// One entry of `[[metrics]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Port.
    #[serde(skip_serializing_if = "empty")]
    pub port: Option<At<i64>>,
    /// Path.
    #[serde(skip_serializing_if = "empty")]
    pub path: Option<At<String>>,
    /// Whether by HTTPS.
    #[serde(skip_serializing_if = "empty")]
    pub https: Option<At<bool>>,
    /// The groups it is for; the default group when empty.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
}

pub(crate) fn read(
    problems: &mut Problems,
    root: &Fields<'_>,
    moved: Option<&Moved<'_>>,
) -> Vec<Metrics> {
    let rows = top::patched_rows(problems, root, &["metric", "metrics"]);
    let mut metrics: Vec<Metrics> = rows
        .into_iter()
        .filter_map(|node| {
            let fields = Fields::of(problems, node, "metrics", &keys::METRICS)?;
            Some(Metrics {
                span: fields.span,
                port: fields.integer(problems, "port"),
                path: fields.text(problems, "path"),
                https: fields.boolean(problems, "https"),
                processes: fields.texts(problems, "processes"),
            })
        })
        .collect();
    if let Some(moved) = moved.filter(|_| root.exact("metrics").is_none()) {
        metrics.extend(of_experimental(problems, moved));
    }
    metrics
}

fn of_experimental(problems: &mut Problems, moved: &Moved<'_>) -> Option<Metrics> {
    let span = moved.metrics_port.or(moved.metrics_path)?.key_span();
    let mut wrong = |entry: Entry<'_>, want: &str| {
        let reader = crate::manifest::fields::Reader::Flyctl;
        let path = alloc::format!("experimental.{}", entry.key);
        crate::manifest::fields::wrong_type(problems, reader, entry.node, &path, want);
    };
    let port = moved.metrics_port.and_then(|entry| {
        let port = match entry.node.shape {
            Shape::Integer(number) => Some(number),
            Shape::Float(number) => go::whole(number),
            _ => None,
        };
        if port.is_none() {
            wrong(entry, "an integer");
        }
        port.map(|port| At::new(port, entry.node.span))
    });
    let path = moved.metrics_path.and_then(|entry| {
        let path = crate::manifest::fields::string(entry.node);
        if path.is_none() {
            wrong(entry, "a string");
        }
        path.map(|path| At::new(path, entry.node.span))
    });
    Some(Metrics { span, port, path, https: None, processes: None })
}

/// The rules of `[[metrics]]`.
pub(crate) fn check(problems: &mut Problems, metrics: &[Metrics], groups: &GroupNames) {
    for entry in metrics {
        groups.warn_unknown(problems, "metrics", entry.processes.as_ref(), "read nowhere");
        if let Some(port) = &entry.port {
            valid_port(problems, "metrics.port", port);
        }
    }
    let entries: Vec<_> = metrics.iter().map(|m| (m.span, texts(m.processes.as_ref()))).collect();
    groups.warn_unused(problems, "metrics", &entries, |group| {
        entries.iter().position(|(_, listed)| groups.matches(group, listed))
    });
}
