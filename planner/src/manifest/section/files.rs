//! `[[files]]`: files that are put into instances.

use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Texts, show};
use crate::manifest::keys;
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::section::processes::GroupNames;
use crate::manifest::written::{empty, given};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// One entry of `[[files]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Where it is put.
    #[serde(skip_serializing_if = "empty")]
    pub guest_path: Option<At<String>>,
    /// The file it is a copy of.
    #[serde(skip_serializing_if = "empty")]
    pub local_path: Option<At<String>>,
    /// The secret that is its content.
    #[serde(skip_serializing_if = "empty")]
    pub secret_name: Option<At<String>>,
    /// Its content.
    #[serde(skip_serializing_if = "empty")]
    pub raw_value: Option<At<String>>,
    /// The groups it is for; the default group when empty.
    #[serde(skip_serializing_if = "empty")]
    pub processes: Option<At<Texts>>,
}

/// Where a file's content comes from: the first of these that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A file of the repository, by path.
    Local(At<String>),
    /// A secret, by name.
    Secret(At<String>),
    /// The text itself.
    Raw(At<String>),
    /// Nothing: no file is put there.
    Nothing,
}

impl File {
    /// Where the content comes from.
    #[must_use]
    pub fn content(&self) -> FileContent {
        let given = |text: &Option<At<String>>| given(text.as_ref()).cloned();
        match (given(&self.local_path), given(&self.secret_name), given(&self.raw_value)) {
            (Some(path), _, _) => FileContent::Local(path),
            (None, Some(name), _) => FileContent::Secret(name),
            (None, None, Some(text)) => FileContent::Raw(text),
            (None, None, None) => FileContent::Nothing,
        }
    }
}

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Vec<File> {
    let rows = root.rows(problems, "files", false);
    rows.into_iter()
        .filter_map(|node| {
            let fields = Fields::of(problems, node, "files", &keys::FILES)?;
            Some(File {
                span: fields.span,
                guest_path: fields.text(problems, "guest_path"),
                local_path: fields.text(problems, "local_path"),
                secret_name: fields.text(problems, "secret_name"),
                raw_value: fields.text(problems, "raw_value"),
                processes: fields.texts(problems, "processes"),
            })
        })
        .collect()
}

/// The rules of `[[files]]`.
pub(crate) fn check(problems: &mut Problems, files: &[File], groups: &GroupNames) {
    for file in files {
        guest_path(problems, file);
        match file.content() {
            FileContent::Local(path) if path.value.starts_with('/') => {
                let message = format!("\"{}\" is not a path in the repository", show(&path.value));
                problems
                    .add(Code::BadFile, path.span, message)
                    .hint("write the path from the manifest's directory");
            }
            FileContent::Nothing => {
                problems
                    .lacks(Code::FileWithoutSource, file.span, "a file without content is not put")
                    .hint("add local_path, secret_name or raw_value");
            }
            FileContent::Local(_) | FileContent::Secret(_) | FileContent::Raw(_) => {}
        }
        groups.warn_unknown(problems, "files", file.processes.as_ref(), "put nowhere");
    }
}

fn guest_path(problems: &mut Problems, file: &File) {
    let Some(path) = given(file.guest_path.as_ref()) else {
        problems
            .lacks(Code::BadFile, file.span, "a file without a `guest_path` is nowhere")
            .hint("say where to put it: guest_path = \"/etc/app.conf\"");
        return;
    };
    let dots = path.value.split('/').any(|part| matches!(part, "." | ".."));
    if !path.value.starts_with('/') || path.value.ends_with('/') || dots {
        let message = format!("\"{}\" cannot be a file's guest_path", show(&path.value));
        problems
            .add(Code::BadFile, path.span, message)
            .hint("write an absolute path without . or .. in it, such as /etc/app.conf");
    }
}
