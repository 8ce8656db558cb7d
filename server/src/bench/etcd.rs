//! etcd's key-value service as the bench speaks it, over tonic.
mod proto {
    #![allow(missing_docs, reason = "made from proto/etcd.proto, which has the words")]
    tonic::include_proto!("etcdserverpb");
}

pub use proto::kv_client::KvClient;
pub use proto::kv_server::{Kv, KvServer};
pub use proto::request_op::Request;
pub use proto::response_op::Response;
pub use proto::{
    Compare, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
};

use bytes::Bytes;
use proto::compare::TargetUnion;
use tonic::transport::{Channel, Endpoint};

/// Of [`Compare::result`].
const EQUAL: i32 = 0;
/// Of [`Compare::target`]: the revision that changed the key last.
const MOD: i32 = 2;

/// What one HTTP/2 connection may have in flight unread; far above what a bench sends.
const WINDOW: u32 = 4 << 20;

/// Connects to `address`, such as `127.0.0.1:2379`.
///
/// # Errors
/// Nobody listens there.
pub async fn connect(address: &str) -> Result<KvClient<Channel>, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    Ok(KvClient::new(endpoint.connect().await?))
}

/// A step of a transaction that stores `value`.
#[must_use]
pub fn put(key: &Bytes, value: impl Into<Bytes>) -> RequestOp {
    let put = PutRequest { key: key.clone(), value: value.into() };
    RequestOp { request: Some(Request::RequestPut(put)) }
}

/// A step of a transaction that reads `key`.
#[must_use]
pub fn range(key: &Bytes) -> RequestOp {
    RequestOp { request: Some(Request::RequestRange(RangeRequest { key: key.clone() })) }
}

/// Holds as long as nobody changes `pair`.
#[must_use]
pub fn unchanged(pair: &KeyValue) -> Compare {
    let mod_revision = Some(TargetUnion::ModRevision(pair.mod_revision));
    Compare { result: EQUAL, target: MOD, key: pair.key.clone(), target_union: mod_revision }
}
