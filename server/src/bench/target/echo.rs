//! A server that answers at once, in another process: what is measured with it is the load generator.
use super::{Life, Servers};
use crate::bench::client::Protocol;
use crate::bench::options::TargetName;
use crate::error::CliError;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The process; killed when this is dropped.
pub(super) struct Echo {
    _child: Child,
}

pub(super) async fn start(
    name: TargetName,
    protocol: Protocol,
    value_bytes: usize,
) -> Result<Servers, CliError> {
    let failed = |source| CliError::io("cannot start the echo server", source);
    let program = std::env::current_exe().map_err(failed)?;
    let spoken = match protocol {
        Protocol::Http => "http",
        Protocol::Grpc => "grpc",
    };
    let mut child = Command::new(program)
        .args(["bench", "echo", "--protocol", spoken, "--value-bytes", &value_bytes.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let output = child.stdout.take().expect("invariant: stdout is piped");
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address).await.map_err(failed)?;
    let address = address.trim().to_owned();
    if address.is_empty() {
        return Err(CliError::Failed("the echo server ended".to_owned()));
    }
    Ok(Servers {
        name,
        protocol,
        addresses: vec![address],
        pids: child.id().into_iter().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        syncs: &[],
        disk: None,
        life: Life::Echo(Echo { _child: child }),
    })
}
