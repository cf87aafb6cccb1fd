//! The one binary. What it can do is in `amphi::cli`.

use std::process::ExitCode;

/// Thousands who wait for the same part are answered at once, and each answer is dozens of small allocations: docs/decisions/0013.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    amphi::cli::run()
}
