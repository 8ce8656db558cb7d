//! The snapshot actor of a Store: messages on top, the shell below. Guide: `mod.rs`. Decisions:
//! `core.rs`.
use super::core::{Input, Output, SnapshotCore, SnapshotOptions, Ticket};
use super::{folders, generate};
use crate::cell::{Acts, Cx, Delivery, Mailbox, Message, On, Port, Refused, ReplyTo};
use crate::env::{Env, Worker};
use crate::registry::ActorId;
use crate::supervision::{ChildHandle, ChildSpec, Policy, StartFailure, Verdict, supervise};
use crate::transport::slot::MailboxSlot;
use crate::transport::{OutgoingSnapshot, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use troupe_storage::engine::KvEngine;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{Generation, RegionId, StoreId};

/// A snapshot that was made: its manifest, and the folder with its files `0`, `1`, ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedSnapshot {
    /// Travels as the data of Raft's snapshot message.
    pub manifest: SnapshotManifest,
    /// Lives until it was sent, or for some minutes if nobody does.
    pub folder: PathBuf,
}

/// Region peer → snapshot actor. Ask. The snapshot of what is applied now; its index may be larger
/// than at the time of asking. A refusal or a lost reply is harmless: ask again.
#[derive(Debug)]
pub struct GenerateSnapshot {
    /// Which Region of this Store.
    pub region: RegionId,
    /// The snapshot, or why there is none.
    pub reply: ReplyTo<Result<GeneratedSnapshot, String>>,
}

impl Message for GenerateSnapshot {
    const NAME: &'static str = "GenerateSnapshot";
    const DELIVERY: Delivery = Delivery::Ask;

    fn detail(&self) -> [u64; 2] {
        [self.region.get(), 0]
    }
}

/// Region peer → snapshot actor. Ask. The folder is removed when the last send of it is over.
#[derive(Debug)]
pub struct SendSnapshot {
    /// To which Store.
    pub to: StoreId,
    /// What; its folder comes from [`GeneratedSnapshot`].
    pub snapshot: OutgoingSnapshot,
    /// Did all of it arrive? Raft wants to know (`report_snapshot`).
    pub reply: ReplyTo<bool>,
}

impl Message for SendSnapshot {
    const NAME: &'static str = "SendSnapshot";
    const DELIVERY: Delivery = Delivery::Ask;

    fn detail(&self) -> [u64; 2] {
        [self.snapshot.envelope.region.get(), self.to.get()]
    }
}

/// Worker → snapshot actor. Must: a slot is free again.
struct SnapshotGenerated {
    ticket: Ticket,
    result: Result<GeneratedSnapshot, String>,
}

impl Message for SnapshotGenerated {
    const NAME: &'static str = "SnapshotGenerated";
    const DELIVERY: Delivery = Delivery::Must;
}

/// Worker → snapshot actor. Must: the next look is planned when this one is over.
struct FoldersListed {
    names: Vec<String>,
    needed: BTreeSet<String>,
}

impl Message for FoldersListed {
    const NAME: &'static str = "FoldersListed";
    const DELIVERY: Delivery = Delivery::Must;
}

/// What the snapshot actor of a Store needs.
#[derive(Clone)]
pub struct SnapshotParts {
    /// The environment.
    pub env: Env,
    /// Which Store.
    pub store: StoreId,
    /// Its engine.
    pub engine: Arc<dyn KvEngine>,
    /// Makes snapshots and removes folders; one or two threads.
    pub worker: Arc<dyn Worker>,
    /// Sends.
    pub transport: Arc<dyn Transport>,
    /// The Store's snapshot folder.
    pub folder: PathBuf,
    /// Limits.
    pub options: SnapshotOptions,
}

/// Where to send the actor's messages. Stays valid over restarts.
#[derive(Clone, Debug)]
pub struct SnapshotPorts {
    /// Makes snapshots.
    pub generate: Port<GenerateSnapshot>,
    /// Sends snapshots.
    pub send: Port<SendSnapshot>,
}

