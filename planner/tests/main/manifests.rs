//! Reading manifests: against flyctl's own readings, against exact messages, and against bytes
//! that nobody would write.

mod corpus;
mod golden;
mod hostile;

use planner::manifest::code::Flyctl;
use planner::manifest::problem::Problem;

/// Whether flyctl's own validation passes, going by our problems.
fn passes_flyctl(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| match problem.flyctl {
        Flyctl::CannotRead | Flyctl::Refuses => false,
        Flyctl::Warns | Flyctl::Silent => true,
    })
}
