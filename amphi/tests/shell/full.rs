//! A disk that is really full: the program on a small filesystem of its own, and one whose files may not grow.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use peer::Form;
use peer::net::{Options, connect};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::air::until;
use crate::house::{Answer, ask, token};
use crate::killed::plays;
use crate::performer::{Camera, LOUD, perform, tone};
use crate::process::Program;

const ROOM: &str = "/api/rooms/hall";
/// The filesystem's whole size.
const DISK: &str = "size=6m";
/// More than what was under way when the disk was full.
const SEGMENTS: u64 = 3;
const PACKETS: f64 = 150.0;
/// That were sent to members.
const PACKETS_OUT: &str = "amphi_packets_out_total";

/// How a disk is filled, and how there is room again.
enum Disk {
    /// By a file in the folder, seen from outside of the program's namespace.
    Small(PathBuf),
    /// By a limit on how long the program's files may be.
    Limited(Pid),
}

impl Disk {
    fn fill(&self) {
        match self {
            Disk::Small(folder) => {
                let mut filler = File::create(folder.join("filler")).expect("made");
                let piece = [0; 4_096];
                while filler.write_all(&piece).is_ok() {}
            }
            Disk::Limited(id) => limit(*id, Some(0)),
        }
    }

    fn clear(&self) {
        match self {
            Disk::Small(folder) => std::fs::remove_file(folder.join("filler")).expect("removed"),
            Disk::Limited(id) => limit(*id, None),
        }
    }
}

fn limit(id: Pid, current: Option<u64>) {
    let limits = Rlimit {
        current,
        maximum: None,
    };
    prlimit(Some(id), Resource::Fsize, limits).expect("it is ours");
}

/// A shell that does this first, and then becomes the program.
fn shell(first: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first} && exec \"$@\""), "sh"]);
    shell
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_small_filesystem_that_is_full_the_recording_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let mount = format!("mount -t tmpfs -o {DISK} tmpfs {}", folder.path().display());
    let mut namespace = Command::new("unshare");
    namespace.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    namespace.args([&format!("{mount} && exec \"$@\""), "sh"]);
    let program = match Program::start_under(Some(namespace), folder.path(), &[]) {
        Ok(program) => program,
        Err(said) => {
            // Some kernels let only root make namespaces; the other test here is then all that there is.
            assert!(said.contains("unshare") || said.contains("mount"), "{said}");
            println!("this machine makes no small filesystem for us: {said}");
            return;
        }
    };
    let root = format!("/proc/{}/root", program.id().as_raw_nonzero());
    let inside = folder.path().strip_prefix("/").expect("absolute");
    let disk = Disk::Small(Path::new(&root).join(inside));
    full_and_free_again(&program, &disk, "The disk is full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_files_may_not_grow_the_recording_says_so_and_goes_on_when_they_may() {
    let folder = tempfile::tempdir().expect("a folder");
    // Else the kernel ends who writes beyond the limit.
    let ignoring = shell("trap '' XFSZ");
    let program = Program::start_under(Some(ignoring), folder.path(), &[]).expect("it starts");
    let disk = Disk::Limited(program.id());
    full_and_free_again(&program, &disk, "may not grow any more").await;
}

/// What is looked at meanwhile.
struct Eyes<'a> {
    program: &'a Program,
    able: String,
}

impl Eyes<'_> {
    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.able);
        let headers = [("authorization", bearer.as_str())];
        ask(
            self.program.address,
            method,
            path,
            &headers,
            body.as_bytes(),
        )
        .await
    }

    async fn recording(&self) -> Value {
        self.ask("GET", ROOM, "").await.json()["recording"].take()
    }

    /// None of it before its first piece.
    async fn recorded_s(&self, id: &str) -> f64 {
        let one = self.ask("GET", &format!("/api/recordings/{id}"), "").await;
        one.json()["duration_s"].as_f64().unwrap_or(0.0)
    }

    /// Segments of the broadcast that were listed so far.
    async fn segments(&self) -> u64 {
        let text = self.ask("GET", "/hls/hall/audio.m3u8", "").await.text();
        let gone = text.lines().find_map(|line| {
            line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?
                .parse::<u64>()
                .ok()
        });
        gone.unwrap_or(0) + text.matches("#EXTINF:").count() as u64
    }

    /// All values of a metric together.
    async fn metric(&self, name: &str) -> f64 {
        let page = self.ask("GET", "/metrics", "").await.text();
        let all = page.lines().filter(|line| line.starts_with(name));
        all.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }
}

