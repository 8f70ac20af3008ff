//! The `kubescry` program: parse arguments, call the library, turn the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubescry::cli::run().into()
}
