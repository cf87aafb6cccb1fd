//! The real program: what it says when it starts, why it does not start, how it ends, and what survives its death.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use peer::Form;
use peer::net::{Options, connect};
use serde_json::json;

use crate::air::{hum, until};
use crate::house::{ask, token};

/// `amphi serve`, killed when dropped.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    scheme: String,
}

impl Program {
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        Self::start_under(None, folder, more).unwrap_or_else(|said| panic!("{said}"))
    }

    /// By a program that becomes it: `under` gets its command line as arguments. What was said instead of "ready".
    pub fn start_under(
        under: Option<Command>,
        folder: &Path,
        more: &[&str],
    ) -> Result<Self, String> {
        let program = amphi(&[
            "serve",
            "--dev",
            "--http-port",
            "0",
            "--udp-port",
            "0",
            "--tcp-port",
            "0",
        ]);
        let mut command = match under {
            None => program,
            Some(mut under) => {
                under.arg(program.get_program()).args(program.get_args());
                under
            }
        };
        let mut child = command
            .args(["--data-dir".as_ref(), folder.as_os_str()])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says something");
        let ready = line
            .strip_prefix("ready ")
            .and_then(|url| url.trim_end().split_once("://"));
        let Some((scheme, address)) = ready else {
            let mut error = String::new();
            let _ = child.kill();
            let _ = child
                .stderr
                .take()
                .expect("it is piped")
                .read_to_string(&mut error);
            let _ = child.wait();
            return Err(format!("it said {line:?}, and {error}"));
        };
        Ok(Self {
            address: address.parse().expect("an address"),
            scheme: scheme.to_owned(),
            child,
        })
    }

    pub fn id(&self) -> rustix::process::Pid {
        let id = i32::try_from(self.child.id()).expect("a process id");
        rustix::process::Pid::from_raw(id).expect("not zero")
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.id(), signal).expect("it is ours");
    }

    /// As a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Its exit code and its log.
    fn ended(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(
                start.elapsed() < Duration::from_secs(15),
                "it ends in bounded time"
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut log).expect("text");
        (status.code(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn amphi(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amphi"));
    command
        .args(args)
        .env_remove("AMPHI_KEY")
        .env_remove("AMPHI_SECRET")
        .env_remove("RUST_LOG");
    command
}

fn run(args: &[&str]) -> (Output, String, String) {
    let output = amphi(args).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    (output, out, error)
}

/// It ends with an error, having said nothing on standard output; what it said on standard error.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let (output, out, error) = run(args);
    assert!(!output.status.success(), "{out}{error}");
    assert_eq!(out, "", "{error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_is_and_ends_well_when_asked_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::start(folder.path(), &[]);
    assert_eq!(program.scheme, "http");
    let answer = ask(program.address, "GET", "/readyz", &[], b"").await;
    assert_eq!(answer.status, 200);
    let start = Instant::now();
    program.signal(rustix::process::Signal::TERM);
    let (code, log) = program.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_can_be_json_and_hold_no_name_and_no_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::start(folder.path(), &["--log", "json"]);
    let secret_token = token("a-private-room", "ada-the-member")
        .grant("roomAdmin", true)
        .sign();
    let path = format!("/rtc/validate?access_token={secret_token}");
    assert_eq!(
        ask(program.address, "GET", &path, &[], b"").await.status,
        200
    );
    let (path, body) = (
        "/api/rooms/a-private-room/join",
        br#"{"name":"ada-the-member"}"#,
    );
    assert_eq!(
        ask(program.address, "POST", path, &[], body).await.status,
        200
    );
    record(&program, &secret_token).await;
    program.signal(rustix::process::Signal::INT);
    let (code, log) = program.ended();
    assert_eq!(code, Some(0), "{log}");
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(event["level"].is_string(), "{line}");
    }
    assert!(log.contains("recording closed"), "it did record: {log}");
    for private in ["a-private-room", "ada-the-member", &secret_token] {
        assert!(!log.contains(private), "{log}");
    }
}

/// Has a member of the room hum, and records and broadcasts it until something is in the file.
async fn record(program: &Program, token: &str) {
    let address = format!("ws://{}", program.address);
    let ada = connect(&address, token, &Options::new(Form::Single))
        .await
        .expect("let in");
    let _voice = hum(ada);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    for what in ["recording", "broadcast"] {
        let path = format!("/api/rooms/a-private-room/{what}");
        let begun = ask(program.address, "POST", &path, &headers, b"").await;
        assert_eq!(begun.status, 200, "{}", begun.text());
    }
    let state = async |wanted: &str| {
        let list = ask(program.address, "GET", "/api/recordings", &[], b"").await;
        let first = list.json()["recordings"][0].clone();
        let has_some = first["duration_s"].as_f64() > Some(0.3);
        (has_some && first["state"] == wanted).then_some(())
    };
    until("something to play", async || state("recording").await).await;
    let path = "/api/rooms/a-private-room/recording";
    let ended = ask(program.address, "DELETE", path, &headers, b"").await;
    assert_eq!(ended.status, 200);
    until("a closed recording", async || state("ready").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_writes_is_for_its_own_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("deep").join("data");
    // As a new house is told to begin. It need not be well here.
    let doctor = amphi(&["doctor", "--dev", "--data-dir"])
        .arg(&data)
        .output();
    assert!(!doctor.expect("it runs").stdout.is_empty() && data.is_dir());
    let program = Program::start(&data, &[]);
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    let headers = [("authorization", format!("Bearer {admin}"))];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let path = "/api/rooms/hall/settings";
    let set = ask(program.address, "PUT", path, &headers, b"{\"title\":\"x\"}").await;
    assert_eq!(set.status, 200);
    let mode = |path: &Path| {
        let found = std::fs::metadata(path).expect("it is there");
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode(&data), 0o700);
    let files = std::fs::read_dir(&data).expect("a folder");
    let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    assert!(files.iter().any(|file| file.ends_with("amphi.db")));
    for file in files {
        let expected = if file.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&file), expected, "{}", file.display());
    }
}

#[test]
fn without_a_secret_it_does_not_start_and_says_how_to_make_one() {
    let error = refused(&["serve"]);
    assert!(
        error.contains("no secret is set") && error.contains("/dev/urandom"),
        "{error}"
    );
}

#[test]
fn what_everybody_knows_is_not_shown_to_everybody() {
    let error = refused(&["serve", "--dev", "--bind", "0.0.0.0"]);
    assert!(
        error.contains("--dev") && error.contains("0.0.0.0"),
        "{error}"
    );
}

#[test]
fn a_configuration_with_an_error_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    let path_text = path.to_str().expect("text");
    for (text, line, word) in [
        ("[server]\nhttp_port = 1\nhtp_port = 2\n", 3, "htp_port"),
        ("\n[keys]\na = \"short\"\n", 3, "16 bytes"),
        ("[access]\nmode = \"ajar\"\n", 2, "ajar"),
        ("[server\n", 1, ""),
    ] {
        std::fs::write(&path, text).expect("written");
        let error = refused(&["serve", "--config", path_text]);
        assert!(
            error.contains(&format!("mine.toml, line {line}: ")) && error.contains(word),
            "{error}"
        );
        assert!(
            !error.contains("short"),
            "a secret is not repeated: {error}"
        );
    }
    let error = refused(&["serve", "--config", "/nowhere/amphi.toml"]);
    assert!(error.contains("/nowhere/amphi.toml"), "{error}");
}

