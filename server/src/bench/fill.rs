//! Before the measurements of a cluster: all keys are written. After them: some are read back.
use super::client::{Channels, ClientError};
use super::data::{Random, Values};
use super::ledger::Ledger;
use super::load::{Aim, Data};
use crate::error::CliError;
use bytes::Bytes;
use futures::future::try_join_all;
use std::cell::RefCell;
use std::time::Duration;

/// Pairs of a request.
const BATCH: u32 = 64;
/// Requests at the same time.
const WRITERS: u32 = 16;
/// How often a batch is tried: a cluster that just started may still elect leaders.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// Writes all keys.
///
/// # Errors
/// A batch was refused again and again.
pub async fn preload(aim: &Aim, data: &Data, ledger: &mut Ledger) -> Result<(), CliError> {
    let channels = Channels::open(aim.protocol, &aim.addresses, aim.addresses.len());
    let channels = channels.await.map_err(failed)?;
    let ledger = RefCell::new(ledger);
    let writers = (0..WRITERS).map(|writer| write_share(aim, data, &ledger, (&channels, writer)));
    try_join_all(writers).await.map_err(failed).map(drop)
}

fn failed(error: ClientError) -> CliError {
    CliError::Failed(format!("the first values cannot be written: {error}"))
}

async fn write_share(
    aim: &Aim,
    data: &Data,
    ledger: &RefCell<&mut Ledger>,
    (channels, writer): (&Channels, u32),
) -> Result<(), ClientError> {
    let mut client = channels.client(writer as usize, (&aim.addresses, &None)).await?;
    let mut random = Random::new(aim.seed ^ u64::from(writer));
    let count = data.keys.count();
    for start in (writer * BATCH..count).step_by((WRITERS * BATCH) as usize) {
        let keys = start..count.min(start + BATCH);
        let batch: Vec<(u32, u64)> = keys.map(|key| (key, data.write_number())).collect();
        let mut pairs: Vec<(Bytes, Vec<u8>)> = Vec::with_capacity(batch.len());
        for &(key, write) in &batch {
            let mut value = Vec::with_capacity(data.values.length());
            data.values.append(write, &mut random, &mut value);
            pairs.push((data.keys.get(key).clone(), value));
            ledger.borrow_mut().begin(key, write, data.now());
        }
        for tried in 1.. {
            match client.put_all(&pairs).await {
                Ok(()) => break,
                Err(error) if tried == TRIES => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        for (key, write) in batch {
            ledger.borrow_mut().acknowledged(key, write, data.now());
        }
    }
    Ok(())
}

/// Reads `count` keys at random, spread over all servers, and answers how many were read and how
/// many of them had a value that is none of the last acknowledged ones.
///
/// # Errors
/// A read failed.
pub async fn verify(
    aim: &Aim,
    data: &Data,
    (ledger, count): (&Ledger, u32),
) -> Result<(u32, u32), CliError> {
    let failed = |error: ClientError| CliError::Failed(format!("reading back: {error}"));
    let channels = Channels::open(aim.protocol, &aim.addresses, aim.addresses.len());
    let channels = channels.await.map_err(failed)?;
    let mut clients = Vec::new();
    for number in 0..aim.addresses.len() {
        clients.push(channels.client(number, (&aim.addresses, &None)).await.map_err(failed)?);
    }
    let (mut random, servers) = (Random::new(aim.seed), clients.len());
    let mut wrong = 0;
    for round in 0..count {
        let key = random.below(data.keys.count());
        let client = &mut clients[round as usize % servers];
        let value = client.get((key, data.keys.get(key))).await.map_err(failed)?;
        let stamp = value.as_deref().map(|value| Values::stamp(value).unwrap_or(u64::MAX));
        wrong += u32::from(!ledger.allows(key, stamp));
    }
    Ok((count, wrong))
}
