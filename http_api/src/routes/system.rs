//! Health, metrics, limits, version.
use super::operation::{Content, Holds, Operation, READ, Reply, query, schema};
use super::{Answer, ok};
use crate::error::Problem;
use crate::gate::call::Call;
use crate::json::node::{LimitsOut, LiveOut, ReadyOut, RootOut, VersionOut};
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use std::collections::BTreeMap;
use std::time::Duration;
use troupe_types::Code;

/// Media type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const NAME: &str = "troupe";

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/",
        name: "root",
        tag: "system",
        summary: "Where to begin",
        about: "Links to the documentation and to what people look at first.",
        replies: &[Reply {
            status: 200,
            about: "Links.",
            content: Content::Json(schema::<RootOut>),
        }],
        curl: "curl localhost:20180/",
        route: || web::get().to(root),
        ..READ
    },
    Operation {
        path: "/livez",
        name: "livez",
        tag: "system",
        summary: "Is the process alive?",
        about: "Says nothing of the cluster: a failed answer means that a restart may help.",
        replies: &[Reply {
            status: 200,
            about: "It is.",
            content: Content::Json(schema::<LiveOut>),
        }],
        curl: "curl localhost:20180/livez",
        route: || web::get().to(livez),
        ..READ
    },
    Operation {
        path: "/readyz",
        name: "readyz",
        tag: "system",
        summary: "Does the node take requests?",
        about: "Not while it starts, or stops, or a check fails: then it is a 503 that names the \
                failing checks.",
        params: &[query("verbose", Holds::Switch, "Name all checks.")],
        replies: &[Reply {
            status: 200,
            about: "It does.",
            content: Content::Json(schema::<ReadyOut>),
        }],
        errors: &[Code::NotReady],
        curl: "curl 'localhost:20180/readyz?verbose'",
        route: || web::get().to(readyz),
        ..READ
    },
    Operation {
        path: "/metrics",
        name: "metrics",
        tag: "system",
        summary: "Metrics for Prometheus",
        about: "Of this node: requests, actors, engines, logs.",
        replies: &[Reply {
            status: 200,
            about: "Prometheus' text format.",
            content: Content::Text("text/plain"),
        }],
        curl: "curl localhost:20180/metrics",
        route: || web::get().to(metrics),
        ..READ
    },
    Operation {
        path: "/v1/limits",
        name: "limits",
        tag: "system",
        summary: "Limits of requests",
        about: "Sizes are of decoded bytes. An error says which limit was passed and by what.",
        replies: &[Reply {
            status: 200,
            about: "The limits.",
            content: Content::Json(schema::<LimitsOut>),
        }],
        curl: "curl localhost:20180/v1/limits",
        route: || web::get().to(limits),
        ..READ
    },
    Operation {
        path: "/v1/version",
        name: "version",
        tag: "system",
        summary: "Version of the build",
        about: "And of this API.",
        replies: &[Reply {
            status: 200,
            about: "The version.",
            content: Content::Json(schema::<VersionOut>),
        }],
        curl: "curl localhost:20180/v1/version",
        route: || web::get().to(version),
        ..READ
    },
];

async fn root(call: Call) -> Answer {
    let links = [
        ("docs", "/docs/"),
        ("openapi", "/openapi.json"),
        ("cluster", "/v1/cluster"),
        ("stores", "/v1/stores"),
        ("regions", "/v1/regions"),
        ("actors", "/v1/actors"),
        ("limits", "/v1/limits"),
        ("metrics", "/metrics"),
        ("ready", "/readyz?verbose"),
    ];
    let version = call.state.parts.node.version.clone();
    ok(&RootOut { name: NAME, version, links: BTreeMap::from(links) })
}

async fn livez(_call: Call) -> Answer {
    ok(&LiveOut { live: true })
}

async fn readyz(call: Call) -> Answer {
    let verbose = call.query.switch("verbose")?;
    let checks = (call.state.parts.ready)();
    let failing = |(name, held): &(String, Result<(), String>)| {
        held.as_ref().err().map(|why| format!("{name}: {why}"))
    };
    let failing: Vec<String> = checks.iter().filter_map(failing).collect();
    if !failing.is_empty() {
        let detail = format!("not ready: {}", failing.join("; "));
        return Err(Problem::new(Code::NotReady, detail).with("failing", failing));
    }
    let shown = checks.into_iter().filter(|_| verbose).map(|(name, _)| (name, "ok".to_owned()));
    ok(&ReadyOut { ready: true, checks: shown.collect() })
}

async fn metrics(call: Call) -> Answer {
    let text = call.state.metrics.render(&call.state);
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, PROMETHEUS)).body(text))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn limits(call: Call) -> Answer {
    let limits = &call.state.parts.config.limits;
    ok(&LimitsOut {
        key_bytes: limits.key.bytes(),
        value_bytes: limits.value.bytes(),
        batch_keys: limits.batch_keys,
        batch_bytes: limits.batch_bytes.bytes(),
        scan_rows_default: limits.scan_rows_default,
        scan_rows_max: limits.scan_rows_max,
        scan_bytes: limits.scan_bytes.bytes(),
        txn_ops: limits.txn_ops,
        txn_bytes: limits.txn_bytes.bytes(),
        txn_session_bytes: limits.txn_session_bytes.bytes(),
        txn_idle_ms: ms(limits.txn_idle),
        txn_idle_max_ms: ms(limits.txn_idle_max),
        txn_open: limits.txn_open,
        body_bytes: limits.body.bytes(),
        import_line_bytes: limits.import_line.bytes(),
        deadline_default_ms: ms(limits.deadline_default),
        deadline_max_ms: ms(limits.deadline_max),
        body_base_ms: ms(limits.body_base),
        body_min_rate: limits.body_min_rate.bytes(),
        in_flight_requests: limits.in_flight_requests,
        in_flight_bytes: limits.in_flight_bytes.bytes(),
    })
}

async fn version(call: Call) -> Answer {
    let version = call.state.parts.node.version.clone();
    ok(&VersionOut { name: NAME, version, api: "v1" })
}
