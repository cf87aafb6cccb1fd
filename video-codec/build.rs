//! Stops the build where a codec would be missing, or silently be several times slower.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-env-changed=OPENH264_NO_ASM");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if arch.starts_with("x86") {
        // Without it openh264-sys2 says nothing and builds plain C, which takes three times as long for every picture.
        let nasm = Command::new("nasm").arg("-v").output();
        assert!(
            nasm.is_ok_and(|output| output.status.success()),
            "nasm is missing, without which the H.264 codec is several times slower: install it (Debian: apt-get install nasm)"
        );
        assert!(
            std::env::var_os("OPENH264_NO_ASM").is_none(),
            "OPENH264_NO_ASM is set, which makes the H.264 codec several times slower: unset it"
        );
    }
    let vpx = pkg_config::Config::new()
        .statik(true)
        .atleast_version("1.12")
        .cargo_metadata(false)
        .probe("vpx")
        .unwrap_or_else(|error| {
            panic!("libvpx is missing, which decodes VP8 and VP9: install it (Debian: apt-get install libvpx-dev pkg-config).\n{error}")
        });
    let mut shim = cc::Build::new();
    shim.file("shim/vpx.c").warnings(true).extra_warnings(true);
    for path in &vpx.include_paths {
        shim.include(path);
    }
    shim.compile("amphi_shim");
    // Static, so that the finished program needs no package. The compiler knows where it lies; pkg-config of Debian does not.
    let compiler = cc::Build::new().get_compiler();
    let found = Command::new(compiler.path())
        .arg("-print-file-name=libvpx.a")
        .output()
        .expect("the compiler that just built the shim");
    let library = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let Some(folder) = library.parent().filter(|_| library.is_absolute()) else {
        panic!(
            "libvpx.a is missing beside its headers: install it (Debian: apt-get install libvpx-dev)"
        );
    };
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static=vpx");
    println!("cargo:rustc-link-lib=m");
}
