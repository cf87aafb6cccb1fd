//! A stage in one picture: real cameras of several codecs go in, and what viewers get is decoded and looked at.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use peer::net::{Options, connect};
use peer::{Codec, Form};
use player::net::watch;
use player::{Config, Mode};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::conform::keeps_every_rule;
use crate::house::{House, token};
use crate::performer::{Camera, LOUD, SILENT, perform, tone};

pub const SOON: Duration = Duration::from_secs(20);
/// For machines that run other tests beside this one.
pub const SLACK: Duration = Duration::from_secs(5);

/// Red, green and blue.
pub type Rgb = [u8; 3];

pub const RED: Rgb = [255, 0, 0];
const GREEN: Rgb = [0, 128, 0];
pub const BLUE: Rgb = [0, 0, 255];
const YELLOW: Rgb = [255, 255, 0];
/// What is below a title over red: three quarters of it dark.
const DARK: Rgb = [75, 11, 15];
const BLACK: Rgb = [0, 0, 0];

pub struct Hall {
    pub house: House,
    able: String,
    performing: Vec<JoinHandle<()>>,
}

impl Hall {
    /// A house that composes at 640 × 360 and half of it: small, so that a busy machine carries it.
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut amphi::config::Config)) -> Self {
        let house = House::with(|config| {
            config.program.ladder = ["640x360 800k", "320x180 200k"]
                .map(|size| size.to_owned().try_into().expect("a good size"))
                .to_vec();
            config.program.frames_per_second = 15;
            change(config);
        })
        .await;
        Self {
            house,
            able: token("hall", "ada").grant("roomAdmin", true).sign(),
            performing: Vec::new(),
        }
    }

    pub async fn enters(&mut self, name: &str, camera: Option<Camera>, level: u8) {
        let token = token("hall", name).grant("roomAdmin", true).sign();
        let member = connect(
            &self.house.web_socket(),
            &token,
            &Options::new(Form::Single),
        )
        .await
        .expect("let in");
        let level = Arc::new(AtomicU8::new(level));
        self.performing
            .push(tokio::spawn(perform(member, tone(), camera, level)));
    }

    /// Many with the same camera come in at once. They listen to nobody.
    pub async fn enter_together(&mut self, names: impl Iterator<Item = String>, camera: &Camera) {
        let socket = self.house.web_socket();
        let options = Options {
            auto_subscribe: false,
            ..Options::new(Form::Single)
        };
        let (tone, level) = (tone(), Arc::new(AtomicU8::new(SILENT)));
        for name in names {
            let token = token("hall", &name).sign();
            let (socket, options) = (socket.clone(), options.clone());
            let (tone, camera, level) = (tone.clone(), camera.clone(), level.clone());
            self.performing.push(tokio::spawn(async move {
                let member = connect(&socket, &token, &options).await.expect("let in");
                perform(member, tone, Some(camera), level).await;
            }));
        }
    }

    pub async fn asks(&self, method: &str, body: &str) -> Value {
        let answer = self
            .house
            .send(method, "/api/rooms/hall/broadcast", &self.able, body)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    pub async fn broadcast(&self) -> Value {
        self.house.get("/api/rooms/hall").await.json()["broadcast"].clone()
    }

    /// The newest picture of a rung, as somebody sees it who watches: its size, and its pixels in RGB.
    async fn seen(&self, rung: usize) -> Option<(usize, usize, Vec<u8>)> {
        let index = self.house.get("/hls/hall/index.m3u8").await;
        if index.status != 200 {
            return None;
        }
        let index = index.text();
        let mut lines = index.lines();
        let mut playlists = Vec::new();
        while let Some(line) = lines.next() {
            if line.starts_with("#EXT-X-STREAM-INF") && line.contains("RESOLUTION") {
                playlists.push(lines.next()?.to_owned());
            }
        }
        let playlist = self
            .house
            .get(&format!("/hls/hall/{}", playlists.get(rung)?))
            .await
            .text();
        let attribute = |line: &str, name: &str| {
            let start = line.find(&format!("{name}=\""))? + name.len() + 2;
            let length = line[start..].find('"')?;
            Some(line[start..start + length].to_owned())
        };
        let init = playlist
            .lines()
            .rfind(|line| line.starts_with("#EXT-X-MAP"))?;
        let part = playlist
            .lines()
            .rfind(|line| line.starts_with("#EXT-X-PART:") && line.contains("INDEPENDENT=YES"))?;
        let mut file = self
            .house
            .get(&format!("/hls/hall/{}", attribute(init, "URI")?))
            .await
            .body;
        let part = self
            .house
            .get(&format!("/hls/hall/{}", attribute(part, "URI")?))
            .await;
        if part.status != 200 {
            return None;
        }
        file.extend(part.body);
        decoded(file).await
    }

    /// Waits until the colours are at their places of the newest picture of a rung; (across, down) from 0 to 1.
    pub async fn shows(&self, rung: usize, what: &[((f64, f64), Rgb)]) {
        let start = Instant::now();
        let mut newest = None;
        while start.elapsed() < SOON {
            if let Some((width, height, pixels)) = self.seen(rung).await {
                let seen: Vec<Rgb> = what
                    .iter()
                    .map(|((across, down), _)| {
                        let x = (width as f64 * across) as usize;
                        let y = (height as f64 * down) as usize;
                        let at = (y * width + x) * 3;
                        [pixels[at], pixels[at + 1], pixels[at + 2]]
                    })
                    .collect();
                if seen
                    .iter()
                    .zip(what)
                    .all(|(seen, (_, wanted))| is_near(*seen, *wanted))
                {
                    return;
                }
                newest = Some(seen);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        panic!(
            "not seen within {SOON:?}: {what:?}, but {newest:?}; {}",
            self.broadcast().await
        );
    }

    /// The process that composes for this house.
    pub fn composer(&self) -> Option<u32> {
        self.house.server.app().programs.state("hall")?.composer
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        for performing in &self.performing {
            performing.abort();
        }
    }
}

pub fn is_near(seen: Rgb, wanted: Rgb) -> bool {
    seen.iter()
        .zip(wanted)
        .all(|(seen, wanted)| seen.abs_diff(wanted) < 40)
}

/// The first picture of a file, in RGB.
pub async fn decoded(file: Vec<u8>) -> Option<(usize, usize, Vec<u8>)> {
    let decoding = tokio::task::spawn_blocking(move || {
        let mut running = Command::new("ffmpeg")
            .args(
                "-v quiet -i pipe:0 -frames:v 1 -pix_fmt rgb24 -f image2pipe -c:v ppm -".split(' '),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tests need ffmpeg: see ./test");
        let mut stdin = running.stdin.take().expect("it was piped");
        let writing = std::thread::spawn(move || {
            use std::io::Write;
            // It may have seen enough.
            let _ = stdin.write_all(&file);
        });
        let output = running.wait_with_output().expect("it runs");
        writing.join().expect("a thread that only writes");
        output.stdout
    });
    let ppm = decoding.await.expect("no panic");
    let mut words = ppm.splitn(4, |byte| byte.is_ascii_whitespace());
    let mut word = || std::str::from_utf8(words.next()?).ok().map(str::to_owned);
    word().filter(|magic| magic == "P6")?;
    let (width, height): (usize, usize) = (word()?.parse().ok()?, word()?.parse().ok()?);
    Some((
        width,
        height,
        ppm[ppm.len() - width * height * 3..].to_vec(),
    ))
}

/// Four in the corners: two send H.264, one VP8, and one AV1, upright and large.
#[tokio::test(flavor = "multi_thread")]
async fn four_cameras_of_three_codecs_are_in_their_cells_at_every_size_and_the_layout_changes_live()
{
    let mut hall = Hall::open().await;
    hall.enters(
        "ada",
        Some(Camera::of_colour("red", (320, 180), Codec::H264)),
        LOUD,
    )
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    hall.enters(
        "bo",
        Some(Camera::of_colour("green", (640, 360), Codec::Vp8)),
        SILENT,
    )
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    hall.enters(
        "cy",
        Some(Camera::of_colour("blue", (320, 240), Codec::H264)),
        SILENT,
    )
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    hall.enters(
        "di",
        Some(Camera::of_colour("yellow", (360, 640), Codec::Av1)),
        SILENT,
    )
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let on = hall
        .asks("POST", r#"{"program":"compose","layout":"grid"}"#)
        .await;
    assert_eq!(
        (&on["program"], &on["layout"]),
        (&"compose".into(), &"grid".into()),
        "{on}"
    );
    let corners = [
        ((0.25, 0.25), RED),
        ((0.75, 0.25), GREEN),
        ((0.25, 0.75), BLUE),
        ((0.75, 0.75), YELLOW),
    ];
    hall.shows(0, &corners).await;
    hall.shows(1, &corners).await;
    let playlist = hall.house.get("/hls/hall/index.m3u8").await.text();
    let native = hall.house.get("/hls/hall/index.m3u8?native").await.text();
    for word in ["RESOLUTION=640x360", "RESOLUTION=320x180", "avc1.4d"] {
        assert!(playlist.contains(word), "{word} in {playlist}");
        assert!(native.contains(word), "{word} in {native}");
    }

    let index = format!("http://{}/hls/hall/index.m3u8", hall.house.address);
    let config = Config {
        slack: SLACK,
        ..Config::new(index, Mode::LowLatency)
    };
    let watching = tokio::spawn(watch(config, Duration::from_secs(60)));
    assert_eq!(on["title"], "", "nothing is written into it: {on}");
    // Who is held upright has bars beside, or none.
    assert_eq!(on["fit"], "auto", "{on}");
    let bars = ((0.55, 0.75), BLACK);
    hall.shows(0, &[bars, ((0.75, 0.75), YELLOW)]).await;
    let changed = hall.asks("PATCH", r#"{"fit":"crop"}"#).await;
    assert_eq!(changed["fit"], "crop", "{changed}");
    hall.shows(0, &[((0.55, 0.75), YELLOW), ((0.95, 0.75), YELLOW)])
        .await;
    let changed = hall.asks("PATCH", r#"{"fit":"whole"}"#).await;
    assert_eq!(changed["fit"], "whole", "{changed}");
    hall.shows(0, &[bars, ((0.75, 0.75), YELLOW)]).await;
    let changed = hall
        .asks(
            "PATCH",
            r#"{"fit":"crop","layout":"speaker","title":" Town hall "}"#,
        )
        .await;
    assert_eq!(
        (&changed["layout"], &changed["title"]),
        (&"speaker".into(), &"Town hall".into()),
        "{changed}"
    );
    // Its ground is dark: in the upper left corner, over who speaks.
    hall.shows(0, &[((0.35, 0.5), RED), ((0.05, 0.04), DARK)])
        .await;
    let state = hall.broadcast().await;
    assert_eq!(state["picture"]["width"], 640, "{state}");
    assert_eq!(state["note"], Value::Null, "{state}");

    hall.asks("DELETE", "").await;
    let report = watching.await.expect("no panic").expect("a report");
    keeps_every_rule(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_cut_and_composed_a_room_stays_on_air() {
    let mut hall = Hall::open().await;
    hall.enters(
        "ada",
        Some(Camera::of_colour("red", (320, 180), Codec::H264)),
        LOUD,
    )
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    hall.enters(
        "bo",
        Some(Camera::of_colour("blue", (320, 180), Codec::H264)),
        SILENT,
    )
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.asks("POST", r#"{"program":"cut"}"#).await;
    let everywhere = [((0.1, 0.1), RED), ((0.9, 0.9), RED)];
    hall.shows(0, &everywhere).await;
    assert_eq!(hall.composer(), None, "nobody composes");
    let started = hall.broadcast().await["started"].clone();
    // Who goes on air where somebody is already gets what they ask for too.
    let again = hall
        .asks("POST", r#"{"program":"compose","layout":"side-by-side"}"#)
        .await;
    assert_eq!(again["requested"], "compose", "{again}");
    hall.shows(0, &[((0.25, 0.5), RED), ((0.75, 0.5), BLUE)])
        .await;
    hall.shows(1, &[((0.25, 0.5), RED), ((0.75, 0.5), BLUE)])
        .await;
    let index = format!("http://{}/hls/hall/index.m3u8", hall.house.address);
    let config = Config {
        slack: SLACK,
        ..Config::new(index, Mode::LowLatency)
    };
    let watching = tokio::spawn(watch(config, Duration::from_secs(90)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cut = hall.asks("PATCH", r#"{"program":"cut"}"#).await;
    assert_eq!(
        cut["layout"], "side-by-side",
        "what was not named stays: {cut}"
    );
    hall.shows(0, &everywhere).await;
    assert_eq!(hall.composer(), None, "nobody composes any more");
    assert_eq!(hall.broadcast().await["started"], started, "one broadcast");
    // Who plays the lower size is not interrupted, though there is none any more.
    let lower = hall.house.get("/hls/hall/video1.m3u8").await;
    assert_eq!(lower.status, 200);
    assert!(
        lower.text().contains("#EXT-X-DISCONTINUITY\n"),
        "{}",
        lower.text()
    );
    hall.asks("DELETE", "").await;
    let report = watching.await.expect("no panic").expect("a report");
    let said: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(
        said.is_empty() && report.ended,
        "{}\n{:?}",
        said.join("\n"),
        report.counters
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composer_that_is_killed_is_followed_by_another_and_viewers_see_a_cut() {
    let mut hall = Hall::open().await;
    hall.enters(
        "ada",
        Some(Camera::of_colour("red", (320, 180), Codec::H264)),
        LOUD,
    )
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    hall.enters("bo", None, SILENT).await;
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
    let killed = Command::new("kill")
        .args(["-9", &before.to_string()])
        .status();
    assert!(killed.expect("a shell's kill").success());
    let start = Instant::now();
    while hall.composer().is_none_or(|now| now == before) {
        assert!(start.elapsed() < SOON, "another one follows");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    hall.shows(0, &[((0.25, 0.5), RED)]).await;
    assert_eq!(hall.house.metric("amphi_composers_died_total").await, 1.0);
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
async fn a_layout_that_is_none_and_a_program_that_does_not_run_are_refused_in_words() {
    let mut hall = Hall::open().await;
    let path = "/api/rooms/hall/broadcast";
    let body = r#"{"program":"compose","layout":"circle"}"#;
    let refused = hall.house.send("POST", path, &hall.able, body).await;
    let words = refused.refused(400, "bad_request", None);
    assert!(
        words.contains("side-by-side"),
        "it names what there is: {words}"
    );
    let body = r#"{"fit":"stretch"}"#;
    let refused = hall.house.send("POST", path, &hall.able, body).await;
    let words = refused.refused(400, "bad_request", None);
    assert!(words.contains("whole"), "it names what there is: {words}");
    let refused = hall.house.send("PATCH", path, &hall.able, "{}").await;
    refused.refused(409, "conflict", None);
    hall.enters("ada", None, LOUD).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let refused = hall
        .house
        .send("PATCH", path, &hall.able, r#"{"layout":"grid"}"#)
        .await;
    let words = refused.refused(409, "conflict", None);
    assert!(words.contains("start its broadcast"), "{words}");
    for (title, says) in [
        ("x".repeat(81), "81 characters"),
        ("a\tb".to_owned(), "one line"),
    ] {
        let body = serde_json::json!({ "title": title }).to_string();
        let refused = hall.house.send("POST", path, &hall.able, &body).await;
        let words = refused.refused(400, "bad_request", None);
        assert!(words.contains(says), "{words}");
    }
}
