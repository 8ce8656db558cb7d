//! The Placement Driver (PD): members, ids, timestamps, Region routes, placement.
//!
//! PD's state is rows in the system Region, which its own Raft group replicates like any other
//! Region. On each node runs one [`PdActor`] under the node's supervisor. The one whose node holds
//! the leader of the system Region leads PD; the others say who does. Routes, figures and operators
//! are never stored: a new leader learns them from heartbeats.
//!
//! | file | subject |
//! |---|---|
//! | [`core`] | all decisions, pure |
//! | [`actor`] | the thin actor: messages in, effects out |
//! | [`region_one`] | how the actor reaches the rows |
//! | [`oracle`] | the window that timestamps are taken from without a message |
//! | [`handle`] | [`start`], and PD as its node calls it |
//!
//! ```text
//!  gateway, Store ──► PdHandle ──PdCall──► PdActor ──► Core::step ──► Reply, UpdateDirectory
//!                        │                  │  ▲            │
//!        Timestamps      │           Status │  │ rows       │ LoadRows, WriteRows
//!                        ▼                  ▼  │            ▼
//!                    TsoOracle          RegionService: replica of Region 1 on a local Store
//! ```
//!
//! | message | from → to | delivery |
//! |---|---|---|
//! | [`PdCall`] | [`PdHandle`] → PdActor | Ask |
//!
//! Left out so far: placement by labels, balancing by load, hot Regions, merges and safe points.
pub mod actor;
pub mod core;
pub mod handle;
pub mod oracle;
pub mod region_one;

pub use crate::core::{BootstrapPlan, PdOptions};
pub use actor::{PdActor, PdCall, PdParts};
pub use handle::{PdHandle, start};
