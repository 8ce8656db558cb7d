//! Which request each `troupe txn` command makes.
use crate::api::{ApiRequest, Body, path_segment};
use crate::cli::{TxnBeginArgs, TxnCommand, TxnOpsArgs, TxnRunArgs, TxnSettingsArgs};
use crate::error::CliError;
use crate::kv::once;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::Path;

/// The whole of a file, or of stdin if its name is `-`.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|whole| text = whole)
    };
    match read {
        Ok(()) => Ok(text),
        Err(source) => Err(CliError::io(format!("cannot read {}", file.display()), source)),
    }
}

/// The request that does what `command` says; `read` gives what a file holds.
///
/// # Errors
/// A file cannot be read, or it and the flags make no sense together.
pub fn request(
    command: &TxnCommand,
    read: &dyn Fn(&Path) -> Result<String, CliError>,
) -> Result<ApiRequest, CliError> {
    let of = |method, id: &str, what: &str| {
        ApiRequest::new(method, format!("/v1/txns/{}{what}", path_segment(id)))
    };
    Ok(match command {
        TxnCommand::Run(args) => one_shot(args, read)?,
        TxnCommand::Begin(args) => begin(args),
        TxnCommand::Ops(TxnOpsArgs { id, file, enc }) => of(Method::POST, id, "/ops")
            .with_header("Content-Type", "application/json")
            .with_body(whole(file))
            .with_optional("enc", enc.as_deref()),
        TxnCommand::Commit { id, idempotency_key } => {
            once(of(Method::POST, id, "/commit"), idempotency_key.as_deref())
        }
        TxnCommand::Rollback { id } => of(Method::DELETE, id, ""),
        TxnCommand::Status { id } => of(Method::GET, id, ""),
        TxnCommand::Keepalive { id } => of(Method::POST, id, "/keepalive"),
        TxnCommand::List => ApiRequest::get("/v1/txns"),
    })
}

fn whole(file: &Path) -> Body {
    if file == Path::new("-") { Body::Stdin } else { Body::File(file.to_owned()) }
}

fn begin(args: &TxnBeginArgs) -> ApiRequest {
    let mut body = settings(&args.settings);
    body.extend(args.ttl.as_ref().map(|ttl| ("ttl".to_owned(), json!(ttl))));
    ApiRequest::post("/v1/txns", Value::Object(body))
}

fn settings(args: &TxnSettingsArgs) -> Map<String, Value> {
    let fields = [
        ("mode", &args.mode),
        ("isolation", &args.isolation),
        ("commit", &args.commit),
        ("lock_wait", &args.lock_wait),
    ];
    let given = fields.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
    given.map(|(name, text)| (name.to_owned(), json!(text))).collect()
}

fn one_shot(
    args: &TxnRunArgs,
    read: &dyn Fn(&Path) -> Result<String, CliError>,
) -> Result<ApiRequest, CliError> {
    let said = settings(&args.settings);
    let body = if said.is_empty() {
        whole(&args.file)
    } else {
        Body::Bytes(with_fields(&read(&args.file)?, &said)?.into_bytes())
    };
    let request = ApiRequest::new(Method::POST, "/v1/txn")
        .with_header("Content-Type", "application/json")
        .with_body(body)
        .with_optional("enc", args.enc.as_deref());
    Ok(once(request, args.idempotency_key.as_deref()))
}

/// The document with further fields in front; the rest stays letter by letter, since numbers and the
/// order of fields inside values are the user's.
fn with_fields(text: &str, said: &Map<String, Value>) -> Result<String, CliError> {
    let parsed: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| CliError::Usage(format!("the file is no JSON object: {error}")))?;
    if let Some(name) = said.keys().find(|name| parsed.contains_key(*name)) {
        let told = format!("the file says `{name}` and the command line does too: say it once");
        return Err(CliError::Usage(told));
    }
    let rest = text.trim_start().strip_prefix('{').unwrap_or_default();
    let fields: Vec<String> =
        said.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    let comma = if parsed.is_empty() { "" } else { "," };
    Ok(format!("{{{}{comma}{rest}", fields.join(",")))
}
