//! What recordings lack of a server that is killed while it records: rooms that record, a random moment, SIGKILL; every file
//! has to play, and the next start to make each ready.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amphi_mux::Rendition;
use amphi_mux::recording::{about, length, scan};
use anyhow::{Context as _, bail, ensure};
use peer::net::Options;

use crate::hls::{ask, together};
use crate::load::{Load, percentile};
use crate::media::Media;
use crate::process::Server;

/// So that one kill tears as many files.
const ROOMS: usize = 5;
/// This one is on air and composed, small. The others are cut, since five composers beside each other leave a small machine
/// nothing to be killed in time with.
const COMPOSED: usize = 1;
const CONFIG: &str =
    "[program]\nkind = \"cut\"\nladder = [\"320x180 200k\"]\nframes_per_second = 15\n";
/// As much is in each before the moment may come.
const RECORDED_S: f64 = 0.5;
/// The moment is anywhere in this.
const MOMENT_MS: u64 = 2_000;
/// One kill, from start to start.
const ROUND_MAX: Duration = Duration::from_secs(120);
/// What a crash may cost: what the manual promises.
pub const PROMISED: Duration = Duration::from_millis(500);
/// After so many bad ends it is looked at first.
const BAD_MAX: usize = 10;

#[derive(serde::Serialize)]
pub struct Figures {
    pub times: usize,
    pub rooms: usize,
    pub seed: u64,
    pub recordings: usize,
    /// Ready after the restart, and as long as their file.
    pub recovered: usize,
    /// Programs and tracks.
    pub files: usize,
    /// Of them those in which ffmpeg finds anything to say.
    pub not_playing: usize,
    /// How often picture, sound or a track lack more than [`PROMISED`].
    pub beyond: usize,
    pub picture_ms: Spread,
    pub sound_ms: Spread,
    /// Members' own tracks, of one room.
    pub track_ms: Spread,
    pub restart_ms: Spread,
    pub bad: Vec<String>,
}

#[derive(serde::Serialize)]
pub struct Spread {
    pub p50: f64,
    pub p99: f64,
    pub most: f64,
}

impl Spread {
    fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let ms = |percent| percentile(&micros, percent) / 1_000.0;
        Self {
            p50: ms(50.0),
            p99: ms(99.0),
            most: ms(100.0),
        }
    }
}

#[derive(Default)]
struct Tally {
    recordings: usize,
    recovered: usize,
    files: usize,
    not_playing: usize,
    picture_us: Vec<u64>,
    sound_us: Vec<u64>,
    track_us: Vec<u64>,
    restart_us: Vec<u64>,
    bad: Vec<String>,
    seen: BTreeSet<String>,
}

/// A recording that was torn, and how long its file is.
struct Torn {
    id: String,
    duration_s: f64,
}

