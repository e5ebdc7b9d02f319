//! Commands that run once: the release command, a run on demand. Each is a group's program with
//! another command line, without services and checks, that is to end by itself.

use super::Runs;
use super::instance::made_of;
use crate::model::artifact::Artifact;
use crate::model::desired::{App, Group};
use crate::model::instance::{Restart, Supervision};
use alloc::vec::Vec;

/// What Fly sets for a release command, so that a program can tell.
const RELEASE_COMMAND: &str = "RELEASE_COMMAND";

/// The group as the release command sees it.
pub(crate) fn group(app: &App) -> Option<Group> {
    let command = app.release_command.as_ref()?;
    let mut group = once(app.groups.get(&command.group)?);
    group.argv.clone_from(&command.argv);
    group.env.insert(RELEASE_COMMAND.into(), "1".into());
    group.guest = command.guest;
    group.mounts.clear();
    Some(group)
}

/// What the release command runs; `None` where there is none, or its artifact or a secret that is
/// one of its files is not there.
pub(crate) fn of<'a>(app: &App, artifact: Option<&'a Artifact>) -> Option<Runs<'a>> {
    let group = group(app)?;
    let lacks = group.secret_files.iter().any(|file| !group.secrets.contains_key(&file.secret));
    (!lacks).then_some(made_of(app, &group, artifact?))
}

/// The group's program, run once.
pub(crate) fn once(group: &Group) -> Group {
    let supervision = Supervision { restart: Restart::Never, ..group.supervision.clone() };
    let (ports, checks) = (Vec::new(), Vec::new());
    Group { supervision, ports, checks, has_services: false, ..group.clone() }
}

/// What the group runs with this artifact.
pub(crate) fn runs<'a>(app: &App, group: &Group, artifact: &'a Artifact) -> Runs<'a> {
    made_of(app, group, artifact)
}
