//! The pages are built by `./run` and `./test` before the binary. Without them it is built all the same, with an
//! empty folder, and says so when somebody asks for a page. The fonts that pictures are lettered with come with the packages of the
//! pages, and without them it is not built.

use std::path::Path;

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let web = Path::new(&here).join("../web");
    let fonts = web.join("node_modules/@fontsource-variable/inter");
    assert!(
        fonts.is_dir(),
        "the fonts are missing: run `npm ci && npm run build` in web/ first, or ./run, which does it"
    );
    let pages = web.join("dist");
    std::fs::create_dir_all(&pages).expect("the folder of the pages can be made");
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
