//! `amphi doctor`: whether this machine, as it is configured, can do what amphi does. It changes nothing.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};

use amphi_room::ProgramKind;
use amphi_studio::cost::{CPU_MAX, Cost};

use crate::codec::trial as sound;
use crate::compose::ffmpeg::Outside;
use crate::compose::lettering::fonts;
use crate::compose::trial;
use crate::config::Config;

/// Less free space than that is worth a word; an hour of recording at 2 Mbit/s takes 900 MB.
const SPACE_BYTES_WANTED: u64 = 2_000_000_000;
const SPACE_BYTES_MIN: u64 = 100_000_000;
/// A program encodes one AAC stream and decodes everybody's Opus, in real time, beside everything else.
const AAC_SPEED_MIN: f64 = 4.0;
const OPUS_SPEED_MIN: f64 = 20.0;
const TRIAL_SECONDS: usize = 5;
/// Seconds since 1970 of 1 January 2026, before which nobody has this program.
const EARLIEST_S: u64 = 1_767_225_600;
/// … and of the year 2100.
const LATEST_S: u64 = 4_102_444_800;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Well,
    /// Works, and is worth knowing.
    Note,
    Bad,
}

/// What was looked at, and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub state: State,
    pub what: &'static str,
    /// In words; for what is bad, also what to do.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Well => "ok",
            State::Note => "note",
            State::Bad => "WRONG",
        };
        write!(f, "{state:5}  {}: {}", self.what, self.words)
    }
}

/// Looks at everything. Takes a second or two.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![keys(config), certificate(config)];
    findings.extend(ports(config));
    findings.extend([
        addresses(config),
        finding("data folder", data_folder(&config.server.data_dir)),
        finding(
            "UDP loopback",
            udp_loopback().map(|took| (State::Well, format!("a datagram came back in {took:.1?}"))),
        ),
        finding(
            "AAC encoder",
            speed(sound::aac(TRIAL_SECONDS), AAC_SPEED_MIN),
        ),
        finding(
            "Opus decoder",
            speed(sound::opus(TRIAL_SECONDS), OPUS_SPEED_MIN),
        ),
    ]);
    let (encoder, lent) = encoder(config);
    findings.extend([
        encoder,
        fonts(config),
        finding("composed picture", composed(config, lent.as_ref())),
        finding("wall clock", wall_clock(SystemTime::now())),
        descriptors(config),
    ]);
    findings
}

fn finding(what: &'static str, found: anyhow::Result<(State, String)>) -> Finding {
    let (state, words) = found.unwrap_or_else(|error| (State::Bad, format!("{error:#}")));
    Finding { state, what, words }
}

fn keys(config: &Config) -> Finding {
    let found = config.keys().map(|_| {
        (
            State::Well,
            format!("{} may sign tokens", config.keys.len()),
        )
    });
    finding("keys", found.map_err(Into::into))
}

fn certificate(config: &Config) -> Finding {
    let found = match config.tls.files() {
        Some((cert, key)) => {
            crate::http::listen::tls(cert, key).map(|_| (State::Well, format!("{} is used", cert.display())))
        }
        None if config.server.bind.is_loopback() => Ok((State::Well, "not needed on this machine alone".into())),
        None => Ok((
            State::Note,
            "none: browsers give camera and microphone only to https:// and to localhost, so put a proxy with TLS in front, \
             or set tls.cert and tls.key"
                .into(),
        )),
    };
    finding("TLS", found)
}

