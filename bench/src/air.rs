//! What a broadcast costs beyond the call that is on air: cut, composed at one size, composed at every size of the ladder.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use peer::net::Options;

use crate::hls::{ROOM, ask, go_live, switch};
use crate::load::{Door, Load};
use crate::media::{FRAME_RATE, Media};
use crate::process::{Server, own_thread_cpu_ns};

const MEMBERS: usize = 4;

/// After a change, until what it began is as it stays: the first key frames, the first segment.
const SETTLE: Duration = Duration::from_secs(3);

/// Shares of one core beyond the same call off air, one for each round.
#[derive(Default, serde::Serialize)]
pub struct Figures {
    pub call: Vec<f64>,
    pub cut: Vec<f64>,
    /// One sends, the others only receive.
    pub cut_of_one: Vec<f64>,
    /// The server's part and the worker's.
    pub one_size: Vec<f64>,
    pub ladder: Vec<f64>,
    /// Of the one before: the process that decodes, draws and encodes.
    pub ladder_worker: Vec<f64>,
    pub client_busy_percent: f64,
}

/// Four members send 360p of 500 kbit/s and sound, and receive each other.
pub async fn measure(binary: &Path, rounds: usize, time: Duration) -> anyhow::Result<Figures> {
    let media = Media::of(640, 360, 500)?;
    let mut figures = Figures::default();
    let server = Server::amphi(binary).await?;
    let measured = cut_of_one(&server, &media, rounds, time, &mut figures).await;
    server.stop().await;
    measured.context("amphi, one on air")?;
    for ladder in [false, true] {
        let config = if ladder {
            ""
        } else {
            "[program]\nladder = [\"1280x720 2000k\"]\n"
        };
        let server = Server::amphi_with(binary, config, &[]).await?;
        let measured = run(&server, &media, ladder, rounds, time, &mut figures).await;
        server.stop().await;
        measured.context("amphi, on air")?;
    }
    Ok(figures)
}

async fn cut_of_one(
    server: &Server,
    media: &Media,
    rounds: usize,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let door = crate::amphi_door(server);
    let mut load = gather(&door, media, 1).await?;
    for _ in 0..rounds {
        let call = used(&mut load, server, time, figures).await?.0;
        go_live(&server.authority, &door, "cut").await?;
        let (served, worked) = used(&mut load, server, time, figures).await?;
        switch(&server.authority, &door, "DELETE", "").await?;
        figures.cut_of_one.push(served + worked - call);
    }
    load.leave().await;
    Ok(())
}

/// Some who send and the others who only receive.
async fn gather<'a>(door: &Door, media: &'a Media, senders: usize) -> anyhow::Result<Load<'a>> {
    let mut options = Options::new(door.form);
    options.address = door.address;
    // Stamps would break the pictures, which are decoded here.
    let mut load = Load::new(media, false);
    for number in 0..MEMBERS {
        load.join(door, &options, ROOM, number < senders).await?;
    }
    load.run_for(SETTLE).await?;
    Ok(load)
}

async fn run(
    server: &Server,
    media: &Media,
    ladder: bool,
    rounds: usize,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let door = crate::amphi_door(server);
    let mut load = gather(&door, media, MEMBERS).await?;
    let authority = &server.authority;
    for _ in 0..rounds {
        let call = used(&mut load, server, time, figures).await?.0;
        go_live(authority, &door, "cut").await?;
        let cut = used(&mut load, server, time, figures).await?.0;
        switch(authority, &door, "PATCH", r#"{"program":"compose"}"#).await?;
        let before = pictures_decoded(authority, &door).await?;
        let (served, worked) = used(&mut load, server, time, figures).await?;
        let decoded = pictures_decoded(authority, &door).await? - before;
        let expected = MEMBERS as f64 * f64::from(FRAME_RATE) * time.as_secs_f64();
        ensure!(
            decoded >= expected * 0.9,
            "{decoded} pictures were decoded to be composed, not {expected}"
        );
        switch(authority, &door, "DELETE", "").await?;
        if ladder {
            figures.ladder.push(served + worked - call);
            figures.ladder_worker.push(worked);
        } else {
            figures.one_size.push(served + worked - call);
            figures.cut.push(cut - call);
            figures.call.push(call);
        }
    }
    load.leave().await;
    Ok(())
}

/// For composed programs, since the server began.
pub async fn pictures_decoded(authority: &str, door: &Door) -> anyhow::Result<f64> {
    let token = (door.token)(ROOM, "member-0");
    let (_, body) = ask(authority, "GET", "/metrics", &token, "").await?;
    let text = String::from_utf8_lossy(&body);
    let counter = r#"amphi_studio_total{event="pictures_decoded"} "#;
    let value = text.lines().find_map(|line| line.strip_prefix(counter));
    value
        .and_then(|value| value.parse().ok())
        .context("the server does not count what it decodes")
}

/// Shares of a core: the server's and its worker's.
async fn used(
    load: &mut Load<'_>,
    server: &Server,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<(f64, f64)> {
    load.run_for(SETTLE).await?;
    let own = own_thread_cpu_ns()?;
    let before = (server.usage()?.cpu_ns, server.workers_cpu_ns()?);
    load.run_for(time).await?;
    let share =
        |now: u64, before: u64| now.saturating_sub(before) as f64 / 1e9 / time.as_secs_f64();
    let busy = share(own_thread_cpu_ns()?, own) * 100.0;
    figures.client_busy_percent = figures.client_busy_percent.max(busy);
    Ok((
        share(server.usage()?.cpu_ns, before.0),
        share(server.workers_cpu_ns()?, before.1),
    ))
}
