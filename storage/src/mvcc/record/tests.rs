//! Bytes of locks and commit records: they must not drift, and no bytes make the decoder panic.
use super::*;
use proptest::prelude::*;

fn lock() -> Lock {
    Lock {
        kind: LockKind::Put,
        primary: "p".into(),
        start_ts: Timestamp(5),
        ttl_ms: 3,
        short_value: Some("v".into()),
        expires_at: Some(UnixMillis(9)),
        for_update_ts: Timestamp(6),
        txn_size: 2,
        min_commit_ts: Timestamp(7),
        use_async_commit: true,
        secondaries: vec!["s".into()],
        rollbacks: vec![Timestamp(8)],
        generation: 1,
        locked_with_conflict: false,
    }
}

fn record() -> WriteRecord {
    WriteRecord {
        kind: WriteKind::Lock,
        start_ts: Timestamp(5),
        short_value: Some("v".into()),
        expires_at: None,
        protects_rollback: true,
        last_change: Some(LastChange { commit_ts: Timestamp(4), distance: 2 }),
    }
}

#[test]
fn the_bytes_of_a_lock_stay() {
    let bytes = [1, 0, 1, b'p', 5, 3, 1, 1, b'v', 1, 9, 6, 2, 7, 1, 1, 1, b's', 1, 8, 1, 0];
    assert_eq!(lock().encode(), bytes[..]);
    assert_eq!(Lock::decode(&bytes).unwrap(), lock());
}

#[test]
fn the_bytes_of_a_commit_record_stay() {
    let bytes = [1, 2, 5, 1, 1, b'v', 0, 1, 1, 4, 2];
    assert_eq!(record().encode(), bytes[..]);
    assert_eq!(WriteRecord::decode(&bytes).unwrap(), record());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Any bytes, and good ones with one byte changed: an error or a value, never a panic.
    #[test]
    fn no_bytes_make_the_decoder_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64), at in any::<usize>(), to in any::<u8>(),
    ) {
        for mut stored in [bytes, lock().encode().to_vec(), record().encode().to_vec()] {
            if !stored.is_empty() {
                let at = at % stored.len();
                stored[at] = to;
            }
            if let Ok(lock) = Lock::decode(&stored) {
                prop_assert_eq!(Lock::decode(&lock.encode()).unwrap(), lock);
            }
            if let Ok(record) = WriteRecord::decode(&stored) {
                prop_assert_eq!(WriteRecord::decode(&record.encode()).unwrap(), record);
            }
        }
    }
}
