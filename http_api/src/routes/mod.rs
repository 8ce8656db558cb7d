//! Routes by resource. A file lists its operations on top and has their handlers below; a handler
//! reads its input, makes one call of the service layer, and shows what came back.
//!
//! | file | paths |
//! |---|---|
//! | [`operation`] | what an operation is |
//! | [`kv_key`] | `/v1/kv/keys/{key}` |
//! | [`kv_batch`] | `/v1/kv/{get,put,delete,import}` |
//! | [`kv_scan`] | `/v1/kv/scan`, also as a stream (export) |
//! | [`kv_range`] | `/v1/kv/{delete-range,history}` |
//! | [`txn`], [`txns`] | `/v1/txn`, `/v1/txns` |
//! | [`locks`], [`gc`] | `/v1/locks`, `/v1/deadlocks`, `/v1/gc` |
//! | [`raw_key`] | `/v1/raw/keys/{key}` |
//! | [`raw_batch`] | `/v1/raw/{get,put,delete,cas}` |
//! | [`raw_scan`] | `/v1/raw/scan`, also as a stream (export) |
//! | [`raw_range`] | `/v1/raw/{delete-range,checksum}` |
//! | [`raw_import`] | `/v1/raw/import` |
//! | [`cluster`] | `/v1/cluster`, `/v1/stores`, `/v1/ts` |
//! | [`regions`], [`operators`] | `/v1/regions`, `/v1/operators` |
//! | [`node`], [`traces`] | `/v1/actors`, `/v1/traces` |
//! | [`system`], [`docs`] | health, metrics, limits, documentation |
pub mod cluster;
pub mod docs;
pub mod gc;
pub mod kv_batch;
pub mod kv_key;
pub mod kv_range;
pub mod kv_scan;
pub mod locks;
pub mod node;
pub mod operation;
pub mod operators;
pub mod raw_batch;
pub mod raw_import;
pub mod raw_key;
pub mod raw_range;
pub mod raw_scan;
pub mod regions;
pub mod system;
pub mod traces;
pub mod txn;
pub mod txns;

pub use operation::{Operation, Place, Placed, ResourceOps, Verb};

use crate::error::Problem;
use crate::json::reply::to_json;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::Serialize;
use troupe_actors::kv_service::ServedBy;
use troupe_types::{Code, Timestamp};

/// Which replica answered.
static SERVED_BY: HeaderName = HeaderName::from_static("kv-served-by");
/// As of when something was read.
static READ_TS: HeaderName = HeaderName::from_static("kv-read-ts");
/// When something was committed.
static COMMIT_TS: HeaderName = HeaderName::from_static("kv-commit-ts");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a handler answers.
pub type Answer = Result<HttpResponse, Problem>;

/// Every operation, in the order in which paths are tried.
#[must_use]
pub fn all() -> Vec<&'static Operation> {
    [
        kv_key::OPERATIONS,
        kv_batch::OPERATIONS,
        kv_scan::OPERATIONS,
        kv_range::OPERATIONS,
        txn::OPERATIONS,
        txns::OPERATIONS,
        locks::OPERATIONS,
        gc::OPERATIONS,
        raw_key::OPERATIONS,
        raw_batch::OPERATIONS,
        raw_scan::OPERATIONS,
        raw_range::OPERATIONS,
        raw_import::OPERATIONS,
        cluster::OPERATIONS,
        regions::OPERATIONS,
        operators::OPERATIONS,
        node::OPERATIONS,
        traces::OPERATIONS,
        system::OPERATIONS,
        docs::OPERATIONS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Adds all paths to an app.
pub fn configure(config: &mut web::ServiceConfig) {
    for operations in by_path() {
        let mut resource = web::resource(operations.all()[0].operation.path);
        for placed in operations.all() {
            resource = resource.route((placed.operation.route)());
        }
        let resource = resource.app_data(operations).default_service(web::to(other_method));
        config.service(resource);
    }
    config.default_service(web::to(other_path));
}

fn by_path() -> Vec<ResourceOps> {
    let mut groups: Vec<(&str, Vec<Placed>)> = Vec::new();
    for (index, operation) in all().into_iter().enumerate() {
        let placed = Placed { index, operation };
        match groups.iter_mut().find(|(path, _)| *path == operation.path) {
            Some((_, group)) => group.push(placed),
            None => groups.push((operation.path, vec![placed])),
        }
    }
    groups.into_iter().map(|(_, group)| ResourceOps::new(group)).collect()
}

/// OPTIONS, or a method that the path does not have.
async fn other_method(request: HttpRequest) -> HttpResponse {
    let allow = request.app_data::<ResourceOps>().map(ResourceOps::allow).unwrap_or_default();
    if *request.method() == Method::OPTIONS {
        return HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish();
    }
    let detail = format!("{} is not done here; allowed: {allow}", request.method());
    let problem = Problem::new(Code::MethodNotAllowed, detail);
    let mut reply = HttpResponse::from_error(problem);
    if let Ok(allow) = HeaderValue::try_from(allow) {
        reply.headers_mut().insert(header::ALLOW, allow);
    }
    reply
}

async fn other_path(request: HttpRequest) -> Answer {
    let detail = format!("there is nothing at {}; GET / lists where to begin", request.path());
    Err(Problem::new(Code::NotFound, detail))
}

/// A JSON reply.
fn json<T: Serialize>(status: StatusCode, reply: &T) -> Answer {
    json_with(HttpResponse::build(status), reply)
}

/// A JSON reply with headers.
fn json_with<T: Serialize>(mut builder: HttpResponseBuilder, reply: &T) -> Answer {
    let body = to_json(reply)?;
    Ok(builder.insert_header((header::CONTENT_TYPE, JSON)).body(body))
}

/// A 200 reply.
fn ok<T: Serialize>(reply: &T) -> Answer {
    json(StatusCode::OK, reply)
}

/// A timestamp as a header.
fn decimal(ts: Timestamp) -> HeaderValue {
    HeaderValue::try_from(ts.to_string()).expect("invariant: decimal digits")
}

/// Says which replica answered.
fn served_by(builder: &mut HttpResponseBuilder, by: ServedBy) {
    let text = format!("store={};region={}", by.store, by.region);
    if let Ok(text) = HeaderValue::try_from(text) {
        builder.insert_header((SERVED_BY.clone(), text));
    }
}

/// Does the request accept (only) this media type?
fn accepts(request: &HttpRequest, media: &str) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.split([',', ';']).any(|part| part.trim() == media))
}

/// An id in the path.
fn path_id(request: &HttpRequest, name: &'static str, missing: Code) -> Result<u64, Problem> {
    let text = request.match_info().get(name).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_digit()) {
        let detail = format!("an id is a decimal number, not `{text}`");
        return Err(Problem::bad_parameter(name, detail));
    }
    text.parse().map_err(|_| Problem::new(missing, "no id is that large"))
}
