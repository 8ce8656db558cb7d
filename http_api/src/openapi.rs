//! The OpenAPI document, made from the table of operations and the types of bodies.
use crate::error::status_of;
use crate::gate::call::CONSISTENCIES;
use crate::routes::operation::{Content, Holds, Operation, Param, Place, Verb, header};
use std::collections::BTreeMap;
use troupe_types::Code;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder, Schema,
};

/// Codes that every operation may answer.
pub const COMMON_ERRORS: &[Code] =
    &[Code::BadHost, Code::BadParameter, Code::UnknownField, Code::ServerBusy, Code::Internal];
/// Codes that every operation on rows may answer.
const DATA_ERRORS: &[Code] = &[
    Code::BadConsistency,
    Code::RegionUnavailable,
    Code::NoQuorum,
    Code::NotReady,
    Code::DeadlineExceeded,
];
/// Codes that every operation that writes may answer.
const WRITE_ERRORS: &[Code] = &[Code::OutcomeUnknown, Code::DiskFull, Code::RequestTimeout];

const ABOUT: &str = "A distributed key-value database. Bytes in JSON: a string is its UTF-8 bytes, \
     other bytes are `{\"b64\":…}` or `{\"hex\":…}`. Unknown fields and parameters are refused. \
     Errors are `application/problem+json` with a stable `code`; `type` leads to its page. 64-bit \
     numbers that may pass 2^53 are decimal strings. Durations are `250ms`, `30s`, `5m`.";

/// Builds the document.
#[must_use]
pub fn document(version: &str) -> OpenApi {
    let mut schemas = vec![("Problem".to_owned(), problem_schema())];
    let mut paths: BTreeMap<String, PathItem> = BTreeMap::new();
    for operation in crate::routes::all() {
        let item = PathItem::new(method(operation.verb), described(operation, &mut schemas));
        match paths.get_mut(&shown_path(operation.path)) {
            Some(known) => known.merge_operations(item),
            None => {
                paths.insert(shown_path(operation.path), item);
            }
        }
    }
    let all = paths.into_iter().fold(PathsBuilder::new(), |all, (path, item)| all.path(path, item));
    let schemas: BTreeMap<String, RefOr<Schema>> = schemas.into_iter().collect();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Troupe")
                .version(version)
                .description(Some(ABOUT))
                .license(Some(License::new("Apache-2.0")))
                .build(),
        )
        .paths(all)
        .components(Some(ComponentsBuilder::new().schemas_from_iter(schemas).build()))
        .build()
}

/// A path as the document shows it: without the pattern of a tail.
#[must_use]
pub fn shown_path(path: &str) -> String {
    path.replace(":.*}", "}")
}

fn method(verb: Verb) -> HttpMethod {
    match verb {
        Verb::Get => HttpMethod::Get,
        Verb::Put => HttpMethod::Put,
        Verb::Post => HttpMethod::Post,
        Verb::Delete => HttpMethod::Delete,
        Verb::Patch => HttpMethod::Patch,
    }
}

type Schemas = Vec<(String, RefOr<Schema>)>;

fn described(operation: &Operation, schemas: &mut Schemas) -> OperationBuilder {
    let curl = ExtensionsBuilder::new().add("x-curl", operation.curl).build();
    let mut builder = OperationBuilder::new()
        .operation_id(Some(operation.name))
        .tag(operation.tag)
        .summary(Some(operation.summary))
        .description(Some(format!("{}\n\n```sh\n{}\n```", operation.about, operation.curl)))
        .request_body(request_body(operation, schemas))
        .extensions(Some(curl));
    for param in operation.params.iter().chain(&common_params(operation.data)) {
        builder = builder.parameter(parameter(param));
    }
    for reply in operation.replies {
        let response = ResponseBuilder::new().description(reply.about);
        let response = match content(reply.content, schemas) {
            Some((media, content)) => response.content(media, content),
            None => response,
        };
        builder = builder.response(reply.status.to_string(), response.build());
    }
    for (status, codes) in problems(operation) {
        builder = builder.response(status.to_string(), problem_response(&codes));
    }
    builder
}

