//! What one client does, again and again.
use super::{Arrivals, Data, Measured, Phase, Window};
use crate::bench::client::{Client, ClientError};
use crate::bench::data::Random;
use crate::bench::options::{CellPlan, Workload};
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
        let key = self.random.below(self.data.keys.count());
        let puts = match self.plan.workload {
            Workload::Put => true,
            Workload::Get => false,
            Workload::Mixed => self.random.next() & 1 == 0,
        };
        if puts { self.put(key).await } else { self.get(key).await }
    }

    async fn put(&mut self, key: u32) -> Result<(), ClientError> {
        let write = self.data.write_number();
        self.measured.borrow_mut().ledger.begin(key, write, self.data.now());
        let value = (&self.data.values, write, &mut self.random);
        self.client.put((key, self.data.keys.get(key)), value).await?;
        self.measured.borrow_mut().ledger.acknowledged(key, write, self.data.now());
        Ok(())
    }

    async fn get(&mut self, key: u32) -> Result<(), ClientError> {
        match self.client.get((key, self.data.keys.get(key))).await? {
            Some(value) if value.len() == self.data.values.length() => Ok(()),
            Some(_) | None => Err(ClientError::Status {
                status: 200,
                body: "the value is missing or has another length".to_owned(),
            }),
        }
    }
}
