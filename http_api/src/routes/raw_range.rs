//! `/v1/raw/delete-range` and `/v1/raw/checksum`: whole ranges at once.
use super::operation::{Content, Operation, READ, Reply, Verb, schema};
use super::{Answer, ok};
use crate::error::Problem;
use crate::gate::body::{Body, BodyKind};
use crate::gate::call::Call;
use crate::json::reply::{ChecksumOut, RangeDeletedOut};
use crate::json::request::{DeleteRangeBody, RangeBody};
use crate::json::strict::from_json;
use crate::pd;
use crate::range::{Bounds, BoundsIn};
use crate::space::Space;
use actix_web::web;
use troupe_types::{Code, KeyRange};

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Post,
        path: "/v1/raw/delete-range",
        name: "raw_delete_range",
        tag: "raw",
        summary: "Delete a range",
        about: "Needs `prefix`, or both `start` and `end`; for the whole raw space \
                `\"all\":true` and the cluster's name as `confirm`. With `dry_run` rows are only \
                counted. Atomic for each Region only.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<DeleteRangeBody>),
        replies: &[Reply {
            status: 200,
            about: "Deleted, or counted.",
            content: Content::Json(schema::<RangeDeletedOut>),
        }],
        errors: &[
            Code::BadJson,
            Code::BadRange,
            Code::BadEncoding,
            Code::TooLarge,
            Code::ConfirmationNeeded,
        ],
        curl: "curl localhost:20180/v1/raw/delete-range -d \
               '{\"prefix\":\"user/\",\"dry_run\":true}'",
        writes: true,
        data: true,
        route: || web::post().to(delete_range),
        ..READ
    },
    Operation {
        verb: Verb::Post,
        path: "/v1/raw/checksum",
        name: "raw_checksum",
        tag: "raw",
        summary: "Count and sum a range",
        about: "Rows, bytes and a checksum that does not depend on order: two clusters with the \
                same rows have the same. `{}` is the whole raw space.",
        body: BodyKind::Json,
        takes: Content::Json(schema::<RangeBody>),
        replies: &[Reply {
            status: 200,
            about: "The sum.",
            content: Content::Json(schema::<ChecksumOut>),
        }],
        errors: &[Code::BadJson, Code::BadRange, Code::BadEncoding, Code::TooLarge],
        curl: "curl localhost:20180/v1/raw/checksum -d '{}'",
        data: true,
        route: || web::post().to(checksum),
        ..READ
    },
];

async fn delete_range(call: Call, body: Body) -> Answer {
    let body = from_json::<DeleteRangeBody>(&body.0)?;
    let (all, confirm, dry_run) = (body.all, body.confirm, body.dry_run);
    let bounds = BoundsIn { prefix: body.prefix, start: body.start, end: body.end };
    let bounds = Bounds::from_body(bounds)?;
    let range = checked_range(&call, Space::Raw, (&bounds, all))?;
    if dry_run {
        return count(&call, range).await;
    }
    if all {
        confirmed(&call, Space::Raw, confirm).await?;
    }
    let regions = call.service().raw_delete_range(range, &call.options()).await?;
    ok(&RangeDeletedOut { regions, rows: None })
}

/// The range of a deletion: one that is named, or with `all` the whole space.
///
/// # Errors
/// `BAD_RANGE`, `CONFIRMATION_NEEDED`, `TOO_LARGE`.
pub(crate) fn checked_range(
    call: &Call,
    space: Space,
    (bounds, all): (&Bounds, bool),
) -> Result<KeyRange, Problem> {
    let bad = |detail| Err(Problem::new(Code::BadRange, detail));
    if all {
        let named = bounds.prefix.is_some() || bounds.start.is_some() || bounds.end.is_some();
        return if named {
            bad("give a range or `all`, not both")
        } else {
            Bounds::default().stored(call, space)
        };
    }
    if bounds.prefix.is_none() && (bounds.start.is_none() || bounds.end.is_none()) {
        return bad("a range to delete has `prefix`, or both `start` and `end`");
    }
    if bounds.is_everything() {
        let name = space.name();
        let detail = format!("this range is all of {name}: ask for it with `all` and `confirm`");
        return Err(Problem::new(Code::ConfirmationNeeded, detail));
    }
    bounds.stored(call, space)
}

/// Was the cluster named whose whole `space` is to be deleted?
///
/// # Errors
/// `CONFIRMATION_NEEDED`, those of PD.
pub(crate) async fn confirmed(
    call: &Call,
    space: Space,
    confirm: Option<String>,
) -> Result<(), Problem> {
    let name = pd::cluster(call).await?.name;
    if confirm.as_deref() == Some(name.as_str()) {
        return Ok(());
    }
    let detail = format!(
        "to delete all of {}, repeat the cluster's name (GET /v1/cluster) as `confirm`",
        space.name()
    );
    Err(Problem::new(Code::ConfirmationNeeded, detail))
}

async fn count(call: &Call, range: KeyRange) -> Answer {
    let regions = pd::count_regions(call, range.clone()).await?;
    let sum = call.service().raw_checksum(range, &call.options()).await?;
    ok(&RangeDeletedOut { regions, rows: Some(sum.rows) })
}

async fn checksum(call: Call, body: Body) -> Answer {
    let body = from_json::<RangeBody>(&body.0)?;
    let bounds = BoundsIn { prefix: body.prefix, start: body.start, end: body.end };
    let range = Bounds::from_body(bounds)?.stored(&call, Space::Raw)?;
    let sum = call.service().raw_checksum(range, &call.options()).await?;
    ok(&ChecksumOut::from(sum))
}
