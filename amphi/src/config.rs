//! The configuration: `amphi.toml`, the command line over it, and what cannot be.
//!
//! `amphi.toml` at the root of the repository is the manual: it is embedded here, a test reads it and gets the
//! defaults back, and another holds its keys against [`Config`].

mod broadcast;
mod program;
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amphi_policy::name;
use amphi_policy::token::{Keys, VideoGrant};
use serde::{Deserialize, Serialize};

use crate::compose::Tools;
use crate::program::{Carried, Means};

pub use broadcast::{Broadcast, Rewind, Thumbnails};
pub use program::{
    CodecWord, Composing, Device, EncoderWord, FitWord, Fonts, LayoutWord, Logo, Options, Outside,
    Program, ProgramWord, Size,
};
pub use recording::{Export, Hidden, KeepFor, Publish, Recording};

/// The commented default configuration.
pub const REFERENCE: &str = include_str!("../../amphi.toml");
/// Shorter secrets are refused: HS256 is as strong as its key (RFC 7518 §3.2 asks for more, LiveKit's tools make 32).
pub const SECRET_BYTES_MIN: usize = 16;
/// Each shard has a thread, a UDP port and some 2 MiB of read buffers, and more of them than the largest machines have
/// cores only take turns.
const SHARDS_MAX: u64 = 256;
/// The key of `--dev`, as in LiveKit's.
pub const DEV_KEY: &str = "devkey";
pub const DEV_SECRET: &str = "secret";

/// Everything that can be set. Its keys are described in `amphi.toml`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: Server,
    pub tls: Tls,
    pub keys: BTreeMap<String, Secret>,
    pub access: Access,
    pub rooms: RoomDefaults,
    pub program: Composing,
    /// The binary that is started as a composer; cannot be set.
    #[serde(skip)]
    pub worker: PathBuf,
    pub recording: Recording,
    pub broadcast: Broadcast,
    pub limits: Limits,
    pub log: Log,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub room: Vec<RoomConfig>,
    /// `--dev`: everybody knows the secret, so whoever asks is looked at more closely.
    #[serde(skip)]
    pub dev: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub bind: IpAddr,
    pub http_port: u16,
    pub udp_port: u16,
    pub tcp_port: u16,
    pub advertise: Vec<IpAddr>,
    pub data_dir: PathBuf,
    #[serde(deserialize_with = "within::<0, SHARDS_MAX, _, _>")]
    pub shards: u16,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            http_port: 7880,
            udp_port: 7882,
            tcp_port: 7881,
            advertise: Vec::new(),
            data_dir: "data".into(),
            shards: 0,
        }
    }
}

/// PEM files; empty paths mean none.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    /// Certificate and key, when TLS is wanted.
    pub fn files(&self) -> Option<(&Path, &Path)> {
        (!self.cert.as_os_str().is_empty()).then_some((self.cert.as_path(), self.key.as_path()))
    }
}

/// A secret that signs tokens. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret(String);

impl Secret {
    fn new(text: String) -> Result<Self, String> {
        if text.len() < SECRET_BYTES_MIN {
            return Err(format!(
                "a secret needs at least {SECRET_BYTES_MIN} bytes; make one with: head -c 32 /dev/urandom | base64"
            ));
        }
        Ok(Self(text))
    }
}

impl TryFrom<String> for Secret {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(text)
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> String {
        secret.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    pub mode: AccessMode,
    pub open_grants: Vec<OpenGrant>,
    #[serde(deserialize_with = "lasting::<10, 315360000, _>")]
    pub token_valid_for: Lasting,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            mode: AccessMode::Token,
            open_grants: vec![
                OpenGrant::CanPublish,
                OpenGrant::CanSubscribe,
                OpenGrant::CanPublishData,
                OpenGrant::CanUpdateOwnMetadata,
            ],
            token_valid_for: Lasting(Duration::from_secs(6 * 3_600)),
        }
    }
}

