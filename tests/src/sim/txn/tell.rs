//! Commands straight to the leader of a key, without the service layer: whoever sends them takes the time
//! that he likes between them.
use super::TxnClients;
use super::draw::Draw;
use crate::sim::checkers::order::Claim;
use crate::sim::log::Place;
use crate::sim::net::millis;
use std::time::Duration;
use troupe_actors::node::RegionService;
use troupe_types::error::RegionError;
use troupe_types::request::{AdminCommand, RegionBody, RegionReply, RegionRequest, RegionTarget};
use troupe_types::txn::{TxnCommand, TxnReply, TxnResult};
use troupe_types::{Class, Key, NodeId, Peer, Region, StoreId, Term, TraceTags};

/// How a command ended.
pub(super) enum Told {
    Answer(TxnResult),
    /// It had no effect.
    NotDone,
    Unsure,
}

impl TxnClients {
    /// At the pace of a patient client.
    pub(super) async fn tell_patiently(&self, key: &Key, command: &TxnCommand, tries: u32) -> Told {
        self.tell_again(key, command, (tries, millis(150))).await
    }

    /// Sends `command` to whoever leads the Region of `key`, until there is an answer.
    pub(super) async fn tell_again(
        &self,
        key: &Key,
        command: &TxnCommand,
        (tries, pause): (u32, Duration),
    ) -> Told {
        let mut may_have_arrived = false;
        for _ in 0..tries {
            match self.tell_leader(key, command.clone()).await {
                Some(Ok(answer)) => {
                    let (name, at) = (command.name(), command.start_ts().unwrap_or_default());
                    let line = format_args!("{name} of {at} at {key:?}: {answer:?}");
                    self.world.log.note(Place::World, line);
                    // An earlier sending may still be waiting, and find another state.
                    let is_open = may_have_arrived && matches!(command, TxnCommand::Prewrite(_));
                    return match answer {
                        Ok(TxnReply::Prewritten { .. }) => Told::Answer(answer),
                        _ if is_open => Told::Unsure,
                        _ => Told::Answer(answer),
                    };
                }
                Some(Err(error)) => may_have_arrived |= error.class() != Class::Retry,
                None => may_have_arrived = true,
            }
            tokio::time::sleep(pause).await;
        }
        if may_have_arrived { Told::Unsure } else { Told::NotDone }
    }

    /// `None`: its node crashed, or does not answer.
    async fn tell_leader(
        &self,
        key: &Key,
        command: TxnCommand,
    ) -> Option<Result<TxnResult, RegionError>> {
        const PATIENCE: Duration = Duration::from_secs(2);
        let nobody = Some(Err(RegionError::StaleCommand));
        let Some(led) = self.heir(key) else { return nobody };
        let Some((_, gate)) = self.world.door(led.node) else { return nobody };
        let request = led.request(RegionBody::Txn(Box::new(command)));
        let life = self.world.with_life(led.node, |life| {
            (life.stores.clone(), life.env.power.clone(), life.env.now().after(PATIENCE))
        });
        let (stores, power, deadline) = life?;
        tokio::select! {
            biased;
            () = power.until_cut() => None,
            answer = gate.gated(async move { stores.serve(request, deadline).await }) => {
                Some(answer.map(|reply| match reply {
                    RegionReply::Txn(answer) => *answer,
                    other => panic!("a command is answered {other:?}"),
                }))
            }
            () = tokio::time::sleep(PATIENCE * 2) => None,
        }
    }

    /// Has leadership go to another replica. Whether that happens will show.
    pub(super) fn order_transfer(&self, draw: &mut Draw, led: &Led) {
        let voters = led.shape.peers.iter().copied();
        let others: Vec<Peer> =
            voters.filter(|peer| peer.store != StoreId(led.node.get())).collect();
        if others.is_empty() {
            return;
        }
        let to = draw.one_of(&others);
        let life = self.world.with_life(led.node, |life| {
            (life.stores.clone(), life.gate.clone(), life.env.now().after(Duration::from_secs(2)))
        });
        let Some((stores, gate, deadline)) = life else { return };
        let request = led.request(RegionBody::Admin(AdminCommand::TransferLeader { to }));
        actix_rt::spawn(async move {
            let _ = gate.gated(async move { stores.serve(request, deadline).await }).await;
        });
    }

    /// Who leads the Region of `key` under a lease.
    pub(super) fn leader(&self, key: &Key) -> Option<Led> {
        self.led_by(key, |claim| claim.has_lease)
    }

    /// Who says that it leads in the newest term, lease or not.
    pub(super) fn heir(&self, key: &Key) -> Option<Led> {
        self.led_by(key, |claim| claim.leads)
    }

    fn led_by(&self, key: &Key, is_it: impl Fn(&Claim) -> bool) -> Option<Led> {
        let shape = self.world.shape_of(key)?;
        let claims = self.world.claims().into_iter();
        let claim = claims.filter(|claim| claim.region == shape.id && is_it(claim));
        let claim = claim.max_by_key(|claim| claim.term)?;
        Some(Led { node: NodeId(claim.store.get()), shape, term: claim.term })
    }
}

/// Where a Region is led.
pub(super) struct Led {
    pub(super) node: NodeId,
    shape: Region,
    pub(super) term: Term,
}

impl Led {
    fn request(&self, body: RegionBody) -> RegionRequest {
        let target = RegionTarget { region: self.shape.id, epoch: self.shape.epoch };
        let store = StoreId(self.node.get());
        RegionRequest { store, target, body, traces: TraceTags::NONE }
    }
}
