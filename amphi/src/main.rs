//! The one binary. What it can do is in `amphi::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    amphi::cli::run()
}
