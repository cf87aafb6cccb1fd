//! What a call costs: one to many, and everybody to everybody.

use std::time::Duration;

use peer::net::Options;

use crate::load::{Door, Load};
use crate::media::Media;
use crate::process::{Server, own_thread_cpu_ns};

/// Who publishes and who watches.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One publishes, so many watch.
    OneTo(usize),
    /// So many, who all publish and see all others.
    CallOf(usize),
}

impl Shape {
    pub fn name(self) -> String {
        match self {
            Shape::OneTo(viewers) => format!("1 to {viewers}"),
            Shape::CallOf(members) => format!("call of {members}"),
        }
    }
}

#[derive(serde::Serialize)]
pub struct Figures {
    pub system: &'static str,
    pub shape: String,
    pub seconds: f64,
    /// Sent by the server and had by the receivers.
    pub packets_out: u64,
    pub packets_out_per_s: f64,
    /// CPU time of the server for each, with everything else that it did meanwhile.
    pub us_per_packet_out: f64,
    pub server_cpu_percent: f64,
    pub delay_ms_p50: f64,
    pub delay_ms_p99: f64,
    /// Resident memory that one more viewer cost.
    pub memory_kb_per_viewer: Option<f64>,
    pub lost_percent: f64,
    /// Of one core, by the members that publish and watch.
    pub client_busy_percent: f64,
    /// Why the figures do not count; none when they do.
    pub invalid: Option<String>,
}

pub async fn measure(
    system: &'static str,
    server: &Server,
    door: &Door,
    media: &Media,
    shape: Shape,
    time: Duration,
) -> anyhow::Result<Figures> {
    let mut options = Options::new(door.form);
    options.address = door.address;
    options.auto_subscribe = !door.asks;
    let mut load = Load::new(media, true);
    let (publishers, viewers) = match shape {
        Shape::OneTo(viewers) => (1, viewers),
        Shape::CallOf(members) => (members, 0),
    };
    for _ in 0..publishers {
        load.join(door, &options, "bench", true).await?;
        load.run_for(Duration::from_millis(20)).await?;
    }
    load.run_for(Duration::from_secs(1)).await?;
    let memory_before = server.usage()?.memory_bytes;
    for _ in 0..viewers {
        load.join(door, &options, "bench", false).await?;
        load.run_for(Duration::from_millis(20)).await?;
    }
    if door.asks {
        load.ask_for_all().await?;
    }
    load.run_until_all_receive().await?;
    load.run_for(Duration::from_secs(2)).await?;

    let (cpu, own) = (server.usage()?.cpu_ns, own_thread_cpu_ns()?);
    let begun = load.begin();
    load.run_for(time).await?;
    let usage = server.usage()?;
    let (cpu_ns, own_ns) = (usage.cpu_ns - cpu, own_thread_cpu_ns()? - own);
    let tally = load.end(begun).await?;
    load.leave().await;

    let seconds = tally.elapsed.as_secs_f64();
    let lost_percent = 100.0 * tally.packets_lost as f64 / tally.packets_expected.max(1) as f64;
    let client_busy_percent = own_ns as f64 / 10_000_000.0 / seconds;
    let memory = usage.memory_bytes.saturating_sub(memory_before) as f64 / 1_000.0;
    let mut figures = Figures {
        system,
        shape: shape.name(),
        seconds,
        packets_out: tally.packets_received,
        packets_out_per_s: tally.packets_received as f64 / seconds,
        us_per_packet_out: cpu_ns as f64 / 1_000.0 / tally.packets_received.max(1) as f64,
        server_cpu_percent: cpu_ns as f64 / 10_000_000.0 / seconds,
        delay_ms_p50: tally.delay_us_p50 / 1_000.0,
        delay_ms_p99: tally.delay_us_p99 / 1_000.0,
        memory_kb_per_viewer: (viewers > 0).then(|| memory / viewers as f64),
        lost_percent,
        client_busy_percent,
        invalid: None,
    };
    if tally.packets_expected == 0 {
        figures.invalid = Some("nothing was sent".into());
    } else if lost_percent >= 0.1 {
        figures.invalid = Some("0.1 % or more were lost".into());
    } else if client_busy_percent > 80.0 {
        figures.invalid = Some("the members were more than 80 % busy".into());
    }
    Ok(figures)
}
