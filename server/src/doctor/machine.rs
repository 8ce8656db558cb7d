//! Ports, limits, memory and clock of this machine.
use super::Check;
use crate::clock::{now, unix_seconds};
use std::fs;
use std::net::{TcpListener, ToSocketAddrs};
use std::time::Duration;
use troupe_config::Config;

/// Files that a node with many Regions may have open at once.
const FILES_WANTED: u64 = 65_536;
/// With less, a node of a few Regions fails.
const FILES_NEEDED: u64 = 1024;
/// No machine that runs this was made before (2024-01-01).
const EARLIEST: f64 = 1_704_067_200.0;
/// How long the two clocks are compared.
const COMPARED: Duration = Duration::from_millis(300);
/// How far they may be apart: leases are good for clocks whose rates differ by less.
const DRIFT: f64 = 0.10;

pub(super) fn port(name: &str, address: &str, flag: &str) -> Check {
    let name = format!("{name} {address}");
    let mut addresses = match address.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            let advice = format!("write host:port, for example {flag} 127.0.0.1:20180");
            return Check::fail(name, format!("is no address: {error}"), advice);
        }
    };
    match addresses.try_for_each(|address| TcpListener::bind(address).map(drop)) {
        Ok(()) => Check::ok(name, "free"),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let advice = format!(
                "is a node running already? Stop it, or choose another port with {flag}; \
                 `ss -ltnp` shows who has it"
            );
            Check::fail(name, "in use", advice)
        }
        Err(error) => {
            let advice = format!("choose an address of this machine with {flag}");
            Check::fail(name, format!("cannot be used: {error}"), advice)
        }
    }
}

pub(super) fn open_files() -> Check {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(limit) = soft_limit(&limits) else {
        return Check::warn("open files", "the limit cannot be told", "look with `ulimit -n`");
    };
    let found = format!("at most {limit}");
    let advice = format!("`ulimit -n {FILES_WANTED}`, or LimitNOFILE={FILES_WANTED} in systemd");
    match limit {
        0..FILES_NEEDED => Check::fail("open files", found, advice),
        FILES_NEEDED..FILES_WANTED => Check::warn("open files", found, advice),
        FILES_WANTED.. => Check::ok("open files", found),
    }
}

/// The soft limit of open files in the text of `/proc/self/limits`.
pub(super) fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

pub(super) fn memory(config: &Config) -> Check {
    let stores = config.node.data.len() as u64;
    let engine = config.storage.block_cache.bytes() + 4 * config.storage.write_buffer.bytes();
    let needed = (engine * stores + config.limits.in_flight_bytes.bytes()) >> 20;
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(free) = available_mib(&info) else {
        return Check::warn("memory", "cannot be told", "look with `free -m`");
    };
    let found = format!("{free} MiB available, {needed} MiB wanted by {stores} Store(s)");
    if free < needed {
        let advice = "lower storage.block-cache and limits.in-flight-bytes, or stop something else";
        return Check::warn("memory", found, advice);
    }
    Check::ok("memory", found)
}

/// MiB that a new program can have, by the text of `/proc/meminfo`.
pub(super) fn available_mib(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
}

pub(super) fn clock() -> Check {
    let (wall, steady) = (unix_seconds(), now());
    std::thread::sleep(COMPARED);
    let (by_wall, by_steady) = (unix_seconds() - wall, steady.elapsed().as_secs_f64());
    judge_clock(wall, by_wall, by_steady)
}

/// Judges a clock that stood at `wall` seconds since 1970 and went on by `by_wall` seconds while a
/// steady one went on by `by_steady`.
pub(super) fn judge_clock(wall: f64, by_wall: f64, by_steady: f64) -> Check {
    if wall < EARLIEST {
        let found = format!("{wall:.0} seconds after 1970");
        return Check::fail("clock", found, "set it, and keep it right with chrony or ntpd");
    }
    let apart = (by_wall - by_steady).abs() / by_steady;
    let found = format!("{:.2} % off a steady clock", apart * 100.0);
    if apart > DRIFT {
        let advice = "something sets or bends the clock: look at chrony or ntpd, and at the \
                      clock source of the virtual machine; until then use consistency=linearizable";
        return Check::fail("clock", found, advice);
    }
    Check::ok("clock", found)
}
