//! `amphi serve`: makes the parts, puts them together, opens the doors, and closes them again.
//!
//! ```text
//! Store ─┬─> Programs <── RoomEvents <── House (shard threads, UDP, ICE-TCP)
//!        │      │  └── Calls: key frames, failures ──> House
//!        │      └─> Origin (live windows), Recorder (files)
//!        └─> App = everything above, for the handlers in `http/`
//! ```

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use amphi_media::{TrackId, VideoSize};
use amphi_mux::Dvr;
use amphi_shard::{Command, Output};
use anyhow::Context;
use rustix::fs::Mode;
use rustix::process::Resource;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::airings::Airings;
use crate::announcement;
use crate::config::Config;
use crate::egress::hls::{self, Origin};
use crate::egress::record;
use crate::egress::record::export::{self, Exporter, Pace};
use crate::http::limiter::Limiter;
use crate::http::{self, App, Parts, listen};
use crate::net::{self, House, RoomEvents};
use crate::program::{self, Programs};
use crate::store::{Outdated, SqliteStore, Store};

/// How long clients get to read that they should come back, before their sockets are closed.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// How long running requests may take to end when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(3);
/// How long the shard threads may take to end.
const STOP_MAX: Duration = Duration::from_secs(2);
/// How often recordings are looked through for what is to be deleted.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked for recordings to export.
const EXPORT_EVERY: Duration = Duration::from_secs(5);
/// How often what is over is let go of.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT, then says goodbye to everybody. A second signal does not wait.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let server = Server::start(config).await?;
    // Whoever started us may have closed its end, which is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "ready {}", server.url());
    let _ = std::io::stdout().flush();
    stop.await;
    tracing::info!("stopping: members are told to come back, recordings are closed");
    server.stop().await;
    Ok(())
}

/// A running house.
pub struct Server {
    app: App,
    address: SocketAddr,
    scheme: &'static str,
    doors: JoinHandle<()>,
    close_doors: oneshot::Sender<()>,
    sweeper: JoinHandle<()>,
    keeper: JoinHandle<()>,
    exporter: Option<JoinHandle<()>>,
    /// Held for as long as the data folder is ours.
    _lock: File,
}

impl Server {
    /// Opens everything; joins are accepted when it is done.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let keys = config.keys()?;
        let tls = config
            .tls
            .files()
            .map(|(cert, key)| listen::tls(cert, key))
            .transpose()?;
        raise_descriptor_limit();

        let server = &config.server;
        let http = bind_tcp(server.bind, server.http_port, "pages and API", "http_port").await?;
        let media_tcp =
            bind_tcp(server.bind, server.tcp_port, "media over TCP", "tcp_port").await?;
        let address = http
            .local_addr()
            .context("asking for the address of the HTTP port")?;

        keep_files_private();
        let lock = own_data_dir(&server.data_dir)?;
        let (data_dir, publishes) = (server.data_dir.clone(), config.publishes());
        let store = tokio::task::spawn_blocking(move || -> anyhow::Result<Arc<dyn Store>> {
            let path = data_dir.join("amphi.db");
            let store =
                SqliteStore::open(&path).with_context(|| format!("opening {}", path.display()))?;
            let recovered = record::recover(&data_dir, &store)
                .context("looking after recordings that were left open")?;
            if recovered > 0 {
                tracing::info!(recovered, "recordings that a crash had left open are whole");
            }
            let undecided = store
                .settle_undecided(publishes)
                .context("deciding who may watch recordings of before")?;
            if undecided > 0 {
                tracing::info!(
                    undecided,
                    published = publishes,
                    "recordings of before are released as [recording] says"
                );
            }
            Ok(Arc::new(store))
        })
        .await
        .context("opening the store")??;

        let limits = &config.limits;
        let origin = Arc::new(Origin::new(hls::Limits {
            broadcasts: limits.broadcasts,
            broadcast_bytes: limits.broadcast_memory_mib.saturating_mul(1024 * 1024),
            blocked_requests: limits.blocked_requests,
            dvr: config.broadcast.dvr.0.map(|listed| {
                let dvr = Dvr {
                    listed,
                    bytes_max: config.broadcast.dvr_bytes_max,
                };
                (dvr, server.data_dir.join("dvr"))
            }),
            thumbnails: config.thumbnails(),
        }));
        let programs = Programs::new(
            program::Config {
                data_dir: server.data_dir.clone(),
                programs_max: config.limits.broadcasts,
                means: config.means(),
                layers: config.broadcast.layers,
                opus: config.broadcast.opus,
                recordings: record::Plan {
                    published: config.publishes(),
                    keep_for: config.recording.keep_for.0,
                    tracks: config.recording.tracks,
                },
            },
            origin.clone(),
            store.clone(),
        );
        let airings = Arc::new(Airings::default());
        let events = Arc::new(Events {
            programs: programs.clone(),
            store: store.clone(),
            config: config.clone(),
            airings: airings.clone(),
            house: OnceLock::new(),
            runtime: tokio::runtime::Handle::current(),
        });
        let media = net::Config {
            udp: SocketAddr::new(server.bind, server.udp_port),
            advertise: config.advertised(),
            shards: config.shards(),
        };
        let house = House::start(&media, media_tcp, events.clone()).context(
            "opening the media ports (another amphi may have them: choose others with server.udp_port or --udp-port)",
        )?;
        // A room can only open after somebody has come in, and the doors are still closed.
        if events.house.set(house.clone()).is_err() {
            unreachable!("nobody else sets it");
        }
        programs.connect(Arc::new(CallsOf(house.clone())));

