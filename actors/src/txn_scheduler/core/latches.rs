//! Latches: commands that share a key run one after the other, in the order in which they came.
//!
//! A key is hashed to a slot; a slot is a queue. A command stands in the queues of all its slots from
//! the moment it comes, and may run when it is the first in each of them. All queues therefore have
//! the same order, the order of arrival, so that no two commands ever wait for each other. Two keys in
//! one slot only make their commands wait without need.
use super::CommandId;
use std::collections::VecDeque;
use troupe_types::Key;

/// See the module.
#[derive(Debug)]
pub struct Latches {
    slots: Vec<VecDeque<CommandId>>,
}

/// The slots of one command, sorted, each once.
pub type Slots = Vec<u32>;

impl Latches {
    /// With `slots` slots, a power of two.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        assert!(slots.is_power_of_two(), "the slot is the lower bits of a hash");
        Self { slots: vec![VecDeque::new(); slots] }
    }

    /// The slots of `keys`.
    #[must_use]
    pub fn slots_of<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) -> Slots {
        let mask = u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX);
        let mut slots: Slots = keys.into_iter().map(|key| crc32c::crc32c(key) & mask).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// `id` queues up in `slots`. Answers in how many of them others are before it.
    pub fn enter(&mut self, id: CommandId, slots: &Slots) -> usize {
        let mut behind = 0;
        for slot in slots {
            let queue = &mut self.slots[*slot as usize];
            behind += usize::from(!queue.is_empty());
            queue.push_back(id);
        }
        behind
    }

    /// `id`, the first in all of `slots`, goes. `next` is called with each command that is the first
    /// of a slot now.
    pub fn leave(&mut self, id: CommandId, slots: &Slots, mut next: impl FnMut(CommandId)) {
        for slot in slots {
            let queue = &mut self.slots[*slot as usize];
            let first = queue.pop_front();
            assert!(first == Some(id), "only the first of a queue leaves it");
            if let Some(first) = queue.front() {
                next(*first);
            }
        }
    }
}
