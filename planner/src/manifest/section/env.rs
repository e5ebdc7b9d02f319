//! `[env]`: environment variables; an array of tables is merged in order, and every value becomes
//! text as Go prints it.

use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Reader, show, wrong_type};
use crate::manifest::go;
use crate::manifest::node::{Node, Shape, entries};
use crate::manifest::place::At;
use crate::manifest::problem::Problems;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

/// Variables by name.
pub type Env = At<BTreeMap<String, At<String>>>;

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Option<Env> {
    let Some(entry) = root.exact("env") else { return root.text_map(problems, "env") };
    let mut env = BTreeMap::new();
    merge(problems, entry.node, &mut env);
    Some(At::new(env, entry.node.span))
}

fn merge(problems: &mut Problems, node: Node<'_>, into: &mut BTreeMap<String, At<String>>) {
    match node.shape {
        Shape::Table(table) => {
            for entry in entries(table, node.span) {
                let value = At::new(go::text(entry.node), entry.node.span);
                into.insert(entry.key.to_string(), value);
                name(problems, entry.key, entry.key_span);
            }
        }
        Shape::Array(elements) => {
            for element in elements.iter(node.span) {
                merge(problems, element, into);
            }
        }
        _ => {
            wrong_type(problems, Reader::Flyctl, node, "env", "a table");
        }
    }
}

/// Parts of names that flyctl takes for secrets.
const SECRETS: [&str; 6] = ["SECRET", "PASSWORD", "TOKEN", "PRIVATE_KEY", "ACCESS_KEY", "API_KEY"];

fn name(problems: &mut Problems, name: &str, span: crate::manifest::place::Span) {
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = format!("\"{}\" cannot be the name of an environment variable", show(name));
        problems
            .add(Code::BadEnvName, span, message)
            .hint("a name has at least one character, and neither = nor NUL");
        return;
    }
    let upper = name.to_ascii_uppercase();
    if SECRETS.iter().any(|part| upper.contains(part)) {
        let message = format!("`env.{}` looks like a secret", show(name));
        problems
            .add(Code::SecretInEnv, span, message)
            .hint("everyone who can read the repository can read it: use `tiedown secrets set`");
    }
}
