//! Live playlists over HTTP: many who wait, parts that never come, and what players may not ask for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi::egress::Live;
use amphi::egress::hls::Origin;
use amphi_media::{MediaKind, MediaTime, Sample};
use amphi_mux::{Packager, PackagerConfig, WindowConfig};
use bytes::Bytes;

use crate::house::{Answer, House, ask, now_s};

const EPOCH: u64 = 1_700_000_000_000;

/// A broadcast of sound alone, put into a house's origin as a program would.
struct Show {
    origin: Arc<Origin>,
    packager: Packager,
    ticks: i64,
}

impl Show {
    /// Target durations of one second, so that what waits in vain does not wait long.
    fn begin(house: &House) -> Self {
        let origin = house.server.app().origin.clone();
        let now_ms = i64::try_from(now_s() * 1_000).expect("fits");
        let window = WindowConfig {
            segment_max: Duration::from_secs(1),
            ..WindowConfig::new(EPOCH, now_ms)
        };
        origin.begin("hall", window);
        let packing = PackagerConfig {
            video_wait: Duration::ZERO,
            segment_target: Duration::from_secs(1),
            segment_max: Duration::from_secs(1),
            // AAC-LC, 48 kHz, stereo (ISO/IEC 14496-3 §1.6.2.1).
            ..PackagerConfig::new(vec![0x11, 0x90])
        };
        Self {
            origin,
            packager: Packager::new(packing),
            ticks: 0,
        }
    }

    /// Plays until `parts` more are out.
    fn play(&mut self, parts: u64) {
        let wanted = self.origin.stats().parts + parts;
        while self.origin.stats().parts < wanted {
            self.packager.push(&Sample {
                kind: MediaKind::Audio,
                rung: 0,
                time: MediaTime::new(self.ticks, 48_000),
                key: true,
                cut: false,
                data: Bytes::from_static(&[0x21; 64]),
            });
            self.ticks += 1_024;
            while let Some(output) = self.packager.poll() {
                self.origin.push("hall", &output);
            }
        }
    }
}

/// The (segment, part) that a playlist hints at.
fn hinted(playlist: &str) -> (u64, u32) {
    let hint = playlist
        .lines()
        .find(|line| line.starts_with("#EXT-X-PRELOAD-HINT"))
        .expect("a live playlist hints");
    let name = hint.split('"').nth(1).expect("a name");
    let (_, numbers) = name.split_once('-').expect("an epoch");
    let (segment, part) = numbers
        .trim_end_matches(".m4s")
        .split_once('.')
        .expect("a part");
    (
        segment.parse().expect("a number"),
        part.parse().expect("a number"),
    )
}

