//! What the origin carries over TLS: viewers per core who check every playlist, how soon everybody who waits has a new part, and what
//! nginx needs to serve the same bytes.
//!
//! A viewer is two connections, for picture and sound. On each it asks for the playlist by blocking reload, as a delta update packed
//! with gzip, reads it, takes the parts that are new, and asks again.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use crate::hls::{Playlist, ROOM, go_live, together};
use crate::load::{Load, percentile};
use crate::media::Media;
use crate::process::{Server, own_thread_cpu_ns};
use crate::sealed::Sealed;
use crate::tls::{Certificate, Stamped, connect_stamped};

/// A part every third of a second.
const PARTS_A_SECOND: u32 = 3;
const SETTLE: Duration = Duration::from_secs(4);

#[derive(serde::Serialize)]
pub struct Figures {
    pub viewers: usize,
    pub kbit_per_viewer_s: f64,
    pub requests_per_s: f64,
    /// CPU of the server beyond what it uses without viewers, as shares of a core, one for each round; and nginx's.
    pub amphi: Vec<f64>,
    pub nginx: Vec<f64>,
    pub nginx_version: Option<String>,
    /// How many of these viewers one core carries.
    pub viewers_per_core: f64,
    pub nginx_viewers_per_core: f64,
    /// All of these waited for each part at once.
    pub waiting: usize,
    pub parts_waited_for: usize,
    /// From the first answer for a part to each of the others.
    pub answered_ms_p50: f64,
    pub answered_ms_p99: f64,
    pub answered_ms_most: f64,
    /// CPU for one answer and the request that follows it: the server's, and that of the thread which asks on the same machine.
    pub answer_server_us: f64,
    pub answer_crowd_us: f64,
    pub crowd_busy_percent: f64,
    pub invalid: Option<String>,
}

pub async fn measure(
    binary: &Path,
    viewers: usize,
    waiting: usize,
    rounds: usize,
    time: Duration,
) -> anyhow::Result<Figures> {
    // A megabit a second with the sound.
    let media = Media::of(1280, 720, 870)?;
    let sealed = Sealed::start(binary).await?;
    let figures = run(&sealed, &media, viewers, waiting, rounds, time).await;
    sealed.stop().await;
    figures.context("amphi, origin")
}

