//! What happens in a panic before anything unwinds, and what the thread was doing then.
use super::end_process;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::PanicHookInfo;
use troupe_types::RegionId;

thread_local! {
    static REGION: Cell<Option<RegionId>> = const { Cell::new(None) };
    static STORAGE_CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Parts of source paths whose panics leave shared storage in doubt.
const STORAGE_PATHS: [&str; 5] = [
    "/raft-engine-",
    "/rocksdb-",
    "/librocksdb-sys-",
    "storage/src/engine",
    "storage/src/raft_log",
];

/// Longest text of a panic that is logged.
const MAX_MESSAGE_CHARS: usize = 400;

/// Says that this thread works for a Region, until it is dropped: a panic names the Region.
pub struct RegionScope {
    outer: Option<RegionId>,
    not_send: PhantomData<*const ()>,
}

impl RegionScope {
    /// From here on this thread works for `region`.
    #[must_use]
    pub fn enter(region: RegionId) -> Self {
        Self { outer: REGION.replace(Some(region)), not_send: PhantomData }
    }

    /// The Region that this thread works for, if any.
    #[must_use]
    pub fn current() -> Option<RegionId> {
        REGION.get()
    }
}

impl Drop for RegionScope {
    fn drop(&mut self) {
        REGION.set(self.outer);
    }
}

/// Says that this thread is inside shared storage, until it is dropped: a panic is fatal.
pub struct StorageCall {
    not_send: PhantomData<*const ()>,
}

impl StorageCall {
    /// From here on this thread is inside shared storage.
    #[must_use]
    pub fn enter() -> Self {
        STORAGE_CALLS.set(STORAGE_CALLS.get() + 1);
        Self { not_send: PhantomData }
    }

    /// Is this thread inside shared storage?
    #[must_use]
    pub fn is_active() -> bool {
        STORAGE_CALLS.get() > 0
    }
}

impl Drop for StorageCall {
    fn drop(&mut self) {
        STORAGE_CALLS.set(STORAGE_CALLS.get() - 1);
    }
}

/// Payload of a panic that ends the process: `std::panic::panic_any(StoreFatal(reason))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFatal(pub String);

/// Installs the process's panic hook; call it first in `main`. A panic that leaves shared storage
/// in doubt ends the process with an abort, before anything unwinds. Any other one is logged,
/// given to `extra`, and left to unwind.
pub fn install_panic_hook(extra: fn(&PanicHookInfo<'_>)) {
    std::panic::set_hook(Box::new(move |info| {
        let report = describe(info);
        if is_fatal(info) {
            end_process(&report);
        }
        tracing::error!("{report}");
        extra(info);
    }));
}

fn is_fatal(info: &PanicHookInfo<'_>) -> bool {
    StorageCall::is_active()
        || info.payload().is::<StoreFatal>()
        || info.location().is_some_and(|location| is_storage_path(location.file()))
}

pub(super) fn is_storage_path(file: &str) -> bool {
    STORAGE_PATHS.iter().any(|part| file.contains(part))
}

/// One line about a panic, without user data.
fn describe(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let location = info.location().map_or_else(|| "?".to_owned(), ToString::to_string);
    let region = RegionScope::current()
        .map_or_else(|| "no region".to_owned(), |region| format!("region {region}"));
    let message = match info.payload().downcast_ref::<StoreFatal>() {
        Some(StoreFatal(reason)) => reason.as_str(),
        None => payload_text(info).unwrap_or("payload is no text"),
    };
    let thread = thread.name().unwrap_or("unnamed").to_owned();
    format!("panic at {location} in thread {thread}, {region}: {}", redact(message))
}

fn payload_text<'a>(info: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = info.payload();
    let literal = payload.downcast_ref::<&'static str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// `text` without what may be user data: strings in quotes and lists of bytes. Keys and values are
/// only ever formatted as those.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(MAX_MESSAGE_CHARS));
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if kept.chars().count() >= MAX_MESSAGE_CHARS {
            kept.push('…');
            break;
        }
        match c {
            '"' => {
                skip_quoted(&mut chars);
                kept.push_str("\"…\"");
            }
            '[' => {
                skip_list(&mut chars);
                kept.push_str("[…]");
            }
            '\n' | '\r' => kept.push(' '),
            other => kept.push(other),
        }
    }
    kept
}

fn skip_quoted(chars: &mut std::str::Chars<'_>) {
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

fn skip_list(chars: &mut std::str::Chars<'_>) {
    let mut depth = 1;
    while let Some(c) = chars.next() {
        match c {
            '"' => skip_quoted(chars),
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}
