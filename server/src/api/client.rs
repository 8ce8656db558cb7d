//! Sends requests.
use super::problem::Problem;
use super::request::{ApiRequest, Body};
use crate::cli::ClientArgs;
use crate::error::CliError;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::Value;
use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait for an answer; the server gives up after a minute at most.
const ANSWER: Duration = Duration::from_secs(70);
/// The server has this much longer than it was given, to say that it was too slow.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of a streamed body read at once.
const CHUNK: usize = 256 << 10;

/// A connection to a node.
pub struct Client {
    base: String,
    timeout: Option<Duration>,
    http: reqwest::Client,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status, below 400.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value, CliError> {
        serde_json::from_slice(&self.body).map_err(|error| CliError::BadAnswer(error.to_string()))
    }
}

impl Client {
    /// For the node that the command line names.
    ///
    /// # Errors
    /// The system has no sockets.
    pub fn new(args: &ClientArgs) -> Result<Self, CliError> {
        // A proxy of the environment is for the Internet, and would break loopback addresses.
        let http = reqwest::Client::builder().connect_timeout(CONNECT).no_proxy().build();
        let http = http.map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(Self { base: args.url.clone(), timeout: args.timeout, http })
    }

    /// Sends and waits for the whole answer.
    ///
    /// # Errors
    /// No connection, or the server answered with a problem.
    pub async fn send(&self, request: &ApiRequest) -> Result<Reply, CliError> {
        let limit = self.timeout.map_or(ANSWER, |timeout| timeout + GRACE);
        let sent = self.start(request, Some(limit)).await?;
        let status = sent.status().as_u16();
        let body = sent.bytes().await.map_err(|error| self.lost(request, &error))?;
        if status >= 400 {
            return Err(CliError::Problem(Box::new(Problem::from_reply(status, &body))));
        }
        Ok(Reply { status, body })
    }

    /// Sends and gives the body as it comes.
    ///
    /// # Errors
    /// No connection, or the server answered with a problem; in the stream: the connection broke.
    pub async fn stream<'a>(
        &'a self,
        request: &'a ApiRequest,
    ) -> Result<impl Stream<Item = Result<Bytes, CliError>> + 'a, CliError> {
        let sent = self.start(request, None).await?;
        let status = sent.status().as_u16();
        if status >= 400 {
            let body = sent.bytes().await.map_err(|error| self.lost(request, &error))?;
            return Err(CliError::Problem(Box::new(Problem::from_reply(status, &body))));
        }
        Ok(sent.bytes_stream().map_err(move |error| self.lost(request, &error)))
    }

    async fn start(
        &self,
        request: &ApiRequest,
        limit: Option<Duration>,
    ) -> Result<reqwest::Response, CliError> {
        let mut builder = self.http.request(request.method.clone(), request.url(&self.base));
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(limit) = limit {
            builder = builder.timeout(limit);
        }
        let builder = match &request.body {
            Body::Empty => builder,
            Body::Bytes(bytes) => builder.body(bytes.clone()),
            Body::Json(json) => builder.json(json),
            Body::File(path) => builder.body(file_body(path).await?),
            Body::Stdin => builder.body(stdin_body()?),
        };
        builder.send().await.map_err(|error| self.lost(request, &error))
    }

    fn lost(&self, request: &ApiRequest, error: &reqwest::Error) -> CliError {
        let connected = !error.is_connect() && !error.is_builder();
        let what = if connected {
            format!("{} {}", request.method, request.url(&self.base))
        } else {
            format!("cannot reach a node at {} (is one running? try `troupe demo`)", self.base)
        };
        let outcome_unknown = connected && request.is_write();
        CliError::Transport { what, reason: causes(error), outcome_unknown }
    }
}

/// The innermost causes say what happened; the outer ones repeat the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut last = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut cause = error.source();
    while let Some(inner) = cause {
        last = inner.to_string();
        cause = inner.source();
    }
    if last.is_empty() { error.to_string() } else { last }
}

async fn file_body(path: &Path) -> Result<reqwest::Body, CliError> {
    let file = tokio::fs::File::open(path).await;
    let file =
        file.map_err(|source| CliError::io(format!("cannot read {}", path.display()), source))?;
    Ok(reader_body(file))
}

fn stdin_body() -> Result<reqwest::Body, CliError> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let stdin = stdin.map_err(|source| CliError::io("cannot read stdin", source))?;
    Ok(reader_body(tokio::fs::File::from_std(stdin.into())))
}

fn reader_body(reader: impl AsyncRead + Send + Unpin + 'static) -> reqwest::Body {
    let chunks = futures::stream::try_unfold(reader, |mut reader| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut reader).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(chunk), reader)))
    });
    reqwest::Body::wrap_stream(chunks.boxed())
}
