//! Numbers are taken whole or not at all.
use super::{BareOr, DecimalIn, IntegerIn};

#[test]
fn both_forms_are_the_same_number() {
    let max = u64::MAX.to_string();
    for (text, number) in [("0", 0), ("\"0\"", 0), ("\"42\"", 42), (&max, u64::MAX)] {
        assert_eq!(serde_json::from_str::<DecimalIn>(text).unwrap(), DecimalIn(number), "{text}");
    }
    let (min, max) = (i64::MIN, i64::MAX);
    for text in [min.to_string(), format!("\"{min}\"")] {
        assert_eq!(serde_json::from_str::<IntegerIn>(&text).unwrap(), IntegerIn(min));
    }
    assert_eq!(serde_json::from_str::<IntegerIn>(&max.to_string()).unwrap(), IntegerIn(max));
}

#[test]
fn nothing_is_rounded_or_guessed() {
    let wrong = [
        "-1",
        "1.0",
        "1e3",
        "18446744073709551616",
        "\"\"",
        "\"+1\"",
        "\" 1\"",
        "\"0x1\"",
        "\"1.0\"",
        "true",
        "null",
        "[]",
        "\"18446744073709551616\"",
    ];
    for text in wrong {
        assert!(serde_json::from_str::<DecimalIn>(text).is_err(), "{text}");
    }
    for text in ["9223372036854775808", "\"-9223372036854775809\"", "\"--1\"", "\"-\"", "1.5"] {
        assert!(serde_json::from_str::<IntegerIn>(text).is_err(), "{text}");
    }
}

#[test]
fn a_bare_value_is_told_from_comparisons() {
    type Either = BareOr<std::collections::BTreeMap<String, u64>>;
    assert_eq!(serde_json::from_str::<Either>("\"a\"").unwrap(), BareOr::Text("a".into()));
    assert_eq!(serde_json::from_str::<Either>("7").unwrap(), BareOr::Number(7));
    let compared = serde_json::from_str::<Either>("{\"ge\":3}").unwrap();
    assert_eq!(compared, BareOr::Compared([("ge".to_owned(), 3)].into()));
    for text in ["true", "null", "[]", "-1", "1.5"] {
        assert!(serde_json::from_str::<Either>(text).is_err(), "{text}");
    }
}
