//! What the suites in `tests/tests/` share.
pub mod tidy;
