//! Merges concurrent timestamp requests: while one is under way, what comes meanwhile becomes the next
//! one. There is no task behind it: whoever waits drives the request, so none is left behind when an
//! asker goes away.
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use troupe_types::pd::{PdError, PdReply, PdRequest, PdResult};
use troupe_types::{Code, Moment, Timestamp};

/// Most timestamps of one request to PD.
pub const MAX_COUNT: u32 = 262_144;

/// Sends a request to PD's leader.
pub type Ask = Arc<dyn Fn(PdRequest, Moment) -> BoxFuture<'static, PdResult> + Send + Sync>;

type Answer = Shared<BoxFuture<'static, PdResult>>;

/// What the askers of one request want together.
#[derive(Debug, Default)]
struct Wish {
    count: u32,
    deadline: Moment,
    /// It is on its way: nobody may join any more, since a timestamp must be taken after it was
    /// asked for.
    is_sent: bool,
}

struct Batch {
    wish: Arc<Mutex<Wish>>,
    answer: Answer,
}

/// The last batch, which may still be joined or be under way.
#[derive(Default)]
pub struct Merger {
    newest: Mutex<Option<Batch>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Merger {
    /// `count` timestamps, all taken after this call.
    pub fn ask(&self, count: u32, deadline: Moment, ask: Ask) -> BoxFuture<'static, PdResult> {
        if count == 0 || count > MAX_COUNT {
            let detail = format!("a request takes 1 to {MAX_COUNT} timestamps");
            let refused = PdError::Refused { code: Code::BadParameter, detail };
            return std::future::ready(Err(refused)).boxed();
        }
        let mut newest = lock(&self.newest);
        let joined = newest.as_ref().and_then(|batch| batch.join(count, deadline));
        let (answer, before) = joined.unwrap_or_else(|| {
            let previous = newest.take().map(|batch| batch.answer);
            let batch = Batch::new(count, deadline, previous, ask);
            let answer = batch.answer.clone();
            *newest = Some(batch);
            (answer, 0)
        });
        drop(newest);
        answer.map(move |answer| share(answer, before, count)).boxed()
    }
}

impl Batch {
    fn new(count: u32, deadline: Moment, previous: Option<Answer>, ask: Ask) -> Self {
        let wish = Arc::new(Mutex::new(Wish { count, deadline, is_sent: false }));
        let sealed = wish.clone();
        let answer = async move {
            if let Some(previous) = previous {
                // Only its end matters: an own request follows.
                let _ = previous.await;
            }
            let (count, deadline) = {
                let mut wish = lock(&sealed);
                wish.is_sent = true;
                (wish.count, wish.deadline)
            };
            ask(PdRequest::Timestamps { count }, deadline).await
        };
        Self { wish, answer: answer.boxed().shared() }
    }

    /// The answer to wait for, and how many timestamps of it belong to others before.
    fn join(&self, count: u32, deadline: Moment) -> Option<(Answer, u32)> {
        let mut wish = lock(&self.wish);
        if wish.is_sent || wish.count + count > MAX_COUNT {
            return None;
        }
        let before = wish.count;
        wish.count += count;
        wish.deadline = wish.deadline.max(deadline);
        Some((self.answer.clone(), before))
    }
}

/// The part of a merged answer that belongs to the asker with `before` timestamps ahead of its own.
fn share(answer: PdResult, before: u32, count: u32) -> PdResult {
    match answer? {
        PdReply::Timestamps { last, count: all } if before + count <= all => {
            let behind = u64::from(all - before - count);
            Ok(PdReply::Timestamps { last: Timestamp(last.get() - behind), count })
        }
        other => {
            let why = format!("the Placement Driver answered something else: {other:?}");
            Err(PdError::Unavailable { why })
        }
    }
}