/// Every port that `serve` would open.
fn ports(config: &Config) -> Vec<Finding> {
    let server = &config.server;
    let words = |port: u16, error: std::io::Error, setting: &str| {
        let cause = match error.kind() {
            std::io::ErrorKind::AddrInUse => "is in use (by a running amphi, perhaps)".to_owned(),
            std::io::ErrorKind::AddrNotAvailable => format!(
                "cannot be: {} is not an address of this machine",
                server.bind
            ),
            _ => format!("cannot be opened: {error}"),
        };
        anyhow::anyhow!("port {port} {cause}; choose another with server.{setting}")
    };
    let well = |port: u16| match port {
        0 => (State::Well, "any free one".to_owned()),
        port => (State::Well, format!("{port} is free")),
    };
    let tcp = |port: u16, setting: &str| {
        TcpListener::bind((server.bind, port))
            .map(|_| well(port))
            .map_err(|error| words(port, error, setting))
    };
    let mut findings = vec![
        finding("HTTP port", tcp(server.http_port, "http_port")),
        finding("TCP media port", tcp(server.tcp_port, "tcp_port")),
    ];
    for shard in 0..config.shards() {
        let port = match server.udp_port {
            0 => Some(0),
            first => u16::try_from(usize::from(first) + shard).ok(),
        };
        let found = match port {
            None => Err(anyhow::anyhow!(
                "there is no port {} for shard {shard}; lower server.udp_port",
                usize::from(server.udp_port) + shard
            )),
            Some(port) => UdpSocket::bind((server.bind, port))
                .map(|_| well(port))
                .map_err(|error| words(port, error, "udp_port")),
        };
        findings.push(finding("UDP media port", found));
    }
    findings
}

fn addresses(config: &Config) -> Finding {
    let advertised: Vec<String> = config.advertised().iter().map(IpAddr::to_string).collect();
    finding(
        "addresses for media",
        Ok((State::Well, advertised.join(", "))),
    )
}

fn data_folder(folder: &Path) -> anyhow::Result<(State, String)> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut file = tempfile_in(folder)
        .with_context(|| format!("{} cannot be written to", folder.display()))?;
    let start = Instant::now();
    file.write_all(&[0; 4_096])
        .and_then(|()| file.sync_all())
        .context("a file in it cannot be written")?;
    let took = start.elapsed();
    let space = rustix::fs::statvfs(folder).context("asking for free space")?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let words = format!(
        "{}: {:.1} GB free, a write is safe after {took:.1?}",
        folder.display(),
        free as f64 / 1e9
    );
    ensure!(
        free >= SPACE_BYTES_MIN,
        "{words}: too little to record anything"
    );
    Ok((
        if free < SPACE_BYTES_WANTED {
            State::Note
        } else {
            State::Well
        },
        words,
    ))
}

