//! What the coordinator decides. Pure.
//!
//! | file | subject |
//! |---|---|
//! | [`buffer`] | what a transaction wrote, and what it sees of that itself |
//! | [`eval`] | conditions, and sums of decimal numbers |
//! | [`plan`] | the mutations of a commit, their primary, and how they are committed |
//! | [`fate`] | what a lock's transaction came to, and what its finder does |
//! | [`decided`] | transactions whose end is known |
//! | [`reads`] | what a serializable transaction read, and whether it is still so |
pub mod buffer;
pub mod decided;
pub mod eval;
pub mod fate;
pub mod plan;
pub mod reads;

#[cfg(test)]
mod tests;
