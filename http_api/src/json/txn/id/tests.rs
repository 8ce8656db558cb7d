//! An id has one form, and nothing else is taken for it.
use super::{format, parse};
use proptest::prelude::*;
use troupe_types::txn::session::TxnId;
use troupe_types::{Code, StoreId, Timestamp};

proptest! {
    #[test]
    fn an_id_comes_back(store: u64, start_ts: u64, nonce: u64) {
        let id = TxnId { store: StoreId(store), start_ts: Timestamp(start_ts), nonce };
        prop_assert_eq!(parse(&format(&id)).unwrap(), id);
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = parse(&text);
    }
}

#[test]
fn an_id_is_short_and_readable() {
    let id = TxnId { store: StoreId(2), start_ts: Timestamp(455_930_120), nonce: 35 };
    assert_eq!(format(&id), "tx_2-455930120-z");
}

#[test]
fn other_forms_are_refused() {
    let wrong = [
        "",
        "tx_",
        "tx_1-2",
        "tx_1-2-3-4",
        "2-2-3",
        "TX_1-2-3",
        "tx_01-2-3",
        "tx_1-02-3",
        "tx_1-2-03",
        "tx_1-2-Z",
        "tx_+1-2-3",
        "tx_1-2-+3",
        "tx_1-2-",
        "tx_1-2-3 ",
        "tx_1--3",
        "tx_1-2-zzzzzzzzzzzzzz",
        "tx_1-99999999999999999999-3",
    ];
    for text in wrong {
        assert_eq!(parse(text).unwrap_err().code, Code::BadParameter, "{text}");
    }
}
