//! A disk that is really full, or may not be written to: the program on small filesystems of its own, and one whose files may
//! not grow.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use peer::Form;
use peer::net::{Handle, Options, connect};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use tokio::task::JoinHandle;

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

/// The program on a filesystem of its own at `place`, which only it sees. None where the kernel makes none for us: that is said,
/// and where everything has to be tested (`CI` is set) it is a failure.
fn on_small_filesystem(folder: &Path, place: &Path) -> Option<Program> {
    let place = place.display();
    let mount = format!("mkdir -p {place} && mount -t tmpfs -o {DISK} tmpfs {place}");
    let mut namespace = Command::new("unshare");
    namespace.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    namespace.args([&format!("{mount} && exec \"$@\""), "sh"]);
    match Program::start_under(Some(namespace), folder, &[]) {
        Ok(program) => Some(program),
        Err(said) => {
            assert!(said.contains("unshare") || said.contains("mount"), "{said}");
            let words = format!(
                "NOT TESTED: this machine makes no small filesystem for us, so nothing was filled or made read-only here ({said}). \
                 Let whoever runs the tests make user namespaces (user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)."
            );
            assert!(std::env::var_os("CI").is_none(), "{words}");
            // Past what a test runner holds back of a test that passes.
            let _ = writeln!(std::io::stderr(), "{words}");
            None
        }
    }
}