async fn audio(house: &House) -> Answer {
    house.get("/hls/hall/audio.m3u8").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_finds_its_way_from_the_first_playlist_to_a_part() {
    let house = House::open().await;
    let mut show = Show::begin(&house);
    show.play(4);
    let index = house.get("/hls/hall/index.m3u8").await;
    assert_eq!(
        index.header("content-type"),
        "application/vnd.apple.mpegurl"
    );
    assert_eq!(index.header("cache-control"), "no-store");
    assert_eq!(index.header("access-control-allow-origin"), "*");
    let index = index.text();
    let named = index
        .lines()
        .find(|line| line.starts_with("audio.m3u8?v="))
        .expect("a playlist with a ticket");
    let playlist = house.get(&format!("/hls/hall/{named}")).await;
    assert_eq!(
        playlist.header("cache-control"),
        "public, max-age=0, s-maxage=1"
    );
    let playlist = playlist.text();
    let names: Vec<&str> = playlist
        .lines()
        .filter(|line| !line.starts_with("#EXT-X-PRELOAD-HINT"))
        .filter_map(|line| line.split_once("URI=\"")?.1.split('"').next())
        .filter(|name| name.starts_with('a') && !name.ends_with("m3u8"))
        .collect();
    assert!(names.len() >= 5, "{playlist}");
    for name in names {
        let media = house.get(&format!("/hls/hall/{name}")).await;
        assert_eq!(media.status, 200, "{name}");
        assert_eq!(media.header("content-type"), "audio/mp4");
        assert!(
            media.header("cache-control").contains("immutable"),
            "{name}"
        );
        let kind = if name.ends_with("init.mp4") {
            b"ftyp"
        } else {
            b"moof"
        };
        assert_eq!(&media.body[4..8], kind, "{name}");
    }
    let state = house.get("/api/rooms/hall").await.json();
    assert_eq!(state["broadcast"]["viewers"], 1);
    // It asked for sound only.
    let by = &state["broadcast"]["viewers_by_rendition"];
    assert_eq!(by, &serde_json::json!({ "audio": 1 }));
    let heard = house
        .metric("amphi_viewers_by_rendition{rendition=\"audio\"}")
        .await;
    assert_eq!(heard, 1.0);
}

/// Plain addresses go past the router, those that have to be decoded through it.
#[tokio::test(flavor = "multi_thread")]
async fn the_short_way_and_the_long_way_to_a_file_give_the_same_answer() {
    let house = House::open().await;
    let mut show = Show::begin(&house);
    show.play(4);
    let listed = audio(&house).await.text();
    let segment = listed.lines().rfind(|line| line.ends_with(".m4s"));
    let segment = segment.expect("a segment");
    let mut found = 1.0;
    for file in [
        "index.m3u8?v=stage",
        "audio.m3u8",
        "audio.m3u8?_HLS_msn=0&_HLS_part=1&_HLS_skip=YES",
        "audio.m3u8?_HLS_msn=99999",
        "audio.m3u8?_HLS_part=1",
        "video.m3u8?_HLS_msn=x",
        "nothing",
        segment,
    ] {
        for headers in [
            &[][..],
            &[("range", "bytes=2-9"), ("accept-encoding", "gzip")],
            &[("if-none-match", "*")],
            &[("origin", "https://example.org")],
        ] {
            let answers = ["hall", "h%61ll"].map(async |room| {
                let path = format!("/hls/{room}/{file}");
                let mut answer = ask(house.address, "GET", &path, headers, b"").await;
                answer.headers.retain(|(name, _)| name != "date");
                answer.headers.sort();
                answer
            });
            let [short, long] = answers;
            let (short, long) = (short.await, long.await);
            assert_eq!(short.status, long.status, "{file} {headers:?}");
            assert_eq!(short.headers, long.headers, "{file} {headers:?}");
            assert_eq!(short.body, long.body, "{file} {headers:?}");
            assert_eq!(short.header("x-content-type-options"), "nosniff");
            // With --dev a page of elsewhere is not even told that there is something.
            let readable = if short.status == 403 { "" } else { "*" };
            assert_eq!(short.header("access-control-allow-origin"), readable);
            found += if short.status == 200 { 2.0 } else { 0.0 };
        }
    }
    let counted = house
        .metric("amphi_http_requests_total{route=\"/hls/{room}/{file}\",status=\"200\"}")
        .await;
    assert_eq!(counted, found);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_wait_are_answered_at_once_and_keep_nobody_else_waiting() {
    const WAITING: usize = 1_000;
    let house = Arc::new(House::open().await);
    let mut show = Show::begin(&house);
    show.play(2);
    let (segment, part) = hinted(&audio(&house).await.text());
    let waiting: Vec<_> = (0..WAITING)
        .map(|viewer| {
            let house = house.clone();
            let ticket = show.origin.ticket("hall");
            tokio::spawn(async move {
                let path = if viewer % 2 == 0 {
                    format!("/hls/hall/audio.m3u8?_HLS_msn={segment}&_HLS_part={part}&v={ticket}")
                } else {
                    format!("/hls/hall/a{EPOCH}-{segment}.{part}.m4s")
                };
                house.get(&path).await
            })
        })
        .collect();
    let start = Instant::now();
    while house.server.app().origin.stats().blocked < WAITING {
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "all wait before the time is over"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(house.get("/healthz").await.status, 200);
    assert_eq!(
        house.metric("amphi_hls_blocked_requests").await,
        WAITING as f64
    );
    show.play(1);
    for (viewer, answer) in waiting.into_iter().enumerate() {
        let answer = answer.await.expect("no panic");
        assert_eq!(answer.status, 200, "{viewer}");
        if viewer % 2 == 0 {
            let name = format!("\"a{EPOCH}-{segment}.{part}.m4s\"");
            assert!(answer.text().contains(&name));
        }
    }
    assert_eq!(house.metric("amphi_hls_blocked_requests").await, 0.0);
    assert_eq!(
        house.metric("amphi_viewers").await,
        1.0 + WAITING as f64 / 2.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_comes_is_refused_within_three_target_durations() {
    let house = House::open().await;
    let mut show = Show::begin(&house);
    show.play(2);
    let (segment, part) = hinted(&audio(&house).await.text());
    let start = Instant::now();
    let playlist = format!("/hls/hall/audio.m3u8?_HLS_msn={segment}&_HLS_part={part}");
    let media = format!("/hls/hall/a{EPOCH}-{segment}.{part}.m4s");
    let (playlist, media) = tokio::join!(house.get(&playlist), house.get(&media));
    for late in [playlist, media] {
        late.refused(503, "unavailable", None);
        assert!(!late.header("retry-after").is_empty());
    }
    let took = start.elapsed();
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(5)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_far_futures_are_refused_at_once() {
    let house = House::open().await;
    let mut show = Show::begin(&house);
    show.play(2);
    for query in [
        "_HLS_msn=-1",
        "_HLS_msn=x",
        "_HLS_msn=",
        "_HLS_msn=99999999999999999999999",
        "_HLS_part=1",
        "_HLS_msn=0&_HLS_part=1.5",
        "_HLS_msn=1000000",
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=0&_HLS_part=4294967295",
    ] {
        let answer = house.get(&format!("/hls/hall/audio.m3u8?{query}")).await;
        answer.refused(400, "bad_request", None);
    }
    for file in [
        "nothing.mp4",
        "..%2f..%2famphi.db",
        "a-1.m4s",
        "%00",
        "video.m3u8%2f",
        "a1700000000000-99.0.m4s",
    ] {
        house
            .get(&format!("/hls/hall/{file}"))
            .await
            .refused(404, "not_found", None);
    }
    let older = format!("/hls/hall/a{}-0.0.m4s", EPOCH - 1);
    house.get(&older).await.refused(410, "not_found", None);
    // Directives that are not known are ignored (RFC 8216bis §6.2.5).
    let unknown = house
        .get("/hls/hall/audio.m3u8?_HLS_skip=YES&_HLS_x=y")
        .await;
    assert_eq!(unknown.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_who_would_wait_is_sent_away_and_counted() {
    let house = House::with(|config| config.limits.blocked_requests = 0).await;
    let mut show = Show::begin(&house);
    show.play(2);
    let (segment, part) = hinted(&audio(&house).await.text());
    house
        .get(&format!(
            "/hls/hall/audio.m3u8?_HLS_msn={segment}&_HLS_part={part}"
        ))
        .await
        .refused(503, "unavailable", None);
    let counted = house
        .metric("amphi_bound_hit_total{bound=\"hls_blocked_requests\"}")
        .await;
    assert_eq!(counted, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn playlists_are_packed_for_who_takes_that() {
    let house = House::open().await;
    let mut show = Show::begin(&house);
    show.play(2);
    let packed = crate::house::ask(
        house.address,
        "GET",
        "/hls/hall/audio.m3u8",
        &[("accept-encoding", "gzip")],
        b"",
    )
    .await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("vary"), "accept-encoding");
    assert_eq!(&packed.body[..2], &[0x1f, 0x8b]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_broadcast_says_so() {
    let house = House::open().await;
    let mut show = Show::begin(&house);
    show.play(2);
    show.origin.end("hall");
    assert!(audio(&house).await.text().contains("#EXT-X-ENDLIST"));
}
