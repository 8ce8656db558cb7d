//! What scans of both spaces have in common: pages, their cursors, and their rows.
use crate::cursor::{self, Place, Question, flags};
use crate::error::Problem;
use crate::gate::call::Call;
use crate::json::bytes::Enc;
use crate::json::strict::in_range;
use crate::json::txn::when::When;
use crate::range::Bounds;
use crate::space::Space;
use crate::txn::moment;
use bytes::Bytes;
use troupe_actors::kv_service::{ScanOptions, StoppedBy};
use troupe_types::command::RawRow;
use troupe_types::txn::TxnRow;
use troupe_types::{Code, Key, KeyRange, Timestamp, UnixMillis};

/// What bodies and queries say besides the range.
#[derive(Debug)]
pub struct Asked {
    /// From the end to the start.
    pub reverse: bool,
    /// Without values.
    pub keys_only: bool,
    /// Where to go on.
    pub cursor: Option<String>,
    /// Rows at most.
    pub limit: Option<u64>,
    /// How bytes are shown.
    pub enc: Enc,
    /// As of when; never said of the raw space.
    pub at: Option<When>,
}

/// A scan under way.
pub struct Scan {
    /// Of which space.
    pub space: Space,
    /// What of the range is left, and as of when (0: not known before the first page).
    pub place: Place,
    /// What was asked first.
    pub question: Question,
    /// Rows at most, if it was said.
    pub limit: Option<u64>,
    /// How bytes are shown.
    pub enc: Enc,
}

/// A row of either space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Stored key.
    pub key: Key,
    /// Value.
    pub value: Bytes,
    /// When it was committed; 0 in the raw space.
    pub version: Timestamp,
    /// When it ends, if ever.
    pub expires_at: Option<UnixMillis>,
}

impl From<RawRow> for Row {
    fn from(row: RawRow) -> Self {
        let RawRow { key, value, expires_at } = row;
        Self { key, value, version: Timestamp::ZERO, expires_at }
    }
}

impl From<TxnRow> for Row {
    fn from(row: TxnRow) -> Self {
        let TxnRow { key, value, commit_ts, expires_at } = row;
        Self { key, value, version: commit_ts, expires_at }
    }
}

impl Row {
    /// As a row of the raw space.
    #[must_use]
    pub fn raw(self) -> RawRow {
        RawRow { key: self.key, value: self.value, expires_at: self.expires_at }
    }

    /// As a row of the transactional space.
    #[must_use]
    pub fn txn(self) -> TxnRow {
        let Self { key, value, version, expires_at } = self;
        TxnRow { key, value, commit_ts: version, expires_at }
    }
}

/// Rows of a scan.
pub struct Page {
    /// In scan order.
    pub rows: Vec<Row>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Place>,
    /// Why it ends.
    pub stopped_by: &'static str,
    /// As of when; 0 in the raw space.
    pub read_ts: Timestamp,
}

impl Scan {
    /// A scan of `space`.
    ///
    /// # Errors
    /// `BAD_RANGE`, `BAD_CURSOR`, `TOO_LARGE`, `BAD_PARAMETER`; those of the oracle.
    pub async fn new(
        call: &Call,
        space: Space,
        bounds: &Bounds,
        asked: Asked,
    ) -> Result<Self, Problem> {
        let bit = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = bit(asked.reverse, flags::REVERSE) | bit(asked.keys_only, flags::KEYS_ONLY);
        let question = Question { range: bounds.stored(call, space)?, flags };
        let place = match asked.cursor {
            Some(text) => {
                let place = cursor::decode(call.state.parts.cluster, &question, &text)?;
                check_moment(&place, asked.at)?;
                place
            }
            None => Place { rest: question.range.clone(), read_ts: read_ts(call, asked.at).await? },
        };
        Ok(Self { space, place, question, limit: asked.limit, enc: asked.enc })
    }

    /// From the end to the start?
    #[must_use]
    pub fn reverse(&self) -> bool {
        self.question.flags & flags::REVERSE != 0
    }

    /// Without values?
    #[must_use]
    pub fn keys_only(&self) -> bool {
        self.question.flags & flags::KEYS_ONLY != 0
    }

    /// One page for a reply, as long as limits allow.
    ///
    /// # Errors
    /// `BAD_PARAMETER` if `limit` is not allowed; those of the service layer.
    pub async fn first_page(&self, call: &Call) -> Result<Page, Problem> {
        let limits = &call.state.parts.config.limits;
        let limit = match self.limit {
            Some(limit) => in_range("limit", Some(limit), 1, limits.scan_rows_max as u64)?,
            None => limits.scan_rows_default as u64,
        };
        self.page(call, limit, limits.scan_bytes.bytes()).await
    }

    /// The page that begins at [`Scan::place`].
    ///
    /// # Errors
    /// Those of the service layer.
    pub async fn page(&self, call: &Call, limit: u64, max_bytes: u64) -> Result<Page, Problem> {
        let options = ScanOptions {
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            max_bytes,
            reverse: self.reverse(),
            keys_only: self.keys_only(),
        };
        let (range, call_options) = (self.place.rest.clone(), call.options());
        let (rows, rest, stopped_by, read_ts) = match self.space {
            Space::Raw => {
                let page = call.service().raw_scan(range, options, &call_options).await?;
                let rows = page.rows.into_iter().map(Row::from).collect();
                (rows, page.rest, page.stopped_by, Timestamp::ZERO)
            }
            Space::Txn => {
                let at = Some(self.place.read_ts).filter(|at| *at != Timestamp::ZERO);
                let page = call.service().txn_scan(range, options, at, &call_options).await?;
                let rows = page.rows.into_iter().map(Row::from).collect();
                (rows, page.rest, page.stopped_by, page.read_ts)
            }
        };
        let next = rest.map(|rest: KeyRange| Place { rest, read_ts });
        Ok(Page { rows, next, stopped_by: reason(stopped_by), read_ts })
    }

    /// The cursor of a place of this scan.
    #[must_use]
    pub fn cursor(&self, call: &Call, place: &Place) -> String {
        cursor::encode(call.state.parts.cluster, &self.question, place)
    }
}

/// A cursor keeps its moment; one that is named besides must be the same. So long ago is another moment
/// each time, and was the cursor's when its scan began.
fn check_moment(place: &Place, at: Option<When>) -> Result<(), Problem> {
    match at.and_then(moment::fixed) {
        Some(ts) if ts != place.read_ts => {
            let detail = "the cursor cannot be used: it belongs to a scan of another moment (`at`)";
            Err(Problem::new(Code::BadCursor, detail))
        }
        Some(_) | None => Ok(()),
    }
}

async fn read_ts(call: &Call, at: Option<When>) -> Result<Timestamp, Problem> {
    match at {
        Some(when) => moment::resolve(call, "at", when, &call.options()).await,
        None => Ok(Timestamp::ZERO),
    }
}

fn reason(stopped_by: StoppedBy) -> &'static str {
    match stopped_by {
        StoppedBy::End => "end",
        StoppedBy::Limit => "limit",
        StoppedBy::Bytes => "bytes",
    }
}
