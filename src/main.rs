//! The `kubescry` program: parse arguments, call the library, turn the outcome into an exit code.

use std::process::ExitCode;

/// Frames come and go by the megabyte: the system's allocator gives each back to the kernel and asks
/// for it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kubescry::cli::run().into()
}
