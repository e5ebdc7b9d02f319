//! The command line: what can be asked, and the one place where a command's end becomes an exit
//! code. Each command is a file of its own.

mod apply;
mod approve;
mod by_hand;
mod changes;
mod comment;
mod completions;
mod config;
mod doctor;
mod down;
mod drift;
mod edit;
mod error;
mod exec;
mod exit;
mod global;
mod history;
mod hold;
mod hook;
mod host;
mod init;
mod install;
mod keys;
mod logs;
mod observe;
mod opened;
mod output;
mod paint;
mod pause;
mod plan;
mod progress;
mod restart;
mod resume;
mod review;
mod run;
mod schema;
mod secrets;
mod serve;
mod simulate;
mod status;
mod stop;
mod validate;
mod volumes;
mod why;

use clap::{CommandFactory, Parser, Subcommand};
use error::Usage;
use exit::{Ending, Exit};
use global::{Asked, Global};
use output::Output;
use std::ffi::OsString;
use std::process::ExitCode;

/// Makes hosts match the fly.toml files of a git repository.
///
/// tiedown reads manifests and tiedown.toml from a commit, looks at the hosts, and plans and
/// applies volumes and the deploys of the instances that sit on them.
#[derive(Debug, Parser)]
#[command(name = "tiedown", version, after_help = after_help(), max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Doctor(doctor::Args),
    Validate(validate::Args),
    Config(config::Args),
    Edit(edit::Args),
    Plan(plan::Args),
    Comment(comment::Args),
    Changes(changes::Args),
    Apply(apply::Args),
    Observe(observe::Args),
    Simulate(simulate::Args),
    Drift(drift::Args),
    Status(status::Args),
    Why(why::Args),
    History(history::Args),
    Logs(logs::Args),
    Volumes(volumes::Args),
    Secrets(secrets::Args),
    Hold(hold::Args),
    Unhold(hold::UnholdArgs),
    Restart(restart::Args),
    Run(run::Args),
    Exec(exec::Args),
    Serve(serve::Args),
    Hook(hook::Args),
    Approve(approve::Args),
    Pause(pause::Args),
    Unpause(pause::UnpauseArgs),
    Down(down::Args),
    Resume(resume::Args),
    Keys(keys::Args),
    Host(host::Args),
    Install(install::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(completions::ManArgs),
}

impl Command {
    /// Whether it carries out a plan: its JSON is one object a line, as things happen.
    const fn acts_on_slots(&self) -> bool {
        let by_hand =
            matches!(self, Self::Hold(_) | Self::Unhold(_) | Self::Run(_) | Self::Restart(_));
        by_hand
            || matches!(self, Self::Apply(_))
            || matches!(self, Self::Volumes(args) if args.acts())
    }
}

/// What most people ask, and what the answer ends with.
fn after_help() -> String {
    let examples = "Examples:
  tiedown init && git add tiedown.toml && git commit -m 'A fleet'
  tiedown validate
  tiedown plan
  tiedown apply
  tiedown status";
    format!("{examples}\n\n{}", exit::TABLE)
}

/// Runs the command line and says how it ended.
#[must_use]
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody listening is no error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Error.into() } else { Exit::Done.into() };
        }
    };
    let (format, level) = match &cli.command {
        Command::Serve(args) => args.logs(),
        _ => (LogFormat::Text, None),
    };
    log_to_stderr(format, level);
    let passes_on = matches!(cli.command, Command::Run(_));
    let lines = cli.command.acts_on_slots();
    let output = Output { format: cli.global.format.format(), lines, passes_on };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(&format!("cannot start: {error}"));
            return Exit::Error.into();
        }
    };
    let exit = match runtime.block_on(run(&cli, output)) {
        Ok(exit) => exit,
        Err(error) => error::tell(&error, output).exit(),
    };
    // What still blocks, such as a wait for a lock, must not keep the process.
    runtime.shutdown_background();
    exit.into()
}

async fn run(cli: &Cli, output: Output) -> anyhow::Result<Exit> {
    let global = &cli.global;
    let ended = |ending: anyhow::Result<Ending>| ending.map(Ending::exit);
    if global.format == Asked::Sarif && !matches!(cli.command, Command::Validate(_)) {
        let hint = "ask for text or json; `tiedown validate` has sarif";
        return Err(Usage::new("this command has no --format sarif", hint).into());
    }
    if global.format == Asked::Markdown && !matches!(cli.command, Command::Plan(_)) {
        let hint = "ask for text or json; `tiedown plan` has markdown";
        return Err(Usage::new("this command has no --format markdown", hint).into());
    }
    match &cli.command {
        Command::Init(args) => ended(init::run(args, global, output)),
        Command::Doctor(args) => ended(doctor::run(args, global, output).await),
        Command::Validate(args) => ended(validate::run(args, global, output)),
        Command::Config(args) => ended(config::run(args, global, output)),
        Command::Edit(args) => ended(edit::run(args, global, output)),
        Command::Plan(args) => ended(plan::run(args, global, output).await),
        Command::Changes(args) => ended(changes::run(args, output).await),
        Command::Comment(args) => ended(comment::run(args, global, output).await),
        Command::Apply(args) => apply::run(args, global, output).await,
        Command::Observe(args) => ended(observe::run(args, global, output).await),
        Command::Simulate(args) => ended(simulate::run(args, output)),
        Command::Drift(args) => ended(drift::run(args, global, output).await),
        Command::Status(args) => ended(status::run(args, global, output).await),
        Command::Why(args) => ended(why::run(args, global, output).await),
        Command::History(args) => ended(history::run(args, global, output)),
        Command::Logs(args) => ended(logs::run(args, global, output).await),
        Command::Volumes(args) => volumes::run(args, global, output).await,
        Command::Secrets(args) => ended(secrets::run(args, global, output)),
        Command::Hold(args) => hold::run(args, global, output).await,
        Command::Unhold(args) => hold::unhold(args, global, output).await,
        Command::Run(args) => run::run(args, global, output).await,
        Command::Exec(args) => exec::run(args, global, output).await,
        Command::Restart(args) => restart::run(args, global, output).await,
        Command::Serve(args) => serve::run(args, global, output).await,
        Command::Hook(args) => hook::run(args, global, output).await,
        Command::Approve(args) => ended(approve::run(args, global, output).await),
        Command::Pause(args) => ended(pause::run(args, global, output)),
        Command::Unpause(args) => ended(pause::unpause(args, global, output)),
        Command::Down(args) => down::run(args, global, output).await,
        Command::Resume(args) => resume::run(args, global, output).await,
        Command::Keys(args) => ended(keys::run(args, global, output).await),
        Command::Host(args) => ended(host::run(args, global, output).await),
        Command::Install(args) => ended(install::run(args, global, output).await),
        Command::Schema(args) => ended(schema::run(args, output)),
        Command::Completions(args) => ended(completions::run(args, output, Cli::command())),
        Command::Man(args) => ended(completions::man(args, output, &Cli::command())),
    }
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// `TIEDOWN_LOG` says what is logged, as `RUST_LOG` does elsewhere; else the level, if there is
/// one.
fn log_to_stderr(format: LogFormat, level: Option<&str>) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIEDOWN_LOG").ok();
    let filter = filter.or_else(|| level.map(tracing_subscriber::EnvFilter::new));
    let Some(filter) = filter else { return };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init();
        }
        LogFormat::Json => log.json().init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