pub async fn measure(binary: &Path, times: usize, seed: u64) -> anyhow::Result<Figures> {
    let media = Media::of(320, 180, 200)?;
    let data = tempfile::tempdir().context("making a data folder")?;
    let mut tally = Tally::default();
    let mut random = seed;
    let mut torn: Vec<Torn> = Vec::new();
    let mut done = 0;
    for kill in 0..=times {
        let starting = Instant::now();
        let server = Server::amphi_in(data.path(), binary, CONFIG, &[]).await?;
        if kill > 0 {
            tally
                .restart_us
                .push(u64::try_from(starting.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        recover(&server, &torn, &mut tally).await?;
        if kill == times || tally.bad.len() >= BAD_MAX {
            server.stop().await;
            break;
        }
        let moment = Duration::from_millis(next(&mut random) % MOMENT_MS);
        let killed = tokio::time::timeout(ROUND_MAX, record(server, &media, moment)).await;
        let killed = killed.context("recording took too long")??;
        torn = look(data.path(), killed, &mut tally)?;
        done += 1;
        if done % 10 == 0 {
            eprintln!(
                "{done} of {times} kills, {} files, {} bad",
                tally.files,
                tally.bad.len()
            );
        }
    }
    if !tally.bad.is_empty() {
        eprintln!("what was torn is kept in {}", data.keep().display());
    }
    let all = [&tally.picture_us, &tally.sound_us, &tally.track_us];
    let promised_us = PROMISED.as_micros() as u64;
    let beyond = (all.into_iter().flatten()).filter(|lost_us| **lost_us > promised_us);
    let beyond = beyond.count();
    Ok(Figures {
        times: done,
        beyond,
        rooms: ROOMS,
        seed,
        recordings: tally.recordings,
        recovered: tally.recovered,
        files: tally.files,
        not_playing: tally.not_playing,
        picture_ms: Spread::of(tally.picture_us),
        sound_ms: Spread::of(tally.sound_us),
        track_ms: Spread::of(tally.track_us),
        restart_ms: Spread::of(tally.restart_us),
        bad: tally.bad,
    })
}

/// Rooms that record, and then no server any more; the moment at which it was killed.
async fn record(server: Server, media: &Media, moment: Duration) -> anyhow::Result<SystemTime> {
    let door = crate::amphi_door(&server);
    let mut options = Options::new(door.form);
    options.address = door.address;
    let mut load = Load::new(media, false);
    for room in 0..ROOMS {
        let name = room_name(room);
        load.join(&door, &options, &name, true).await?;
        let token = (door.token)(&name, "recorder");
        // Of one of the rooms the members' own tracks too.
        let tracks = format!(r#"{{"tracks":{}}}"#, room == 0);
        let mut wishes = vec![("recording", tracks.as_str())];
        if room == COMPOSED {
            wishes.insert(0, ("broadcast", r#"{"program":"compose"}"#));
        }
        for (what, wish) in wishes {
            let path = format!("/api/rooms/{name}/{what}");
            let (status, body) = ask(&server.authority, "POST", &path, &token, wish).await?;
            let said = String::from_utf8_lossy(&body);
            ensure!(status == 200, "{what}: {status} {said}");
        }
    }
    let all_record = async {
        loop {
            let long = listed(&server).await?.into_iter();
            let long = long.filter(|one| {
                one["state"] == "recording" && one["duration_s"].as_f64() > Some(RECORDED_S)
            });
            if long.count() == ROOMS {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    together(&mut load, all_record).await?;
    load.run_for(moment).await?;
    let killed = SystemTime::now();
    server.stop().await;
    Ok(killed)
}

fn room_name(room: usize) -> String {
    format!("kills-{room}")
}

/// The recordings of these rooms.
async fn listed(server: &Server) -> anyhow::Result<Vec<serde_json::Value>> {
    let token = crate::dev_token(&room_name(0), "recorder");
    let (status, body) = ask(&server.authority, "GET", "/api/recordings", &token, "").await?;
    ensure!(status == 200, "the list of recordings: {status}");
    let mut listed: serde_json::Value = serde_json::from_slice(&body).context("JSON")?;
    match listed["recordings"].take() {
        serde_json::Value::Array(recordings) => Ok(recordings),
        other => bail!("this is no list: {other}"),
    }
}

/// Every file plays, and how far.
fn look(data: &Path, killed: SystemTime, tally: &mut Tally) -> anyhow::Result<Vec<Torn>> {
    let killed = killed.duration_since(UNIX_EPOCH).context("a clock")?;
    let killed_us = i64::try_from(killed.as_micros()).context("a clock")?;
    let lost = |end_us: i64| u64::try_from(killed_us - end_us).unwrap_or(0);
    let mut torn = Vec::new();
    for folder in folders(&data.join("recordings"))? {
        let id = folder.file_name().unwrap_or_default().display().to_string();
        // What is kept to be looked at was counted already.
        if !tally.seen.insert(id.clone()) {
            continue;
        }
        let program = folder.join("program.mp4");
        plays(&program, tally);
        let bytes = std::fs::read(&program).context("reading a recording")?;
        let scan = scan(&bytes[..]);
        if scan.gaps() > 0 {
            let gaps = format!("{} has {} gaps", program.display(), scan.gaps());
            tally.bad.push(gaps);
        }
        for (rendition, into) in [
            (Rendition::Video, &mut tally.picture_us),
            (Rendition::Audio, &mut tally.sound_us),
        ] {
            match scan.end_unix_us(rendition) {
                Some(end_us) => into.push(lost(end_us)),
                None => tally
                    .bad
                    .push(format!("{} has no {rendition:?}", program.display())),
            }
        }
        let zero_us = scan.zero_unix_ms().unwrap_or_default() * 1_000;
        for track in folders(&folder.join("tracks")).unwrap_or_default() {
            plays(&track, tally);
            let bytes = std::fs::read(&track).context("reading a track")?;
            let (Some(about), Some(length)) = (about(&bytes[..]), length(&bytes[..])) else {
                tally.bad.push(format!("{} is no track", track.display()));
                continue;
            };
            let length_us = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
            tally
                .track_us
                .push(lost(zero_us + about.begin_us + length_us));
        }
        let duration_s = scan.duration().as_secs_f64();
        torn.push(Torn { id, duration_s });
    }
    tally.recordings += torn.len();
    if torn.len() != ROOMS {
        let count = format!("{} recordings of {ROOMS} rooms", torn.len());
        tally.bad.push(count);
    }
    Ok(torn)
}

/// What is in a folder, in order.
fn folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).context("reading a folder")?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// ffmpeg decodes all of it and has nothing to say.
fn plays(file: &Path, tally: &mut Tally) {
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args("-fps_mode passthrough -enc_time_base 1:90000 -f null -".split(' '))
        .output();
    tally.files += 1;
    let said = match done {
        Ok(done) if done.status.success() && done.stderr.is_empty() => return,
        Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
        Err(error) => format!("ffmpeg: {error}"),
    };
    tally.not_playing += 1;
    let said = said.lines().next().unwrap_or("it failed");
    tally.bad.push(format!("{}: {said}", file.display()));
}

/// After the restart all that was torn is ready, as long as its file; then it is deleted, to make room for the next.
async fn recover(server: &Server, torn: &[Torn], tally: &mut Tally) -> anyhow::Result<()> {
    let recordings = listed(server).await?;
    for Torn { id, duration_s } in torn {
        let found = recordings.iter().find(|one| one["id"] == id.as_str());
        let whole = found.is_some_and(|one| {
            let off_s = one["duration_s"].as_f64().unwrap_or(0.0) - duration_s;
            one["state"] == "ready" && off_s.abs() < 0.01
        });
        if !whole {
            let bad = format!("{id} of {duration_s:.3} s was not recovered: {found:?}");
            tally.bad.push(bad);
            continue;
        }
        tally.recovered += 1;
        if tally.bad.is_empty() {
            let room = found.and_then(|one| one["room"].as_str()).unwrap_or("");
            let token = crate::dev_token(room, "recorder");
            let path = format!("/api/recordings/{id}");
            let (status, _) = ask(&server.authority, "DELETE", &path, &token, "").await?;
            ensure!(status == 200, "deleting {id}: {status}");
        }
    }
    Ok(())
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_moments_again_and_another_one_gives_others() {
        let of = |seed: u64| {
            let mut state = seed;
            [(); 4].map(|()| next(&mut state) % MOMENT_MS)
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn what_does_not_play_is_bad() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("program.mp4");
        std::fs::write(&file, b"no film").expect("written");
        let mut tally = Tally::default();
        plays(&file, &mut tally);
        assert_eq!((tally.files, tally.not_playing, tally.bad.len()), (1, 1, 1));
    }
}
