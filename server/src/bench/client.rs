//! One client of a measurement: a connection of either kind, and the operations on it.
use super::data::{Random, Values};
use super::etcd::{self, KvClient, PutRequest, RangeRequest, Request, RequestOp, TxnRequest};
use super::http::HttpConnection;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use tonic::transport::Channel;

const KEY_PATH: &[u8] = b"/v1/raw/keys/";
const RAW: &[u8] = b"?raw";

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Troupe's JSON API.
    Http,
    /// etcd's key-value service over gRPC.
    Grpc,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection broke.
    #[error("connection: {0}")]
    Connection(#[from] io::Error),
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] tonic::transport::Error),
    /// The server answered with an error.
    #[error("HTTP status {status}: {body}")]
    Status {
        /// Its status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The gRPC server answered with an error.
    #[error("gRPC: {0}")]
    Grpc(#[from] Box<tonic::Status>),
}

impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        Self::Grpc(Box::new(status))
    }
}

/// A connection that is used for one operation at a time.
#[derive(Debug)]
pub enum Client {
    /// Over HTTP/1.1, a TCP connection of its own; opened anew after it broke.
    Http {
        /// Where to.
        address: String,
        /// The connection, if there is one.
        connection: Option<HttpConnection>,
    },
    /// Over HTTP/2, which several clients share.
    Grpc(KvClient<Channel>),
}

/// Connections that several clients may share.
#[derive(Debug, Default)]
pub struct Channels(Vec<KvClient<Channel>>);

impl Channels {
    /// Opens `count` gRPC connections, spread over `addresses`; none for HTTP.
    ///
    /// # Errors
    /// A server does not listen.
    pub async fn open(
        protocol: Protocol,
        addresses: &[String],
        count: usize,
    ) -> Result<Self, ClientError> {
        let mut channels = Vec::new();
        if protocol == Protocol::Grpc {
            for address in addresses.iter().cycle().take(count) {
                channels.push(etcd::connect(address).await?);
            }
        }
        Ok(Self(channels))
    }

    /// A client with this number, fixed to one server.
    ///
    /// # Errors
    /// The server does not listen.
    pub async fn client(&self, number: usize, addresses: &[String]) -> Result<Client, ClientError> {
        if let Some(channel) = self.0.get(number % self.0.len().max(1)) {
            return Ok(Client::Grpc(channel.clone()));
        }
        let address = addresses[number % addresses.len()].clone();
        let connection = Some(HttpConnection::open(&address).await?);
        Ok(Client::Http { address, connection })
    }
}

impl Client {
    /// Writes the value that `write` makes.
    ///
    /// # Errors
    /// The server did not acknowledge it.
    pub async fn put(
        &mut self,
        key: &Bytes,
        (values, write, random): (&Values, u64, &mut Random),
    ) -> Result<(), ClientError> {
        match self {
            Self::Grpc(client) => {
                let mut value = Vec::with_capacity(values.length());
                values.append(write, random, &mut value);
                let request = PutRequest { key: key.clone(), value: value.into() };
                client.put(request).await?;
                Ok(())
            }
            Self::Http { address, connection } => {
                let open = taken(connection, address).await?;
                let length = values.length();
                let body = |out: &mut Vec<u8>| values.append(write, random, out);
                let answer = open_put(open, key, length, body).await?;
                *connection = Some(answer.0);
                accepted(answer.1, connection)
            }
        }
    }

    /// Reads the value of `key`, linearizably; `None` if there is none.
    ///
    /// # Errors
    /// The server did not answer as it should.
    pub async fn get(&mut self, key: &Bytes) -> Result<Option<Bytes>, ClientError> {
        match self {
            Self::Grpc(client) => {
                let answer = client.range(RangeRequest { key: key.clone() }).await?;
                Ok(answer.into_inner().kvs.into_iter().next().map(|pair| pair.value))
            }
            Self::Http { address, connection } => {
                let mut open = taken(connection, address).await?;
                let status = open.get(&[KEY_PATH, key, RAW]).await?;
                let found = (status != 404).then(|| Bytes::copy_from_slice(open.body()));
                *connection = Some(open);
                if status == 404 { Ok(None) } else { accepted(status, connection).map(|()| found) }
            }
        }
    }

    /// Writes several pairs with one request.
    ///
    /// # Errors
    /// The server did not acknowledge all.
    pub async fn put_all(&mut self, pairs: &[(Bytes, Vec<u8>)]) -> Result<(), ClientError> {
        match self {
            Self::Grpc(client) => {
                let put = |(key, value): &(Bytes, Vec<u8>)| RequestOp {
                    request: Some(Request::RequestPut(PutRequest {
                        key: key.clone(),
                        value: value.clone().into(),
                    })),
                };
                client.txn(TxnRequest { success: pairs.iter().map(put).collect() }).await?;
                Ok(())
            }
            Self::Http { address, connection } => {
                let body = items(pairs);
                let mut open = taken(connection, address).await?;
                let path: &[&[u8]] = &[b"/v1/raw/put"];
                let out = |out: &mut Vec<u8>| out.extend_from_slice(&body);
                let status = open.send(b"POST ", path, body.len(), out).await?;
                *connection = Some(open);
                accepted(status, connection)
            }
        }
    }
}

async fn open_put(
    mut open: HttpConnection,
    key: &Bytes,
    length: usize,
    body: impl FnOnce(&mut Vec<u8>),
) -> Result<(HttpConnection, u16), ClientError> {
    let status = open.send(b"PUT ", &[KEY_PATH, key], length, body).await?;
    Ok((open, status))
}

/// Takes the connection out, so that it is gone if this operation breaks or is given up.
async fn taken(
    connection: &mut Option<HttpConnection>,
    address: &str,
) -> Result<HttpConnection, ClientError> {
    match connection.take() {
        Some(open) => Ok(open),
        None => Ok(HttpConnection::open(address).await?),
    }
}

/// 200 and 201 say that all was done; 207, that some was not.
fn accepted(status: u16, connection: &Option<HttpConnection>) -> Result<(), ClientError> {
    if matches!(status, 200 | 201) {
        return Ok(());
    }
    let body = connection.as_ref().map_or(&b""[..], HttpConnection::body);
    let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    Err(ClientError::Status { status, body })
}

/// The body of `POST /v1/raw/put`.
fn items(pairs: &[(Bytes, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<_> = pairs
        .iter()
        .map(|(key, value)| {
            let key = String::from_utf8_lossy(key);
            serde_json::json!({ "key": key, "value": { "b64": BASE64_STANDARD.encode(value) } })
        })
        .collect();
    serde_json::json!({ "items": items }).to_string().into_bytes()
}
