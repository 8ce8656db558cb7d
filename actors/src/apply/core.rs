//! What is applied together, and which fences hold. Pure.
use troupe_types::RegionId;

/// What happens. `T` is a task, `F` who waits for a fence.
#[derive(Debug)]
pub enum Input<T, F> {
    /// Do this, in order.
    Task(RegionId, T),
    /// Say when nothing of a Region is queued or under way any more.
    Fence(RegionId, F),
    /// The round under way is over.
    Done,
    /// End of a mailbox batch.
    Flush,
}

/// What is wanted.
#[derive(Debug, PartialEq)]
pub enum Output<T, F> {
    /// Do all of these, in order, then say `Done`.
    Run(Vec<T>),
    /// The fence holds.
    Fenced(F),
}

/// See the module.
#[derive(Debug)]
pub struct ApplyCore<T, F> {
    queued: Vec<(RegionId, T)>,
    /// Regions of the round under way; `None` = idle.
    under_way: Option<Vec<RegionId>>,
    fences: Vec<(RegionId, F)>,
}

impl<T, F> Default for ApplyCore<T, F> {
    fn default() -> Self {
        Self { queued: Vec::new(), under_way: None, fences: Vec::new() }
    }
}

impl<T, F> ApplyCore<T, F> {
    /// Takes `input`.
    pub fn step(&mut self, input: Input<T, F>, out: &mut Vec<Output<T, F>>) {
        match input {
            Input::Task(region, task) => self.queued.push((region, task)),
            Input::Fence(region, waiter) => self.fences.push((region, waiter)),
            Input::Done => {
                assert!(self.under_way.take().is_some(), "a round ends once");
            }
            Input::Flush => self.start(out),
        }
        self.check_fences(out);
    }

    fn start(&mut self, out: &mut Vec<Output<T, F>>) {
        if self.under_way.is_some() || self.queued.is_empty() {
            return;
        }
        let (regions, tasks) = std::mem::take(&mut self.queued).into_iter().unzip();
        self.under_way = Some(regions);
        out.push(Output::Run(tasks));
    }

    fn check_fences(&mut self, out: &mut Vec<Output<T, F>>) {
        let mut waiting = Vec::new();
        for (region, waiter) in std::mem::take(&mut self.fences) {
            let is_busy = self.queued.iter().any(|(other, _)| *other == region)
                || self.under_way.as_ref().is_some_and(|regions| regions.contains(&region));
            if is_busy {
                waiting.push((region, waiter));
            } else {
                out.push(Output::Fenced(waiter));
            }
        }
        self.fences = waiting;
    }
}
