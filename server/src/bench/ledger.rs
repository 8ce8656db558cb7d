//! Which writes of a key may be its last: so that the speed of lost writes is not taken for speed.
//! Pure.

/// A write that may still be a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Write {
    id: u64,
    started: u64,
    /// When it was acknowledged; `u64::MAX` as long as it was not.
    ended: u64,
}

/// The writes of each key that may be its last: those that no other write followed as a whole.
///
/// Times are nanoseconds since any one moment. A write is *followed* by one that began after it was
/// acknowledged and was acknowledged too. What was never acknowledged may take effect at any time.
#[derive(Debug, Default)]
pub struct Ledger {
    keys: Vec<Vec<Write>>,
}

impl Ledger {
    /// Nothing was written yet to any of `keys` keys.
    #[must_use]
    pub fn new(keys: u32) -> Self {
        Self { keys: vec![Vec::new(); keys as usize] }
    }

    /// Write `id` of `key` is sent.
    pub fn begin(&mut self, key: u32, id: u64, now: u64) {
        self.keys[key as usize].push(Write { id, started: now, ended: u64::MAX });
    }

    /// Write `id` of `key` was acknowledged.
    pub fn acknowledged(&mut self, key: u32, id: u64, now: u64) {
        let writes = &mut self.keys[key as usize];
        if let Some(write) = writes.iter_mut().find(|write| write.id == id) {
            write.ended = now;
        }
        forget_followed(writes);
    }

    /// Takes over what another client wrote.
    pub fn merge(&mut self, other: Self) {
        for (writes, more) in self.keys.iter_mut().zip(other.keys) {
            writes.extend(more);
            forget_followed(writes);
        }
    }

    /// Was any write of `key` acknowledged?
    #[must_use]
    pub fn is_written(&self, key: u32) -> bool {
        self.keys[key as usize].iter().any(|write| write.ended != u64::MAX)
    }

    /// May `found`, the id in the value of `key`, be its last write?
    #[must_use]
    pub fn allows(&self, key: u32, found: Option<u64>) -> bool {
        match found {
            Some(id) => self.keys[key as usize].iter().any(|write| write.id == id),
            None => !self.is_written(key),
        }
    }
}

fn forget_followed(writes: &mut Vec<Write>) {
    let acknowledged = writes.iter().filter(|write| write.ended != u64::MAX);
    let latest = acknowledged.map(|write| write.started).max().unwrap_or(0);
    writes.retain(|write| write.ended >= latest);
}

#[cfg(test)]
mod tests;