async fn run(
    sealed: &Sealed,
    media: &Media,
    viewers: usize,
    waiting: usize,
    rounds: usize,
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
    load.join(door, &options, ROOM, true).await?;
    go_live(plain, door, "cut").await?;
    let settle = tokio::time::sleep(SETTLE);
    together(&mut load, async {
        settle.await;
        Ok(())
    })
    .await?;

    let mut figures = Figures {
        viewers,
        kbit_per_viewer_s: 0.0,
        requests_per_s: 0.0,
        amphi: Vec::new(),
        nginx: Vec::new(),
        nginx_version: None,
        viewers_per_core: 0.0,
        nginx_viewers_per_core: 0.0,
        waiting,
        parts_waited_for: 0,
        answered_ms_p50: 0.0,
        answered_ms_p99: 0.0,
        answered_ms_most: 0.0,
        answer_server_us: 0.0,
        answer_crowd_us: 0.0,
        crowd_busy_percent: 0.0,
        invalid: None,
    };
    let peer = Nginx::start(certificate).await?;
    figures.nginx_version = peer.as_ref().map(|nginx| nginx.version.clone());
    let (mut requests, mut bytes, mut seconds) = (0, 0, 0.0);
    for _ in 0..rounds {
        let quiet = together(&mut load, used(|| Ok(server.usage()?.cpu_ns), time)).await?;
        let crowd = Crowd::gather(viewers, Turn::Equal, |rendition| {
            let (authority, client) = (server.authority.clone(), certificate.client.clone());
            move |shared| watch(authority, client, rendition, shared)
        })?;
        let with = together(&mut load, crowd.measured(server, time)).await?;
        requests += with.watched.requests;
        bytes += with.watched.bytes;
        seconds += time.as_secs_f64();
        figures.crowd_busy_percent = figures.crowd_busy_percent.max(with.watched.busy_percent);
        let sizes = with.sizes;
        figures.invalid = figures.invalid.take().or(crowd.disperse());
        figures.amphi.push(with.share - quiet);

        if let Some(nginx) = &peer {
            nginx.serve(sizes)?;
            let crowd = Crowd::gather(viewers, Turn::Equal, |rendition| {
                let (authority, client) = (nginx.authority.clone(), certificate.client.clone());
                move |shared| fetch(authority, client, rendition, shared)
            })?;
            let with = together(&mut load, crowd.measured(nginx, time)).await?;
            figures.invalid = figures.invalid.take().or(crowd.disperse());
            figures.nginx.push(with.share);
        }
    }
    figures.kbit_per_viewer_s = bytes as f64 * 8.0 / 1_000.0 / seconds / viewers as f64;
    figures.requests_per_s = requests as f64 / seconds;
    let carried = |shares: &[f64]| viewers as f64 / median(shares);
    figures.viewers_per_core = carried(&figures.amphi);
    figures.nginx_viewers_per_core = carried(&figures.nginx);

    wait_for_parts(server, certificate, &mut load, time, &mut figures).await?;
    if figures.crowd_busy_percent > 95.0 {
        figures.invalid = Some("the viewers were more than 95 % busy".to_owned());
    }
    load.leave().await;
    Ok(figures)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What share of a core a server uses in `time`.
async fn used(cpu_ns: impl Fn() -> anyhow::Result<u64>, time: Duration) -> anyhow::Result<f64> {
    let before = cpu_ns()?;
    tokio::time::sleep(time).await;
    Ok((cpu_ns()? - before) as f64 / 1e9 / time.as_secs_f64())
}

/// Many connections of the same kind wait for the same part; who answers them is measured. An answer is there when it has reached
/// this machine's kernel: they are read when the server leaves time for it, as if by other machines.
async fn wait_for_parts(
    server: &Server,
    certificate: &Certificate,
    load: &mut Load<'_>,
    time: Duration,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let crowd = Crowd::gather(figures.waiting.div_ceil(2), Turn::AfterServer, |_| {
        let (authority, client) = (server.authority.clone(), certificate.client.clone());
        move |shared| wait(authority, client, shared)
    })?;
    // All of them have to be there first, and each shakes hands.
    let here = crowd.shared.clone();
    let all = 2 * figures.waiting.div_ceil(2) as u64;
    let mut cpu_ns = (0, 0);
    together(load, async {
        let deadline = Instant::now() + Duration::from_secs(60);
        while here.ready.load(Ordering::Relaxed) < all {
            ensure!(Instant::now() < deadline, "not everybody is connected");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(SETTLE).await;
        here.answers.lock().expect("nobody panics with it").clear();
        let used = || {
            Ok::<_, anyhow::Error>((server.usage()?.cpu_ns, here.cpu_ns.load(Ordering::Relaxed)))
        };
        let before = used()?;
        tokio::time::sleep(time).await;
        let after = used()?;
        cpu_ns = (after.0 - before.0, after.1 - before.1);
        Ok(())
    })
    .await?;
    let answers = std::mem::take(&mut *crowd.shared.answers.lock().expect("nobody panics with it"));
    figures.invalid = figures.invalid.take().or(crowd.disperse());
    let mut delays = Vec::new();
    for answered in answers.values() {
        // Those at the ends of the measurement are not whole.
        if (answered.len() as u64) < all {
            continue;
        }
        figures.parts_waited_for += 1;
        let first = answered.iter().min().copied();
        delays.extend(
            answered
                .iter()
                .zip(first.iter().cycle())
                .map(|(at, first)| (*at - *first).as_nanos() as u64),
        );
    }
    let answered = delays.len().max(1) as f64;
    figures.answer_server_us = cpu_ns.0 as f64 / 1e3 / answered;
    figures.answer_crowd_us = cpu_ns.1 as f64 / 1e3 / answered;
    delays.sort_unstable();
    figures.answered_ms_p50 = percentile(&delays, 50.0) / 1e6;
    figures.answered_ms_p99 = percentile(&delays, 99.0) / 1e6;
    figures.answered_ms_most = percentile(&delays, 100.0) / 1e6;
    if figures.parts_waited_for == 0 {
        figures.invalid = Some("no part was answered to everybody".to_owned());
    }
    Ok(())
}

/// What all connections of a crowd have in common.
#[derive(Default)]
pub struct Shared {
    stop: AtomicBool,
    ready: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    /// Of the crowd's thread.
    cpu_ns: AtomicU64,
    /// The newest playlist and part of picture and sound, as they came over the line.
    samples: Mutex<Sizes>,
    /// For each part that was waited for, when each answer reached this machine, since 1970.
    answers: Mutex<std::collections::BTreeMap<(u64, usize), Vec<Duration>>>,
    failure: Mutex<Option<String>>,
    newest: Newest,
}

/// A segment, and a part of it.
type Place = (u64, usize);

/// The newest playlist as it came, and which part it says comes next.
#[derive(Default)]
struct Newest(Mutex<Option<(Vec<u8>, Place)>>);

impl Newest {
    /// If these are its bytes.
    fn next_of(&self, body: &[u8]) -> Option<Place> {
        let newest = self.0.lock().expect("nobody panics with it");
        newest
            .as_ref()
            .filter(|(known, _)| known == body)
            .map(|(_, next)| *next)
    }

    fn keep(&self, body: Vec<u8>, next: Place) {
        *self.0.lock().expect("nobody panics with it") = Some((body, next));
    }
}

/// Bytes of (playlist, part), for picture and sound.
type Sizes = [(usize, usize); 2];

/// Connections on a thread of their own, so that whoever sends the pictures is not held up.
pub struct Crowd {
    shared: Arc<Shared>,
    thread: std::thread::JoinHandle<()>,
}

/// Whether a crowd takes the server's time. Viewers have machines of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Equal,
    AfterServer,
}

/// What a crowd did in some time.
pub struct Watched {
    pub requests: u64,
    pub bytes: u64,
    pub busy_percent: f64,
}

struct Measured {
    share: f64,
    watched: Watched,
    sizes: Sizes,
}

trait Costs {
    fn cpu_ns(&self) -> anyhow::Result<u64>;
}

impl Costs for Server {
    fn cpu_ns(&self) -> anyhow::Result<u64> {
        Ok(self.usage()?.cpu_ns)
    }
}

impl Crowd {
    pub fn gather<F, W>(viewers: usize, turn: Turn, viewer: F) -> anyhow::Result<Self>
    where
        F: Fn(usize) -> W,
        W: AsyncFnOnce(Arc<Shared>) -> anyhow::Result<()> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let everybody: Vec<W> = (0..viewers).flat_map(|_| [viewer(0), viewer(1)]).collect();
        let crowd = shared.clone();
        let thread = std::thread::Builder::new()
            .name("crowd".to_owned())
            .spawn(move || {
                if turn == Turn::AfterServer {
                    // Of this thread (setpriority(2)). The worst that comes of it not being let is a slower answer.
                    let _ = rustix::process::setpriority_process(None, 19);
                }
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, async {
                    for (number, one) in everybody.into_iter().enumerate() {
                        let shared = crowd.clone();
                        tokio::task::spawn_local(async move {
                            // Not all hands are shaken at once.
                            tokio::time::sleep(Duration::from_micros(400 * number as u64)).await;
                            if let Err(error) = one(shared.clone()).await {
                                let mut failure =
                                    shared.failure.lock().expect("nobody panics with it");
                                failure.get_or_insert(format!("a viewer failed: {error:#}"));
                            }
                        });
                    }
                    while !crowd.stop.load(Ordering::Relaxed) {
                        if let Ok(cpu_ns) = own_thread_cpu_ns() {
                            crowd.cpu_ns.store(cpu_ns, Ordering::Relaxed);
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                });
            })
            .context("a thread for viewers")?;
        Ok(Self { shared, thread })
    }

    /// After everybody has arrived.
    async fn measured(&self, server: &impl Costs, time: Duration) -> anyhow::Result<Measured> {
        tokio::time::sleep(SETTLE).await;
        let before = server.cpu_ns()?;
        let watched = self.watched(time).await?;
        let share = (server.cpu_ns()? - before) as f64 / 1e9 / time.as_secs_f64();
        let shared = &self.shared;
        Ok(Measured {
            share,
            watched,
            sizes: *shared.samples.lock().expect("nobody panics with it"),
        })
    }

    pub async fn watched(&self, time: Duration) -> anyhow::Result<Watched> {
        let shared = &self.shared;
        let counts = || {
            (
                shared.requests.load(Ordering::Relaxed),
                shared.bytes.load(Ordering::Relaxed),
                shared.cpu_ns.load(Ordering::Relaxed),
            )
        };
        let before = counts();
        tokio::time::sleep(time).await;
        let after = counts();
        Ok(Watched {
            requests: after.0 - before.0,
            bytes: after.1 - before.1,
            busy_percent: (after.2 - before.2) as f64 / 1e7 / time.as_secs_f64(),
        })
    }

    /// Everybody goes. The first failure, if there was one.
    pub fn disperse(self) -> Option<String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            return Some("the viewers' thread broke".to_owned());
        }
        self.shared
            .failure
            .lock()
            .expect("nobody panics with it")
            .take()
    }
}