/// Starts the snapshot actor of a Store under `parent`, on the arbiter of the caller. Before it, the
/// Store calls [`folders::clean_at_start`].
#[must_use]
pub fn start(parts: SnapshotParts, parent: ActorId) -> (SnapshotPorts, ChildHandle) {
    let slot = MailboxSlot::empty();
    let ports = SnapshotPorts { generate: port(&slot), send: port(&slot) };
    let env = parts.env.clone();
    (ports, supervise(&env, parent, Spec { parts, slot }))
}

fn port<M: Message>(slot: &MailboxSlot<SnapshotActor>) -> Port<M>
where
    SnapshotActor: On<M>,
{
    let slot = slot.clone();
    Port::from_fn(move |message, deadline| match slot.get() {
        Some(mailbox) => mailbox.tell_by(message, deadline),
        None => Err((Refused::Down { kind: SnapshotActor::KIND }, message)),
    })
}

/// The actor.
pub struct SnapshotActor {
    core: SnapshotCore,
    parts: SnapshotParts,
    next: Ticket,
    generates: BTreeMap<Ticket, GenerateSnapshot>,
    sends: BTreeMap<Ticket, SendSnapshot>,
}

impl SnapshotActor {
    fn new(parts: SnapshotParts) -> Self {
        Self {
            core: SnapshotCore::new(parts.options),
            parts,
            next: 0,
            generates: BTreeMap::new(),
            sends: BTreeMap::new(),
        }
    }

    fn step(&mut self, input: Input, cx: &mut Cx<'_, Self>) {
        let mut outputs = Vec::new();
        self.core.step(cx.now(), input, &mut outputs);
        for output in outputs {
            self.perform(output, cx);
        }
    }

