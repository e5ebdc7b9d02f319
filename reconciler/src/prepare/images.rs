//! Images: references made digests. A reference is looked up once: as long as the manifest has the
//! same one, what was applied of it stands, whatever a registry says of its tag later.

use crate::settings::{RuntimeDriver, Settings};
use executor::runtime::docker::engine::Engine;
use executor::runtime::docker::images::{ImageError, resolve};
use futures::future::join_all;
use planner::model::artifact::{Artifact, Artifacts, Resolved};
use planner::model::claim::Claims;
use planner::model::name::AppName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How long engines and registries may take to say what a reference is.
const PATIENCE: Duration = Duration::from_secs(60);

/// References that are still to be looked up, by app.
pub type References = BTreeMap<AppName, String>;

/// What was applied of the reference, if it was.
#[must_use]
pub fn remembered(app: &AppName, reference: &str, claims: &Claims) -> Option<Artifact> {
    let of_app = claims.slots.values().filter(|claim| claim.slot.app == *app);
    let applied = of_app.filter_map(|claim| Some(&claim.applied_spec.as_ref()?.artifact));
    let same = |artifact: &&Artifact| match artifact {
        Artifact::Image { reference: applied, .. } => applied == reference,
        Artifact::Tree { .. } => false,
    };
    applied.filter(same).max().cloned()
}

/// Sockets of the fleet's engines.
#[must_use]
pub fn engines(settings: &Settings) -> BTreeSet<&Path> {
    let hosts = settings.hosts.values().filter_map(|host| match &host.runtime {
        RuntimeDriver::Docker { socket } => Some(socket.as_path()),
        RuntimeDriver::Process { .. } => None,
    });
    hosts.collect()
}

/// Looks all references up, at once; one that is not found leaves its app waiting, and no other.
pub async fn look_up(settings: &Settings, references: References, artifacts: &mut Artifacts) {
    let engines = engines(settings);
    let different: BTreeSet<&String> = references.values().collect();
    let looked = different.into_iter().map(async |reference| {
        let found = tokio::time::timeout(PATIENCE, digest(&engines, reference)).await;
        let why = match found {
            Ok(Ok(digest)) => {
                let (reference, digest) = (reference.into(), digest.into());
                return Resolved::Found(Artifact::Image { reference, digest });
            }
            Ok(Err(why)) => why,
            Err(_) => format!("the image {reference} was not found in {} s", PATIENCE.as_secs()),
        };
        let hint = "build it where the Docker Engine is, or push it where the engine can pull it";
        Resolved::Missing { why, hint: hint.to_owned() }
    });
    let looked: Vec<Resolved> = join_all(looked).await;
    let different: BTreeSet<&String> = references.values().collect();
    let found: BTreeMap<&String, Resolved> = different.into_iter().zip(looked).collect();
    for (app, reference) in &references {
        if let Some(resolved) = found.get(reference) {
            artifacts.insert(app.clone(), resolved.clone());
        }
    }
}

/// What the first engine says that knows, or why the last does not.
async fn digest(engines: &BTreeSet<&Path>, reference: &str) -> Result<String, String> {
    let mut why = format!("the image {reference} was not looked up");
    for socket in engines {
        let found = match Engine::at(socket) {
            Ok(engine) => resolve(&engine, reference).await,
            Err(error) => Err(ImageError::Engine(error)),
        };
        match found {
            Ok(digest) => return Ok(digest),
            Err(error) => why = executor::chain(&error),
        }
    }
    Err(why)
}
