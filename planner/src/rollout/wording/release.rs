//! In what two releases differ, field by field, by the names that the manifest has for them.

use crate::model::artifact::Artifact;
use crate::model::few::Few;
use crate::model::instance::GuestFile;
use crate::model::release::ReleaseSpec;
use crate::plan::change::Field;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use smol_str::SmolStr;

/// What of `before` is not so in `after`. Values of variables are as they are: whoever shows
/// them masks what is secret.
pub(super) fn differences(before: &ReleaseSpec, after: &ReleaseSpec) -> Vec<Field> {
    let mut fields = Vec::new();
    fields.extend(artifact(&before.artifact, &after.artifact));
    let argv = |spec: &ReleaseSpec| {
        (!spec.argv.is_empty()).then(|| {
            let words = spec.argv.iter().map(|word| shlex::try_quote(word).unwrap_or(word.into()));
            words.collect::<Vec<_>>().join(" ")
        })
    };
    fields.extend(field("command", argv(before), argv(after)));
    let text = |value: &SmolStr| value.to_string();
    maps(&mut fields, "env.", &before.env, &after.env, text);
    maps(&mut fields, "files.", &files(before), &files(after), String::clone);
    maps(&mut fields, "mounts.", &before.mounts, &after.mounts, text);
    let version = |version: &u64| format!("version {version}");
    let secrets = |spec: &ReleaseSpec| spec.secrets.clone().into_iter().collect();
    maps(&mut fields, "secrets.", &secrets(before), &secrets(after), version);
    let memory = |spec: &ReleaseSpec| Some(spec.guest.memory.to_string());
    let cpus = |spec: &ReleaseSpec| Some(spec.guest.cpus.to_string());
    fields.extend(field("memory", memory(before), memory(after)));
    fields.extend(field("cpus", cpus(before), cpus(after)));
    let swap = |spec: &ReleaseSpec| Some(spec.guest.swap.to_string());
    fields.extend(field("swap", swap(before), swap(after)));
    fields
}

fn field(name: &str, before: Option<String>, after: Option<String>) -> Option<Field> {
    (before != after).then(|| Field { name: name.to_string(), before, after })
}

fn artifact(before: &Artifact, after: &Artifact) -> Option<Field> {
    let told = |artifact: &Artifact| match artifact {
        Artifact::Tree { digest } => digest.chars().take(12).collect(),
        Artifact::Image { reference, digest } => format!("{reference} ({digest})"),
    };
    let name = match after {
        Artifact::Tree { .. } => "source tree",
        Artifact::Image { .. } => "image",
    };
    field(name, Some(told(before)), Some(told(after)))
}

/// Contents by path; of what is no text, how long it is and its digest.
fn files(spec: &ReleaseSpec) -> Few<String, String> {
    let content = |file: &GuestFile| match core::str::from_utf8(&file.content) {
        Ok(text) => text.to_string(),
        Err(_) => {
            let digest = crate::model::id::digest_of(&[b"file", &file.content]);
            format!("{} bytes, {}", file.content.len(), &digest[..12])
        }
    };
    let files = spec.files.iter().map(|file| (file.path.clone(), content(file)));
    let secret = spec.secret_files.iter();
    files.chain(secret.map(|f| (f.path.clone(), format!("the secret {}", f.secret)))).collect()
}

fn maps<K: Ord + core::fmt::Display, V>(
    fields: &mut Vec<Field>,
    prefix: &str,
    before: &Few<K, V>,
    after: &Few<K, V>,
    told: impl Fn(&V) -> String,
) {
    let names: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (before, after) = (before.get(name).map(&told), after.get(name).map(&told));
        fields.extend(field(&format!("{prefix}{name}"), before, after));
    }
}
