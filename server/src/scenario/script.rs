//! Runs a script under its time limit and shows its steps as they happen.
use super::cluster::Cluster;
use super::find::Scenario;
use crate::error::CliError;
use crate::output::write_line;
use crate::sys::signal_group;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// How long output may still come after the script ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Kills everything that the script started, also when it is dropped by a signal.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        signal_group(self.0, libc::SIGKILL);
    }
}

pub(super) async fn run(
    scenario: &Scenario,
    cluster: &Cluster,
    folder: &Path,
) -> Result<(), CliError> {
    let failed = |source| CliError::io("cannot run the script", source);
    let scratch = folder.join("scratch");
    fs::create_dir_all(&scratch).map_err(failed)?;
    let mut log = File::create(folder.join("script.log")).map_err(failed)?;
    let mut script = spawn(scenario, cluster, &scratch).map_err(failed)?;
    let group = Group(script.id().unwrap_or_default());
    let output = script.stdout.take().expect("invariant: stdout is piped");

    let shown = show(output, &mut log);
    let ended = tokio::time::timeout(scenario.header.timeout, async {
        let mut shown = std::pin::pin!(shown);
        // A node started anew in the background may keep the pipe open after the script's end.
        tokio::select! {
            result = &mut shown => result?,
            status = script.wait() => {
                let status = status.map_err(failed)?;
                let _ = tokio::time::timeout(LAST_WORDS, shown).await;
                return Ok(status);
            }
        }
        script.wait().await.map_err(failed)
    })
    .await;
    drop(group);
    match ended {
        Err(_) => {
            let limit = scenario.header.timeout.as_secs();
            Err(CliError::TooSlow(format!("not done within its limit of {limit} s")))
        }
        Ok(status) => match status? {
            status if status.success() => Ok(()),
            status => Err(CliError::Failed(format!("the script ended with {status}"))),
        },
    }
}

fn spawn(scenario: &Scenario, cluster: &Cluster, scratch: &Path) -> std::io::Result<Child> {
    Command::new("bash")
        // Both streams in one pipe keep the order of steps and messages.
        .arg("-c")
        .arg("exec bash \"$0\" 2>&1")
        .arg(&scenario.path)
        .env("TROUPE_URLS", cluster.urls().join(" "))
        .env("TROUPE_CONTROL", &cluster.control)
        .env("TROUPE_BIN", &cluster.program)
        .env("TROUPE_SCRATCH", scratch)
        .current_dir(scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
}

async fn show(output: impl AsyncRead + Unpin, log: &mut File) -> Result<(), CliError> {
    let mut lines = BufReader::new(output).split(b'\n');
    let failed = |source| CliError::io("cannot read the script's output", source);
    while let Some(line) = lines.next_segment().await.map_err(failed)? {
        let line = String::from_utf8_lossy(&line);
        write_line(&format!("     {line}"))?;
        writeln!(log, "{line}").map_err(failed)?;
    }
    Ok(())
}
