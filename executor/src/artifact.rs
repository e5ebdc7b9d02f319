//! Where source trees come from. A host asks for one by its digest; whoever drives tiedown
//! serves it, from a git repository.

use std::path::Path;

/// A source of trees, named by content.
pub trait Trees: Send + Sync {
    /// Writes the tree into `into`, an empty directory, with the modes of its files. What is
    /// written has the digest, or it is an error.
    ///
    /// # Errors
    /// [`TreeError`]: not known here, or it could not be read or written.
    fn export(&self, digest: &str, into: &Path) -> Result<(), TreeError>;
}

/// Why a tree could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Nobody here knows it.
    #[error("no source tree with digest {digest} is known here")]
    Unknown {
        /// The digest.
        digest: String,
    },
    /// It could not be read where it is kept, or written.
    #[error("source tree {digest} could not be exported")]
    Export {
        /// The digest.
        digest: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
