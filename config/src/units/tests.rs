//! Sizes and durations read back as they were written, and say what is wrong with others.
use super::{ByteSize, SizeError, duration};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn sizes_are_read_with_and_without_units() {
    let cases = [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("64MiB", 64 << 20),
        ("64 mib", 64 << 20),
        ("1_024KiB", 1 << 20),
        ("16777215TiB", 16_777_215 << 40),
    ];
    for (text, bytes) in cases {
        assert_eq!(text.parse::<ByteSize>(), Ok(ByteSize(bytes)), "{text}");
    }
}

#[test]
fn what_is_no_size_says_why() {
    assert_eq!("".parse::<ByteSize>(), Err(SizeError::NoNumber(String::new())));
    assert_eq!("-1".parse::<ByteSize>(), Err(SizeError::NoNumber("-1".into())));
    assert_eq!("MiB".parse::<ByteSize>(), Err(SizeError::NoNumber("MiB".into())));
    assert_eq!("1MB".parse::<ByteSize>(), Err(SizeError::Unit("MB".into())));
    assert_eq!("1.5MiB".parse::<ByteSize>(), Err(SizeError::Unit(".5MiB".into())));
    assert_eq!("16777216TiB".parse::<ByteSize>(), Err(SizeError::TooLarge("16777216TiB".into())));
}

#[test]
fn sizes_are_printed_in_the_largest_unit_that_divides_them() {
    let printed = [0, 1, 1024, 1536 << 10, 3 << 30].map(|bytes| ByteSize(bytes).to_string());
    assert_eq!(printed, ["0B", "1B", "1KiB", "1536KiB", "3GiB"]);
}

#[test]
fn what_is_no_duration_says_why() {
    for text in ["", "5", "5 parsecs", "-1s"] {
        let error = duration::from_text(text).unwrap_err();
        assert!(error.contains("is not a duration"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_size_survives_printing(bytes: u64) {
        prop_assert_eq!(ByteSize(bytes).to_string().parse::<ByteSize>(), Ok(ByteSize(bytes)));
    }

    #[test]
    fn a_duration_survives_printing(millis in 0_u64..1 << 40) {
        let original = Duration::from_millis(millis);
        prop_assert_eq!(duration::from_text(&duration::to_text(original)), Ok(original));
    }

    #[test]
    fn no_text_makes_the_size_parser_panic(text: String) {
        let _ = text.parse::<ByteSize>();
    }
}
