//! `/v1/raw/import`: rows as a stream of lines in, lines of progress out.
use super::Answer;
use super::operation::{Content, Operation, READ, Reply, Verb, schema};
use super::raw_scan::NDJSON;
use crate::error::Problem;
use crate::export::error_line;
use crate::gate::body::{BodyKind, BodyStream};
use crate::gate::call::Call;
use crate::import::{Import, Stopped};
use crate::json::reply::{Hex64, ImportEnd, Progress, to_json};
use crate::json::request::RowIn;
use crate::space::Space;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures::stream;
use std::time::Duration;
use tokio::sync::mpsc;
use troupe_types::Code;
use troupe_types::command::RawChecksum;

/// Time between lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Operations.
pub const OPERATIONS: &[Operation] = &[Operation {
    verb: Verb::Post,
    path: "/v1/raw/import",
    name: "raw_import",
    tag: "raw",
    summary: "Import rows",
    about: "The body has a row a line, as an export (`GET /v1/raw/scan` as lines) writes them, and \
            may be of any length. While it is read, a line of progress comes about every second; \
            the last line is `{\"done\":true,…}` with the checksum of what was imported, or \
            `{\"error\":{…},\"rows\":…,\"line\":…}`. Not atomic: rows in front of an error are \
            written. Of two lines with the same key the later one wins. The last line of an export \
            is checked against what was imported.",
    body: BodyKind::Lines,
    takes: Content::Lines(schema::<RowIn>),
    replies: &[Reply {
        status: 200,
        about: "Lines of progress, and how it ended.",
        content: Content::Lines(schema::<ImportEnd>),
    }],
    errors: &[Code::BadJson, Code::BadEncoding, Code::TooLarge],
    curl: "curl -T rows.ndjson -X POST localhost:20180/v1/raw/import",
    writes: true,
    data: true,
    route: || web::post().to(import),
    ..READ
}];

async fn import(call: Call, body: BodyStream) -> Answer {
    answer(call, Space::Raw, body).await
}

/// Imports into `space`.
///
/// # Errors
/// Those of the first line; later ones stand in the last line.
pub(crate) async fn answer(call: Call, space: Space, body: BodyStream) -> Answer {
    let request = call.passport.id;
    let import = Import::start(call, space, body.0).await?;
    // The import must run on while the client does not yet read the reply: most read it at the end.
    let (lines, receiver) = mpsc::channel(4);
    actix_web::rt::spawn(run(import, lines, request));
    let lines = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line: Bytes| (Ok::<_, actix_web::Error>(line), receiver))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, NDJSON))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(lines))
}

/// Works, and tells the progress meanwhile.
async fn run(mut import: Import, lines: mpsc::Sender<Bytes>, request: u64) {
    let done = import.done.clone();
    let work = async {
        let ended = import.run().await;
        last_line(done.get(), ended, request)
    };
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let RawChecksum { rows, bytes, .. } = done.get();
                // A client that does not read gets fewer lines; the import does not wait for it.
                let _ = lines.try_send(line(&Progress { rows, bytes }));
            }
            () = lines.closed() => return,
            last = &mut work => {
                // A client that went away needs no last line.
                let _ = lines.send(last).await;
                return;
            }
        }
    }
}

fn last_line(done: RawChecksum, ended: Result<(), Stopped>, request: u64) -> Bytes {
    match ended {
        Ok(()) => line(&ImportEnd {
            done: true,
            rows: done.rows,
            bytes: done.bytes,
            checksum: Hex64(done.xor),
        }),
        Err(Stopped { problem, line }) => broken(&problem, request, (done.rows, line)),
    }
}

fn broken(problem: &Problem, request: u64, (rows, line): (u64, u64)) -> Bytes {
    let mut text = error_line(problem, request, true).to_vec();
    // Behind the error stand the figures: `{"error":{…}` + `,"rows":…,"line":…}`.
    text.truncate(text.len() - b"}\n".len());
    text.extend_from_slice(format!(",\"rows\":{rows},\"line\":{line}}}\n").as_bytes());
    text.into()
}

fn line<T: serde::Serialize>(content: &T) -> Bytes {
    let mut text = to_json(content).unwrap_or_default();
    text.push(b'\n');
    text.into()
}