#[test]
fn a_port_or_a_folder_in_use_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("text").to_owned();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let serve = ["serve", "--dev", "--udp-port", "0", "--data-dir", &data];
    for (own, other) in [("--http-port", "--tcp-port"), ("--tcp-port", "--http-port")] {
        let error = refused(&[&serve[..], &[own, &port, other, "0"]].concat());
        assert!(error.contains(&port) && error.contains(own), "{error}");
    }
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = udp.local_addr().expect("bound").port().to_string();
    let ports = ["--http-port", "0", "--tcp-port", "0", "--udp-port", &port];
    let error = refused(&[&["serve", "--dev", "--data-dir", &data], &ports[..]].concat());
    assert!(
        error.contains(&port) && error.contains("--udp-port"),
        "{error}"
    );

    let _first = Program::start(folder.path(), &[]);
    let free = ["--http-port", "0", "--tcp-port", "0"];
    let error = refused(&[&serve[..], &free[..]].concat());
    assert!(error.contains("in use by another amphi"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_on_the_command_line_is_let_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::start(folder.path(), &[]);
    let args = [
        "token",
        "--dev",
        "--room",
        "hall",
        "--identity",
        "ada",
        "--grant",
        "roomBroadcast",
    ];
    let (output, token, error) = run(&args);
    assert!(output.status.success(), "{error}");
    let path = format!("/rtc/validate?access_token={}", token.trim());
    assert_eq!(
        ask(program.address, "GET", &path, &[], b"").await.status,
        200
    );
    assert!(
        refused(&["token", "--room", "hall", "--identity", "ada"]).contains("no secret is set")
    );
    assert!(refused(&["token", "--dev", "--room", "../x", "--identity", "ada"]).contains("--room"));
}

#[test]
fn a_key_can_come_from_the_environment() {
    let made = |secret: &str| {
        let mut command = amphi(&["token", "--room", "hall", "--identity", "ada"]);
        command
            .env("AMPHI_KEY", "mine")
            .env("AMPHI_SECRET", secret)
            .output()
            .expect("the program runs")
    };
    assert!(made("a secret of enough bytes").status.success());
    assert!(!made("short").status.success());
    assert!(!made("").status.success());
}

#[test]
fn the_doctor_says_what_is_wrong_and_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("text").to_owned();
    let free = ["--http-port", "0", "--udp-port", "0", "--data-dir", &data];
    let (output, out, error) = run(&[&["doctor", "--dev", "--tcp-port", "0"], &free[..]].concat());
    assert!(output.status.success(), "{out}{error}");
    assert!(out.contains("This machine can do it."), "{out}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let (output, out, _) = run(&[&["doctor", "--dev", "--tcp-port", &port], &free[..]].concat());
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(
        out.contains(&format!("WRONG  TCP media port: port {port}")),
        "{out}"
    );
}

#[test]
fn it_says_its_version() {
    let (_, out, _) = run(&["--version"]);
    assert_eq!(out, format!("amphi {}\n", env!("CARGO_PKG_VERSION")));
}

/// Settings are written one after the other, the process is killed in the middle, and whatever was answered is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = token("", "ada")
        .grant("roomCreate", true)
        .grant("room", serde_json::Value::Null)
        .grant("roomJoin", serde_json::Value::Null)
        .sign();
    let bearer = format!("Bearer {admin}");
    for round in 0..3 {
        let mut program = Program::start(folder.path(), &[]);
        let address = program.address;
        let acknowledged = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let writer = {
            let (acknowledged, bearer) = (acknowledged.clone(), bearer.clone());
            tokio::spawn(async move {
                for number in 1.. {
                    let path = format!("/api/rooms/room-{round}-{number}/settings");
                    let body = json!({ "title": format!("title {number}") }).to_string();
                    let headers = [("authorization", bearer.as_str())];
                    let answer = ask(address, "PUT", &path, &headers, body.as_bytes()).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    acknowledged.store(number, std::sync::atomic::Ordering::SeqCst);
                }
            })
        };
        while acknowledged.load(std::sync::atomic::Ordering::SeqCst) < 5 + round * 7 {
            assert!(!writer.is_finished(), "writing goes on");
            tokio::task::yield_now().await;
        }
        program.kill();
        // It fails when the connection does, after the last acknowledged one.
        assert!(writer.await.is_err());
        let acknowledged = acknowledged.load(std::sync::atomic::Ordering::SeqCst);

        let program = Program::start(folder.path(), &[]);
        for number in 1..=acknowledged {
            let path = format!("/api/rooms/room-{round}-{number}/settings");
            let kept = ask(program.address, "GET", &path, &[], b"").await.json();
            assert_eq!(kept["title"], format!("title {number}"));
        }
    }
}
