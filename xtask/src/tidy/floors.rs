//! Import only from a lower floor; neighbours never import each other.
//!
//! Cargo already refuses an import that no `Cargo.toml` names; this rule holds what they name against the
//! one list of what is allowed, and keeps the world (sockets, files, clocks) out of the cores.

use super::{Finding, Tree};

/// Which crates of ours each crate may name, and which its tests and benches may name beyond that.
struct Floor {
    name: &'static str,
    may_import: &'static [&'static str],
    tests_may_import: &'static [&'static str],
}

const CORES: &[&str] = &[
    "amphi-media",
    "amphi-policy",
    "amphi-room",
    "amphi-sfu",
    "amphi-mux",
    "amphi-studio",
    "amphi-signal",
    "amphi-shard",
];

/// The floors, from the ground up.
const FLOORS: &[Floor] = &[
    floor("amphi-media", &[]),
    floor("amphi-policy", &[]),
    floor("amphi-room", &["amphi-media", "amphi-policy"]),
    floor("amphi-sfu", &["amphi-media"]),
    Floor {
        name: "amphi-mux",
        may_import: &["amphi-media"],
        tests_may_import: &["player"],
    },
    floor("amphi-studio", &["amphi-media"]),
    floor(
        "amphi-signal",
        &["amphi-media", "amphi-policy", "amphi-room", "amphi-sfu"],
    ),
    // All but the muxer: bytes of a broadcast are made in the shell's worker, never on a shard.
    Floor {
        name: "amphi-shard",
        may_import: &[
            "amphi-media",
            "amphi-policy",
            "amphi-room",
            "amphi-sfu",
            "amphi-studio",
            "amphi-signal",
        ],
        tests_may_import: &["peer"],
    },
    // The libraries behind the studio's traits for pictures.
    floor("video-codec", &["amphi-media", "amphi-studio"]),
    // A client of the wire protocol: shares no code with the server that it tests.
    floor("peer", &[]),
    // A reader of playlists and boxes: shares no code with the writer that it judges.
    floor("player", &[]),
    Floor {
        name: "amphi",
        may_import: CORES,
        tests_may_import: &["amphi", "peer", "player"],
    },
    Floor {
        name: "sim",
        may_import: CORES,
        tests_may_import: &[],
    },
    floor(
        "bench",
        &[
            "peer",
            "player",
            "amphi-media",
            "amphi-mux",
            "amphi-studio",
            "video-codec",
        ],
    ),
    floor("xtask", &[]),
    Floor {
        name: "fuzz-bodies",
        may_import: CORES,
        tests_may_import: &[],
    },
    Floor {
        name: "fuzz-targets",
        may_import: &["fuzz-bodies"],
        tests_may_import: &[],
    },
];

/// What lies beside the cores on a floor of its own: named here, so that [`may_import`] stays one list.
const BESIDE: &[(&str, &str)] = &[
    ("sim", "peer"),
    ("amphi", "video-codec"),
    // Its codecs, and the ffmpeg beside a composer, are measured alone.
    ("bench", "amphi"),
    ("fuzz-bodies", "amphi"),
    ("fuzz-bodies", "player"),
    ("fuzz-bodies", "video-codec"),
];

/// Crates that bring the world (sockets, files, threads, clocks, randomness) and so stay out of `core/`.
const WORLDLY: &[&str] = &[
    "async-std",
    "axum",
    "crossbeam-channel",
    "futures",
    "futures-util",
    "getrandom",
    "hyper",
    "mio",
    "parking_lot",
    "quinn-udp",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "socket2",
    "tokio",
    "tokio-tungstenite",
    "tower-http",
    "uuid",
];

/// Where WebRTC may be named: behind the seam of `amphi-sfu`, in the glue above it, and in the client.
const MAY_NAME_STR0M: &[&str] = &[
    "amphi-sfu",
    "amphi-signal",
    "amphi-shard",
    "peer",
    "sim",
    "bench",
    "amphi",
];

const fn floor(name: &'static str, may_import: &'static [&'static str]) -> Floor {
    Floor {
        name,
        may_import,
        tests_may_import: &[],
    }
}

/// Every `Cargo.toml` of the tree against [`FLOORS`].
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let manifests: Vec<(&str, &str)> = tree
        .texts()
        .filter(|(path, _)| path.ends_with("/Cargo.toml"))
        .collect();
    let ours: Vec<String> = manifests
        .iter()
        .filter_map(|(_, text)| package_name(text))
        .collect();
    manifests
        .iter()
        .flat_map(|(path, text)| findings_in(path, text, &ours))
        .collect()
}

