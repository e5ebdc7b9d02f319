//! `[deploy]`: how a release is rolled out, and the command that runs before it.

use crate::manifest::Written;
use crate::manifest::argv;
use crate::manifest::code::Code;
use crate::manifest::duration::Duration;
use crate::manifest::fields::{Bare, Fields, show};
use crate::manifest::go;
use crate::manifest::keys;
use crate::manifest::nearest::nearest;
use crate::manifest::place::{At, Span};
use crate::manifest::problem::Problems;
use crate::manifest::section::services::Service;
use crate::manifest::section::tiedown::{Canary, Revert, Tiedown};
use crate::manifest::section::vm::{self, Vm};
use crate::manifest::written::{empty, given};
use alloc::format;
use alloc::string::{String, ToString};
use serde::{Serialize, Serializer};

/// `[deploy]` as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deploy {
    /// Its header.
    #[serde(skip)]
    pub span: Span,
    /// A [`Strategy`] by name.
    #[serde(skip_serializing_if = "empty")]
    pub strategy: Option<At<String>>,
    /// Below 1 a share, else a number of instances.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub max_unavailable: Option<At<f64>>,
    /// How long to wait for an instance; a bare number is nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_timeout: Option<At<Duration>>,
    /// Command that runs once before a release.
    #[serde(skip_serializing_if = "empty")]
    pub release_command: Option<At<String>>,
    /// How long it may take; a bare number is nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_command_timeout: Option<At<Duration>>,
    /// The machine it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_command_vm: Option<Vm>,
    /// Command of the first launch.
    #[serde(skip_serializing_if = "empty")]
    pub seed_command: Option<At<String>>,
}

fn number<S: Serializer>(number: &Option<At<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
    number.as_ref().map(|at| go::number_of(at.value)).serialize(serializer)
}

/// How a release replaces the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// A few instances at a time.
    Rolling,
    /// One extra instance first.
    Canary,
    /// All new instances beside the old ones.
    Bluegreen,
    /// All at once.
    Immediate,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rolling, Self::Canary, Self::Bluegreen, Self::Immediate];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Canary => "canary",
            Self::Bluegreen => "bluegreen",
            Self::Immediate => "immediate",
        }
    }

    /// The strategy of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == name)
    }
}

pub(crate) fn read(problems: &mut Problems, root: &Fields<'_>) -> Option<Deploy> {
    let entry = root.entry("deploy")?;
    let fields = Fields::of(problems, entry.node, "deploy", &keys::DEPLOY)?;
    let machine = fields.entry("release_command_vm");
    Some(Deploy {
        span: fields.span,
        strategy: fields.text(problems, "strategy"),
        max_unavailable: fields.number(problems, "max_unavailable"),
        wait_timeout: fields.duration(problems, "wait_timeout", Bare::Nanos),
        release_command: fields.text(problems, "release_command"),
        release_command_timeout: fields.duration(problems, "release_command_timeout", Bare::Nanos),
        release_command_vm: machine
            .and_then(|entry| vm::one(problems, entry.node, "deploy.release_command_vm", false)),
        seed_command: fields.text(problems, "seed_command"),
    })
}

/// The rules of `[deploy]`.
pub(crate) fn check(problems: &mut Problems, written: &Written, tiedown: &Tiedown) {
    let Some(deploy) = &written.deploy else { return };
    if let Some(command) = given(deploy.release_command.as_ref())
        && let Err(error) = argv::split(&command.value)
    {
        let message = format!("`deploy.release_command` cannot be split: {error}");
        problems.add(Code::BadCommand, command.span, message);
    }
    if let Some(machine) = &deploy.release_command_vm {
        vm::guest(machine, problems);
    }
    let strategy = strategy(problems, deploy, written, tiedown);
    if let Some(number) = &deploy.max_unavailable {
        if number.value <= 0.0 {
            let message = "`deploy.max_unavailable` must be more than 0";
            problems
                .add(Code::MaxUnavailable, number.span, message)
                .hint("write a share such as 0.33, or a number of instances such as 1");
        } else if let Some(strategy @ (Strategy::Bluegreen | Strategy::Immediate)) = strategy {
            let message =
                format!("`deploy.max_unavailable` has no effect with {}", strategy.as_str());
            problems.add(Code::MaxUnavailableUnused, number.span, message);
        }
    }
}

fn strategy(
    problems: &mut Problems,
    deploy: &Deploy,
    written: &Written,
    tiedown: &Tiedown,
) -> Option<Strategy> {
    let text = given(deploy.strategy.as_ref())?;
    let Some(strategy) = Strategy::from_name(&text.value) else {
        let message = format!("\"{}\" is not a strategy", show(&text.value));
        let hint = match nearest(&text.value, Strategy::ALL.map(Strategy::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "write \"rolling\", \"canary\", \"bluegreen\" or \"immediate\"".to_string(),
        };
        problems.add(Code::Strategy, text.span, message).hint(hint);
        return None;
    };
    if written.mounts.is_empty() {
        if strategy == Strategy::Bluegreen && !has_checks(written) {
            let message = "bluegreen needs a check that says when the second set serves";
            problems
                .add(Code::BluegreenWithoutChecks, text.span, message)
                .label("the app has no checks")
                .hint(
                    "add [[http_service.checks]] or [checks.NAME], or write strategy = \"rolling\"",
                );
        }
        return Some(strategy);
    }
    match strategy {
        Strategy::Canary if tiedown.canary.as_ref().map(|at| at.value) != Some(Canary::Clone) => {
            let message = "a canary is an extra instance, and there is no volume for it";
            problems
                .add(Code::CanaryWithMounts, text.span, message)
                .label("the app has mounts")
                .hint("write strategy = \"rolling\", or canary = \"clone\" in [tiedown] to try each release on a thin clone");
        }
        Strategy::Bluegreen => {
            let message =
                "bluegreen runs every instance twice, and there are no volumes for the second set";
            problems
                .add(Code::BluegreenWithMounts, text.span, message)
                .label("the app has mounts")
                .hint("write strategy = \"rolling\"");
        }
        Strategy::Immediate
            if tiedown.revert.as_ref().map(|at| at.value) == Some(Revert::Snapshot) =>
        {
            let message = "immediate waits for nothing, so no slot can be seen to fail and go back to a snapshot";
            problems
                .add(Code::ImmediateWithSnapshot, text.span, message)
                .label("revert is \"snapshot\" in [tiedown]")
                .hint("write strategy = \"rolling\", or revert = \"off\" in [tiedown]");
        }
        Strategy::Canary | Strategy::Rolling | Strategy::Immediate => {}
    }
    Some(strategy)
}

fn has_checks(written: &Written) -> bool {
    let http = written.http_service.as_ref().is_some_and(|service| !service.checks.is_empty());
    let any = |service: &Service| !service.tcp_checks.is_empty() || !service.http_checks.is_empty();
    http || !written.checks.is_empty() || written.services.iter().any(any)
}
