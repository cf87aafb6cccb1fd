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
/// Rooms of one program, so that one kill makes as many torn files.
const ROOMS: u64 = 5;
const KILLS: u64 = 10;
/// How much of a quarter of the files may be missing. The manual promises half of it, but a program that has to wait for its turn on
/// a busy machine loses more, which says nothing of what it does when it has it: `bench kills` measures that.
const LOST: Duration = Duration::from_secs(1);
/// And of any, on a machine that also runs other tests.
const LOST_MAX: Duration = Duration::from_secs(3);

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

/// How much of picture and sound each file of this folder lacks.
fn lost(folder: &Path, killed: SystemTime) -> Vec<[Duration; 2]> {
    let killed_us = killed
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_micros();
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder.join("recordings")).expect("recordings") {
        let recording = entry.expect("a recording").path();
        // One of the rooms is enough of those.
        if all.is_empty() {
            tracks_play(&recording);
        }
        let file = recording.join("program.mp4");
        plays(&file);
        let bytes = std::fs::read(&file).expect("a file");
        let scan = scan(&bytes[..]);
        assert!(scan.playable && scan.gaps() == 0);
        all.push(Rendition::BOTH.map(|rendition| {
            let end_us = scan.end_unix_us(rendition).expect("both are there");
            let end_us = u128::try_from(end_us).expect("after 1970");
            let lost_us = u64::try_from(killed_us.saturating_sub(end_us)).expect("fits");
            Duration::from_micros(lost_us)
        }));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_leaves_recordings_that_play_to_shortly_before_it() {
    const SIZE: (u32, u32) = (320, 180);
    let (camera, tone) = (Camera::new(SIZE), tone());
    let options = Options::new(Form::Single);
    let mut all: Vec<[Duration; 2]> = Vec::new();
    for kill in 0..KILLS {
        let folder = tempfile::tempdir().expect("a folder");
        // Cut, since five composers beside each other leave a small machine nothing to be killed in time with.
        let config = folder.path().join("amphi.toml");
        std::fs::write(&config, "[program]\nkind = \"cut\"\n").expect("a place for it");
        let config = config.to_str().expect("a plain path");
        let mut program = Program::start(folder.path(), &["--config", config]);
        let url = format!("ws://{}", program.address);
        let mut shows = JoinSet::new();
        for room in 0..ROOMS {
            let room = format!("room-{room}");
            let able = token(&room, "ada").grant("roomAdmin", true).sign();
            let ada = connect(&url, &able, &options).await.expect("let in");
            let camera = Some(camera.clone());
            let level = Arc::new(AtomicU8::new(LOUD));
            shows.spawn(perform(ada, tone.clone(), camera, level));
            let bearer = format!("Bearer {able}");
            let headers = [("authorization", bearer.as_str())];
            let path = format!("/api/rooms/{room}/recording");
            let answer = ask(
                program.address,
                "POST",
                &path,
                &headers,
                b"{\"tracks\":true}",
            )
            .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let start = tokio::time::Instant::now();
        loop {
            let listed = ask(program.address, "GET", "/api/recordings", &[], b"")
                .await
                .json();
            let listed = listed["recordings"].as_array().expect("a list");
            // A member's track begins at a key frame, which comes once a second.
            let long =
                |one: &serde_json::Value| one["duration_s"].as_f64().is_some_and(|s| s > 2.5);
            if listed.len() == ROOMS as usize && listed.iter().all(long) {
                break;
            }
            assert!(start.elapsed() < SOON, "it records: {listed:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Every moment of a part and of the time between two syncs.
        tokio::time::sleep(Duration::from_millis(kill * 37 % 300)).await;
        let killed = SystemTime::now();
        program.kill();
        shows.shutdown().await;
        all.extend(lost(folder.path(), killed));

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
    for (what, index) in [("picture", 0), ("sound", 1)] {
        let mut lost: Vec<Duration> = all.iter().map(|one| one[index]).collect();
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
