//! Which request each `troupe kv` command makes.
use crate::api::{ApiRequest, Body, path_segment};
use crate::cli::{
    CasArgs, DelArgs, DeleteRangeArgs, ExportArgs, GetArgs, KvArgs, KvCommand, PutArgs, RangeArgs,
    ScanArgs, SpaceName,
};
use crate::error::CliError;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The request that does what `args` says.
///
/// # Errors
/// The words make no sense together.
pub fn request(args: &KvArgs) -> Result<ApiRequest, CliError> {
    let space = args.space();
    fits(space, &args.command)?;
    let encoding = Encoding { hex: args.hex, space };
    match &args.command {
        KvCommand::Get(get) => encoding.get(get),
        KvCommand::Put(put) => encoding.put(put),
        KvCommand::Del(del) => encoding.delete(del),
        KvCommand::Scan(scan) => Ok(encoding.scan(scan)),
        KvCommand::History(history) => Ok(encoding
            .key_request(Method::GET, "history", &history.key)
            .with_optional("enc", history.enc.as_deref())),
        KvCommand::Cas(cas) => Ok(encoding.cas(cas)),
        KvCommand::Import { file } => Ok(encoding.import(file)),
        KvCommand::Export(export) => Ok(encoding.export(export)),
        KvCommand::Checksum(range) => Ok(encoding.post("checksum", encoding.range(range))),
        KvCommand::DeleteRange(delete) => encoding.delete_range(delete),
    }
}

/// Some things exist in one space only: they are refused in the other one, with what to say instead.
fn fits(space: SpaceName, command: &KvCommand) -> Result<(), CliError> {
    let hint = match (space, command) {
        (SpaceName::Kv, KvCommand::Cas(_)) => {
            "cas is of space raw; in space kv use `put --if-match VERSION`, `put --if-absent`, or \
             `troupe txn run`"
        }
        (SpaceName::Kv, KvCommand::Checksum(_)) => "checksum is of space raw",
        (SpaceName::Raw, KvCommand::History(_)) => "only keys of --space kv have a history",
        (SpaceName::Raw, KvCommand::Get(GetArgs { at: Some(_), .. }))
        | (SpaceName::Raw, KvCommand::Scan(ScanArgs { at: Some(_), .. }))
        | (SpaceName::Raw, KvCommand::Export(ExportArgs { at: Some(_), .. })) => {
            "only keys of --space kv have versions to read --at a time"
        }
        (SpaceName::Raw, KvCommand::Put(PutArgs { idempotency_key: Some(_), .. }))
        | (SpaceName::Raw, KvCommand::Del(DelArgs { idempotency_key: Some(_), .. })) => {
            "--idempotency-key is of --space kv; in space raw put and del may be repeated anyway"
        }
        (SpaceName::Raw | SpaceName::Kv, _) => return Ok(()),
    };
    Err(CliError::Usage(hint.to_owned()))
}

/// How the command line writes keys and values, and where they go.
#[derive(Clone, Copy)]
struct Encoding {
    hex: bool,
    space: SpaceName,
}

impl Encoding {
    fn bytes(self, text: &str) -> Value {
        if self.hex { json!({ "hex": text }) } else { json!(text) }
    }

    fn path(self, rest: &str) -> String {
        match self.space {
            SpaceName::Raw => format!("/v1/raw/{rest}"),
            SpaceName::Kv => format!("/v1/kv/{rest}"),
        }
    }

    fn post(self, what: &str, body: Map<String, Value>) -> ApiRequest {
        ApiRequest::post(self.path(what), Value::Object(body))
    }

    /// URLs drop path segments that are dots alone, so such a key goes as hex.
    fn key_request(self, method: Method, what: &str, key: &str) -> ApiRequest {
        let path = |text: &str| self.path(&format!("{what}/{}", path_segment(text)));
        if self.hex {
            return ApiRequest::new(method, path(key)).with_query("kenc", "hex");
        }
        if key == "." || key == ".." {
            return ApiRequest::new(method, path(&hex(key))).with_query("kenc", "hex");
        }
        ApiRequest::new(method, path(key))
    }

    fn keys(self, keys: &[String]) -> Map<String, Value> {
        let keys: Vec<Value> = keys.iter().map(|key| self.bytes(key)).collect();
        Map::from_iter([("keys".to_owned(), Value::Array(keys))])
    }

    fn import(self, file: &Path) -> ApiRequest {
        let body = if file == Path::new("-") { Body::Stdin } else { Body::File(file.to_owned()) };
        ApiRequest::new(Method::POST, self.path("import"))
            .with_header("Content-Type", "application/x-ndjson")
            .with_body(body)
    }

