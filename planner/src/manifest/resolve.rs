//! As written becomes as meant: a manifest, in a fleet with these regions, as the planner's app
//! with all defaults filled in. Decides nothing about hosts.

mod group;
mod services;

use super::code::Code;
use super::place::{At, Span};
use super::problem::{Problem, Problems};
use super::section::tiedown::{Canary, Former, Revert as WrittenRevert, Tiedown};
use super::written::given;
use super::{DeployMeaning, Manifest};
use crate::model::desired::{
    App, Deploy, MaxUnavailable, Move, ReleaseCommand, Revert, Scale, Strategy,
};
use crate::model::few::Few;
use crate::model::name::{AppName, GroupName, NameError, Region};
use crate::model::time::Millis;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where a manifest stands, and what it can refer to.
pub struct Context<'a> {
    /// Its path in the repository, as shown.
    pub path: &'a str,
    /// Its text, for the places of problems.
    pub text: &'a str,
    /// Regions that the fleet has hosts in.
    pub regions: &'a BTreeSet<Region>,
    /// A file of the repository, by its path from the manifest's directory.
    pub file: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// A manifest as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The app; none if there are errors among the problems.
    pub app: Option<App>,
    /// What it is released from.
    pub runs: Runs,
    /// What only the fleet and the repository could tell, in the order of their places.
    pub problems: Vec<Problem>,
}

/// What an app is released from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// A tree of the repository, by its path from the manifest's directory.
    Tree {
        /// `source` of `[tiedown]`, or `.`.
        path: String,
    },
    /// An image that somebody has built.
    Image {
        /// The reference as written.
        reference: String,
    },
    /// Something that would have to be built first.
    Build {
        /// What the manifest says it is built from, such as `Dockerfile`.
        from: String,
    },
}

/// What the manifest means in this fleet.
#[must_use]
pub fn resolve(manifest: &Manifest, context: &Context<'_>) -> Resolved {
    let mut problems = Problems::default();
    let app = app(manifest, context, &mut problems);
    let problems = problems.finish(context.path, context.text);
    let failed = problems.iter().any(|p| p.severity == super::problem::Severity::Error);
    Resolved { app: app.filter(|_| !failed), runs: runs(manifest), problems }
}

fn app(manifest: &Manifest, context: &Context<'_>, problems: &mut Problems) -> Option<App> {
    let name = given(manifest.written.app.as_ref())?;
    let name = checked::<AppName>(name, Code::BadAppName, problems)?;
    let region = given(manifest.written.primary_region.as_ref());
    let region = region.and_then(|region| checked::<Region>(region, Code::BadRegion, problems));
    let mut groups = Few::new();
    for group in &manifest.groups {
        let scale = scale(manifest, &group.name, context, problems);
        let Some((name, scale)) = group.name.parse::<GroupName>().ok().zip(scale) else { continue };
        let group = group::group(manifest, group, name.clone(), scale, context, problems);
        groups
            .insert(name, crate::model::desired::Group { primary_region: region.clone(), ..group });
    }
    Some(App {
        name,
        manifest: context.path.to_string(),
        groups,
        moved: moved(manifest, problems),
        release_command: release_command(manifest),
        not_acted_on: not_acted_on(manifest),
    })
}

/// A name of the manifest as one of the model's; what does not fit was told when it was read, or
/// is told now.
fn checked<T: core::str::FromStr<Err = NameError>>(
    text: &At<String>,
    code: Code,
    problems: &mut Problems,
) -> Option<T> {
    match text.value.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            problems.add(code, text.span, format!("{error}"));
            None
        }
    }
}

