//! Codes of transactions that need something to go on around the request: other transactions, readers,
//! dead answers, safe points. Which test provokes which code stands in `tests/src/tidy/codes.rs`.
use super::fake::{Fake, Seen, app, gateway, request, send};
use super::txn_world::{Instead, TxnWorld};
use futures::join;
use serde_json::{Value, json};
use std::sync::Arc;
use troupe_actors::deadlock::core::Detector;
use troupe_config::Config;
use troupe_types::error::BusyReason;
use troupe_types::key::txn_key;
use troupe_types::request::{RegionReply, RegionResult};
use troupe_types::txn::deadlock::{DetectReply, DetectRequest, WaitEdge};
use troupe_types::txn::{
    Assertion, CheckTxnStatus, Mutation, MutationOp, PessimisticAction, Prewrite, TxnCommand,
    TxnError,
};
use troupe_types::{Key, Moment, RegionError, Timestamp, UnixMillis};

const BOTH: &str = "{\"then\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}},\
    {\"put\":{\"key\":\"z\",\"value\":\"1\"}}],\"commit\":\"two_phase\"}";
/// Behind all that the fake oracle gives.
const FUTURE: Timestamp = Timestamp(1 << 61);

fn key(text: &str) -> Key {
    txn_key(0, text.as_bytes())
}

fn instead(
    fake: &Arc<Fake>,
    what: impl FnMut(&TxnWorld, &TxnCommand) -> Option<RegionResult> + Send + 'static,
) {
    let what: Instead = Box::new(what);
    *fake.txn.instead.lock().unwrap() = Some(what);
}

fn answer(error: TxnError) -> Option<RegionResult> {
    Some(Ok(RegionReply::Txn(Box::new(Err(error)))))
}

fn put_of(key: &Key, start_ts: Timestamp) -> Prewrite {
    Prewrite {
        mutations: vec![Mutation {
            key: key.clone(),
            op: MutationOp::Put { value: "other".into(), expires_at: None },
            assertion: Assertion::None,
            pessimistic: PessimisticAction::Skip,
        }],
        primary: key.clone(),
        start_ts,
        lock_ttl_ms: 100_000,
        txn_size: 1,
        for_update_ts: Timestamp::ZERO,
        for_update_ts_checks: Vec::new(),
        min_commit_ts: Timestamp::ZERO,
        max_commit_ts: Timestamp::ZERO,
        async_commit: None,
        try_one_pc: true,
    }
}

/// The problem that a transaction over `a` and `z` meets.
async fn problem_of(state: &Arc<crate::state::HttpState>, body: &str) -> (String, Value) {
    let app = app!(state);
    let path = "/v1/txn?timeout=400ms";
    let seen: Seen = send!(app, request("POST", path).set_payload(body.to_owned()));
    (seen.code(), seen.json())
}

#[actix_web::test]
async fn write_conflict_names_the_commit_that_came_first() {
    let (state, fake) = gateway(Config::default());
    fake.txn.execute(&TxnCommand::Prewrite(put_of(&key("z"), FUTURE))).unwrap();
    let (code, problem) = problem_of(&state, BOTH).await;
    assert_eq!(code, "WRITE_CONFLICT");
    let context = &problem["context"];
    assert_eq!((&context["key"], &context["reason"]), (&json!("z"), &json!("optimistic")));
    assert_eq!(context["conflict_start_ts"], FUTURE.to_string());
    assert_eq!(
        (&problem["retry"]["how"], &problem["status"]),
        (&json!("new_transaction"), &json!(409))
    );
    assert_eq!(problem["outcome"], "not_applied");
}

