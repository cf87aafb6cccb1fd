//! `amphi serve`: makes the parts, puts them together, opens the doors, and closes them again.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::{self, listen};

/// How long running requests may take to end when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    config.keys()?;
    let stop = stop_signal()?;
    let listener = bind_tcp(config.server.bind, config.server.http_port, "pages and API", "http_port").await?;
    let address = listener.local_addr().context("asking for the address")?;
    let tls = config.tls.files().map(|(cert, key)| listen::tls(cert, key)).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("ready {}", url(scheme, address));
    let limits = listen::Limits { connections: config.limits.connections, head_timeout: config.limits.head_timeout.0 };
    listen::serve(listener, tls, http::router(), limits, Arc::default(), stop, DRAIN_MAX).await;
    Ok(())
}

/// Done at the first SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn bind_tcp(ip: IpAddr, port: u16, what: &str, setting: &str) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "TCP port {port} ({what}) is in use on {ip}: another amphi, perhaps. Choose another with server.{setting} or --{}",
            setting.replace('_', "-")
        ),
        std::io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "TCP port {port} ({what}) may not be opened by this user: ports below 1024 need the capability CAP_NET_BIND_SERVICE"
        ),
        _ => anyhow::Error::from(error).context(format!("listening on {address} for {what}")),
    })
}

/// The address for a browser on this machine.
fn url(scheme: &str, address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(host, address.port()))
}
