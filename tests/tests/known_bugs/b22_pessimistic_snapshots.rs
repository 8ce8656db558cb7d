//! B22: pessimistic transactions that see half of another's commit (the anomalies that a list-append test found
//! in TiDB 2.1 and 3.0: Jepsen, 2019).
//!
//! A transaction that is tried again behind its client's back, or that reads part of its keys at an older
//! timestamp than others, sees and overwrites what it should not: lost updates and read skew.
//!
//! The test runs list-append with pessimistic transactions of all kinds, by one request and by interactive
//! ones, while leaders change and commands are lost, late and doubled; no cycle may be found.
use super::cluster::{SECOND, sleep};
use super::transactions::{key, under_load};
use troupe_tests::sim::net::Weather;
use troupe_types::NodeId;
use troupe_types::txn::session::TxnMode;

#[test]
fn b22_no_cycle_among_pessimistic_transactions() {
    let mut counted = 0;
    for seed in [1_722, 1_723, 1_724] {
        let verdict = under_load(seed, Some(TxnMode::Pessimistic), |cluster| async move {
            let weather =
                Weather { lost: 30, doubled: 60, late: 60, stray: 100, delay_ms: (0, 20) };
            cluster.world.net.set_weather(weather);
            for round in 0..8 {
                sleep(2 * SECOND).await;
                let (region, leader) = cluster.led(&key(round % 4)).await;
                let to = NodeId(leader.get() % 3 + 1);
                // One that is refused changes nothing.
                let _ = cluster.transfer(region, leader, to).await;
            }
            cluster.world.net.set_weather(Weather::CALM);
        });
        counted += verdict.lists.counted;
    }
    assert!(counted > 150, "{counted} transactions were compared");
}
