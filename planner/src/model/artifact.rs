//! What an instance runs: a source tree as it is, or an image; and symbolic references made firm.

use super::name::AppName;
use alloc::collections::BTreeMap;
use alloc::string::String;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Something that can run, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Artifact {
    /// A directory of the repository, without manifests.
    Tree {
        /// Digest over paths, modes and contents: 64 hexadecimal digits.
        digest: SmolStr,
    },
    /// A container image.
    Image {
        /// The reference as written.
        reference: SmolStr,
        /// What it resolved to, `sha256:…`.
        digest: SmolStr,
    },
}

impl Artifact {
    /// The digest that says which content it is.
    #[must_use]
    pub fn digest(&self) -> &str {
        match self {
            Self::Tree { digest } | Self::Image { digest, .. } => digest,
        }
    }

    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> ArtifactKind {
        match self {
            Self::Tree { .. } => ArtifactKind::Tree,
            Self::Image { .. } => ArtifactKind::Image,
        }
    }
}

/// What kinds of thing a host can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// A source tree.
    Tree,
    /// A container image.
    Image,
}

impl ArtifactKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "source tree",
            Self::Image => "image",
        }
    }

    /// The word with its article.
    #[must_use]
    pub const fn one(self) -> &'static str {
        match self {
            Self::Tree => "a source tree",
            Self::Image => "an image",
        }
    }
}

/// What became of an app's reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolved {
    /// It is there.
    Found(Artifact),
    /// It is not; the app waits, what runs keeps running.
    Missing {
        /// Why.
        why: String,
        /// The way out.
        hint: String,
    },
}

/// Per app, what its manifest's reference means at this commit.
pub type Artifacts = BTreeMap<AppName, Resolved>;