fn scale(
    manifest: &Manifest,
    group: &str,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Scale> {
    if let Some(listed) = manifest.tiedown.scale.get(group) {
        let mut counts = Few::new();
        for (region, count) in &listed.value {
            let Ok(name) = region.parse::<Region>() else { continue };
            if !context.regions.contains(&name) {
                unknown_region(&At::new(region.clone(), count.span), context, problems);
            }
            counts.insert(name, count.value);
        }
        return Some(Scale::Listed(counts));
    }
    if let Some(primary) = given(manifest.written.primary_region.as_ref()) {
        let region: Region = primary.value.parse().ok()?;
        if !context.regions.contains(&region) {
            unknown_region(primary, context, problems);
        }
        return Some(Scale::Unlisted { first: region });
    }
    let mut regions = context.regions.iter();
    if let (Some(only), None) = (regions.next(), regions.next()) {
        return Some(Scale::Unlisted { first: only.clone() });
    }
    let message = format!("nothing says where the slots of group `{group}` go");
    problems
        .add(Code::NoRegion, Span { start: 0, end: 0 }, message)
        .hint(format!("add `primary_region`, or [tiedown.scale] with {group} = {{ REGION = 1 }}"));
    None
}

fn unknown_region(region: &At<String>, context: &Context<'_>, problems: &mut Problems) {
    let message = format!("the fleet has no host in region `{}`", region.value);
    let regions: Vec<&str> = context.regions.iter().map(Region::as_str).collect();
    problems
        .add(Code::UnknownRegion, region.span, message)
        .hint(format!("its regions are: {}", regions.join(", ")));
}

fn moved(manifest: &Manifest, problems: &mut Problems) -> Vec<Move> {
    let settings = manifest.tiedown.volumes.values().map(|at| &at.value);
    let all = core::iter::once(&manifest.tiedown.all).chain(settings);
    let mut moves = Vec::new();
    for former in all.flat_map(|settings| &settings.moved) {
        let moved = match &former.value {
            Former::App(from) => from.parse().map(|from| Move::App { from }),
            Former::Group { old, new } => {
                old.parse().and_then(|from| Ok(Move::Group { from, to: new.parse()? }))
            }
            Former::Source { old, new } => {
                old.parse().and_then(|from| Ok(Move::Source { from, to: new.parse()? }))
            }
        };
        match moved {
            Ok(moved) => moves.push(moved),
            Err(error) => {
                problems.add(Code::BadSetting, former.span, format!("{error}"));
            }
        }
    }
    moves
}

/// What is given and changes nothing yet, so that nobody believes it does.
fn not_acted_on(manifest: &Manifest) -> Vec<String> {
    let mut keys: Vec<String> = manifest.not_acted_on.iter().map(|key| key.value.clone()).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn runs(manifest: &Manifest) -> Runs {
    let source = || {
        let source = given(manifest.tiedown.source.as_ref()).map(|at| at.value.clone());
        Runs::Tree { path: source.unwrap_or_else(|| ".".to_string()) }
    };
    let Some(build) = &manifest.written.build else { return source() };
    if let Some(image) = given(build.image.as_ref()) {
        return Runs::Image { reference: image.value.clone() };
    }
    let named = [
        (given(build.dockerfile.as_ref()), "dockerfile"),
        (given(build.builder.as_ref()), "builder"),
        (given(build.builtin.as_ref()), "builtin"),
        (given(build.build_target.as_ref()), "build-target"),
    ];
    let named = named.into_iter().find_map(|(value, key)| Some(format!("{key} {}", value?.value)));
    let packs = build.buildpacks.as_ref().filter(|packs| !packs.value.is_empty());
    let compose = build.compose.as_ref().map(|_| "compose".to_string());
    match named.or_else(|| packs.map(|_| "buildpacks".to_string())).or(compose) {
        Some(from) => Runs::Build { from },
        None => source(),
    }
}

/// It runs in the default group's place. flyctl puts an entrypoint before it as before all commands.
fn release_command(manifest: &Manifest) -> Option<ReleaseCommand> {
    let command = manifest.deploy.release_command.as_ref()?;
    let group = manifest.groups.iter().find(|group| group.is_default)?;
    let entrypoint = group.entrypoint.iter().flat_map(|at| &at.value);
    let timeout = manifest.deploy.release_command_timeout.as_ref();
    let machine = manifest.deploy.release_command_vm.as_ref().or(group.guest.as_ref());
    Some(ReleaseCommand {
        group: group.name.parse().ok()?,
        argv: entrypoint.chain(&command.value).cloned().collect(),
        guest: group::guest(manifest, machine),
        timeout: timeout.map_or(RELEASE_TIMEOUT, |at| millis(at.value)),
    })
}

/// flyctl's default for `deploy.release_command_timeout`.
const RELEASE_TIMEOUT: Millis = Millis::from_secs(300);

fn deploy(meaning: &DeployMeaning, tiedown: &Tiedown) -> Deploy {
    use super::section::deploy::Strategy as Written;
    let strategy = meaning.strategy.as_ref().map(|at| match at.value {
        Written::Rolling => Strategy::Rolling,
        Written::Canary => Strategy::Canary,
        Written::Bluegreen => Strategy::Bluegreen,
        Written::Immediate => Strategy::Immediate,
    });
    let wait = meaning.wait_timeout.as_ref();
    Deploy {
        strategy,
        max_unavailable: meaning
            .max_unavailable
            .as_ref()
            .map_or(MaxUnavailable::DEFAULT, |at| max_unavailable(at.value)),
        wait_timeout: wait.map_or(WAIT_TIMEOUT, |at| millis(at.value)),
        on_clones: tiedown.canary.as_ref().is_some_and(|at| at.value == Canary::Clone),
        revert: match tiedown.revert.as_ref().map(|at| at.value) {
            Some(WrittenRevert::Release) => Revert::Release,
            Some(WrittenRevert::Snapshot) => Revert::Snapshot,
            Some(WrittenRevert::Off) | None => Revert::Off,
        },
    }
}

/// flyctl's default for `deploy.wait_timeout`.
const WAIT_TIMEOUT: Millis = Millis::from_secs(300);

fn max_unavailable(number: f64) -> MaxUnavailable {
    // Casts saturate: a number above all counts is all slots. Written numbers are above 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    if number >= 1.0 {
        MaxUnavailable::Count(number as u32)
    } else {
        MaxUnavailable::Thousandths((number * 1000.0) as u32)
    }
}

fn millis(duration: super::duration::Duration) -> Millis {
    Millis(u64::try_from(duration.whole_millis()).unwrap_or(0))
}