impl Access {
    /// The grant that the open door gives for a room.
    pub fn open_grant(&self, room: &str) -> VideoGrant {
        let has = |grant| self.open_grants.contains(&grant);
        VideoGrant {
            room_join: true,
            room: Some(room.to_owned()),
            can_publish: Some(has(OpenGrant::CanPublish)),
            can_subscribe: Some(has(OpenGrant::CanSubscribe)),
            can_publish_data: Some(has(OpenGrant::CanPublishData)),
            can_update_own_metadata: Some(has(OpenGrant::CanUpdateOwnMetadata)),
            room_broadcast: has(OpenGrant::RoomBroadcast),
            room_record: has(OpenGrant::RoomRecord),
            room_admin: has(OpenGrant::RoomAdmin),
            ..VideoGrant::default()
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    Open,
    Token,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OpenGrant {
    CanPublish,
    CanSubscribe,
    CanPublishData,
    CanUpdateOwnMetadata,
    RoomBroadcast,
    RoomRecord,
    RoomAdmin,
}

/// A time span in words: `"90s"`, `"6h"`, `"1day 12h"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lasting(pub Duration);

impl std::str::FromStr for Lasting {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text).map_err(|error| {
            format!("`{text}` is not a time span such as \"10s\" or \"6h\": {error}")
        })?;
        if span.is_zero() {
            return Err("a time span must be longer than nothing".into());
        }
        Ok(Self(span))
    }
}

impl TryFrom<String> for Lasting {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Lasting> for String {
    fn from(lasting: Lasting) -> String {
        humantime::format_duration(lasting.0).to_string()
    }
}

/// Whether a room does something by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Somebody presses the button.
    #[default]
    Manual,
    /// As soon as somebody publishes.
    Auto,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoomDefaults {
    pub broadcast: Switch,
    pub record: Switch,
}

/// One `[[room]]`; what is left out is as in `[rooms]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomConfig {
    pub name: RoomName,
    #[serde(default, deserialize_with = "title")]
    pub title: String,
    pub broadcast: Option<Switch>,
    pub record: Option<Switch>,
}

/// A room's name that was checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(String);

impl RoomName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RoomName {
    type Error = name::BadName;
    fn try_from(text: String) -> Result<Self, name::BadName> {
        name::room(&text).map(|()| Self(text))
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> String {
        name.0
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    #[serde(deserialize_with = "within::<1, 1000000, _, _>")]
    pub connections: usize,
    #[serde(deserialize_with = "lasting::<1, 300, _>")]
    pub head_timeout: Lasting,
    #[serde(deserialize_with = "within::<1024, 67108864, _, _>")]
    pub body_bytes: usize,
    #[serde(deserialize_with = "within::<16384, 16777216, _, _>")]
    pub socket_message_bytes: usize,
    #[serde(deserialize_with = "lasting::<1, 300, _>")]
    pub socket_stall: Lasting,
    #[serde(deserialize_with = "within::<1, 1000000, _, _>")]
    pub joins_at_once: u32,
    #[serde(deserialize_with = "within::<1, 1000000, _, _>")]
    pub joins_per_minute: u32,
    #[serde(deserialize_with = "within::<1, 1000000, _, _>")]
    pub blocked_requests: usize,
    #[serde(deserialize_with = "within::<1, 10000, _, _>")]
    pub broadcasts: usize,
    #[serde(deserialize_with = "within::<8, 65536, _, _>")]
    pub broadcast_memory_mib: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            head_timeout: Lasting(Duration::from_secs(10)),
            body_bytes: 64 * 1024,
            socket_message_bytes: 512 * 1024,
            socket_stall: Lasting(Duration::from_secs(10)),
            joins_at_once: 30,
            joins_per_minute: 60,
            blocked_requests: 20_000,
            broadcasts: 32,
            broadcast_memory_mib: 48,
        }
    }
}

/// A whole number in a range that a server can live with; anything else is a mistake that is said with its line.
fn within<'de, const MIN: u64, const MAX: u64, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = u64::deserialize(deserializer)?;
    let fits = (MIN..=MAX).contains(&number);
    T::try_from(number)
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is not between {MIN} and {MAX}")))
}

