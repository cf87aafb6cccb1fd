//! Every parser has a fuzz target, every target a seed corpus and a place in the replay.
//!
//! A target is one line in `TARGETS` of `fuzz/bodies/src/lib.rs`, one `[[bin]]` in `fuzz/Cargo.toml` with its
//! file, and one folder `fuzz/corpus/<name>/`.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// What reads bytes or text from outside, and the target that throws bytes at it.
const PARSERS: &[(&str, &str)] = &[
    ("amphi/src/codec/opus.rs", "decode_opus"),
    ("amphi/src/compose/ffmpeg/flv.rs", "coded_flv"),
    ("amphi/src/compose/wire.rs", "composer_wire"),
    ("amphi/src/config.rs", "config"),
    ("amphi/src/http/hls.rs", "hls_query"),
    ("amphi/src/net/tcp.rs", "tcp_framing"),
    ("core/amphi-media/src/av1.rs", "av1"),
    ("core/amphi-media/src/h264.rs", "h264"),
    ("core/amphi-media/src/opus.rs", "opus"),
    ("core/amphi-media/src/vp8.rs", "vp8"),
    ("core/amphi-media/src/vp9.rs", "vp9"),
    ("core/amphi-mux/src/picture.rs", "access_unit"),
    ("core/amphi-mux/src/playlist.rs", "part_name"),
    ("core/amphi-mux/src/recording/scan.rs", "recording"),
    ("core/amphi-policy/src/name.rs", "room_name"),
    ("core/amphi-policy/src/token.rs", "token"),
    ("core/amphi-sfu/src/av1.rs", "depacketize"),
    ("core/amphi-sfu/src/framer.rs", "depacketize"),
    ("core/amphi-sfu/src/sdp.rs", "sdp"),
    ("core/amphi-sfu/src/stun.rs", "stun"),
    ("core/amphi-sfu/src/vp9.rs", "depacketize"),
    ("core/amphi-signal/src/connect.rs", "join_request"),
    ("core/amphi-signal/src/data.rs", "data_packet"),
    ("core/amphi-signal/src/requests.rs", "call"),
    ("player/src/boxes.rs", "hls_boxes"),
    ("player/src/playlist.rs", "hls_playlist"),
    ("video-codec/src/av1.rs", "decode_av1"),
    ("video-codec/src/h264.rs", "decode_h264"),
    ("video-codec/src/vpx.rs", "decode_vp8"),
    ("video-codec/src/vpx.rs", "decode_vp9"),
];

const LIST: &str = "fuzz/bodies/src/lib.rs";

/// The three places of each target against each other, and [`PARSERS`] against the targets.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    findings_for(tree, PARSERS)
}

fn findings_for(tree: &Tree, parsers: &[(&str, &str)]) -> Vec<Finding> {
    let say = |path: &str, message: String| Finding {
        rule: "fuzz",
        path: path.to_owned(),
        line: 0,
        message,
    };
    let listed = listed(tree);
    let seeded: BTreeSet<&str> = tree
        .below("fuzz/corpus/")
        .filter_map(|path| Some(path.split_once("corpus/")?.1.split_once('/')?.0))
        .collect();
    let built: BTreeSet<&str> = tree
        .below("fuzz/fuzz_targets/")
        .filter_map(|path| path.rsplit_once('/')?.1.strip_suffix(".rs"))
        .collect();
    let manifest = tree.text("fuzz/Cargo.toml").unwrap_or("");

    let mut found = Vec::new();
    for target in &listed {
        if !seeded.contains(target.as_str()) {
            found.push(say(
                LIST,
                format!("`{target}` has no seed in fuzz/corpus/{target}/"),
            ));
        }
        if !built.contains(target.as_str()) || !manifest.contains(&format!("name = \"{target}\"")) {
            let places = format!("fuzz/fuzz_targets/{target}.rs and a [[bin]] in fuzz/Cargo.toml");
            found.push(say(
                LIST,
                format!("`{target}` cannot be run by cargo fuzz: it needs {places}"),
            ));
        }
    }
    for target in seeded
        .union(&built)
        .filter(|target| !listed.contains(**target))
    {
        found.push(say(
            LIST,
            format!("`{target}` has files but is not in TARGETS"),
        ));
    }
    for (source, target) in parsers {
        if !tree.exists(source) {
            found.push(say(
                source,
                "is not there: mend PARSERS in xtask/src/tidy/fuzz.rs".to_owned(),
            ));
        } else if !listed.contains(*target) {
            found.push(say(source, format!("has no fuzz target `{target}`")));
        }
    }
    found
}

/// The names in `TARGETS`: lines of the form `("name", function),`.
fn listed(tree: &Tree) -> BTreeSet<String> {
    let text = tree.text(LIST).unwrap_or("");
    let list = text
        .split_once("TARGETS")
        .map_or("", |(_, rest)| rest.split("];").next().unwrap_or(""));
    list.lines()
        .filter_map(|line| {
            Some(
                line.trim()
                    .strip_prefix("(\"")?
                    .split_once('"')?
                    .0
                    .to_owned(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::made_up::tree;
    use super::*;

    const BODIES: (&str, &str) = (
        LIST,
        "pub const TARGETS: &[Target] = &[\n    (\"sdp\", sdp),\n];\n",
    );
    const MANIFEST: (&str, &str) = ("fuzz/Cargo.toml", "[[bin]]\nname = \"sdp\"\n");
    const BIN: (&str, &str) = ("fuzz/fuzz_targets/sdp.rs", "");
    const SEED: (&str, &str) = ("fuzz/corpus/sdp/offer", "");
    const SOURCE: (&str, &str) = ("core/amphi-sfu/src/sdp.rs", "");

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let said: Vec<String> = findings_for(&tree(files), &[(SOURCE.0, "sdp")])
            .iter()
            .map(Finding::to_string)
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn a_parser_with_target_binary_and_seed_is_fine() {
        check(&[BODIES, MANIFEST, BIN, SEED, SOURCE], &[]);
    }

    #[test]
    fn a_target_without_a_seed_is_found() {
        check(
            &[BODIES, MANIFEST, BIN, SOURCE],
            &["fuzz/bodies/src/lib.rs: `sdp` has no seed in fuzz/corpus/sdp/ [fuzz]"],
        );
    }

    #[test]
    fn a_target_that_cargo_fuzz_cannot_run_is_found() {
        let said = "fuzz/bodies/src/lib.rs: `sdp` cannot be run by cargo fuzz: it needs fuzz/fuzz_targets/sdp.rs \
                    and a [[bin]] in fuzz/Cargo.toml [fuzz]";
        check(&[BODIES, BIN, SEED, SOURCE], &[said]);
        check(&[BODIES, MANIFEST, SEED, SOURCE], &[said]);
    }

    #[test]
    fn a_corpus_that_nothing_replays_is_found() {
        let empty = (LIST, "pub const TARGETS: &[Target] = &[\n];\n");
        check(
            &[empty, SEED, SOURCE],
            &[
                "fuzz/bodies/src/lib.rs: `sdp` has files but is not in TARGETS [fuzz]",
                "core/amphi-sfu/src/sdp.rs: has no fuzz target `sdp` [fuzz]",
            ],
        );
    }

    #[test]
    fn a_parser_that_moved_away_is_found() {
        check(
            &[BODIES, MANIFEST, BIN, SEED],
            &[
                "core/amphi-sfu/src/sdp.rs: is not there: mend PARSERS in xtask/src/tidy/fuzz.rs [fuzz]",
            ],
        );
    }
}
