//! Keys and values of the bench. Pure: everything follows from the seed.
use bytes::Bytes;

/// Bytes of a value that tell which write it came from.
pub const STAMP_BYTES: usize = 8;
/// Bytes of a key behind its prefix.
const KEY_BYTES: usize = 16;
/// Random bytes that values are cut from.
const POOL_BYTES: usize = 1 << 20;
/// Characters of keys: safe in a URL as they are.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A fast random source (SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A source whose numbers follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which is above zero; even enough for a bench.
    pub fn below(&mut self, bound: u32) -> u32 {
        let scaled = (self.next() >> 32) * u64::from(bound);
        u32::try_from(scaled >> 32).expect("invariant: below a u32")
    }
}

/// A bijection that leaves no pattern.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// All keys of a run, spread evenly over the key space of printable keys.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Bytes>);

impl Keys {
    /// `count` different keys of 16 characters behind `prefix`.
    #[must_use]
    pub fn new(prefix: &str, count: u32) -> Self {
        Self::numbered(prefix, 0, count)
    }

    /// `count` keys like those, and none of those.
    #[must_use]
    pub fn others(prefix: &str, count: u32) -> Self {
        Self::numbered(prefix, 1 << 32, count)
    }

    fn numbered(prefix: &str, first: u64, count: u32) -> Self {
        let key = |index: u32| {
            let mut key = prefix.as_bytes().to_vec();
            let index = first + u64::from(index);
            let (first, second) = (mix(index), mix(!index));
            let bits = (u128::from(first) << 64) | u128::from(second);
            key.extend((0..KEY_BYTES).map(|i| ALPHABET[(bits >> (122 - 6 * i)) as usize & 63]));
            Bytes::from(key)
        };
        Self((0..count).map(key).collect())
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).expect("invariant: made from a u32")
    }

    /// The key with this number, below [`Keys::count`].
    #[must_use]
    pub fn get(&self, index: u32) -> &Bytes {
        &self.0[index as usize]
    }
}

/// Values that no compression makes smaller, of one length.
#[derive(Clone, Debug)]
pub struct Values {
    pool: Bytes,
    length: usize,
}

impl Values {
    /// Values of `length` bytes, at least [`STAMP_BYTES`].
    #[must_use]
    pub fn new(seed: u64, length: usize) -> Self {
        assert!(length >= STAMP_BYTES, "a value has room for its stamp");
        let mut random = Random::new(seed);
        let words = (POOL_BYTES + length).div_ceil(8);
        let pool: Vec<u8> = (0..words).flat_map(|_| random.next().to_le_bytes()).collect();
        Self { pool: pool.into(), length }
    }

    /// Bytes of each value.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Appends a value that says that it was written by `write`.
    pub fn append(&self, write: u64, random: &mut Random, out: &mut Vec<u8>) {
        let at = random.below(POOL_BYTES as u32) as usize;
        out.extend_from_slice(&write.to_le_bytes());
        out.extend_from_slice(&self.pool[at..at + self.length - STAMP_BYTES]);
    }

    /// Which write a value came from; `None` if it is none of ours.
    #[must_use]
    pub fn stamp(value: &[u8]) -> Option<u64> {
        value.first_chunk::<STAMP_BYTES>().map(|stamp| u64::from_le_bytes(*stamp))
    }
}

#[cfg(test)]
mod tests;