/// The program's own view of a path.
fn seen_by(program: &Program, path: &Path) -> PathBuf {
    let root = format!("/proc/{}/root", program.id().as_raw_nonzero());
    Path::new(&root).join(path.strip_prefix("/").expect("absolute"))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_small_filesystem_that_is_full_the_recording_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(program) = on_small_filesystem(folder.path(), folder.path()) else {
        return;
    };
    let disk = Disk::Small(seen_by(&program, folder.path()));
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

    /// Begins a recording, of the members' tracks too.
    async fn records(&self) -> String {
        let path = format!("{ROOM}/recording");
        let started = self.ask("POST", &path, r#"{"tracks":true}"#).await.json();
        started["id"].as_str().expect("an id").to_owned()
    }

    /// Ends it.
    async fn ends(&self, id: &str) -> Value {
        self.ask("DELETE", &format!("{ROOM}/recording"), "").await;
        until("it is ready", async || {
            let one = self.ask("GET", &format!("/api/recordings/{id}"), "").await;
            Some(one.json()).filter(|one| one["state"] == "ready")
        })
        .await
    }

    async fn see_that_all_goes_on(&self) {
        let (before, packets) = (self.segments().await, self.metric(PACKETS_OUT).await);
        until("the broadcast and the call go on", async || {
            let goes_on = self.segments().await >= before + SEGMENTS
                && self.metric(PACKETS_OUT).await > packets + PACKETS;
            goes_on.then_some(())
        })
        .await;
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

/// Ada, who is on air, and Bo, who hears her.
struct Call {
    ada: JoinHandle<()>,
    _bo: Handle,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.ada.abort();
    }
}

async fn on_air(program: &Program) -> (Eyes<'_>, Call) {
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
    let bo = connect(&url, &token("hall", "bo").sign(), &options)
        .await
        .expect("let in");
    let live = eyes
        .ask("POST", &format!("{ROOM}/broadcast"), r#"{"program":"cut"}"#)
        .await;
    assert_eq!(live.status, 200, "{}", live.text());
    (eyes, Call { ada, _bo: bo })
}

async fn full_and_free_again(program: &Program, disk: &Disk, words: &str) {
    let (eyes, call) = on_air(program).await;
    let id = eyes.records().await;
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
    let recorded = eyes.recorded_s(&id).await;
    eyes.see_that_all_goes_on().await;
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
    let ready = eyes.ends(&id).await;
    drop(call);
    assert!(ready["gaps"].as_u64() >= Some(1), "{ready}");
    all_that_was_written_plays(&eyes, &ready).await;
    let timeline = format!("/api/recordings/{id}/timeline");
    let told = eyes.ask("GET", &timeline, "").await.json();
    assert!(told["events"].as_array().is_some_and(|all| !all.is_empty()));
}

/// A mount that nobody writes into can be made read-only; one into which a recording is being written cannot, by no more than a
/// failing disk: see `amphi/src/egress/record/tape.rs` for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_filesystem_is_said_and_the_recording_begins_when_it_may_be_written_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("recordings");
    let Some(program) = on_small_filesystem(folder.path(), &place) else {
        return;
    };
    let remount = |how: &str| {
        let target = program.id().as_raw_nonzero().to_string();
        let done = Command::new("nsenter")
            .args(["--target", &target, "--user", "--mount"])
            .args(["--preserve-credentials", "mount", "-o", how])
            .arg(&place)
            .output()
            .expect("nsenter comes with unshare");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{how}: {said}");
    };
    remount("remount,ro");
    let (eyes, call) = on_air(&program).await;
    let id = eyes.records().await;
    let note = until("it says why there is nothing", async || {
        let note = eyes.recording().await["note"].take();
        note.as_str().map(str::to_owned)
    })
    .await;
    assert!(note.contains("may not be written to"), "{note}");
    eyes.see_that_all_goes_on().await;
    // The way back is on another filesystem.
    assert_eq!(eyes.metric("amphi_hls_dvr_failed_total").await, 0.0);
    assert_eq!(eyes.recorded_s(&id).await, 0.0);

    remount("remount,rw");
    until("it is recorded, and says nothing any more", async || {
        let written = eyes.recorded_s(&id).await > 2.0;
        (written && eyes.recording().await["note"] == Value::Null).then_some(())
    })
    .await;
    let ready = eyes.ends(&id).await;
    drop(call);
    all_that_was_written_plays(&eyes, &ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_the_disk_does_not_take_is_refused_in_words_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(program) = on_small_filesystem(folder.path(), folder.path()) else {
        return;
    };
    let disk = Disk::Small(seen_by(&program, folder.path()));
    let (eyes, call) = on_air(&program).await;
    let clip = async || {
        // Of all that is listed.
        let playlist = eyes.ask("GET", "/hls/hall/audio.m3u8", "").await.text();
        let dates: Vec<&str> = playlist
            .lines()
            .filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"))
            .collect();
        let [from, .., to] = dates[..] else {
            return None;
        };
        let body = format!(r#"{{"from": "{from}", "to": "{to}"}}"#);
        Some(eyes.ask("POST", &format!("{ROOM}/clips"), &body).await)
    };
    let made = until("three segments", async || {
        if eyes.segments().await < SEGMENTS {
            return None;
        }
        clip().await
    })
    .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let folders = || {
        let folders = std::fs::read_dir(seen_by(&program, folder.path()).join("recordings"));
        folders.expect("a folder").count()
    };
    assert_eq!(folders(), 1);

    disk.fill();
    let refused = clip().await.expect("it is on air");
    let words = refused.refused(503, "unavailable", None);
    assert!(words.contains("disk is full"), "{words}");
    eyes.see_that_all_goes_on().await;

    disk.clear();
    let listed = async || {
        let listed = eyes.ask("GET", "/api/recordings", "").await.json();
        listed["recordings"].as_array().expect("a list").clone()
    };
    until("nothing of it is left", async || {
        (listed().await.len() == 1 && folders() == 1).then_some(())
    })
    .await;
    let again = clip().await.expect("it is on air");
    assert_eq!(again.status, 201, "{}", again.text());
    let all = listed().await;
    assert!(
        all.len() == 2 && all.iter().all(|one| one["state"] == "ready"),
        "{all:?}"
    );
    let copies = tempfile::tempdir().expect("a folder");
    for one in all {
        let copy = copies.path().join("copy.mp4");
        let file = one["file"].as_str().expect("a path");
        std::fs::write(&copy, eyes.ask("GET", file, "").await.body).expect("written");
        plays(&copy);
    }
    drop(call);
}

async fn all_that_was_written_plays(eyes: &Eyes<'_>, ready: &Value) {
    let id = ready["id"].as_str().expect("an id");
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
}
