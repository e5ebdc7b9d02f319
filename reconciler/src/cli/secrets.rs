//! `tiedown secrets`: values that instances get and no repository, plan or log ever sees.

use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::output::{Format, Output, table};
use crate::fleet::Abilities;
use crate::history::moment;
use crate::prepare::{apps, read_manifests};
use crate::repository::snapshot::Snapshot;
use crate::settings::Settings;
use anyhow::Context;
use executor::ensure::Ensured;
use executor::secrets::{Secret, Secrets};
use planner::model::name::{AppName, SecretName};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read;
use zeroize::Zeroizing;

/// Set, list and unset secrets of an app: each is a variable of its instances' environment, and may
/// be the content of a file, by `secret_name` of [[files]].
///
/// Values are sealed on this machine and stand nowhere else: a release names a version of each.
/// What changes here reaches instances with the next apply.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown secrets set web API_TOKEN < token.txt && tiedown apply --app web")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Set(SetArgs),
    List(ListArgs),
    Unset(UnsetArgs),
}

/// Set secrets. The value of one is asked for, or is all of standard input but a last line break;
/// of several, standard input has a line NAME=VALUE for each.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown secrets set web API_TOKEN                 # asks for it
  tiedown secrets set web API_TOKEN < token.txt
  tiedown secrets set web API_TOKEN SESSION_KEY < web.env")]
struct SetArgs {
    /// The app.
    app: String,
    /// The variable's name; NAME=- is the same. Never with its value: others can see arguments.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// List which secrets are set, with their versions; of none the value.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tiedown secrets list\n  tiedown secrets list web --format json"
)]
struct ListArgs {
    /// Only of this app.
    app: Option<String>,
}

/// Unset secrets: instances of the next release do not have them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown secrets unset web API_TOKEN")]
struct UnsetArgs {
    /// The app.
    app: String,
    /// The variable's name.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let snapshot = global.snapshot(&repository)?;
    let settings = global.settings(&snapshot, &Abilities::probe()?, output)?;
    match &args.what {
        What::Set(args) => {
            let app = app(&args.app)?;
            let names = args.names.iter().map(|name| name_to_set(name));
            let names = names.collect::<anyhow::Result<Vec<_>>>()?;
            warn_of_unknown(&app, &snapshot, &settings, output)?;
            let values = values(&app, names, output)?;
            change(&app, values, &settings, output)?;
        }
        What::Unset(args) => {
            let app = app(&args.app)?;
            let names = args.names.iter().map(|name| Ok((self::name(name)?, None)));
            let values = names.collect::<anyhow::Result<BTreeMap<_, _>>>()?;
            change(&app, values, &settings, output)?;
        }
        What::List(args) => {
            let only = args.app.as_deref().map(app).transpose()?;
            list(only.as_ref(), &settings, output)?;
        }
    }
    Ok(Ending::default())
}

fn app(text: &str) -> anyhow::Result<AppName> {
    let hint = "name the app as its manifest does";
    text.parse().map_err(|error| Usage::new(format!("{error}"), hint).into())
}

fn name(text: &str) -> anyhow::Result<SecretName> {
    let hint = "a secret has the name of a variable, such as API_TOKEN";
    let name: SecretName =
        text.parse().map_err(|error| anyhow::Error::from(Usage::new(format!("{error}"), hint)))?;
    if ["FLY_", "TIEDOWN_"].iter().any(|ours| name.as_str().starts_with(ours)) {
        let message = format!("{name} is a variable that tiedown sets itself");
        return Err(Usage::new(message, "give the secret another name").into());
    }
    Ok(name)
}

/// A name, without the value that somebody may have written after it; that is not repeated.
fn name_to_set(text: &str) -> anyhow::Result<SecretName> {
    match text.split_once('=') {
        None => name(text),
        Some((before, "-")) => name(before),
        Some((before, _)) => {
            let message = format!("the value of {} stands among the arguments", name(before)?);
            let hint = "every user of this machine can see arguments: write the name alone, and \
                        the value to standard input; and change what was seen";
            Err(Usage::new(message, hint).into())
        }
    }
}

type Values = BTreeMap<SecretName, Option<Secret>>;

