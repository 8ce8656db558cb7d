//! A whole run: for each length of values and each repetition, each target in turn on a fresh
//! cluster, all measurements one after the other.
use super::accounts::{Accounts, Pairing};
use super::books::Books;
use super::data::{Keys, Values};
use super::fill;
use super::load::{Aim, Data};
use super::machine::{self, Machine};
use super::measure::measure;
use super::options::{CellPlan, Options, Route, Space, TargetName, Workload};
use super::progress::Steps;
use super::result::{Repetition, RunResult, SCHEMA};
use super::routes::{self, Regions, Routes};
use super::target::{Servers, Start};
use crate::cli::BenchRunArgs;
use crate::clock::{now, unix_seconds};
use crate::error::CliError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What keys begin with in a cluster that is not ours.
const PREFIX: &str = "bench-";
/// Clients of the measurement of the load generator itself.
const CEILING_CLIENTS: usize = 256;

/// A run under way.
pub struct Run<'a> {
    /// The command line.
    pub args: &'a BenchRunArgs,
    /// Address of a cluster that runs already.
    pub url: &'a str,
    /// What to do.
    pub options: Options,
}

impl Run<'_> {
    /// Measures everything.
    ///
    /// # Errors
    /// Servers do not start or end early.
    pub async fn all(&self) -> Result<RunResult, CliError> {
        let mut result = self.empty();
        let mut steps = Steps::new(self.count());
        for &target in self.ceilings() {
            let first = self.options.value_bytes.first().copied().unwrap_or(256);
            let cells = ceiling_cells();
            let measured = self.repetition((target, 1, first), &cells, &mut steps).await?;
            result.ceilings.push(measured.0);
        }
        for &value_bytes in &self.options.value_bytes {
            for number in 1..=self.options.repetitions {
                for &target in &self.options.targets {
                    let which = (target, number, value_bytes);
                    let cells = self.cells(target);
                    let (measured, version) = self.repetition(which, &cells, &mut steps).await?;
                    result.versions.insert(target.as_str().to_owned(), version);
                    result.repetitions.push(measured);
                    result.write(&self.args.out)?;
                }
            }
        }
        steps.finish();
        Ok(result)
    }

    fn ceilings(&self) -> &'static [TargetName] {
        match (self.args.no_ceiling, self.options.targets.contains(&TargetName::Etcd)) {
            (true, _) => &[],
            (false, true) => &[TargetName::EchoHttp, TargetName::EchoGrpc],
            (false, false) => &[TargetName::EchoHttp],
        }
    }

    fn count(&self) -> usize {
        let Options { value_bytes, targets, repetitions, .. } = &self.options;
        let cells: usize = targets.iter().map(|&target| self.cells(target).len()).sum();
        let measured = value_bytes.len() * cells * *repetitions as usize;
        measured + self.ceilings().len() * ceiling_cells().len()
    }

    /// Those that `target` can do.
    fn cells(&self, target: TargetName) -> Vec<CellPlan> {
        let cells = self.options.cells.iter();
        cells.filter(|plan| plan.workload.is_for(target)).copied().collect()
    }

    fn empty(&self) -> RunResult {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "after 1970")]
        let started = unix_seconds() as u64;
        RunResult {
            schema: SCHEMA.to_owned(),
            started,
            command: command_line(),
            machine: Machine::this(&self.parent()),
            versions: BTreeMap::new(),
            keys: self.options.keys,
            regions: self.args.regions,
            route: self.args.route,
            warm_up_seconds: self.options.warm_up.as_secs_f64(),
            ceilings: Vec::new(),
            repetitions: Vec::new(),
        }
    }

    fn parent(&self) -> PathBuf {
        self.args.dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// One fresh cluster; answers also its version.
    async fn repetition(
        &self,
        (target, number, value_bytes): (TargetName, u32, usize),
        cells: &[CellPlan],
        steps: &mut Steps,
    ) -> Result<(Repetition, String), CliError> {
        let folder = folder(&self.parent())?;
        let disk_sync_us = machine::probe_sync_us(folder.path())
            .map_err(|source| CliError::io("cannot write the folder for data", source))?;
        let load_average = machine::load_average();
        steps.say(&format!("{} {number}, {value_bytes} B: starting", target.as_str()));
        let start = Start { args: self.args, url: self.url, folder: folder.path(), value_bytes };
        let servers = Servers::start(target, &start).await?;
        let mut done = Repetition {
            target,
            protocol: servers.protocol,
            number,
            value_bytes,
            void: None,
            disk_sync_us,
            load_average,
            verified: 0,
            wrong: 0,
            cells: Vec::new(),
        };
        let measured = self.measure_all(&servers, &mut done, (cells, steps)).await;
        let version = servers.version.clone();
        servers.stop().await;
        measured?;
        done.judge();
        Ok((done, version))
    }

    async fn measure_all(
        &self,
        servers: &Servers,
        done: &mut Repetition,
        (cells, steps): (&[CellPlan], &mut Steps),
    ) -> Result<(), CliError> {
        let regions = self.regions(servers, cells).await?;
        let data = self.data(servers.name, (done.value_bytes, regions.as_ref()));
        lie_as_wanted(&data.accounts, cells)?;
        let aim = self.aim(servers, (&data, regions.as_ref())).await?;
        let mut books = Books::new(data.keys.count());
        let echo = matches!(servers.name, TargetName::EchoHttp | TargetName::EchoGrpc);
        let name = format!("{} {}, {} B", servers.name.as_str(), done.number, done.value_bytes);
        let spaces: BTreeSet<Space> = cells.iter().map(|plan| plan.workload.space()).collect();
        for &space in spaces.iter().filter(|_| !echo) {
            steps.say(&format!("{name}: writing {} keys", data.keys.count()));
            fill::preload(&aim, (&data, space), &mut books).await?;
        }
        for &plan in cells {
            steps.say(&format!("{name}: {}", describe(plan)));
            let plans = (&self.options, plan);
            let cell = measure(servers, &aim, plans, (&data, &mut books)).await?;
            steps.done(&format!("{name}: {}: {:.0}/s", describe(plan), cell.ops_per_second));
            done.cells.push(cell);
        }
        for &space in spaces.iter().filter(|_| !echo && self.args.verify > 0) {
            steps.say(&format!("{name}: reading back"));
            let count = self.args.verify.min(data.keys.count());
            let books = (&mut books, count);
            let (verified, wrong) = fill::verify(&aim, (&data, space), books).await?;
            (done.verified, done.wrong) = (done.verified + verified, done.wrong + wrong);
        }
        Ok(())
    }

    /// Asked only if somebody wants to know.
    async fn regions(
        &self,
        servers: &Servers,
        cells: &[CellPlan],
    ) -> Result<Option<Regions>, CliError> {
        let tells_apart = |plan: &CellPlan| {
            plan.workload.transfers().is_some_and(|kind| kind.pairing != Pairing::Any)
        };
        let wanted = self.args.route == Route::Leader || cells.iter().any(tells_apart);
        match servers.name {
            TargetName::Troupe | TargetName::Running if wanted => {
                routes::of_troupe(servers).await.map(Some)
            }
            TargetName::Troupe
            | TargetName::Running
            | TargetName::Etcd
            | TargetName::EchoHttp
            | TargetName::EchoGrpc => Ok(None),
        }
    }

    async fn aim(
        &self,
        servers: &Servers,
        (data, regions): (&Data, Option<&Regions>),
    ) -> Result<Aim, CliError> {
        let (mut addresses, mut routes) = (servers.addresses.clone(), None);
        match (self.args.route, servers.name) {
            (Route::Any, _) | (_, TargetName::EchoHttp | TargetName::EchoGrpc) => {}
            (Route::Leader, TargetName::Etcd) => addresses = vec![routes::of_etcd(servers).await?],
            (Route::Leader, TargetName::Troupe | TargetName::Running) => {
                let of = |regions| Routes::new(regions, &data.keys, data.accounts.keys());
                routes = regions.map(|regions| Arc::new(of(regions)));
            }
        }
        Ok(Aim {
            protocol: servers.protocol,
            addresses,
            routes,
            threads: self.args.threads as usize,
            grpc_connections: self.args.grpc_connections as usize,
            seed: self.args.seed,
        })
    }

    fn data(
        &self,
        target: TargetName,
        (value_bytes, regions): (usize, Option<&Regions>),
    ) -> Arc<Data> {
        let prefix = if target == TargetName::Running { PREFIX } else { "" };
        let accounts = Keys::others(prefix, self.options.keys);
        let regions = regions.map(|regions| regions.of(Space::Accounts, &accounts));
        Arc::new(Data {
            keys: Keys::new(prefix, self.options.keys),
            accounts: Accounts::new(accounts, regions.unwrap_or_default()),
            values: Values::new(self.args.seed, value_bytes),
            next_write: AtomicU64::new(1),
            origin: now(),
        })
    }
}

