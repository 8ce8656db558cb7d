//! Requests to the JSON API: what they are, sending them, and printing them as curl lines.
mod client;
mod curl;
mod problem;
mod request;

pub use client::{Client, Reply};
pub use curl::curl_line;
pub use problem::Problem;
pub use request::{ApiRequest, Body, path_segment};

#[cfg(test)]
mod tests;
