//! Rows on their way to the system Region, one write at a time, and the answers that wait for them.
//!
//! Rule: no answer shows state that is not durable. Whatever is answered while rows are on their
//! way waits for the last of them. Requests that come in while a write is in flight share the next
//! one.
use super::rows::{LEADER, RowChange};
use super::{EffectId, Output, RequestId, Turn};
use bytes::Bytes;
use troupe_types::StoreId;
use troupe_types::pd::{PdError, PdResult};

/// Rows and what waits for them.
#[derive(Debug, Default)]
struct Group {
    rows: Vec<RowChange>,
    replies: Vec<(RequestId, PdResult)>,
    /// Timestamp bound among the rows.
    tso_ms: Option<u64>,
    /// Do the rows change nodes or Stores?
    has_members: bool,
}

#[derive(Debug)]
struct InFlight {
    id: EffectId,
    group: Group,
    /// It had no effect and shall be sent again.
    again: bool,
}

/// What a finished write made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// A new bound of the timestamps.
    pub tso_ms: Option<u64>,
    /// Nodes or Stores changed.
    pub has_members: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Writer {
    store: StoreId,
    /// Encoded claim that each write expects.
    claim: Bytes,
    next_id: EffectId,
    open: Group,
    in_flight: Option<InFlight>,
}

impl Writer {
    /// Writes through `store` under `claim`; effects are numbered from `next_id`.
    #[must_use]
    pub fn new(store: StoreId, claim: Bytes, next_id: EffectId) -> Self {
        Self { store, claim, next_id, open: Group::default(), in_flight: None }
    }

    /// Number of the next effect, for whoever follows.
    #[must_use]
    pub fn next_id(&self) -> EffectId {
        self.next_id
    }

    /// Adds a row to the next write.
    pub fn stage(&mut self, row: RowChange) {
        self.open.rows.push(row);
    }

    /// Adds a row of a node or Store to the next write.
    pub fn stage_member(&mut self, row: RowChange) {
        self.open.has_members = true;
        self.stage(row);
    }

    /// Adds the row of the timestamp bound to the next write.
    pub fn stage_tso(&mut self, row: RowChange, bound_ms: u64) {
        self.open.tso_ms = Some(bound_ms);
        self.stage(row);
    }

    /// Answers now if all is durable, otherwise behind the last row.
    pub fn answer(&mut self, id: RequestId, result: PdResult, turn: &mut Turn<'_>) {
        match &mut self.in_flight {
            _ if !self.open.rows.is_empty() => self.open.replies.push((id, result)),
            Some(in_flight) => in_flight.group.replies.push((id, result)),
            None => turn.reply(id, result),
        }
    }

    /// Sends what is staged, if nothing is in flight; sends again what had no effect.
    pub fn pump(&mut self, turn: &mut Turn<'_>) {
        if self.in_flight.is_none() && !self.open.rows.is_empty() {
            let group = std::mem::take(&mut self.open);
            self.in_flight = Some(InFlight { id: 0, group, again: true });
        }
        let Some(in_flight) = self.in_flight.as_mut().filter(|write| write.again) else { return };
        in_flight.again = false;
        in_flight.id = self.next_id;
        self.next_id += 1;
        turn.out.push(Output::WriteRows {
            id: in_flight.id,
            store: self.store,
            expect: vec![(LEADER.into(), Some(self.claim.clone()))],
            rows: in_flight.group.rows.clone(),
        });
    }

    /// Is `id` the write that is in flight?
    #[must_use]
    pub fn awaits(&self, id: EffectId) -> bool {
        self.in_flight.as_ref().is_some_and(|write| write.id == id && !write.again)
    }

    /// The write in flight is durable: gives the answers that waited.
    pub fn done(&mut self, turn: &mut Turn<'_>) -> Durable {
        let Some(write) = self.in_flight.take() else { return Durable::default() };
        for (id, result) in write.group.replies {
            turn.reply(id, result);
        }
        Durable { tso_ms: write.group.tso_ms, has_members: write.group.has_members }
    }

    /// The write in flight had no effect: the next [`Writer::pump`] sends it again.
    pub fn try_again(&mut self) {
        if let Some(write) = &mut self.in_flight {
            write.again = true;
        }
    }

    /// The reign ends: every answer that waited becomes `refusal`, and those whose rows may have
    /// been written become [`PdError::Unavailable`].
    pub fn abandon(mut self, refusal: &PdError, is_unknown: bool, turn: &mut Turn<'_>) {
        let unknown = PdError::Unavailable {
            why: "the lead was lost while the change was written; ask again".to_owned(),
        };
        if let Some(write) = self.in_flight.take() {
            let error = if is_unknown { &unknown } else { refusal };
            for (id, _) in write.group.replies {
                turn.reply(id, Err(error.clone()));
            }
        }
        for (id, _) in self.open.replies {
            turn.reply(id, Err(refusal.clone()));
        }
    }
}
