//! The timestamp oracle of a reign: when the bound is persisted, and when timestamps may be given.
//!
//! *Unique and growing*: every timestamp lies below a bound that was durable before the timestamp
//! was given, and a reign starts at the durable bound that it finds. So the last timestamp of the
//! old leader < persisted bound ≤ first timestamp of the new one, and a timestamp is never below the
//! last one. While the wall clock shows less than was given already, since it was set back or stands
//! still, timestamps go on by the monotonic clock: locks expire by them, and one of a dead client would
//! be there until the wall clock has caught up. They go on a little slower than that clock, so that it
//! does catch up, and clocks of unequal pace do not lead them away.
//!
//! *Externally consistent*: growing values are not enough. A deposed leader that does not know it
//! yet could still answer from its old window after the new leader has given larger timestamps.
//! Therefore a leader gives timestamps only until `asked + lease`, where `asked` is a moment before
//! it asked its replica of the system Region and was told that it leads under a valid Raft lease
//! (or before it sent a write that succeeded). At that moment no other claim was committed. A new
//! leader's claim is thus committed after `asked`, and it waits `lease` and a quarter from then on,
//! so its first timestamp comes after the last of the old leader, as long as clocks *run* within 10
//! % of each other; what they *show* does not matter. This holds also when leadership was handed
//! over, which ends a Raft lease early. A reign that follows one of this very process waits only as
//! long as that one had to: its window was revoked here.
use super::rows::{TSO, put};
use super::writer::Writer;
use super::{PdOptions, RequestId, Turn};
use crate::oracle::{MAX_TIMESTAMPS, TakeError, TsoOracle};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use troupe_types::pd::{PdError, PdReply};
use troupe_types::{Code, Moment, UnixMillis};

/// Most requests that wait for a window.
const MAX_WAITERS: usize = 16_384;
/// A clock that deviates so far within one reign is reported.
const JUMP_REPORTED_MS: u64 = 500;