/// A file that is gone as soon as it is closed.
fn tempfile_in(folder: &Path) -> std::io::Result<std::fs::File> {
    let path = folder.join(format!("doctor-{}", std::process::id()));
    let file = std::fs::File::create_new(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn udp_loopback() -> anyhow::Result<Duration> {
    let socket = || -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(socket)
    };
    let (from, to) = (
        socket().context("opening a socket")?,
        socket().context("opening a socket")?,
    );
    // As large as media gets.
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(1_200).collect();
    let start = Instant::now();
    from.send_to(&sent, to.local_addr().context("asking for its address")?)
        .context("sending a datagram")?;
    let mut got = [0; 2_048];
    let (length, source) = to
        .recv_from(&mut got)
        .context("no datagram came back: a firewall on this machine, perhaps")?;
    ensure!(
        got[..length] == sent[..] && source == from.local_addr()?,
        "another datagram came back than was sent"
    );
    Ok(start.elapsed())
}

fn speed(
    measured: Result<f64, amphi_studio::CodecError>,
    least: f64,
) -> anyhow::Result<(State, String)> {
    let times = measured?;
    ensure!(
        times >= least,
        "works at {times:.1} times real time only; {least} are needed to go on air beside a call"
    );
    Ok((
        State::Well,
        format!("works, {times:.0} times as fast as sound"),
    ))
}

/// Whether the encoder that is configured works; and the ffmpeg to measure composing with, if that is one.
fn encoder(config: &Config) -> (Finding, Option<trial::Lent>) {
    const WHAT: &str = "picture encoder";
    let Some(ffmpeg) = config.program.ffmpeg() else {
        let words = "openh264, which is built in".to_owned();
        return (finding(WHAT, Ok((State::Well, words))), None);
    };
    let means = config.means();
    let tried = || -> anyhow::Result<(String, trial::Lent)> {
        let rung = means.ladder.first().context("program.ladder is empty")?;
        let lent = trial::Lent::new(&ffmpeg).context("starting ffmpeg")?;
        let took = lent.try_size(rung, means.frames_per_second)?;
        let words = format!(
            "{} by {} works: a second of {}x{} takes it {:.0} ms",
            ffmpeg.codec.name(),
            ffmpeg.program.display(),
            rung.size.width,
            rung.size.height,
            took.as_secs_f64() * 1_000.0
        );
        Ok((words, lent))
    };
    match tried() {
        Ok((words, lent)) => (finding(WHAT, Ok((State::Well, words))), Some(lent)),
        Err(error) => {
            let help = "Install it, change program.ffmpeg, or set program.encoder = \"openh264\"";
            let found = Err(anyhow::anyhow!("{error:#} {help}"));
            (finding(WHAT, found), None)
        }
    }
}

/// In which fonts names are written.
fn fonts(config: &Config) -> Finding {
    let chosen = fonts::chosen(config.program.fonts.0.as_deref());
    let found = match (chosen.fonts.len(), chosen.left_out) {
        (0, 0) => (
            State::Well,
            "names in Latin, Greek, Cyrillic, Arabic, Hebrew and Devanagari can be written; for other scripts install fonts-noto-core and fonts-noto-cjk"
                .to_owned(),
        ),
        (fonts, 0) => (
            State::Well,
            format!("names are written in {fonts} fonts of this machine besides those that are built in"),
        ),
        (fonts, left_out) => (
            State::Note,
            format!("names are written in {fonts} fonts of this machine; {left_out} are too many or too large: put those that you need into a folder, and name it as program.fonts"),
        ),
    };
    finding("fonts", Ok(found))
}

/// Which step of the ladder of costs this machine carries, measured by four cameras.
fn composed(config: &Config, lent: Option<&trial::Lent>) -> anyhow::Result<(State, String)> {
    let outside = lent.map_or_else(|| Outside::new(None), |lent| lent.outside.clone());
    if ProgramKind::from(config.program.kind) == ProgramKind::Cut {
        let words = "not measured: program.kind is \"cut\"".to_owned();
        return Ok((State::Well, words));
    }
    let means = config.means();
    let cost = Cost::new(&means.ladder, means.frames_per_second);
    let film = trial::Film::make()?;
    let of = match outside.is_used() {
        true => "of the time there is, with ffmpeg",
        false => "of one core",
    };
    let mut dear = Vec::new();
    for step in cost.steps() {
        let share = trial::share(&film, step, &outside)?;
        let took = format!("{step} ({:.0} % {of})", share * 100.0);
        if share > CPU_MAX {
            dear.push(took);
            continue;
        }
        let words = format!("4 cameras are carried at {took}");
        return Ok(match dear.first() {
            None => (State::Well, words),
            Some(best) => (
                State::Note,
                format!(
                    "{words}, and not at {best}: rooms go on air with what is carried. A smaller program.ladder asks for less"
                ),
            ),
        });
    }
    Ok((
        State::Note,
        format!(
            "too much for this machine, even {}: rooms go on air with who speaks, untouched (program.kind = \"cut\")",
            dear.pop().unwrap_or_else(|| "one small picture".to_owned())
        ),
    ))
}

fn wall_clock(now: SystemTime) -> anyhow::Result<(State, String)> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let words = humantime::format_rfc3339_seconds(now);
    ensure!(
        (EARLIEST_S..LATEST_S).contains(&seconds),
        "it is {words}, says this machine: tokens would be refused; set the clock (timedatectl)"
    );
    // A clock that is being pulled along while we look is not one to stamp recordings with.
    let (wall, steady) = (SystemTime::now(), Instant::now());
    std::thread::sleep(Duration::from_millis(100));
    let off = wall
        .elapsed()
        .unwrap_or_default()
        .abs_diff(steady.elapsed());
    let state = if off > Duration::from_millis(20) {
        State::Note
    } else {
        State::Well
    };
    Ok((
        state,
        format!("{words}, and went {off:.0?} astray in a tenth of a second"),
    ))
}

