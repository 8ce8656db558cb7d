//! Races of idempotency keys: one outcome, however the requests meet.
use super::world::{all_settings, begin, everything_runs, values};
use super::*;
use crate::kv_service::ServiceError;
use troupe_types::txn::session::{OneShotOutcome, TxnSettings};

fn pay(settings: TxnSettings, fingerprint: u64) -> OneShot {
    let then = vec![TxnOp::Add { key: k("a"), by: 1 }, TxnOp::Add { key: k("z"), by: 1 }];
    OneShot { then, settings, idempotency: once("pay", fingerprint), ..OneShot::default() }
}

type Answer = Result<OneShotOutcome, ServiceError>;

fn code(answer: &Answer) -> Option<Code> {
    answer.as_ref().err().map(|error| error.code)
}

/// One answer may be new, all others tell of it or say that it is under way.
fn check_answers(name: &str, answers: &[Answer]) {
    let done: Vec<&OneShotOutcome> = answers.iter().filter_map(|a| a.as_ref().ok()).collect();
    let new = done.iter().filter(|outcome| !outcome.repeated).count();
    assert!(new <= 1, "{name}: {new} outcomes");
    assert!(done.windows(2).all(|two| two[0].commit_ts == two[1].commit_ts), "{name}: {done:?}");
    let refused = answers.iter().filter_map(code);
    refused.for_each(|code| assert_eq!(code, Code::IdempotentInProgress, "{name}"));
}

#[actix::test]
async fn a_second_request_during_the_first_never_makes_a_second_outcome() {
    let mut held = 0;
    for (name, settings) in all_settings() {
        for held_at in ["pessimistic_lock", "prewrite", "commit", "resolve_keys"] {
            let world = World::new();
            let gate = world.of_node(1).hold(held_at);
            let mut first = begin(&world.of_node(1).service(), pay(settings, 1), 20_000);
            tokio::select! {
                biased;
                () = gate.reached.notified() => held += 1,
                _ = &mut first => {}
            }
            let mut second = begin(&world.of_node(2).service(), pay(settings, 1), 20_000);
            let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
            gate.open.notify_one();
            let second = match early {
                Ok(answer) => answer.unwrap(),
                Err(_) => second.await.unwrap(),
            };
            everything_runs().await;
            let mut answers = vec![second];
            if !first.is_finished() {
                answers.push(first.await.unwrap());
            }
            check_answers(&format!("{name}, held at {held_at}"), &answers);
            let third = world.of_node(3).service();
            let third = third.txn_once(pay(settings, 1), &options(&third, 5000)).await.unwrap();
            assert!(third.repeated, "{name}, held at {held_at}");
            let seen = values(&world.service(), &["a", "z"]).await;
            assert_eq!(seen, [Some("1".to_owned()), Some("1".to_owned())], "{name}, {held_at}");
        }
    }
    assert!(held > 24, "only {held} were held at all");
}

#[actix::test]
async fn many_at_once_are_one() {
    for (name, settings) in all_settings() {
        let world = World::new();
        let all: Vec<_> = (1..8)
            .map(|node| begin(&world.of_node(node).service(), pay(settings, 1), 20_000))
            .collect();
        let mut answers = Vec::new();
        for running in all {
            answers.push(running.await.unwrap());
        }
        check_answers(&name, &answers);
        assert!(answers.iter().any(Result::is_ok), "{name}: nobody did it");
        everything_runs().await;
        let seen = values(&world.service(), &["a", "z"]).await;
        assert_eq!(seen, [Some("1".to_owned()), Some("1".to_owned())], "{name}");
    }
}

#[actix::test]
async fn another_payload_under_the_same_key_is_a_mismatch_and_changes_nothing() {
    for (name, settings) in all_settings() {
        let world = World::new();
        let service = world.service();
        let o = options(&service, 5000);
        service.txn_once(pay(settings, 1), &o).await.unwrap();
        everything_runs().await;
        let other = service.txn_once(pay(settings, 2), &o).await;
        assert_eq!(code(&other), Some(Code::IdempotencyMismatch), "{name}");
        assert_eq!(values(&service, &["a"]).await, [Some("1".to_owned())], "{name}");
        assert_eq!(world.engine.lock().unwrap().locks(), [], "{name}: locks stay");
        // The key is still that of the first.
        assert!(service.txn_once(pay(settings, 1), &o).await.unwrap().repeated, "{name}");
    }
}

#[actix::test]
async fn another_payload_during_the_first_is_refused_either_way() {
    for (name, settings) in all_settings() {
        let world = World::new();
        let gate = world.of_node(1).hold("prewrite");
        let first = begin(&world.of_node(1).service(), pay(settings, 1), 20_000);
        gate.reached.notified().await;
        let mut second = begin(&world.of_node(2).service(), pay(settings, 2), 20_000);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
        gate.open.notify_one();
        let second = match early {
            Ok(answer) => answer.unwrap(),
            Err(_) => second.await.unwrap(),
        };
        let first = first.await.unwrap();
        let refusals = [code(&first), code(&second)];
        let refused = |code: &Option<Code>| {
            matches!(code, Some(Code::IdempotencyMismatch | Code::IdempotentInProgress))
        };
        assert_eq!(refusals.iter().filter(|code| refused(code)).count(), 1, "{name}: {refusals:?}");
        everything_runs().await;
        assert_eq!(values(&world.service(), &["a"]).await, [Some("1".to_owned())], "{name}");
    }
}
