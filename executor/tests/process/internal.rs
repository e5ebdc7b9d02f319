//! Stands in for the `tiedown` binary in tests: answers `internal …` and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    executor::runtime::process::internal_main(std::env::args_os().skip(2))
}
