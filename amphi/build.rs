//! The pages are built by `./run` and `./test` before the binary. Without them it is built all the same, with an
//! empty folder, and says so when somebody asks for a page.

use std::path::Path;

fn main() {
    let pages =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../web/dist");
    std::fs::create_dir_all(&pages).expect("the folder of the pages can be made");
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