/// One connection that is kept open, with just as much HTTP/1.1 as an origin's answers need.
struct Line {
    stream: TlsStream<Stamped>,
    buffer: Vec<u8>,
}

struct Answer {
    status: u16,
    packed: bool,
    body: Vec<u8>,
    /// With the head.
    bytes: usize,
}

impl Line {
    async fn connect(authority: &str, client: &Arc<ClientConfig>) -> anyhow::Result<Self> {
        Ok(Self {
            stream: connect_stamped(authority, client).await?,
            buffer: Vec::new(),
        })
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        self.stream
            .write_all(request.as_bytes())
            .await
            .context("asking")?;
        self.buffer.clear();
        let mut head = None;
        loop {
            if head.is_none() {
                head = self
                    .buffer
                    .windows(4)
                    .position(|four| four == b"\r\n\r\n")
                    .map(|end| Head::read(&self.buffer[..end + 4]))
                    .transpose()?;
            }
            if let Some(head) = &head
                && self.buffer.len() >= head.size + head.length
            {
                return Ok(Answer {
                    status: head.status,
                    packed: head.packed,
                    body: self.buffer[head.size..head.size + head.length].to_vec(),
                    bytes: head.size + head.length,
                });
            }
            let read = self.stream.read_buf(&mut self.buffer).await;
            ensure!(read.context("an answer")? > 0, "{path}: hung up");
        }
    }

