//! Which hosts and origins are ours: keeps foreign web pages away from a node on this machine.
//!
//! A page can make a browser send requests to `127.0.0.1` in two ways. Its own name may be made to
//! resolve to it (DNS rebinding): then `Host` has a foreign name. Or it sends a cross-origin
//! request whose answer it cannot read: then `Origin` or `Sec-Fetch-Site` tells.
use crate::error::Problem;
use actix_web::dev::RequestHead;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName};
use std::collections::BTreeSet;
use troupe_config::Config;
use troupe_types::Code;
use troupe_types::pd::NodeInfo;

/// Set by browsers: how the page that asks relates to this server.
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names of this machine that everybody knows.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The allow list.
pub struct HostRule {
    allowed: BTreeSet<String>,
}

impl HostRule {
    /// Local names, the node's own addresses, and what the configuration adds.
    #[must_use]
    pub fn new(config: &Config, node: &NodeInfo) -> Self {
        let own = [&node.http_address[..], &config.node.http_address, config.node.reachable_http()];
        let own = own.iter().map(|address| host_of(address).to_ascii_lowercase());
        let configured = config.http.allowed_hosts.iter().map(|host| host.to_ascii_lowercase());
        let local = LOCAL.iter().map(|host| (*host).to_owned());
        Self { allowed: local.chain(own).chain(configured).collect() }
    }

    /// Checks the head of a request.
    ///
    /// # Errors
    /// `BAD_HOST`.
    pub fn check(&self, head: &RequestHead) -> Result<(), Problem> {
        let host = text(head, &header::HOST).or_else(|| head.uri.authority().map(|a| a.as_str()));
        let Some(host) = host else {
            return Err(Problem::new(Code::BadHost, "the request has no Host header"));
        };
        if !self.is_allowed(host) || head.uri.host().is_some_and(|host| !self.is_allowed(host)) {
            let detail = format!(
                "`{host}` does not name this server; if it should, add it to http.allowed-hosts"
            );
            return Err(Problem::new(Code::BadHost, detail).with("host", host));
        }
        if changes_state(&head.method) { self.check_origin(head) } else { Ok(()) }
    }

    fn check_origin(&self, head: &RequestHead) -> Result<(), Problem> {
        if let Some(origin) = text(head, &header::ORIGIN) {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            if !self.is_allowed(host) {
                let detail = "a web page of another origin may not change anything here";
                return Err(Problem::new(Code::BadHost, detail).with("origin", origin));
            }
        }
        match text(head, &SEC_FETCH_SITE) {
            Some("cross-site") => {
                let detail = "a web page of another site may not change anything here";
                Err(Problem::new(Code::BadHost, detail))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_allowed(&self, host: &str) -> bool {
        let name = host_of(host);
        self.allowed.contains(name)
            || self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A header as text. One that is not text is no name of ours, and so is a second one.
fn text<'a>(head: &'a RequestHead, name: &HeaderName) -> Option<&'a str> {
    let mut all = head.headers.get_all(name);
    let first = all.next()?;
    match all.next() {
        None => Some(first.to_str().unwrap_or("?")),
        Some(_) => Some("?"),
    }
}

/// The host of `host:port`; brackets of an IPv6 address stay.
fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
        Some(_) | None => address,
    }
}
