//! Export: all rows of a range as lines of JSON, read page by page while the client reads.
use crate::error::Problem;
use crate::gate::call::Call;
use crate::json::bytes::{BytesOut, Enc};
use crate::json::reply::{ExportEnd, ExportRow, Hex64, to_json, user_part};
use crate::json::txn::row::version;
use crate::routes::Answer;
use crate::routes::raw_scan::NDJSON;
use crate::scan::{Page, Row, Scan};
use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures::stream;
use troupe_types::UnixMillis;
use troupe_types::command::RawChecksum;

/// Rows read at a time: enough to fill a frame, few enough to answer soon.
const PAGE_ROWS: u64 = 1000;
/// Bytes read at a time.
const PAGE_BYTES: u64 = 1 << 20;

/// The reply. What is wrong with the first page is still a plain problem.
///
/// # Errors
/// Those of a scan; later ones stand in the last line.
pub async fn answer(call: Call, scan: Scan) -> Answer {
    let mut export = Export { call, scan, sum: RawChecksum::default(), state: State::Reading };
    let first = export.next_lines().await?;
    let rest = stream::unfold(export, |mut export| async move {
        if matches!(export.state, State::Done) {
            return None;
        }
        let lines = match export.next_lines().await {
            Ok(lines) => lines,
            Err(problem) => export.broken(&problem),
        };
        Some((Ok::<_, actix_web::Error>(lines), export))
    });
    let body = futures::StreamExt::chain(stream::iter([Ok(first)]), rest);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, NDJSON))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(body))
}

enum State {
    Reading,
    Done,
}

/// An export under way. It holds the request's admission through its call.
struct Export {
    call: Call,
    scan: Scan,
    sum: RawChecksum,
    state: State,
}

impl Export {
    async fn next_lines(&mut self) -> Result<Bytes, Problem> {
        let page = self.next_page().await?;
        let now = self.call.state.parts.env.clock.unix();
        let mut lines = Vec::with_capacity(page.rows.len() * 64);
        for row in page.rows {
            self.sum.add(&user_part(&row.key), &row.value);
            line(&mut lines, &self.shown(row, now))?;
        }
        let limit_left = self.scan.limit.is_none_or(|limit| self.sum.rows < limit);
        match page.next {
            // All pages of the transactional space are of the moment of the first one.
            Some(place) if limit_left => self.scan.place = place,
            Some(_) | None => {
                self.state = State::Done;
                let checksum = Hex64(self.sum.xor);
                line(
                    &mut lines,
                    &ExportEnd {
                        done: true,
                        rows: self.sum.rows,
                        checksum,
                        read_ts: version(page.read_ts),
                    },
                )?;
            }
        }
        Ok(lines.into())
    }

    async fn next_page(&self) -> Result<Page, Problem> {
        let left = self.scan.limit.map_or(PAGE_ROWS, |limit| limit - self.sum.rows);
        self.scan.page(&self.call, left.min(PAGE_ROWS), PAGE_BYTES).await
    }

    fn shown(&self, row: Row, now: UnixMillis) -> ExportRow {
        let enc: Enc = self.scan.enc;
        let left = row.expires_at.map(|at| at.get().saturating_sub(now.get()));
        let ttl = left.map(|ms| format!("{}ms", ms.max(1)));
        ExportRow {
            key: BytesOut::key(user_part(&row.key), enc),
            value: (!self.scan.keys_only()).then_some(BytesOut::value(row.value, enc)),
            ttl,
        }
    }

    fn broken(&mut self, problem: &Problem) -> Bytes {
        self.state = State::Done;
        error_line(problem, self.call.passport.id, false)
    }
}

fn line<T: serde::Serialize>(lines: &mut Vec<u8>, content: &T) -> Result<(), Problem> {
    // Serialized apart: a row that fails half-way must not leave half a line.
    lines.extend_from_slice(&to_json(content)?);
    lines.push(b'\n');
    Ok(())
}

/// The last line of a stream that broke off.
#[must_use]
pub fn error_line(problem: &Problem, request: u64, writes: bool) -> Bytes {
    #[derive(serde::Serialize)]
    struct Broken<'a> {
        error: crate::error::Rendered<'a>,
    }
    let error = problem.render(&Hex64(request).to_string(), writes);
    let mut line = serde_json::to_vec(&Broken { error }).unwrap_or_default();
    line.push(b'\n');
    line.into()
}
