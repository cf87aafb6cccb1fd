//! The servers that are measured: started on free ports of loopback, and what they cost, read from `/proc`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a server may take until it says that it is ready.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// A server that runs. Dropping it kills it.
pub struct Server {
    child: Child,
    pid: u32,
    /// `127.0.0.1:port` of HTTP and WebSocket.
    pub authority: String,
    _data: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts amphi's release binary with an empty data folder.
    pub async fn amphi(binary: &Path) -> anyhow::Result<Self> {
        Self::amphi_with(binary, "", &[]).await
    }

    /// The same with a configuration, and with more of the command line.
    pub async fn amphi_with(
        binary: &Path,
        config: &str,
        arguments: &[&std::ffi::OsStr],
    ) -> anyhow::Result<Self> {
        let data = tempfile::tempdir().context("making a data folder")?;
        let mut server = Self::amphi_in(data.path(), binary, config, arguments).await?;
        server._data = Some(data);
        Ok(server)
    }

    /// The same on a data folder that may have been somebody's before, and that stays.
    pub async fn amphi_in(
        data: &Path,
        binary: &Path,
        config: &str,
        arguments: &[&std::ffi::OsStr],
    ) -> anyhow::Result<Self> {
        let config_file = data.join("bench.toml");
        std::fs::write(&config_file, config).context("writing a configuration")?;
        let mut child = Command::new(binary)
            .args([
                "serve",
                "--dev",
                "--http-port",
                "0",
                "--udp-port",
                "0",
                "--tcp-port",
                "0",
                "--data-dir",
            ])
            .arg(data)
            .arg("--config")
            .arg(config_file)
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "starting {} (cargo build --release -p amphi)",
                    binary.display()
                )
            })?;
        let stdout = child
            .stdout
            .take()
            .context("the server's standard output")?;
        let line = tokio::time::timeout(START_TIME_MAX, BufReader::new(stdout).lines().next_line())
            .await
            .context("the server did not say that it is ready")?
            .context("reading what the server says")?;
        let Some((_, authority)) = line
            .as_deref()
            .and_then(|line| line.strip_prefix("ready http"))
            .and_then(|line| line.split_once("://"))
        else {
            bail!("the server said {line:?} and not that it is ready");
        };
        let pid = child.id().context("the server has ended")?;
        Ok(Self {
            child,
            pid,
            authority: authority.trim().to_owned(),
            _data: None,
        })
    }

    /// Any other server, which is ready when `authority` takes connections.
    pub async fn other(
        mut command: Command,
        authority: String,
        data: tempfile::TempDir,
    ) -> anyhow::Result<Self> {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting the server")?;
        let pid = child.id().context("the server has ended")?;
        let server = Self {
            child,
            pid,
            authority,
            _data: Some(data),
        };
        let ready = async {
            while tokio::net::TcpStream::connect(&server.authority)
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(START_TIME_MAX, ready)
            .await
            .context("the server did not open its port")?;
        Ok(server)
    }

    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.pid)
    }

    /// What its own processes (`amphi program-worker`) have used since their start.
    pub fn workers_cpu_ns(&self) -> anyhow::Result<u64> {
        running_cpu_ns_below(self.pid)
    }

    /// By SIGKILL: it gets no time for anything.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}

/// What a process has used since its start.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// On a CPU, all threads that live, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident.
    pub memory_bytes: u64,
}

impl Usage {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let mut cpu_ns = 0;
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
            .context("reading the server's threads")?;
        for task in tasks {
            cpu_ns += schedstat_ns(
                &task
                    .context("reading the server's threads")?
                    .path()
                    .join("schedstat"),
            )?;
        }
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))
            .context("reading the server's memory")?;
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .context("no resident size")?
            .parse()
            .context("a strange size")?;
        Ok(Self {
            cpu_ns,
            memory_bytes: pages * 4_096,
        })
    }
}

/// CPU time of the calling thread, in nanoseconds.
pub fn own_thread_cpu_ns() -> anyhow::Result<u64> {
    schedstat_ns(&PathBuf::from("/proc/thread-self/schedstat"))
}

/// CPU time of all processes that this one started, and that ended and were waited for, in nanoseconds. To a hundredth of a second.
pub fn children_cpu_ns() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").context("reading our own figures")?;
    // proc(5): the second field is a name in parentheses; `cutime` and `cstime` are the 16th and 17th.
    let (_, fields) = text.rsplit_once(") ").context("a strange stat")?;
    let ticks = fields.split(' ').skip(13).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>().context("a strange stat")?;
    Ok(ticks * 10_000_000)
}

/// CPU time so far of the processes that this one started and that still run, in nanoseconds.
pub fn running_children_cpu_ns() -> anyhow::Result<u64> {
    running_cpu_ns_below(std::process::id())
}

fn running_cpu_ns_below(pid: u32) -> anyhow::Result<u64> {
    let mut cpu_ns = 0;
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.context("reading a process's threads")? {
        let children = task.context("reading a process's threads")?;
        let children = std::fs::read_to_string(children.path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            cpu_ns += Usage::of(child.parse().context("a strange process id")?)?.cpu_ns;
        }
    }
    Ok(cpu_ns)
}

fn schedstat_ns(path: &Path) -> anyhow::Result<u64> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let first = text
        .split_whitespace()
        .next()
        .context("an empty schedstat")?;
    first.parse().context("a strange schedstat")
}

/// What machine this is, for whoever reads the figures.
#[derive(serde::Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    /// Over one minute, before the run: what else the machine was doing.
    pub load_before: String,
}

impl Machine {
    pub fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map(|(_, name)| name.to_owned())
            .unwrap_or_default();
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}
