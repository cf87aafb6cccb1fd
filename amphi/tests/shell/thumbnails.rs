//! Thumbnails of broadcasts: real cameras go in, and what is on the thumbnails is decoded and looked at.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amphi::config::Thumbnails;
use amphi::egress::Live as _;
use amphi_media::{MediaKind, MediaTime, Sample};
use amphi_mux::WindowConfig;
use peer::net::{Options, connect};
use peer::{Codec, Form};
use player::net::watch;
use player::{Config, Mode};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::composed::{Rgb, decoded, is_near};
use crate::conform::keeps_every_rule;
use crate::house::{House, ask, token};
use crate::performer::{Camera, LOUD, SILENT, film, perform, tone};

const SOON: Duration = Duration::from_secs(20);
/// For machines that run other tests beside this one.
const SLACK: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(2);

const RED: Rgb = [255, 0, 0];
const BLUE: Rgb = [0, 0, 255];

const LIST: &str = "/hls/hall/thumbnails.m3u8";

/// Ada in red, who speaks, and Bo in blue.
struct Hall {
    house: House,
    able: String,
    levels: Vec<Arc<AtomicU8>>,
    performing: Vec<JoinHandle<()>>,
}

impl Hall {
    async fn open(thumbnails: Option<Duration>) -> Self {
        let house = House::with(|config| {
            config.broadcast.thumbnails = Thumbnails(thumbnails);
            config.program.ladder = ["640x360 800k", "320x180 200k"]
                .map(|size| size.to_owned().try_into().expect("a good size"))
                .to_vec();
            config.program.frames_per_second = 15;
        })
        .await;
        let mut hall = Self {
            house,
            able: token("hall", "ada").grant("roomAdmin", true).sign(),
            levels: Vec::new(),
            performing: Vec::new(),
        };
        for (name, colour, level) in [("ada", "red", LOUD), ("bo", "blue", SILENT)] {
            let token = token("hall", name).grant("roomAdmin", true).sign();
            let options = Options::new(Form::Single);
            let member = connect(&hall.house.web_socket(), &token, &options).await;
            let level = Arc::new(AtomicU8::new(level));
            hall.levels.push(level.clone());
            let camera = Some(Camera::of_colour(colour, (640, 360), Codec::H264));
            let performance = perform(member.expect("let in"), tone(), camera, level);
            hall.performing.push(tokio::spawn(performance));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        hall
    }

    async fn asks(&self, method: &str, body: &str) -> Value {
        let path = "/api/rooms/hall/broadcast";
        let answer = self.house.send(method, path, &self.able, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Names of the thumbnails so far, each with the unix time of what is on it.
    async fn listed(&self) -> Vec<(String, f64)> {
        let list = self.house.get(LIST).await;
        if list.status != 200 {
            return Vec::new();
        }
        let (mut all, mut date, mut is_gap) = (Vec::new(), 0.0, false);
        for line in list.text().lines() {
            if let Some(time) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
                let time = humantime::parse_rfc3339(time).expect("a time");
                date = unix_s(time);
            } else if !line.starts_with('#') {
                all.extend((!is_gap).then(|| (line.to_owned(), date)));
                is_gap = false;
            } else {
                is_gap |= line == "#EXT-X-GAP";
            }
        }
        all
    }

    async fn has_more_than(&self, count: usize) {
        let start = Instant::now();
        while self.listed().await.len() <= count {
            let list = self.house.get(LIST).await.text();
            assert!(start.elapsed() < SOON, "more than {count}: {list}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn colour(&self, name: &str, place: (f64, f64)) -> Rgb {
        let answer = self.house.get(&format!("/hls/hall/{name}")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "image/jpeg")
        );
        let (width, height, pixels) = decoded(answer.body).await.expect("a JPEG");
        assert_eq!((width, height), (256, 144));
        let x = (place.0 * width as f64) as usize;
        let y = (place.1 * height as f64) as usize;
        let at = (y * width + x) * 3;
        [pixels[at], pixels[at + 1], pixels[at + 2]]
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        for performing in &self.performing {
            performing.abort();
        }
    }
}

fn unix_s(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thumbnail_shows_what_was_on_air_at_its_second() {
    let hall = Hall::open(Some(EVERY)).await;
    let on = hall.asks("POST", r#"{"program":"cut"}"#).await;
    assert_eq!(on["state"], "starting", "{on}");
    hall.has_more_than(0).await;
    let index = format!("http://{}/hls/hall/index.m3u8", hall.house.address);
    let config = Config {
        slack: SLACK,
        ..Config::new(index, Mode::LowLatency)
    };
    let watching = tokio::spawn(watch(config, Duration::from_secs(60)));
    hall.has_more_than(2).await;
    let spoke = unix_s(SystemTime::now());
    hall.levels[0].store(SILENT, Ordering::Relaxed);
    hall.levels[1].store(LOUD, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let cut = unix_s(SystemTime::now());
    hall.has_more_than(hall.listed().await.len() + 1).await;

    let (mut reds, mut blues) = (0, 0);
    for (name, time) in hall.listed().await {
        let seen = hall.colour(&name, (0.5, 0.5)).await;
        if time < spoke {
            assert!(is_near(seen, RED), "{name} of {time}: {seen:?}");
            reds += 1;
        } else if time > cut {
            assert!(is_near(seen, BLUE), "{name} of {time}: {seen:?}");
            blues += 1;
        }
    }
    assert!(reds >= 3 && blues >= 1, "{reds} {blues}");

    let state = hall.house.get("/api/rooms/hall").await.json();
    assert_eq!(state["broadcast"]["thumbnails"], LIST, "{state}");
    let index = hall.house.get("/hls/hall/index.m3u8").await.text();
    assert!(
        index.contains("#EXT-X-IMAGE-STREAM-INF:BANDWIDTH="),
        "{index}"
    );
    assert!(
        index.contains("RESOLUTION=256x144,CODECS=\"jpeg\",URI=\"thumbnails.m3u8\""),
        "{index}"
    );
    let list = hall.house.get(LIST).await;
    assert_eq!(list.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(list.header("access-control-allow-origin"), "*");
    let (name, _) = hall.listed().await.remove(0);
    let one = hall.house.get(&format!("/hls/hall/{name}")).await;
    assert!(one.header("cache-control").contains("immutable"));
    assert_eq!(one.header("access-control-allow-origin"), "*");
    let known = [("if-none-match", one.header("etag"))];
    let again = ask(
        hall.house.address,
        "GET",
        &format!("/hls/hall/{name}"),
        &known,
        b"",
    )
    .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert!(hall.house.metric("amphi_hls_thumbnails_total").await >= 4.0);
    assert_eq!(
        hall.house
            .metric("amphi_hls_thumbnails_refused_total")
            .await,
        0.0
    );

    hall.asks("DELETE", "").await;
    let list = hall.house.get(LIST).await.text();
    assert!(list.ends_with("#EXT-X-ENDLIST\n"), "{list}");
    let report = watching.await.expect("no panic").expect("a report");
    keeps_every_rule(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_is_followed_by_another_and_thumbnails_go_on() {
    let hall = Hall::open(Some(EVERY)).await;
    hall.asks("POST", r#"{"program":"compose","layout":"side-by-side"}"#)
        .await;
    hall.has_more_than(1).await;
    let (name, _) = hall.listed().await.pop().expect("one");
    for (place, colour) in [((0.25, 0.5), RED), ((0.75, 0.5), BLUE)] {
        let seen = hall.colour(&name, place).await;
        assert!(is_near(seen, colour), "{seen:?} at {place:?}");
    }
    let before = hall
        .house
        .server
        .app()
        .origin
        .thumbnailer()
        .expect("one runs");
    let killed = Command::new("kill")
        .args(["-9", &before.to_string()])
        .status();
    assert!(killed.expect("a shell's kill").success());
    hall.has_more_than(hall.listed().await.len() + 1).await;
    let after = hall
        .house
        .server
        .app()
        .origin
        .thumbnailer()
        .expect("another runs");
    assert_ne!(before, after);
    assert_eq!(
        hall.house.metric("amphi_thumbnailers_died_total").await,
        1.0
    );
    assert_eq!(hall.house.metric("amphi_composers_died_total").await, 0.0);
    let missed = hall.house.metric("amphi_hls_thumbnails_missed_total").await;
    assert!((1.0..=2.0).contains(&missed), "{missed}");
    let list = hall.house.get(LIST).await.text();
    assert!(
        list.contains("#EXT-X-GAP"),
        "the one that was left out is a gap: {list}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_makes_no_thumbnails_says_nothing_of_them() {
    let hall = Hall::open(None).await;
    hall.asks("POST", r#"{"program":"cut"}"#).await;
    let start = Instant::now();
    let index = async || hall.house.get("/hls/hall/index.m3u8").await.text();
    while !index().await.contains("RESOLUTION") {
        assert!(start.elapsed() < SOON, "a picture");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!index().await.contains("IMAGE"));
    assert_eq!(hall.house.get(LIST).await.status, 404);
    let state = hall.house.get("/api/rooms/hall").await.json();
    assert_eq!(state["broadcast"]["thumbnails"], Value::Null, "{state}");
    assert_eq!(hall.house.server.app().origin.thumbnailer(), None);
    assert_eq!(hall.house.metric("amphi_thumbnailers_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_frames_that_are_broken_cost_their_own_thumbnails_and_nothing_else() {
    let house = House::with(|config| config.broadcast.thumbnails = Thumbnails(Some(EVERY))).await;
    let origin = house.server.app().origin.clone();
    origin.begin("hall", WindowConfig::new(1_700_000_000_000, 0));
    let good = film((320, 180))[0].clone();
    // Parameter sets stay, so that the picture is wanted; what follows is turned to nonsense in one way or another.
    let slice = good
        .windows(4)
        .rposition(|code| code == [0, 0, 0, 1])
        .expect("a slice")
        + 5;
    let mut hostile: Vec<Vec<u8>> = Vec::new();
    for step in [3, 7, 31, 101] {
        let mut broken = good.clone();
        for byte in broken[slice..].iter_mut().step_by(step) {
            *byte = byte.wrapping_mul(31).wrapping_add(7);
        }
        hostile.push(broken);
    }
    hostile.push(good[..slice + 2].to_vec());
    hostile.push([&good[..slice], &[0xff; 100_000][..]].concat());
    let broken = hostile.len();
    hostile.push(good);
    for (slot, data) in hostile.into_iter().enumerate() {
        let sample = Sample {
            kind: MediaKind::Video,
            rung: 0,
            time: MediaTime::new(slot as i64 * 180_000, 90_000),
            key: true,
            cut: false,
            data: data.into(),
        };
        origin.key_frame("hall", &sample);
    }
    let start = Instant::now();
    let last = format!("/hls/hall/i1700000000000-{broken}.jpg");
    while house.get(&last).await.status != 200 {
        assert!(start.elapsed() < SOON, "{:?}", origin.stats().thumbnails);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stats = origin.stats().thumbnails;
    assert!(stats.refused >= 2, "{stats:?}");
    assert_eq!(
        (stats.died, stats.missed, stats.crowded),
        (0, 0, 0),
        "{stats:?}"
    );
    assert_eq!(stats.made + stats.refused, broken as u64 + 1, "{stats:?}");
}
