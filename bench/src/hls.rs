//! What the audience gets and costs: time to the first playable part, age of the newest picture in a part when it is
//! there, and CPU time of a viewer who follows the playlists.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use peer::net::Options;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::load::{Door, Load, percentile};
use crate::media::{Media, slice_of};
use crate::process::{Server, own_thread_cpu_ns};

pub const ROOM: &str = "bench";
/// How long the first part may take before the measurement gives up.
const FIRST_PART_TIME_MAX: Duration = Duration::from_secs(20);
/// Players of whole segments that begin one after the other, and how long each watches.
const PLAIN_PLAYERS: usize = 10;
const PLAIN_WATCH: Duration = Duration::from_secs(1);

#[derive(serde::Serialize)]
pub struct Figures {
    /// From the publisher's first packet until a player has the playlists, the initialization and an independent part.
    pub first_part_s: f64,
    /// What ffprobe reads of that part: `h264,1280,720` and how many pictures.
    pub first_part: String,
    pub parts: usize,
    /// From when the newest picture of a part was due at the publisher until the part was downloaded.
    pub age_s_p50: f64,
    pub age_s_p99: f64,
    pub part_target_s: f64,
    /// Of players of whole segments, one after the other, that come while the program runs: from the first request until the first
    /// segment of each rendition can be decoded.
    pub plain_begins_s_p50: f64,
    pub plain_begins_s_most: f64,
    pub plain_players: usize,
    pub viewers: usize,
    pub viewers_seconds: f64,
    pub requests: u64,
    pub bytes_per_viewer_s: f64,
    /// More than the same house used just before without viewers.
    pub cpu_s_per_viewer_minute: f64,
    /// Of one core, with nobody watching: one publisher, its program, its packaging.
    pub server_cpu_percent_without_viewers: f64,
    pub client_busy_percent: f64,
    pub invalid: Option<String>,
}

pub async fn measure(
    binary: &Path,
    media: &Media,
    viewers: usize,
    time: Duration,
) -> anyhow::Result<Figures> {
    let server = Server::amphi(binary).await?;
    let figures = run(&server, media, viewers, time).await;
    server.stop().await;
    figures.context("amphi, HLS")
}

async fn run(
    server: &Server,
    media: &Media,
    viewers: usize,
    time: Duration,
) -> anyhow::Result<Figures> {
    let door = crate::amphi_door(server);
    let mut options = Options::new(door.form);
    options.address = door.address;
    let authority = server.authority.clone();

    // Somebody who only looks on opens the room, so that going live is not part of the time to the first part.
    let mut load = Load::new(media, false);
    load.join(&door, &options, ROOM, false).await?;
    go_live(&authority, &door, "cut").await?;
    load.join(&door, &options, ROOM, true).await?;
    let publisher = 1;
    let began = load.began_at(publisher).context("a publisher")?;

    let first = together(&mut load, first_part(&authority)).await?;
    let first_part_s = first.at.duration_since(began).as_secs_f64();
    let first_part = probe(&first.bytes).await?;

    // A player that takes every part as soon as it is listed.
    let follow_time = time.max(Duration::from_secs(5));
    let arrivals = together(&mut load, follow_parts(&authority, follow_time)).await?;
    let (ages, unknown) = ages(&load, publisher, media, &arrivals.parts);
    ensure!(
        !ages.is_empty(),
        "no part held a picture that was published ({unknown} parts)"
    );

    let mut plain_us = Vec::new();
    for _ in 0..PLAIN_PLAYERS {
        plain_us.push(together(&mut load, plain_begins_us(&authority)).await?);
    }
    plain_us.sort_unstable();

    // The same house without and with viewers.
    let quiet = together(&mut load, use_of(server, time)).await?;
    let (own_before, begin) = (own_thread_cpu_ns()?, Instant::now());
    let crowd = Crowd::start(&authority, viewers);
    together(&mut load, async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    })
    .await?;
    let (requests, bytes) = crowd.counts();
    let busy = together(&mut load, use_of(server, time)).await?;
    let client_busy_percent =
        (own_thread_cpu_ns()? - own_before) as f64 / 10_000_000.0 / begin.elapsed().as_secs_f64();
    let (requests, bytes) = (crowd.counts().0 - requests, crowd.counts().1 - bytes);
    let failures = crowd.stop().await;
    load.leave().await;

    let seconds = time.as_secs_f64();
    let extra_ns = busy.saturating_sub(quiet) as f64;
    let mut invalid = None;
    if client_busy_percent > 80.0 {
        invalid = Some("the viewers were more than 80 % busy".to_owned());
    } else if let Some(failure) = failures {
        invalid = Some(format!("a viewer failed: {failure}"));
    } else if unknown > 0 {
        invalid = Some(format!(
            "{unknown} parts held no picture that was published"
        ));
    }
    Ok(Figures {
        first_part_s,
        first_part,
        parts: ages.len(),
        age_s_p50: percentile(&ages, 50.0) / 1e9,
        age_s_p99: percentile(&ages, 99.0) / 1e9,
        part_target_s: arrivals.part_target_s,
        plain_begins_s_p50: percentile(&plain_us, 50.0) / 1e6,
        plain_begins_s_most: percentile(&plain_us, 100.0) / 1e6,
        plain_players: PLAIN_PLAYERS,
        viewers,
        viewers_seconds: seconds * viewers as f64,
        requests,
        bytes_per_viewer_s: bytes as f64 / seconds / viewers as f64,
        cpu_s_per_viewer_minute: extra_ns / 1e9 / (seconds * viewers as f64 / 60.0),
        server_cpu_percent_without_viewers: quiet as f64 / 10_000_000.0 / seconds,
        client_busy_percent,
        invalid,
    })
}