        let listen_limits = listen::Limits {
            connections: limits.connections,
            head_timeout: limits.head_timeout.0,
        };
        let may_go = match config.recording.export.is_wanted() {
            true => Outdated::ExportedTo(export::place(&config.recording.export)),
            false => Outdated::All,
        };
        let data_dir = config.server.data_dir.clone();
        let keeper = Arc::new(record::Keeper::new(data_dir.clone(), store.clone(), may_go));
        let exporter = Exporter::new(
            &config.recording.export,
            Pace::default(),
            data_dir,
            store.clone(),
            keeper.clone(),
        )?
        .map(Arc::new);
        let app = App::new(Parts {
            keeper: keeper.clone(),
            exporter,
            joins: Limiter::new(limits.joins_at_once, limits.joins_per_minute),
            identities: Default::default(),
            airings,
            reports: Default::default(),
            keys,
            house,
            programs,
            origin: origin.clone(),
            store,
            requests: Default::default(),
            connections: Default::default(),
            sockets: Default::default(),
            playlists: Default::default(),
            cpu: Default::default(),
            draining: AtomicBool::new(false),
            config,
        });
        let (close_doors, doors_close) = oneshot::channel();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let connections = app.connections.clone();
        let closing = async move {
            // A dropped sender closes the doors too.
            let _ = doors_close.await;
        };
        let doors = tokio::spawn(listen::serve(
            http,
            tls,
            http::Doors::new(app.clone()),
            listen_limits,
            connections,
            closing,
            DRAIN_MAX,
        ));
        let sweeper = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP_EVERY);
            loop {
                ticks.tick().await;
                origin.sweep();
            }
        });
        let keeper = tokio::spawn(keep(app.clone()));
        let exporter = app
            .exporter
            .clone()
            .map(|exporter| tokio::spawn(export(exporter)));
        Ok(Self {
            app,
            address,
            scheme,
            doors,
            close_doors,
            sweeper,
            keeper,
            exporter,
            _lock: lock,
        })
    }

    /// Where pages and API are, for a browser on this machine.
    pub fn url(&self) -> String {
        let host = match self.address.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        format!(
            "{}://{}",
            self.scheme,
            SocketAddr::new(host, self.address.port())
        )
    }

    /// The parts, for tests.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Tells members to come back, closes recordings, lets requests end, stops. Takes some ten seconds at most.
    pub async fn stop(self) {
        let app = self.app;
        app.drain();
        app.house.drain();
        // Ends what waits for a part, too: an ended broadcast's playlist says so.
        let programs = app.programs.clone();
        let closed = tokio::task::spawn_blocking(move || programs.close());
        let goodbye = async {
            while app.sockets.closed.load(Ordering::Relaxed)
                < app.sockets.opened.load(Ordering::Relaxed)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(GOODBYE_MAX, goodbye).await.is_err() {
            tracing::info!("some clients did not close their sockets in time");
        }
        if closed.await.is_err() {
            tracing::error!("closing the programs panicked");
        }
        // It is gone if the doors are closed already.
        let _ = self.close_doors.send(());
        if self.doors.await.is_err() {
            tracing::error!("the task that takes connections panicked");
        }
        self.sweeper.abort();
        self.keeper.abort();
        if let Some(exporter) = self.exporter {
            // What was sent is written down; the rest goes on at the next start.
            exporter.abort();
        }
        let house = app.house.clone();
        let stopped = tokio::task::spawn_blocking(move || house.stop());
        if tokio::time::timeout(STOP_MAX, stopped).await.is_err() {
            tracing::warn!("a shard thread did not stop in time");
        }
    }
}

/// Deletes what was kept for long enough, and goes on with deletions that could not be finished.
async fn keep(app: App) {
    let mut ticks = tokio::time::interval(KEEP_EVERY);
    loop {
        ticks.tick().await;
        let app = app.clone();
        let kept = tokio::task::spawn_blocking(move || app.keeper.look_through(SystemTime::now()));
        if kept.await.is_err() {
            tracing::error!("looking through the recordings panicked");
        }
    }
}

