//! A whole broadcast as players see it, held against RFC 8216bis by a reader that shares no code with its writer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use amphi::config::Rewind;
use amphi::egress::Live as _;
use amphi_media::{MediaKind, MediaTime, Sample};
use amphi_mux::{Packager, PackagerConfig, WindowConfig};
use bytes::Bytes;
use peer::Form;
use peer::net::{Options, connect};
use player::net::{Report, watch};
use player::{Config, Counters, Mode};

use crate::composed::{Hall, SLACK as SLACK_COMPOSED};
use crate::house::{House, now_s, token};
use crate::performer::{Camera, FPS, LOUD, SILENT, film, perform, tone};

const SOON: Duration = Duration::from_secs(20);
/// For machines that run other tests beside this one.
const SLACK: Duration = Duration::from_secs(3);

/// No rule that a player can see was broken.
#[track_caller]
pub fn keeps_every_rule(report: &Report) {
    let said: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(
        said.is_empty(),
        "{}\n{:?}",
        said.join("\n"),
        report.counters
    );
}

#[track_caller]
fn conforms(report: &Report) {
    keeps_every_rule(report);
    assert!(report.ended, "{:?}", report.counters);
    assert_eq!(report.counters.forgotten, 0, "{:?}", report.counters);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_cuts_keeps_every_rule_that_players_can_see() {
    let house = House::open().await;
    let options = Options::new(Form::Single);
    let mut performing = Vec::new();
    let mut levels = Vec::new();
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    for (name, size, level) in [("ada", (320, 180), LOUD), ("bo", (640, 360), SILENT)] {
        let token = token("hall", name).grant("roomAdmin", true).sign();
        let member = connect(&house.web_socket(), &token, &options).await;
        let level = Arc::new(AtomicU8::new(level));
        levels.push(level.clone());
        let camera = Some(Camera::new(size));
        let member = member.expect("let in");
        performing.push(tokio::spawn(perform(member, tone(), camera, level)));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let on = house
        .send(
            "POST",
            "/api/rooms/hall/broadcast",
            &able,
            r#"{"program":"cut"}"#,
        )
        .await;
    assert_eq!(on.status, 200, "{}", on.text());
    let index = format!("http://{}/hls/hall/index.m3u8", house.address);
    // The picture must be there, or a player takes the program for one of sound alone.
    let start = tokio::time::Instant::now();
    while !house
        .get("/hls/hall/index.m3u8")
        .await
        .text()
        .contains("RESOLUTION")
    {
        assert!(start.elapsed() < SOON, "a picture");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let watching = [Mode::LowLatency, Mode::Plain].map(|mode| {
        let config = Config {
            slack: SLACK,
            ..Config::new(index.clone(), mode)
        };
        tokio::spawn(watch(config, Duration::from_secs(60)))
    });
    for speaker in [1, 0, 1] {
        tokio::time::sleep(Duration::from_secs(4)).await;
        for (index, level) in levels.iter().enumerate() {
            let loud = if index == speaker { LOUD } else { SILENT };
            level.store(loud, Ordering::Relaxed);
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let off = house
        .send("DELETE", "/api/rooms/hall/broadcast", &able, "")
        .await;
    assert_eq!(off.status, 200, "{}", off.text());
    let mut reports = Vec::new();
    for watching in watching {
        reports.push(watching.await.expect("no panic").expect("a report"));
    }
    for report in &reports {
        conforms(report);
        assert!(
            report.counters.discontinuities >= 2,
            "{:?}",
            report.counters
        );
        assert!(report.counters.segments >= 6, "{:?}", report.counters);
    }
    let low_latency = reports[0].counters;
    assert!(
        low_latency.hinted > 20 && low_latency.blocked > 20,
        "{low_latency:?}"
    );
    assert!(
        low_latency.compared >= 6 && low_latency.probes == 8,
        "{low_latency:?}"
    );
    for performing in performing {
        performing.abort();
    }
}

/// Waits until the broadcast lists these sizes.
async fn lists(house: &House, sizes: &[&str]) {
    let start = tokio::time::Instant::now();
    loop {
        let index = house.get("/hls/hall/index.m3u8").await.text();
        let is_listed = |size: &&str| index.contains(&format!("RESOLUTION={size}"));
        if sizes.iter().all(is_listed) {
            return;
        }
        assert!(start.elapsed() < SOON, "{sizes:?} in {index}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Three members: one sends three sizes, one three smaller ones, one a single size.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_program_that_is_cut_simulcast_layers_are_rungs_that_keep_every_rule() {
    let house = House::open().await;
    let options = Options::new(Form::Single);
    let mut performing = Vec::new();
    let mut levels = Vec::new();
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let cameras = [
        ("ada", Camera::layered((640, 360)), LOUD),
        ("bo", Camera::layered((480, 272)), SILENT),
        ("cy", Camera::new((320, 180)), SILENT),
    ];
    for (name, camera, level) in cameras {
        let token = token("hall", name).grant("roomAdmin", true).sign();
        let member = connect(&house.web_socket(), &token, &options).await;
        let level = Arc::new(AtomicU8::new(level));
        levels.push(level.clone());
        let member = member.expect("let in");
        performing.push(tokio::spawn(perform(member, tone(), Some(camera), level)));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let on = house
        .send(
            "POST",
            "/api/rooms/hall/broadcast",
            &able,
            r#"{"program":"cut"}"#,
        )
        .await;
    assert_eq!(on.status, 200, "{}", on.text());
    // Where one comes late the best one stands there alone after a moment, and here each is to be played.
    lists(&house, &["640x360", "320x180", "160x90"]).await;
    let address = format!("http://{}/hls/hall/index.m3u8", house.address);
    let watching = [Mode::LowLatency, Mode::Plain].map(|mode| {
        let config = Config {
            slack: SLACK,
            ..Config::new(address.clone(), mode)
        };
        tokio::spawn(watch(config, Duration::from_secs(90)))
    });
    for speaker in [1, 2, 0, 1] {
        tokio::time::sleep(Duration::from_secs(5)).await;
        for (index, level) in levels.iter().enumerate() {
            let loud = if index == speaker { LOUD } else { SILENT };
            level.store(loud, Ordering::Relaxed);
        }
    }
    lists(&house, &["480x272", "240x136", "120x68"]).await;
    let native = house.get("/hls/hall/index.m3u8?native").await.text();
    assert!(
        native.contains("480x272") && !native.contains("240x136"),
        "players of systems get the largest alone: {native}"
    );
    let studio = house.server.app().programs.stats().studio;
    let off = house
        .send("DELETE", "/api/rooms/hall/broadcast", &able, "")
        .await;
    assert_eq!(off.status, 200, "{}", off.text());
    for watching in watching {
        let report = watching.await.expect("no panic").expect("a report");
        conforms(&report);
        // Four renditions, and three cuts at least in each.
        assert!(
            report.counters.discontinuities >= 12,
            "{:?}",
            report.counters
        );
    }
    assert!(
        studio.pictures_lower > studio.pictures
            && studio.pictures_lower_dropped < studio.pictures_lower / 4,
        "{studio:?}"
    );
    for performing in performing {
        performing.abort();
    }
}

/// An initialization section and the newest part of a playlist, as ffprobe reads them.
async fn probed(house: &House, playlist: &str) -> String {
    let text = house.get(&format!("/hls/hall/{playlist}")).await.text();
    let quoted = |line: &str| Some(line.split_once("URI=\"")?.1.split_once('"')?.0.to_owned());
    let newest = |tag: &str| {
        text.lines()
            .rfind(|line| line.starts_with(tag))
            .and_then(quoted)
    };
    let mut file = Vec::new();
    for tag in ["#EXT-X-MAP", "#EXT-X-PART:"] {
        let name = newest(tag).unwrap_or_else(|| panic!("no {tag} in {text}"));
        file.extend(house.get(&format!("/hls/hall/{name}")).await.body);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("part.mp4");
    std::fs::write(&path, file).expect("written");
    let probing = tokio::task::spawn_blocking(move || {
        let entries = "stream=codec_name,sample_rate,channels,nb_read_frames";
        let done = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-show_entries", entries])
            .args(["-of", "csv=p=0"])
            .arg(&path)
            .output()
            .expect("the tests need ffmpeg: see ./test");
        assert_eq!(String::from_utf8_lossy(&done.stderr), "");
        drop(folder);
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    });
    probing.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_in_opus_beside_aac_keeps_every_rule_and_ffprobe_reads_it() {
    let house = House::with(|config| config.broadcast.opus = true).await;
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let options = Options::new(Form::Single);
    let member = connect(&house.web_socket(), &able, &options).await;
    let level = Arc::new(AtomicU8::new(LOUD));
    let camera = Some(Camera::new((320, 180)));
    let performing = tokio::spawn(perform(member.expect("let in"), tone(), camera, level));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let path = "/api/rooms/hall/broadcast";
    let on = house
        .send("POST", path, &able, r#"{"program":"cut"}"#)
        .await;
    assert_eq!(on.status, 200, "{}", on.text());
    let start = tokio::time::Instant::now();
    let index = loop {
        let index = house.get("/hls/hall/index.m3u8").await.text();
        if index.contains("opus.m3u8") && index.contains("RESOLUTION") {
            break index;
        }
        assert!(start.elapsed() < SOON, "a picture: {index}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let place = |what: &str| {
        index
            .find(what)
            .unwrap_or_else(|| panic!("{what} in {index}"))
    };
    assert!(place(",mp4a.40.2\"") < place(",opus\""), "{index}");
    let address = format!("http://{}/hls/hall/index.m3u8", house.address);
    let watching = [Mode::LowLatency, Mode::Plain].map(|mode| {
        let config = Config {
            slack: SLACK,
            ..Config::new(address.clone(), mode)
        };
        tokio::spawn(watch(config, Duration::from_secs(90)))
    });
    tokio::time::sleep(Duration::from_secs(12)).await;
    // 320 ms of each.
    assert_eq!(probed(&house, "opus.m3u8").await, "opus,48000,2,16");
    assert_eq!(probed(&house, "audio.m3u8").await, "aac,48000,2,15");
    let off = house.send("DELETE", path, &able, "").await;
    assert_eq!(off.status, 200, "{}", off.text());
    for watching in watching {
        let report = watching.await.expect("no panic").expect("a report");
        conforms(&report);
        assert!(report.counters.inits >= 3, "{:?}", report.counters);
    }
    performing.abort();
}

/// Everything that a playlist of an ended program lists, as ffprobe plays it: codec, size, and how many frames it decodes.
async fn played(house: &House, playlist: &str) -> (String, u64) {
    let url = format!("http://{}/hls/hall/{playlist}", house.address);
    let probing = tokio::task::spawn_blocking(move || {
        let entries = "stream=codec_name,width,height,nb_read_frames";
        let done = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-show_entries", entries])
            .args(["-of", "csv=p=0", &url])
            .output()
            .expect("the tests need ffmpeg: see ./test");
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{url}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    });
    let said = probing.await.expect("no panic");
    // Once for the program that ffmpeg makes of the playlist, and once for the file.
    let line = said.lines().next().expect("a stream");
    let (what, frames) = line.rsplit_once(',').expect("a count");
    (what.to_owned(), frames.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composed_program_keeps_every_rule_for_both_kinds_of_player_and_ffprobe_plays_every_rendition()
 {
    let mut hall = Hall::with(|config| config.broadcast.opus = true).await;
    for (name, size, level) in [("ada", (320, 180), LOUD), ("bo", (480, 360), SILENT)] {
        hall.enters(name, Some(Camera::new(size)), level).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"compose","layout":"grid"}"#)
        .await;
    lists(&hall.house, &["640x360", "320x180"]).await;
    let address = format!("http://{}/hls/hall/index.m3u8", hall.house.address);
    let watching = [Mode::LowLatency, Mode::Plain].map(|mode| {
        let config = Config {
            slack: SLACK_COMPOSED,
            ..Config::new(address.clone(), mode)
        };
        tokio::spawn(watch(config, Duration::from_secs(90)))
    });
    tokio::time::sleep(Duration::from_secs(6)).await;
    hall.asks("PATCH", r#"{"layout":"speaker"}"#).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let index = hall.house.get("/hls/hall/index.m3u8").await.text();
    hall.asks("DELETE", "").await;
    for watching in watching {
        let report = watching.await.expect("no panic").expect("a report");
        conforms(&report);
        // Of two sizes and two kinds of sound.
        assert!(report.counters.segments >= 12, "{:?}", report.counters);
        assert!(report.counters.inits >= 4, "{:?}", report.counters);
    }
    let quoted = |line: &str| Some(line.split_once("URI=\"")?.1.split_once('"')?.0.to_owned());
    let sounds = index
        .lines()
        .filter(|line| line.starts_with("#EXT-X-MEDIA:TYPE=AUDIO"))
        .filter_map(quoted);
    let pictures = index.lines().filter(|line| line.starts_with("video"));
    let playlists: BTreeSet<String> = pictures.map(str::to_owned).chain(sounds).collect();
    let mut found = BTreeSet::new();
    for playlist in &playlists {
        let (what, frames) = played(&hall.house, playlist).await;
        // Ten seconds of fifteen pictures, and more of sound.
        assert!(frames >= 100, "{playlist}: {frames} frames of {what}");
        found.insert(what);
    }
    let expected = ["aac", "h264,320,180", "h264,640,360", "opus"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected), "{index}");
}

/// What who plays whole segments needs before it can begin: nothing that is not there yet, however long the program runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_player_that_comes_in_the_middle_begins_at_once_with_what_is_listed() {
    // goals.md asks it of a player behind a network.
    const BEGUN_MAX: Duration = Duration::from_secs(6);
    let house = House::open().await;
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let options = Options::new(Form::Single);
    let member = connect(&house.web_socket(), &able, &options).await;
    let level = Arc::new(AtomicU8::new(LOUD));
    let camera = Some(Camera::layered((640, 360)));
    let performing = tokio::spawn(perform(member.expect("let in"), tone(), camera, level));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let path = "/api/rooms/hall/broadcast";
    let on = house
        .send("POST", path, &able, r#"{"program":"cut"}"#)
        .await;
    assert_eq!(on.status, 200, "{}", on.text());
    lists(&house, &["640x360"]).await;
    let index = format!("http://{}/hls/hall/index.m3u8", house.address);
    let begins = async |from: &str| {
        let config = Config {
            slack: SLACK,
            ..Config::new(index.clone(), Mode::Plain)
        };
        let report = watch(config, Duration::from_secs(8)).await;
        let report = report.expect("a report");
        keeps_every_rule(&report);
        let beginning = report.beginning.expect("it plays");
        println!("a plain player {from}: {beginning:?}");
        beginning
    };
    begins("at the beginning").await;
    let playlist = house.get("/hls/hall/video.m3u8").await.text();
    let target = playlist
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-TARGETDURATION:"))
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs)
        .expect("a target duration");
    let beginning = begins("in the middle").await;
    // HOLD-BACK is three of them, and falls into a segment.
    assert!(
        beginning.behind > Duration::ZERO && beginning.behind <= target * 4,
        "{beginning:?}, target {target:?}"
    );
    assert!(beginning.took <= BEGUN_MAX, "{beginning:?}");
    house.send("DELETE", path, &able, "").await;
    performing.abort();
}

/// Puts a program into the house's origin as fast as it is shown: segments of a second in a window of five. Every four seconds one of two cameras, each as the sizes of its ladder from the top down.
pub async fn show(house: &House, seconds: u32, cameras: [&[(u32, u32)]; 2]) {
    let origin = house.server.app().origin.clone();
    let second = Duration::from_secs(1);
    origin.begin(
        "hall",
        WindowConfig {
            segment_max: second,
            listed: second * 5,
            kept: second * 6,
            ..WindowConfig::new(1_700_000_000_000, now_s() as i64 * 1_000)
        },
    );
    let mut packager = Packager::new(PackagerConfig {
        segment_target: second,
        segment_max: second,
        // AAC-LC, 48 kHz, stereo (ISO/IEC 14496-3 §1.6.2.1).
        ..PackagerConfig::new(vec![0x11, 0x90])
    });
    let films = cameras.map(|ladder| {
        let rungs = ladder.iter().map(|size| film(*size));
        rungs.collect::<Vec<_>>()
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / u64::from(FPS)));
    let mut sounds = 0;
    for shown in 0..seconds * FPS {
        ticks.tick().await;
        // Another camera begins at one of its key frames.
        let rungs = &films[(shown / (4 * FPS)) as usize % 2];
        let time = MediaTime::new(i64::from(shown) * 90_000 / i64::from(FPS), 90_000);
        for (film, rung) in rungs.iter().zip(0..) {
            packager.push(&Sample {
                kind: MediaKind::Video,
                rung,
                time,
                key: shown % FPS == 0,
                cut: rung == 0 && shown % (4 * FPS) == 0 && shown > 0,
                data: film[shown as usize % film.len()].clone().into(),
            });
        }
        while sounds * 90_000 / 48_000 <= time.ticks {
            packager.push(&Sample {
                kind: MediaKind::Audio,
                rung: 0,
                time: MediaTime::new(sounds, 48_000),
                key: true,
                cut: false,
                data: Bytes::from_static(&[0x21; 64]),
            });
            sounds += 1_024;
        }
        while let Some(output) = packager.poll() {
            origin.push("hall", &output);
        }
    }
    packager.end();
    while let Some(output) = packager.poll() {
        origin.push("hall", &output);
    }
    origin.end("hall");
}

/// What a low-latency and a plain player made of 14 seconds of it.
async fn shown(dvr: Rewind, cameras: [&'static [(u32, u32)]; 2]) -> Vec<Counters> {
    let house = Arc::new(House::with(|config| config.broadcast.dvr = dvr).await);
    let showing = {
        let house = house.clone();
        tokio::spawn(async move { show(&house, 14, cameras).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let index = format!("http://{}/hls/hall/index.m3u8", house.address);
    let watching = [Mode::LowLatency, Mode::Plain].map(|mode| {
        let config = Config {
            slack: SLACK,
            ..Config::new(index.clone(), mode)
        };
        tokio::spawn(watch(config, Duration::from_secs(60)))
    });
    let mut all = Vec::new();
    for watching in watching {
        let report = watching.await.expect("no panic").expect("a report");
        conforms(&report);
        all.push(report.counters);
    }
    showing.await.expect("no panic");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_slides_over_cuts_keeps_every_rule_that_players_can_see() {
    for counters in shown(Rewind(None), [&[(320, 180)], &[(640, 360)]]).await {
        assert!(counters.discontinuities >= 4, "{counters:?}");
        assert!(
            counters.again >= 4 && counters.segments >= 18,
            "{counters:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ladder_of_three_rungs_keeps_every_rule_that_players_can_see() {
    const CAMERAS: [&[(u32, u32)]; 2] = [
        &[(640, 360), (320, 180), (256, 144)],
        &[(480, 360), (320, 240), (192, 144)],
    ];
    for counters in shown(Rewind(None), CAMERAS).await {
        assert!(counters.discontinuities >= 8, "{counters:?}");
        assert!(
            counters.inits >= 8 && counters.segments >= 36,
            "{counters:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_kept_on_disk_keeps_every_rule_that_players_can_see() {
    let dvr = Rewind(Some(Duration::from_secs(9)));
    let all = shown(dvr, [&[(320, 180), (256, 144)], &[(640, 360), (256, 144)]]).await;
    let [low_latency, plain] = all[..] else {
        panic!("two players");
    };
    assert!(low_latency.deltas > 20, "{low_latency:?}");
    assert!(plain.again >= 4 && plain.deltas == 0, "{plain:?}");
}
