//! The kernel's texts, and this very process.
use super::{Usage, cpu_ticks, field, sectors_written};

#[test]
fn cpu_time_is_found_behind_a_name_with_spaces_and_parentheses() {
    let stat = "17 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 75 0 0 20 0 9 0 1 2 3";
    assert_eq!(cpu_ticks(stat), Some((250, 75)));
    assert_eq!(cpu_ticks("17 no name"), None);
}

#[test]
fn fields_are_found_by_their_whole_name() {
    let text = "nonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t40\nVmRSS:\t  12 kB\n";
    assert_eq!(field(text, "voluntary_ctxt_switches:"), Some(40));
    assert_eq!(field(text, "VmRSS:"), Some(12));
    assert_eq!(field(text, "VmSwap:"), None);
}

#[test]
fn this_process_uses_memory_and_a_difference_is_of_what_grows() {
    let now = Usage::of(std::process::id()).expect("it runs");
    assert!(now.memory_bytes > 1 << 20 && now.context_switches > 0, "{now:?}");
    let before = Usage { user_us: 5, system_us: 1, ..Usage::default() };
    let after = Usage { user_us: 9, system_us: 3, memory_bytes: 7, ..Usage::default() };
    let since = Usage { user_us: 4, system_us: 2, memory_bytes: 7, ..Usage::default() };
    assert_eq!(after.since(before), since);
}

#[test]
fn sectors_written_are_the_seventh_figure_of_a_disk() {
    let stat = "  100  1  2000  30    400  5  60007  80  0  90  110  0  0  0  0  0  0\n";
    assert_eq!(sectors_written(stat), Some(60_007));
    assert_eq!(sectors_written("1 2 3"), None);
}