/// Transfers need accounts that lie so.
fn lie_as_wanted(accounts: &Accounts, cells: &[CellPlan]) -> Result<(), CliError> {
    for plan in cells {
        if plan.workload.transfers().is_some_and(|kind| !accounts.have(kind.pairing)) {
            let workload = plan.workload.as_str();
            let advice = "choose more --keys or --regions";
            return Err(CliError::Usage(format!(
                "no two accounts lie as `{workload}` wants: {advice}"
            )));
        }
    }
    Ok(())
}

fn ceiling_cells() -> [CellPlan; 2] {
    [Workload::Put, Workload::Get].map(|workload| CellPlan {
        workload,
        clients: CEILING_CLIENTS,
        rate: None,
    })
}

fn describe(plan: CellPlan) -> String {
    let (workload, clients) = (plan.workload.as_str(), plan.clients);
    match plan.rate {
        None => format!("{workload} with {clients} client(s)"),
        Some(rate) => format!("{workload} at {rate}/s"),
    }
}

fn folder(parent: &Path) -> Result<tempfile::TempDir, CliError> {
    let made = std::fs::create_dir_all(parent)
        .and_then(|()| tempfile::Builder::new().prefix("troupe-bench-").tempdir_in(parent));
    made.map_err(|source| CliError::io(format!("cannot write to {}", parent.display()), source))
}

/// What was typed, with the program's bare name and `~` for the home directory: folders of one
/// machine tell nobody anything.
fn command_line() -> String {
    let rest: Vec<String> = std::env::args().skip(1).collect();
    let home = std::env::var("HOME").unwrap_or_default();
    anonymous(&format!("troupe {}", rest.join(" ")), &home)
}

fn anonymous(command: &str, home: &str) -> String {
    if home.len() < 2 { command.to_owned() } else { command.replace(home, "~") }
}

#[cfg(test)]
mod tests;
