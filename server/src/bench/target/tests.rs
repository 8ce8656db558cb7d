//! Counters in the text that servers answer.
use super::counter;

#[test]
fn a_counter_is_summed_over_its_labels_and_only_by_its_whole_name() {
    let text = "# HELP syncs_total Syncs.\n# TYPE syncs_total counter\nsyncs_total{store=\"1\"} 40\n\
                syncs_total{store=\"2\"} 2\nsyncs_total_more 7\nother 1e3\n";
    assert_eq!(counter(text, "syncs_total"), Some(42));
    assert_eq!(counter(text, "other"), Some(1000));
    assert_eq!(counter(text, "syncs"), None);
}
