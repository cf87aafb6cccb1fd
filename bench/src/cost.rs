//! What an evening costs: some on stage, composed at every size and recorded, and an audience over TLS, for some minutes.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::air::pictures_decoded;
use crate::hls::{ROOM, go_live, switch, together};
use crate::load::Load;
use crate::media::{FRAME_RATE, Media};
use crate::origin::{Crowd, Turn, watch};
use crate::process::own_thread_cpu_ns;
use crate::sealed::Sealed;

const MEMBERS: usize = 4;

/// Until everybody of the audience has arrived, and the program is as it stays.
const SETTLE: Duration = Duration::from_secs(10);

#[derive(serde::Serialize)]
pub struct Figures {
    pub members: usize,
    pub viewers: usize,
    pub seconds: f64,
    /// Core-hours for one hour: the server's process, and the one that decodes, draws and encodes.
    pub server: f64,
    pub worker: f64,
    pub kbit_per_viewer_s: f64,
    pub requests_per_s: f64,
    pub members_busy_percent: f64,
    pub crowd_busy_percent: f64,
    pub invalid: Option<String>,
}

pub async fn measure(binary: &Path, viewers: usize, time: Duration) -> anyhow::Result<Figures> {
    let media = Media::of(640, 360, 500)?;
    let sealed = Sealed::start(binary).await?;
    let figures = run(&sealed, &media, viewers, time).await;
    sealed.stop().await;
    figures.context("amphi, an evening")
}

async fn run(
    sealed: &Sealed,
    media: &Media,
    viewers: usize,
    time: Duration,
) -> anyhow::Result<Figures> {
    let Sealed {
        server,
        certificate,
        plain,
        door,
        ..
    } = sealed;
    let options = sealed.options();
    let mut load = Load::new(media, false);
    for _ in 0..MEMBERS {
        load.join(door, &options, ROOM, true).await?;
    }
    go_live(plain, door, "cut").await?;
    load.run_for(SETTLE / 2).await?;
    switch(plain, door, "PATCH", r#"{"program":"compose"}"#).await?;
    load.run_for(SETTLE / 2).await?;
    let crowd = Crowd::gather(viewers, Turn::Equal, |rendition| {
        let (authority, client) = (server.authority.clone(), certificate.client.clone());
        move |shared| watch(authority, client, rendition, shared)
    })?;
    load.run_for(SETTLE).await?;

    let decoded = pictures_decoded(plain, door).await?;
    let (own, used, worked) = (
        own_thread_cpu_ns()?,
        server.usage()?.cpu_ns,
        server.workers_cpu_ns()?,
    );
    let began = Instant::now();
    let watched = together(&mut load, crowd.watched(time)).await?;
    let seconds = began.elapsed().as_secs_f64();
    let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / 1e9 / seconds;
    let figures = Figures {
        members: MEMBERS,
        viewers,
        seconds,
        server: per_second(server.usage()?.cpu_ns, used),
        worker: per_second(server.workers_cpu_ns()?, worked),
        kbit_per_viewer_s: watched.bytes as f64 * 8.0 / 1_000.0 / seconds / viewers as f64,
        requests_per_s: watched.requests as f64 / seconds,
        members_busy_percent: per_second(own_thread_cpu_ns()?, own) * 100.0,
        crowd_busy_percent: watched.busy_percent,
        invalid: crowd.disperse(),
    };
    let decoded = pictures_decoded(plain, door).await? - decoded;
    let expected = MEMBERS as f64 * f64::from(FRAME_RATE) * seconds;
    ensure!(
        decoded >= expected * 0.9,
        "{decoded} pictures were decoded to be composed, not {expected}"
    );
    load.leave().await;
    Ok(figures)
}
