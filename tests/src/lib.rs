//! What the suites in `tests/tests/` share.
pub mod nemesis;
pub mod sim;
pub mod tidy;
pub mod workload;
