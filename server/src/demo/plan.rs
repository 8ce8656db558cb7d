//! Ports, folders and configuration of each node of the demo.
use super::{DemoError, DemoOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use troupe_config::Config;

/// One node to start. Its ports are held until then.
pub(super) struct NodePlan {
    pub number: u32,
    pub folder: PathBuf,
    pub config: Config,
    pub http: TcpListener,
    pub grpc: TcpListener,
}

impl NodePlan {
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.config.node.http_address)
    }
}

/// Plans all nodes. A node that has a configuration in `folder` from an earlier run keeps its ports.
pub(super) fn make(options: &DemoOptions, folder: &Path) -> Result<Vec<NodePlan>, DemoError> {
    let mut plans: Vec<NodePlan> = Vec::new();
    let (mut http_port, mut grpc_port) = (options.http_port, options.grpc_port);
    for number in 1..=options.nodes {
        let http = bind_from(http_port)?;
        let grpc = bind_from(grpc_port)?;
        http_port = port(&http).saturating_add(1);
        grpc_port = port(&grpc).saturating_add(1);
        let first = plans.first().map(|plan| plan.config.node.http_address.clone());
        let home = folder.join(format!("node-{number}"));
        std::fs::create_dir_all(&home)
            .map_err(|source| DemoError::Files { path: home.clone(), source })?;
        let config = configure(options, (&http, &grpc), &home, first);
        plans.push(NodePlan { number, folder: home, config, http, grpc });
    }
    Ok(plans)
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().map_or(0, |address| address.port())
}

/// The first free port from `from` on.
fn bind_from(from: u16) -> Result<TcpListener, DemoError> {
    let tries = (from..=u16::MAX).take(1000);
    tries
        .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .next()
        .ok_or(DemoError::NoPort { from })
}

fn configure(
    options: &DemoOptions,
    (http, grpc): (&TcpListener, &TcpListener),
    home: &Path,
    first: Option<String>,
) -> Config {
    let mut config = Config::default().fast_clock();
    config.node.http_address = format!("127.0.0.1:{}", port(http));
    config.node.grpc_address = format!("127.0.0.1:{}", port(grpc));
    config.node.data = vec![home.join("data")];
    config.cluster.name = "demo".to_owned();
    config.cluster.join = first.into_iter().collect();
    config.cluster.bootstrap_stores = options.nodes;
    config.cluster.bootstrap_regions = options.regions;
    config.cluster.replicas = options.nodes.min(3);
    config.cluster.pd_replicas = options.nodes.min(3);
    config.storage.block_cache = troupe_config::ByteSize::mib(64);
    config.http.workers = 1;
    config.actors.network_threads = 0;
    config.log.level.clone_from(&options.log_level);
    config
}
