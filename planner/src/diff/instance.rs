//! What the instance of a slot needs: nothing, a start, another release. Also what a group runs,
//! and why it may not be able to.

use crate::Inputs;
use crate::diff::Runs;
use crate::model::artifact::{Artifact, ArtifactKind, Resolved};
use crate::model::claim::Claim;
use crate::model::desired::{App, Group};
use crate::model::id::InstanceId;
use crate::model::instance::Role;
use crate::model::object::Object;
use crate::model::observed::{InstanceState, InstanceView};
use crate::model::release::{Release, ReleaseSpec};
use crate::recover::At;
use crate::report::{Kind, Report};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

/// What the instance of a slot needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InstanceNeed {
    /// It is as it should be, or must be left alone.
    Nothing,
    /// There is none.
    Start,
    /// It ended, or its release is to be tried again.
    Restart {
        /// Why, in words.
        why: String,
    },
    /// It runs another release.
    Redeploy {
        /// Which.
        from: Release,
    },
    /// It runs the release, and nobody has yet seen that it comes up.
    Confirm,
}

/// The artifact of an app; without one the app is blocked.
pub(super) fn artifact<'a>(
    inputs: &Inputs<'a>,
    app: &App,
    report: &mut Report,
) -> Option<&'a Artifact> {
    let object = Object::App { app: app.name.clone() };
    match inputs.artifacts.get(&app.name) {
        Some(Resolved::Found(artifact)) => Some(artifact),
        Some(Resolved::Missing { why, hint }) => {
            let why = format!("nothing is started or redeployed: {why}");
            report.say(Kind::Blocked, object, why, hint);
            None
        }
        None => {
            let why = "nothing is started or redeployed: what it runs was not looked up";
            report.say(Kind::Blocked, object, why, "");
            None
        }
    }
}

/// What a group runs; a source tree without a command cannot run, nor can what lacks a secret.
pub(super) fn runs<'a>(
    app: &App,
    group: &Group,
    artifact: &'a Artifact,
    report: &mut Report,
) -> Option<Runs<'a>> {
    if artifact.kind() == ArtifactKind::Tree && group.argv.is_empty() {
        let object = Object::Group { app: app.name.clone(), group: group.name.clone() };
        let hint = format!(
            "say what to run: [processes] {} = \"./serve\", or name an image in [build]",
            group.name
        );
        report.say(Kind::Blocked, object, "a source tree has no command of its own", &hint);
        return None;
    }
    if let Some(file) = group.secret_files.iter().find(|f| !group.secrets.contains_key(&f.secret)) {
        let object = Object::Group { app: app.name.clone(), group: group.name.clone() };
        let why = format!("{} is the secret {}, which is not set", file.path, file.secret);
        let hint = format!("tiedown secrets set {} {}", app.name, file.secret);
        report.say(Kind::Blocked, object, why, &hint);
        return None;
    }
    Some(made_of(app, group, artifact))
}

/// What the group runs with this artifact.
pub(super) fn made_of<'a>(app: &App, group: &Group, artifact: &'a Artifact) -> Runs<'a> {
    let mounts = group.mounts.values();
    let spec = ReleaseSpec {
        app: app.name.clone(),
        group: group.name.clone(),
        artifact: artifact.clone(),
        argv: group.argv.clone(),
        replaces_entrypoint: group.replaces_entrypoint,
        env: group.env.clone(),
        files: group.files.clone(),
        mounts: mounts.map(|m| (m.source.clone(), m.destination.clone())).collect(),
        guest: group.guest,
        secrets: group.secrets.clone(),
        secret_files: group.secret_files.clone(),
    };
    Runs { artifact, release: spec.release(), spec: Arc::new(spec) }
}

/// Whether the slot tried the release and failed last.
pub(crate) fn failed(claim: &Claim, release: &Release) -> bool {
    claim.failed.as_ref().is_some_and(|failed| failed.release == *release)
}

/// Which of several main instances is the slot's own: one on the claimed host, of the release
/// that is wanted or else the one applied last.
pub(super) fn own<'a>(
    inputs: &Inputs<'_>,
    claim: &Claim,
    wanted: Option<&Release>,
    mains: &[At<'a, InstanceView>],
) -> Option<&'a InstanceView> {
    let fleet = &inputs.desired.fleet;
    let rank = |view: &InstanceView| {
        let is = |release: &Release| view.release == *release;
        let derived = wanted
            .is_some_and(|r| InstanceId::derive(fleet, &claim.slot, Role::Main, r) == view.id);
        let alive = view.is_serving();
        (
            !wanted.is_some_and(is),
            !claim.applied.as_ref().is_some_and(is),
            !alive,
            !derived,
            view.id.clone(),
        )
    };
    let here = mains.iter().filter(|at| *at.host == claim.host).map(|at| at.view);
    here.min_by_key(|view| rank(view))
}

/// What the instance needs to run `release`.
pub(super) fn need(
    claim: &Claim,
    main: Option<&InstanceView>,
    release: &Release,
    retry: bool,
) -> InstanceNeed {
    let Some(main) = main else { return InstanceNeed::Start };
    if main.release != *release {
        return InstanceNeed::Redeploy { from: main.release.clone() };
    }
    match &main.state {
        InstanceState::Failed { why } | InstanceState::Died { why } => {
            InstanceNeed::Restart { why: format!("its instance {}: {why}", main.state.as_str()) }
        }
        InstanceState::Stopped => InstanceNeed::Restart { why: "its instance was stopped".into() },
        InstanceState::Running | InstanceState::Restarting | InstanceState::Finished => {
            let applied = claim.applied.as_ref() == Some(release);
            if retry && failed(claim, release) && !(applied && main.is_serving()) {
                let why = "its release failed and is tried again".into();
                return InstanceNeed::Restart { why };
            }
            if applied { InstanceNeed::Nothing } else { InstanceNeed::Confirm }
        }
    }
}
