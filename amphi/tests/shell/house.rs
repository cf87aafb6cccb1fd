//! A house to test, and a client that says exactly what a test wants it to say.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use amphi::config::{Config, Overrides, ProgramWord};
use amphi::serve::Server;
use peer::token::Token;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A house in this process, with a folder of its own.
pub struct House {
    pub server: Server,
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl House {
    /// As `--dev` is, on free ports.
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = dev_config(folder.path());
        change(&mut config);
        let server = Server::start(config).await.expect("a house");
        let address = server
            .url()
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        Self {
            server,
            address,
            _folder: folder,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path, &[], b"").await
    }

    /// With a bearer token; an empty one is not sent.
    pub async fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers: &[(&str, &str)] = if token.is_empty() {
            &[]
        } else {
            &[("authorization", &bearer)]
        };
        ask(self.address, method, path, headers, body.as_bytes()).await
    }

    /// The value of a line of `/metrics`, named with its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").await.text();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}"))
            .parse()
            .expect("a number")
    }

    pub fn web_socket(&self) -> String {
        format!("ws://{}", self.address)
    }
}

pub fn dev_config(folder: &Path) -> Config {
    let overrides = Overrides {
        dev: true,
        http_port: Some(0),
        udp_port: Some(0),
        tcp_port: Some(0),
        data_dir: Some(folder.to_owned()),
        ..Overrides::default()
    };
    let mut config = Config::load(None, &overrides).expect("a good configuration");
    // This process is a test; the composer is the program.
    config.worker = env!("CARGO_BIN_EXE_amphi").into();
    // Tests of what is composed say so.
    config.program.kind = ProgramWord::Cut;
    config
}

/// A token of the development key, valid now.
pub fn token(room: &str, identity: &str) -> Token {
    Token::dev(room, identity, now_s())
}

pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/json",
            "{}",
            self.text()
        );
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// It is an error in the form that errors have. Its message is given back.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str, action: Option<&str>) -> String {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["error"]["code"], code, "{body}");
        assert_eq!(body["error"]["action"].as_str(), action, "{body}");
        let message = body["error"]["message"].as_str().expect("words").to_owned();
        assert!(message.len() > 10 && message.ends_with('.'), "{message}");
        message
    }
}

/// One request on a connection of its own. `path` goes out as it is, also where no well-behaved client would send it.
pub async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("sent");
    // A server that refuses by the head alone need not read the body.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes).await;
    parse(&bytes).unwrap_or_else(|| {
        panic!(
            "no answer to {method} {path}: {read:?} {} bytes",
            bytes.len()
        )
    })
}

/// The status of the answer to a request without a body, read no further: an upgraded connection does not end.
pub async fn head(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    let start = std::str::from_utf8(&start).expect("text");
    start[9..].parse().expect("a status")
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    assert!(
        !headers.iter().any(|(name, _)| name == "transfer-encoding"),
        "not read here"
    );
    Some(Answer {
        status,
        headers,
        body: bytes[end + 4..].to_vec(),
    })
}
