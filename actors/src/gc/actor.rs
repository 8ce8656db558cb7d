//! GcActor: one on each node; works while its node leads PD. Guide: `mod.rs`. Decisions: `core.rs`.
use super::core::{GcCore, GcOptions, Input, Output};
use crate::cell::{Acts, Cx, Mailbox};
use crate::env::Env;
use crate::kv_service::{CallOptions, KvService};
use crate::node::LocalPd;
use crate::registry::ActorId;
use crate::supervision::{ChildHandle, ChildSpec, Policy, StartFailure, Verdict, supervise};
use crate::transport::slot::MailboxSlot;
use arc_swap::ArcSwap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use troupe_types::pd::PdRequest;
use troupe_types::request::Consistency;
use troupe_types::txn::gc::{GcPhase, GcRound};
use troupe_types::{Generation, TraceTags};

/// Time that PD gets to answer.
const PD_PATIENCE: Duration = Duration::from_secs(5);
/// Time of one step of a walk over the transactional space.
const STEP_PATIENCE: Duration = Duration::from_secs(20);
/// The only timer.
const WAKE: u64 = 0;

/// What the collector is made of.
#[derive(Clone)]
pub struct GcParts {
    /// Environment.
    pub env: Env,
    /// PD on this node.
    pub pd: Arc<dyn LocalPd>,
    /// Reaches all Regions.
    pub service: KvService,
    /// Habits.
    pub options: GcOptions,
}

/// The collector as its node sees it. Cheap to clone.
#[derive(Clone)]
pub struct GcHandle {
    child: Arc<ChildHandle>,
    round: Arc<ArcSwap<GcRound>>,
}

impl GcHandle {
    /// Its newest round, if this node has led PD.
    #[must_use]
    pub fn round(&self) -> Arc<GcRound> {
        self.round.load_full()
    }

    /// Ends it.
    pub fn stop(&self) {
        self.child.stop();
    }
}

/// Starts the collector of a node under `parent`, on the arbiter of the caller.
#[must_use]
pub fn start(parts: GcParts, parent: ActorId) -> GcHandle {
    let round = Arc::new(ArcSwap::from_pointee(GcRound::default()));
    let env = parts.env.clone();
    let spec = Spec { parts, round: round.clone(), slot: MailboxSlot::empty() };
    GcHandle { child: Arc::new(supervise(&env, parent, spec)), round }
}

/// See `mod.rs`.
pub struct GcActor {
    core: GcCore,
    parts: GcParts,
    round: Arc<ArcSwap<GcRound>>,
}

impl GcActor {
    fn step(&mut self, input: Input, cx: &mut Cx<'_, Self>) {
        let mut out = Vec::new();
        self.core.step(cx.now(), cx.env().clock.unix(), input, &mut out);
        for output in out {
            self.perform(output, cx);
        }
        if let Some(next) = self.core.next_wake() {
            // A moment later rather than a moment too early.
            cx.wake_after(next.since(cx.now()) + Duration::from_millis(1), WAKE);
        }
    }

    fn perform(&mut self, output: Output, cx: &mut Cx<'_, Self>) {
        let options = CallOptions {
            deadline: cx.now().after(STEP_PATIENCE),
            consistency: Consistency::Leader,
            tags: TraceTags::NONE,
        };
        let service = self.parts.service.clone();
        match output {
            Output::Ask(request) => {
                let asked = self.parts.pd.call(request, cx.now().after(PD_PATIENCE));
                self.answer(asked, Input::Answered, cx);
            }
            Output::Resolve(range, safe_point) => {
                let walked =
                    async move { service.txn_resolve_below(range, safe_point, &options).await };
                self.answer(walked, |r| Input::Walked(r.map_err(|e| e.to_string())), cx);
            }
            Output::Sweep(range) => {
                let walked = async move { service.txn_remove_ended(range, &options).await };
                self.answer(walked, |r| Input::Walked(r.map_err(|e| e.to_string())), cx);
            }
            Output::Report(round) => self.report(round, cx),
        }
    }

    fn answer<T: 'static>(
        &self,
        work: impl Future<Output = T> + 'static,
        input: impl FnOnce(T) -> Input + 'static,
        cx: &mut Cx<'_, Self>,
    ) {
        cx.spawn(work, move |actor, result, cx| actor.step(input(result), cx));
    }

    fn report(&mut self, round: GcRound, cx: &mut Cx<'_, Self>) {
        let before = self.round.load();
        match &round.last_error {
            Some(why) if round.phase == GcPhase::Idle => {
                tracing::info!(round = round.number, why, "collection stopped");
            }
            _ if round.finished_at != before.finished_at => {
                let (number, safe_point) = (round.number, round.safe_point);
                let (locks, values) = (round.locks_resolved, round.values_removed);
                tracing::debug!(round = number, %safe_point, locks, values, "collection is through");
            }
            Some(_) | None => {}
        }
        self.round.store(Arc::new(round.clone()));
        // Whoever leads PD by then shows it; if nobody here does, nobody asks.
        let told = self.parts.pd.call(PdRequest::ReportGcRound(round), cx.now().after(PD_PATIENCE));
        cx.spawn(told, |_, _, _| {});
    }
}

impl Acts for GcActor {
    const KIND: &'static str = "gc";

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.step(Input::Wake, cx);
    }

    fn wake(&mut self, _token: u64, cx: &mut Cx<'_, Self>) {
        self.step(Input::Wake, cx);
    }
}

struct Spec {
    parts: GcParts,
    round: Arc<ArcSwap<GcRound>>,
    /// Nobody sends to it, but an actor whose address nobody holds ends.
    slot: MailboxSlot<GcActor>,
}

impl ChildSpec for Spec {
    type Actor = GcActor;

    fn name(&self) -> String {
        "gc".to_owned()
    }

    /// Restarted without limit: it holds nothing that must survive.
    fn policy(&self) -> Policy {
        let (restarts, window) = (u32::MAX, Duration::from_secs(60));
        Policy { restarts, window, backoff_max: Duration::from_secs(10), ..Policy::default() }
    }

    fn build(&mut self, _generation: Generation) -> Result<GcActor, StartFailure> {
        let core = GcCore::new(self.parts.options, self.parts.env.now());
        Ok(GcActor { core, parts: self.parts.clone(), round: self.round.clone() })
    }

    fn install(&mut self, mailbox: &Mailbox<GcActor>) {
        self.slot.install(mailbox);
    }

    fn fence(&mut self) {
        self.slot.clear();
    }

    fn ended(&mut self, _verdict: &Verdict) {
        self.slot.clear();
    }
}
