//! What a lock's transaction came to, by its primary, and what the finder of the lock does about it.
use troupe_types::txn::command::StatusAction;
use troupe_types::txn::{LockInfo, LockKind, TxnCommand, TxnReply, TxnStatus, has_expired};
use troupe_types::{Key, Timestamp};

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Committed.
    Committed(Timestamp),
    /// Rolled back for good.
    RolledBack,
    /// Its pessimistic locks are void, but nothing forbids it to go on without them.
    LocksVoid,
    /// It is alive, and will commit behind the reader that asks.
    Pushed,
    /// It is alive.
    Alive,
}

/// What to do after a status check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// That is it.
    Fate(Fate),
    /// It commits asynchronously, and its coordinator is dead: it is committed if all these are
    /// locked. The primary lock's part of the commit timestamp comes with them.
    AskSecondaries {
        /// All keys but the primary.
        keys: Vec<Key>,
        /// See [`LockInfo::min_commit_ts`].
        min_commit_ts: Timestamp,
    },
}

/// Has the lock expired at `now`?
#[must_use]
pub const fn is_expired(lock: &LockInfo, now: Timestamp) -> bool {
    has_expired(lock.start_ts, lock.ttl_ms, now)
}

/// Judges a status, asked at `now`.
#[must_use]
pub fn judge(status: &TxnStatus, now: Timestamp) -> Judged {
    match status {
        TxnStatus::Committed { commit_ts } => Judged::Fate(Fate::Committed(*commit_ts)),
        TxnStatus::RolledBack { action } => Judged::Fate(match action {
            StatusAction::ExpiredPessimisticRolledBack | StatusAction::MissingDoNothing => {
                Fate::LocksVoid
            }
            StatusAction::None
            | StatusAction::ExpiredRolledBack
            | StatusAction::MissingRolledBack
            | StatusAction::MinCommitTsPushed => Fate::RolledBack,
        }),
        TxnStatus::Alive { lock, .. } if lock.use_async_commit && is_expired(lock, now) => {
            Judged::AskSecondaries {
                keys: lock.secondaries.clone(),
                min_commit_ts: lock.min_commit_ts,
            }
        }
        TxnStatus::Alive { action: StatusAction::MinCommitTsPushed, .. } => {
            Judged::Fate(Fate::Pushed)
        }
        TxnStatus::Alive { .. } => Judged::Fate(Fate::Alive),
    }
}

/// What the secondaries of an asynchronous commit say, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secondaries {
    /// All that answered are locked; it commits at this or later.
    Locked(Timestamp),
    /// It is over: when it committed, or 0.
    Decided(Timestamp),
    /// Some lock is that of an ordinary commit: the primary alone decides.
    Ordinary,
}

impl Secondaries {
    /// Before any answer.
    #[must_use]
    pub fn none(min_commit_ts: Timestamp) -> Self {
        Self::Locked(min_commit_ts)
    }

    /// Joins the answer of one Region about `asked` keys.
    #[must_use]
    pub fn and(self, asked: usize, locks: &[LockInfo], commit_ts: Timestamp) -> Self {
        match self {
            Self::Locked(least) => {
                if commit_ts > Timestamp::ZERO || locks.len() < asked {
                    Self::Decided(commit_ts)
                } else if locks.iter().any(|lock| !lock.use_async_commit) {
                    Self::Ordinary
                } else {
                    let latest = locks.iter().map(|lock| lock.min_commit_ts).max();
                    Self::Locked(least.max(latest.unwrap_or_default()))
                }
            }
            // A missing lock outweighs what the others say; a commit outweighs all.
            Self::Ordinary if commit_ts > Timestamp::ZERO || locks.len() < asked => {
                Self::Decided(commit_ts)
            }
            Self::Decided(known) => Self::Decided(known.max(commit_ts)),
            Self::Ordinary => Self::Ordinary,
        }
    }
}

/// The command that takes a lock away, once the fate of its transaction is known; `None` while it is
/// alive.
#[must_use]
pub fn removal(lock: &LockInfo, fate: Fate) -> Option<TxnCommand> {
    let keys = vec![lock.key.clone()];
    let start_ts = lock.start_ts;
    let is_pessimistic = lock.kind == LockKind::Pessimistic;
    let commit_ts = match fate {
        Fate::Alive | Fate::Pushed => return None,
        // Only pessimistic locks end without a record that says so.
        Fate::LocksVoid if !is_pessimistic => return None,
        Fate::Committed(commit_ts) => commit_ts,
        Fate::RolledBack | Fate::LocksVoid => Timestamp::ZERO,
    };
    Some(if is_pessimistic {
        // A pessimistic lock of a committed transaction was left behind by a lock request that came
        // late: it holds nothing.
        let for_update_ts = lock.for_update_ts;
        TxnCommand::PessimisticRollback { keys, start_ts, for_update_ts }
    } else {
        TxnCommand::ResolveKeys { keys, start_ts, commit_ts }
    })
}

/// What a read does with a lock in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForReader {
    /// Pass it by; take it away behind the reader's back, if its transaction is over.
    Bypass,
    /// Take it away, then read again: the value is part of the snapshot.
    Remove,
    /// Wait.
    Wait,
}

/// What a read at `ts` does with a lock of a transaction with this fate.
#[must_use]
pub fn for_reader(fate: Fate, ts: Timestamp) -> ForReader {
    match fate {
        // What commits behind the snapshot is not part of it. The newest (`MAX`) includes all.
        Fate::Committed(commit_ts) if commit_ts > ts => ForReader::Bypass,
        Fate::Committed(_) => ForReader::Remove,
        Fate::RolledBack | Fate::Pushed => ForReader::Bypass,
        // Readers do not see pessimistic locks; one that is met all the same may just have been
        // turned into a lock with a value.
        Fate::LocksVoid | Fate::Alive => ForReader::Wait,
    }
}

/// The answer to a check of secondaries, if it is one.
#[must_use]
pub fn secondaries_of(reply: &TxnReply) -> Option<(&[LockInfo], Timestamp)> {
    match reply {
        TxnReply::Secondaries { locks, commit_ts } => Some((locks, *commit_ts)),
        TxnReply::Done
        | TxnReply::Prewritten { .. }
        | TxnReply::Blocked(_)
        | TxnReply::Locked(_)
        | TxnReply::Alive { .. }
        | TxnReply::Status(_) => None,
    }
}
