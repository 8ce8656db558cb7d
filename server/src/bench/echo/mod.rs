//! `troupe bench echo`: answers every request at once and keeps nothing. The load generator is
//! measured against it, in the same run as the databases, so that one can see how far it is from
//! being what limits them.
mod grpc;
mod http;

use crate::cli::EchoProtocol;
use crate::error::CliError;
use crate::output::write_line;
use tokio::net::TcpListener;

/// Prints its address and serves until it is killed.
///
/// # Errors
/// No port, or stdout is closed.
pub(super) async fn run(protocol: EchoProtocol, value_bytes: usize) -> Result<(), CliError> {
    let failed = |source| CliError::io("cannot listen", source);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    write_line(&listener.local_addr().map_err(failed)?.to_string())?;
    let value = vec![b'v'; value_bytes];
    match protocol {
        EchoProtocol::Http => http::serve(listener, value).await,
        EchoProtocol::Grpc => grpc::serve(listener, value).await,
    }
}
