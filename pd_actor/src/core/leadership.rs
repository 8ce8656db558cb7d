//! Whether this node leads PD.
//!
//! A node tries to lead while its replica of the system Region leads under a valid lease. It reads
//! the claim's row, writes the next claim on condition that the row is unchanged, and only then
//! loads all rows: a write of the predecessor that was still on its way either came before the
//! claim, and is loaded, or comes behind it, and is rejected. Every later write expects the claim.
//! Whatever leaves the state unsure (a write without a known outcome, a new Raft term) ends the
//! reign, and the node begins again from the rows.
use super::bootstrap::BootstrapPlan;
use super::rows::{self, Claim, LEADER, State};
use super::serving::Serving;
use super::writer::Writer;
use super::{EffectId, Input, Output, PdOptions, RequestId, Turn, WriteOutcome};
use crate::oracle::TsoOracle;
use bytes::Bytes;
use std::sync::Arc;
use troupe_types::codec;
use troupe_types::pd::{NodeInfo, PdError, PdRequest};
use troupe_types::{Key, KeyRange, Moment, StoreId, Term, UnixMillis};

/// How a local Store's replica of the system Region is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalStatus {
    /// Which Store.
    pub store: StoreId,
    /// A moment before it was asked.
    pub asked: Moment,
    /// Its term if it leads, and whether its lease was valid.
    pub leads: Option<(Term, bool)>,
    /// gRPC address of the leader's node, if it knows a leader elsewhere.
    pub leader: Option<String>,
}

/// An attempt to lead, or a reign.
#[derive(Debug)]
struct Reign {
    store: StoreId,
    term: Term,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    ReadClaim { id: EffectId },
    WriteClaim { id: EffectId, claim: Claim, before: Option<Claim> },
    Load { id: EffectId, claim: Claim, opens_at: Moment },
    Serving(Box<Serving>),
}

/// What this process knows of its last claim: a reign that follows it directly may skip the wait.
#[derive(Clone, Copy, Debug)]
struct LastClaim {
    number: u64,
    opens_at: Moment,
}

/// The Placement Driver of one node.
#[derive(Debug)]
pub struct Core {
    node: NodeInfo,
    options: PdOptions,
    plan: Option<BootstrapPlan>,
    oracle: Arc<TsoOracle>,
    reign: Option<Reign>,
    leader: Option<String>,
    last_claim: Option<LastClaim>,
    next_effect: EffectId,
    /// After a failed attempt: not before the next tick.
    is_resting: bool,
}

impl Core {
    /// A node that follows. `plan` is only there on the first node of a new cluster.
    #[must_use]
    pub fn new(
        node: NodeInfo,
        options: PdOptions,
        plan: Option<BootstrapPlan>,
        oracle: Arc<TsoOracle>,
    ) -> Self {
        oracle.revoke();
        Self {
            node,
            options,
            plan,
            oracle,
            reign: None,
            leader: None,
            last_claim: None,
            next_effect: 1,
            is_resting: false,
        }
    }

    /// Does this node lead PD and serve?
    #[must_use]
    pub fn is_serving(&self) -> bool {
        matches!(self.reign, Some(Reign { stage: Stage::Serving(_), .. }))
    }

    /// Takes one input.
    pub fn step(&mut self, now: Moment, unix: UnixMillis, input: Input, out: &mut Vec<Output>) {
        let mut turn = Turn { now, unix, out };
        match input {
            Input::Tick => self.on_tick(&mut turn),
            Input::LocalStatus(status) => self.on_status(status, &mut turn),
            Input::RowsLoaded { id, rows } => self.on_rows(id, rows, &mut turn),
            Input::WriteDone { id, outcome } => self.on_write_done(id, outcome, &mut turn),
            Input::Request { id, request } => self.on_request(id, request, &mut turn),
        }
        if let Some(Stage::Serving(serving)) = self.reign.as_mut().map(|reign| &mut reign.stage) {
            serving.finish(&mut turn);
        }
    }

    fn on_tick(&mut self, turn: &mut Turn<'_>) {
        self.is_resting = false;
        if let Some(Stage::Serving(serving)) = self.reign.as_mut().map(|reign| &mut reign.stage) {
            serving.on_tick(turn);
        }
    }

    fn on_status(&mut self, status: LocalStatus, turn: &mut Turn<'_>) {
        if status.leader.is_some() {
            self.leader.clone_from(&status.leader);
        }
        let Some(reign) = &mut self.reign else {
            if let Some((term, true)) = status.leads
                && !self.is_resting
            {
                self.begin(status.store, term, turn);
            }
            return;
        };
        if reign.store != status.store {
            return;
        }
        match status.leads {
            Some((term, _)) if term != reign.term => self.step_down(true, turn),
            None => self.step_down(true, turn),
            Some((_, false)) => {}
            Some((_, true)) => {
                if let Stage::Serving(serving) = &mut reign.stage {
                    serving.confirm(status.asked, turn.now);
                }
            }
        }
    }

    fn effect(&mut self) -> EffectId {
        self.next_effect += 1;
        self.next_effect - 1
    }

    fn begin(&mut self, store: StoreId, term: Term, turn: &mut Turn<'_>) {
        let id = self.effect();
        self.reign = Some(Reign { store, term, stage: Stage::ReadClaim { id } });
        turn.out.push(Output::LoadRows { id, store, range: rows::leader_range() });
    }

