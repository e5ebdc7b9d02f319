//! What is decided, rule by rule: a fleet, a change of what is wanted or there, and what the plan
//! and its report say. Every plan here is judged, carried out in simulation and made again.

mod deploys;
mod drift;
mod guards;
mod moves;
mod places;
mod reverts;
mod sizes;
mod trust;
mod world;
