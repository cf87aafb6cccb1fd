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

mod call;
mod media;
mod mux;
mod player;
mod policy;
mod sfu;
mod shell;
mod sound;
mod video;

/// A target's name and body, and how many changed copies of each seed the replay tries: fewer where one run costs more,
/// so that all of them together take some seconds.
pub type Target = (&'static str, fn(&[u8]), u32);

/// Every fuzz target.
pub const TARGETS: &[Target] = &[
    ("access_unit", mux::access_unit, 200),
    ("av1", media::av1, 4_000),
    ("call", call::call, 100),
    ("coded_flv", shell::coded_flv, 1_000),
    ("composer_wire", shell::composer_wire, 2_000),
    ("config", shell::config, 2_000),
    ("data_packet", call::data_packet, 1_000),
    ("decode_av1", video::decode_av1, 400),
    ("decode_h264", video::decode_h264, 400),
    ("decode_opus", sound::decode_opus, 400),
    ("decode_vp8", video::decode_vp8, 400),
    ("decode_vp9", video::decode_vp9, 400),
    ("depacketize", sfu::depacketize, 4_000),
    ("h264", media::h264, 4_000),
    ("hls_boxes", player::hls_boxes, 2_000),
    ("hls_playlist", player::hls_playlist, 2_000),
    ("hls_query", shell::hls_query, 4_000),
    ("join_request", call::join_request, 100),
    ("opus", media::opus, 4_000),
    ("part_name", mux::part_name, 4_000),
    ("recording", mux::recording, 4_000),
    ("room_name", policy::room_name, 4_000),
    ("sdp", sfu::sdp, 4_000),
    ("stun", sfu::stun, 4_000),
    ("tcp_framing", shell::tcp_framing, 4_000),
    ("token", policy::token, 4_000),
    ("vp8", media::vp8, 4_000),
    ("vp9", media::vp9, 4_000),
];

/// Runs the body of one target.
///
/// # Panics
/// When there is no such target, and when the body found something.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, body, _) = TARGETS
        .iter()
        .find(|(target, ..)| *target == name)
        .expect("the target stands in TARGETS");
    body(bytes);
}