    fn on_rows(
        &mut self,
        id: EffectId,
        rows: Result<Vec<(Key, Bytes)>, String>,
        turn: &mut Turn<'_>,
    ) {
        let Some(reign) = &self.reign else { return };
        match (&reign.stage, rows) {
            (Stage::ReadClaim { id: mine } | Stage::Load { id: mine, .. }, _) if *mine != id => {}
            (Stage::ReadClaim { .. } | Stage::Load { .. }, Err(why)) => {
                turn.note(format!("PD's rows cannot be read: {why}"));
                self.step_down(false, turn);
            }
            (Stage::ReadClaim { .. }, Ok(rows)) => self.write_claim(&rows, turn),
            (Stage::Load { claim, opens_at, .. }, Ok(rows)) => {
                let (claim, opens_at) = (*claim, *opens_at);
                self.serve(claim, opens_at, &rows, turn);
            }
            (Stage::WriteClaim { .. } | Stage::Serving(_), _) => {}
        }
    }

    fn write_claim(&mut self, rows: &[(Key, Bytes)], turn: &mut Turn<'_>) {
        let before = match rows::claim_of(rows) {
            Ok(before) => before,
            Err(bad) => {
                turn.note(format!("{bad}: {}", bad.source));
                return self.step_down(false, turn);
            }
        };
        let id = self.effect();
        let Some(reign) = &mut self.reign else { return };
        let number = before.as_ref().map_or(0, |(claim, _)| claim.number) + 1;
        let claim = Claim { node: self.node.id, number };
        turn.out.push(Output::WriteRows {
            id,
            store: reign.store,
            expect: vec![(LEADER.into(), before.as_ref().map(|(_, row)| row.clone()))],
            rows: vec![rows::put(LEADER, &claim)],
        });
        let before = before.map(|(claim, _)| claim);
        reign.stage = Stage::WriteClaim { id, claim, before };
    }

    fn on_write_done(&mut self, id: EffectId, outcome: WriteOutcome, turn: &mut Turn<'_>) {
        let Some(reign) = &mut self.reign else { return };
        match &mut reign.stage {
            Stage::ReadClaim { .. } | Stage::Load { .. } => {}
            Stage::WriteClaim { id: mine, claim, before } => {
                if *mine == id {
                    let (claim, before) = (*claim, *before);
                    match outcome {
                        WriteOutcome::Done => self.load(claim, before, turn),
                        WriteOutcome::Rejected
                        | WriteOutcome::TryAgain
                        | WriteOutcome::Unknown { .. } => self.step_down(false, turn),
                    }
                }
            }
            Stage::Serving(serving) => {
                if !serving.awaits(id) {
                    return;
                }
                match outcome {
                    WriteOutcome::Done => serving.on_durable(turn),
                    WriteOutcome::TryAgain => serving.on_try_again(),
                    WriteOutcome::Rejected => self.step_down(false, turn),
                    WriteOutcome::Unknown { why } => {
                        turn.note(format!("a write of PD's rows has no known outcome: {why}"));
                        self.step_down(true, turn);
                    }
                }
            }
        }
    }

    /// The claim is committed: every claim before it is void from now on.
    fn load(&mut self, claim: Claim, before: Option<Claim>, turn: &mut Turn<'_>) {
        let opens_at = match (before, self.last_claim) {
            (None, _) => turn.now,
            (Some(before), Some(mine)) if before.number == mine.number => mine.opens_at,
            (Some(_), _) => turn.now.after(self.options.lease + self.options.lease / 4),
        };
        self.last_claim = Some(LastClaim { number: claim.number, opens_at });
        let id = self.effect();
        let Some(reign) = &mut self.reign else { return };
        let store = reign.store;
        reign.stage = Stage::Load { id, claim, opens_at };
        turn.out.push(Output::LoadRows { id, store, range: KeyRange::system() });
    }

    fn serve(
        &mut self,
        claim: Claim,
        opens_at: Moment,
        rows: &[(Key, Bytes)],
        turn: &mut Turn<'_>,
    ) {
        let state = match State::load(rows) {
            Ok(state) => state,
            Err(bad) => {
                turn.note(format!("{bad}: {}", bad.source));
                return self.step_down(false, turn);
            }
        };
        let first_effect = self.next_effect;
        let Some(reign) = &mut self.reign else { return };
        let writer = Writer::new(reign.store, codec::encode(&claim).into(), first_effect);
        let mut serving = Serving::new(&self.node, self.options, state, writer, &self.oracle);
        serving.start(opens_at, self.plan.as_ref(), turn);
        reign.stage = Stage::Serving(Box::new(serving));
        self.leader = Some(self.node.grpc_address.clone());
        turn.note(format!("this node leads the Placement Driver (claim {})", claim.number));
    }

    fn on_request(&mut self, id: RequestId, request: PdRequest, turn: &mut Turn<'_>) {
        match self.reign.as_mut().map(|reign| &mut reign.stage) {
            Some(Stage::Serving(serving)) => serving.on_request(id, request, turn),
            Some(Stage::ReadClaim { .. } | Stage::WriteClaim { .. } | Stage::Load { .. }) => {
                let why = "this node is taking the lead over".to_owned();
                turn.reply(id, Err(PdError::Unavailable { why }));
            }
            None => {
                turn.reply(id, Err(PdError::NotLeader { leader: self.leader.clone() }));
            }
        }
    }

    /// Ends the attempt or reign. `is_unknown`: a write in flight may yet take effect.
    fn step_down(&mut self, is_unknown: bool, turn: &mut Turn<'_>) {
        self.is_resting = true;
        self.oracle.revoke();
        if self.leader.as_ref() == Some(&self.node.grpc_address) {
            self.leader = None;
        }
        let refusal = PdError::NotLeader { leader: self.leader.clone() };
        if let Some(Reign { stage: Stage::Serving(serving), .. }) = self.reign.take() {
            self.next_effect = serving.next_effect();
            turn.note("this node leads the Placement Driver no more");
            serving.abandon(&refusal, is_unknown, turn);
        }
    }
}
