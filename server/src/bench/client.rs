//! One client of a measurement: a connection of either kind, and the operations on it.
mod transfer;

use super::data::{Random, Values};
use super::etcd::{self, KvClient, PutRequest, RangeRequest, TxnRequest};
use super::http::HttpConnection;
use super::options::Space;
use super::routes::Routes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use tonic::transport::Channel;

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

/// A client, used for one operation at a time.
#[derive(Debug)]
pub enum Client {
    /// Over HTTP/1.1, with TCP connections of its own.
    Http {
        /// Servers that it asks.
        servers: Vec<Server>,
        /// Which of them to ask for a key; the first one, if there are none.
        routes: Option<Arc<Routes>>,
    },
    /// Over HTTP/2, on a connection that several clients share.
    Grpc(KvClient<Channel>),
}

/// A server and the connection to it, opened anew after it broke.
#[derive(Debug)]
pub struct Server {
    address: String,
    connection: Option<HttpConnection>,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Where its value is.
    pub space: Space,
    /// Its number among the keys of that space.
    pub number: u32,
    /// Itself.
    pub bytes: &'a Bytes,
}

/// What the paths of a space begin with.
const fn base(space: Space) -> &'static [u8] {
    match space {
        Space::Raw => b"/v1/raw/",
        Space::Kv | Space::Accounts => b"/v1/kv/",
    }
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

    /// A client with this number, fixed to one server, or with a connection to each if there are
    /// routes.
    ///
    /// # Errors
    /// A server does not listen.
    pub async fn client(
        &self,
        number: usize,
        (addresses, routes): (&[String], &Option<Arc<Routes>>),
    ) -> Result<Client, ClientError> {
        if let Some(channel) = self.0.get(number % self.0.len().max(1)) {
            return Ok(Client::Grpc(channel.clone()));
        }
        let own = number % addresses.len();
        let asked = if routes.is_some() { addresses } else { &addresses[own..=own] };
        let mut servers = Vec::new();
        for address in asked {
            let connection = Some(HttpConnection::open(address).await?);
            servers.push(Server { address: address.clone(), connection });
        }
        Ok(Client::Http { servers, routes: routes.clone() })
    }
}

impl Client {
    /// Writes the value that `write` makes.
    ///
    /// # Errors
    /// The server did not acknowledge it.
    pub async fn put(
        &mut self,
        key: Key<'_>,
        (values, write, random): (&Values, u64, &mut Random),
    ) -> Result<(), ClientError> {
        match self {
            Self::Grpc(client) => {
                let mut value = Vec::with_capacity(values.length());
                values.append(write, random, &mut value);
                let request = PutRequest { key: key.bytes.clone(), value: value.into() };
                client.put(request).await?;
                Ok(())
            }
            Self::Http { servers, routes } => {
                let server = chosen(servers, routes, key);
                let path: &[&[u8]] = &[base(key.space), b"keys/", key.bytes];
                let length = values.length();
                let body = |out: &mut Vec<u8>| values.append(write, random, out);
                server.send(b"PUT ", path, (length, body)).await
            }
        }
    }

    /// Reads the value of `key`, linearizably; `None` if there is none.
    ///
    /// # Errors
    /// The server did not answer as it should.
    pub async fn get(&mut self, key: Key<'_>) -> Result<Option<Bytes>, ClientError> {
        match self {
            Self::Grpc(client) => {
                let answer = client.range(RangeRequest { key: key.bytes.clone() }).await?;
                Ok(answer.into_inner().kvs.into_iter().next().map(|pair| pair.value))
            }
            Self::Http { servers, routes } => {
                let server = chosen(servers, routes, key);
                let mut open = server.take().await?;
                let status = open.get(&[base(key.space), b"keys/", key.bytes, RAW]).await?;
                let answer = match status {
                    404 => Ok(None),
                    _ => {
                        accepted(status, &open).map(|()| Some(Bytes::copy_from_slice(open.body())))
                    }
                };
                server.connection = Some(open);
                answer
            }
        }
    }

    /// Writes several pairs of a space with one request.
    ///
    /// # Errors
    /// The server did not acknowledge all.
    pub async fn put_all(
        &mut self,
        space: Space,
        pairs: &[(Bytes, Vec<u8>)],
    ) -> Result<(), ClientError> {
        match self {
            Self::Grpc(client) => {
                let put = |(key, value): &(Bytes, Vec<u8>)| etcd::put(key, value.clone());
                let success = pairs.iter().map(put).collect();
                client.txn(TxnRequest { success, ..TxnRequest::default() }).await?;
                Ok(())
            }
            Self::Http { servers, .. } => {
                let body = items(pairs);
                let path: &[&[u8]] = &[base(space), b"put"];
                let append = |out: &mut Vec<u8>| out.extend_from_slice(&body);
                servers[0].send(b"POST ", path, (body.len(), append)).await
            }
        }
    }
}

fn chosen<'a>(
    servers: &'a mut [Server],
    routes: &Option<Arc<Routes>>,
    key: Key<'_>,
) -> &'a mut Server {
    let number = routes.as_ref().map_or(0, |routes| routes.server(key.space, key.number));
    &mut servers[number]
}

impl Server {
    async fn send(
        &mut self,
        verb: &[u8],
        path: &[&[u8]],
        (length, body): (usize, impl FnOnce(&mut Vec<u8>)),
    ) -> Result<(), ClientError> {
        let mut open = self.take().await?;
        let status = open.send(verb, path, (length, body)).await?;
        let answer = accepted(status, &open);
        self.connection = Some(open);
        answer
    }

    /// Takes the connection out, so that it is gone if this operation breaks or is given up.
    async fn take(&mut self) -> Result<HttpConnection, ClientError> {
        match self.connection.take() {
            Some(open) => Ok(open),
            None => Ok(HttpConnection::open(&self.address).await?),
        }
    }
}

/// 200 and 201 say that all was done; 207, that some was not.
fn accepted(status: u16, connection: &HttpConnection) -> Result<(), ClientError> {
    if matches!(status, 200 | 201) {
        return Ok(());
    }
    let body = connection.body();
    let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    Err(ClientError::Status { status, body })
}

/// The body of `POST /v1/raw/put` and `POST /v1/kv/put`.
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