/// Another transaction waits for this one already; the real detector says what that means.
#[actix_web::test]
async fn deadlock_lists_the_circle() {
    let (state, fake) = gateway(Config::default());
    instead(&fake, |_, command| {
        let TxnCommand::PessimisticLock(lock) = command else { return None };
        let other = Timestamp(77);
        let mut detector = Detector::default();
        let mut wait = |waiter, holder, on: &str| {
            let edge = DetectRequest::Wait(WaitEdge { waiter, holder, key: key(on) });
            detector.step(Moment(1), UnixMillis(1), edge)
        };
        assert_eq!(wait(other, lock.start_ts, "held by this one"), DetectReply::Done);
        let DetectReply::Deadlock(cycle) = wait(lock.start_ts, other, "a") else {
            panic!("no circle was found")
        };
        let start_ts = lock.start_ts;
        answer(TxnError::Deadlock { start_ts, lock_ts: other, key: key("a"), cycle })
    });
    let body = "{\"then\":[{\"put\":{\"key\":\"a\",\"value\":\"1\"}}],\"mode\":\"pessimistic\"}";
    let (code, problem) = problem_of(&state, body).await;
    assert_eq!(code, "DEADLOCK");
    let (context, mine) = (&problem["context"], &problem["context"]["start_ts"]);
    assert_eq!(
        context["cycle"],
        json!([
            {"waiter": mine, "holder": "77", "key": "a"},
            {"waiter": "77", "holder": mine, "key": "held by this one"},
        ])
    );
    assert_eq!(problem["retry"]["how"], "new_transaction");
}

/// A reader that is far ahead pushes the transaction before each of its commits.
#[actix_web::test]
async fn commit_ts_expired_says_when_it_may_commit() {
    let (state, fake) = gateway(Config::default());
    instead(&fake, |world, command| {
        let TxnCommand::Commit { keys, start_ts, .. } = command else { return None };
        let check = CheckTxnStatus {
            primary: keys[0].clone(),
            start_ts: *start_ts,
            caller_start_ts: FUTURE,
            current_ts: *start_ts,
            rollback_if_not_exist: true,
            force_sync_commit: false,
            resolving_pessimistic_lock: false,
            verify_is_primary: true,
        };
        world.execute(&TxnCommand::CheckTxnStatus(check)).unwrap();
        None
    });
    let (code, problem) = problem_of(&state, BOTH).await;
    assert_eq!(code, "COMMIT_TS_EXPIRED");
    assert_eq!(problem["context"]["min_commit_ts"], FUTURE.next().to_string());
    assert_eq!(problem["retry"]["how"], "same_request");
}

#[actix_web::test]
async fn txn_rolled_back_tells_of_locks_that_somebody_took_away() {
    let (state, fake) = gateway(Config::default());
    instead(&fake, |world, command| {
        let TxnCommand::Commit { keys, start_ts, .. } = command else { return None };
        let rollback = TxnCommand::Rollback { keys: keys.clone(), start_ts: *start_ts };
        world.execute(&rollback).unwrap();
        None
    });
    let (code, problem) = problem_of(&state, BOTH).await;
    assert_eq!(code, "TXN_ROLLED_BACK");
    assert_eq!(problem["retry"]["how"], "new_transaction");
    assert_eq!(problem["outcome"], "not_applied");
}

#[actix_web::test]
async fn idempotent_in_progress_is_for_the_second_while_the_first_runs() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    let keyed = |timeout: &str| {
        request("POST", &format!("/v1/txn?timeout={timeout}"))
            .insert_header(("idempotency-key", "\"pay-1\""))
            .set_payload(BOTH)
    };
    // The first is at its commit for as long as it has time.
    instead(&fake, |_, command| match command {
        TxnCommand::Commit { .. } => Some(Err(RegionError::StaleCommand)),
        _ => None,
    });
    let first = async { send!(app, keyed("2s")) };
    let second = async {
        while app_has_no_lock(&fake) {
            tokio::task::yield_now().await;
        }
        let second = send!(app, keyed("400ms"));
        // It may commit now.
        *fake.txn.instead.lock().unwrap() = None;
        second
    };
    let (first, second): (Seen, Seen) = join!(first, second);
    assert_eq!(second.code(), "IDEMPOTENT_IN_PROGRESS");
    assert_eq!(second.json()["retry"]["how"], "same_request");
    assert_eq!(first.status, 200, "{:?}", first.body);
    let third: Seen = send!(app, keyed("5s"));
    assert_eq!(third.json()["repeated"], true);
}

