//! Readers who agree, and readers who do not.
use super::*;

fn sight(group: u32, written: &[u32]) -> Sight {
    let who = format!("reader of {written:?}");
    Sight { group, written: written.iter().copied().collect(), who }
}

#[test]
fn readers_who_see_more_and_more_agree() {
    let sights = [sight(1, &[1, 2]), sight(1, &[]), sight(1, &[2]), sight(1, &[2]), sight(2, &[1])];
    assert_eq!(check(&sights), Vec::<String>::new());
}

#[test]
fn readers_who_each_see_another_half_do_not() {
    let wrong = check(&[sight(1, &[1]), sight(1, &[]), sight(1, &[1, 2]), sight(1, &[2])]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("reader of [1] saw {1}, reader of [2] saw {2}"), "{wrong:?}");
}
