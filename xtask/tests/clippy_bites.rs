//! Clippy really takes `core/clippy.toml` for the crates below `core/`, really refuses what stands in it, and leaves
//! the shell alone. Tried on a made-up workspace, because ours is (one hopes) without a breach.

use std::fs;
use std::path::Path;
use std::process::Command;

const BREACHES: &str = r#"
pub fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
pub struct Lock(pub std::sync::Mutex<u8>);
pub fn print() {
    println!("here");
}
"#;

#[test]
fn a_clock_a_lock_and_a_print_are_refused_in_core_with_the_reason_and_allowed_in_the_shell() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clippy_bites");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/clippy.toml");
    write(
        &root.join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\nmembers = [\"core/room\", \"shell\"]\n",
    );
    for (folder, name) in [("core/room", "room"), ("shell", "shell")] {
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
        write(&root.join(folder).join("Cargo.toml"), &manifest);
        write(&root.join(folder).join("src/lib.rs"), BREACHES);
    }
    write(
        &root.join("core/clippy.toml"),
        &fs::read_to_string(ours).unwrap(),
    );

    let (refused, said) = clippy(&root, "room");
    assert!(refused, "{said}");
    for reason in [
        "take `now` as an argument",
        "one `&mut self` owns the value",
        "outputs and counters",
    ] {
        assert!(said.contains(reason), "{reason} is not in:\n{said}");
    }
    // What Clippy says of a line in its configuration that names nothing.
    assert!(!said.contains("does not refer to"), "{said}");

    let (refused, said) = clippy(&root, "shell");
    assert!(!refused, "{said}");
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Whether Clippy refused the package, and what it said.
fn clippy(root: &Path, package: &str) -> (bool, String) {
    let output = Command::new("cargo")
        .args([
            "clippy",
            "--offline",
            "--package",
            package,
            "--",
            "-D",
            "warnings",
        ])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .output()
        .unwrap();
    (
        !output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
