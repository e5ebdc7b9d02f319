//! The binary `tiedown`: the hidden stages of supervised processes, or the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    // Before any thread exists: a supervisor forks.
    if args.nth(1).is_some_and(|first| first == "internal") {
        return executor::runtime::process::internal_main(args);
    }
    reconciler::cli::main(std::env::args_os())
}
