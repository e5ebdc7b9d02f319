//! The keys at the top of a manifest, and how sections that have several names are found.

use crate::manifest::Written;
use crate::manifest::code::Code;
use crate::manifest::fields::{Fields, Reader, show, wrong_type};
use crate::manifest::name;
use crate::manifest::nearest::nearest;
use crate::manifest::node::{Node, Shape};
use crate::manifest::place::At;
use crate::manifest::problem::Problems;
use crate::manifest::written::given;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The tables of a section that flyctl gathers from several names, and that is made anew in lower
/// case even where it does not stand: in another case it is lost.
pub(crate) fn patched_rows<'a>(
    problems: &mut Problems,
    root: &Fields<'a>,
    names: &[&str],
) -> Vec<Node<'a>> {
    let mut rows = Vec::new();
    // The last name is the one of the field, which alone is found in another case.
    let field = names.last().copied().unwrap_or_default();
    for name in names {
        let Some(entry) = root.entry(name) else { continue };
        if entry.key == *name {
            rows.extend(root.rows(problems, name, true));
        } else if *name == field && !matches!(entry.node.shape, Shape::Array(_)) {
            let draft =
                wrong_type(problems, Reader::Flyctl, entry.node, name, "an array of tables");
            draft.hint(format!("write it in lower case: [[{field}]]"));
        } else {
            let message = format!("`{}` is dropped by flyctl", show(entry.key));
            problems
                .add(Code::IgnoredSection, entry.key_span(), message)
                .label("not read")
                .hint(format!("write it in lower case: [[{field}]]"));
        }
    }
    rows
}

/// The rules of the top.
pub(crate) fn check(problems: &mut Problems, written: &Written) {
    app(problems, given(written.app.as_ref()), written);
    if let Some(region) = given(written.primary_region.as_ref())
        && !name::is_region(&region.value)
    {
        let message = format!("\"{}\" cannot be a region", show(&region.value));
        problems.add(Code::BadRegion, region.span, message).hint(name::REGION);
    }
    signal(problems, given(written.kill_signal.as_ref()));
    region_of_env(problems, written);
    if let Some(command) = given(written.console_command.as_ref())
        && let Err(error) = crate::manifest::argv::split(&command.value)
    {
        let message = format!("`console_command` cannot be split: {error}");
        problems.add(Code::BadCommand, command.span, message);
    }
}

/// The signals that Fly documents for stopping a machine.
const SIGNALS: [&str; 7] =
    ["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM"];

fn signal(problems: &mut Problems, signal: Option<&At<String>>) {
    let Some(signal) = signal.filter(|at| !SIGNALS.contains(&at.value.as_str())) else { return };
    let message = format!("`kill_signal` is \"{}\", which is not a signal", show(&signal.value));
    let hint = match nearest(&signal.value, SIGNALS) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write one of {}", SIGNALS.join(", ")),
    };
    problems.add(Code::BadSignal, signal.span, message).hint(hint);
}

/// `primary_region` is what instances see as this variable, whatever `[env]` says.
fn region_of_env(problems: &mut Problems, written: &Written) {
    let Some(region) = given(written.primary_region.as_ref()) else { return };
    let variable = written.env.as_ref().and_then(|env| env.value.get("PRIMARY_REGION"));
    if let Some(variable) = variable.filter(|variable| variable.value != region.value) {
        let message = format!(
            "`env.PRIMARY_REGION` is \"{}\", and `primary_region` is \"{}\"",
            show(&variable.value),
            show(&region.value)
        );
        problems
            .add(Code::EnvReplaced, variable.span, message)
            .label("not used")
            .hint("instances see `primary_region`: take the variable out");
    }
}

fn app(problems: &mut Problems, app: Option<&At<String>>, written: &Written) {
    let Some(app) = app else {
        let span = written.app.as_ref().map(|at| at.span).unwrap_or_default();
        let in_env = written.env.as_ref().is_some_and(|env| env.value.contains_key("app"));
        let hint = match in_env {
            true => "it stands in [env] now: move it to the top, before the first section",
            false => "write app = \"name\" at the top, before the first section",
        };
        problems.lacks(Code::AppMissing, span, "the manifest names no app").hint(hint);
        return;
    };
    if app.value.contains("${") {
        let message = format!("`app` is \"{}\": nothing replaces variables here", show(&app.value));
        problems
            .add(Code::UnresolvedVariable, app.span, message)
            .label("taken as it stands")
            .hint("write the name itself; one manifest for each app");
    } else if !name::is_app(&app.value) {
        let message = format!("\"{}\" cannot be the name of an app", show(&app.value));
        problems.add(Code::BadAppName, app.span, message).hint(name::APP);
    }
}
