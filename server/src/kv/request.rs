//! Which request each `troupe kv` command makes.
use crate::api::{ApiRequest, Body, path_segment};
use crate::cli::{
    CasArgs, DeleteRangeArgs, ExportArgs, GetArgs, KvArgs, KvCommand, PutArgs, RangeArgs, ScanArgs,
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
    let encoding = Encoding { hex: args.hex };
    match &args.command {
        KvCommand::Get(get) => encoding.get(get),
        KvCommand::Put(put) => encoding.put(put),
        KvCommand::Del { keys, if_match } => encoding.delete(keys, if_match.as_deref()),
        KvCommand::Scan(scan) => Ok(encoding.scan(scan)),
        KvCommand::Cas(cas) => Ok(encoding.cas(cas)),
        KvCommand::Import { file } => Ok(import(file)),
        KvCommand::Export(export) => Ok(encoding.export(export)),
        KvCommand::Checksum(range) => {
            Ok(ApiRequest::post("/v1/raw/checksum", Value::Object(encoding.range(range))))
        }
        KvCommand::DeleteRange(delete) => encoding.delete_range(delete),
    }
}

fn import(file: &Path) -> ApiRequest {
    let body = if file == Path::new("-") { Body::Stdin } else { Body::File(file.to_owned()) };
    ApiRequest::new(Method::POST, "/v1/raw/import")
        .with_header("Content-Type", "application/x-ndjson")
        .with_body(body)
}

/// How the command line writes keys and values.
#[derive(Clone, Copy)]
struct Encoding {
    hex: bool,
}

impl Encoding {
    fn bytes(self, text: &str) -> Value {
        if self.hex { json!({ "hex": text }) } else { json!(text) }
    }

    /// URLs drop path segments that are dots alone, so such a key goes as hex.
    fn key_request(self, method: Method, key: &str) -> ApiRequest {
        let path = |text: &str| format!("/v1/raw/keys/{}", path_segment(text));
        if self.hex {
            return ApiRequest::new(method, path(key)).with_query("kenc", "hex");
        }
        if key == "." || key == ".." {
            return ApiRequest::new(method, path(&hex(key))).with_query("kenc", "hex");
        }
        ApiRequest::new(method, path(key))
    }

    fn get(self, args: &GetArgs) -> Result<ApiRequest, CliError> {
        let request = match args.keys.as_slice() {
            [key] if args.raw => {
                self.key_request(Method::GET, key).with_header("Accept", "application/octet-stream")
            }
            [key] => self.key_request(Method::GET, key),
            _ if args.raw => {
                return Err(CliError::Usage("--raw takes one key".to_owned()));
            }
            keys => {
                let keys: Vec<Value> = keys.iter().map(|key| self.bytes(key)).collect();
                ApiRequest::post("/v1/raw/get", json!({ "keys": keys }))
            }
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
        let mut request = self.key_request(Method::PUT, &args.key).with_body(body);
        request = request.with_optional("ttl", args.ttl.as_deref());
        if args.if_absent {
            request = request.with_header("If-None-Match", "*");
        }
        if let Some(etag) = &args.if_match {
            request = request.with_header("If-Match", quoted(etag));
        }
        Ok(request)
    }

    fn delete(self, keys: &[String], if_match: Option<&str>) -> Result<ApiRequest, CliError> {
        match (keys, if_match) {
            ([key], None) => Ok(self.key_request(Method::DELETE, key)),
            ([key], Some(etag)) => {
                Ok(self.key_request(Method::DELETE, key).with_header("If-Match", quoted(etag)))
            }
            (_, Some(_)) => Err(CliError::Usage("--if-match takes one key".to_owned())),
            (keys, None) => {
                let keys: Vec<Value> = keys.iter().map(|key| self.bytes(key)).collect();
                Ok(ApiRequest::post("/v1/raw/delete", json!({ "keys": keys })))
            }
        }
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
        ApiRequest::post("/v1/raw/scan", Value::Object(body))
            .with_optional("consistency", args.consistency.as_deref())
    }

    fn export(self, args: &ExportArgs) -> ApiRequest {
        let mut body = self.range(&args.range);
        insert(&mut body, "limit", args.limit);
        insert(&mut body, "enc", args.enc.as_deref());
        ApiRequest::post("/v1/raw/scan", Value::Object(body))
            .with_header("Accept", "application/x-ndjson")
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
        ApiRequest::post("/v1/raw/cas", Value::Object(body))
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
        Ok(ApiRequest::post("/v1/raw/delete-range", Value::Object(body)))
    }
}

fn insert<T: Into<Value>>(body: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
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
