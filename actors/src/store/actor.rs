//! The Store's actor. Messages: `messages.rs`. Guide: `mod.rs`. Decisions: `core.rs`. Disk work:
//! `chores.rs`.
mod garbage;

use super::chores;
use super::collector::Collector;
use super::core::{Chore, Timetable, Unrouted, is_worth_quarantine, unrouted};
use super::messages::{
    Bootstrapped, LogsDurable, Measured, PeerDestroyed, PeerEnded, RegionReported, ReleaseReplica,
    Released, SnapshotArrived, StopStore, UnroutedRaft,
};
use super::recovery;
use super::start::StoreParts;
use crate::cell::{Acts, Cx, Mailbox, Message, On, ReplyTo};
use crate::env::essential;
use crate::log_writer::ForgetLog;
use crate::region_peer::{
    AdminRequest, Expelled, LogMayBeCut, PeerParts, PeerSpec, PeerTick, SnapshotReceived, StepAside,
};
use crate::supervision::{ChildHandle, StormMeter, Verdict, supervise};
use crate::transport::OutgoingSnapshot;
use protobuf::Message as _;
use raft::eraftpb;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use troupe_types::pd::{
    Expulsion, PdReply, PdRequest, PdResult, RegionInstruction, RegionReport, StoreInstructions,
    StoreStats,
};
use troupe_types::request::RegionReply;
use troupe_types::{Moment, Peer, Region, RegionError, RegionId};

const TIMETABLE: u64 = 1;
const STOPPING: u64 = 2;
/// Time between two looks at how far the hand-over of leaders is.
const STOP_STEP: Duration = Duration::from_millis(50);

/// Progress of a stop.
struct Stopping {
    until: Moment,
    reply: Option<ReplyTo<()>>,
}

/// See `mod.rs`.
pub struct Store {
    parts: StoreParts,
    me: Mailbox<Self>,
    timetable: Option<Timetable>,
    children: BTreeMap<RegionId, ChildHandle>,
    quarantined: BTreeSet<RegionId>,
    storm: Arc<Mutex<StormMeter>>,
    bootstrapped: bool,
    bootstrapping: bool,
    reports: BTreeMap<RegionId, RegionReport>,
    heartbeat_under_way: bool,
    reporting: bool,
    cutting: bool,
    space: (u64, u64),
    /// When each Region was last seen with a leader.
    led: BTreeMap<RegionId, Moment>,
    stopping: Option<Stopping>,
    collector: Collector,
}

impl Store {
    /// See [`super::start()`].
    pub(super) fn new(me: &Mailbox<Self>, parts: StoreParts) -> Self {
        let storm = StormMeter::new(parts.options.storm_min, parts.options.storm_window);
        let bootstrapped = parts.ident.bootstrapped;
        let collector = Collector::new(parts.options.collect);
        let quarantined = parts.found.quarantined.iter().copied().collect();
        Self {
            parts,
            me: me.clone(),
            timetable: None,
            children: BTreeMap::new(),
            quarantined,
            storm: Arc::new(Mutex::new(storm)),
            bootstrapped,
            bootstrapping: false,
            reports: BTreeMap::new(),
            heartbeat_under_way: false,
            reporting: false,
            cutting: false,
            space: (0, 0),
            led: BTreeMap::new(),
            stopping: None,
            collector,
        }
    }

    fn start_peer(&mut self, region: RegionId, cx: &Cx<'_, Self>) {
        let p = &self.parts;
        let reported = self.me.port::<RegionReported>();
        let destroyed = self.me.port::<PeerDestroyed>();
        let spec = PeerSpec {
            region,
            store: p.ident.store,
            env: p.env.clone(),
            options: p.options.core,
            policy: p.options.policy,
            storm: self.storm.clone(),
            engine: p.engine.clone(),
            log: p.log.clone(),
            router: p.router.clone(),
            parts: PeerParts {
                cluster: p.ident.cluster,
                log_writer: p.log_writer.clone(),
                apply: p.apply.clone(),
                transport: p.transport.clone(),
                generate_snapshot: p.generate_snapshot.clone(),
                send_snapshot: p.send_snapshot.clone(),
                reported,
                destroyed,
                lead_changed: p.lead_changed.clone(),
            },
            ended: self.me.port::<PeerEnded>(),
            life: None,
            led: None,
        };
        self.led.insert(region, cx.now());
        let child = supervise(&p.env, cx.id(), spec);
        self.children.insert(region, child);
    }

