//! `tiedown hook`: what git calls when somebody pushes to a repository of this machine.

use super::error::{Refused, Usage};
use super::exit::{Ending, Exit};
use super::global::Global;
use super::output::Output;
use super::plan::show;
use crate::fleet::{Abilities, Records};
use crate::pass::Ask;
use crate::pass::rules::in_force;
use crate::prepare::selection::Selection;
use crate::repository::{Place, Repository};
use crate::serve::DAEMON;
use crate::settings::load::load;
use anyhow::Context;
use executor::catalog::LockName;
use executor::command;
use planner::model::permit::Permits;
use planner::model::release::CommitId;
use planner::report::Kind;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What git calls when somebody pushes: the files hooks/pre-receive and hooks/post-receive of a
/// bare repository.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  printf '#!/bin/sh\\nexec tiedown hook pre-receive\\n' > hooks/pre-receive
  printf '#!/bin/sh\\nexec tiedown hook post-receive\\n' > hooks/post-receive
  chmod +x hooks/*-receive")]
pub(super) struct Args {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, clap::Subcommand)]
enum Which {
    /// Refuse a push to the branch whose manifests have mistakes, or whose plan a guard refuses.
    #[command(
        after_help = "Examples:\n  exec tiedown hook pre-receive --branch main    # in hooks/pre-receive"
    )]
    PreReceive(Branch),
    /// Run a pass over what was pushed, and tell how it goes. It goes on if nobody listens.
    #[command(
        after_help = "Examples:\n  exec tiedown hook post-receive --branch main    # in hooks/post-receive"
    )]
    PostReceive(Branch),
}

#[derive(Debug, clap::Args)]
struct Branch {
    /// The branch that is followed; by default the one that HEAD names.
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
}

/// What the pass over a push waits for someone else's passes, in seconds.
const LOCK_TIMEOUT: &str = "3600";
/// How often what a pass says is passed on.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let place = place(global)?;
    let repository = Repository::open(&place)?;
    let (Which::PreReceive(asked) | Which::PostReceive(asked)) = &args.which;
    let branch = match &asked.branch {
        Some(branch) => branch.clone(),
        None => repository.head_branch()?,
    };
    let Some(pushed) = pushed(&branch)? else { return Ok(Exit::Done) };
    match &args.which {
        Which::PreReceive(_) => judge(&repository, &branch, pushed, output).await.map(Ending::exit),
        Which::PostReceive(_) => pass_on(&place, &branch, output).await,
    }
}

/// Git says in `GIT_DIR` which repository it is.
fn place(global: &Global) -> anyhow::Result<Place> {
    let git_dir = global.git_dir.clone().or_else(|| std::env::var_os("GIT_DIR").map(PathBuf::from));
    let git_dir = git_dir.ok_or_else(|| {
        Usage::new("this is called by git, which says what was pushed", "see `tiedown hook --help`")
    })?;
    Ok(Place { dir: global.dir.clone(), git_dir: Some(std::path::absolute(git_dir)?) })
}

/// What the branch is to be, from git's lines `OLD NEW REF`; nothing if it was not pushed to.
fn pushed(branch: &str) -> anyhow::Result<Option<Pushed>> {
    let mut lines = String::new();
    std::io::stdin().read_to_string(&mut lines).context("cannot read what was pushed")?;
    let name = format!("refs/heads/{branch}");
    for line in lines.lines() {
        let mut words = line.split(' ');
        let (Some(_), Some(new), Some(reference)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if reference == name {
            let is_gone = new.bytes().all(|byte| byte == b'0');
            return Ok(Some(match is_gone {
                true => Pushed::Gone,
                false => Pushed::Commit(CommitId::parse(new)?),
            }));
        }
    }
    Ok(None)
}

enum Pushed {
    Commit(CommitId),
    Gone,
}

/// Whether the push may come in.
async fn judge(
    repository: &Repository,
    branch: &str,
    pushed: Pushed,
    output: Output,
) -> anyhow::Result<Ending> {
    let Pushed::Commit(commit) = pushed else {
        let message = format!("the branch {branch} is what the hosts follow, so it stays");
        let hint = "delete manifests in a commit to remove their apps";
        return Err(Refused { message, hint: hint.to_owned() }.into());
    };
    // Git keeps the objects of a push apart until it is accepted.
    let apart = std::env::var_os("GIT_QUARANTINE_PATH");
    if let Some(apart) = apart.or_else(|| std::env::var_os("GIT_OBJECT_DIRECTORY")) {
        repository.read_objects_of(&std::path::absolute(apart)?)?;
    }
    let snapshot = repository.at(&commit)?;
    let abilities = Abilities::probe()?;
    let settings = load(&snapshot, &abilities.machine())?;
    let records = Records::look(&settings)?;
    let orders = records.orders.orders()?;
    let rules = in_force(settings, &orders, false);
    let ask = Ask {
        snapshot: &snapshot,
        settings: &rules.settings,
        abilities: &abilities,
        records: &records,
        selection: &Selection::default(),
        permits: Permits::NONE,
    };
    let decided = ask.would_wait(&orders, &rules).await?;
    show(&decided.looked, output)?;
    let refused = decided.looked.report.lines.iter().filter(|line| line.kind == Kind::Refused);
    let refused: Vec<String> =
        refused.map(|line| format!("{}: {}", line.object, line.why)).collect();
    if refused.is_empty() {
        // What waits or cannot be done now is no reason to keep a commit out.
        return Ok(Ending::default());
    }
    let message = format!("the push is refused: {}", refused.join("; "));
    let hint = "the report above says what would change that";
    Err(Refused { message, hint: hint.to_owned() }.into())
}

/// Runs a pass that outlives whoever pushed, and tells what it says for as long as they listen.
async fn pass_on(place: &Place, branch: &str, output: Output) -> anyhow::Result<Exit> {
    let git_dir = place.git_dir.clone().unwrap_or_default();
    if let Some(pid) = daemon(place, branch) {
        let told = format!("tiedown serve (pid {pid}) takes it from here: `tiedown status`\n");
        output.result(&told)?;
        return Ok(Exit::Done);
    }
    let mut args: Vec<OsString> = Vec::new();
    args.extend(["serve", "--once", "--lock-timeout", LOCK_TIMEOUT].map(OsString::from));
    args.extend(["--branch".into(), branch.into(), "--git-dir".into(), git_dir.into()]);
    args.extend(["-C".into(), place.dir.clone().into()]);
    let said = tempfile()?;
    let log = said.try_clone().context("cannot share a file")?;
    let mut pass = command::leave_running(&args, log).context("cannot run a pass")?;
    let mut told = 0;
    loop {
        let ended = pass.try_wait().context("cannot wait for the pass")?;
        told += tell(&said, told, output)?;
        if ended.is_some() {
            tell(&said, told, output)?;
            // The push is in; how the pass ended was told.
            return Ok(Exit::Done);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The daemon that follows the repository, if one does.
fn daemon(place: &Place, branch: &str) -> Option<u32> {
    let repository = Repository::open(place).ok()?;
    let snapshot = repository.at(&repository.branch(branch).ok()?).ok()?;
    let settings = load(&snapshot, &Abilities::probe().ok()?.machine()).ok()?;
    let holder = Records::look(&settings).ok()?.catalog.holder(&LockName::Passes)?;
    (holder.purpose == DAEMON).then_some(holder.pid)
}

/// A file without a name, which is gone when nobody has it open any more.
fn tempfile() -> anyhow::Result<std::fs::File> {
    let path: &Path = Path::new("pass");
    let file = rustix::fs::memfd_create(path, rustix::fs::MemfdFlags::CLOEXEC);
    Ok(file.context("cannot make a file in memory")?.into())
}

/// Passes on what the pass has said since; gives how many bytes.
fn tell(said: &std::fs::File, from: u64, output: Output) -> anyhow::Result<u64> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let at = from + bytes.len() as u64;
        match said.read_at(&mut buffer, at).context("cannot read what the pass says")? {
            0 => break,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    if !bytes.is_empty() {
        output.bytes(&bytes)?;
    }
    Ok(bytes.len() as u64)
}