    async fn must_get(&mut self, path: &str, shared: &Shared) -> anyhow::Result<Answer> {
        let answer = self.get(path).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        shared.requests.fetch_add(1, Ordering::Relaxed);
        shared
            .bytes
            .fetch_add(answer.bytes as u64, Ordering::Relaxed);
        Ok(answer)
    }
}

struct Head {
    size: usize,
    status: u16,
    length: usize,
    packed: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(bytes).context("a strange head")?;
        let mut lines = text.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok());
        let mut head = Self {
            size: bytes.len(),
            status: status.context("no status")?,
            length: 0,
            packed: false,
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().context("a length")?,
                "content-encoding" => head.packed = value.trim() == "gzip",
                "transfer-encoding" => bail!("an answer without a length"),
                _ => {}
            }
        }
        Ok(head)
    }
}

fn playlist_of(answer: &Answer) -> anyhow::Result<Playlist> {
    let mut text = String::new();
    if answer.packed {
        flate2::read::GzDecoder::new(answer.body.as_slice())
            .read_to_string(&mut text)
            .context("a packed playlist")?;
    } else {
        text = String::from_utf8_lossy(&answer.body).into_owned();
    }
    Ok(Playlist::read(&text))
}

/// Follows one rendition at the live edge, as a player does.
pub async fn watch(
    authority: String,
    client: Arc<ClientConfig>,
    rendition: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let name = ["video", "audio"][rendition];
    let mut line = Line::connect(&authority, &client).await?;
    let mut path = format!("/hls/{ROOM}/{name}.m3u8");
    let mut seen = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let answer = line.must_get(&path, &shared).await?;
        let playlist = playlist_of(&answer)?;
        let old = playlist
            .parts
            .iter()
            .position(|part| Some(part) == seen.as_ref());
        let from = old.map_or(playlist.parts.len().saturating_sub(1), |at| at + 1);
        for part in &playlist.parts[from..] {
            let taken = line
                .must_get(&format!("/hls/{ROOM}/{}", part.uri), &shared)
                .await?;
            let mut samples = shared.samples.lock().expect("nobody panics with it");
            samples[rendition] = (answer.body.len(), taken.body.len());
        }
        seen = playlist.parts.last().cloned();
        let (segment, part) = playlist.next;
        path = format!("/hls/{ROOM}/{name}.m3u8?_HLS_msn={segment}&_HLS_part={part}&_HLS_skip=YES");
    }
    Ok(())
}