fn descriptors(config: &Config) -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let wanted = u64::try_from(config.limits.connections).unwrap_or(u64::MAX);
    let (state, words) = match limit {
        Some(limit) if limit < wanted => (
            State::Note,
            format!(
                "{limit}, fewer than limits.connections = {wanted}: raise it (LimitNOFILE in systemd)"
            ),
        ),
        Some(limit) => (State::Well, limit.to_string()),
        None => (State::Well, "as many as it takes".to_owned()),
    };
    Finding {
        state,
        what: "open files",
        words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EncoderWord, Overrides, Program};

    fn dev(folder: &Path) -> Config {
        let overrides = Overrides {
            dev: true,
            http_port: Some(0),
            udp_port: Some(0),
            tcp_port: Some(0),
            data_dir: Some(folder.to_owned()),
            ..Overrides::default()
        };
        Config::load(None, &overrides).expect("a good configuration")
    }

    #[test]
    fn a_good_machine_is_well_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let bad: Vec<Finding> = examine(&dev(folder.path()))
            .into_iter()
            .filter(|finding| finding.state == State::Bad)
            .collect();
        assert_eq!(bad, []);
        assert_eq!(
            std::fs::read_dir(folder.path())
                .expect("still there")
                .count(),
            0
        );
    }

    #[test]
    fn an_encoder_that_is_configured_and_not_there_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = dev(folder.path());
        config.program.encoder = EncoderWord::Ffmpeg;
        config.program.ffmpeg.program = Program("/nowhere/ffmpeg".into());
        let (finding, lent) = encoder(&config);
        assert_eq!(finding.state, State::Bad);
        assert!(finding.words.contains("/nowhere/ffmpeg"), "{finding}");
        assert!(lent.is_none(), "the rest is measured with openh264");
    }

    #[test]
    fn composing_is_measured_with_the_ffmpeg_that_is_configured() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = dev(folder.path());
        config.program.encoder = EncoderWord::Ffmpeg;
        config.program.ladder = ["320x240 300k", "160x128 100k"]
            .map(|size| size.to_owned().try_into().expect("a good size"))
            .to_vec();
        let (finding, lent) = encoder(&config);
        assert_eq!(finding.state, State::Well, "{finding}");
        let (state, words) = composed(&config, lent.as_ref()).expect("measured");
        assert!(
            state != State::Bad && words.contains("4 cameras"),
            "{words}"
        );
        assert!(lent.expect("it works").outside.is_used());
    }

    #[test]
    fn a_port_in_use_a_missing_key_and_a_folder_that_cannot_be_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let file = folder.path().join("file");
        std::fs::write(&file, "in the way").expect("written");
        let mut config = dev(&file);
        config.keys.clear();
        config.server.http_port = taken.local_addr().expect("bound").port();
        let findings = examine(&config);
        let bad: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.state == State::Bad)
            .map(|finding| finding.what)
            .collect();
        assert_eq!(bad, ["keys", "HTTP port", "data folder"]);
    }

    #[test]
    fn a_clock_that_was_never_set_is_found() {
        assert!(wall_clock(UNIX_EPOCH + Duration::from_secs(86_400)).is_err());
        assert!(wall_clock(UNIX_EPOCH + Duration::from_secs(LATEST_S)).is_err());
    }

    #[test]
    fn a_slow_machine_is_told_so() {
        assert!(speed(Ok(1.0), AAC_SPEED_MIN).is_err());
        assert!(speed(Ok(AAC_SPEED_MIN), AAC_SPEED_MIN).is_ok());
    }
}