/// Does something while the members of the call go on.
pub async fn together<T>(
    load: &mut Load<'_>,
    what: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            biased;
            done = &mut what => return done,
            run = load.run_for(Duration::from_millis(100)) => run?,
        }
    }
}

async fn plain_begins_us(authority: &str) -> anyhow::Result<u64> {
    let index = format!("http://{authority}/hls/{ROOM}/index.m3u8");
    let config = player::Config {
        probes: player::Probes::No,
        ..player::Config::new(index, player::Mode::Plain)
    };
    let report = player::net::watch(config, PLAIN_WATCH).await?;
    let beginning = report.beginning.context("a plain player that plays")?;
    u64::try_from(beginning.took.as_micros()).context("a time")
}

/// CPU time that the server uses in `time`, in nanoseconds.
async fn use_of(server: &Server, time: Duration) -> anyhow::Result<u64> {
    let before = server.usage()?.cpu_ns;
    tokio::time::sleep(time).await;
    Ok(server.usage()?.cpu_ns - before)
}

pub async fn go_live(authority: &str, door: &Door, program: &str) -> anyhow::Result<()> {
    let wish = format!(r#"{{"program":"{program}"}}"#);
    switch(authority, door, "POST", &wish).await
}

/// Changes the broadcast of the room, as its first member.
pub async fn switch(authority: &str, door: &Door, method: &str, wish: &str) -> anyhow::Result<()> {
    let path = format!("/api/rooms/{ROOM}/broadcast");
    let token = (door.token)(ROOM, "member-0");
    let (status, body) = ask(authority, method, &path, &token, wish).await?;
    ensure!(
        status == 200,
        "{method} broadcast: {status} {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

/// One request of the API, on a connection of its own.
pub async fn ask(
    authority: &str,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> anyhow::Result<(u16, Bytes)> {
    let mut http = Http::connect(authority).await?;
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .context("a request")?;
    http.send(request).await
}

/// One connection that is kept open, as a browser has it.
struct Http {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Http {
    async fn connect(authority: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(authority).await.context("connecting")?;
        stream.set_nodelay(true).context("connecting")?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .context("speaking HTTP")?;
        tokio::spawn(connection);
        Ok(Self {
            authority: authority.to_owned(),
            sender,
        })
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<(u16, Bytes)> {
        let request = hyper::Request::get(path)
            .header("host", &self.authority)
            .body(Full::default());
        self.send(request.context("a request")?).await
    }

    async fn send(&mut self, request: hyper::Request<Full<Bytes>>) -> anyhow::Result<(u16, Bytes)> {
        self.sender.ready().await.context("a kept connection")?;
        let response = self.sender.send_request(request).await.context("asking")?;
        let status = response.status().as_u16();
        Ok((
            status,
            response
                .into_body()
                .collect()
                .await
                .context("an answer")?
                .to_bytes(),
        ))
    }

    /// Fails when it is not there.
    async fn must_get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let (status, body) = self.get(path).await?;
        ensure!(status == 200, "{path}: {status}");
        Ok(body)
    }
}

/// What a player reads in a media playlist.
#[derive(Debug, PartialEq, Default)]
pub struct Playlist {
    map: Option<String>,
    pub parts: Vec<Part>,
    part_target_s: f64,
    /// What to ask for next: the segment that is being made, and the part of it that is not there.
    pub next: (u64, usize),
    ended: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub uri: String,
    independent: bool,
}

impl Playlist {
    pub fn read(text: &str) -> Self {
        let mut playlist = Self::default();
        let (mut first, mut segments, mut trailing) = (0_u64, 0_u64, 0);
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                first = number.parse().unwrap_or(0);
            } else if let Some(rest) = line.strip_prefix("#EXT-X-SKIP:") {
                let skipped = attribute(rest, "SKIPPED-SEGMENTS");
                segments += skipped.and_then(|count| count.parse().ok()).unwrap_or(0);
            } else if let Some(rest) = line.strip_prefix("#EXT-X-MAP:") {
                playlist.map = attribute(rest, "URI");
            } else if let Some(rest) = line.strip_prefix("#EXT-X-PART-INF:") {
                playlist.part_target_s = attribute(rest, "PART-TARGET")
                    .and_then(|target| target.parse().ok())
                    .unwrap_or(0.0);
            } else if let Some(rest) = line.strip_prefix("#EXT-X-PART:") {
                trailing += 1;
                if let Some(uri) = attribute(rest, "URI") {
                    playlist.parts.push(Part {
                        uri,
                        independent: rest.contains("INDEPENDENT=YES"),
                    });
                }
            } else if line.starts_with("#EXTINF:") {
                segments += 1;
                trailing = 0;
            } else if line == "#EXT-X-ENDLIST" {
                playlist.ended = true;
            }
        }
        playlist.next = (first + segments, trailing);
        playlist
    }
}

/// One attribute of a list, without its quotation marks.
fn attribute(list: &str, name: &str) -> Option<String> {
    let at = list.find(&format!("{name}="))?;
    let value = &list[at + name.len() + 1..];
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split(',').next()?,
    };
    Some(value.to_owned())
}

struct First {
    at: Instant,
    /// Initialization and part.
    bytes: Vec<u8>,
}

/// Asks as a player does that was opened before there was anything: again and again.
async fn first_part(authority: &str) -> anyhow::Result<First> {
    let mut http = Http::connect(authority).await?;
    let deadline = Instant::now() + FIRST_PART_TIME_MAX;
    let mut said = String::new();
    while Instant::now() < deadline {
        let (status, body) = http.get(&format!("/hls/{ROOM}/index.m3u8")).await?;
        said = format!("index.m3u8: {status}");
        if status == 200 && String::from_utf8_lossy(&body).contains("video.m3u8") {
            let (status, body) = http.get(&format!("/hls/{ROOM}/video.m3u8")).await?;
            said = format!("video.m3u8: {status}");
            let playlist = Playlist::read(&String::from_utf8_lossy(&body));
            let part = playlist.parts.iter().find(|part| part.independent);
            if let (200, Some(map), Some(part)) = (status, &playlist.map, part) {
                let mut bytes = http.must_get(&format!("/hls/{ROOM}/{map}")).await?.to_vec();
                bytes.extend(http.must_get(&format!("/hls/{ROOM}/{}", part.uri)).await?);
                return Ok(First {
                    at: Instant::now(),
                    bytes,
                });
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("no part after {FIRST_PART_TIME_MAX:?} (at last {said})")
}

/// What somebody else's reader makes of a part; without ffprobe, that it was not asked.
async fn probe(bytes: &[u8]) -> anyhow::Result<String> {
    let arguments = "-v error -f mp4 -count_frames -select_streams v:0 \
                     -show_entries stream=codec_name,width,height,nb_read_frames -of csv=p=0 -i pipe:0";
    let spawned = tokio::process::Command::new("ffprobe")
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        return Ok("not asked: there is no ffprobe".into());
    };
    let mut stdin = child.stdin.take().context("ffprobe's input")?;
    // It may have read enough before it has read everything.
    let _ = stdin.write_all(bytes).await;
    drop(stdin);
    let output = child.wait_with_output().await.context("ffprobe")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        text.starts_with("h264"),
        "ffprobe cannot read the first part: {text:?}"
    );
    Ok(text)
}

#[derive(Default)]
struct Arrivals {
    /// When each part was there, and its bytes.
    parts: Vec<(Instant, Bytes)>,
    part_target_s: f64,
}

/// Follows the pictures from the live edge, by blocking reload, and downloads each part once it is listed.
async fn follow_parts(authority: &str, time: Duration) -> anyhow::Result<Arrivals> {
    let mut http = Http::connect(authority).await?;
    let mut arrivals = Arrivals::default();
    let playlist = Playlist::read(&text(
        http.must_get(&format!("/hls/{ROOM}/video.m3u8")).await?,
    ));
    arrivals.part_target_s = playlist.part_target_s;
    let (mut next, mut seen) = (playlist.next, playlist.parts.last().cloned());
    let end = Instant::now() + time;
    while Instant::now() < end {
        let path = format!(
            "/hls/{ROOM}/video.m3u8?_HLS_msn={}&_HLS_part={}",
            next.0, next.1
        );
        let playlist = Playlist::read(&text(http.must_get(&path).await?));
        let old = playlist
            .parts
            .iter()
            .position(|part| Some(part) == seen.as_ref())
            .map_or(0, |at| at + 1);
        for part in &playlist.parts[old..] {
            let bytes = http.must_get(&format!("/hls/{ROOM}/{}", part.uri)).await?;
            arrivals.parts.push((Instant::now(), bytes));
        }
        seen = playlist.parts.last().cloned();
        next = playlist.next;
    }
    Ok(arrivals)
}

fn text(bytes: Bytes) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The age of the newest picture of each part, sorted, in nanoseconds; and how many parts held none that is known.
fn ages(
    load: &Load<'_>,
    publisher: usize,
    media: &Media,
    parts: &[(Instant, Bytes)],
) -> (Vec<u64>, usize) {
    let slices: std::collections::HashMap<&[u8], usize> = media
        .pictures
        .iter()
        .enumerate()
        .map(|(place, picture)| (slice_of(picture), place))
        .collect();
    let (mut ages, mut unknown) = (Vec::new(), 0);
    for (at, bytes) in parts {
        let place = newest_slice(bytes).and_then(|slice| slices.get(slice));
        match place.and_then(|place| load.shown_at(publisher, *place, *at)) {
            Some(shown) => ages.push(at.duration_since(shown).as_nanos() as u64),
            None => unknown += 1,
        }
    }
    ages.sort_unstable();
    (ages, unknown)
}

/// The last NAL unit of a part: units with their length before them, in the last `mdat` box (ISO 14496-15 §5.3.3).
fn newest_slice(part: &[u8]) -> Option<&[u8]> {
    let mut rest = part;
    let mut data = None;
    while rest.len() >= 8 {
        let size = u32::from_be_bytes(rest[..4].try_into().ok()?) as usize;
        let end = size.clamp(8, rest.len());
        if &rest[4..8] == b"mdat" {
            data = Some(&rest[8..end]);
        }
        rest = &rest[end..];
    }
    let mut units = data?;
    let mut newest = None;
    while units.len() > 4 {
        let size = u32::from_be_bytes(units[..4].try_into().ok()?) as usize;
        newest = units.get(4..4 + size);
        units = units.get(4 + size..)?;
    }
    newest
}

/// Viewers who follow the playlists of pictures and of sound, and download every part.
struct Crowd {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    viewers: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

impl Crowd {
    fn start(authority: &str, viewers: usize) -> Self {
        let mut crowd = Self {
            stop: Arc::default(),
            requests: Arc::default(),
            bytes: Arc::default(),
            viewers: Vec::with_capacity(2 * viewers),
        };
        for _ in 0..viewers {
            for rendition in ["video", "audio"] {
                let (stop, requests, bytes) = (
                    crowd.stop.clone(),
                    crowd.requests.clone(),
                    crowd.bytes.clone(),
                );
                let authority = authority.to_owned();
                crowd.viewers.push(tokio::spawn(async move {
                    let mut http = Http::connect(&authority).await?;
                    let count = |body: &Bytes| {
                        requests.fetch_add(1, Ordering::Relaxed);
                        bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                    };
                    let mut path = format!("/hls/{ROOM}/{rendition}.m3u8");
                    let mut seen = None;
                    while !stop.load(Ordering::Relaxed) {
                        let body = http.must_get(&path).await?;
                        count(&body);
                        let playlist = Playlist::read(&text(body));
                        let old = playlist
                            .parts
                            .iter()
                            .position(|part| Some(part) == seen.as_ref());
                        // The first time only the newest one: a player starts near the live edge.
                        let from = old.map_or(playlist.parts.len().saturating_sub(1), |at| at + 1);
                        for part in &playlist.parts[from..] {
                            count(&http.must_get(&format!("/hls/{ROOM}/{}", part.uri)).await?);
                        }
                        seen = playlist.parts.last().cloned();
                        let (segment, part) = playlist.next;
                        path = format!(
                            "/hls/{ROOM}/{rendition}.m3u8?_HLS_msn={segment}&_HLS_part={part}"
                        );
                    }
                    Ok(())
                }));
            }
        }
        crowd
    }

    fn counts(&self) -> (u64, u64) {
        (
            self.requests.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    /// The first failure of a viewer, if any had one.
    async fn stop(self) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failure = None;
        for viewer in self.viewers {
            // Whoever still waits for a part is left alone with it.
            let ended = tokio::time::timeout(Duration::from_secs(2), viewer).await;
            if let Ok(Ok(Err(error))) = ended {
                failure.get_or_insert(format!("{error:#}"));
            }
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_tells_its_parts_and_what_to_ask_for_next() {
        let text = "#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=0.334\n#EXT-X-MEDIA-SEQUENCE:7\n\
                    #EXT-X-MAP:URI=\"v-init.mp4\"\n#EXT-X-PART:DURATION=0.3,URI=\"a.m4s\",INDEPENDENT=YES\n\
                    #EXTINF:0.3,\ns.m4s\n#EXT-X-PART:DURATION=0.3,URI=\"b.m4s\"\n\
                    #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"c.m4s\"\n";
        let part = |uri: &str, independent| Part {
            uri: uri.into(),
            independent,
        };
        let expected = Playlist {
            map: Some("v-init.mp4".into()),
            parts: vec![part("a.m4s", true), part("b.m4s", false)],
            part_target_s: 0.334,
            next: (8, 1),
            ended: false,
        };
        assert_eq!(Playlist::read(text), expected);
    }

    #[test]
    fn the_newest_unit_of_a_part_is_found() {
        let mut part = vec![0, 0, 0, 12];
        part.extend(b"moofxxxx");
        part.extend([0, 0, 0, 8 + 5 + 6]);
        part.extend(b"mdat");
        part.extend([0, 0, 0, 1, 0x65, 0, 0, 0, 2, 0x41, 9]);
        assert_eq!(newest_slice(&part), Some(&[0x41, 9][..]));
        assert_eq!(newest_slice(&part[..12]), None);
        assert_eq!(newest_slice(&[]), None);
    }
}
