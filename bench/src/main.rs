//! Measures a house that runs, over real sockets and with real media: what a packet, a viewer and a second cost, and
//! how late things are. `bench/README.md` says what the figures mean and has those of the day.

mod air;
mod call;
mod codecs;
mod compose;
mod cost;
mod floor;
mod hls;
mod janus;
mod kills;
mod load;
mod media;
mod origin;
mod process;
mod report;
mod sealed;
mod tls;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use peer::Form;
use peer::token::Token;

use crate::call::Shape;
use crate::load::Door;
use crate::media::Media;
use crate::process::Server;
use crate::report::Report;

#[derive(Parser)]
#[command(
    about = "Measures amphi over real sockets, beside the floor and beside Janus where it is installed"
)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// How many watch, in `fanout`, `hls` and `origin`.
    #[arg(long)]
    viewers: Option<usize>,
    /// How many wait for the same part, in `origin`.
    #[arg(long, default_value_t = 5_000)]
    waiting: usize,
    /// How many are in the call, in `call`.
    #[arg(long, default_value_t = 8)]
    members: usize,
    /// Seconds of each measurement.
    #[arg(long)]
    seconds: Option<u64>,
    /// How often what is compared is measured, one after the other, in `compose`.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often the server is killed, in `kills`.
    #[arg(long, default_value_t = 100)]
    times: usize,
    /// Of the moments at which it is killed, in `kills`.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// About two minutes for everything.
    #[arg(long)]
    quick: bool,
    /// The server that is measured.
    #[arg(long, default_value = "target/release/amphi")]
    server: PathBuf,
    /// Leaves Janus out.
    #[arg(long)]
    no_janus: bool,
    /// Where the figures are written.
    #[arg(long, default_value = "bench/results/latest.json")]
    json: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    All,
    /// One publishes, many watch: CPU per packet, delay, memory per viewer.
    Fanout,
    /// Everybody sees everybody.
    Call,
    /// Time to the first part, age of the newest picture, CPU per viewer-minute.
    Hls,
    /// Copy, seal, send, and nothing else.
    Floor,
    /// Decode, draw and encode a composed program, beside the codecs alone, ffmpeg and GStreamer; what each decoder and the sound cost.
    Compose,
    /// What a broadcast costs beyond its call: cut, composed, composed at every size.
    Air,
    /// What recordings lack of a server that is killed at any moment, and whether they play. Not among `all`.
    Kills,
    /// Core-hours of an hour: four on stage, composed at every size, and an audience over TLS; by five minutes. Not among `all`.
    Cost,
    /// Viewers per core over TLS, beside nginx, and how soon everybody who waits is answered.
    Origin,
}

/// One thread, so that the members' own share of it says how busy the clients are.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let time =
        Duration::from_secs(
            arguments
                .seconds
                .unwrap_or(if arguments.quick { 5 } else { 15 }),
        );
    let all = arguments.what == What::All;
    let mut report = Report::new().await;
    let media = Media::make()?;
    report.note_media(&media);

    if all || arguments.what == What::Compose {
        let rounds = if arguments.quick { 1 } else { arguments.rounds };
        let measure = move || {
            (
                compose::measure(rounds),
                codecs::decoded(rounds),
                codecs::sound(rounds),
            )
        };
        let (composed, decoded, sound) = tokio::task::spawn_blocking(measure).await?;
        report.composed(composed);
        report.decoded(decoded);
        report.sound(sound);
    }
    if all || arguments.what == What::Air {
        let rounds = if arguments.quick { 1 } else { arguments.rounds };
        report.on_air(air::measure(&arguments.server, rounds, time / 2).await);
    }
    if arguments.what == What::Kills {
        report.kills(kills::measure(&arguments.server, arguments.times, arguments.seed).await);
    }
    let mut shapes = Vec::new();
    if all || arguments.what == What::Fanout {
        shapes.extend(match arguments.viewers {
            Some(viewers) => vec![Shape::OneTo(viewers)],
            None => vec![Shape::OneTo(10), Shape::OneTo(30)],
        });
    }
    if all || arguments.what == What::Call {
        shapes.push(Shape::CallOf(arguments.members));
    }
    if all || arguments.what == What::Floor {
        for destinations in [10, 30] {
            report.floor(
                tokio::task::spawn_blocking(move || floor::measure(destinations, time / 3))
                    .await??,
            );
        }
    }
    for shape in shapes {
        report.call(measure_amphi(&arguments, &media, shape, time).await);
        if !arguments.no_janus && janus::is_installed() {
            report.call(measure_janus(&media, shape, time).await);
        }
    }
    if all || arguments.what == What::Hls {
        let viewers = arguments
            .viewers
            .unwrap_or(if arguments.quick { 20 } else { 50 });
        report.hls(hls::measure(&arguments.server, &media, viewers, time).await);
    }
    if all || arguments.what == What::Origin {
        let viewers = arguments.viewers.unwrap_or(200);
        let (waiting, rounds) = if arguments.quick {
            (1_000, 1)
        } else {
            (arguments.waiting, arguments.rounds)
        };
        let server = &arguments.server;
        report.origin(origin::measure(server, viewers, waiting, rounds, time / 2).await);
    }
    if arguments.what == What::Cost {
        let viewers = arguments.viewers.unwrap_or(1_000);
        let seconds = arguments
            .seconds
            .unwrap_or(if arguments.quick { 30 } else { 300 });
        let time = Duration::from_secs(seconds);
        report.cost(cost::measure(&arguments.server, viewers, time).await);
    }
    report.print();
    report.write(&arguments.json)?;
    report.verdict()
}

async fn measure_amphi(
    arguments: &Arguments,
    media: &Media,
    shape: Shape,
    time: Duration,
) -> anyhow::Result<call::Figures> {
    let server = Server::amphi(&arguments.server).await?;
    let door = amphi_door(&server);
    let figures = call::measure("amphi", &server, &door, media, shape, time).await;
    server.stop().await;
    figures.with_context(|| format!("amphi, {}", shape.name()))
}

async fn measure_janus(
    media: &Media,
    shape: Shape,
    time: Duration,
) -> anyhow::Result<call::Figures> {
    let janus = janus::start().await?;
    let door = Door {
        server: janus.url.clone(),
        form: Form::Pair,
        address: janus.address,
        asks: true,
        token: janus::token,
    };
    let figures = call::measure("janus", &janus.server, &door, media, shape, time).await;
    janus.server.stop().await;
    figures.with_context(|| format!("janus, {}", shape.name()))
}

fn amphi_door(server: &Server) -> Door {
    Door {
        server: format!("ws://{}", server.authority),
        form: Form::Single,
        address: Ipv4Addr::LOCALHOST.into(),
        asks: false,
        token: dev_token,
    }
}

fn dev_token(room: &str, identity: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    Token::dev(room, identity, now)
        .grant("roomBroadcast", true)
        .grant("roomRecord", true)
        .sign()
}
