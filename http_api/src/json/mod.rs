//! JSON as clients see it; nothing of it is used inside.
//!
//! | file | subject |
//! |---|---|
//! | [`bytes`] | keys and values in JSON and in URLs, in all encodings |
//! | [`strict`] | decoding that names what it does not know |
//! | [`request`] | bodies of requests |
//! | [`reply`] | what replies are made of; bodies of the raw space |
//! | [`txn`] | bodies of the transactional space |
//! | [`cluster`], [`node`] | bodies of replies about the cluster and this node |
pub mod bytes;
pub mod cluster;
pub mod node;
pub mod reply;
pub mod request;
pub mod strict;
pub mod txn;
