//! Interactive transactions in whole simulated clusters: asked through any node, with owners that die
//! and commits whose answers are lost.
#![allow(clippy::unwrap_used, reason = "these are tests: they may panic")]
#[path = "../known_bugs/cluster.rs"]
#[allow(dead_code, reason = "shared with the known bugs")]
mod cluster;
mod owner_gone;
mod steps;
mod talk;