/// As [`within`], of time spans, in seconds.
fn lasting<'de, const MIN_S: u64, const MAX_S: u64, D>(deserializer: D) -> Result<Lasting, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let span = Lasting::deserialize(deserializer)?;
    let [min, max] = [MIN_S, MAX_S].map(Duration::from_secs);
    if (min..=max).contains(&span.0) {
        return Ok(span);
    }
    let [given, min, max] = [span.0, min, max].map(humantime::format_duration);
    let words = format!("{given} is not between {min} and {max}");
    Err(serde::de::Error::custom(words))
}

/// What people read for a room, as the API takes it.
fn title<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let title = String::deserialize(deserializer)?;
    if title.len() > name::TITLE_BYTES_MAX || title.chars().any(char::is_control) {
        return Err(serde::de::Error::custom(format!(
            "a title has at most {} bytes and no control characters",
            name::TITLE_BYTES_MAX
        )));
    }
    Ok(title)
}

/// A level, or several as tracing's filters have them: `info`, `warn,amphi=debug`.
fn log_level<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].contains(&word.to_lowercase().as_str())
    };
    let fits = text
        .split(',')
        .all(|part| known(part.rsplit('=').next().unwrap_or_default()));
    match fits {
        true => Ok(text),
        false => Err(serde::de::Error::custom(
            "a level is off, error, warn, info, debug or trace, or a list such as warn,amphi=debug",
        )),
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    #[serde(deserialize_with = "log_level")]
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            // str0m warns of what clients send, which is theirs to know and would be a flood from outside.
            level: "info,str0m=error".into(),
            format: LogFormat::Text,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// The names of all `[[room]]`, with their places in the text.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    room: Vec<NamedRoom>,
}

#[derive(Deserialize)]
struct NamedRoom {
    name: toml::Spanned<String>,
}

/// What the command line and the environment say; it wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub dev: bool,
    pub bind: Option<IpAddr>,
    pub http_port: Option<u16>,
    pub udp_port: Option<u16>,
    pub tcp_port: Option<u16>,
    pub data_dir: Option<PathBuf>,
    pub tls: Option<(PathBuf, PathBuf)>,
    pub log_format: Option<LogFormat>,
    /// AMPHI_KEY and AMPHI_SECRET.
    pub key: Option<(String, String)>,
    /// AMPHI_S3_KEY_ID and AMPHI_S3_SECRET.
    pub export_key: Option<(String, String)>,
}

/// Why amphi does not start with this configuration, and what to do.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("{}, line {line}: {message} (every key is described in the amphi.toml that comes with amphi)", path.display())]
    Wrong {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error(
        "--dev listens on this machine only (everybody knows its secret): leave out --bind {0}, or leave out --dev and set a secret"
    )]
    DevNotLoopback(IpAddr),
    #[error(
        "no secret is set, and there is no default. Make one with: head -c 32 /dev/urandom | base64 \
         and put it into the configuration under [keys] (mykey = \"…\"), or into AMPHI_KEY and AMPHI_SECRET. \
         For trying out on this machine: amphi serve --dev"
    )]
    NoSecret,
    #[error("[recording.export]: {0}")]
    Export(&'static str),
    #[error("AMPHI_SECRET: {0}")]
    ShortSecret(String),
    #[error("AMPHI_KEY and AMPHI_SECRET are set together or not at all")]
    HalfKey,
    #[error(
        "server.udp_port is {port}, and {shards} shards take as many ports from there on: there are 65535, so choose one up to {last}"
    )]
    PortsBeyondEnd {
        port: u16,
        shards: usize,
        last: usize,
    },
    #[error("TLS needs both a certificate (tls.cert, --tls-cert) and its key (tls.key, --tls-key)")]
    HalfTls,
}

