//! `tiedown completions` and `tiedown man`: for shells and readers.

use super::exit::Ending;
use super::output::Output;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown completions bash > /etc/bash_completion.d/tiedown")]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Print the manual page.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tiedown man > /usr/local/share/man/man1/tiedown.1")]
pub(super) struct ManArgs {}

pub(super) fn run(
    args: &Args,
    output: Output,
    mut command: clap::Command,
) -> anyhow::Result<Ending> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut command, "tiedown", &mut bytes);
    output.bytes(&bytes)?;
    Ok(Ending::default())
}

pub(super) fn man(_: &ManArgs, output: Output, command: &clap::Command) -> anyhow::Result<Ending> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut bytes)?;
    output.bytes(&bytes)?;
    Ok(Ending::default())
}