/// See the module.
#[derive(Debug)]
pub struct Tso {
    oracle: Arc<TsoOracle>,
    window_ms: u64,
    /// No timestamp is given before: the predecessor's last confirmation still counts.
    opens_at: Moment,
    /// Until when this node surely leads.
    confirmed: Moment,
    /// Largest bound staged.
    staged_ms: u64,
    /// Is a bound on its way?
    is_staged: bool,
    /// Where the oracle stood when the bound was last raised.
    position: u64,
    waiters: VecDeque<(RequestId, u32)>,
    /// Both clocks at the last tick.
    clocks: Option<(Moment, UnixMillis)>,
    /// Monotonic time at the last tick, and the oracle's time then.
    stood: Option<(Moment, u64)>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Tso {
    /// A reign that starts at the durable bound.
    #[must_use]
    pub fn new(oracle: Arc<TsoOracle>, persisted_ms: u64, options: &PdOptions) -> Self {
        oracle.begin(persisted_ms);
        let position = oracle.position();
        Self {
            oracle,
            window_ms: millis(options.tso_window).max(1),
            opens_at: Moment(0),
            confirmed: Moment(0),
            staged_ms: persisted_ms,
            is_staged: false,
            position,
            waiters: VecDeque::new(),
            clocks: None,
            stood: None,
        }
    }

    /// Gives no timestamp before `moment`.
    pub fn open_at(&mut self, moment: Moment) {
        self.opens_at = moment;
    }

    /// This node surely leads until `until`.
    pub fn confirm(&mut self, until: Moment, now: Moment) {
        self.confirmed = self.confirmed.max(until);
        self.open(now);
    }

    fn open(&mut self, now: Moment) {
        if now >= self.opens_at && self.confirmed > now {
            self.oracle.confirm(self.confirmed);
        }
    }

    /// When the first timestamp may be given.
    #[must_use]
    pub fn opens_at(&self) -> Moment {
        self.opens_at
    }

    /// The oracle's time: at least the wall clock's, and no timestamp that was given lies behind it.
    #[must_use]
    pub fn reached_ms(&self, unix: UnixMillis) -> u64 {
        self.oracle.next_ms().max(unix.get())
    }

    /// Is it sure that this node leads?
    #[must_use]
    pub fn is_confirmed(&self, now: Moment) -> bool {
        now < self.confirmed
    }

    /// The bound `persisted_ms` is durable.
    pub fn persisted(&mut self, persisted_ms: u64) {
        self.oracle.raise(persisted_ms);
        self.position = self.oracle.position();
        self.is_staged = false;
    }

    /// Somebody asks for `count` timestamps through the mailbox.
    pub fn request(&mut self, id: RequestId, count: u32, turn: &mut Turn<'_>) {
        if !(1..=MAX_TIMESTAMPS).contains(&count) {
            let detail = format!("count must be 1 to {MAX_TIMESTAMPS}");
            turn.reply(id, Err(PdError::Refused { code: Code::BadParameter, detail }));
        } else if self.waiters.len() >= MAX_WAITERS {
            let why = "too many requests wait for timestamps".to_owned();
            turn.reply(id, Err(PdError::Unavailable { why }));
        } else {
            self.waiters.push_back((id, count));
        }
    }

    /// Answers those who wait, in order, and stages a larger bound when it is needed.
    pub fn serve(&mut self, writer: &mut Writer, turn: &mut Turn<'_>) {
        self.open(turn.now);
        while let Some((id, count)) = self.waiters.front().copied() {
            let now = turn.now;
            match self.oracle.take(count, turn.unix, || now) {
                Ok(last) => {
                    turn.reply(id, Ok(PdReply::Timestamps { last, count }));
                    self.waiters.pop_front();
                }
                Err(TakeError::Exhausted) => {
                    self.stage(writer, turn.unix);
                    return;
                }
                Err(TakeError::Revoked) => return,
            }
        }
    }

    /// Keeps the bound ahead while timestamps are in use; an idle oracle writes nothing.
    pub fn tick(&mut self, writer: &mut Writer, turn: &mut Turn<'_>) {
        self.watch_clocks(turn);
        let is_used = self.oracle.position() != self.position;
        self.go_on(turn, is_used);
        let reached = self.reached_ms(turn.unix);
        if is_used && reached + self.window_ms * 2 / 3 > self.staged_ms {
            self.stage(writer, turn.unix);
        }
    }

    fn stage(&mut self, writer: &mut Writer, unix: UnixMillis) {
        if self.is_staged {
            return;
        }
        let reached = self.reached_ms(unix);
        self.staged_ms = self.staged_ms.max(reached + self.window_ms);
        self.is_staged = true;
        writer.stage_tso(put(TSO, &self.staged_ms), self.staged_ms);
    }

    /// Lets time go on where the wall clock does not.
    fn go_on(&mut self, turn: &Turn<'_>, is_used: bool) {
        if let Some((moment, ms)) = self.stood {
            let ms = ms + millis(turn.now.since(moment)) * 7 / 8;
            if turn.unix.get() < ms {
                self.oracle.pass(ms);
            }
        }
        self.stood = Some((turn.now, self.reached_ms(turn.unix)));
        if !is_used {
            // That time goes on does not mean that anybody asks for it.
            self.position = self.oracle.position();
        }
    }

    fn watch_clocks(&mut self, turn: &mut Turn<'_>) {
        if let Some((moment, unix)) = self.clocks.replace((turn.now, turn.unix)) {
            let expected = unix.get() + millis(turn.now.since(moment));
            let off = turn.unix.get().abs_diff(expected);
            if off > JUMP_REPORTED_MS {
                let way = if turn.unix.get() > expected { "forward" } else { "back" };
                turn.note(format!("the wall clock jumped {way} by {off} ms; timestamps only grow"));
            }
        }
    }

    /// The reign ends: the window closes first, then those who wait are refused.
    pub fn abandon(self, refusal: &PdError, turn: &mut Turn<'_>) {
        self.oracle.revoke();
        for (id, _) in self.waiters {
            turn.reply(id, Err(refusal.clone()));
        }
    }
}
