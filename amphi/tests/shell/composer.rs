//! The process that composes: what becomes of it when strangers or the kernel are not kind to it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use peer::net::{Handle, Options, connect};
use peer::{Codec, Event, Form, Kind};
use player::net::watch;
use player::{Config, Mode};
use tokio::time::Instant;

use crate::composed::{Hall, RED, SLACK, SOON};
use crate::conform::keeps_every_rule;
use crate::house::token;
use crate::performer::{Camera, LOUD, SILENT};

/// Somebody in the call who only listens.
struct Listener(Handle);

impl Listener {
    async fn enters(hall: &Hall) -> Self {
        let token = token("hall", "listener").sign();
        let options = Options::new(Form::Single);
        let joined = connect(&hall.house.web_socket(), &token, &options).await;
        Self(joined.expect("let in"))
    }

    /// Forgets what came.
    fn begin(&mut self) {
        self.0.take();
    }

    /// How much came of this kind, and the longest time between two packets of it.
    fn heard(&mut self, kind: Kind) -> (usize, Duration) {
        let events = self.0.take();
        let of_kind = |event: &Event| matches!(event, Event::Rtp(rtp) if rtp.kind == kind);
        let times: Vec<_> = (events.iter())
            .filter(|(_, event)| of_kind(event))
            .map(|(at, _)| *at)
            .collect();
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        (times.len(), pauses.max().unwrap_or(Duration::MAX))
    }

    /// The call went on for at least so long.
    #[track_caller]
    fn was_not_disturbed(&mut self, lasted: Duration) {
        let (count, pause) = self.heard(Kind::Audio);
        // Fifty packets a second, of which a busy machine may send some late.
        assert!(
            count as u64 > lasted.as_secs() * 40,
            "{count} in {lasted:?}"
        );
        assert!(pause < Duration::from_secs(1), "a pause of {pause:?}");
    }
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(sent.expect("a shell's kill").success());
}

fn red() -> Camera {
    Camera::of_colour("red", (320, 180), Codec::H264)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composer_that_hangs_is_followed_by_another_and_the_call_does_not_notice() {
    let mut hall = Hall::open().await;
    hall.enters("ada", Some(red()), LOUD).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    hall.enters("bo", None, SILENT).await;
    let mut listener = Listener::enters(&hall).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"compose"}"#).await;
    hall.shows(0, &[((0.25, 0.5), RED)]).await;
    let index = format!("http://{}/hls/hall/index.m3u8", hall.house.address);
    let config = Config {
        slack: SLACK,
        ..Config::new(index, Mode::LowLatency)
    };
    let watching = tokio::spawn(watch(config, Duration::from_secs(90)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = hall.composer().expect("one composes");
    listener.begin();
    let start = Instant::now();
    signal("-STOP", before);
    while hall.composer().is_none_or(|now| now == before) {
        assert!(start.elapsed() < 2 * SOON, "another one follows");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let hung = start.elapsed();
    assert!(
        hung > Duration::from_secs(5),
        "it may only be slow: {hung:?}"
    );
    listener.was_not_disturbed(hung);
    tokio::time::sleep(Duration::from_secs(3)).await;
    hall.shows(0, &[((0.25, 0.5), RED)]).await;
    assert_eq!(hall.house.metric("amphi_composers_hung_total").await, 1.0);
    assert_eq!(hall.house.metric("amphi_composers_died_total").await, 1.0);
    let gone = std::fs::read_to_string(format!("/proc/{before}/status"));
    assert!(gone.is_err(), "it is not there any more: {gone:?}");
    hall.asks("DELETE", "").await;
    let report = watching.await.expect("no panic").expect("a report");
    keeps_every_rule(&report);
    assert!(
        report.counters.discontinuities >= 1,
        "{:?}",
        report.counters
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composer_that_was_slow_to_begin_is_not_late_from_then_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = folder.path().join("slow");
    let mut hall = Hall::with(|config| {
        let script = format!(
            "#!/bin/sh\nsleep 4\nexec '{}' \"$@\"\n",
            config.worker.display()
        );
        std::fs::write(&slow, script).expect("a folder that can be written to");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&slow, executable).expect("a file of ours");
        config.worker = slow;
    })
    .await;
    hall.enters("ada", Some(red()), LOUD).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"compose"}"#).await;
    hall.shows(0, &[((0.5, 0.5), RED)]).await;
    let start = Instant::now();
    let mut behind = f64::MAX;
    while behind > 2.5 {
        assert!(start.elapsed() < SOON, "it is {behind} s behind");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let state = hall.broadcast().await;
        behind = state["seconds_behind"].as_f64().unwrap_or(f64::MAX);
    }
}

/// What the kernel says of a process in this file, by the name of the line.
fn kernel_says(process: u32, file: &str, name: &str) -> Option<String> {
    let path = format!("/proc/{process}/{file}");
    let text = std::fs::read_to_string(path).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let value = line.trim_start_matches(':').split_whitespace().next()?;
    Some(value.to_owned())
}

/// What it may do then is tried in `compose/sandbox.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn what_composes_is_shut_in_by_the_kernel() {
    let mut hall = Hall::open().await;
    hall.enters("ada", Some(red()), LOUD).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"compose"}"#).await;
    hall.shows(0, &[((0.5, 0.5), RED)]).await;
    let composer = hall.composer().expect("one composes");
    for (name, most) in [
        ("Max address space", "4294967296"),
        ("Max open files", "8"),
        ("Max processes", "0"),
        ("Max core file size", "0"),
    ] {
        let said = kernel_says(composer, "limits", name);
        assert_eq!(said.as_deref(), Some(most), "{name}");
    }
    // Where this kernel has it at all.
    let own = std::process::id();
    if kernel_says(own, "status", "Seccomp").is_some() {
        let of = |name| kernel_says(composer, "status", name);
        assert_eq!(of("Seccomp").as_deref(), Some("2"), "a filter");
        assert_eq!(of("NoNewPrivs").as_deref(), Some("1"));
        // The server itself is not meant.
        assert_eq!(
            kernel_says(own, "status", "NoNewPrivs").as_deref(),
            Some("0")
        );
    }
    let open = std::fs::read_dir(format!("/proc/{composer}/fd")).expect("it runs");
    let open: Vec<String> = open
        .map(|entry| std::fs::read_link(entry.expect("an entry").path()))
        .map(|to| to.expect("a link").display().to_string())
        .collect();
    let files = open
        .iter()
        .filter(|to| to.starts_with('/') && *to != "/dev/null");
    // Its errors are the server's.
    assert!(files.count() <= 1, "{open:?}");
}