    /// The only place with effects.
    fn perform(&mut self, output: Output, cx: &mut Cx<'_, Self>) {
        match output {
            Output::Generate(ticket) => self.generate(ticket, cx),
            Output::Send(ticket) => self.send(ticket, cx),
            Output::Refuse(ticket) => {
                if let Some(ask) = self.generates.remove(&ticket) {
                    ask.reply.send(Err("too many snapshots are waited for".to_owned()));
                }
                if let Some(ask) = self.sends.remove(&ticket) {
                    ask.reply.send(false);
                }
            }
            Output::Remove(name) => {
                let path = self.parts.folder.join(name);
                self.parts.worker.run(Box::new(move || folders::remove(&path)));
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        self.next
    }

    fn generate(&mut self, ticket: Ticket, cx: &mut Cx<'_, Self>) {
        let Some(ask) = self.generates.get(&ticket) else { return };
        let region = ask.region;
        let (engine, folder) = (self.parts.engine.clone(), self.parts.folder.clone());
        let back = Back(Some((cx.mailbox(), ticket)));
        self.parts.worker.run(Box::new(move || {
            let made = generate::generate(engine.as_ref(), &folder, region);
            back.tell(made.map_err(|error| chain(&error)));
        }));
    }

    fn send(&mut self, ticket: Ticket, cx: &mut Cx<'_, Self>) {
        let Some(ask) = self.sends.get(&ticket) else { return };
        let to = ask.to;
        let sending = self.parts.transport.send_snapshot(to, ask.snapshot.clone());
        cx.spawn(sending, move |actor, result, cx| {
            if let Err(error) = &result {
                tracing::warn!(store = %to, %error, "a snapshot did not arrive");
            }
            if let Some(ask) = actor.sends.remove(&ticket) {
                ask.reply.send(result.is_ok());
            }
            actor.step(Input::Sent(ticket), cx);
        });
    }
}

/// Tells the actor that a job is over, also when the job panics.
struct Back(Option<(Mailbox<SnapshotActor>, Ticket)>);

impl Back {
    fn tell(mut self, result: Result<GeneratedSnapshot, String>) {
        if let Some((mailbox, ticket)) = self.0.take() {
            // Refused only when this life of the actor is over.
            let _ = mailbox.tell(SnapshotGenerated { ticket, result });
        }
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        if let Some((mailbox, ticket)) = self.0.take() {
            let result = Err("making the snapshot crashed".to_owned());
            let _ = mailbox.tell(SnapshotGenerated { ticket, result });
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The only timer: a look at the folders.
const CLEAN: u64 = 0;

impl Acts for SnapshotActor {
    const KIND: &'static str = "snapshot";

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        cx.wake_after(self.parts.options.clean_every, CLEAN);
    }

    fn wake(&mut self, _token: u64, cx: &mut Cx<'_, Self>) {
        let (engine, folder) = (self.parts.engine.clone(), self.parts.folder.clone());
        let mailbox = cx.mailbox();
        self.parts.worker.run(Box::new(move || {
            let listed = look(engine.as_ref(), &folder).unwrap_or_else(|error| {
                tracing::warn!(error, "cannot look through the snapshot folder");
                FoldersListed { names: Vec::new(), needed: BTreeSet::new() }
            });
            let _ = mailbox.tell(listed);
        }));
    }
}

fn look(engine: &dyn KvEngine, folder: &Path) -> Result<FoldersListed, String> {
    // Names first: a folder that comes in between is not listed, and so not removed.
    let names = folders::list(folder).map_err(|error| error.to_string())?;
    let needed = folders::needed(engine).map_err(|error| chain(&error))?;
    Ok(FoldersListed { names, needed })
}

impl On<GenerateSnapshot> for SnapshotActor {
    fn on(&mut self, message: GenerateSnapshot, cx: &mut Cx<'_, Self>) {
        let ticket = self.ticket();
        self.generates.insert(ticket, message);
        self.step(Input::Generate(ticket), cx);
    }
}

impl On<SendSnapshot> for SnapshotActor {
    fn on(&mut self, message: SendSnapshot, cx: &mut Cx<'_, Self>) {
        let ticket = self.ticket();
        let name = message.snapshot.folder.file_name();
        let folder = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.sends.insert(ticket, message);
        self.step(Input::Send { ticket, folder }, cx);
    }
}

impl On<SnapshotGenerated> for SnapshotActor {
    fn on(&mut self, message: SnapshotGenerated, cx: &mut Cx<'_, Self>) {
        let SnapshotGenerated { ticket, result } = message;
        if let Some(ask) = self.generates.remove(&ticket) {
            ask.reply.send(result);
        }
        self.step(Input::Generated(ticket), cx);
    }
}

impl On<FoldersListed> for SnapshotActor {
    fn on(&mut self, message: FoldersListed, cx: &mut Cx<'_, Self>) {
        let FoldersListed { names, needed } = message;
        self.step(Input::Listed { names, needed }, cx);
        cx.wake_after(self.parts.options.clean_every, CLEAN);
    }
}

struct Spec {
    parts: SnapshotParts,
    slot: MailboxSlot<SnapshotActor>,
}

impl ChildSpec for Spec {
    type Actor = SnapshotActor;

    fn name(&self) -> String {
        format!("store-{}/snapshot", self.parts.store)
    }

    fn policy(&self) -> Policy {
        // It holds only requests that are asked again, and replicas cannot catch up without it.
        Policy { restarts: u32::MAX - 1, ..Policy::default() }
    }

    fn build(&mut self, _generation: Generation) -> Result<SnapshotActor, StartFailure> {
        Ok(SnapshotActor::new(self.parts.clone()))
    }

    fn install(&mut self, mailbox: &Mailbox<SnapshotActor>) {
        self.slot.install(mailbox);
    }

    fn fence(&mut self) {
        self.slot.clear();
    }

    fn ended(&mut self, _verdict: &Verdict) {
        self.slot.clear();
    }
}
