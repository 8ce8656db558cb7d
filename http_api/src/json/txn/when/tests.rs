//! Moments are read exactly, or not at all.
use super::When;
use std::time::Duration;
use troupe_types::{Code, Timestamp, UnixMillis};

fn wall(text: &str) -> u64 {
    match When::parse("at", text) {
        Ok(When::Wall(UnixMillis(ms))) => ms,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn each_form_is_read() {
    let ts = When::parse("at", "455930112233472001").unwrap();
    assert_eq!(ts, When::At(Timestamp(455_930_112_233_472_001)));
    assert_eq!(When::parse("at", "-5s").unwrap(), When::Ago(Duration::from_secs(5)));
    assert_eq!(When::parse("at", "-250ms").unwrap(), When::Ago(Duration::from_millis(250)));
}

/// Checked against `date -ud … +%s`.
#[test]
fn wall_clocks_are_counted_right() {
    let cases = [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T23:59:59Z", 951_868_799_000),
        ("2000-03-01T00:00:00Z", 951_868_800_000),
        ("2026-11-25T04:43:32Z", 1_795_581_812_000),
        ("2026-11-25t04:43:32.5z", 1_795_581_812_500),
        ("2026-11-25 04:43:32.123987Z", 1_795_581_812_123),
        ("2026-11-25T05:43:32+01:00", 1_795_581_812_000),
        ("2026-11-24T23:13:32-05:30", 1_795_581_812_000),
        ("2100-02-28T00:00:00Z", 4_107_456_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ];
    for (text, ms) in cases {
        assert_eq!(wall(text), ms, "{text}");
    }
}

#[test]
fn what_names_no_moment_is_refused() {
    let wrong = [
        "",
        "-",
        "-5",
        "5s",
        "0",
        "yesterday",
        "18446744073709551615",
        "9223372036854775808",
        "2026-11-25",
        "2026-11-25T04:43Z",
        "2026-11-25T04:43:32",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-11-25T24:00:00Z",
        "2026-11-25T00:60:00Z",
        "2026-11-25T00:00:61Z",
        "2026-11-25T00:00:00.Z",
        "2026-11-25T00:00:00+1:00",
        "2026-11-25T00:00:00+24:00",
        "2026-11-25T00:00:00Zulu",
        "1969-12-31T23:59:59Z",
        "+026-11-25T00:00:00Z",
        "2026-11-25T00:00:00+é0:00",
        "é026-11-25T00:00:00Z",
        "-99999999999999999999y",
    ];
    for text in wrong {
        assert_eq!(When::parse("at", text).unwrap_err().code, Code::BadParameter, "{text}");
    }
}
