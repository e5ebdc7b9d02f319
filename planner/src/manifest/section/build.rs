//! `[build]`: what the app's image is made from.

use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Texts};
use crate::manifest::go;
use crate::manifest::keys;
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::written::{empty, given};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;
use serde_json::{Map, Value};

/// `[build]` as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Build {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// Buildpack builder.
    #[serde(skip_serializing_if = "empty")]
    pub builder: Option<At<String>>,
    /// Build arguments by name.
    #[serde(skip_serializing_if = "empty")]
    pub args: Option<At<BTreeMap<String, At<String>>>>,
    /// Buildpacks.
    #[serde(skip_serializing_if = "empty")]
    pub buildpacks: Option<At<Texts>>,
    /// Image to run instead of building; wins over all else.
    #[serde(skip_serializing_if = "empty")]
    pub image: Option<At<String>>,
    /// Settings of a builtin: any values.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// Name of a ready-made Dockerfile.
    #[serde(skip_serializing_if = "empty")]
    pub builtin: Option<At<String>>,
    /// Path from the manifest's directory, or a URL.
    #[serde(skip_serializing_if = "empty")]
    pub dockerfile: Option<At<String>>,
    /// Path from the manifest's directory.
    #[serde(skip_serializing_if = "empty")]
    pub ignorefile: Option<At<String>>,
    /// Stage of the Dockerfile.
    #[serde(rename = "build-target", skip_serializing_if = "empty")]
    pub build_target: Option<At<String>>,
    /// `[build.compose]`: its presence alone turns compose on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compose: Option<Compose>,
    /// `gzip` or `zstd`.
    #[serde(skip_serializing_if = "empty")]
    pub compression: Option<At<String>>,
    /// 0 to 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_level: Option<At<i64>>,
}

/// `[build.compose]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compose {
    /// The compose file; looked for beside the manifest when not given.
    #[serde(skip_serializing_if = "empty")]
    pub file: Option<At<String>>,
}

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Option<Build> {
    let entry = root.entry("build")?;
    let patched = root.exact("build").is_some();
    if patched && Fields::is_empty(entry.node) {
        return None;
    }
    let fields = Fields::of(problems, entry.node, "build", &keys::BUILD)?;
    let target = if patched && fields.exact("build_target").is_some() {
        fields.text(problems, "build_target")
    } else {
        fields.text(problems, "build-target")
    };
    Some(Build {
        span: fields.span,
        builder: fields.text(problems, "builder"),
        args: fields.text_map(problems, "args"),
        buildpacks: fields.texts(problems, "buildpacks"),
        image: fields.text(problems, "image"),
        settings: settings(problems, &fields),
        builtin: fields.text(problems, "builtin"),
        dockerfile: fields.text(problems, "dockerfile"),
        ignorefile: fields.text(problems, "ignorefile"),
        build_target: target,
        compose: compose(problems, &fields),
        compression: fields.text(problems, "compression"),
        compression_level: fields.integer(problems, "compression_level"),
    })
}

fn settings(problems: &mut Problems, fields: &Fields<'_>) -> Map<String, Value> {
    let Some(entry) = fields.entry("settings") else { return Map::new() };
    match go::json(entry.node) {
        Value::Object(map) => map,
        _ => {
            fields.wrong(problems, "settings", entry.node, "a table");
            Map::new()
        }
    }
}

fn compose(problems: &mut Problems, fields: &Fields<'_>) -> Option<Compose> {
    let entry = fields.entry("compose")?;
    let fields = Fields::of(problems, entry.node, "build.compose", &keys::COMPOSE)?;
    Some(Compose { file: fields.text(problems, "file") })
}

/// The rules of `[build]`.
pub(crate) fn check(problems: &mut Problems, build: &Build) {
    let dockerfile = given(build.dockerfile.as_ref()).or(given(build.build_target.as_ref()));
    let buildpack = build.buildpacks.as_ref().filter(|packs| !packs.value.is_empty());
    let builder = given(build.builder.as_ref()).map(|at| at.span);
    let sources: Vec<(&str, Span)> = [
        ("image", given(build.image.as_ref()).map(|at| at.span)),
        ("buildpacks", builder.or(buildpack.map(|at| at.span))),
        ("dockerfile", dockerfile.map(|at| at.span)),
        ("builtin", given(build.builtin.as_ref()).map(|at| at.span)),
    ]
    .into_iter()
    .filter_map(|(name, span)| span.map(|span| (name, span)))
    .collect();
    if let [(first, _), (second, span), ..] = sources.as_slice() {
        let message = format!("`[build]` says to build from {second} and from {first}");
        problems
            .add(Code::BuildTwice, *span, message)
            .label("not used")
            .hint(format!("{first} is used: take one of them out"));
    }
    if let Some(kind) = given(build.compression.as_ref())
        && !matches!(kind.value.as_str(), "gzip" | "zstd")
    {
        let message = "`build.compression` must be \"gzip\" or \"zstd\"";
        problems.add(Code::Compression, kind.span, message);
    }
    if let Some(level) = &build.compression_level
        && !(0..=9).contains(&level.value)
    {
        let message = "`build.compression_level` must be 0 to 9";
        problems.add(Code::Compression, level.span, message);
    }
}
