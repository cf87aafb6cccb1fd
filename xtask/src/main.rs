//! Automation of the house that is more than a few lines of shell.
//!
//! `cargo run -p xtask -- tidy` checks the shape of the tree: what may import what, what a core may not
//! mention, that documents and lists are true. `./test` calls it.

mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let task = std::env::args().nth(1);
    match task.as_deref() {
        Some("tidy") => tidy(Path::new(".")),
        _ => {
            eprintln!("usage: cargo run -p xtask -- tidy   (from the root of the work tree)");
            Ok(ExitCode::from(2))
        }
    }
}

fn tidy(root: &Path) -> anyhow::Result<ExitCode> {
    let tree = tidy::Tree::read(root)?;
    let mut findings = tidy::findings(&tree);
    findings.extend(tidy::licences::findings(
        &tree,
        &tidy::licences::metadata(root)?,
    ));
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "tidy: {} files, {} rules, {} findings",
        tree.len(),
        tidy::RULES.len() + 1,
        findings.len()
    );
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
