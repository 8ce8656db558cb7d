//! Real nodes: one process each, killed, paused, ended and started again on the same data.
use super::disk::{self, FaultyDisk};
use super::links::{Links, source_address};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use troupe_config::{ByteSize, Config};

/// Time between two looks at what is waited for.
pub const POLL: Duration = Duration::from_millis(10);
/// Time for a cluster to be founded, and for nodes to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Program of a node.
    pub troupe: PathBuf,
    /// Where data, configuration and logs go.
    pub folder: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Into how many Regions the key space is cut.
    pub regions: u32,
}

/// The program `troupe` that cargo built beside this one.
///
/// # Panics
/// It is not built.
#[must_use]
pub fn built_troupe() -> PathBuf {
    let here = std::env::current_exe().expect("this program's own path");
    let built = here.ancestors().skip(1).take(2).map(|folder| folder.join("troupe"));
    let found = built.into_iter().find(|program| program.exists());
    found.unwrap_or_else(|| panic!("no troupe near {}: cargo build --workspace", here.display()))
}

/// One node and its data.
struct Node {
    config: PathBuf,
    log: PathBuf,
    data: PathBuf,
    http: SocketAddr,
    disk: FaultyDisk,
    life: Option<Child>,
}

/// A cluster of processes. Nodes are numbered from 0. Dropping it kills them.
pub struct Cluster {
    plan: Plan,
    library: PathBuf,
    nodes: Vec<Node>,
    /// The network between the nodes.
    pub links: Arc<Links>,
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

impl Cluster {
    /// Founds a cluster in an empty folder, and waits until every node is ready.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn found(plan: Plan) -> Self {
        std::fs::create_dir_all(&plan.folder).expect("a folder");
        let library = disk::build_library(&plan.folder);
        let links = Links::new(plan.nodes);
        let mut cluster = Self { library, nodes: Vec::new(), links, plan };
        for number in 0..cluster.plan.nodes {
            let node = cluster.prepare(number).await;
            cluster.nodes.push(node);
            cluster.start(number);
            // One after the other, so that ids follow the order of the nodes.
            cluster.until(number, "/livez").await;
        }
        for number in 0..cluster.plan.nodes {
            cluster.until(number, "/readyz").await;
        }
        cluster
    }

    async fn prepare(&self, number: usize) -> Node {
        let folder = self.plan.folder.join(format!("node-{}", number + 1));
        std::fs::create_dir_all(&folder).expect("a node's folder");
        let folder = std::fs::canonicalize(folder).expect("its full path");
        let (http, grpc) = (free_address(), free_address());
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut config = Config::default().fast_clock();
        config.node.http_address = http.to_string();
        config.node.grpc_address = grpc.to_string();
        config.node.advertise_grpc = Some(proxy.local_addr().expect("its address").to_string());
        config.node.data = vec![folder.join("data")];
        config.cluster.name = "nemesis".to_owned();
        config.cluster.join =
            self.nodes.first().map(|first| first.http.to_string()).into_iter().collect();
        config.cluster.bootstrap_stores = u32::try_from(self.plan.nodes).unwrap();
        config.cluster.bootstrap_regions = self.plan.regions;
        config.storage.block_cache = ByteSize::mib(32);
        config.http.workers = 1;
        let file = folder.join("troupe.toml");
        std::fs::write(&file, config.to_toml()).expect("its configuration");
        tokio::spawn(self.links.clone().serve(proxy, number, grpc));
        Node {
            config: file,
            log: folder.join("log.txt"),
            data: folder.join("data"),
            http,
            disk: FaultyDisk::new(folder.join("disk")),
            life: None,
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Its HTTP address.
    #[must_use]
    pub fn url(&self, node: usize) -> String {
        format!("http://{}", self.nodes[node].http)
    }

    /// HTTP addresses of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        (0..self.size()).map(|node| self.url(node)).collect()
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self, node: usize) -> &FaultyDisk {
        &self.nodes[node].disk
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self, node: usize) -> &Path {
        &self.nodes[node].data
    }

    /// Starts a node that does not run, on the data that its last life left.
    pub fn start(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        assert!(node.life.is_none(), "node {} runs already", number + 1);
        let log = File::options().create(true).append(true).open(&node.log).expect("a log file");
        let mut command = Command::new(&self.plan.troupe);
        command
            .arg("start")
            .arg("--config")
            .arg(&node.config)
            .env_remove("TROUPE_CONFIG")
            .env("NEMESIS_SOURCE", source_address(number).to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        node.disk.attach(&mut command, &self.library, &node.data);
        node.life = Some(command.spawn().expect("the node starts"));
    }

    fn signal(&self, number: usize, signal: Signal) {
        let life = self.nodes[number].life.as_ref().expect("the node runs");
        kill_process(Pid::from_child(life), signal).expect("the node is a child of this process");
    }

    /// Kills a node, by `SIGKILL`.
    pub fn kill(&mut self, number: usize) {
        let mut life = self.nodes[number].life.take().expect("the node runs");
        life.kill().expect("the node is a child of this process");
        life.wait().expect("a child that was killed ends");
    }

    /// Stops a node where it stands, by `SIGSTOP`.
    pub fn pause(&self, number: usize) {
        self.signal(number, Signal::STOP);
    }

    /// Lets a paused node go on.
    pub fn resume(&self, number: usize) {
        self.signal(number, Signal::CONT);
    }

    /// How a node ended by itself, if it did since it was started. It does not run then.
    pub fn take_end(&mut self, number: usize) -> Option<ExitStatus> {
        let life = self.nodes[number].life.as_mut()?;
        let status = life.try_wait().expect("the node is a child of this process")?;
        self.nodes[number].life = None;
        Some(status)
    }

    /// Does it run, as far as anybody looked?
    #[must_use]
    pub fn runs(&self, number: usize) -> bool {
        self.nodes[number].life.is_some()
    }

    /// Waits until a node ends by itself; `None` = it does not, for that long.
    pub async fn until_ended(&mut self, number: usize, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            let ended = self.take_end(number);
            if ended.is_some() || Instant::now() >= deadline {
                return ended;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks all nodes to stop, and waits for it. Answers those that did not end well.
    pub async fn stop(&mut self) -> Vec<String> {
        for number in 0..self.size() {
            self.signal(number, Signal::TERM);
        }
        let mut wrong = Vec::new();
        for number in 0..self.size() {
            match self.until_ended(number, PATIENCE).await {
                Some(status) if status.success() => {}
                Some(status) => wrong.push(format!("node {} stopped with {status}", number + 1)),
                None => wrong.push(format!("node {} does not stop", number + 1)),
            }
        }
        wrong
    }

    /// Forgets why a node ended, as the person does who has looked at it.
    pub fn clear_mark(&self, number: usize) {
        let data = &self.nodes[number].data;
        troupe_storage::failure::clear_marks(data).expect("the mark is removed");
    }

    async fn until(&mut self, number: usize, path: &str) {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        let url = format!("{}{path}", self.url(number));
        let deadline = Instant::now() + PATIENCE;
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            let log = self.nodes[number].log.clone();
            let log = log.display();
            assert!(Instant::now() < deadline, "{url} does not answer: see {log}");
            let status = self.nodes[number].life.as_mut().and_then(|l| l.try_wait().ok().flatten());
            assert!(status.is_none(), "the node ended with {status:?}: see {log}");
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for life in self.nodes.iter_mut().filter_map(|node| node.life.as_mut()) {
            // It may have ended by itself.
            let _ = life.kill();
            let _ = life.wait();
        }
    }
}
