//! The JSON gateway: requests in, calls of the service layer, JSON out.
//!
//! ```text
//! socket ─► gate (host, admission, panics, headers) ─► route ─► KvService ─► JSON or a problem
//! ```
//! | module | subject |
//! |---|---|
//! | [`server`] | the server of a node; [`server::app`] for tests |
//! | [`state`] | what a gateway is made of and what its handlers share |
//! | [`gate`] | the one middleware; reading bodies; deadline, consistency, trace |
//! | [`routes`] | operations and their handlers, by resource |
//! | [`import`], [`export`] | streams of rows |
//! | [`space`], [`rows`], [`scan`] | rows of both spaces as requests give them, and pages of them |
//! | [`txn`] | transactions out of what requests say |
//! | [`json`], [`range`], [`cursor`] | what stands in requests and replies |
//! | [`pd`] | questions to the Placement Driver |
//! | [`error`], [`error_pages`] | problems and what people read about them |
//! | [`openapi`], [`metrics`] | made from the table of operations |
//!
//! To add an operation: one entry in a file of [`routes`] and its handler below. Strictness of
//! parameters, 405 and `Allow`, metrics and the OpenAPI document follow from the entry.
pub mod cursor;
pub mod error;
pub mod error_pages;
pub mod export;
pub mod gate;
pub mod import;
pub mod json;
pub mod metrics;
pub mod openapi;
pub mod pd;
pub mod range;
pub mod routes;
pub mod rows;
pub mod scan;
pub mod server;
pub mod space;
pub mod state;
pub mod txn;

pub use error::Problem;
pub use metrics::{Sample, SampleKind};
pub use server::{HttpServer, app, start};
pub use state::{ExtraMetrics, HttpParts, HttpState, ReadyChecks};

#[cfg(test)]
mod tests;
