//! A coordinator that dies at each of its commands: another client sees all of it or nothing, what was
//! acknowledged stays, and no lock does.
use super::world::{all_settings, begin, everything_runs, values};
use super::*;
use troupe_types::txn::session::TxnSettings;

/// Longer than any lock lives without its coordinator.
const LONG_MS: u64 = 120_000;

fn add_to_both(keys: [&str; 2], settings: TxnSettings) -> OneShot {
    let then = keys.map(|key| TxnOp::Add { key: k(key), by: 1 }).into();
    OneShot { then, settings, ..OneShot::default() }
}

/// Runs a transaction whose node dies after `commands`; `false` if it ended before.
async fn dies_after(
    commands: usize,
    takes_effect: bool,
    (keys, settings, is_keyed): ([&str; 2], TxnSettings, bool),
) -> bool {
    let world = World::new();
    let other = world.service();
    other
        .txn_once(add_to_both(keys, TxnSettings::default()), &options(&other, 5000))
        .await
        .unwrap();
    everything_runs().await;
    let dying = world.of_node(1);
    dying.dies_after(commands, takes_effect);
    let mut request = add_to_both(keys, settings);
    request.idempotency = is_keyed.then(|| once("pay", 1)).flatten();
    let running = begin(&dying.service(), request.clone(), 600_000);
    everything_runs().await;
    let has_died = dying.has_died();
    let answer = if running.is_finished() { Some(running.await.unwrap().unwrap()) } else { None };
    assert!(has_died || answer.is_some(), "it waits for something");

    world.pass(LONG_MS);
    let seen = values(&other, &keys).await;
    assert_eq!(seen[0], seen[1], "half of it is seen");
    let known = answer.is_none() || seen[0].as_deref() == Some("2");
    assert!(known, "what was acknowledged is gone");
    // What the dead node has sent arrives after all.
    world.deliver_late();
    world.pass(LONG_MS);
    let o = options(&other, 5000);
    other.txn_resolve_locks(KeyRange::txn_space(), None, &o).await.unwrap();
    assert_eq!(world.engine.lock().unwrap().locks(), [], "locks stay");
    assert_eq!(values(&world.of_node(2).service(), &keys).await, seen, "the outcome changed");
    if is_keyed {
        // The client asks again elsewhere: it happens once in all.
        let again = other.txn_once(request, &o).await.unwrap();
        assert_eq!(again.repeated, seen[0].as_deref() == Some("2"));
        assert_eq!(values(&other, &keys).await, [Some("2".to_owned()), Some("2".to_owned())]);
    }
    has_died
}

async fn dies_everywhere(is_keyed: bool) {
    for (name, settings) in all_settings() {
        for keys in [["a", "z"], ["a", "b"]] {
            for takes_effect in [false, true] {
                let mut commands = 0;
                while dies_after(commands, takes_effect, (keys, settings, is_keyed)).await {
                    commands += 1;
                    assert!(commands < 50, "{name}: it never ends");
                }
                assert!(commands > 0, "{name}: it sent nothing");
            }
        }
    }
}

#[actix::test]
async fn a_dead_coordinator_leaves_all_or_nothing_and_no_lock() {
    dies_everywhere(false).await;
}

#[actix::test]
async fn a_keyed_request_whose_coordinator_died_takes_effect_once_when_it_is_sent_again() {
    dies_everywhere(true).await;
}

/// The steps by name, for the reader: which command was the last that was executed.
#[actix::test]
async fn the_steps_at_which_a_coordinator_dies_are_those_of_its_protocol() {
    let mut seen = Vec::new();
    for (name, settings) in all_settings().into_iter().filter(|(name, _)| name.contains("Snapshot"))
    {
        for keys in [["a", "z"], ["a", "b"]] {
            let world = World::new();
            let service = world.of_node(1).service();
            let request = add_to_both(keys, settings);
            service.txn_once(request, &options(&service, 5000)).await.unwrap();
            everything_runs().await;
            seen.push(format!("{name} {}: {}", keys.join(""), world.of_node(1).sent().join(" ")));
        }
    }
    assert_eq!(
        seen,
        [
            "Optimistic Snapshot Auto az: prewrite prewrite resolve_keys resolve_keys",
            "Optimistic Snapshot Auto ab: prewrite",
            "Optimistic Snapshot Async az: prewrite prewrite resolve_keys resolve_keys",
            "Optimistic Snapshot Async ab: prewrite resolve_keys",
            "Optimistic Snapshot TwoPhase az: prewrite prewrite commit resolve_keys resolve_keys",
            "Optimistic Snapshot TwoPhase ab: prewrite commit resolve_keys",
            "Pessimistic Snapshot Auto az: pessimistic_lock pessimistic_lock prewrite prewrite \
             resolve_keys resolve_keys",
            "Pessimistic Snapshot Auto ab: pessimistic_lock prewrite",
            "Pessimistic Snapshot Async az: pessimistic_lock pessimistic_lock prewrite prewrite \
             resolve_keys resolve_keys",
            "Pessimistic Snapshot Async ab: pessimistic_lock prewrite resolve_keys",
            "Pessimistic Snapshot TwoPhase az: pessimistic_lock pessimistic_lock prewrite \
             prewrite commit resolve_keys resolve_keys",
            "Pessimistic Snapshot TwoPhase ab: pessimistic_lock prewrite commit resolve_keys",
        ]
    );
}
