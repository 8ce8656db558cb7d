//! One life of a simulated process, as its tasks see it: they can be held, as a stopped process is,
//! and whatever ends the process from within ends this life alone.
//!
//! Everything that a node runs is wrapped by [`Gate::gated`]: its actors, its jobs, and the calls that
//! others make inside it.
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::sync::mpsc::UnboundedSender;
use troupe_actors::env::Power;
use troupe_types::NodeId;

/// A life that ended from within: which node, and why.
pub type Death = (NodeId, String);

/// See the module.
pub struct Gate {
    node: NodeId,
    power: Power,
    deaths: UnboundedSender<Death>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    is_shut: bool,
    waiting: Vec<Waker>,
}

thread_local! {
    /// The life whose code runs now.
    static CURRENT: RefCell<Option<Arc<Gate>>> = const { RefCell::new(None) };
}

impl Gate {
    /// The gate of a new life of `node`, open. Its end from within is told to `deaths`.
    #[must_use]
    pub fn new(node: NodeId, power: Power, deaths: UnboundedSender<Death>) -> Arc<Self> {
        Arc::new(Self { node, power, deaths, held: Mutex::default() })
    }

    /// The power switch of this life.
    #[must_use]
    pub fn power(&self) -> &Power {
        &self.power
    }

    /// From here on none of its tasks runs.
    pub fn shut(&self) {
        self.held.lock().unwrap().is_shut = true;
    }

    /// All its tasks go on, in the order in which they were woken meanwhile.
    pub fn open(&self) {
        let waiting = {
            let mut held = self.held.lock().unwrap();
            held.is_shut = false;
            std::mem::take(&mut held.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    /// Is the life held now?
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.held.lock().unwrap().is_shut
    }

    /// `inner` as a task of this life.
    pub fn gated<F: Future>(self: &Arc<Self>, inner: F) -> Gated<F> {
        Gated { gate: self.clone(), inner: Box::pin(inner) }
    }

    /// Runs `act` as code of this life, held or not.
    pub fn within<T>(self: &Arc<Self>, act: impl FnOnce() -> T) -> T {
        let _scope = self.enter();
        act()
    }

    fn enter(self: &Arc<Self>) -> Scope {
        Scope { outer: CURRENT.replace(Some(self.clone())) }
    }

    fn must_wait(&self, waker: &Waker) -> bool {
        let mut held = self.held.lock().unwrap();
        if !held.is_shut {
            return false;
        }
        if !held.waiting.iter().any(|known| known.will_wake(waker)) {
            held.waiting.push(waker.clone());
        }
        true
    }
}

struct Scope {
    outer: Option<Arc<Gate>>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}

/// A future of one life.
pub struct Gated<F> {
    gate: Arc<Gate>,
    inner: Pin<Box<F>>,
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.gate.must_wait(cx.waker()) {
            return Poll::Pending;
        }
        let _scope = self.gate.enter();
        self.inner.as_mut().poll(cx)
    }
}

/// The process whose code runs now ends: cuts the power of that life and of nothing else.
///
/// # Panics
/// No simulated process runs now.
pub fn end_current(reason: &str) {
    let Some(gate) = CURRENT.with_borrow(Clone::clone) else {
        panic!("a process ends, but none runs now: {reason}");
    };
    if gate.power.is_on() {
        gate.power.cut();
        let _ = gate.deaths.send((gate.node, reason.to_owned()));
    }
}

#[cfg(test)]
mod tests;
