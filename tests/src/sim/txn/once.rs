//! Whole transactions in one request; with an idempotency key, sent again through other nodes until
//! somebody says that it is done, and sometimes once more, or through two nodes at the same time.
use super::draw::Draw;
use super::{Heard, TxnClients, fate_of};
use crate::sim::checkers::txn::once::Attempt;
use crate::workload::txn::Fate;
use troupe_actors::kv_service::{CallOptions, KvService};
use troupe_types::NodeId;
use troupe_types::txn::session::{OneShot, OneShotOutcome};

/// Sendings of one request.
const ATTEMPTS: u32 = 4;

impl TxnClients {
    /// Sends `request`, under an idempotency key as often as is needed.
    pub(super) async fn send(
        &self,
        draw: &mut Draw,
        request: &OneShot,
    ) -> (Fate, Option<OneShotOutcome>) {
        if request.idempotency.is_none() {
            let node = self.node(draw);
            return self.send_through(node, draw, request).await;
        }
        let (mut fate, mut known) = (Fate::Failed, None);
        for _ in 0..ATTEMPTS {
            let node = self.node(draw);
            let sent = match draw.percent(10) {
                true => self.send_twice(node, draw, request).await,
                false => {
                    let sent = self.send_through(node, draw, request).await;
                    self.note_attempt(request, &sent);
                    sent
                }
            };
            fate = match (fate, sent.0) {
                (Fate::Committed, _) | (_, Fate::Committed) => Fate::Committed,
                (Fate::Unknown, _) | (_, Fate::Unknown) => Fate::Unknown,
                (Fate::Failed, Fate::Failed) => Fate::Failed,
            };
            known = known.or(sent.1);
            if fate == Fate::Committed && !draw.percent(30) {
                break;
            }
            tokio::time::sleep(draw.ms(1, 400)).await;
        }
        (fate, known)
    }

    /// Through two nodes at the same time: at most one of them does it.
    async fn send_twice(
        &self,
        node: NodeId,
        draw: &mut Draw,
        request: &OneShot,
    ) -> (Fate, Option<OneShotOutcome>) {
        let other = self.node(draw);
        let mut fork = draw.fork();
        let (one, two) = tokio::join!(
            self.send_through(node, draw, request),
            self.send_through(other, &mut fork, request)
        );
        let repeated = |sent: &(Fate, Option<OneShotOutcome>)| {
            sent.1.as_ref().is_some_and(|outcome| outcome.repeated)
        };
        // Which of them was first is not known, but the one that did it is not the one that came late.
        let in_order = if repeated(&one) { [two, one] } else { [one, two] };
        if in_order.iter().any(|(fate, _)| *fate != Fate::Committed) {
            // The one without an answer may have been the first.
            self.note_attempt(request, &(Fate::Unknown, None));
        }
        in_order.iter().for_each(|sent| self.note_attempt(request, sent));
        let [first, second] = in_order;
        if first.0 == Fate::Committed || second.0 == Fate::Failed { first } else { second }
    }

    fn note_attempt(&self, request: &OneShot, (fate, outcome): &(Fate, Option<OneShotOutcome>)) {
        let Some(idempotency) = &request.idempotency else { return };
        self.book.borrow_mut().sent(Attempt {
            key: idempotency.key.clone(),
            fate: *fate,
            commit_ts: outcome.as_ref().map(|outcome| outcome.commit_ts),
            succeeded: outcome.as_ref().is_some_and(|outcome| outcome.succeeded),
            repeated: outcome.as_ref().is_some_and(|outcome| outcome.repeated),
        });
    }

    async fn send_through(
        &self,
        node: NodeId,
        draw: &mut Draw,
        request: &OneShot,
    ) -> (Fate, Option<OneShotOutcome>) {
        let request = request.clone();
        let is_up = self.world.door(node).is_some();
        let call = |service: KvService, options: CallOptions| async move {
            service.txn_once(request, &options).await
        };
        match self.through(node, draw, call).await {
            Heard::Answer(outcome) => (Fate::Committed, Some(outcome)),
            Heard::Refused(error) => {
                self.note(node, format_args!("transaction refused: {error}"));
                (fate_of(&error), None)
            }
            Heard::Lost if is_up => (Fate::Unknown, None),
            Heard::Lost => (Fate::Failed, None),
        }
    }
}
