//! Before the measurements of a cluster: all keys are written that they use. After them: values are
//! read back, some of them; and the balances of all accounts.
use super::accounts::OPENING;
use super::books::Books;
use super::client::{Channels, Client, ClientError, Key};
use super::data::{Random, Values};
use super::load::{Aim, Data};
use super::options::Space;
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

/// Writes all keys of a space.
///
/// # Errors
/// A batch was refused again and again.
pub async fn preload(
    aim: &Aim,
    (data, space): (&Data, Space),
    books: &mut Books,
) -> Result<(), CliError> {
    let channels = Channels::open(aim.protocol, &aim.addresses, aim.addresses.len());
    let channels = channels.await.map_err(failed)?;
    let books = RefCell::new(books);
    let writers =
        (0..WRITERS).map(|writer| write_share(aim, (data, space), &books, (&channels, writer)));
    try_join_all(writers).await.map_err(failed).map(drop)
}

fn failed(error: ClientError) -> CliError {
    CliError::Failed(format!("the first values cannot be written: {error}"))
}

async fn write_share(
    aim: &Aim,
    (data, space): (&Data, Space),
    books: &RefCell<&mut Books>,
    (channels, writer): (&Channels, u32),
) -> Result<(), ClientError> {
    let mut client = channels.client(writer as usize, (&aim.addresses, &None)).await?;
    let mut random = Random::new(aim.seed ^ u64::from(writer));
    let count = data.keys.count();
    for start in (writer * BATCH..count).step_by((WRITERS * BATCH) as usize) {
        let keys = start..count.min(start + BATCH);
        match space {
            Space::Raw | Space::Kv => {
                write_values(&mut client, (data, space), books, (keys, &mut random)).await?;
            }
            Space::Accounts => {
                let opening = OPENING.to_string().into_bytes();
                let key = |number| data.accounts.keys().get(number).clone();
                let pairs: Vec<_> = keys.map(|number| (key(number), opening.clone())).collect();
                again_and_again(&mut client, space, &pairs).await?;
            }
        }
    }
    Ok(())
}

async fn write_values(
    client: &mut Client,
    (data, space): (&Data, Space),
    books: &RefCell<&mut Books>,
    (keys, random): (std::ops::Range<u32>, &mut Random),
) -> Result<(), ClientError> {
    let batch: Vec<(u32, u64)> = keys.map(|key| (key, data.write_number())).collect();
    let mut pairs: Vec<(Bytes, Vec<u8>)> = Vec::with_capacity(batch.len());
    for &(key, write) in &batch {
        let mut value = Vec::with_capacity(data.values.length());
        data.values.append(write, random, &mut value);
        pairs.push((data.keys.get(key).clone(), value));
        books.borrow_mut().values(space).begin(key, write, data.now());
    }
    again_and_again(client, space, &pairs).await?;
    for (key, write) in batch {
        books.borrow_mut().values(space).acknowledged(key, write, data.now());
    }
    Ok(())
}

async fn again_and_again(
    client: &mut Client,
    space: Space,
    pairs: &[(Bytes, Vec<u8>)],
) -> Result<(), ClientError> {
    for _ in 1..TRIES {
        if client.put_all(space, pairs).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    client.put_all(space, pairs).await
}

/// Reads keys of a space: of values `count` at random, of accounts all. Answers how many were read,
/// and how many of them are not what the last acknowledged writes or transfers left. Spread over all
/// servers.
///
/// # Errors
/// A read failed.
pub async fn verify(
    aim: &Aim,
    (data, space): (&Data, Space),
    (books, count): (&mut Books, u32),
) -> Result<(u32, u32), CliError> {
    let mut clients = clients(aim).await.map_err(unread)?;
    match space {
        Space::Raw | Space::Kv => {
            let mut wrong = 0;
            let (mut random, servers) = (Random::new(aim.seed), clients.len());
            for round in 0..count {
                let number = random.below(data.keys.count());
                let key = Key { space, number, bytes: data.keys.get(number) };
                let client = &mut clients[round as usize % servers];
                let value = client.get(key).await.map_err(unread)?;
                let stamp = value.as_deref().map(|v| Values::stamp(v).unwrap_or(u64::MAX));
                wrong += u32::from(!books.values(space).allows(number, stamp));
            }
            Ok((count, wrong))
        }
        Space::Accounts => {
            let balances = balances(&mut clients, data).await.map_err(unread)?;
            Ok((data.accounts.keys().count(), books.wrong_balances(&balances)))
        }
    }
}

fn unread(error: ClientError) -> CliError {
    CliError::Failed(format!("reading back: {error}"))
}

/// One for each server.
async fn clients(aim: &Aim) -> Result<Vec<Client>, ClientError> {
    let channels = Channels::open(aim.protocol, &aim.addresses, aim.addresses.len()).await?;
    let mut clients = Vec::new();
    for number in 0..aim.addresses.len() {
        clients.push(channels.client(number, (&aim.addresses, &None)).await?);
    }
    Ok(clients)
}

async fn balances(clients: &mut [Client], data: &Data) -> Result<Vec<Option<i64>>, ClientError> {
    let keys = data.accounts.keys();
    let mut balances = Vec::with_capacity(keys.count() as usize);
    for start in (0..keys.count()).step_by(BATCH as usize) {
        let part: Vec<Bytes> =
            (start..keys.count().min(start + BATCH)).map(|i| keys.get(i).clone()).collect();
        let client = (start / BATCH) as usize % clients.len();
        balances.extend(clients[client].balances(&part).await?);
    }
    Ok(balances)
}
