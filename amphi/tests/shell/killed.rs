//! Recordings of a program that is killed at any moment: they play without repair to shortly before it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amphi_mux::Rendition;
use amphi_mux::recording::scan;
use peer::Form;
use peer::net::{Options, connect};
use tokio::task::JoinSet;

use crate::beside::tracks_play;
use crate::house::{ask, token};
use crate::performer::{Camera, LOUD, perform, tone};
use crate::process::Program;

const SOON: Duration = Duration::from_secs(30);
/// Rooms of one program, so that one kill makes as many torn files. Each begins to record at a moment of its own, so every
/// file is as old as no other one when the kill comes.
const ROOMS: u64 = 5;
const KILLS: u64 = 10;
/// As much is in each file before the moment may come: a member's track begins at a key frame, which comes once a second.
const RECORDED_S: f64 = 2.3;
/// The moment is anywhere in this, drawn from the seed.
const MOMENT_MS: u64 = 2_000;
/// How far apart rooms begin to record, beside what joining takes.
const APART_MS: u64 = 100;
/// The moments of a usual run. `AMPHI_KILLED_SEED` names others.
const SEED: u64 = 50;
/// How much of a quarter of the files may be missing. The manual promises half of it, but a program that has to wait for its turn on
/// a busy machine loses more, which says nothing of what it does when it has it: `bench kills` measures that.
const LOST: Duration = Duration::from_secs(1);
/// And of any, on a machine that also runs other tests.
const LOST_MAX: Duration = Duration::from_secs(3);
/// One of the rooms is composed, small. The others are cut, since five composers beside each other leave a small machine
/// nothing to be killed in time with.
const CONFIG: &str =
    "[program]\nkind = \"cut\"\nladder = [\"320x180 200k\"]\nframes_per_second = 15\n";
const COMPOSED: u64 = 0;

/// ffmpeg decodes all of it and has nothing to say.
pub fn plays(file: &Path) {
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args("-fps_mode passthrough -enc_time_base 1:90000 -f null -".split(' '))
        .output()
        .expect("the tests need ffmpeg: see ./test");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
}

/// What a kill left of one recording.
struct Torn {
    /// How long it had recorded then.
    age: Duration,
    /// How much of picture and sound is not in it.
    lost: [Duration; 2],
}

