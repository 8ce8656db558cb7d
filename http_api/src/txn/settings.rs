//! How a transaction runs, as bodies say it.
use crate::error::Problem;
use crate::json::strict::not_one_of;
use std::time::Duration;
use troupe_config::units::duration;
use troupe_types::txn::session::{CommitProtocol, TxnIsolation, TxnMode, TxnSettings};

/// Longest wait for locks: longer than any request may last.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// What bodies say of it.
#[derive(Debug, Default)]
pub struct SettingsIn {
    /// Name of the mode.
    pub mode: Option<String>,
    /// Name of the isolation.
    pub isolation: Option<String>,
    /// Name of the commit protocol.
    pub commit: Option<String>,
    /// How long it waits for locks.
    pub lock_wait: Option<String>,
}

impl SettingsIn {
    /// Reads them.
    ///
    /// # Errors
    /// `BAD_PARAMETER`.
    pub fn read(&self) -> Result<TxnSettings, Problem> {
        let mode = choice("mode", self.mode.as_deref(), &["optimistic", "pessimistic"])?;
        let isolation = ["snapshot", "serializable"];
        let isolation = choice("isolation", self.isolation.as_deref(), &isolation)?;
        let commit = choice("commit", self.commit.as_deref(), &["auto", "async", "two_phase"])?;
        let wait = self.lock_wait.as_deref().map(|text| wait_ms("lock_wait", text));
        Ok(TxnSettings {
            mode: [TxnMode::Optimistic, TxnMode::Pessimistic][mode],
            isolation: [TxnIsolation::Snapshot, TxnIsolation::Serializable][isolation],
            commit: [CommitProtocol::Auto, CommitProtocol::Async, CommitProtocol::TwoPhase][commit],
            lock_wait_ms: wait.transpose()?,
        })
    }
}

/// Which of `names` it is; the first, if nothing is said.
fn choice(name: &str, text: Option<&str>, names: &[&str]) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(0) };
    let found = names.iter().position(|known| *known == text);
    found.ok_or_else(|| not_one_of(name, text, names))
}

/// How long to wait, in milliseconds; 0: not at all.
///
/// # Errors
/// `BAD_PARAMETER`.
pub fn wait_ms(name: &str, text: &str) -> Result<u64, Problem> {
    let wait = duration::from_text(text).map_err(|why| Problem::bad_parameter(name, why))?;
    if wait > WAIT_MAX {
        return Err(Problem::bad_parameter(name, "a wait is at most 1h"));
    }
    Ok(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}
