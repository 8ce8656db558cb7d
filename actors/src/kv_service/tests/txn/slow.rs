//! A coordinator that sleeps at one of its commands for so long that others take it for dead, and then
//! goes on: what it tells its client agrees with what the others saw.
use super::world::{all_settings, begin, everything_runs, values};
use super::*;
use troupe_types::txn::session::TxnSettings;

/// Longer than any lock lives without its coordinator.
const LONG_MS: u64 = 120_000;

fn add_to_both(keys: [&str; 2], settings: TxnSettings) -> OneShot {
    let then = keys.map(|key| TxnOp::Add { key: k(key), by: 1 }).into();
    OneShot { then, settings, ..OneShot::default() }
}

/// What the others do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Read,
    Write,
}

/// `false`: the transaction ended before it came to that command.
async fn sleeps(
    commands: usize,
    others: Others,
    (keys, settings): ([&str; 2], TxnSettings),
) -> bool {
    let world = World::new();
    let other = world.service();
    let o = options(&other, 20_000);
    other.txn_once(add_to_both(keys, TxnSettings::default()), &o).await.unwrap();
    everything_runs().await;
    let slow = world.of_node(1);
    let gate = slow.hold_behind(commands);
    let mut running = begin(&slow.service(), add_to_both(keys, settings), 20_000);
    tokio::select! {
        biased;
        () = gate.reached.notified() => {}
        ended = &mut running => {
            ended.unwrap().unwrap();
            return false;
        }
    }
    // Commands beside the one that is held are executed.
    everything_runs().await;
    world.pass(LONG_MS);
    let stored = keys.map(k).to_vec();
    let mut expected = 1;
    if others == Others::Write {
        other.txn_once(add_to_both(keys, settings), &o).await.unwrap();
        expected += 1;
    }
    let (rows, read_ts) = other.txn_batch_get(stored, None, &o).await.unwrap();
    let seen: Vec<_> = rows.into_iter().map(|row| row.unwrap().value).collect();
    assert_eq!(seen[0], seen[1], "half of it is seen");
    let is_seen = seen[0] != expected.to_string();
    // The client may have its answer already: what is left to do is late then.
    gate.open.notify_one();
    let answer = running.await.unwrap();
    everything_runs().await;
    match answer {
        Ok(outcome) => {
            expected += 1;
            assert_eq!(outcome.commit_ts <= read_ts, is_seen, "it is in the snapshot or not");
        }
        Err(error) => {
            assert_ne!(error.code, Code::TxnOutcomeUnknown, "every answer came");
            assert!(!is_seen, "it was seen, and its client heard {:?}", error.code);
        }
    }
    world.pass(LONG_MS);
    let last = values(&world.of_node(2).service(), &keys).await;
    assert_eq!(last, [Some(expected.to_string()), Some(expected.to_string())]);
    other.txn_resolve_locks(KeyRange::txn_space(), None, &o).await.unwrap();
    assert_eq!(world.engine.lock().unwrap().locks(), [], "locks stay");
    true
}

async fn sleeps_everywhere(others: Others) {
    for (name, settings) in all_settings() {
        for keys in [["a", "z"], ["a", "b"]] {
            let mut commands = 0;
            while sleeps(commands, others, (keys, settings)).await {
                commands += 1;
                assert!(commands < 50, "{name}: it never ends");
            }
            assert!(commands > 0, "{name}: it sent nothing");
        }
    }
}

#[actix::test]
async fn readers_and_the_client_of_a_slow_coordinator_agree() {
    sleeps_everywhere(Others::Read).await;
}

#[actix::test]
async fn writers_and_the_client_of_a_slow_coordinator_agree() {
    sleeps_everywhere(Others::Write).await;
}
