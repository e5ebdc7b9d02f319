//! `tiedown serve`: passes that nobody asks for.

mod tell;

use super::LogFormat;
use super::error::Usage;
use super::exit::{Ending, Exit};
use super::global::Global;
use super::output::Output;
use super::plan::of_report;
use super::stop;
use crate::fleet::Abilities;
use crate::repository::Place;
use crate::serve::drive::{Timing, drive};
use crate::serve::follow::Follow;
use crate::serve::passes::{Passed, Passes, Teller};
use crate::serve::shown::Shown;
use crate::serve::trigger::Triggers;
use crate::serve::web::{API_TOKEN, WEBHOOK_SECRET, Web};
use crate::serve::{DAEMON, ONCE};
use anyhow::Context;
use executor::catalog::CatalogError;
use executor::names;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tell::{Log, Screen};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Follow a branch: plan and apply by itself what `auto` of [policy] lets happen, on every push,
/// on webhooks, and from time to time.
///
/// What takes something away waits for `tiedown approve`. Of several on one fleet one acts, and
/// another takes over when it ends. Secrets are taken from the environment: TIEDOWN_GIT_TOKEN for
/// an https remote, TIEDOWN_WEBHOOK_SECRET for webhooks, TIEDOWN_API_TOKEN for readers of /api.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown serve --git-dir /srv/git/fleet.git
  tiedown serve --remote git@git.example.com:ops/fleet.git --branch main --listen 127.0.0.1:8470
  tiedown serve --once")]
pub(super) struct Args {
    /// Follow a remote instead of a repository of this machine: https, ssh, or a path.
    #[arg(long, value_name = "URL", conflicts_with = "git_dir")]
    remote: Option<String>,
    /// The branch; by default the one that HEAD names, of a remote `main`.
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Keep the copy of the remote here; by default with the state of fleets.
    #[arg(long, value_name = "DIR", requires = "remote")]
    mirror: Option<PathBuf>,
    /// Answer HTTP here: /healthz, /readyz, /metrics, /api/v1/… and /webhook.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "once")]
    listen: Option<SocketAddr>,
    /// Let whoever reaches it read /api, also from elsewhere: such as jobs that plan what comes from
    /// forks, and have no token.
    #[arg(long, requires = "listen")]
    public: bool,
    /// Who may vouch for a commit by signing it, or a tag of it, with an ssh key: a file of allowed
    /// signers, as ssh-keygen reads it. What they signed needs no approval.
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,
    /// How often to look for a push that nobody tells of, in seconds: 1 by default, of a remote 60.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    poll: Option<u64>,
    /// One pass, then end.
    #[arg(long)]
    once: bool,
    /// How long to wait for someone else's passes, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, requires = "once")]
    lock_timeout: u64,
    /// How logs are written to standard error.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

impl Args {
    /// How logs are written, and which, if nobody says.
    pub(super) const fn logs(&self) -> (LogFormat, Option<&'static str>) {
        let level = if self.once { None } else { Some("info") };
        (self.log_format, level)
    }
}

/// How often `--once` looks whether somebody else's passes ended, or whether there is a newer
/// commit.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Exit> {
    let abilities = Abilities::probe()?;
    let follow = follow(args, global, &abilities)?;
    let shown = Arc::new(Shown::default());
    let (teller, purpose): (Arc<dyn Teller>, _) = match args.once {
        true => (Arc::new(Screen::new(output)), ONCE),
        false => (Arc::new(Log), DAEMON),
    };
    let (signers, showing) = (args.signers.clone(), Arc::clone(&shown));
    let passes = Passes::new(follow, abilities, signers, showing, teller, purpose);
    match args.once {
        true => once(args, &passes, output).await,
        false => daemon(args, &passes, &shown, output).await,
    }
}

/// What is followed. The copy of a remote has a place of its own, by the remote's address.
fn follow(args: &Args, global: &Global, abilities: &Abilities) -> anyhow::Result<Follow> {
    if global.worktree || global.rev != "HEAD" {
        let hint = "say which with --branch";
        return Err(Usage::new("a branch is followed, no commit and no work tree", hint).into());
    }
    let mut place = Place { dir: global.dir.clone(), git_dir: global.git_dir.clone() };
    if let Some(url) = &args.remote {
        let base = abilities.machine().state_base();
        let mirror = match (&args.mirror, base) {
            (Some(mirror), _) => std::path::absolute(mirror)?,
            (None, Some(base)) => names::mirror(&base, url),
            (None, None) => {
                let hint = "say where with --mirror DIR";
                let message = "neither HOME nor XDG_STATE_HOME says where a copy could be kept";
                return Err(Usage::new(message, hint).into());
            }
        };
        if let Some(above) = mirror.parent() {
            std::fs::create_dir_all(above)
                .with_context(|| format!("cannot make {}", above.display()))?;
        }
        place.git_dir = Some(mirror);
    }
    let branch = args.branch.clone().or_else(|| args.remote.is_some().then(|| "main".to_owned()));
    Ok(Follow { place, branch, remote: args.remote.clone(), turn: Arc::default() })
}