async fn full_and_free_again(program: &Program, disk: &Disk, words: &str) {
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let eyes = Eyes {
        program,
        able: able.clone(),
    };
    let (url, options) = (
        format!("ws://{}", program.address),
        Options::new(Form::Single),
    );
    let ada = connect(&url, &able, &options).await.expect("let in");
    let level = Arc::new(AtomicU8::new(LOUD));
    let camera = Camera::new((320, 180));
    let ada = tokio::spawn(perform(ada, tone(), Some(camera), level));
    // Who hears her.
    let bo = connect(&url, &token("hall", "bo").sign(), &options)
        .await
        .expect("let in");
    let live = eyes
        .ask("POST", &format!("{ROOM}/broadcast"), r#"{"program":"cut"}"#)
        .await;
    assert_eq!(live.status, 200, "{}", live.text());
    let started = eyes
        .ask("POST", &format!("{ROOM}/recording"), r#"{"tracks":true}"#)
        .await
        .json();
    let id = started["id"].as_str().expect("an id").to_owned();
    until("three seconds are recorded", async || {
        (eyes.recorded_s(&id).await > 3.0).then_some(())
    })
    .await;
    assert_eq!(eyes.recording().await["note"], Value::Null);

    disk.fill();
    let note = until("it says why it stands still", async || {
        let note = eyes.recording().await["note"].take();
        note.as_str().map(str::to_owned)
    })
    .await;
    assert!(note.contains(words) && note.ends_with('.'), "{note}");
    let one = eyes.ask("GET", &format!("/api/recordings/{id}"), "").await;
    assert_eq!(one.json()["note"], note.as_str());
    let (before, packets, recorded) = (
        eyes.segments().await,
        eyes.metric(PACKETS_OUT).await,
        eyes.recorded_s(&id).await,
    );
    until("the broadcast and the call go on", async || {
        let goes_on = eyes.segments().await >= before + SEGMENTS
            && eyes.metric(PACKETS_OUT).await > packets + PACKETS;
        goes_on.then_some(())
    })
    .await;
    // Viewers cannot go back to what was not written, and that is all.
    assert!(eyes.metric("amphi_hls_dvr_failed_total").await > 0.0);
    let meanwhile = eyes.recorded_s(&id).await - recorded;
    assert!(meanwhile < 0.5, "{meanwhile} s were recorded nowhere");

    disk.clear();
    until("it goes on, and says nothing any more", async || {
        let written = eyes.recorded_s(&id).await > recorded + 3.0;
        (written && eyes.recording().await["note"] == Value::Null).then_some(())
    })
    .await;
    eyes.ask("DELETE", &format!("{ROOM}/recording"), "").await;
    let ready = until("it is ready", async || {
        let one = eyes.ask("GET", &format!("/api/recordings/{id}"), "").await;
        Some(one.json()).filter(|one| one["state"] == "ready")
    })
    .await;
    ada.abort();
    drop(bo);
    assert!(ready["gaps"].as_u64() >= Some(1), "{ready}");

    // All that was written plays.
    let copies = tempfile::tempdir().expect("a folder");
    let tracks = eyes
        .ask("GET", &format!("/api/recordings/{id}/tracks"), "")
        .await
        .json();
    let tracks = tracks["tracks"].as_array().expect("a list").clone();
    let files = tracks.iter().map(|track| &track["file"]);
    let files: Vec<&str> = std::iter::once(&ready["file"])
        .chain(files)
        .map(|file| file.as_str().expect("a path"))
        .collect();
    assert!(
        files.len() >= 3,
        "program, camera and microphone: {files:?}"
    );
    for file in files {
        let copy = copies.path().join("copy.mp4");
        let answer = eyes.ask("GET", file, "").await;
        assert_eq!(answer.status, 200, "{file}");
        std::fs::write(&copy, &answer.body).expect("written");
        plays(&copy);
    }
    let timeline = format!("/api/recordings/{id}/timeline");
    let told = eyes.ask("GET", &timeline, "").await.json();
    assert!(told["events"].as_array().is_some_and(|all| !all.is_empty()));
}