fn values(app: &AppName, names: Vec<SecretName>, output: Output) -> anyhow::Result<Values> {
    let mut values = Values::new();
    if output.can_ask() {
        for name in names {
            let line = output.ask_unseen(&format!("{name} of {app}: "))?;
            let value = secret(&name, line.as_bytes())?;
            values.insert(name, Some(value));
        }
        return Ok(values);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
    if let [name] = names.as_slice() {
        let value = secret(name, without_line_break(&bytes))?;
        values.insert(name.clone(), Some(value));
        return Ok(values);
    }
    let lines = bytes.split(|byte| *byte == b'\n').map(without_line_break);
    let given: BTreeMap<&[u8], &[u8]> = lines
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            Some((&line[..at], &line[at + 1..]))
        })
        .collect();
    for name in names {
        let Some(value) = given.get(name.as_str().as_bytes()) else {
            let message = format!("standard input has no value of {name}");
            return Err(Usage::new(message, "write a line NAME=VALUE for each").into());
        };
        let value = secret(&name, value)?;
        values.insert(name, Some(value));
    }
    Ok(values)
}

fn without_line_break(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn secret(name: &SecretName, bytes: &[u8]) -> anyhow::Result<Secret> {
    if bytes.is_empty() {
        let message = format!("the value of {name} is empty");
        return Err(Usage::new(message, "to have it no more: tiedown secrets unset").into());
    }
    Secret::new(Zeroizing::new(bytes.to_vec())).ok_or_else(|| {
        let message = format!("the value of {name} is no text that an environment can hold");
        Usage::new(message, "encode it, for example with base64").into()
    })
}

/// A secret may be set before the app is there; more often the name is mistyped.
fn warn_of_unknown(
    app: &AppName,
    snapshot: &Snapshot<'_>,
    settings: &Settings,
    output: Output,
) -> anyhow::Result<()> {
    let (manifests, _) = read_manifests(snapshot, settings)?;
    if !manifests.iter().filter_map(apps::name).any(|known| known == *app) {
        output.warn(&format!("no manifest names the app {app} yet"));
    }
    Ok(())
}

fn change(
    app: &AppName,
    values: Values,
    settings: &Settings,
    output: Output,
) -> anyhow::Result<()> {
    let set: Vec<SecretName> =
        values.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name.clone()).collect();
    let secrets = settings.secrets();
    let done = secrets.change(app, values)?;
    if output.format == Format::Json {
        let changed = done.iter().map(|(name, ensured)| (name.to_string(), json!(ensured)));
        let changed: serde_json::Map<String, serde_json::Value> = changed.collect();
        return output.json(&json!({ "app": app, "secrets": changed }));
    }
    let mut text = String::new();
    for (name, ensured) in &done {
        text += &match (set.contains(name), ensured) {
            (true, Ensured::AlreadySo) => format!("{name} of {app} has that value already.\n"),
            (true, Ensured::Made | Ensured::Changed) => format!("{name} of {app} is set.\n"),
            (false, Ensured::AlreadySo) => format!("{name} of {app} is not set.\n"),
            (false, Ensured::Made | Ensured::Changed) => format!("{name} of {app} is unset.\n"),
        };
    }
    output.result(&text)?;
    if done.values().any(|ensured| *ensured != Ensured::AlreadySo) {
        output.say("Instances get what changed with the next apply.");
    }
    Ok(())
}

fn list(only: Option<&AppName>, settings: &Settings, output: Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut listed = Vec::new();
    for (app, set) in settings.secrets().list()? {
        if only.is_some_and(|only| *only != app) {
            continue;
        }
        for (name, version) in set {
            listed.push(json!({
                "app": app, "name": name, "version": version.version, "set_at": version.set_at,
            }));
            let number = version.version.to_string();
            rows.push(vec![app.to_string(), name.to_string(), number, moment(version.set_at)]);
        }
    }
    match output.format {
        Format::Json => output.json(&json!({ "secrets": listed })),
        Format::Text if rows.is_empty() => output.result("No secrets are set.\n"),
        Format::Text => output.result(&table(&["APP", "NAME", "VERSION", "SET"], &rows)),
    }
}
