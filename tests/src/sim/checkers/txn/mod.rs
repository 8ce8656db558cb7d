//! What must be true of transactions. Plain data in, what is wrong out; each takes time in proportion
//! to the history.
//!
//! | file | claim |
//! |---|---|
//! | [`append`] | lists grow by whole transactions, in one order for all; no forbidden cycle |
//! | [`graph`] | the search for cycles |
//! | [`stamps`] | timestamps agree with what was read, and with real time |
//! | [`bank`] | money is neither made nor lost, in any snapshot |
//! | [`fork`] | readers agree on the order of unrelated writes |
//! | [`once`] | one idempotency key, one outcome |
//! | [`book`] | all notes of a run, and the verdict |
pub mod append;
pub mod bank;
pub mod book;
pub mod fork;
pub mod graph;
pub mod once;
pub mod stamps;
