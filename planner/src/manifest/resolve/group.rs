//! One group as meant: what it runs, on how big a machine, with which volumes and files.

use super::{Context, deploy, millis, services};
use crate::manifest::Manifest;
use crate::manifest::code::Code;
use crate::manifest::group::{Group as Written, GroupFile, GroupMount};
use crate::manifest::problem::Problems;
use crate::manifest::section::files::FileContent;
use crate::manifest::section::restart::RestartPolicy;
use crate::manifest::section::tiedown::OnRemove as WrittenOnRemove;
use crate::manifest::written::given;
use crate::model::desired::{Group, Mount, Scale};
use crate::model::guest::Guest;
use crate::model::instance::{GuestFile, Restart, SecretFile, Supervision};
use crate::model::name::{GroupName, SourceName};
use crate::model::release::Env;
use crate::model::size::Size;
use crate::model::time::Millis;
use crate::model::volume::{Keeping, OnRemove};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Fly's default signal, kill timeout and number of restarts after failure.
const KILL_SIGNAL: &str = "SIGINT";
const KILL_TIMEOUT: Millis = Millis::from_secs(5);
const RETRIES: u32 = 10;
/// What flyctl makes where `initial_size` is not given.
const INITIAL_SIZE_GB: u64 = 1;

pub(super) fn group(
    manifest: &Manifest,
    written: &Written,
    name: GroupName,
    scale: Scale,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Group {
    Group {
        name,
        scale,
        mounts: written.mounts.iter().filter_map(|m| mount(manifest, m)).collect(),
        argv: argv(written),
        replaces_entrypoint: written.exec.is_some() || written.entrypoint.is_some(),
        env: env(manifest),
        files: written.files.iter().filter_map(|f| file(f, context, problems)).collect(),
        secret_files: written.files.iter().filter_map(|f| secret_file(f, problems)).collect(),
        secrets: BTreeMap::new(),
        primary_region: None,
        guest: guest(manifest, written.guest.as_ref()),
        has_services: !written.services.is_empty(),
        ports: services::ports(written),
        checks: services::checks(written, problems),
        supervision: supervision(manifest, written),
        deploy: deploy(&manifest.deploy, &manifest.tiedown),
    }
}

/// A machine as meant.
pub(super) fn guest(
    manifest: &Manifest,
    written: Option<&crate::manifest::section::vm::Guest>,
) -> Guest {
    let swap = swap(manifest);
    written.map_or(Guest { swap, ..Guest::DEFAULT }, |guest| Guest {
        memory: Size::from_mib(guest.memory_mib),
        cpus: guest.cpus,
        swap,
    })
}

/// `exec` replaces everything; a command replaces `cmd`; an entrypoint goes before either.
fn argv(group: &Written) -> Vec<String> {
    if let Some(exec) = &group.exec {
        return exec.value.clone();
    }
    let entrypoint = group.entrypoint.iter().flat_map(|at| &at.value);
    let command = group.command.as_ref().or(group.cmd.as_ref());
    entrypoint.chain(command.iter().flat_map(|at| &at.value)).cloned().collect()
}

fn env(manifest: &Manifest) -> Env {
    let env = manifest.written.env.iter().flat_map(|env| &env.value);
    env.map(|(name, value)| (name.into(), value.value.as_str().into())).collect()
}

fn mount(manifest: &Manifest, mount: &GroupMount) -> Option<(SourceName, Mount)> {
    let source: SourceName = mount.source.value.parse().ok()?;
    let settings = manifest.tiedown.of_source(source.as_str());
    let yes =
        |flag: &Option<crate::manifest::place::At<bool>>| flag.as_ref().is_some_and(|at| at.value);
    let keeping = Keeping {
        on_remove: match settings.on_remove.as_ref().map(|at| at.value) {
            Some(WrittenOnRemove::Destroy) => OnRemove::Destroy,
            Some(WrittenOnRemove::Retain) | None => Keeping::DEFAULT.on_remove,
        },
        retention: settings
            .retention_seconds
            .as_ref()
            .map_or(Keeping::DEFAULT.retention, |at| Millis::from_secs(at.value)),
        protect: yes(&settings.protect),
    };
    let gigabytes = mount.initial_size_gb.as_ref().map_or(INITIAL_SIZE_GB, |at| at.value);
    let destination = mount.destination.value.as_str().into();
    let size = Size::from_gb(gigabytes);
    let adopt = settings.adopt.as_ref().map(|at| at.value.clone()).filter(|id| !id.is_empty());
    let fresh = yes(&settings.fresh);
    Some((source.clone(), Mount { source, destination, size, keeping, adopt, fresh }))
}

fn file(file: &GroupFile, context: &Context<'_>, problems: &mut Problems) -> Option<GuestFile> {
    let content = match &file.content {
        FileContent::Raw(text) => text.value.clone().into_bytes(),
        FileContent::Local(path) => match (context.file)(&path.value) {
            Some(bytes) => bytes,
            None => {
                let message = format!("there is no file `{}` beside the manifest", path.value);
                problems.add(Code::FileMissing, path.span, message).hint(
                    "`local_path` is read from the same commit, from the manifest's directory",
                );
                return None;
            }
        },
        FileContent::Secret(_) | FileContent::Nothing => return None,
    };
    Some(GuestFile { path: file.guest_path.value.clone(), content })
}

fn secret_file(file: &GroupFile, problems: &mut Problems) -> Option<SecretFile> {
    let FileContent::Secret(name) = &file.content else { return None };
    match name.value.parse() {
        Ok(secret) => Some(SecretFile { path: file.guest_path.value.clone(), secret }),
        Err(error) => {
            problems.add(Code::BadFile, name.span, format!("{error}"));
            None
        }
    }
}

fn swap(manifest: &Manifest) -> Size {
    let mib = manifest.written.swap_size_mb.as_ref().map_or(0, |at| at.value);
    Size::from_mib(u64::try_from(mib).unwrap_or(0))
}

fn supervision(manifest: &Manifest, group: &Written) -> Supervision {
    let retries = |retries: i64| u32::try_from(retries).unwrap_or(RETRIES);
    let restart = match &group.restart {
        None => Restart::OnFailure { retries: RETRIES },
        Some(restart) => match restart.policy {
            RestartPolicy::Always => Restart::Always,
            RestartPolicy::Never => Restart::Never,
            RestartPolicy::OnFailure => Restart::OnFailure {
                retries: restart.retries.as_ref().map_or(RETRIES, |at| retries(at.value)),
            },
        },
    };
    let signal = given(manifest.written.kill_signal.as_ref());
    let timeout = manifest.written.kill_timeout.as_ref();
    Supervision {
        restart,
        kill_signal: signal.map_or(KILL_SIGNAL, |at| &at.value).into(),
        kill_timeout: timeout.map_or(KILL_TIMEOUT, |at| millis(at.value)),
    }
}