/// Asks for the next part's playlist as soon as it has one, and notes when it came.
async fn wait(
    authority: String,
    client: Arc<ClientConfig>,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let mut line = Line::connect(&authority, &client).await?;
    let mut path = format!("/hls/{ROOM}/video.m3u8");
    shared.ready.fetch_add(1, Ordering::Relaxed);
    let mut waited_for = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let answer = line.must_get(&path, &shared).await?;
        let at = line.stream.get_ref().0.arrived();
        let at = at.context("this kernel does not say when an answer came")?;
        if let Some(next) = waited_for {
            let mut answers = shared.answers.lock().expect("nobody panics with it");
            answers.entry(next).or_default().push(at);
        }
        // All of them get the same one: it is read once.
        let next = match shared.newest.next_of(&answer.body) {
            Some(next) => next,
            None => {
                let next = playlist_of(&answer)?.next;
                shared.newest.keep(answer.body, next);
                next
            }
        };
        waited_for = Some(next);
        path = format!(
            "/hls/{ROOM}/video.m3u8?_HLS_msn={}&_HLS_part={}&_HLS_skip=YES",
            next.0, next.1
        );
    }
    Ok(())
}

/// Takes files of the same sizes as often, all at once, as those who wait for parts do.
async fn fetch(
    authority: String,
    client: Arc<ClientConfig>,
    rendition: usize,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let mut line = Line::connect(&authority, &client).await?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PARTS_A_SECOND);
    while !shared.stop.load(Ordering::Relaxed) {
        tick.tick().await;
        for file in ["playlist", "part"] {
            line.must_get(&format!("/{file}{rendition}"), &shared)
                .await?;
        }
    }
    Ok(())
}

/// nginx over TLS, one process, files in memory.
struct Nginx {
    server: Server,
    authority: String,
    version: String,
    files: PathBuf,
}

impl Costs for Nginx {
    fn cpu_ns(&self) -> anyhow::Result<u64> {
        Ok(self.server.usage()?.cpu_ns)
    }
}

impl Nginx {
    /// None where it is not installed.
    async fn start(certificate: &Certificate) -> anyhow::Result<Option<Self>> {
        let Ok(version) = Command::new("nginx").arg("-v").output().await else {
            return Ok(None);
        };
        let version = String::from_utf8_lossy(&version.stderr).trim().to_owned();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .context("a port for nginx")?
            .port();
        let folder = tempfile::tempdir().context("a folder for nginx")?;
        let at = folder.path().display();
        let files = folder.path().join("files");
        std::fs::create_dir(&files).context("a folder for nginx")?;
        let user = if std::fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt as _;
            own.uid() == 0
        }) {
            "user root;"
        } else {
            ""
        };
        let text = format!(
            "daemon off; master_process off; {user} pid {at}/pid; error_log {at}/error.log crit;\n\
             events {{ worker_connections 16384; }}\n\
             http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000; open_file_cache max=16;\n\
             client_body_temp_path {at}/1; proxy_temp_path {at}/2; fastcgi_temp_path {at}/3; uwsgi_temp_path {at}/4;\n\
             scgi_temp_path {at}/5;\n\
             server {{ listen 127.0.0.1:{port} ssl; root {at}/files; ssl_certificate {}; ssl_certificate_key {}; }} }}\n",
            certificate.cert.display(),
            certificate.key.display(),
        );
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, text).context("writing nginx's configuration")?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-p").arg(folder.path());
        let authority = format!("127.0.0.1:{port}");
        let server = Server::other(command, authority.clone(), folder).await?;
        Ok(Some(Self {
            server,
            authority,
            version,
            files,
        }))
    }

    /// What is taken from now on, in the sizes that the origin's files had.
    fn serve(&self, sizes: Sizes) -> anyhow::Result<()> {
        for (rendition, (playlist, part)) in sizes.into_iter().enumerate() {
            for (name, size) in [("playlist", playlist), ("part", part)] {
                let path = self.files.join(format!("{name}{rendition}"));
                // nginx keeps what it knows of a file: one that changes its size would be cut off.
                if !path.exists() {
                    std::fs::write(path, vec![7; size]).context("writing nginx's files")?;
                }
            }
        }
        Ok(())
    }
}
