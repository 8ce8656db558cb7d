//! A sync that fails ends the process, and nothing is acknowledged after it (B14: raft-engine panics
//! in the leader of a write group, while the other writers of the group are told `Ok`). The failure
//! is real: a preloaded library makes `fdatasync` of a running node answer EIO.
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use troupe_actors::env::Clock;
use troupe_actors::real_env::SystemClock;
use troupe_tests::nemesis::cluster::built_troupe;
use troupe_tests::nemesis::disk::{FaultyDisk, build_library};

/// Time for anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(10);
const WRITERS: usize = 8;

/// A node of its own cluster; ended when dropped.
struct Node {
    child: Child,
    url: String,
    folder: PathBuf,
}

impl Node {
    fn start(folder: &Path, disk: Option<&FaultyDisk>) -> Self {
        let ports: Vec<u16> = (0..2)
            .map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .map(|listener| listener.local_addr().expect("its address").port())
            .collect();
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log.txt"));
        let mut command = Command::new(built_troupe());
        command
            .args(["start", "--fast-clock", "--set", "cluster.replicas=1"])
            .args(["--set", "cluster.pd-replicas=1", "--set", "cluster.bootstrap-regions=4"])
            .args(["--http", &format!("127.0.0.1:{}", ports[0])])
            .args(["--grpc", &format!("127.0.0.1:{}", ports[1])])
            .arg("--data")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"));
        if let Some(disk) = disk {
            disk.attach(&mut command, &build_library(folder), &folder.join("data/raft"));
        }
        let child = command.spawn().expect("the node starts");
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let node = Self { child, url, folder: folder.to_owned() };
        node.wait_until_ready();
        node
    }

    fn wait_until_ready(&self) {
        let client = client();
        let clock = SystemClock::new();
        let deadline = clock.now().after(PATIENCE);
        loop {
            let answer = client.get(format!("{}/readyz", self.url)).send();
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(clock.now() < deadline, "not ready; see {}", self.folder.display());
            thread::sleep(POLL);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client() -> reqwest::blocking::Client {
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(5)).build();
    client.expect("a client")
}

/// Nanoseconds of the clock that the library uses too.
fn monotonic_ns() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// A write that was answered: its key, and when it was sent.
type Acknowledged = (String, i64);

/// Writes until the node is gone.
fn write(url: &str, writer: usize, stop: &AtomicBool) -> Vec<Acknowledged> {
    let client = client();
    let mut acknowledged = Vec::new();
    for i in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("w{writer}-{i}");
        let sent = monotonic_ns();
        let answer = client.put(format!("{url}/v1/raw/keys/{key}")).body(key.clone()).send();
        match answer {
            Ok(answer) if answer.status().is_success() => acknowledged.push((key, sent)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn a_failed_sync_ends_the_process_before_anything_is_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let disk = FaultyDisk::new(folder.join("disk"));
    let mut node = Node::start(folder, Some(&disk));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (url, stop) = (node.url.clone(), stop.clone());
            thread::spawn(move || write(&url, writer, &stop))
        })
        .collect();
    let reader = client();
    let clock = SystemClock::new();
    let deadline = clock.now().after(PATIENCE);
    let last = format!("{}/v1/raw/keys/w0-50", node.url);
    while !reader.get(&last).send().is_ok_and(|answer| answer.status().is_success()) {
        assert!(clock.now() < deadline, "the writers do not get on");
    }
    disk.fail_syncs();

    let status = loop {
        if let Some(status) = node.child.try_wait().expect("a child") {
            break status;
        }
        assert!(clock.now() < deadline, "the node outlives a failed sync");
        thread::sleep(POLL);
    };
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<Acknowledged> =
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect();
    assert_eq!(status.signal(), Some(6), "it aborts: {status}");
    let failed = disk.first_failed_sync_ns().expect("a sync failed");
    let late: Vec<_> = acknowledged.iter().filter(|(_, sent)| *sent > failed).collect();
    assert!(late.is_empty(), "acknowledged after the failed sync: {late:?}");
    assert!(acknowledged.len() > 50, "too few writes to mean anything");
    let mark = std::fs::read_to_string(folder.join("data/PANIC_MARK")).expect("a mark");
    assert!(mark.contains("sync"), "the mark says why: {mark}");

    drop(node);
    let again = Node::start(folder, None);
    for (key, _) in &acknowledged {
        let answer = reader.get(format!("{}/v1/raw/keys/{key}?raw", again.url)).send();
        let value = answer.expect("an answer").text().expect("a body");
        assert_eq!(&value, key, "an acknowledged write is lost");
    }
}
