//! Import and export: NDJSON of any length, with progress.
use crate::api::{ApiRequest, Client, Problem};
use crate::cli::OutputFormat;
use crate::error::CliError;
use crate::output::{Progress, output_error, print_object};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, pin_mut};
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The longest line that the server sends: a key and a value in hexadecimal, and some.
const LONGEST_LINE: usize = 64 << 20;

/// Sends rows and shows how far the server is.
pub(super) async fn import(
    client: &Client,
    request: &ApiRequest,
    format: OutputFormat,
) -> Result<(), CliError> {
    let lines = lines(client.stream(request).await?);
    pin_mut!(lines);
    let mut progress = Progress::new("import");
    let mut acknowledged = 0;
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| interrupted(error, acknowledged))?;
        let answer = parse(&line)?;
        let (rows, bytes) = (number(&answer, "rows"), number(&answer, "bytes"));
        acknowledged = rows.max(acknowledged);
        if let Some(error) = answer.get("error") {
            let at = answer.get("line").map(|line| format!(" (line {line})")).unwrap_or_default();
            return Err(stopped(error, &format!("{rows} rows were imported{at}"), rows));
        }
        if answer.get("done").is_some() {
            let checksum = answer["checksum"].as_str().unwrap_or("?");
            progress.finish(rows, bytes, &format!(", checksum {checksum}"));
            return print_object(format, &answer);
        }
        progress.update(rows, bytes);
    }
    Err(CliError::Partial(format!("the server stopped without a word after {acknowledged} rows")))
}

/// Writes rows as they come, and not the server's closing line.
pub(super) async fn export(
    client: &Client,
    request: &ApiRequest,
    to: Option<&Path>,
) -> Result<(), CliError> {
    let lines = lines(client.stream(request).await?);
    pin_mut!(lines);
    let mut output = output(to)?;
    let mut progress = Progress::new("export");
    let (mut rows, mut bytes) = (0, 0);
    while let Some(line) = lines.next().await {
        let line = line?;
        match closing(&line) {
            Some(Closing::Done { rows: told, checksum }) => {
                output.flush().map_err(output_error)?;
                if told != rows {
                    let message = format!("the server sent {told} rows, {rows} arrived");
                    return Err(CliError::BadAnswer(message));
                }
                progress.finish(rows, bytes, &format!(", checksum {checksum}"));
                return Ok(());
            }
            Some(Closing::Error(error)) => {
                output.flush().map_err(output_error)?;
                return Err(stopped(&error, &format!("{rows} rows were exported"), rows));
            }
            None => {
                output.write_all(&line).map_err(output_error)?;
                output.write_all(b"\n").map_err(output_error)?;
                rows += 1;
                bytes += line.len() as u64 + 1;
                progress.update(rows, bytes);
            }
        }
    }
    output.flush().map_err(output_error)?;
    Err(CliError::Partial(format!("the server stopped without a word after {rows} rows")))
}

fn output(to: Option<&Path>) -> Result<Box<dyn Write>, CliError> {
    Ok(match to {
        None => Box::new(BufWriter::new(std::io::stdout().lock())),
        Some(path) => {
            let file = File::create(path);
            let what = || format!("cannot write {}", path.display());
            Box::new(BufWriter::new(file.map_err(|source| CliError::io(what(), source))?))
        }
    })
}

enum Closing {
    Done { rows: u64, checksum: String },
    Error(Value),
}

/// Rows have a key; what has none closes the stream.
fn closing(line: &[u8]) -> Option<Closing> {
    if line.starts_with(b"{\"key\":") {
        return None;
    }
    let answer: Value = serde_json::from_slice(line).ok()?;
    if answer.get("key").is_some() {
        return None;
    }
    if let Some(error) = answer.get("error") {
        return Some(Closing::Error(error.clone()));
    }
    let checksum = answer["checksum"].as_str().unwrap_or("?").to_owned();
    answer.get("done").map(|_| Closing::Done { rows: number(&answer, "rows"), checksum })
}

/// A problem in the middle: partial, if something was done before.
fn stopped(error: &Value, done: &str, rows: u64) -> CliError {
    let status = error.get("status").and_then(Value::as_u64).unwrap_or(500);
    let status = u16::try_from(status).unwrap_or(500);
    let problem = Problem::from_reply(status, error.to_string().as_bytes());
    if rows == 0 {
        return CliError::Problem(Box::new(problem));
    }
    CliError::Partial(format!("{problem}\n{done}"))
}

fn interrupted(error: CliError, rows: u64) -> CliError {
    if rows == 0 {
        return error;
    }
    CliError::Partial(format!("{error}\nat least {rows} rows were imported"))
}

fn parse(line: &[u8]) -> Result<Value, CliError> {
    serde_json::from_slice(line).map_err(|error| CliError::BadAnswer(error.to_string()))
}

fn number(answer: &Value, name: &str) -> u64 {
    answer.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// Cuts a stream of bytes into lines, empty ones left out.
fn lines(
    chunks: impl Stream<Item = Result<Bytes, CliError>>,
) -> impl Stream<Item = Result<Bytes, CliError>> {
    let start = (Box::pin(chunks), BytesMut::new(), false);
    futures::stream::try_unfold(start, |(mut chunks, mut rest, mut ended)| async move {
        loop {
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(at + 1).freeze().slice(..at);
                if line.is_empty() {
                    continue;
                }
                return Ok(Some((line, (chunks, rest, ended))));
            }
            if ended {
                let line = rest.split().freeze();
                return Ok((!line.is_empty()).then_some((line, (chunks, rest, ended))));
            }
            if rest.len() > LONGEST_LINE {
                return Err(CliError::BadAnswer("a line has no end".to_owned()));
            }
            match chunks.next().await {
                Some(chunk) => rest.extend_from_slice(&chunk?),
                None => ended = true,
            }
        }
    })
}

#[cfg(test)]
mod tests;
