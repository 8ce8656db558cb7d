//! The transactional space of the fake cluster: the real commands on an engine in memory, one at a time.
use std::collections::BTreeMap;
use std::sync::Mutex;
use troupe_storage::apply::txn_modify;
use troupe_storage::engine::memory::MemoryEngine;
use troupe_storage::engine::{Durability, KvEngine, WriteBatch};
use troupe_storage::read::read;
use troupe_storage::txn::{TxnContext, execute};
use troupe_types::request::RegionResult;
use troupe_types::txn::{TxnCommand, TxnError, TxnResult};
use troupe_types::{ReadCommand, ReadReply, RegionError, Timestamp};

/// Looks at each command first; what it answers is the answer.
pub type Instead = Box<dyn FnMut(&TxnWorld, &TxnCommand) -> Option<RegionResult> + Send>;

/// Versions, locks, and the largest timestamp that was read at.
#[derive(Default)]
pub struct TxnWorld {
    engine: MemoryEngine,
    max_ts: Mutex<Timestamp>,
    /// What commands answer, if they are to fail.
    pub refuse: Mutex<Option<RegionError>>,
    /// What commands meet before they are executed.
    pub instead: Mutex<Option<Instead>>,
}

impl TxnWorld {
    /// Answers reads of the transactional space.
    pub fn read(&self, command: &ReadCommand) -> Option<ReadReply> {
        let now = match command {
            ReadCommand::RawGet { .. }
            | ReadCommand::RawScan { .. }
            | ReadCommand::RawChecksum { .. }
            | ReadCommand::SystemScan { .. } => return None,
            _ => Default::default(),
        };
        let mut max_ts = self.max_ts.lock().unwrap();
        if let Some(view) = command.view().filter(|view| view.ts != Timestamp::MAX) {
            *max_ts = view.ts.max(*max_ts);
        }
        Some(read(&*self.engine.snapshot(), command, now).unwrap())
    }

    /// What is answered in place of executing a command.
    pub fn instead_of(&self, command: &TxnCommand) -> Option<RegionResult> {
        let mut instead = self.instead.lock().unwrap().take()?;
        let answer = instead(self, command);
        self.instead.lock().unwrap().get_or_insert(instead);
        answer
    }

    /// How many locks are stored.
    pub fn locks(&self) -> usize {
        let (range, max_ts) = (troupe_types::KeyRange::txn_space(), Timestamp::MAX);
        let all = ReadCommand::ScanLocks { range, max_ts, limit: 1000 };
        match read(&*self.engine.snapshot(), &all, Default::default()).unwrap() {
            ReadReply::Locks { locks, .. } => locks.len(),
            other => panic!("{other:?}"),
        }
    }

    /// Executes a command. It never waits for locks.
    pub fn execute(&self, command: &TxnCommand) -> TxnResult {
        let max_ts = self.max_ts.lock().unwrap();
        let snapshot = self.engine.snapshot();
        let context = TxnContext {
            snapshot: &*snapshot,
            memory: &BTreeMap::new(),
            max_ts: *max_ts,
            may_remember: false,
            gc_safe_point: Timestamp::ZERO,
        };
        let executed = execute(command, &context).unwrap();
        let changes = executed.changes.iter().map(txn_modify).collect();
        self.engine.write(WriteBatch { changes }, Durability::Buffered).unwrap();
        match (executed.result, executed.waits_for) {
            (Some(result), _) => result,
            (None, Some(lock)) => Err(TxnError::Locked(lock)),
            (None, None) => panic!("a command without result waits for a lock"),
        }
    }
}