impl Config {
    /// Reads a configuration; `path` is for messages only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |start: usize, message: &str| ConfigError::Wrong {
            path: path.to_owned(),
            line: text[..start.min(text.len())].matches('\n').count() + 1,
            message: message.trim().to_owned(),
        };
        // The library's own rendering repeats the line, which may hold a secret: only its number and message.
        let refused = |error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            wrong(start, error.message())
        };
        let config = toml::from_str(text).map_err(refused)?;
        let named: Named = toml::from_str(text).map_err(refused)?;
        let mut known = BTreeSet::new();
        for room in &named.room {
            if !known.insert(room.name.get_ref()) {
                let message = "a room of this name is described above already";
                return Err(wrong(room.name.span().start, message));
            }
        }
        Ok(config)
    }

    /// Reads the file, if one is named, and puts the command line over it.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut config = match path {
            None => Self::default(),
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
                        path: path.to_owned(),
                        why: error.to_string(),
                    })?;
                Self::parse(&text, path)?
            }
        };
        config.apply(overrides)?;
        Ok(config)
    }

    fn apply(&mut self, overrides: &Overrides) -> Result<(), ConfigError> {
        self.dev = overrides.dev;
        if overrides.dev {
            if let Some(bind) = overrides.bind.filter(|bind| !bind.is_loopback()) {
                return Err(ConfigError::DevNotLoopback(bind));
            }
            self.server.bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
            self.server.advertise.clear();
            // The one secret that is too short, in the one mode that nobody else can reach.
            self.keys = BTreeMap::from([(DEV_KEY.to_owned(), Secret(DEV_SECRET.to_owned()))]);
            self.access.mode = AccessMode::Open;
            for grant in [OpenGrant::RoomBroadcast, OpenGrant::RoomRecord] {
                if !self.access.open_grants.contains(&grant) {
                    self.access.open_grants.push(grant);
                }
            }
        }
        let server = &mut self.server;
        set(&mut server.bind, &overrides.bind);
        set(&mut server.http_port, &overrides.http_port);
        set(&mut server.udp_port, &overrides.udp_port);
        set(&mut server.tcp_port, &overrides.tcp_port);
        set(&mut server.data_dir, &overrides.data_dir);
        set(&mut self.log.format, &overrides.log_format);
        if let Some((cert, key)) = &overrides.tls {
            self.tls = Tls {
                cert: cert.clone(),
                key: key.clone(),
            };
        }
        let (port, shards) = (self.server.udp_port, self.shards());
        let last = usize::from(u16::MAX) + 1 - shards;
        if usize::from(port) > last {
            return Err(ConfigError::PortsBeyondEnd { port, shards, last });
        }
        if self.tls.cert.as_os_str().is_empty() != self.tls.key.as_os_str().is_empty() {
            return Err(ConfigError::HalfTls);
        }
        if let Some((key_id, secret)) = &overrides.export_key {
            let export = &mut self.recording.export;
            if export.key_id.is_empty() && export.secret.0.is_empty() {
                export.key_id = key_id.clone();
                export.secret = Hidden(secret.clone());
            }
        }
        self.recording.export.check()?;
        if let Some((key, secret)) = &overrides.key {
            if key.is_empty() || secret.is_empty() {
                return Err(ConfigError::HalfKey);
            }
            let secret = Secret::new(secret.clone()).map_err(ConfigError::ShortSecret)?;
            self.keys.insert(key.clone(), secret);
        }
        Ok(())
    }

    /// The keys that sign and verify tokens.
    ///
    /// # Errors
    /// [`ConfigError::NoSecret`] when there is none.
    pub fn keys(&self) -> Result<Keys, ConfigError> {
        if self.keys.is_empty() {
            return Err(ConfigError::NoSecret);
        }
        Ok(Keys::new(
            self.keys
                .iter()
                .map(|(key, secret)| (key.clone(), secret.0.clone())),
        ))
    }

    /// What can be composed, and by which program: this one.
    pub fn means(&self) -> Means {
        Means {
            tools: Tools {
                program: self.worker(),
                ffmpeg: self.program.ffmpeg(),
                fonts: self.program.fonts.0.clone(),
            },
            ladder: self.program.ladder.iter().map(|size| size.0).collect(),
            frames_per_second: self.program.frames_per_second,
            logo: self.program.logo.0.as_ref().map(|(_, image)| image.clone()),
            carried: Carried::default(),
        }
    }

    /// How often a thumbnail is made, and by which binary. Where viewers cannot go back there is nothing to look for.
    pub fn thumbnails(&self) -> Option<(Duration, PathBuf)> {
        let every = self
            .broadcast
            .thumbnails
            .0
            .filter(|_| self.broadcast.dvr.0.is_some())?;
        Some((every, self.worker()))
    }

    /// The binary that processes of ours are started from. Empty: this one, also where its file was replaced since.
    fn worker(&self) -> PathBuf {
        if self.worker.as_os_str().is_empty() {
            PathBuf::from("/proc/self/exe")
        } else {
            self.worker.clone()
        }
    }

    /// What `[[room]]` and `[rooms]` say of a room: title, broadcast, record.
    pub fn room(&self, room: &str) -> (String, Switch, Switch) {
        let own = self.room.iter().find(|own| own.name.as_str() == room);
        (
            own.map(|own| own.title.clone()).unwrap_or_default(),
            own.and_then(|own| own.broadcast)
                .unwrap_or(self.rooms.broadcast),
            own.and_then(|own| own.record).unwrap_or(self.rooms.record),
        )
    }

    /// Whether everybody may watch recordings that nobody has decided about.
    pub fn publishes(&self) -> bool {
        match self.recording.publish {
            Publish::Auto => self.access.mode == AccessMode::Open,
            Publish::Always => true,
            Publish::Never => false,
        }
    }

    /// How many shard threads to start.
    pub fn shards(&self) -> usize {
        if self.server.shards > 0 {
            return self.server.shards.into();
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores > 2 { cores - 1 } else { cores }
    }

    /// The addresses that go into ICE candidates: concrete ones, at least one.
    pub fn advertised(&self) -> Vec<IpAddr> {
        if !self.server.advertise.is_empty() {
            return self.server.advertise.clone();
        }
        if !self.server.bind.is_unspecified() {
            return vec![self.server.bind];
        }
        let wanted = |address: &IpAddr| match (self.server.bind, address) {
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
            (_, IpAddr::V6(address)) => !address.is_unicast_link_local(),
            (_, IpAddr::V4(address)) => !address.is_link_local(),
        };
        let all: Vec<IpAddr> = if_addrs::get_if_addrs()
            .unwrap_or_default()
            .into_iter()
            .map(|interface| interface.ip())
            .filter(wanted)
            .collect();
        let outside: Vec<IpAddr> = all
            .iter()
            .copied()
            .filter(|address| !address.is_loopback())
            .collect();
        match (outside.is_empty(), all.is_empty()) {
            (false, _) => outside,
            (true, false) => all,
            (true, true) => vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        }
    }
}