    fn get(self, args: &GetArgs) -> Result<ApiRequest, CliError> {
        let request = match args.keys.as_slice() {
            [key] => {
                self.key_request(Method::GET, "keys", key).with_optional("at", args.at.as_deref())
            }
            _ if args.raw => {
                return Err(CliError::Usage("--raw takes one key".to_owned()));
            }
            keys => {
                let mut body = self.keys(keys);
                insert(&mut body, "at", args.at.as_deref());
                self.post("get", body)
            }
        };
        let request = if args.raw {
            request.with_header("Accept", "application/octet-stream")
        } else {
            request
        };
        let request = request.with_optional("enc", args.enc.as_deref());
        Ok(request.with_optional("consistency", args.consistency.as_deref()))
    }

    fn put(self, args: &PutArgs) -> Result<ApiRequest, CliError> {
        let body = match (&args.file, args.value.as_deref()) {
            (Some(file), _) => Body::File(file.clone()),
            (None, Some("-")) => Body::Stdin,
            (None, Some(value)) if self.hex => Body::Bytes(unhex(value)?),
            (None, value) => Body::Bytes(value.unwrap_or_default().as_bytes().to_vec()),
        };
        let mut request = self.key_request(Method::PUT, "keys", &args.key).with_body(body);
        request = request.with_optional("ttl", args.ttl.as_deref());
        if args.if_absent {
            request = request.with_header("If-None-Match", "*");
        }
        if let Some(etag) = &args.if_match {
            request = request.with_header("If-Match", quoted(etag));
        }
        Ok(once(request, args.idempotency_key.as_deref()))
    }

    fn delete(self, args: &DelArgs) -> Result<ApiRequest, CliError> {
        let request = match (args.keys.as_slice(), args.if_match.as_deref()) {
            ([key], None) => self.key_request(Method::DELETE, "keys", key),
            ([key], Some(etag)) => {
                self.key_request(Method::DELETE, "keys", key).with_header("If-Match", quoted(etag))
            }
            (_, Some(_)) => {
                return Err(CliError::Usage("--if-match takes one key".to_owned()));
            }
            (keys, None) => self.post("delete", self.keys(keys)),
        };
        Ok(once(request, args.idempotency_key.as_deref()))
    }

    fn range(self, range: &RangeArgs) -> Map<String, Value> {
        let parts = [("prefix", &range.prefix), ("start", &range.start), ("end", &range.end)];
        let given = parts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        given.map(|(name, text)| (name.to_owned(), self.bytes(text))).collect()
    }

    fn scan(self, args: &ScanArgs) -> ApiRequest {
        let mut body = self.range(&args.range);
        insert(&mut body, "limit", args.limit);
        insert(&mut body, "cursor", args.cursor.as_deref());
        insert(&mut body, "enc", args.enc.as_deref());
        insert(&mut body, "reverse", args.reverse.then_some(true));
        insert(&mut body, "keys_only", args.keys_only.then_some(true));
        insert(&mut body, "at", args.at.as_deref());
        self.post("scan", body).with_optional("consistency", args.consistency.as_deref())
    }

    fn export(self, args: &ExportArgs) -> ApiRequest {
        let mut body = self.range(&args.range);
        insert(&mut body, "limit", args.limit);
        insert(&mut body, "enc", args.enc.as_deref());
        insert(&mut body, "at", args.at.as_deref());
        self.post("scan", body).with_header("Accept", "application/x-ndjson")
    }

    fn cas(self, args: &CasArgs) -> ApiRequest {
        let expect = match &args.expect {
            Some(value) => json!({ "value": self.bytes(value) }),
            None if args.expect_absent => json!({ "absent": true }),
            None => json!({ "present": true }),
        };
        let mut body = Map::new();
        body.insert("key".to_owned(), self.bytes(&args.key));
        body.insert("expect".to_owned(), expect);
        match &args.value {
            Some(value) => insert(&mut body, "put", Some(self.bytes(value))),
            None => insert(&mut body, "delete", Some(true)),
        }
        insert(&mut body, "ttl", args.ttl.as_deref());
        self.post("cas", body)
    }

    fn delete_range(self, args: &DeleteRangeArgs) -> Result<ApiRequest, CliError> {
        let mut body = self.range(&args.range);
        if body.is_empty() && !args.all {
            let hint = "say which range: --prefix, --start and --end, or --all";
            return Err(CliError::Usage(hint.to_owned()));
        }
        if args.all {
            insert(&mut body, "all", Some(true));
            insert(&mut body, "confirm", args.confirm.as_deref());
        }
        insert(&mut body, "dry_run", args.dry_run.then_some(true));
        Ok(self.post("delete-range", body))
    }
}

fn insert<T: Into<Value>>(body: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

/// The same, to take effect once.
pub(crate) fn once(request: ApiRequest, key: Option<&str>) -> ApiRequest {
    match key {
        Some(key) => request.with_header("Idempotency-Key", quoted(key)),
        None => request,
    }
}

/// ETags stand in quotes in headers; people copy them without.
fn quoted(etag: &str) -> String {
    if etag == "*" || etag.starts_with('"') { etag.to_owned() } else { format!("\"{etag}\"") }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Result<Vec<u8>, CliError> {
    let wrong = || CliError::Usage(format!("`{digits}` is not pairs of hexadecimal digits"));
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(wrong());
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(|_| wrong())).collect()
}
