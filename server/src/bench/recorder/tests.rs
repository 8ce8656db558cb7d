//! Percentiles and merging.
use super::{Latency, Recorder};

#[test]
fn percentiles_are_those_of_what_was_recorded() {
    let mut recorder = Recorder::default();
    (1..=1000).for_each(|i| recorder.took(i * 1000));
    let latency = recorder.latency();
    let near = |found: f64, wanted: f64| (found - wanted).abs() <= wanted * 0.002;
    assert!(near(latency.p50, 500.0) && near(latency.p95, 950.0), "{latency:?}");
    assert!(near(latency.p99, 990.0) && near(latency.p999, 999.0), "{latency:?}");
    assert!(near(latency.max, 1000.0) && near(latency.mean, 500.5), "{latency:?}");
}

#[test]
fn nothing_recorded_is_zero_and_no_latency_is_too_long() {
    assert_eq!(Recorder::default().latency(), Latency::default());
    let mut recorder = Recorder::default();
    recorder.took(0);
    recorder.took(u64::MAX);
    assert!(recorder.latency().max >= 119_000_000.0, "{:?}", recorder.latency());
}

#[test]
fn merging_keeps_counts_and_the_first_error() {
    let (mut one, mut other) = (Recorder::default(), Recorder::default());
    one.operations = 2;
    one.took(1_000);
    other.operations = 3;
    other.took(9_000);
    other.failed(|| "first".to_owned());
    other.failed(|| "second".to_owned());
    one.merge(&other);
    assert_eq!((one.operations, one.errors, one.first_error.as_deref()), (5, 2, Some("first")));
    assert!((one.latency().max - 9.0).abs() < 0.1);
}
