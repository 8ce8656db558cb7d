//! Nodes as processes of this program. A node that dies stays dead: whoever killed it starts it again
//! by the command in the control file.
use super::plan::NodePlan;
use super::{DemoError, DemoOptions, banner};
use crate::boot::{STOP_PATIENCE, until_told_to_stop};
use crate::sys::signal_process;
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Process {
    number: u32,
    url: String,
    grpc: String,
    data: PathBuf,
    command: Vec<String>,
    child: Child,
}

/// Runs all nodes until this process is told to stop.
pub(super) fn run(options: &DemoOptions, plans: Vec<NodePlan>) -> Result<(), DemoError> {
    let folder = plans.first().and_then(|plan| plan.folder.parent().map(Path::to_owned));
    let system = actix_rt::System::new();
    let mut processes: Vec<Process> = Vec::new();
    for plan in plans {
        processes.push(start(plan)?);
        // One after the other, so that ids follow the order of the nodes.
        let last = processes.last().map(|process| process.url.clone()).unwrap_or_default();
        if let Err(error) = system.block_on(banner::until_listening(&last)) {
            stop(&system, &mut processes);
            return Err(error);
        }
    }
    let urls: Vec<String> = processes.iter().map(|process| process.url.clone()).collect();
    let result = system.block_on(async {
        if let Some(path) = &options.control_file {
            write_control_file(path, &processes)?;
        }
        banner::until_ready(&urls).await?;
        banner::print(&urls, folder.as_deref());
        println!("Kill a node:");
        for process in &processes {
            println!("  kill -9 {}   (node {})", process.child.id(), process.number);
        }
        tokio::select! {
            () = until_told_to_stop() => {}
            () = reap(&mut processes) => {}
        }
        Ok(())
    });
    stop(&system, &mut processes);
    result
}

/// Collects the status of nodes that end; never completes.
async fn reap(processes: &mut [Process]) {
    let mut told = vec![false; processes.len()];
    loop {
        for (process, told) in processes.iter_mut().zip(&mut told) {
            if let (false, Ok(Some(status))) = (*told, process.child.try_wait()) {
                *told = true;
                eprintln!("node {} ended: {status}", process.number);
                eprintln!("  start it again: {}", process.command.join(" "));
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn start(plan: NodePlan) -> Result<Process, DemoError> {
    let NodePlan { number, folder, config, http, grpc } = plan;
    let failed = |why: String| DemoError::Node { node: number, why };
    let folder = std::fs::canonicalize(&folder)
        .map_err(|source| DemoError::Files { path: folder.clone(), source })?;
    let mut config = config;
    let data = folder.join("data");
    config.node.data = vec![data.clone()];
    let file = folder.join("troupe.toml");
    std::fs::write(&file, config.to_toml())
        .map_err(|source| DemoError::Files { path: file.clone(), source })?;
    let log = folder.join("log.txt");
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(|source| DemoError::Files { path: log, source })?;
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let command = vec![
        program.display().to_string(),
        "start".to_owned(),
        "--config".to_owned(),
        file.display().to_string(),
    ];
    // The ports were held so that no two nodes plan the same; the child binds them itself.
    drop((http, grpc));
    let errors = log.try_clone().map_err(|error| failed(error.to_string()))?;
    let child = Command::new(&program)
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let url = format!("http://{}", config.node.http_address);
    let grpc = config.node.grpc_address;
    Ok(Process { number, url, grpc, data, command, child })
}

fn write_control_file(path: &Path, processes: &[Process]) -> Result<(), DemoError> {
    let node = |process: &Process| {
        json!({
            "id": process.number,
            "pid": process.child.id(),
            "http": process.url,
            "grpc": process.grpc,
            "data": process.data,
            "command": process.command,
        })
    };
    let nodes: Vec<_> = processes.iter().map(node).collect();
    let text = json!({ "nodes": nodes }).to_string();
    // Written aside and renamed: a script never reads half a file.
    let aside = path.with_extension("new");
    std::fs::write(&aside, text)
        .and_then(|()| std::fs::rename(&aside, path))
        .map_err(|source| DemoError::Files { path: path.to_owned(), source })
}

/// Asks all nodes to stop, and ends those that do not.
fn stop(system: &actix_rt::SystemRunner, processes: &mut [Process]) {
    for process in processes.iter_mut() {
        if let Ok(None) = process.child.try_wait() {
            signal_process(process.child.id(), libc::SIGTERM);
        }
    }
    let ended = async {
        for process in processes.iter_mut() {
            while let Ok(None) = process.child.try_wait() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let in_time =
        system.block_on(async { tokio::time::timeout(STOP_PATIENCE, ended).await.is_ok() });
    if !in_time {
        for process in processes.iter_mut() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}
