//! Images: what a reference means, and having the one that is meant.

use super::engine::{Engine, EngineError, Image};
use super::logins::{self, LoginError};

/// Why a reference leads to no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It is not here, and its registry does not give it.
    #[error("the image {reference} is not here, and cannot be had")]
    Unavailable {
        /// The reference.
        reference: String,
        /// What the engine said.
        source: EngineError,
    },
    /// It was built here, and is gone.
    #[error("the image {reference} with identity {digest} was built here, and is no longer here")]
    Gone {
        /// The reference.
        reference: String,
        /// Its identity.
        digest: String,
    },
    /// The login of its registry cannot be had.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The engine does not work.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The digest that a reference means now. One that was built on the engine and never pushed is
/// named by its identity; else the registry says, and where that is down, what was pulled before.
///
/// # Errors
/// [`ImageError::Unavailable`], [`ImageError::Engine`].
pub async fn resolve(engine: &Engine, reference: &str) -> Result<String, ImageError> {
    if let Some((_, digest)) = reference.split_once('@') {
        return Ok(digest.to_owned());
    }
    let here = engine.image(reference).await?;
    if let Some(Image { id, digests }) = &here
        && digests.is_empty()
    {
        return Ok(id.clone());
    }
    match engine.ask_registry(reference, logins::of(reference).await?).await {
        Ok(digest) => Ok(digest),
        Err(error @ EngineError::Silent { .. }) => Err(error.into()),
        Err(source @ EngineError::Refused { .. }) => {
            let of = format!("{}@", repository(reference));
            let known = here.iter().flat_map(|image| &image.digests);
            let known = known.filter_map(|digest| digest.strip_prefix(&of)).next();
            let reference = reference.to_owned();
            known.map(str::to_owned).ok_or(ImageError::Unavailable { reference, source })
        }
    }
}

/// The image with this digest, pulled if it is not here; its identity on the engine.
///
/// # Errors
/// Any [`ImageError`].
pub async fn ensure(engine: &Engine, reference: &str, digest: &str) -> Result<String, ImageError> {
    let here = engine.images().await?;
    if let Some(image) = here.into_iter().find(|image| image.names().any(|name| name == digest)) {
        return Ok(image.id);
    }
    let name = format!("{}@{digest}", repository(reference));
    let reference = reference.to_owned();
    match engine.pull(&name, logins::of(&reference).await?).await {
        Ok(()) => {}
        Err(error @ EngineError::Silent { .. }) => return Err(error.into()),
        Err(source @ EngineError::Refused { .. }) => {
            return Err(ImageError::Unavailable { reference, source });
        }
    }
    match engine.image(&name).await? {
        Some(image) => Ok(image.id),
        None => Err(ImageError::Gone { reference, digest: digest.to_owned() }),
    }
}

/// The reference without its tag and digest. A colon before the last slash is of a port.
fn repository(reference: &str) -> &str {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn a_repository_has_no_tag_and_keeps_its_port() {
        for (reference, wanted) in [
            ("web", "web"),
            ("web:1", "web"),
            ("host:5000/web", "host:5000/web"),
            ("host:5000/a/web:1.2", "host:5000/a/web"),
            ("host/web:1@sha256:abc", "host/web"),
            ("host:5000/web@sha256:abc", "host:5000/web"),
        ] {
            assert_eq!(repository(reference), wanted, "{reference}");
        }
    }
}