    fn do_chore(&mut self, chore: Chore, cx: &mut Cx<'_, Self>) {
        match chore {
            Chore::Tick => self.tick(cx),
            Chore::Heartbeat => self.measure(),
            Chore::CutLogs => self.cut_logs(),
            Chore::PurgeLog => self.purge_log(),
            Chore::CheckHealth => self.check_health(),
            Chore::Collect => self.collect(cx.now()),
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_, Self>) {
        let now = cx.now();
        for (region, handle) in self.parts.router.list() {
            let _ = handle.mailbox.tell(PeerTick);
            if handle.view.delegate().is_some_and(|delegate| delegate.leader.is_some()) {
                self.led.insert(region, now);
            }
        }
        if !self.reports.is_empty() && !self.reporting {
            self.measure_reports();
        }
    }

    /// Chores that touch the disk run on the worker and come back as messages.
    fn on_disk(&self, name: &'static str, work: impl FnOnce() + Send + 'static) {
        self.parts.chores.run(essential(name, work));
    }

    fn measure(&mut self) {
        if self.heartbeat_under_way {
            return;
        }
        self.heartbeat_under_way = true;
        let (path, me) = (self.parts.folder.clone(), self.me.clone());
        self.on_disk("the Store's chores", move || {
            let space = chores::disk_space(&path);
            tell(&me, Measured { space, reports: Vec::new() });
        });
    }

    fn measure_reports(&mut self) {
        self.reporting = true;
        let mut reports: Vec<_> = std::mem::take(&mut self.reports).into_values().collect();
        let (engine, me) = (self.parts.engine.clone(), self.me.clone());
        self.on_disk("the Store's chores", move || {
            for report in &mut reports {
                report.approximate_bytes =
                    engine.approximate_bytes(&report.region.range.data_range());
            }
            tell(&me, Measured { space: (0, 0), reports });
        });
    }

    fn cut_logs(&mut self) {
        if self.cutting {
            return;
        }
        self.cutting = true;
        let (engine, me) = (self.parts.engine.clone(), self.me.clone());
        let regions: Vec<_> = self.parts.router.list().into_iter().map(|(id, _)| id).collect();
        self.on_disk("the Store's chores", move || {
            let indexes = chores::durable_indexes(engine.as_ref(), &regions);
            tell(&me, LogsDurable { indexes });
        });
    }

    fn purge_log(&self) {
        let log = self.parts.log.clone();
        self.on_disk("the Store's chores", move || {
            let held_back = chores::or_fatal(log.purge());
            for (region, through) in held_back {
                tracing::debug!(%region, %through, "old entries hold back space of the log");
            }
        });
    }

    fn check_health(&self) {
        let (engine, health) = (self.parts.engine.clone(), self.parts.health.clone());
        self.on_disk("the Store's chores", move || {
            health.store(Arc::new(chores::or_fatal(engine.health())));
        });
    }

    fn stats(&self, now: Moment) -> StoreStats {
        let peers = self.parts.router.list();
        let leaders = peers.iter().filter(|(_, handle)| handle.view.leads(now)).count();
        let halted = peers
            .iter()
            .filter(|(_, handle)| handle.view.delegate().is_some_and(|d| d.halted))
            .count();
        use std::sync::atomic::Ordering::Relaxed;
        StoreStats {
            capacity_bytes: self.space.0,
            available_bytes: self.space.1,
            regions: (self.children.len() + self.quarantined.len()) as u64,
            leaders: leaders as u64,
            halted: (halted + self.quarantined.len()) as u64,
            writes_total: self.parts.figures.commands.load(Relaxed),
            reads_total: self.parts.reads.load(Relaxed),
        }
    }

    fn orphans(&self, now: Moment) -> Vec<(RegionId, Peer)> {
        let patience = self.parts.options.orphan_after;
        let peers = self.parts.router.list().into_iter();
        peers
            .filter(|(region, _)| {
                self.led.get(region).is_some_and(|seen| now.since(*seen) > patience)
            })
            .map(|(region, handle)| (region, handle.peer))
            .collect()
    }

    fn ask_pd(
        &self,
        request: PdRequest,
        cx: &mut Cx<'_, Self>,
        then: impl FnOnce(&mut Self, PdResult, &mut Cx<'_, Self>) + 'static,
    ) {
        let deadline = cx.now().after(self.parts.options.times.heartbeat.max(PD_PATIENCE));
        cx.spawn(self.parts.pd.call(request, deadline), then);
    }

    fn heartbeat(&mut self, cx: &mut Cx<'_, Self>) {
        let request = PdRequest::StoreHeartbeat {
            store: self.parts.ident.store,
            stats: self.stats(cx.now()),
            bootstrapped: self.bootstrapped,
            orphans: self.orphans(cx.now()),
        };
        self.ask_pd(request, cx, |store, result, cx| {
            store.heartbeat_under_way = false;
            match result {
                Ok(PdReply::StoreHeartbeat(instructions)) => store.obey(instructions, cx),
                Ok(other) => tracing::error!(?other, "PD answers a heartbeat in another way"),
                Err(error) => tracing::debug!(%error, "PD took no heartbeat"),
            }
        });
    }

    fn obey(&mut self, instructions: StoreInstructions, cx: &mut Cx<'_, Self>) {
        self.parts.directory.update(&instructions.directory);
        for expulsion in instructions.destroy {
            self.expel(&expulsion);
        }
        if !instructions.create.is_empty() && !self.bootstrapped && !self.bootstrapping {
            self.bootstrap(instructions.create, cx);
        }
    }

    fn bootstrap(&mut self, regions: Vec<Region>, _cx: &mut Cx<'_, Self>) {
        self.bootstrapping = true;
        let p = &self.parts;
        let (engine, log, ident) = (p.engine.clone(), p.log.clone(), p.ident.clone());
        let me = self.me.clone();
        self.on_disk("the Store's chores", move || {
            let created = chores::bootstrap(engine.as_ref(), log.as_ref(), &ident, &regions);
            tell(&me, Bootstrapped { created });
        });
    }

    /// PD says that the replica is no member: it learns that as from a fellow replica.
    fn expel(&self, Expulsion { region, peer, epoch }: &Expulsion) {
        let Some(handle) = self.parts.router.get(*region) else { return };
        if handle.peer.id == peer.id {
            let _ = handle.mailbox.tell(Expelled { epoch: *epoch });
        }
    }

    fn send_reports(&mut self, reports: Vec<RegionReport>, cx: &mut Cx<'_, Self>) {
        let again = reports.clone();
        self.ask_pd(PdRequest::RegionHeartbeat { reports }, cx, move |store, result, cx| {
            store.reporting = false;
            match result {
                Ok(PdReply::RegionHeartbeat(steps)) => store.take_steps(steps, cx),
                Ok(other) => tracing::error!(?other, "PD answers a report in another way"),
                Err(error) => {
                    tracing::debug!(%error, "PD took no report");
                    for report in again {
                        store.reports.entry(report.region.id).or_insert(report);
                    }
                }
            }
        });
    }

    fn take_steps(&mut self, steps: Vec<(RegionId, RegionInstruction)>, cx: &mut Cx<'_, Self>) {
        for (region, RegionInstruction::Do(command)) in steps {
            let Some(handle) = self.parts.router.get(region) else { continue };
            let (reply, done) = ReplyTo::channel();
            tracing::info!(%region, ?command, "PD's step");
            let told = handle.mailbox.tell(AdminRequest { command, reply });
            if told.is_ok() {
                cx.spawn(done, move |_, result, _| {
                    if let Ok(Err(error)) = result {
                        tracing::info!(%region, %error, "PD's step was refused");
                    }
                });
            }
        }
    }

    fn hand_over(&mut self, cx: &mut Cx<'_, Self>) {
        let Some(stopping) = &self.stopping else { return };
        let now = cx.now();
        let leading: Vec<_> = self
            .parts
            .router
            .list()
            .into_iter()
            .filter(|(_, h)| {
                let delegate = h.view.delegate();
                delegate.is_some_and(|d| d.leader.is_some_and(|leader| leader.id == h.peer.id))
            })
            .filter(|(_, h)| h.view.delegate().is_some_and(|d| d.region.peers.len() > 1))
            .collect();
        if leading.is_empty() || now >= stopping.until {
            self.end_children();
            return;
        }
        for (_, handle) in leading {
            let _ = handle.mailbox.tell(StepAside);
        }
        cx.wake_after(STOP_STEP, STOPPING);
    }

    fn end_children(&mut self) {
        for child in self.children.values() {
            child.stop();
        }
        self.check_stopped();
    }

    fn forget_quarantined(&self, region: RegionId) {
        let name = format!("store-{}/region-{region}", self.parts.ident.store);
        self.parts.env.registry.forget_quarantined(&name);
    }

    fn check_stopped(&mut self) {
        if !self.children.is_empty() {
            return;
        }
        if let Some(reply) = self.stopping.as_mut().and_then(|stopping| stopping.reply.take()) {
            let engine = self.parts.engine.clone();
            self.on_disk("the Store's chores", move || {
                chores::or_fatal(engine.make_durable());
                reply.send(());
            });
        }
    }
}

/// Least time that a call to PD gets.
const PD_PATIENCE: Duration = Duration::from_secs(2);

/// Worker's news to the Store, which outlives its worker's jobs.
fn tell<M: Message>(store: &Mailbox<Store>, message: M)
where
    Store: On<M>,
{
    let told = store.tell(message);
    assert!(told.is_ok(), "the Store outlives its worker's jobs");
}

impl Acts for Store {
    const KIND: &'static str = "store";

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.timetable = Some(Timetable::new(self.parts.options.times, cx.now()));
        for region in std::mem::take(&mut self.parts.found.replicas) {
            self.start_peer(region, cx);
        }
        cx.wake_after(Duration::from_millis(1), TIMETABLE);
    }

    fn wake(&mut self, token: u64, cx: &mut Cx<'_, Self>) {
        if token == STOPPING {
            self.hand_over(cx);
            return;
        }
        let now = cx.now();
        let Some(timetable) = &mut self.timetable else { return };
        for chore in timetable.due(now) {
            self.do_chore(chore, cx);
        }
        let wait = self.timetable.as_ref().map_or(STOP_STEP, |table| table.wait(cx.now()));
        cx.wake_after(wait, TIMETABLE);
    }
}

impl On<UnroutedRaft> for Store {
    fn on(&mut self, message: UnroutedRaft, cx: &mut Cx<'_, Self>) {
        let envelope = message.envelope;
        let region = envelope.region;
        if self.children.contains_key(&region) || self.stopping.is_some() {
            return;
        }
        let state = chores::or_fatal(recovery::replica_state(&*self.parts.engine, region));
        match unrouted(state.as_ref(), &envelope) {
            Unrouted::Drop => {}
            Unrouted::Create(peer) => {
                chores::create_uninitialised(&*self.parts.engine, region, peer);
                self.start_peer(region, cx);
            }
        }
    }
}

impl On<SnapshotArrived> for Store {
    fn on(&mut self, message: SnapshotArrived, cx: &mut Cx<'_, Self>) {
        let OutgoingSnapshot { envelope, manifest, folder } = message.snapshot;
        let handle = self.parts.router.get(envelope.region);
        let Some(handle) = handle.filter(|handle| handle.peer.id == envelope.to.id) else {
            crate::store::discard_snapshot(cx.env(), folder);
            return;
        };
        let mut raft_message = eraftpb::Message::default();
        if raft_message.merge_from_bytes(&envelope.message).is_err() {
            crate::store::discard_snapshot(cx.env(), folder);
            return;
        }
        let from = envelope.from;
        let message = SnapshotReceived { from, message: raft_message, manifest, folder };
        if let Err((_, refused)) = handle.mailbox.tell(message) {
            crate::store::discard_snapshot(cx.env(), refused.folder);
        }
    }
}

impl On<RegionReported> for Store {
    fn on(&mut self, message: RegionReported, _cx: &mut Cx<'_, Self>) {
        self.reports.insert(message.report.region.id, message.report);
    }
}

impl On<PeerDestroyed> for Store {
    fn on(&mut self, message: PeerDestroyed, _cx: &mut Cx<'_, Self>) {
        let region = message.region;
        let _ = self.parts.log_writer.tell(ForgetLog { region });
        if let Some(child) = self.children.get(&region) {
            child.stop();
        }
        self.reports.remove(&region);
        self.led.remove(&region);
    }
}

impl On<PeerEnded> for Store {
    fn on(&mut self, message: PeerEnded, _cx: &mut Cx<'_, Self>) {
        let PeerEnded { region, verdict } = message;
        self.children.remove(&region);
        match verdict {
            Verdict::Stopped => {}
            Verdict::Quarantined { reason } => {
                let state = recovery::replica_state(&*self.parts.engine, region);
                if !is_worth_quarantine(chores::or_fatal(state).as_ref()) {
                    let _ = self.parts.log_writer.tell(ForgetLog { region });
                    self.forget_quarantined(region);
                    return self.check_stopped();
                }
                self.quarantined.insert(region);
                let (engine, store) = (self.parts.engine.clone(), self.parts.ident.store);
                self.on_disk("the Store's chores", move || {
                    chores::quarantine(engine.as_ref(), region, store, Some(&reason));
                });
            }
        }
        if self.stopping.is_some() {
            self.check_stopped();
        }
    }
}

impl On<ReleaseReplica> for Store {
    fn on(&mut self, message: ReleaseReplica, _cx: &mut Cx<'_, Self>) {
        let ReleaseReplica { region, reply } = message;
        if !self.quarantined.remove(&region) {
            let why = "the replica is not in quarantine".to_owned();
            reply.send(Err(RegionError::ChangeRefused { why }));
            return;
        }
        let (engine, store) = (self.parts.engine.clone(), self.parts.ident.store);
        let me = self.me.clone();
        self.on_disk("the Store's chores", move || {
            chores::quarantine(engine.as_ref(), region, store, None);
            tell(&me, Released { region, reply });
        });
    }
}

impl On<Released> for Store {
    fn on(&mut self, message: Released, cx: &mut Cx<'_, Self>) {
        self.forget_quarantined(message.region);
        self.start_peer(message.region, cx);
        message.reply.send(Ok(RegionReply::Released));
    }
}

impl On<Bootstrapped> for Store {
    fn on(&mut self, message: Bootstrapped, cx: &mut Cx<'_, Self>) {
        self.bootstrapped = true;
        self.bootstrapping = false;
        self.parts.ident.bootstrapped = true;
        for region in message.created {
            if !self.children.contains_key(&region) {
                self.start_peer(region, cx);
            }
        }
        if let Some(timetable) = &mut self.timetable {
            timetable.hurry(Chore::Heartbeat, cx.now());
        }
    }
}

impl On<LogsDurable> for Store {
    fn on(&mut self, message: LogsDurable, _cx: &mut Cx<'_, Self>) {
        self.cutting = false;
        for (region, durable) in message.indexes {
            if let Some(handle) = self.parts.router.get(region) {
                let _ = handle.mailbox.tell(LogMayBeCut { durable });
            }
        }
    }
}

impl On<Measured> for Store {
    fn on(&mut self, message: Measured, cx: &mut Cx<'_, Self>) {
        if message.reports.is_empty() {
            self.space = message.space;
            self.heartbeat(cx);
            self.ask_safe_point(cx);
        } else {
            self.send_reports(message.reports, cx);
        }
    }
}

impl On<StopStore> for Store {
    fn on(&mut self, message: StopStore, cx: &mut Cx<'_, Self>) {
        let until = cx.now().after(message.within);
        self.stopping = Some(Stopping { until, reply: Some(message.reply) });
        self.hand_over(cx);
    }
}
