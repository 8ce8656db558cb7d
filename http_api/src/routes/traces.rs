//! `/v1/traces`: who sent what to whom.
use super::operation::{Content, Holds, Operation, READ, Reply, path, query, schema};
use super::{Answer, ok};
use crate::error::Problem;
use crate::gate::call::{Call, trace_id};
use crate::json::node::{TraceOut, TraceSummary, TracesOut};
use crate::json::reply::Hex64;
use actix_web::{HttpRequest, HttpResponse, web};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use troupe_actors::trace::Span;
use troupe_types::{Code, Moment};

/// Traces of a reply, if the request does not say.
const LIMIT_DEFAULT: u64 = 100;
const FORMATS: &[&str] = &["json", "mermaid"];

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/traces",
        name: "traces",
        tag: "node",
        summary: "Recent traces",
        about: "Those of which this node keeps spans. A request is traced if it has \
                `Kv-Trace: 1` (or `?trace`), or is one of the sample.",
        params: &[query("limit", Holds::Number, "At most so many, up to 1000. Default: 100.")],
        replies: &[Reply {
            status: 200,
            about: "The traces, newest first.",
            content: Content::Json(schema::<TracesOut>),
        }],
        curl: "curl localhost:20180/v1/traces",
        route: || web::get().to(list),
        ..READ
    },
    Operation {
        path: "/v1/traces/{id}",
        name: "trace",
        tag: "node",
        summary: "One trace",
        about: "Its messages on all nodes that can be reached, in order of sending.",
        params: &[
            path("id", Holds::Text, "16 hexadecimal digits, from the header Kv-Trace-Url."),
            query("format", Holds::Choice(FORMATS), "`mermaid` draws a sequence diagram."),
        ],
        replies: &[Reply {
            status: 200,
            about: "The trace; or the text of a diagram.",
            content: Content::Json(schema::<TraceOut>),
        }],
        curl: "curl 'localhost:20180/v1/traces/00f3a1b2c4d5e6f7?format=mermaid'",
        route: || web::get().to(one),
        ..READ
    },
];

async fn list(call: Call) -> Answer {
    let limit = call.query.number("limit", 1, 1000)?.unwrap_or(LIMIT_DEFAULT);
    let mut items = summaries(&call.state.parts.env.traces.all());
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    ok(&TracesOut { items })
}

/// What is known of a trace while its spans are walked.
struct Seen<'a> {
    first: &'a Span,
    last_end: Moment,
    spans: usize,
}

fn end_of(span: &Span) -> Moment {
    span.sent.after(std::time::Duration::from_micros(span.wait_us + span.work_us))
}

fn summaries(spans: &[Span]) -> Vec<TraceSummary> {
    let mut traces: BTreeMap<u64, Seen<'_>> = BTreeMap::new();
    for span in spans {
        let new = Seen { first: span, last_end: end_of(span), spans: 0 };
        let seen = traces.entry(span.trace).or_insert(new);
        seen.spans += 1;
        seen.last_end = seen.last_end.max(end_of(span));
        if span.sent < seen.first.sent {
            seen.first = span;
        }
    }
    let mut items: Vec<TraceSummary> = traces.iter().map(summary).collect();
    items.sort_by_key(|trace| Reverse(trace.started_ms));
    items
}

fn summary((id, seen): (&u64, &Seen<'_>)) -> TraceSummary {
    let duration = seen.last_end.since(seen.first.sent);
    TraceSummary {
        id: Hex64(*id),
        started_ms: seen.first.handled_at.get(),
        spans: seen.spans,
        duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        root: seen.first.message.to_owned(),
    }
}

async fn one(request: HttpRequest, call: Call) -> Answer {
    let text = request.match_info().get("id").unwrap_or_default();
    let bad = || Problem::bad_parameter("id", "the id of a trace has 16 hexadecimal digits");
    let id = trace_id(text).ok_or_else(bad)?;
    let known = |name: &str| Some(name == "mermaid").filter(|_| FORMATS.contains(&name));
    let mermaid = call.query.choice("format", FORMATS, known)?.unwrap_or(false);
    let spans = call.service().trace(id, call.deadline()).await;
    if spans.is_empty() {
        let detail = "no node that can be reached keeps spans of this trace";
        return Err(Problem::new(Code::NotFound, detail));
    }
    let trace = TraceOut::new(id, &spans);
    if mermaid {
        let text = trace.to_mermaid();
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text));
    }
    ok(&trace)
}
