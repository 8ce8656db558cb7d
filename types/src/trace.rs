//! Which traces a message belongs to.
use serde::{Deserialize, Serialize};

/// One trace and how many more messages may carry it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceTag {
    /// Which trace; never 0.
    pub id: u64,
    /// Messages that may still follow. Batches mix what belongs to many requests, so a tag would
    /// otherwise spread for ever in a busy Region.
    pub hops_left: u8,
}

/// Hops that a new trace may make: enough for a write to its commit on all replicas and back.
pub const TRACE_HOPS: u8 = 24;

/// Most traces that one message belongs to; further ones are left out.
pub const MAX_TAGS: usize = 4;

/// The traces of one message. Empty, and free to carry, for nearly all messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceTags(Vec<TraceTag>);

impl TraceTags {
    /// No trace.
    pub const NONE: Self = Self(Vec::new());

    /// The start of a trace. `id` must not be 0.
    #[must_use]
    pub fn start(id: u64) -> Self {
        assert!(id != 0, "0 is no trace");
        Self(vec![TraceTag { id, hops_left: TRACE_HOPS }])
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All tags.
    #[must_use]
    pub fn tags(&self) -> &[TraceTag] {
        &self.0
    }

    /// What a message sent under these tags carries: one hop less each.
    #[must_use]
    pub fn next_hop(&self) -> Self {
        let left = self.0.iter().filter(|tag| tag.hops_left > 0);
        Self(left.map(|tag| TraceTag { hops_left: tag.hops_left - 1, ..*tag }).collect())
    }

    /// Adds the tags of another message of the same batch.
    pub fn merge(&mut self, other: &Self) {
        for tag in &other.0 {
            if let Some(own) = self.0.iter_mut().find(|own| own.id == tag.id) {
                own.hops_left = own.hops_left.max(tag.hops_left);
            } else if self.0.len() < MAX_TAGS {
                self.0.push(*tag);
            }
        }
    }
}

#[cfg(test)]
mod tests;
