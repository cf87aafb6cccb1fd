//! A composed program that an ffmpeg of this machine encodes, and what becomes of one that does not work.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use amphi::config::{EncoderWord, Program};
use peer::Codec;
use player::net::watch;
use player::{Config, Mode};
use serde_json::Value;
use tokio::time::Instant;

use crate::composed::{BLUE, Hall, RED, SLACK, SOON};
use crate::conform::keeps_every_rule;
use crate::performer::{Camera, LOUD, SILENT};

/// A hall whose program is encoded by this program, with two people in it who are on air.
async fn on_air(program: &Path) -> Hall {
    let mut hall = Hall::with(|config| {
        config.program.encoder = EncoderWord::Ffmpeg;
        config.program.ffmpeg.program = Program(program.to_owned());
    })
    .await;
    for (name, colour, level) in [("ada", "red", LOUD), ("bo", "blue", SILENT)] {
        let camera = Camera::of_colour(colour, (320, 180), Codec::H264);
        hall.enters(name, Some(camera), level).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"compose","layout":"side-by-side"}"#)
        .await;
    hall
}

const REPLACED: &str = r#"amphi_studio_total{event="encoders_replaced"}"#;

/// For what takes its time, beside other tests.
const LONG: Duration = Duration::from_secs(60);

const SIDES: [((f64, f64), [u8; 3]); 2] = [((0.25, 0.5), RED), ((0.75, 0.5), BLUE)];

/// ffmpeg by a name that nobody else calls it by.
fn ffmpeg_named(folder: &Path, name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("there is a PATH");
    let ffmpeg = std::env::split_paths(&path)
        .map(|folder| folder.join("ffmpeg"))
        .find(|ffmpeg| ffmpeg.exists());
    let link = folder.join(name);
    symlink(ffmpeg.expect("the tests need ffmpeg: see ./test"), &link).expect("a link");
    link
}

/// The processes that run under this name.
fn processes(name: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("this is Linux").flatten();
    all.filter(|process| {
        let called = std::fs::read_to_string(process.path().join("comm"));
        called.is_ok_and(|called| called.trim() == name)
    })
    .map(|process| process.file_name().to_string_lossy().into_owned())
    .collect()
}

async fn none_runs(name: &str) {
    let start = Instant::now();
    while !processes(name).is_empty() {
        assert!(start.elapsed() < SOON, "{name} goes on running");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_encodes_every_size_and_when_one_is_killed_viewers_see_a_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let hall = on_air(&ffmpeg_named(folder.path(), "enc-killed")).await;
    hall.shows(0, &SIDES).await;
    hall.shows(1, &SIDES).await;
    let before = processes("enc-killed");
    assert_eq!(before.len(), 2, "one for each size");
    assert_eq!(hall.broadcast().await["note"], Value::Null);

    let index = format!("http://{}/hls/hall/index.m3u8", hall.house.address);
    let config = Config {
        slack: SLACK,
        ..Config::new(index, Mode::LowLatency)
    };
    let watching = tokio::spawn(watch(config, Duration::from_secs(90)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let killed = Command::new("kill").args(["-9", &before[0]]).status();
    assert!(killed.expect("a shell's kill").success());
    let start = Instant::now();
    loop {
        let now = processes("enc-killed");
        if now.len() == 2 && now.iter().all(|process| !before.contains(process)) {
            break;
        }
        assert!(start.elapsed() < SOON, "others follow: {before:?}, {now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    hall.shows(0, &SIDES).await;
    hall.shows(1, &SIDES).await;
    assert_eq!(hall.house.metric(REPLACED).await, 1.0);
    assert_eq!(hall.house.metric("amphi_composers_died_total").await, 0.0);
    let state = hall.broadcast().await;
    assert_eq!(state["note"], Value::Null, "it is encoded as was asked for");

    hall.asks("DELETE", "").await;
    let report = watching.await.expect("no panic").expect("a report");
    keeps_every_rule(&report);
    assert!(
        report.counters.discontinuities >= 1,
        "{:?}",
        report.counters
    );
    drop(hall);
    none_runs("enc-killed").await;
}

/// An executable that does this, whatever it is asked.
fn script(folder: &Path, name: &str, does: &str) -> PathBuf {
    let path = folder.join(name);
    // Written by another process, so that nobody who starts a third one has it open for writing.
    let made = Command::new("sh")
        .args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#,
            "sh",
        ])
        .arg(&path)
        .arg(does)
        .status();
    assert!(made.expect("a shell").success());
    path
}

/// The program is encoded all the same, and it is said why not as was asked for. Of this program nothing is left, while on air.
async fn falls_back(program: &Path, words: &[&str], replaced: f64) {
    let hall = on_air(program).await;
    // One that hangs is waited for, and then begins what follows it.
    let start = Instant::now();
    while hall.broadcast().await["note"] == Value::Null {
        assert!(start.elapsed() < LONG, "nothing is said");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    hall.shows(0, &SIDES).await;
    hall.shows(1, &SIDES).await;
    let note = hall.broadcast().await["note"].to_string();
    for word in words {
        assert!(note.contains(word), "{word}: {note}");
    }
    assert!(note.contains("openh264"), "{note}");
    let name = program.file_name().expect("it has a name");
    none_runs(&name.to_string_lossy()).await;
    while hall.house.metric(REPLACED).await < replaced {
        assert!(start.elapsed() < LONG, "nothing was replaced");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(hall.house.metric(REPLACED).await, replaced);
    assert_eq!(hall.house.metric("amphi_composers_died_total").await, 0.0);
    hall.asks("DELETE", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_ffmpeg_that_is_configured_openh264_encodes_and_it_is_said() {
    falls_back(
        Path::new("/nowhere/enc-missing"),
        &["/nowhere/enc-missing", "started"],
        0.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_writes_nonsense_or_refuses_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let nonsense = script(folder.path(), "enc-nonsense", "yes nonsense");
    let refusing = script(
        folder.path(),
        "enc-refusing",
        "echo 'Cannot load libcuda.so.1' >&2; exit 1",
    );
    tokio::join!(
        falls_back(&nonsense, &["libx264", "no FLV"], 1.0),
        falls_back(&refusing, &["ended", "Cannot load libcuda.so.1"], 1.0),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_hangs_is_waited_for_a_while_and_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let hanging = script(folder.path(), "enc-hangs", "sleep 1000; exit 0");
    falls_back(&hanging, &["made no picture"], 1.0).await;
}
