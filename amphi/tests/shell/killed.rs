//! Recordings of a program that is killed at any moment: they play without repair to shortly before it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amphi_media::h264;
use amphi_mux::Rendition;
use amphi_mux::recording::scan;
use peer::net::{Handle, Options, connect};
use peer::{Announcement, Codec, Event, Form};
use tokio::task::JoinSet;

use crate::air::packets;
use crate::house::{ask, token};
use crate::process::Program;

const SOON: Duration = Duration::from_secs(30);
const FPS: u32 = 25;
/// Rooms of one program, so that one kill makes as many torn files.
const ROOMS: u64 = 5;
const KILLS: u64 = 10;
/// How much of half of the files may be missing: what the manual promises.
const LOST: Duration = Duration::from_millis(500);
/// And of any, on a machine that also runs other tests.
const LOST_MAX: Duration = Duration::from_secs(2);

/// Five seconds of camera as access units, a key frame every second.
fn film() -> Vec<Vec<u8>> {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=320x180:rate={FPS}:duration=5"))
        .args(
            "-c:v libx264 -profile:v baseline -preset ultrafast -g 25 -bf 0 -threads 1".split(' '),
        )
        .args("-x264-params sliced-threads=0:slices=1 -f h264 pipe:1".split(' '))
        .output()
        .expect("the tests need ffmpeg: see ./test");
    assert!(made.status.success());
    let (mut pictures, mut picture) = (Vec::new(), Vec::new());
    for nal in h264::nal_units(&made.stdout) {
        picture.extend_from_slice(&[0, 0, 0, 1]);
        picture.extend_from_slice(nal);
        if matches!(h264::nal_type(nal), Some(h264::NAL_IDR | h264::NAL_SLICE)) {
            pictures.push(std::mem::take(&mut picture));
        }
    }
    assert_eq!(pictures.len(), 5 * FPS as usize);
    pictures
}

/// Publishes camera and microphone until the server is gone.
async fn perform(mut ada: Handle, film: Arc<Vec<Vec<u8>>>, sounds: Arc<Vec<Vec<u8>>>) {
    let mut lines = Vec::new();
    for announcement in [
        Announcement::microphone(),
        Announcement::camera(Codec::H264, 320, 180),
    ] {
        let line = ada
            .call(move |peer, now| peer.publish(now, announcement))
            .await
            .expect("she is in");
        ada.wait("a line to send on", SOON, |event| {
            matches!(event, Event::Sending { publication } if *publication == line).then_some(())
        })
        .await
        .expect("it stands");
        lines.push(line);
    }
    let (microphone, camera) = (lines[0], lines[1]);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for number in 0u32.. {
        ticks.tick().await;
        let sound = sounds[number as usize % sounds.len()].clone();
        ada.tell(move |peer, now| {
            peer.write_frame(
                now,
                microphone,
                None,
                &sound,
                number.wrapping_mul(960),
                Some(20),
            );
        });
        if number % 2 == 0 {
            let shown = number / 2;
            let film = film.clone();
            ada.tell(move |peer, now| {
                let picture = &film[shown as usize % film.len()];
                peer.write_frame(
                    now,
                    camera,
                    None,
                    picture,
                    shown.wrapping_mul(90_000 / FPS),
                    None,
                );
            });
        }
    }
}

/// ffmpeg decodes all of it and has nothing to say.
fn plays(file: &Path) {
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
        let file = entry.expect("a recording").path().join("program.mp4");
        plays(&file);
        let bytes = std::fs::read(&file).expect("a file");
        let scan = scan(&bytes[..]);
        assert!(scan.playable && scan.gaps() == 0);
        let zero_us = scan.zero_unix_ms().expect("a mark") * 1_000;
        all.push(Rendition::ALL.map(|rendition| {
            let end = scan
                .fragments
                .iter()
                .filter(|fragment| fragment.rendition == rendition)
                .map(|fragment| fragment.end_us())
                .max()
                .expect("both are there");
            let end_us = u128::from(zero_us.unsigned_abs()) + u128::from(end);
            let lost_us = u64::try_from(killed_us.saturating_sub(end_us)).expect("fits");
            Duration::from_micros(lost_us)
        }));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_leaves_recordings_that_play_to_half_a_second_before_it() {
    let (film, sounds) = (Arc::new(film()), Arc::new(packets()));
    let options = Options::new(Form::Single);
    let mut all: Vec<[Duration; 2]> = Vec::new();
    for kill in 0..KILLS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut program = Program::start(folder.path(), &[]);
        let url = format!("ws://{}", program.address);
        let mut shows = JoinSet::new();
        for room in 0..ROOMS {
            let room = format!("room-{room}");
            let able = token(&room, "ada").grant("roomAdmin", true).sign();
            let ada = connect(&url, &able, &options).await.expect("let in");
            shows.spawn(perform(ada, film.clone(), sounds.clone()));
            let bearer = format!("Bearer {able}");
            let headers = [("authorization", bearer.as_str())];
            let path = format!("/api/rooms/{room}/recording");
            let answer = ask(program.address, "POST", &path, &headers, b"").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let start = tokio::time::Instant::now();
        loop {
            let listed = ask(program.address, "GET", "/api/recordings", &[], b"")
                .await
                .json();
            let listed = listed["recordings"].as_array().expect("a list");
            let long =
                |one: &serde_json::Value| one["duration_s"].as_f64().is_some_and(|s| s > 1.0);
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
        let (half, most) = (lost[lost.len() / 2], lost[lost.len() - 1]);
        println!(
            "{what}: {half:?} of {} files are lost, {most:?} at most",
            lost.len()
        );
        assert!(
            half <= LOST,
            "{half:?} of the {what} are lost in half of the files"
        );
        assert!(most <= LOST_MAX, "{most:?} of the {what} are lost at most");
    }
}
