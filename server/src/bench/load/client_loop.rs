//! What one client does, again and again.
use super::{Arrivals, Data, Measured, Phase, Window};
use crate::bench::client::{Client, ClientError, Key};
use crate::bench::data::Random;
use crate::bench::options::{CellPlan, TransferKind, Workload};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// After an error, so that a server that refuses everything is not flooded.
const PAUSE: Duration = Duration::from_millis(5);

/// A client and what it needs.
pub(super) struct ClientLoop {
    pub client: Client,
    pub plan: CellPlan,
    pub data: Arc<Data>,
    pub window: Arc<Window>,
    pub measured: Rc<RefCell<Measured>>,
    pub random: Random,
}

impl ClientLoop {
    /// Sends a request when the one before it is answered.
    pub async fn closed(mut self) {
        while self.window.phase() < Phase::Draining {
            let started = self.data.now();
            let outcome = self.operate().await;
            let took = self.data.now() - started;
            let counts = self.window.phase() == Phase::Measuring;
            self.record(&outcome, counts.then_some(took));
            if outcome.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Sends each request when it is due; if that is not possible, its latency says so.
    pub async fn open(mut self, arrivals: Arc<Arrivals>) {
        while let Some(due) = arrivals.next().await {
            let outcome = self.operate().await;
            let took = self.data.now().saturating_sub(due);
            self.record(&outcome, self.window.contains(due).then_some(took));
            arrivals.answered();
        }
    }

    fn record(&self, outcome: &Result<(), ClientError>, took: Option<u64>) {
        let recorder = &mut self.measured.borrow_mut().recorder;
        let answered_in_window = self.window.phase() == Phase::Measuring;
        recorder.operations += u64::from(answered_in_window);
        match (outcome, took) {
            (Ok(()), Some(took)) => recorder.took(took),
            (Err(error), _) if answered_in_window => recorder.failed(|| error.to_string()),
            (Ok(()), None) | (Err(_), _) => {}
        }
    }

    async fn operate(&mut self) -> Result<(), ClientError> {
        match self.plan.workload {
            Workload::Put | Workload::KvPut => self.put().await,
            Workload::Get | Workload::KvGet => self.get().await,
            Workload::Mixed if self.random.next() & 1 == 0 => self.put().await,
            Workload::Mixed => self.get().await,
            Workload::Transfer
            | Workload::TransferIf
            | Workload::OnePhase
            | Workload::NearTwoPhase
            | Workload::Async
            | Workload::TwoPhase => {
                let kind = self.plan.workload.transfers();
                self.transfer(kind.expect("invariant: a workload of transfers")).await
            }
        }
    }

    fn key<'a>(&mut self, data: &'a Data) -> Key<'a> {
        let number = self.random.below(data.keys.count());
        Key { space: self.plan.workload.space(), number, bytes: data.keys.get(number) }
    }

    async fn put(&mut self) -> Result<(), ClientError> {
        let (data, write) = (Arc::clone(&self.data), self.data.write_number());
        let key = self.key(&data);
        let Key { space, number, .. } = key;
        self.measured.borrow_mut().books.values(space).begin(number, write, data.now());
        self.client.put(key, (&data.values, write, &mut self.random)).await?;
        self.measured.borrow_mut().books.values(space).acknowledged(number, write, data.now());
        Ok(())
    }

    async fn transfer(&mut self, kind: TransferKind) -> Result<(), ClientError> {
        let accounts = &self.data.accounts;
        let transfer = accounts.transfer(kind.pairing, &mut self.random);
        self.measured.borrow_mut().books.begin(transfer);
        self.client.transfer(accounts, (transfer, kind)).await?;
        self.measured.borrow_mut().books.acknowledged(transfer);
        Ok(())
    }

    async fn get(&mut self) -> Result<(), ClientError> {
        let data = Arc::clone(&self.data);
        let key = self.key(&data);
        match self.client.get(key).await? {
            Some(value) if value.len() == self.data.values.length() => Ok(()),
            Some(_) | None => Err(ClientError::Status {
                status: 200,
                body: "the value is missing or has another length".to_owned(),
            }),
        }
    }
}
