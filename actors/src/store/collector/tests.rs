//! When a Store collects.
use super::*;

fn at(seconds: u64) -> Moment {
    Moment(0).after(Duration::from_secs(1000 + seconds))
}

fn collector() -> Collector {
    let (rest, again_after) = (Duration::from_secs(1), Duration::from_secs(600));
    Collector::new(CollectOptions { rest, again_after })
}

#[test]
fn nothing_is_collected_before_a_safe_point_is_heard() {
    let mut one = collector();
    assert!(!one.begin(at(0)));
    assert!(!one.begin(at(9999)));
    one.heard(Timestamp(7));
    assert!(one.begin(at(9999)));
}

#[test]
fn each_safe_point_is_collected_behind_once() {
    let mut one = collector();
    one.heard(Timestamp(7));
    assert!(one.begin(at(0)));
    assert!(!one.begin(at(0)), "one run at a time");
    one.ended(at(0), false);
    one.heard(Timestamp(6));
    assert!(!one.begin(at(5)), "an old one is no news");
    one.heard(Timestamp(8));
    assert!(one.begin(at(5)));
}

#[test]
fn a_safe_point_heard_during_a_run_is_not_forgotten() {
    let mut one = collector();
    one.heard(Timestamp(7));
    assert!(one.begin(at(0)));
    one.heard(Timestamp(8));
    one.ended(at(1), false);
    assert!(one.begin(at(10)));
    one.ended(at(11), false);
    assert!(!one.begin(at(30)));
}

#[test]
fn a_run_is_followed_by_a_rest_as_long_as_itself() {
    let mut one = collector();
    one.heard(Timestamp(7));
    assert!(one.begin(at(0)));
    one.ended(at(30), true);
    assert!(!one.begin(at(59)));
    assert!(one.begin(at(60)), "more was left");
    one.ended(at(60), true);
    assert!(!one.begin(at(60)), "a short run is followed by a rest too");
    assert!(one.begin(at(61)));
}

#[test]
fn a_run_comes_after_a_long_time_without_news() {
    let mut one = collector();
    one.heard(Timestamp(7));
    assert!(one.begin(at(0)));
    one.ended(at(1), false);
    assert!(!one.begin(at(600)));
    assert!(one.begin(at(601)));
}
