//! The twin keeps the contract, and loses in a crash exactly what was not durable.
use super::super::contract::{
    self, apply_to_model, assert_like_model, buffered, put, step_strategy,
};
use super::*;
use proptest::prelude::*;

fn open() -> (MemoryEngine, tempfile::TempDir) {
    (MemoryEngine::new(), tempfile::tempdir().unwrap())
}

contract::contract_tests!(open);

#[test]
fn a_crash_undoes_what_was_buffered() {
    let engine = MemoryEngine::new();
    buffered(&engine, vec![put(Cf::Default, "a", "1")]);
    engine.make_durable().unwrap();
    buffered(&engine, vec![put(Cf::Default, "a", "2")]);
    buffered(&engine, vec![put(Cf::Default, "b", "2")]);
    assert_eq!(engine.buffered_batches(), 2);
    engine.crash();
    assert_eq!(engine.get(Cf::Default, b"a").unwrap(), Some("1".into()));
    assert_eq!(engine.get(Cf::Default, b"b").unwrap(), None);
    assert_eq!(engine.buffered_batches(), 0);
}

#[test]
fn an_injected_failure_happens_once() {
    let engine = MemoryEngine::new();
    engine.fail_next_write();
    let batch = || WriteBatch { changes: vec![put(Cf::Default, "a", "1")] };
    assert!(engine.write(batch(), Durability::Buffered).is_err());
    assert_eq!(engine.get(Cf::Default, b"a").unwrap(), None);
    engine.fail_next_make_durable();
    assert!(engine.write(batch(), Durability::Synced).is_err());
    assert_eq!(engine.get_persisted(Cf::Default, b"a").unwrap(), None);
    engine.make_durable().unwrap();
    assert_eq!(engine.get_persisted(Cf::Default, b"a").unwrap(), Some("1".into()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// What a crash leaves is a prefix of the batches, not shorter than what was synced.
    #[test]
    fn a_crash_leaves_a_prefix(
        steps in prop::collection::vec(step_strategy(), 1..20),
        kept in 0_usize..5,
    ) {
        let engine = MemoryEngine::new();
        let mut durable = 0;
        for (i, (changes, synced)) in steps.iter().enumerate() {
            let durability = if *synced { Durability::Synced } else { Durability::Buffered };
            engine.write(WriteBatch { changes: changes.clone() }, durability).unwrap();
            if *synced {
                durable = i + 1;
            }
        }
        engine.crash_keeping(kept);
        let mut model = BTreeMap::new();
        for (changes, _) in &steps[..(durable + kept).min(steps.len())] {
            apply_to_model(&mut model, changes);
        }
        assert_like_model(&*engine.snapshot(), &model);
    }
}
