//! Whom to ask for PD, in which order, and what an answer means. Pure.
use crate::transport::TransportError;
use std::time::Duration;
use troupe_types::pd::{PdError, PdReply, PdRequest};

/// Someone who may lead PD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This node.
    Local,
    /// The node with this gRPC address.
    Remote(String),
}

/// What to do after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this one now.
    Ask(Target),
    /// Everyone was asked: wait about this long, then [`Search::again`].
    Wait(Duration),
    /// This is the answer.
    Answer(Result<PdReply, PdError>),
}

/// One search for the leader, for one request.
#[derive(Debug)]
pub struct Search {
    own_address: String,
    /// Still to be asked in this round, last one first.
    left: Vec<Target>,
    /// Followed hints of this round: two nodes that name each other must not keep us busy.
    hints: u32,
    rounds: u32,
    is_repeatable: bool,
    last: Option<PdError>,
}

/// Hints followed in one round.
const MAX_HINTS: u32 = 4;
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_millis(500);

impl Search {
    /// For `request`, asked from the node at `own_address`.
    #[must_use]
    pub fn new(request: &PdRequest, own_address: &str) -> Self {
        Self {
            own_address: own_address.to_owned(),
            left: Vec::new(),
            hints: 0,
            rounds: 0,
            is_repeatable: is_repeatable(request),
            last: None,
        }
    }

    /// Begins a round: the remembered leader, this node, all `addresses`.
    pub fn again(&mut self, remembered: Option<&Target>, addresses: &[String]) -> Step {
        self.rounds += 1;
        self.hints = 0;
        let mut order: Vec<Target> = remembered.cloned().into_iter().collect();
        order.push(Target::Local);
        order.extend(addresses.iter().map(|address| self.target(address)));
        self.left.clear();
        for target in order {
            if !self.left.contains(&target) {
                self.left.push(target);
            }
        }
        self.left.reverse();
        self.next()
    }

    fn target(&self, address: &str) -> Target {
        if address == self.own_address { Target::Local } else { Target::Remote(address.to_owned()) }
    }

    fn next(&mut self) -> Step {
        match self.left.pop() {
            Some(target) => Step::Ask(target),
            None => Step::Wait(WAIT_MIN.saturating_mul(1 << self.rounds.min(10)).min(WAIT_MAX)),
        }
    }

    /// What `asked` answered.
    pub fn answered(&mut self, asked: &Target, answer: Result<PdReply, PdError>) -> Step {
        match answer {
            Err(PdError::NotLeader { leader }) => {
                let hint = leader.as_deref().map(|address| self.target(address));
                self.last = Some(PdError::NotLeader { leader });
                match hint {
                    Some(target) if target != *asked && self.hints < MAX_HINTS => {
                        self.hints += 1;
                        self.left.retain(|other| *other != target);
                        Step::Ask(target)
                    }
                    Some(_) | None => self.next(),
                }
            }
            Err(PdError::Unavailable { why }) => {
                self.last = Some(PdError::Unavailable { why });
                self.next()
            }
            Err(PdError::Refused { .. }) | Ok(_) => Step::Answer(answer),
        }
    }

    /// The attempt did not get through.
    pub fn failed(&mut self, asked: &Target, error: &TransportError) -> Step {
        let why = match asked {
            Target::Local => error.to_string(),
            Target::Remote(address) => format!("{address}: {error}"),
        };
        let failure = PdError::Unavailable { why };
        let may_have_happened = match error {
            TransportError::Broken { .. } => true,
            TransportError::UnknownAddress
            | TransportError::Unreachable { .. }
            | TransportError::Refused { .. } => false,
        };
        if may_have_happened && !self.is_repeatable {
            return Step::Answer(Err(failure));
        }
        self.last = Some(failure);
        self.next()
    }

    /// The deadline has come.
    #[must_use]
    pub fn give_up(self) -> PdError {
        let why = || "no leader answered by the deadline".to_owned();
        match self.last {
            Some(PdError::NotLeader { .. }) | None => PdError::Unavailable { why: why() },
            Some(error @ (PdError::Unavailable { .. } | PdError::Refused { .. })) => error,
        }
    }
}

/// May `request` be sent again when the first one may have taken effect?
fn is_repeatable(request: &PdRequest) -> bool {
    match request {
        PdRequest::AddOperator { .. } => false,
        PdRequest::Join { .. }
        | PdRequest::Register { .. }
        | PdRequest::AllocateIds { .. }
        | PdRequest::StoreHeartbeat { .. }
        | PdRequest::RegionHeartbeat { .. }
        | PdRequest::RegionByKey { .. }
        | PdRequest::RegionById { .. }
        | PdRequest::Regions { .. }
        | PdRequest::Cluster
        | PdRequest::Timestamps { .. }
        | PdRequest::Operators
        | PdRequest::DrainStore { .. }
        | PdRequest::RemoveStore { .. }
        | PdRequest::GcState
        | PdRequest::AdvanceTxnSafePoint { .. }
        | PdRequest::AdvanceGcSafePoint { .. }
        | PdRequest::SetGcBarrier(_)
        | PdRequest::RemoveGcBarrier { .. }
        | PdRequest::GcRound
        | PdRequest::ReportGcRound(_) => true,
    }
}
