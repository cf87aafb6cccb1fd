//! What is done with bytes from outside, once per parser: the body of each fuzz target as a plain function.
//!
//! A body must come back, whatever the bytes: no panic, no long loop, no memory out of proportion. Where a parser
//! promises more (what it wrote it can read; a forged token is never accepted), the body asserts it.
//!
//! The same functions are run three ways: by `cargo fuzz run NAME` (see fuzz/README.md), and by every `./test` over
//! the committed corpus and over changed copies of it (tests/replay.rs).
//!
//! **To add a target:** a function here, a line in [`TARGETS`], a file and a `[[bin]]` in fuzz/, a folder of seeds in
//! fuzz/corpus/, and its source file in PARSERS of xtask/src/tidy/fuzz.rs. `xtask tidy` says which of them is missing.

mod media;
mod policy;
mod sfu;

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Every fuzz target.
pub const TARGETS: &[Target] = &[
    ("h264", media::h264),
    ("opus", media::opus),
    ("room_name", policy::room_name),
    ("sdp", sfu::sdp),
    ("stun", sfu::stun),
    ("token", policy::token),
    ("vp8", media::vp8),
];

/// Runs the body of one target.
///
/// # Panics
/// When there is no such target, and when the body found something.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, body) = TARGETS
        .iter()
        .find(|(target, _)| *target == name)
        .expect("the target stands in TARGETS");
    body(bytes);
}
