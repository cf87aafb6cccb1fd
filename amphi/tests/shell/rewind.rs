//! Going back in a broadcast: segments on disk, and what HTTP says of them and of playlists.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amphi::config::Rewind;
use amphi::egress::Live as _;
use amphi_mux::WindowConfig;

use crate::conform::show;
use crate::house::{Answer, House, ask, dev_config, token};

const HOUR: Duration = Duration::from_secs(3_600);
const SIZES: [&[(u32, u32)]; 2] = [&[(320, 180)], &[(320, 180)]];

/// Files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries.map(|entry| entry.expect("it can be read")) {
        match entry.file_type().expect("it is there").is_dir() {
            true => all.extend(files(&entry.path())),
            false => all.push(entry.file_name().to_string_lossy().into_owned()),
        }
    }
    all
}

async fn get(house: &House, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(house.address, "GET", path, headers, b"").await
}

async fn becomes(what: &str, done: impl AsyncFn() -> bool) {
    let start = tokio::time::Instant::now();
    while !done().await {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_in_memory_comes_from_the_disk_until_the_broadcast_is_forgotten() {
    let house = Arc::new(House::open().await);
    let folder = house.server.app().config.server.data_dir.join("dvr");
    let showing = {
        let house = house.clone();
        tokio::spawn(async move { show(&house, 14, SIZES).await })
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let whole = async || get(&house, "/hls/hall/video.m3u8", &[]).await.text();
    let first = whole().await;
    let first = first
        .lines()
        .find(|line| line.starts_with('v'))
        .expect("a segment");
    let first = format!("/hls/hall/{first}");
    let early = get(&house, &first, &[]).await;
    showing.await.expect("no panic");
    // Memory holds eleven seconds of it, the list all fourteen.
    let playlist = whole().await;
    assert!(playlist.contains("MEDIA-SEQUENCE:0\n"), "{playlist}");
    assert!(playlist.matches("#EXTINF").count() >= 14, "{playlist}");
    assert!(playlist.contains("CAN-SKIP-UNTIL=6.0"), "{playlist}");
    let name = first.rsplit('/').next().expect("a name");
    let part = first.replace(".m4s", ".0.m4s");
    assert_eq!(
        get(&house, &part, &[]).await.status,
        410,
        "parts are for those at the edge"
    );
    let late = get(&house, &first, &[]).await;
    assert_eq!((late.status, &late.body), (200, &early.body));
    assert!(files(&folder).contains(&name.to_owned()));
    assert!(house.metric("amphi_hls_dvr_segments_total").await >= 24.0);
    assert!(house.metric("amphi_hls_dvr_bytes").await > 0.0);
    // Another broadcast of the same room: nobody asks for the old one any more.
    let origin = house.server.app().origin.clone();
    origin.begin("hall", WindowConfig::new(1_800_000_000_000, 0));
    becomes("its files are deleted", async || files(&folder).is_empty()).await;
    assert_eq!(get(&house, &first, &[]).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_left_is_deleted() {
    let kept = tempfile::tempdir().expect("a folder");
    let left = kept.path().join("dvr/0");
    std::fs::create_dir_all(&left).expect("a folder");
    std::fs::write(left.join("v17-0.m4s"), b"old").expect("a file");
    let house = amphi::serve::Server::start(dev_config(kept.path())).await;
    becomes("it is deleted", async || {
        files(&kept.path().join("dvr")).is_empty()
    })
    .await;
    drop(house);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_costs_the_way_back_and_nothing_else() {
    let kept = tempfile::tempdir().expect("a folder");
    // A file where the folder should be.
    std::fs::write(kept.path().join("dvr"), b"").expect("a file");
    let data_dir = kept.path().to_owned();
    let house = House::with(|config| config.server.data_dir = data_dir).await;
    show(&house, 8, SIZES).await;
    let playlist = get(&house, "/hls/hall/video.m3u8", &[]).await.text();
    // Five seconds are listed, as without a disk.
    assert!(
        (5..=7).contains(&playlist.matches("#EXTINF").count()),
        "{playlist}"
    );
    assert!(!playlist.contains("EXT-X-GAP"), "{playlist}");
    assert!(house.metric("amphi_hls_dvr_failed_total").await > 0.0);
    assert!(house.metric("amphi_hls_dvr_short_total").await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn playlists_and_segments_are_sent_as_caches_and_players_like_them() {
    let house = House::with(|config| config.broadcast.dvr = Rewind(None)).await;
    show(&house, 3, SIZES).await;
    let path = "/hls/hall/video.m3u8";
    let plain = get(&house, path, &[]).await;
    let packed = get(&house, path, &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < plain.body.len());
    let (tag, packed_tag) = (plain.header("etag"), packed.header("etag"));
    assert!(
        tag.starts_with('"') && tag != packed_tag,
        "{tag} {packed_tag}"
    );
    assert_eq!(
        plain.header("cache-control"),
        "public, max-age=0, s-maxage=1"
    );
    let waited = get(&house, &format!("{path}?_HLS_msn=0"), &[]).await;
    assert_eq!(waited.header("cache-control"), "public, max-age=24");
    for (tag, gzip) in [(tag, "identity"), (packed_tag, "gzip")] {
        let known = [("if-none-match", tag), ("accept-encoding", gzip)];
        let same = get(&house, path, &known).await;
        assert_eq!((same.status, same.body.len()), (304, 0));
        assert_eq!(same.header("etag"), tag);
        assert!(same.header("cache-control").contains("s-maxage"));
    }
    let other = get(&house, path, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    assert_eq!(
        get(&house, "/hls/hall/index.m3u8", &[])
            .await
            .header("etag"),
        ""
    );

    let playlist = plain.text();
    let name = playlist
        .lines()
        .find(|line| line.starts_with('v'))
        .expect("a segment");
    let path = format!("/hls/hall/{name}");
    let whole = get(&house, &path, &[]).await;
    assert!(whole.header("cache-control").contains("immutable"));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let known = [("if-none-match", whole.header("etag"))];
    assert_eq!(get(&house, &path, &known).await.status, 304);
    let range = get(&house, &path, &[("range", "bytes=4-7")]).await;
    assert_eq!((range.status, &range.body[..]), (206, &b"moof"[..]));
    assert_eq!(
        range.header("content-range"),
        format!("bytes 4-7/{}", whole.body.len())
    );
    assert_eq!(range.header("access-control-allow-origin"), "*");
    let nowhere = get(&house, &path, &[("range", "bytes=99999999-")]).await;
    assert_eq!(nowhere.status, 416);
    for path in [path.as_str(), "/hls/hall/video.m3u8"] {
        let head = ask(house.address, "HEAD", path, &[], b"").await;
        let length = get(&house, path, &[]).await.body.len();
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), length.to_string(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_is_a_recording_of_what_was_shown_then() {
    let house = House::open().await;
    let began = std::time::SystemTime::now();
    show(
        &house,
        14,
        [&[(320, 180), (256, 144)], &[(640, 360), (256, 144)]],
    )
    .await;
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    let at = |seconds: f64| {
        // Counted from an hour before, since a span has no sign.
        let time = began - HOUR + Duration::from_secs_f64(3_600.0 + seconds);
        humantime::format_rfc3339_millis(time).to_string()
    };
    let clip = async |from: String, to: String, token: &str| {
        let body = format!(r#"{{"from": "{from}", "to": "{to}", "title": "The best of it"}}"#);
        house
            .send("POST", "/api/rooms/hall/clips", token, &body)
            .await
    };
    // Of the beginning, which only the disk has, over a cut.
    let made = clip(at(2.0), at(6.5), &admin).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let length = made.json()["duration_s"].as_f64().expect("seconds");
    assert!((4.2..7.2).contains(&length), "{length}");
    let path = format!("/api/recordings/{id}");
    let listed = house.send("GET", &path, &admin, "").await.json();
    assert_eq!(
        (&listed["title"], &listed["state"]),
        (&"The best of it".into(), &"ready".into())
    );
    let file = house.get(listed["file"].as_str().expect("a path")).await;
    let scan = amphi_mux::recording::scan(&file.body[..]);
    assert!(scan.playable && scan.has_video() && scan.marks.len() == 2);
    assert_eq!(scan.good_bytes, file.body.len() as u64);

    let early = clip(at(-60.0), at(2.0), &admin).await;
    assert_eq!(early.status, 400);
    assert!(
        early.text().contains("it can be clipped from 20"),
        "{}",
        early.text()
    );
    for (from, to, words) in [
        (at(5.0), at(4.0), "ends after it begins"),
        (at(0.0), at(9_000.0), "60 minutes at most"),
        ("soon".to_owned(), at(4.0), "`from` is not a time"),
    ] {
        let refused = clip(from, to, &admin).await;
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    let stranger = token("hall", "bo").sign();
    assert_eq!(clip(at(2.0), at(4.0), &stranger).await.status, 403);
    let elsewhere = house
        .send("POST", "/api/rooms/cellar/clips", &admin, "{}")
        .await;
    assert!(
        [400, 403].contains(&elsewhere.status),
        "{}",
        elsewhere.text()
    );
}
