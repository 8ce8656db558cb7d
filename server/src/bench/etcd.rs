//! etcd's key-value service as the bench speaks it, over tonic.
mod proto {
    #![allow(missing_docs, reason = "made from proto/etcd.proto, which has the words")]
    tonic::include_proto!("etcdserverpb");
}

pub use proto::kv_client::KvClient;
pub use proto::kv_server::{Kv, KvServer};
pub use proto::request_op::Request;
pub use proto::{
    KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
};

use tonic::transport::{Channel, Endpoint};

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
