//! Reading manifests: against flyctl's own readings, against exact messages, and against bytes
//! that nobody would write.

mod corpus;
mod documented;
mod edges;
mod edits;
mod golden;
mod hostile;