/// Every file of this folder plays, members' tracks too.
fn torn(folder: &Path, killed: SystemTime) -> Vec<Torn> {
    let killed_us = killed
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_micros();
    let since = |unix_us: i64| {
        let unix_us = u128::try_from(unix_us).expect("after 1970");
        let span_us = u64::try_from(killed_us.saturating_sub(unix_us)).expect("fits");
        Duration::from_micros(span_us)
    };
    let look = |recording: &Path| {
        tracks_play(recording);
        let file = recording.join("program.mp4");
        plays(&file);
        let bytes = std::fs::read(&file).expect("a file");
        let scan = scan(&bytes[..]);
        assert!(scan.playable && scan.gaps() == 0);
        let zero_us = scan.zero_unix_ms().expect("it is not empty") * 1_000;
        Torn {
            age: since(zero_us),
            lost: Rendition::BOTH
                .map(|rendition| since(scan.end_unix_us(rendition).expect("both are there"))),
        }
    };
    let recordings: Vec<_> = std::fs::read_dir(folder.join("recordings"))
        .expect("recordings")
        .map(|entry| entry.expect("a recording").path())
        .collect();
    let look = &look;
    std::thread::scope(|scope| {
        let looking: Vec<_> = (recordings.iter())
            .map(|recording| scope.spawn(move || look(recording.as_path())))
            .collect();
        let all = looking.into_iter().map(|one| one.join());
        all.map(|one| one.expect("it plays")).collect()
    })
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Fifty recordings, each killed at an age of its own: ten kills at moments that a seed draws, five rooms in each.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_leaves_recordings_that_play_to_shortly_before_it() {
    const SIZE: (u32, u32) = (320, 180);
    let seed = match std::env::var("AMPHI_KILLED_SEED") {
        Ok(seed) => seed.parse().expect("AMPHI_KILLED_SEED is a number"),
        Err(_) => SEED,
    };
    println!("AMPHI_KILLED_SEED={seed}");
    let mut random = seed;
    let (camera, tone) = (Camera::new(SIZE), tone());
    let options = Options::new(Form::Single);
    let mut all: Vec<Torn> = Vec::new();
    let mut composed = 0;
    for _ in 0..KILLS {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("amphi.toml");
        std::fs::write(&config, CONFIG).expect("a place for it");
        let config = config.to_str().expect("a plain path");
        let mut program = Program::start(folder.path(), &["--config", config]);
        let url = format!("ws://{}", program.address);
        let mut shows = JoinSet::new();
        for room in 0..ROOMS {
            let name = format!("room-{room}");
            let able = token(&name, "ada").grant("roomAdmin", true).sign();
            let ada = connect(&url, &able, &options).await.expect("let in");
            let camera = Some(camera.clone());
            let level = Arc::new(AtomicU8::new(LOUD));
            shows.spawn(perform(ada, tone.clone(), camera, level));
            let bearer = format!("Bearer {able}");
            let headers = [("authorization", bearer.as_str())];
            let post = async |what: &str, body: &str| {
                let path = format!("/api/rooms/{name}/{what}");
                let body = body.as_bytes();
                let answer = ask(program.address, "POST", &path, &headers, body).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            };
            if room == COMPOSED {
                post("broadcast", r#"{"program":"compose"}"#).await;
            }
            tokio::time::sleep(Duration::from_millis(next(&mut random) % APART_MS)).await;
            post("recording", r#"{"tracks":true}"#).await;
        }
        let start = tokio::time::Instant::now();
        loop {
            let listed = ask(program.address, "GET", "/api/recordings", &[], b"")
                .await
                .json();
            let listed = listed["recordings"].as_array().expect("a list");
            let long = |one: &serde_json::Value| one["duration_s"].as_f64() > Some(RECORDED_S);
            if listed.len() == ROOMS as usize && listed.iter().all(long) {
                break;
            }
            assert!(start.elapsed() < SOON, "it records: {listed:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(next(&mut random) % MOMENT_MS)).await;
        let path = format!("/api/rooms/room-{COMPOSED}");
        let room = ask(program.address, "GET", &path, &[], b"").await.json();
        composed += u64::from(room["broadcast"]["program"] == "compose");
        let killed = SystemTime::now();
        program.kill();
        shows.shutdown().await;
        all.extend(torn(folder.path(), killed));

        let again = Program::start(folder.path(), &[]);
        let listed = ask(again.address, "GET", "/api/recordings", &[], b"")
            .await
            .json();
        let listed = listed["recordings"].as_array().expect("a list");
        assert_eq!(listed.len(), ROOMS as usize);
        assert!(
            listed.iter().all(|one| one["state"] == "ready"),
            "{listed:?}"
        );
    }
    let ages = all.iter().map(|torn| torn.age);
    let (youngest, oldest) = (ages.clone().min(), ages.max());
    // A machine that is too busy for it cuts that room too.
    println!("killed {youngest:?} to {oldest:?} after they began, {composed} of them composed");
    for (what, index) in [("picture", 0), ("sound", 1)] {
        let mut lost: Vec<Duration> = all.iter().map(|torn| torn.lost[index]).collect();
        lost.sort();
        let place = |of: usize| lost[lost.len() * of / 4];
        let (quarter, half, most) = (place(1), place(2), lost[lost.len() - 1]);
        println!(
            "{what}: {half:?} of {} files are lost, {most:?} at most",
            lost.len()
        );
        assert!(
            quarter <= LOST,
            "{quarter:?} of the {what} are lost in a quarter of the files, {half:?} in half"
        );
        assert!(most <= LOST_MAX, "{most:?} of the {what} are lost at most");
    }
}
