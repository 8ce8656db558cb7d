//! Connections for what does not travel on a link: PD, traces and snapshots. Apart from the links, so
//! that a snapshot in flight does not delay Raft messages.
use super::link::stream::{client, connect, describe};
use super::options::TransportOptions;
use super::port::TransportError;
use super::wire::proto::node_client::NodeClient;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tonic::Code;
use tonic::transport::Channel;

/// One connection an address, made when first needed. Only used on the network's runtime.
pub(super) struct Channels {
    options: TransportOptions,
    open: Mutex<BTreeMap<String, Channel>>,
}

impl Channels {
    pub(super) fn new(options: TransportOptions) -> Self {
        Self { options, open: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Channel>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of `address`.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`]: there is no connection, so nothing was sent.
    pub(super) async fn client(
        &self,
        address: &str,
    ) -> Result<NodeClient<Channel>, TransportError> {
        let known = self.table().get(address).cloned();
        let channel = match known {
            Some(channel) => channel,
            None => {
                let made = connect(address, &self.options).await;
                let channel = made.map_err(|why| TransportError::Unreachable { why })?;
                self.table().insert(address.to_owned(), channel.clone());
                channel
            }
        };
        Ok(client(channel))
    }

    /// What a failed call means; a broken connection is forgotten.
    pub(super) fn failed(&self, address: &str, status: &tonic::Status) -> TransportError {
        let why = describe(status);
        match status.code() {
            Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::ResourceExhausted
            | Code::PermissionDenied
            | Code::NotFound
            | Code::DataLoss
            | Code::Unimplemented => TransportError::Refused { why },
            _ => {
                self.table().remove(address);
                TransportError::Broken { why }
            }
        }
    }
}
