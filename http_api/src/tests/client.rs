//! Requests of a test and what comes back.
use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::test::{self, TestRequest};
use bytes::Bytes;
use serde_json::Value;

/// A request with a good Host.
pub fn request(method: &str, uri: &str) -> TestRequest {
    let method = method.parse().unwrap();
    TestRequest::default().method(method).uri(uri).insert_header(("host", "localhost:20180"))
}

/// What came back.
pub struct Seen {
    pub status: StatusCode,
    pub headers: actix_web::http::header::HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a well-formed problem.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{:?}", self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("kv-request-id"));
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("/docs/errors/{code}"));
        code
    }

    /// Takes a reply apart.
    pub async fn of<B: MessageBody>(
        response: Result<ServiceResponse<B>, actix_web::Error>,
    ) -> Self {
        match response {
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                Self { status, headers, body: test::read_body(response).await }
            }
            Err(error) => {
                // What actix makes of an error that no middleware handled.
                let reply = error.error_response();
                let (status, headers) = (reply.status(), reply.headers().clone());
                let body = actix_web::body::to_bytes(reply.into_body()).await;
                Self { status, headers, body: body.unwrap() }
            }
        }
    }
}

/// An app over the fake, for one test.
macro_rules! app {
    ($state:expr) => {
        actix_web::test::init_service(crate::server::app($state.clone())).await
    };
}
pub(crate) use app;

/// Sends a request to an app.
macro_rules! send {
    ($app:expr, $request:expr) => {
        crate::tests::client::Seen::of(
            actix_web::test::try_call_service(&$app, $request.to_request()).await,
        )
        .await
    };
}
pub(crate) use send;