fn findings_in(path: &str, text: &str, ours: &[String]) -> Vec<Finding> {
    let say = |message: String| Finding {
        rule: "floors",
        path: path.to_owned(),
        line: 0,
        message,
    };
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![say(format!("is not TOML: {error}"))],
    };
    let Some(name) = package_name(text) else {
        return vec![say("has no package name".into())];
    };
    let Some(floor) = FLOORS.iter().find(|floor| floor.name == name) else {
        return vec![say(format!(
            "`{name}` stands on no floor: give it one in xtask/src/tidy/floors.rs"
        ))];
    };
    let mut found = Vec::new();
    for (import, in_tests) in imports(&manifest) {
        let allowed = floor.may_import.contains(&import.as_str())
            || BESIDE.contains(&(floor.name, import.as_str()))
            || in_tests && floor.tests_may_import.contains(&import.as_str());
        if ours.contains(&import) && !allowed {
            found.push(say(format!(
                "`{name}` may not import `{import}`: it is not on a lower floor"
            )));
        }
        if path.starts_with("core/") && WORLDLY.contains(&import.as_str()) {
            found.push(say(format!(
                "`{name}` may not import `{import}`: the world stays out of core/"
            )));
        }
        if import == "str0m" && !MAY_NAME_STR0M.contains(&floor.name) {
            found.push(say(format!(
                "`{name}` may not import `str0m`: WebRTC stays behind amphi-sfu"
            )));
        }
    }
    found
}

fn package_name(manifest: &str) -> Option<String> {
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// Every crate that a manifest names, also per platform, and whether only its tests may use it.
fn imports(manifest: &toml::Table) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let platforms = manifest
        .get("target")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(toml::Table::values);
    for table in platforms
        .filter_map(toml::Value::as_table)
        .chain([manifest])
    {
        for (section, in_tests) in [
            ("dependencies", false),
            ("build-dependencies", false),
            ("dev-dependencies", true),
        ] {
            let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (key, value) in dependencies {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                found.push((renamed.unwrap_or(key).to_owned(), in_tests));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::made_up::check as check_rule;
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        check_rule(findings, files, expected);
    }

    const MEDIA: (&str, &str) = (
        "core/amphi-media/Cargo.toml",
        "[package]\nname = \"amphi-media\"\n",
    );

    #[test]
    fn an_import_from_a_lower_floor_is_fine() {
        let sfu = "[package]\nname = \"amphi-sfu\"\n[dependencies]\namphi-media.workspace = true\nbytes = \"1\"\n";
        check(&[MEDIA, ("core/amphi-sfu/Cargo.toml", sfu)], &[]);
    }

    #[test]
    fn an_import_from_a_neighbour_is_found() {
        let mux = (
            "core/amphi-mux/Cargo.toml",
            "[package]\nname = \"amphi-mux\"\n",
        );
        let shard =
            "[package]\nname = \"amphi-shard\"\n[dependencies]\namphi-mux.workspace = true\n";
        check(
            &[mux, ("core/amphi-shard/Cargo.toml", shard)],
            &[
                "core/amphi-shard/Cargo.toml: `amphi-shard` may not import `amphi-mux`: it is not on a lower floor [floors]",
            ],
        );
    }

    #[test]
    fn a_test_only_or_renamed_or_platform_import_is_an_import() {
        let media = "[package]\nname = \"amphi-media\"\n[dev-dependencies]\nroom = { package = \"amphi-room\" }\n\
                     [target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n";
        let room = (
            "core/amphi-room/Cargo.toml",
            "[package]\nname = \"amphi-room\"\n",
        );
        check(
            &[("core/amphi-media/Cargo.toml", media), room],
            &[
                "core/amphi-media/Cargo.toml: `amphi-media` may not import `tokio`: the world stays out of core/ [floors]",
                "core/amphi-media/Cargo.toml: `amphi-media` may not import `amphi-room`: it is not on a lower floor [floors]",
            ],
        );
    }

    #[test]
    fn only_tests_of_the_shell_may_use_the_client() {
        let peer = ("peer/Cargo.toml", "[package]\nname = \"peer\"\n");
        let tests = "[package]\nname = \"amphi\"\n[dev-dependencies]\npeer.workspace = true\n";
        check(&[peer, ("amphi/Cargo.toml", tests)], &[]);
        let program = "[package]\nname = \"amphi\"\n[dependencies]\npeer.workspace = true\n";
        check(
            &[peer, ("amphi/Cargo.toml", program)],
            &[
                "amphi/Cargo.toml: `amphi` may not import `peer`: it is not on a lower floor [floors]",
            ],
        );
    }

    #[test]
    fn webrtc_below_its_seam_is_found() {
        let room = "[package]\nname = \"amphi-room\"\n[dependencies]\nstr0m = \"0.25\"\n";
        check(
            &[("core/amphi-room/Cargo.toml", room)],
            &[
                "core/amphi-room/Cargo.toml: `amphi-room` may not import `str0m`: WebRTC stays behind amphi-sfu [floors]",
            ],
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        check(
            &[(
                "core/amphi-chat/Cargo.toml",
                "[package]\nname = \"amphi-chat\"\n",
            )],
            &[
                "core/amphi-chat/Cargo.toml: `amphi-chat` stands on no floor: give it one in xtask/src/tidy/floors.rs [floors]",
            ],
        );
    }
}