fn app_has_no_lock(fake: &Fake) -> bool {
    fake.txn.locks() == 0
}

#[actix_web::test]
async fn snapshot_gone_is_for_what_lies_below_the_safe_point() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let put: Seen = send!(app, request("PUT", "/v1/kv/keys/a").set_payload("1"));
    let version = put.json()["version"].as_str().unwrap().to_owned();
    send!(app, request("PUT", "/v1/kv/keys/a").set_payload("2"));
    let page: Seen = send!(app, request("GET", "/v1/kv/scan?limit=1"));
    assert_eq!(page.status, 200);
    let at = format!("/v1/kv/keys/a?at={version}");
    assert_eq!(send!(app, request("GET", &at)).json()["value"], "1");
    let now = send!(app, request("GET", "/v1/ts")).json()["ts"].as_str().unwrap().to_owned();
    let moved = json!({ "safe_point": now }).to_string();
    let moved: Seen = send!(app, request("POST", "/v1/gc").set_payload(moved));
    assert_eq!(moved.status, 200, "{:?}", moved.body);
    let gone: Seen = send!(app, request("GET", &at));
    assert_eq!((gone.code(), gone.status.as_u16()), ("SNAPSHOT_GONE".to_owned(), 410));
    assert_eq!(gone.json()["context"]["safe_point"], now);
    let scan: Seen = send!(app, request("GET", &format!("/v1/kv/scan?at={version}")));
    assert_eq!(scan.code(), "SNAPSHOT_GONE");
    let keys = json!({"keys": ["a"], "at": version}).to_string();
    let batch: Seen = send!(app, request("POST", "/v1/kv/get").set_payload(keys));
    assert_eq!(batch.code(), "SNAPSHOT_GONE");
    // The newest is always there.
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/a")).json()["value"], "2");
}

#[actix_web::test]
async fn bad_consistency_is_for_a_level_that_is_not_known() {
    let (state, _fake) = gateway(Config::default());
    let app = app!(state);
    let paths = ["/v1/kv/keys/a?consistency=snapshot", "/v1/kv/scan?consistency=snapshot"];
    for path in paths {
        let seen: Seen = send!(app, request("GET", path));
        assert_eq!(seen.code(), "BAD_CONSISTENCY", "{path}");
    }
}

#[actix_web::test]
async fn deadline_exceeded_promises_that_nothing_was_done() {
    let (state, fake) = gateway(Config::default());
    // Nothing is ever done by a leader that changes each time.
    *fake.txn.refuse.lock().unwrap() = Some(RegionError::StaleCommand);
    let (code, problem) = problem_of(&state, BOTH).await;
    assert_eq!(code, "DEADLINE_EXCEEDED");
    assert_eq!(problem["outcome"], "not_applied");
    *fake.txn.refuse.lock().unwrap() = None;
    let app = app!(state);
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/a")).code(), "KEY_NOT_FOUND");
}

#[actix_web::test]
async fn server_busy_says_when_to_come_back() {
    let (state, fake) = gateway(Config::default());
    let busy = RegionError::ServerIsBusy { what: BusyReason::TxnScheduler, backoff_ms: 20 };
    *fake.txn.refuse.lock().unwrap() = Some(busy);
    let (code, problem) = problem_of(&state, BOTH).await;
    assert_eq!(code, "SERVER_BUSY");
    assert_eq!((&problem["outcome"], &problem["status"]), (&json!("not_applied"), &json!(503)));
    assert_eq!(problem["retry"]["how"], "same_request");
}

#[actix_web::test]
async fn pd_unavailable_ends_what_needs_a_timestamp() {
    let (state, fake) = gateway(Config::default());
    let app = app!(state);
    send!(app, request("PUT", "/v1/kv/keys/a").set_payload("1"));
    fake.pd_down.store(true, std::sync::atomic::Ordering::Relaxed);
    let (code, _) = problem_of(&state, BOTH).await;
    assert_eq!(code, "PD_UNAVAILABLE");
    // The newest value of a key asks for no timestamp.
    assert_eq!(send!(app, request("GET", "/v1/kv/keys/a")).json()["value"], "1");
}
