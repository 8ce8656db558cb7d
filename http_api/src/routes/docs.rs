//! Documentation that works offline: the OpenAPI document, its page, and a page for each code.
use super::Answer;
use super::operation::{Content, Holds, Operation, READ, Reply, path};
use crate::error::Problem;
use crate::error_pages;
use crate::gate::call::Call;
use crate::json::strict::not_one_of;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use std::sync::Arc;
use troupe_types::Code;

/// Policy of our own pages: nothing but their own styles.
const CSP_PLAIN: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
/// Policy of Swagger UI, which sets styles from its scripts and draws from `data:` URLs.
const CSP_SWAGGER: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
static REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

const PAGE: Reply = Reply { status: 200, about: "A page.", content: Content::Text("text/html") };

/// Operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/openapi.json",
        name: "openapi",
        tag: "docs",
        summary: "This document",
        about: "OpenAPI 3.1, made from the same table as the routes.",
        replies: &[Reply {
            status: 200,
            about: "The document.",
            content: Content::Text("application/json"),
        }],
        curl: "curl localhost:20180/openapi.json",
        route: || web::get().to(openapi),
        ..READ
    },
    Operation {
        path: "/docs",
        name: "docs_redirect",
        tag: "docs",
        summary: "To the documentation",
        about: "Redirects to `/docs/`.",
        replies: &[Reply { status: 308, about: "To `/docs/`.", content: Content::Nothing }],
        curl: "curl -L localhost:20180/docs",
        route: || web::get().to(to_docs),
        ..READ
    },
    Operation {
        path: "/docs/errors",
        name: "docs_errors",
        tag: "docs",
        summary: "All codes of problems",
        about: "With their status, cause and what to do.",
        replies: &[PAGE],
        curl: "curl localhost:20180/docs/errors",
        route: || web::get().to(all_errors),
        ..READ
    },
    Operation {
        path: "/docs/errors/{code}",
        name: "docs_error",
        tag: "docs",
        summary: "One code of problems",
        about: "The `type` of every problem leads here.",
        params: &[path("code", Holds::Text, "Such as `KEY_NOT_FOUND`.")],
        replies: &[PAGE],
        curl: "curl localhost:20180/docs/errors/KEY_NOT_FOUND",
        route: || web::get().to(one_error),
        ..READ
    },
    Operation {
        path: "/docs/{file:.*}",
        name: "docs",
        tag: "docs",
        summary: "The documentation",
        about: "Swagger UI, from the binary: it works offline.",
        params: &[path("file", Holds::Text, "File of the page; empty: the page itself.")],
        replies: &[PAGE],
        curl: "curl localhost:20180/docs/",
        route: || web::get().to(swagger),
        ..READ
    },
];

async fn openapi(call: Call) -> Answer {
    let document = call.state.openapi.clone();
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

async fn to_docs(_call: Call) -> Answer {
    Ok(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish())
}

/// A page with the headers that keep others from using it.
fn page(policy: &'static str) -> HttpResponseBuilder {
    let mut reply = HttpResponse::Ok();
    reply.insert_header((header::CONTENT_SECURITY_POLICY, policy));
    reply.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    reply.insert_header((header::X_FRAME_OPTIONS, "DENY"));
    reply.insert_header((REFERRER_POLICY.clone(), "no-referrer"));
    reply
}

async fn all_errors(_call: Call) -> Answer {
    Ok(page(CSP_PLAIN).content_type("text/html; charset=utf-8").body(error_pages::index()))
}

async fn one_error(request: HttpRequest, _call: Call) -> Answer {
    let name = request.match_info().get("code").unwrap_or_default();
    let code = Code::ALL.into_iter().find(|code| code.as_str() == name);
    let missing = || {
        let known: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        Problem { code: Code::NotFound, ..not_one_of("code", name, &known) }
    };
    let html = error_pages::page(code.ok_or_else(missing)?);
    Ok(page(CSP_PLAIN).content_type("text/html; charset=utf-8").body(html))
}

async fn swagger(request: HttpRequest, _call: Call) -> Answer {
    let file = request.match_info().get("file").unwrap_or_default();
    let config = utoipa_swagger_ui::Config::new(["/openapi.json"]).validator_url("none");
    let served = utoipa_swagger_ui::serve(file, Arc::new(config))
        .map_err(|_| Problem::internal("the documentation page cannot be built"))?;
    let missing = || Problem::new(Code::NotFound, format!("there is no page `{file}`"));
    let served = served.ok_or_else(missing)?;
    let mut reply = page(CSP_SWAGGER);
    if served.gzpipped {
        reply.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(reply.content_type(served.content_type).body(served.bytes.into_owned()))
}
