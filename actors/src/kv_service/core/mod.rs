//! What the service layer decides. Pure.
//!
//! | file | subject |
//! |---|---|
//! | [`cache`] | which Region holds a key, and who leads it |
//! | [`reaction`] | what an error means for the request |
//! | [`causes`] | what was seen, and the code that a request ends with |
pub mod cache;
pub mod causes;
pub mod reaction;

pub use cache::{RegionCache, Route};
pub use causes::Causes;
pub use reaction::{Pauses, Reaction, on_region_error, on_transport_error};
