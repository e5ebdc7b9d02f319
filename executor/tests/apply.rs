//! The apply loop on hosts and a catalog in memory: order, failures, and a cut at every boundary.

#[path = "apply/bed.rs"]
mod bed;
#[path = "apply/boundaries.rs"]
mod boundaries;
#[path = "apply/failures.rs"]
mod failures;
#[path = "apply/front.rs"]
mod front;
#[path = "apply/gates.rs"]
mod gates;
#[path = "apply/parallel.rs"]
mod parallel;
#[path = "apply/ways_back.rs"]
mod ways_back;