/// In the first of five cells.
const FIRST: (f64, f64) = (0.165, 0.33);

/// One damaged film for each decoder, beside somebody who sends what one should.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_frames_of_every_codec_cost_their_own_senders_picture_and_nothing_else() {
    let mut hall = Hall::open().await;
    hall.enters("ada", Some(red()), LOUD).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (seed, codec) in (1_u64..).zip([Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1]) {
        let camera = Camera::damaged((320, 180), codec, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        hall.enters(&format!("{codec:?}"), Some(camera), SILENT)
            .await;
    }
    let mut listener = Listener::enters(&hall).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"compose"}"#).await;
    hall.shows(0, &[(FIRST, RED)]).await;
    listener.begin();
    let start = Instant::now();
    let errors = r#"amphi_studio_total{event="decoder_errors"}"#;
    while hall.house.metric(errors).await < 40.0 || start.elapsed() < Duration::from_secs(10) {
        assert!(start.elapsed() < 2 * SOON, "they get to the decoders");
        hall.shows(0, &[(FIRST, RED)]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    listener.was_not_disturbed(start.elapsed());
    hall.shows(0, &[(FIRST, RED)]).await;
    assert!(hall.composer().is_some(), "it goes on, or another one does");
    let state = hall.broadcast().await;
    assert_eq!(state["program"], "compose", "it was not given up: {state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_five_who_come_at_once_are_all_seen() {
    let mut hall = Hall::with(|config| config.program.frames_per_second = 10).await;
    hall.enters("ada", None, LOUD).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"compose"}"#).await;
    let camera = Camera::of_colour("red", (64, 36), Codec::H264);
    let names = (2..=25).map(|number| format!("guest-{number}"));
    hall.enter_together(names, &camera).await;
    // All but the first, who has no camera, in five rows of five.
    let middle = |number: usize| {
        let (column, row) = (number % 5, number / 5);
        ((column as f64 + 0.5) / 5.0, (row as f64 + 0.5) / 5.0)
    };
    let cells: Vec<_> = (1..25).map(|number| (middle(number), RED)).collect();
    hall.shows(0, &cells).await;
    let layouts = r#"amphi_studio_total{event="layouts"}"#;
    let settled = hall.house.metric(layouts).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    hall.shows(0, &cells).await;
    assert_eq!(hall.house.metric(layouts).await, settled);
    assert_eq!(hall.house.metric("amphi_composers_died_total").await, 0.0);
}
