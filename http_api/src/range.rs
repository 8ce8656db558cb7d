//! Ranges of user keys as requests give them.
use crate::error::Problem;
use crate::gate::call::Call;
use crate::json::bytes::BytesIn;
use crate::space::Space;
use troupe_types::key::prefix_end;
use troupe_types::{Code, Key, KeyRange};

/// `prefix`, or `start` and `end`, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// All keys that begin like this.
    pub prefix: Option<Key>,
    /// First key inside.
    pub start: Option<Key>,
    /// First key behind.
    pub end: Option<Key>,
}

/// The bounds of a JSON body.
pub struct BoundsIn {
    /// See [`Bounds`].
    pub prefix: Option<BytesIn>,
    /// See [`Bounds`].
    pub start: Option<BytesIn>,
    /// See [`Bounds`].
    pub end: Option<BytesIn>,
}

impl Bounds {
    /// From a body.
    ///
    /// # Errors
    /// `BAD_ENCODING`.
    pub fn from_body(body: BoundsIn) -> Result<Self, Problem> {
        let key = |bytes: Option<BytesIn>| bytes.map(BytesIn::key).transpose();
        Ok(Self { prefix: key(body.prefix)?, start: key(body.start)?, end: key(body.end)? })
    }

    /// From the parameters `prefix`, `start` and `end`.
    ///
    /// # Errors
    /// `BAD_ENCODING`, `TOO_LARGE`.
    pub fn from_query(call: &Call) -> Result<Self, Problem> {
        Ok(Self {
            prefix: call.query_key("prefix")?,
            start: call.query_key("start")?,
            end: call.query_key("end")?,
        })
    }

    /// Does it name no bound that keeps anything out?
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let unset = |key: &Option<Key>| key.as_ref().is_none_or(bytes::Bytes::is_empty);
        unset(&self.prefix) && unset(&self.start) && unset(&self.end)
    }

    /// The range of stored keys of `space`.
    ///
    /// # Errors
    /// `BAD_RANGE`, `TOO_LARGE`.
    pub fn stored(&self, call: &Call, space: Space) -> Result<KeyRange, Problem> {
        for key in [&self.prefix, &self.start, &self.end].into_iter().flatten() {
            call.check_key_size(key)?;
        }
        let start = self.start.as_deref().unwrap_or_default();
        let end = self.end.as_deref().unwrap_or_default();
        match &self.prefix {
            Some(_) if self.start.is_some() || self.end.is_some() => {
                Err(Problem::new(Code::BadRange, "give `prefix`, or `start` and `end`, not both"))
            }
            Some(prefix) => {
                let stored = space.key(prefix);
                let end = prefix_end(&stored);
                Ok(KeyRange::new(stored, end))
            }
            None if !end.is_empty() && start >= end => {
                Err(Problem::new(Code::BadRange, "`start` must sort in front of `end`"))
            }
            None => Ok(space.range(start, end)),
        }
    }
}