async fn daemon(
    args: &Args,
    passes: &Passes,
    shown: &Arc<Shown>,
    output: Output,
) -> anyhow::Result<Exit> {
    let triggers = Arc::new(Triggers::default());
    let _watching = match &passes.follow.remote {
        Some(_) => None,
        None => Some(passes.follow.watch(Arc::clone(&triggers))?),
    };
    if let Some(address) = args.listen {
        listen(address, args.public, shown, &triggers).await?;
    }
    let poll = args.poll.unwrap_or(if args.remote.is_some() { 60 } else { 1 });
    let timing = Timing {
        together: Duration::from_millis(50),
        poll: Duration::from_secs(poll),
        retry: (Duration::from_secs(1), Duration::from_secs(300)),
    };
    let (end, ends) = watch::channel(false);
    let stopped = async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let wait = async |interrupt: &mut tokio::signal::unix::Signal,
                          terminate: &mut tokio::signal::unix::Signal| {
            tokio::select! {
                _ = interrupt.recv() => Exit::Interrupted,
                _ = terminate.recv() => Exit::Terminated,
            }
        };
        wait(&mut interrupt, &mut terminate).await;
        output.say("ending when the steps that run are done; once more to end at once");
        end.send_replace(true);
        anyhow::Ok(wait(&mut interrupt, &mut terminate).await)
    };
    tokio::select! {
        // Whoever is asked to end and does has done as it was told.
        () = drive(passes, &triggers, timing, ends) => Ok(Exit::Done),
        at_once = stopped => at_once,
    }
}

/// Answers HTTP from now on. What is said over the network to everybody needs a token, or somebody
/// who wants it so.
async fn listen(
    address: SocketAddr,
    public: bool,
    shown: &Arc<Shown>,
    triggers: &Arc<Triggers>,
) -> anyhow::Result<()> {
    let secret = |name: &str| std::env::var(name).ok().filter(|secret| !secret.is_empty());
    let token = secret(API_TOKEN);
    if public && token.is_some() {
        let message = "/api is either public or has a token";
        return Err(Usage::new(message, format!("unset {API_TOKEN}, or omit --public")).into());
    }
    if !address.ip().is_loopback() && token.is_none() && !public {
        let message = format!("{address} can be reached from elsewhere, and /api has no token");
        let hint = format!("set {API_TOKEN}, listen on 127.0.0.1, or say --public");
        return Err(Usage::new(message, hint).into());
    }
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "answering");
    let webhook = secret(WEBHOOK_SECRET);
    let web = Web::new(Arc::clone(shown), Arc::clone(triggers), webhook, token);
    tokio::spawn(web.serve(listener));
    Ok(())
}

/// One pass, and another one after it if it did something: what waited for that can go on.
async fn once(args: &Args, passes: &Passes, output: Output) -> anyhow::Result<Exit> {
    passes.follow.fetch().await?;
    let deadline = Instant::now() + Duration::from_secs(args.lock_timeout);
    let stop = Arc::new(AtomicBool::new(false));
    let work = async {
        let mut acted = false;
        loop {
            let newer = Arc::new(AtomicBool::new(false));
            let passed = tokio::select! {
                passed = passes.run(&newer) => passed,
                never = until_newer(passes, &stop, &newer) => never,
            };
            match passed? {
                Passed::Standby(holder) if Instant::now() >= deadline => {
                    let what = "the running of passes".to_owned();
                    return Err(CatalogError::Locked { what, holder }.into());
                }
                Passed::Standby(_) => tokio::time::sleep(LOOK).await,
                Passed::Done { decided, outcome, .. } => {
                    let was_stopped = stop.load(Ordering::Relaxed);
                    let did = !outcome.done.is_empty();
                    let again = newer.load(Ordering::Relaxed) || did && !acted;
                    acted = did;
                    if was_stopped || !again {
                        let partly = !outcome.is_complete();
                        let ending = Ending { partly, ..of_report(&decided.looked.report) };
                        return Ok(ending.exit());
                    }
                }
            }
        }
    };
    stop::patiently(&stop, output, work).await
}

/// Asks the pass that runs to end, when there is a newer commit or somebody asked for an end.
async fn until_newer<T>(passes: &Passes, stop: &AtomicBool, newer: &AtomicBool) -> T {
    let now = || passes.follow.open().ok().map(|(_, commit)| commit);
    let began = now();
    loop {
        tokio::time::sleep(LOOK).await;
        let is_newer = now().is_some_and(|commit| Some(&commit) != began.as_ref());
        if stop.load(Ordering::Relaxed) || is_newer {
            newer.store(true, Ordering::Relaxed);
        }
    }
}
