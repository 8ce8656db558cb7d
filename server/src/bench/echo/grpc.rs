//! A server that speaks as etcd does to the bench.
use crate::bench::etcd::{
    KeyValue, Kv, KvServer, PutRequest, PutResponse, RangeRequest, RangeResponse, TxnRequest,
    TxnResponse,
};
use crate::error::CliError;
use bytes::Bytes;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

struct Echo {
    value: Bytes,
}

#[tonic::async_trait]
impl Kv for Echo {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let key = request.into_inner().key;
        let pair = KeyValue { key, value: self.value.clone(), ..KeyValue::default() };
        Ok(Response::new(RangeResponse { kvs: vec![pair], count: 1, ..RangeResponse::default() }))
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        Ok(Response::new(PutResponse::default()))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Ok(Response::new(TxnResponse { succeeded: true, ..TxnResponse::default() }))
    }
}

pub(super) async fn serve(listener: TcpListener, value: Vec<u8>) -> Result<(), CliError> {
    tonic::transport::Server::builder()
        .add_service(KvServer::new(Echo { value: value.into() }))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .map_err(|error| CliError::Failed(format!("the echo server ended: {error}")))
}
