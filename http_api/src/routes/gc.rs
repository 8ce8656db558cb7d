//! `/v1/gc`: which old versions may be collected.
use super::operation::{Content, Holds, Operation, Param, READ, Reply, Verb, path, schema};
use super::{Answer, ok};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::{Call, read_duration};
use crate::json::strict::from_json;
use crate::json::txn::locks::GcOut;
use crate::json::txn::request::{BarrierBody, GcBody};
use crate::json::txn::when::When;
use crate::pd;
use crate::txn::moment;
use actix_web::{HttpRequest, web};
use troupe_types::pd::PdRequest;
use troupe_types::txn::gc::GcBarrier;
use troupe_types::{Code, UnixMillis};

const SERVICE: Param = path("service", Holds::Text, "Name of the service; one barrier each.");
const LONGEST_NAME: usize = 64;
const STATE: &[Reply] = &[Reply {
    status: 200,
    about: "Safe points and barriers.",
    content: Content::Json(schema::<GcOut>),
}];

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/gc",
        name: "gc",
        tag: "gc",
        summary: "Safe points and barriers",
        about: "Reads below `txn_safe_point` are refused; versions that a newer one hides at \
                `gc_safe_point` may be gone.",
        replies: STATE,
        errors: &[Code::PdUnavailable],
        curl: "curl localhost:20180/v1/gc",
        route: || web::get().to(show),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/gc",
        name: "gc_advance",
        tag: "gc",
        summary: "Let old versions be collected",
        about: "Moves the safe point of transactions, up to the lowest barrier at most; never back. \
                Collection follows when every Store knows it and no lock is left below.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<GcBody>),
        replies: STATE,
        errors: &[Code::BadJson, Code::PdUnavailable],
        curl: "curl localhost:20180/v1/gc -d '{\"safe_point\":\"-10m\"}'",
        writes: true,
        route: || web::post().to(advance),
        ..READ
    },
    Operation {
        verb: Verb::Put,
        path: "/v1/gc/barriers/{service}",
        name: "gc_barrier_put",
        tag: "gc",
        summary: "Keep old versions",
        about: "Nothing from `at` on is collected until `ttl` has passed or the barrier is removed. \
                Refused if `at` lies below the safe point already.",
        params: &[SERVICE],
        body: BodyKind::Json,
        takes: Content::Json(schema::<BarrierBody>),
        replies: STATE,
        errors: &[Code::BadJson, Code::SnapshotGone, Code::PdUnavailable],
        curl: "curl -X PUT localhost:20180/v1/gc/barriers/backup -d '{\"at\":\"-1m\",\"ttl\":\"1h\"}'",
        writes: true,
        route: || web::put().to(keep),
        ..READ
    },
    Operation {
        verb: Verb::Delete,
        path: "/v1/gc/barriers/{service}",
        name: "gc_barrier_delete",
        tag: "gc",
        summary: "Keep old versions no more",
        about: "Removing a barrier that is not there is no error.",
        params: &[SERVICE],
        replies: STATE,
        errors: &[Code::PdUnavailable],
        curl: "curl -X DELETE localhost:20180/v1/gc/barriers/backup",
        writes: true,
        route: || web::delete().to(release),
        ..READ
    },
];

async fn show(call: Call) -> Answer {
    ok(&GcOut::from(pd::gc(&call, PdRequest::GcState).await?))
}

async fn advance(call: Call, body: Body) -> Answer {
    let text = from_json::<GcBody>(&body.0)?.safe_point;
    let when = When::parse("safe_point", &text)?;
    let options = call.options();
    let target = moment::resolve(&call, "safe_point", when, &options).await?;
    if target > call.service().timestamp(&options).await? {
        let detail = "a safe point lies in the past";
        return Err(Problem::bad_parameter("safe_point", detail));
    }
    ok(&GcOut::from(pd::gc(&call, PdRequest::AdvanceTxnSafePoint { target }).await?))
}

async fn keep(request: HttpRequest, call: Call, body: Body) -> Answer {
    let service = service_of(&request)?;
    let body = from_json::<BarrierBody>(&body.0)?;
    let when = When::parse("at", &body.at)?;
    let ttl = body.ttl.as_deref().map(|ttl| read_duration("ttl", ttl)).transpose()?;
    let ts = moment::resolve(&call, "at", when, &call.options()).await?;
    let now = call.state.parts.env.clock.unix().get();
    let expires_at = ttl.map(|ttl| {
        let ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        UnixMillis(now.saturating_add(ms))
    });
    let barrier = GcBarrier { service, ts, expires_at };
    ok(&GcOut::from(pd::gc(&call, PdRequest::SetGcBarrier(barrier)).await?))
}

async fn release(request: HttpRequest, call: Call) -> Answer {
    let service = service_of(&request)?;
    ok(&GcOut::from(pd::gc(&call, PdRequest::RemoveGcBarrier { service }).await?))
}

fn service_of(request: &HttpRequest) -> Result<String, Problem> {
    let name = request.match_info().get("service").unwrap_or_default();
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    let detail = "a service has 1 to 64 letters, digits, `-`, `_` or `.`";
    Err(Problem::bad_parameter("service", detail))
}
