//! Transfers between accounts, and reading balances, over either protocol.
//!
//! Troupe takes a transfer as one request. etcd cannot add, so the same effect takes two: read both
//! balances, then write both if nobody changed either; if somebody did, the same request answered
//! the new balances, and it is tried again.
use super::{Client, ClientError, Key, accepted, base, chosen};
use crate::bench::accounts::{Accounts, Transfer};
use crate::bench::etcd::{self, KeyValue, KvClient, Response, TxnRequest, TxnResponse};
use crate::bench::options::{Space, TransferKind};
use bytes::Bytes;
use serde::Deserialize;
use std::fmt::Write;
use tonic::transport::Channel;

const PATH: &[u8] = b"/v1/txn";

#[derive(Deserialize)]
struct Outcome {
    succeeded: bool,
}

#[derive(Deserialize)]
struct Rows {
    items: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    value: Option<String>,
}

impl Client {
    /// Moves an amount.
    ///
    /// # Errors
    /// The server did not acknowledge it, or says that the amount was not there.
    pub async fn transfer(
        &mut self,
        accounts: &Accounts,
        (transfer, kind): (Transfer, TransferKind),
    ) -> Result<(), ClientError> {
        let Transfer { from, to, amount } = transfer;
        let keys = [accounts.keys().get(from), accounts.keys().get(to)];
        match self {
            Self::Grpc(client) => compare_and_put(client, keys, (amount, kind.conditional)).await,
            Self::Http { servers, routes } => {
                let key = Key { space: Space::Accounts, number: from, bytes: keys[0] };
                let server = chosen(servers, routes, key);
                let body = body(keys, (amount, kind));
                let mut open = server.take().await?;
                let append = |out: &mut Vec<u8>| out.extend_from_slice(body.as_bytes());
                let status = open.send(b"POST ", &[PATH], (body.len(), append)).await?;
                let answer = accepted(status, &open).and_then(|()| succeeded(open.body()));
                server.connection = Some(open);
                answer
            }
        }
    }

    /// Balances under these keys, all read at the same time; `None` where there is none.
    ///
    /// # Errors
    /// The server did not answer as it should.
    pub async fn balances(&mut self, keys: &[Bytes]) -> Result<Vec<Option<i64>>, ClientError> {
        match self {
            Self::Grpc(client) => {
                let success = keys.iter().map(etcd::range).collect();
                let request = TxnRequest { success, ..TxnRequest::default() };
                let pairs = pairs(client.txn(request).await?.into_inner());
                pairs.iter().map(|pair| pair.as_ref().map(balance).transpose()).collect()
            }
            Self::Http { servers, .. } => {
                let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
                let body = serde_json::json!({ "keys": keys }).to_string();
                let mut open = servers[0].take().await?;
                let append = |out: &mut Vec<u8>| out.extend_from_slice(body.as_bytes());
                let path: &[&[u8]] = &[base(Space::Accounts), b"get"];
                let status = open.send(b"POST ", path, (body.len(), append)).await?;
                let answer = accepted(status, &open).and_then(|()| rows(open.body()));
                servers[0].connection = Some(open);
                answer
            }
        }
    }
}

/// The body of `POST /v1/txn`. Keys of the bench need no escapes.
fn body([from, to]: [&Bytes; 2], (amount, kind): (i64, TransferKind)) -> String {
    let (from, to) = (String::from_utf8_lossy(from), String::from_utf8_lossy(to));
    let mut body = String::with_capacity(192);
    body.push('{');
    if kind.conditional {
        let _ = write!(body, r#""if":[{{"key":"{from}","value":{{"ge_int":{amount}}}}}],"#);
    }
    let _ = write!(
        body,
        r#""then":[{{"add":{{"key":"{from}","by":-{amount}}}}},{{"add":{{"key":"{to}","by":{amount}}}}}]"#
    );
    body.push_str(if kind.two_phase { r#","commit":"two_phase"}"# } else { "}" });
    body
}

fn succeeded(body: &[u8]) -> Result<(), ClientError> {
    let outcome: Outcome = serde_json::from_slice(body).map_err(|_| strange(body))?;
    if outcome.succeeded { Ok(()) } else { Err(strange(body)) }
}

fn rows(body: &[u8]) -> Result<Vec<Option<i64>>, ClientError> {
    let rows: Rows = serde_json::from_slice(body).map_err(|_| strange(body))?;
    let number = |row: Row| {
        let parsed = row.value.map(|value| value.parse());
        parsed.transpose().map_err(|_| strange(body))
    };
    rows.items.into_iter().map(number).collect()
}

fn strange(body: &[u8]) -> ClientError {
    let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    ClientError::Status { status: 200, body }
}

async fn compare_and_put(
    client: &mut KvClient<Channel>,
    keys: [&Bytes; 2],
    (amount, conditional): (i64, bool),
) -> Result<(), ClientError> {
    let reads = || keys.map(etcd::range).to_vec();
    let request = TxnRequest { success: reads(), ..TxnRequest::default() };
    let mut answer = client.txn(request).await?.into_inner();
    loop {
        let [Some(from), Some(to)] = &pairs(answer)[..] else {
            return Err(strange(b"an account is missing"));
        };
        let (gives, takes) = (balance(from)?, balance(to)?);
        if conditional && gives < amount {
            return Err(strange(b"the amount is not there"));
        }
        let request = TxnRequest {
            compare: vec![etcd::unchanged(from), etcd::unchanged(to)],
            success: vec![
                etcd::put(keys[0], (gives - amount).to_string()),
                etcd::put(keys[1], (takes + amount).to_string()),
            ],
            failure: reads(),
        };
        answer = client.txn(request).await?.into_inner();
        if answer.succeeded {
            return Ok(());
        }
    }
}

/// What the reads of a transaction found.
fn pairs(answer: TxnResponse) -> Vec<Option<KeyValue>> {
    let read = |response| match response {
        Some(Response::ResponseRange(range)) => Some(range.kvs.into_iter().next()),
        Some(Response::ResponsePut(_)) | None => None,
    };
    answer.responses.into_iter().filter_map(|step| read(step.response)).collect()
}

fn balance(pair: &KeyValue) -> Result<i64, ClientError> {
    let text = std::str::from_utf8(&pair.value).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| strange(&pair.value))
}

#[cfg(test)]
mod tests;
