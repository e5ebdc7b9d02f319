//! `[[statics]]`: files that Fly's proxy serves; read for completeness.

use crate::manifest::fields::Fields;
use crate::manifest::keys;
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::written::empty;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// One entry of `[[statics]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Static {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Directory.
    #[serde(skip_serializing_if = "empty")]
    pub guest_path: Option<At<String>>,
    /// Prefix.
    #[serde(skip_serializing_if = "empty")]
    pub url_prefix: Option<At<String>>,
    /// Bucket; printed even when empty.
    pub tigris_bucket: String,
    /// Page of a directory.
    #[serde(skip_serializing_if = "empty")]
    pub index_document: Option<At<String>>,
}

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Vec<Static> {
    let rows = root.rows(problems, "statics", false);
    rows.into_iter()
        .filter_map(|node| {
            let fields = Fields::of(problems, node, "statics", &keys::STATICS)?;
            let bucket = fields.text(problems, "tigris_bucket");
            Some(Static {
                span: fields.span,
                guest_path: fields.text(problems, "guest_path"),
                url_prefix: fields.text(problems, "url_prefix"),
                tigris_bucket: bucket.map(|at| at.value).unwrap_or_default(),
                index_document: fields.text(problems, "index_document"),
            })
        })
        .collect()
}
