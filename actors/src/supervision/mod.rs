//! Supervision: a crashed actor is fenced, dropped, and built anew from durable state.
//!
//! actix's own supervisor does not survive a panic, and on a clean stop it reuses the old struct. So
//! a parent holds a [`ChildSpec`] and runs [`supervise`] for each child:
//!
//! ```text
//!           ┌────────────────────────── restart after a back-off ◄───────────────┐
//!           ▼                                                                    │ within intensity
//!  start (from disk) ─► install in the router ─► Life: poll, catching panics ─► fence ─► drop
//!           │ error                                      │ stopped                │ over intensity
//!           ▼                                            ▼                        ▼
//!      quarantine                                     Stopped         quarantine, or end the process
//! ```
//! The order after a panic is fixed: (1) the fence closes what others still read of the dead life
//! (read delegate, lease, router entry) and begins a new generation, (2) the context is terminated so
//! that no queued message runs on the broken struct, (3) the actor is dropped; a second panic there
//! ends the process.
//!
//! | file | subject |
//! |---|---|
//! | [`core`] | pure: intensity window, back-off, storm of panics |
//! | [`life`] | one life: the only `catch_unwind` around an actor |
//! | [`supervisor`] | starts, watches, restarts, gives up |
pub mod core;
pub mod life;
pub mod supervisor;

pub use core::{Policy, RestartPolicy, StormMeter};
pub use supervisor::{
    ChildHandle, ChildSpec, StartFailure, Verdict, start_essential, start_essential_as, supervise,
};

#[cfg(test)]
mod tests;
