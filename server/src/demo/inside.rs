//! Nodes as threads of this process: one arbiter a node, real sockets between them.
use super::plan::NodePlan;
use super::{DemoError, banner};
use crate::boot::{self, Listeners, Node, STOP_PATIENCE, until_told_to_stop};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{oneshot, watch};
use troupe_storage::failure;

struct Running {
    number: u32,
    started: oneshot::Receiver<Result<(), String>>,
    thread: JoinHandle<()>,
}

/// Runs all nodes until the process is told to stop.
pub(super) fn run(plans: Vec<NodePlan>) -> Result<(), DemoError> {
    failure::install_panic_hook(|_| {});
    let urls: Vec<String> = plans.iter().map(NodePlan::url).collect();
    let (stop, stopped) = watch::channel(false);
    let system = actix_rt::System::new();
    let mut threads = Vec::new();
    let outcome = system.block_on(async {
        // One after the other, so that ids follow the order of the nodes.
        for plan in plans {
            let node = start(plan, stopped.clone())?;
            threads.push(node.thread);
            match node.started.await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Err(DemoError::Node { node: node.number, why }),
                Err(_) => {
                    let why = "its thread ended".to_owned();
                    return Err(DemoError::Node { node: node.number, why });
                }
            }
        }
        banner::until_ready(&urls).await?;
        banner::print(&urls, None);
        until_told_to_stop().await;
        eprintln!("stopping (once more to force)");
        Ok(())
    });
    let _ = stop.send(true);
    if outcome.is_ok() {
        system.block_on(async {
            let ended = tokio::task::spawn_blocking(move || {
                threads.into_iter().for_each(|thread| {
                    let _ = thread.join();
                });
            });
            tokio::select! {
                _ = ended => {}
                () = until_told_to_stop() => std::process::exit(130),
            }
        });
    }
    outcome
}

fn start(plan: NodePlan, mut stopped: watch::Receiver<bool>) -> Result<Running, DemoError> {
    let number = plan.number;
    let (tell, started) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("node-{number}")).spawn(move || {
        actix_rt::System::new().block_on(async move {
            let env = boot::environment(&plan.config);
            let listeners = Listeners { http: plan.http, grpc: plan.grpc };
            let node = match Node::start(env, Arc::new(plan.config), listeners).await {
                Ok(node) => node,
                Err(error) => {
                    let _ = tell.send(Err(error.to_string()));
                    return;
                }
            };
            let _ = tell.send(Ok(()));
            let _ = stopped.wait_for(|stop| *stop).await;
            node.stop(STOP_PATIENCE / 5).await;
        });
    });
    let thread =
        thread.map_err(|source| DemoError::Node { node: number, why: source.to_string() })?;
    Ok(Running { number, started, thread })
}
