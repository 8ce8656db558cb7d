//! Prints a request as the curl line that does the same.
use super::request::{ApiRequest, Body};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The curl line that does what `request` does against the node at `base`.
#[must_use]
pub fn curl_line(base: &str, request: &ApiRequest) -> String {
    let mut words = vec!["curl".to_owned(), "-sS".to_owned()];
    let streamed = matches!(request.body, Body::File(_) | Body::Stdin);
    if streamed {
        words.push("-N".to_owned());
    }
    let default = match request.body {
        Body::Empty => Method::GET,
        Body::Bytes(_) | Body::Json(_) | Body::File(_) | Body::Stdin => Method::POST,
    };
    if request.method != default || streamed {
        words.push("-X".to_owned());
        words.push(request.method.to_string());
    }
    for (name, value) in &request.headers {
        words.push("-H".to_owned());
        words.push(quote(&format!("{name}: {value}")));
    }
    words.extend(body(&request.body));
    words.push(quote(&request.url(base)));
    words.join(" ")
}

fn body(body: &Body) -> Vec<String> {
    match body {
        Body::Empty => Vec::new(),
        Body::Json(json) => {
            let header = ["-H".to_owned(), quote("Content-Type: application/json")];
            header.into_iter().chain(data(sorted(json).as_bytes())).collect()
        }
        Body::Bytes(bytes) => data(bytes),
        // Unlike --data-binary, -T streams and does not read the whole file into memory.
        Body::File(path) => vec!["-T".to_owned(), quote(&path.display().to_string())],
        Body::Stdin => vec!["-T".to_owned(), "-".to_owned()],
    }
}

/// Fields by name: the order in a JSON object depends on how serde_json was built.
fn sorted(json: &Value) -> String {
    match json {
        Value::Object(object) => {
            let fields: BTreeMap<_, _> = object.iter().collect();
            let field = |(name, value)| format!("{}:{}", json!(name), sorted(value));
            format!("{{{}}}", fields.into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => json.to_string(),
    }
}

/// A leading `@` would name a file, and a shell word holds no zero byte: such a body comes by a
/// file that bash makes on the way.
fn data(bytes: &[u8]) -> Vec<String> {
    let value = match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with('@') && !text.contains('\0') => quote(text),
        Ok(_) | Err(_) => {
            let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("@<(printf '{escaped}')")
        }
    };
    vec!["--data-binary".to_owned(), value]
}

/// One word of a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