fn common_params(data: bool) -> Vec<Param> {
    let query = |name, holds, about| Param { name, place: Place::Query, holds, about };
    let mut params = vec![
        query("timeout", Holds::Text, "Give up after so long, such as `250ms`. Or Kv-Timeout."),
        query("trace", Holds::Text, "`1`: trace this request. Or Kv-Trace."),
        header("Kv-Timeout", "As `timeout`."),
        header("Kv-Trace", "As `trace`."),
    ];
    if data {
        let about = "How fresh a read must be. Default: leader. Or Kv-Consistency.";
        params.push(query("consistency", Holds::Choice(CONSISTENCIES), about));
        params.push(header("Kv-Consistency", "As `consistency`."));
    }
    params
}

fn parameter(param: &Param) -> ParameterBuilder {
    let (place, required) = match param.place {
        Place::Path => (ParameterIn::Path, Required::True),
        Place::Query => (ParameterIn::Query, Required::False),
        Place::Header => (ParameterIn::Header, Required::False),
    };
    let schema = match param.holds {
        Holds::Text => ObjectBuilder::new().schema_type(SchemaType::new(Type::String)),
        Holds::Number => ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)),
        Holds::Switch => ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)),
        Holds::Choice(names) => ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(names.iter().copied())),
    };
    ParameterBuilder::new()
        .name(param.name)
        .parameter_in(place)
        .required(required)
        .description(Some(param.about))
        .schema(Some(schema.build()))
}

fn request_body(operation: &Operation, schemas: &mut Schemas) -> Option<RequestBody> {
    let (media, content) = content(operation.takes, schemas)?;
    let body = RequestBodyBuilder::new().content(media, content);
    Some(body.required(Some(Required::True)).build())
}

fn content(
    content: Content,
    schemas: &mut Schemas,
) -> Option<(&'static str, utoipa::openapi::Content)> {
    let of = |schema: RefOr<Schema>| ContentBuilder::new().schema(Some(schema)).build();
    let text = || RefOr::T(ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).into());
    match content {
        Content::Nothing => None,
        Content::Json(schema) => Some(("application/json", of(schema(schemas)))),
        Content::Lines(schema) => Some(("application/x-ndjson", of(schema(schemas)))),
        Content::Bytes => Some(("application/octet-stream", of(text()))),
        Content::Text(media) => Some((media, of(text()))),
    }
}

/// Codes that an operation may answer, by status.
fn problems(operation: &Operation) -> BTreeMap<u16, Vec<Code>> {
    let mut codes: Vec<Code> = operation.errors.iter().chain(COMMON_ERRORS).copied().collect();
    codes.extend(DATA_ERRORS.iter().filter(|_| operation.data));
    codes.extend(WRITE_ERRORS.iter().filter(|_| operation.writes));
    codes.sort_unstable();
    codes.dedup();
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(status_of(code).as_u16()).or_default().push(code);
    }
    by_status
}

fn problem_response(codes: &[Code]) -> Response {
    let lines = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title()));
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join(" "))
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}

fn problem_schema() -> RefOr<Schema> {
    let string = || ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    let choice = |names: &[&str]| string().enum_values(Some(names.iter().copied()));
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let number = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    let switch = ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean));
    let number_ms = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    let retry = ObjectBuilder::new()
        .property("how", choice(&["same_request", "new_transaction"]))
        .property("after_ms", number_ms)
        .description(Some("If it is retryable: by what, and after how long."));
    let tikv = string().description(Some("What TiKV calls it, if it knows the same error."));
    let optional = [("retry", retry), ("tikv_code", tikv)];
    let fields: [(&str, ObjectBuilder); 9] = [
        ("type", string().description(Some("Page of the code, on this server."))),
        ("title", string().description(Some("What happened, the same for all of one code."))),
        ("status", number.description(Some("HTTP status."))),
        ("code", choice(&codes).description(Some("Stable code."))),
        ("detail", string().description(Some("What exactly is wrong here."))),
        ("retryable", switch.description(Some("May the same work succeed later?"))),
        ("outcome", choice(&["not_applied", "unknown", "none"])),
        ("context", ObjectBuilder::new().description(Some("Names and figures."))),
        ("request_id", string().description(Some("For the logs."))),
    ];
    let object = fields.into_iter().fold(ObjectBuilder::new(), |object, (name, field)| {
        object.property(name, field).required(name)
    });
    let object =
        optional.into_iter().fold(object, |object, (name, field)| object.property(name, field));
    RefOr::T(object.description(Some("What went wrong (RFC 9457).")).into())
}

#[cfg(test)]
mod tests;
