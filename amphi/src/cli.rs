//! The command line: what it takes, and which part does it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Lasting, LogFormat, Overrides};
use crate::{compose, doctor, http, logs, serve, thumbnail, token_command};

/// A call, its broadcast and its recording in one process.
#[derive(Parser)]
#[command(name = "amphi", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open the house: pages, calls, broadcasts, recordings.
    Serve(ServeArgs),
    /// Print an access token for a room.
    Token(TokenArgs),
    /// Look whether this machine can do it: ports, data folder, network, codecs, clock.
    Doctor(ServeArgs),
    /// Composes one program's picture; started by `serve`.
    #[command(hide = true)]
    ProgramWorker,
    /// Makes thumbnails of broadcasts; started by `serve`.
    #[command(hide = true)]
    ThumbnailWorker,
    /// Print the description of the API (docs/openapi.json).
    #[command(hide = true)]
    Openapi,
}

#[derive(Args)]
struct ServeArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// Port for pages, API, signalling and HLS; 0: any free one.
    #[arg(long, value_name = "N")]
    http_port: Option<u16>,
    /// First port for media over UDP; 0: any free one.
    #[arg(long, value_name = "N")]
    udp_port: Option<u16>,
    /// Port for media over TCP; 0: any free one.
    #[arg(long, value_name = "N")]
    tcp_port: Option<u16>,
    /// Folder of the database and the recordings.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Certificate chain (PEM); pages and API are then https.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How logs are written to standard error.
    #[arg(long, value_name = "FORMAT")]
    log: Option<LogFormat>,
}

/// Where keys come from, for every command.
#[derive(Args)]
struct CommonArgs {
    /// Try it out: this machine only, key "devkey", secret "secret", no token needed.
    #[arg(long)]
    dev: bool,
    /// Configuration file; amphi.toml is the manual.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct TokenArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The room that the token is for.
    #[arg(long)]
    room: String,
    /// Whose token it is; one person in a room has one identity.
    #[arg(long)]
    identity: String,
    /// What others read for the identity.
    #[arg(long)]
    name: Option<String>,
    /// A grant, as tokens spell it: roomAdmin, roomBroadcast, roomRecord, canPublish=false,
    /// canPublishSources=microphone,camera … May be given several times. Joining, publishing, subscribing and data
    /// are allowed without being named.
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// How long it is good for joining.
    #[arg(long, value_name = "SPAN", default_value = "6h")]
    valid_for: Lasting,
}

/// Does what the command line says. What goes wrong is said on standard error.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => run_serve(args).map(|()| ExitCode::SUCCESS),
        Command::Token(args) => run_token(args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => run_doctor(args),
        Command::ProgramWorker => compose::worker::run().map(|()| ExitCode::SUCCESS),
        Command::ThumbnailWorker => thumbnail::worker::run().map(|()| ExitCode::SUCCESS),
        Command::Openapi => run_openapi().map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("amphi: {error:#}");
        ExitCode::FAILURE
    })
}

fn run_serve(args: ServeArgs) -> anyhow::Result<()> {
    let config = args.config()?;
    logs::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .context("starting the runtime")?;
    let done = runtime.block_on(serve::serve(config));
    // A disk that hangs in a blocking task must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

fn run_doctor(args: ServeArgs) -> anyhow::Result<ExitCode> {
    // It may be what makes the data folder.
    serve::keep_files_private();
    let findings = doctor::examine(&args.config()?);
    for finding in &findings {
        println!("{finding}");
    }
    let well = findings
        .iter()
        .all(|finding| finding.state != doctor::State::Bad);
    println!(
        "{}",
        if well {
            "This machine can do it."
        } else {
            "Something is wrong: see above."
        }
    );
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run_openapi() -> anyhow::Result<()> {
    println!(
        "{}",
        http::document()
            .to_pretty_json()
            .context("writing the description of the API")?
    );
    Ok(())
}

fn run_token(args: TokenArgs) -> anyhow::Result<()> {
    let config = Config::load(args.common.config.as_deref(), &args.common.overrides())?;
    let wanted = token_command::Wanted {
        room: args.room,
        identity: args.identity,
        name: args.name.unwrap_or_default(),
        grants: args.grants,
        valid_for: args.valid_for.0,
    };
    println!(
        "{}",
        token_command::token(&wanted, &config.keys()?, std::time::SystemTime::now())?
    );
    Ok(())
}

impl ServeArgs {
    fn config(self) -> anyhow::Result<Config> {
        let overrides = Overrides {
            bind: self.bind,
            http_port: self.http_port,
            udp_port: self.udp_port,
            tcp_port: self.tcp_port,
            data_dir: self.data_dir,
            tls: self.tls_cert.zip(self.tls_key),
            log_format: self.log,
            ..self.common.overrides()
        };
        Ok(Config::load(self.common.config.as_deref(), &overrides)?)
    }
}

impl CommonArgs {
    fn overrides(&self) -> Overrides {
        let variable = |name| std::env::var(name).ok();
        let key = match (variable("AMPHI_KEY"), variable("AMPHI_SECRET")) {
            (None, None) => None,
            (key, secret) => Some((key.unwrap_or_default(), secret.unwrap_or_default())),
        };
        let export_key = variable("AMPHI_S3_KEY_ID").zip(variable("AMPHI_S3_SECRET"));
        Overrides {
            dev: self.dev,
            key,
            export_key,
            ..Overrides::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
