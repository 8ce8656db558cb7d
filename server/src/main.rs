//! The `troupe` program. Everything is in the library, so that tests reach it.
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Requests are made on one thread and freed on another, which the C library's allocator is slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    troupe_server::main()
}