/// Sends recordings elsewhere as soon as they are ready.
async fn export(exporter: Arc<Exporter>) {
    if let Err(error) = exporter.begin().await {
        tracing::warn!("what was given up is not exported again: {error:#}");
    }
    let mut ticks = tokio::time::interval(EXPORT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = exporter.work(SystemTime::now()).await {
            tracing::warn!("recordings cannot be exported just now: {error:#}");
        }
    }
}

/// What rooms tell the rest of the house. Called on shard threads.
struct Events {
    programs: Programs,
    store: Arc<dyn Store>,
    config: Config,
    airings: Arc<Airings>,
    house: OnceLock<House>,
    runtime: tokio::runtime::Handle,
}

impl RoomEvents for Events {
    fn on_output(&self, output: Output) {
        match &output {
            Output::Broadcast { room, on: true } => {
                self.airings.began(room);
                self.keep_announcement(room.clone());
            }
            Output::Broadcast { room, on: false } | Output::RoomClosed { room } => {
                self.airings.ended(room, Instant::now());
            }
            _ => {}
        }
        match self.programs.on_output(output) {
            Some(Output::RoomOpened { room }) => self.configure(room),
            Some(Output::RoomFailed { room: _ }) => {
                tracing::error!("a room broke and was closed; its members may come in again");
            }
            // What programs took, and what concerns nobody here.
            None | Some(_) => {}
        }
    }
}

impl Events {
    /// A broadcast that has begun is announced no longer.
    fn keep_announcement(&self, room: String) {
        let until = announcement::kept_until(SystemTime::now());
        let store = self.store.clone();
        self.runtime.spawn_blocking(move || {
            if let Err(error) = store.end_announcement(&room, until) {
                tracing::error!(%error, "a room that is on air stays announced");
            }
        });
    }

    /// Tells a room that has just opened how it is to behave.
    fn configure(&self, room: String) {
        let Some(house) = self.house.get().cloned() else {
            return;
        };
        let (store, configured) = (self.store.clone(), http::configured(&self.config, &room));
        let config = self.config.clone();
        self.runtime.spawn_blocking(move || {
            let settings = store.settings(&room).unwrap_or_else(|error| {
                tracing::error!(%error, "a room opened with the configuration's settings, its own could not be read");
                None
            });
            let settings = http::for_room(&settings.unwrap_or(configured), &config);
            if !house.tell(&room, Command::Configure(settings)) {
                tracing::warn!("a room opened without its settings: its shard has too much to do");
            }
        });
    }
}

/// What programs ask of the call.
struct CallsOf(House);

impl program::Calls for CallsOf {
    fn request_key_frame(&self, room: &str, track: TrackId) {
        self.0.request_key_frame(room, track);
    }

    fn want_size(&self, room: &str, track: TrackId, size: Option<VideoSize>) {
        // Forgotten when the shard has too much to do: a larger layer than needed costs a little, and the next change tells anew.
        self.0.tell(room, Command::WantSize { track, size });
    }

    fn take_layers(&self, room: &str, track: TrackId, on: bool) {
        // Forgotten when the shard has too much to do: there are fewer rungs until the program says it again some seconds later, or
        // some for nobody until the next cut.
        self.0.tell(room, Command::TakeLayers { track, on });
    }

    fn program_failed(&self, room: &str, reason: &str) {
        if !self.0.tell(
            room,
            Command::ProgramFailed {
                reason: reason.to_owned(),
            },
        ) {
            tracing::error!(reason, "a program failed, and its room could not be told");
        }
    }
}

/// Done at the first SIGTERM or SIGINT; the second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let (first, stop) = oneshot::channel();
    tokio::spawn(async move {
        next().await;
        // Nobody waits any more if starting failed meanwhile.
        let _ = first.send(());
        next().await;
        std::process::exit(1);
    });
    Ok(async move {
        // The task above ends only with the process.
        let _ = stop.await;
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

/// Nobody else on this machine is to read what people said: whatever is made from now on, by SQLite too, is for this user
/// alone. What is there already stays as it is.
pub(crate) fn keep_files_private() {
    let _before = rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Makes the data folder and takes it: two servers on one folder would finish each other's recordings.
fn own_data_dir(folder: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("making the data folder {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path)
        .with_context(|| format!("writing into the data folder: {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
            "the data folder {} is in use by another amphi: choose another with server.data_dir or --data-dir",
            folder.display()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// Every connection takes a descriptor, and the usual soft limit of 1024 is meant for programs that use `select`.
fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        limit.current = limit.maximum;
        if let Err(error) = rustix::process::setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
}