fn set<T: Clone>(to: &mut T, from: &Option<T>) {
    if let Some(value) = from {
        *to = value.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (usize, String) {
        match Config::parse(text, Path::new("x.toml")) {
            Err(ConfigError::Wrong { line, message, .. }) => (line, message),
            other => panic!("was not refused: {other:?}"),
        }
    }

    fn paths(table: &toml::Table, prefix: &str) -> Vec<String> {
        table
            .iter()
            .flat_map(|(key, value)| match value {
                toml::Value::Table(inner) if !inner.is_empty() => {
                    paths(inner, &format!("{prefix}{key}."))
                }
                _ => vec![format!("{prefix}{key}")],
            })
            .collect()
    }

    #[test]
    fn the_reference_is_the_defaults_and_names_every_key() {
        let read =
            Config::parse(REFERENCE, Path::new("amphi.toml")).expect("the reference is right");
        assert_eq!(read, Config::default());
        let written = paths(&REFERENCE.parse().expect("the reference is TOML"), "");
        let known =
            toml::Table::try_from(Config::default()).expect("a configuration can be written");
        assert_eq!(
            written.iter().collect::<std::collections::BTreeSet<_>>(),
            paths(&known, "").iter().collect()
        );
    }

    #[test]
    fn the_examples_in_the_reference_are_right_when_they_are_put_in() {
        let with_examples: String = REFERENCE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(example)
                    if example.starts_with("[[")
                        || example.contains(" = \"") && !example.contains(':') =>
                {
                    example
                }
                _ => line,
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let read =
            Config::parse(&with_examples, Path::new("amphi.toml")).expect("the examples are right");
        assert_eq!(
            read.room("town-hall"),
            ("Town hall".into(), Switch::Auto, Switch::Auto)
        );
        assert!(read.keys().is_ok());
    }

    #[test]
    fn media_ports_beyond_the_last_one_are_refused_with_one_that_would_do() {
        let load = |port, shards| {
            let mut config = Config::default();
            config.server.udp_port = port;
            config.server.shards = shards;
            config.apply(&Overrides::default())
        };
        assert!(load(65_535, 1).is_ok() && load(65_532, 4).is_ok() && load(0, 4).is_ok());
        let words = load(65_533, 4).expect_err("one too many").to_string();
        assert!(
            words.contains("65533") && words.contains("65532"),
            "{words}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_line() {
        let (line, message) = wrong("[server]\nbind = \"127.0.0.1\"\nhtp_port = 1\n");
        assert_eq!(line, 3);
        assert!(
            message.contains("htp_port") && message.contains("http_port"),
            "{message}"
        );
        for (text, expected) in [
            ("\n\n[sever]\n", 3),
            ("[server]\nhttp_port = 70000\n", 2),
            ("[server]\nbind = \"here\"\n", 2),
            ("[access]\n\nmode = \"ajar\"\n", 3),
            ("[access]\ntoken_valid_for = \"soon\"\n", 2),
            ("[[room]]\nname = \"../etc\"\n", 2),
            ("[server]\nbind = \n", 2),
            (
                "[[room]]\nname = \"a\"\n[[room]]\nname = \"b\"\n\n[[room]]\ntitle = \"A\"\nname = \"a\"\n",
                8,
            ),
        ] {
            assert_eq!(wrong(text).0, expected, "{text}");
        }
    }

    #[test]
    fn values_that_no_house_can_live_with_are_refused_with_what_is_allowed() {
        let title = format!("title = \"{}\"", "x".repeat(300));
        for (table, setting, allowed) in [
            ("server", "shards = 257", "between 0 and 256"),
            ("server", "shards = -1", "integer"),
            ("access", "token_valid_for = \"1s\"", "between 10s and"),
            ("limits", "connections = 0", "between 1 and"),
            ("limits", "head_timeout = \"1ns\"", "between 1s and 5m"),
            ("limits", "head_timeout = \"1year\"", "between 1s and 5m"),
            ("limits", "head_timeout = \"0s\"", "longer than nothing"),
            ("limits", "body_bytes = 0", "between 1024 and"),
            ("limits", "socket_message_bytes = 0", "between 16384 and"),
            ("limits", "socket_stall = \"1us\"", "between 1s and 5m"),
            ("limits", "joins_at_once = 0", "between 1 and"),
            ("limits", "joins_per_minute = 0", "between 1 and"),
            ("limits", "blocked_requests = 0", "between 1 and"),
            ("limits", "broadcasts = 0", "between 1 and"),
            ("broadcast", "dvr = \"5s\"", "between 30s and 1day"),
            ("broadcast", "dvr = \"2days\"", "between 30s and 1day"),
            ("broadcast", "dvr = \"long\"", "such as \"2h\""),
            ("broadcast", "dvr_bytes_max = 0", "between 16777216"),
            ("broadcast", "thumbnails = \"1s\"", "from 5s to 10m"),
            ("broadcast", "thumbnails = \"7500ms\"", "whole seconds"),
            ("broadcast", "thumbnails = \"often\"", "\"off\" for none"),
            ("limits", "broadcast_memory_mib = 0", "between 8 and 65536"),
            (
                "limits",
                "broadcast_memory_mib = 99999999999999",
                "between 8 and 65536",
            ),
            ("recording", "publish = \"maybe\"", "`auto`"),
            ("recording", "keep_for = \"a while\"", "for ever"),
            ("recording", "keep_for = \"1s\"", "one minute"),
            ("recording", "keep_for = \"200years\"", "a hundred years"),
            ("log", "level = \"nonsense\"", "off, error, warn"),
            ("log", "level = \"\"", "off, error, warn"),
            ("log", "level = \"amphi=loud\"", "off, error, warn"),
            ("[room]", &title, "256 bytes"),
            ("[room]", "title = \"a\\u0007b\"", "control characters"),
        ] {
            let name = if table == "[room]" {
                "name = \"a\""
            } else {
                ""
            };
            let (line, message) = wrong(&format!("\n[{table}]\n{name}\n{setting}\n"));
            assert_eq!(line, 4, "{setting}: {message}");
            assert!(message.contains(allowed), "{setting}: {message}");
        }
    }

    #[test]
    fn an_open_house_publishes_at_once_and_one_with_tokens_does_not() {
        let mut config = Config::default();
        assert!(!config.publishes());
        config.access.mode = AccessMode::Open;
        assert!(config.publishes());
        config.recording.publish = Publish::Never;
        assert!(!config.publishes());
        config.access.mode = AccessMode::Token;
        config.recording.publish = Publish::Always;
        assert!(config.publishes());
    }

    #[test]
    fn a_short_secret_is_refused_and_not_repeated() {
        let (line, message) = wrong("[keys]\nmine = \"hunter2\"\n");
        assert_eq!(line, 2);
        assert!(
            message.contains("16 bytes") && !message.contains("hunter2"),
            "{message}"
        );
        let from_environment = Overrides {
            key: Some(("mine".into(), "hunter2".into())),
            ..Overrides::default()
        };
        let refused = Config::load(None, &from_environment).expect_err("too short");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn without_dev_there_is_no_secret() {
        let config = Config::load(None, &Overrides::default()).expect("the defaults can be read");
        assert_eq!(config.keys().map(|_| ()), Err(ConfigError::NoSecret));
    }

    #[test]
    fn dev_listens_on_loopback_whatever_is_said() {
        let dev = |bind: Option<&str>| {
            let bind = bind.map(|bind| bind.parse().expect("an address"));
            Config::load(
                None,
                &Overrides {
                    dev: true,
                    bind,
                    ..Overrides::default()
                },
            )
        };
        assert!(dev(None).expect("by default").server.bind.is_loopback());
        assert!(
            dev(Some("::1"))
                .expect("the other loopback")
                .server
                .bind
                .is_loopback()
        );
        for bind in ["0.0.0.0", "::", "192.0.2.1"] {
            assert_eq!(
                dev(Some(bind)),
                Err(ConfigError::DevNotLoopback(
                    bind.parse().expect("an address")
                ))
            );
        }
    }

    #[test]
    fn the_open_door_gives_what_is_listed_and_nothing_else() {
        let listed = Access {
            open_grants: vec![OpenGrant::CanSubscribe],
            ..Access::default()
        }
        .open_grant("hall");
        assert_eq!(
            (
                listed.can_subscribe,
                listed.can_publish,
                listed.room_broadcast
            ),
            (Some(true), Some(false), false)
        );
        assert_eq!(listed.room.as_deref(), Some("hall"));
    }

    #[test]
    fn advertised_addresses_are_concrete() {
        let mut config = Config::default();
        assert!(
            config
                .advertised()
                .iter()
                .all(|address| !address.is_unspecified())
        );
        assert!(!config.advertised().is_empty());
        config.server.advertise = vec!["192.0.2.1".parse().expect("an address")];
        assert_eq!(config.advertised(), config.server.advertise);
    }
}
