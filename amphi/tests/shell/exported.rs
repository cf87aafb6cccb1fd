//! Recordings that are copied elsewhere: to a real S3 server, to a folder, and to servers that are dead, slow, or lie.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use amphi::config::{Export, Hidden};
use amphi::egress::record::export::{Exporter, Pace, TRIES_MAX, place};
use amphi::egress::record::{Keeper, file_of};
use amphi::store::{ExportState, Outdated, Recording, RecordingState, Release, SqliteStore, Store};
use axum::body::{Body, Bytes, to_bytes};
use http::{Method, Request, Response, StatusCode, header};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::air::until;
use crate::house::House;
use crate::released::{put, recorder};

const ID: &str = "20261122-103000-hall-x7k2";
/// S3 takes no smaller ones.
const PART: u64 = 5 * 1024 * 1024;
const PROGRAM_BYTES: usize = 4 * PART as usize + 123;
const PARTS: u64 = 5;

/// A house's folder with one recording in it.
struct World {
    folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
    keeper: Arc<Keeper>,
}

impl World {
    fn new(to: &Export) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("amphi.db")).expect("a database");
        let store = Arc::new(store);
        let keeper = Keeper::new(
            folder.path().to_owned(),
            store.clone(),
            Outdated::ExportedTo(place(to)),
        );
        let program = file_of(folder.path(), ID).expect("an id");
        let tracks = program.with_file_name("tracks");
        std::fs::create_dir_all(&tracks).expect("made");
        std::fs::write(&program, noise(PROGRAM_BYTES)).expect("written");
        std::fs::write(program.with_file_name("timeline.jsonl"), "{}\n").expect("written");
        std::fs::write(tracks.join("0001-camera.mp4"), noise(1_000)).expect("written");
        let recording = Recording {
            id: ID.to_owned(),
            room: "hall".into(),
            title: "An evening".into(),
            started: SystemTime::UNIX_EPOCH,
            duration: Duration::from_secs(6),
            state: RecordingState::Ready,
            size_bytes: PROGRAM_BYTES as u64,
            gaps: 0,
            release: Release {
                published: true,
                keep_until: Some(SystemTime::UNIX_EPOCH),
            },
        };
        store.put_recording(&recording).expect("written");
        Self {
            folder,
            store,
            keeper: Arc::new(keeper),
        }
    }

    fn exporter(&self, config: &Export) -> Exporter {
        let made = self.try_exporter(config).expect("a client");
        made.expect("a place")
    }

    fn try_exporter(&self, config: &Export) -> anyhow::Result<Option<Exporter>> {
        self.exporter_in(config, Duration::from_secs(10))
    }

    fn exporter_in(
        &self,
        config: &Export,
        request_max: Duration,
    ) -> anyhow::Result<Option<Exporter>> {
        let pace = Pace {
            part_bytes: PART,
            request_max,
        };
        let data_dir = self.folder.path().to_owned();
        Exporter::new(
            config,
            pace,
            data_dir,
            self.store.clone(),
            self.keeper.clone(),
        )
    }

    fn export(&self) -> amphi::store::Export {
        let export = self.store.export(ID).expect("read");
        export.expect("it was begun")
    }

    fn is_here(&self) -> bool {
        let program = file_of(self.folder.path(), ID).expect("an id");
        let listed = self.store.recording(ID).expect("read").is_some();
        assert_eq!(program.exists(), listed);
        listed
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * n / 7 % 251) as u8).collect()
}

fn to_bucket(address: SocketAddr, remove_after_export: bool) -> Export {
    Export {
        bucket: "archive".into(),
        endpoint: format!("http://{address}"),
        prefix: "house/recordings/".into(),
        key_id: "key".into(),
        secret: Hidden("a secret".into()),
        remove_after_export,
        ..Export::default()
    }
}

/// Somebody else's S3 server, on files, with a word in between.
struct Bucket {
    address: SocketAddr,
    folder: tempfile::TempDir,
    /// That were sent.
    parts: Arc<AtomicU64>,
    /// Beyond it they are refused with 503.
    parts_max: Arc<AtomicU64>,
    /// Everything is.
    refuses_all: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bucket {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("archive")).expect("made");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a server on files");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single("key", "a secret"));
        let service: S3Service = builder.build();
        let parts = Arc::new(AtomicU64::new(0));
        let parts_max = Arc::new(AtomicU64::new(u64::MAX));
        let refuses_all = Arc::<AtomicBool>::default();
        let refused = refuses_all.clone();
        let (counted, most) = (parts.clone(), parts_max.clone());
        let (address, serving) = serve(move |request: Request<hyper::body::Incoming>| {
            let (service, parts) = (service.clone(), counted.clone());
            let parts_max = most.load(Ordering::Relaxed);
            let refused = refused.load(Ordering::Relaxed);
            async move {
                if refused {
                    return status(StatusCode::SERVICE_UNAVAILABLE);
                }
                let asked = request.uri().query().unwrap_or("").to_owned();
                if request.method() == Method::PUT && asked.contains("partNumber") {
                    if parts.load(Ordering::Relaxed) >= parts_max {
                        return status(StatusCode::SERVICE_UNAVAILABLE);
                    }
                    parts.fetch_add(1, Ordering::Relaxed);
                }
                let answer = hyper::service::Service::call(&service, request).await;
                match answer {
                    Ok(answer) => answer.map(Body::new),
                    Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
                }
            }
        })
        .await;
        Self {
            address,
            folder,
            parts,
            parts_max,
            refuses_all,
            serving,
        }
    }

    fn object(&self, name: &str) -> Option<Vec<u8>> {
        let folder = self.folder.path().join("archive/house/recordings").join(ID);
        std::fs::read(folder.join(name)).ok()
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

async fn serve<F, A>(answer: F) -> (SocketAddr, JoinHandle<()>)
where
    F: Fn(Request<hyper::body::Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (address, serving)
}

fn soon(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_to_a_bucket_whole_and_is_removed_here_only_then() {
    let bucket = Bucket::open().await;
    let to = to_bucket(bucket.address, true);
    let world = World::new(&to);
    let exporter = world.exporter(&to);
    exporter.work(soon(0)).await.expect("a store");
    assert!(bucket.object("program.mp4") == Some(noise(PROGRAM_BYTES)));
    assert_eq!(bucket.object("tracks/0001-camera.mp4"), Some(noise(1_000)));
    assert_eq!(bucket.object("timeline.jsonl"), Some(b"{}\n".to_vec()));
    let card = bucket.object("recording.json").expect("it is there");
    let card: serde_json::Value = serde_json::from_slice(&card).expect("JSON");
    assert_eq!(
        (&card["title"], &card["duration_s"]),
        (&"An evening".into(), &6.0.into())
    );
    assert_eq!(bucket.parts.load(Ordering::Relaxed), PARTS);
    assert!(!world.is_here());
    assert_eq!((exporter.done(), exporter.failed()), (1, 0));
    assert!(exporter.bytes() > PROGRAM_BYTES as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_exports_by_itself_and_tells_those_who_may_release_how_far_it_is() {
    let bucket = Bucket::open().await;
    bucket.refuses_all.store(true, Ordering::Relaxed);
    let to = to_bucket(bucket.address, false);
    let house = House::with(|config| config.recording.export = to).await;
    put(&house, crate::released::ID, RecordingState::Ready);
    let one = format!("/api/recordings/{}", crate::released::ID);
    let export = async || {
        let told = house.send("GET", &one, &recorder("hall"), "").await;
        told.json()["export"].take()
    };
    let waiting = until("it failed", async || {
        Some(export().await).filter(|export| export["note"].is_string())
    })
    .await;
    assert_eq!(
        (&waiting["state"], &waiting["to"]),
        (&"waiting".into(), &"the bucket archive".into())
    );
    let next = waiting["next"].as_str().expect("a time");
    let next = humantime::parse_rfc3339(next).expect("RFC 3339");
    assert!(next > SystemTime::now() && next < soon(15));
    // Neither its address nor its key.
    let told = waiting.to_string();
    assert!(
        !told.contains("127.0.0.1") && !told.contains("secret"),
        "{told}"
    );
    bucket.refuses_all.store(false, Ordering::Relaxed);
    // Ten seconds later, as it said.
    let again = async {
        loop {
            let export = export().await;
            if export["state"] == "done" {
                break export;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(60), again).await;
    let done = done.expect("it is there");
    assert_eq!((&done["note"], &done["next"]), (&Value::Null, &Value::Null));
    assert_eq!(house.get(&one).await.json()["export"], Value::Null);
    assert_eq!(house.metric("amphi_recordings_exported_total").await, 1.0);
    assert!(house.metric("amphi_recording_exports_failed_total").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_wish_to_remove_it_stays_and_is_sent_once() {
    let bucket = Bucket::open().await;
    let to = to_bucket(bucket.address, false);
    let world = World::new(&to);
    let exporter = world.exporter(&to);
    exporter.work(soon(0)).await.expect("a store");
    exporter.work(soon(10_000)).await.expect("a store");
    assert!(world.is_here());
    let export = world.export();
    assert_eq!(export.state, ExportState::Done, "{}", export.note);
    assert_eq!(bucket.parts.load(Ordering::Relaxed), PARTS);
    // Kept until 1970, and safe elsewhere: it may go.
    world.keeper.look_through(soon(0));
    assert!(!world.is_here());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_and_a_restart_it_goes_on_with_the_part_it_was_at() {
    let bucket = Bucket::open().await;
    bucket.parts_max.store(2, Ordering::Relaxed);
    let to = to_bucket(bucket.address, true);
    let world = World::new(&to);
    let exporter = world.exporter(&to);
    exporter.work(soon(0)).await.expect("a store");
    let export = world.export();
    assert_eq!((export.state, export.tries), (ExportState::Waiting, 1));
    assert!(
        export.note.contains("does not do what it is asked"),
        "{}",
        export.note
    );
    assert!(world.is_here() && bucket.object("program.mp4").is_none());
    // What is kept by date waits for its export.
    world.keeper.look_through(soon(0));
    assert!(world.is_here());
    exporter.work(SystemTime::now()).await.expect("a store");
    assert_eq!(world.export().tries, 1, "not before its time");
    drop(exporter);

    // Another process, and the server is well again.
    bucket.parts_max.store(u64::MAX, Ordering::Relaxed);
    let exporter = world.exporter(&to);
    exporter.begin().await.expect("a store");
    exporter.work(soon(60)).await.expect("a store");
    assert_eq!(bucket.parts.load(Ordering::Relaxed), PARTS);
    assert!(bucket.object("program.mp4") == Some(noise(PROGRAM_BYTES)));
    assert!(!world.is_here());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_again_and_again_is_begun_anew() {
    let bucket = Bucket::open().await;
    bucket.parts_max.store(2, Ordering::Relaxed);
    let to = to_bucket(bucket.address, true);
    let world = World::new(&to);
    let exporter = world.exporter(&to);
    for day in 1..=5 {
        exporter.work(soon(day * 86_400)).await.expect("a store");
    }
    assert_eq!((world.export().tries, exporter.failed()), (5, 5));
    bucket.parts_max.store(u64::MAX, Ordering::Relaxed);
    exporter.work(soon(6 * 86_400)).await.expect("a store");
    assert_eq!(bucket.parts.load(Ordering::Relaxed), 2 + PARTS);
    assert!(bucket.object("program.mp4") == Some(noise(PROGRAM_BYTES)));
    assert!(!world.is_here());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_to_another_place_was_not_sent() {
    let (one, other) = (Bucket::open().await, Bucket::open().await);
    let world = World::new(&to_bucket(other.address, true));
    let exporter = world.exporter(&to_bucket(one.address, false));
    exporter.work(soon(0)).await.expect("a store");
    assert_eq!(world.export().state, ExportState::Done);
    // The house is told of another place: the copy in the first is no reason to delete anything.
    world.keeper.look_through(soon(0));
    assert!(world.is_here());
    let exporter = world.exporter(&to_bucket(other.address, true));
    exporter.work(soon(0)).await.expect("a store");
    assert!(other.object("program.mp4") == Some(noise(PROGRAM_BYTES)));
    assert!(!world.is_here());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_gets_a_copy_too() {
    let archive = tempfile::tempdir().expect("a folder");
    let config = Export {
        folder: archive.path().to_owned(),
        remove_after_export: true,
        ..Export::default()
    };
    let world = World::new(&config);
    let exporter = world.exporter(&config);
    exporter.work(soon(0)).await.expect("a store");
    let copy = archive.path().join(ID);
    let program = std::fs::read(copy.join("program.mp4")).expect("a copy");
    assert!(program == noise(PROGRAM_BYTES) && !world.is_here());
    assert!(copy.join("tracks/0001-camera.mp4").exists() && copy.join("recording.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_costs_nothing_here() {
    let archive = tempfile::NamedTempFile::new().expect("a file");
    let config = Export {
        // A file is in the way.
        folder: PathBuf::from(archive.path()),
        remove_after_export: true,
        ..Export::default()
    };
    let world = World::new(&config);
    let exporter = world.exporter(&config);
    exporter.work(soon(0)).await.expect("a store");
    assert!(world.is_here());
    assert_eq!(
        (world.export().state, exporter.failed()),
        (ExportState::Waiting, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_there_is_not_made_and_its_path_is_not_told() {
    let archive = tempfile::tempdir().expect("a folder");
    let config = Export {
        folder: archive.path().join("not-mounted"),
        remove_after_export: true,
        ..Export::default()
    };
    let world = World::new(&config);
    let exporter = world.exporter(&config);
    exporter.work(soon(0)).await.expect("a store");
    assert!(world.is_here() && !config.folder.exists());
    assert_eq!(
        world.export().note,
        "a file cannot be read or written (entity not found)"
    );
    std::fs::create_dir(&config.folder).expect("made");
    exporter.work(soon(60)).await.expect("a store");
    assert!(!world.is_here() && config.folder.join(ID).join("program.mp4").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_the_data_folder_is_refused_since_the_copy_would_be_what_it_is_of() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let config = |folder| Export {
        folder,
        remove_after_export: true,
        ..Export::default()
    };
    let to = config(elsewhere.path().join("link"));
    let world = World::new(&to);
    let recordings = world.folder.path().join("recordings");
    let refused = world.try_exporter(&config(recordings.clone()));
    let words = refused.err().expect("refused").to_string();
    assert!(words.contains("name one outside of it"), "{words}");
    // One that comes to be there later, by another name.
    let exporter = world.exporter(&to);
    std::os::unix::fs::symlink(recordings, &to.folder).expect("linked");
    exporter.work(soon(0)).await.expect("a store");
    assert!(world.is_here());
    assert_eq!(exporter.failed(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_tried_again_ever_later_and_given_up_until_the_next_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let to = to_bucket(address, true);
    let world = World::new(&to);
    let exporter = world.exporter(&to);
    // What is stored is kept to the millisecond.
    let mut now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut waits = Vec::new();
    for tries in 1..=TRIES_MAX {
        exporter.work(now).await.expect("a store");
        assert_eq!(world.export().tries, tries);
        let next = world.export().next;
        waits.push(next.duration_since(now).expect("later").as_secs());
        now = next;
    }
    assert_eq!(waits[..4], [10, 20, 40, 80]);
    assert_eq!(waits.last(), Some(&3_600));
    assert_eq!(world.export().state, ExportState::GivenUp);
    exporter
        .work(now + Duration::from_secs(1_000_000))
        .await
        .expect("a store");
    assert_eq!(exporter.failed(), u64::from(TRIES_MAX));
    exporter.begin().await.expect("a store");
    exporter.work(now).await.expect("a store");
    assert_eq!(exporter.failed(), u64::from(TRIES_MAX) + 1);
    assert!(world.is_here());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_not_waited_for_for_ever() {
    let (address, serving) = serve(|_| std::future::pending()).await;
    let to = to_bucket(address, true);
    let world = World::new(&to);
    let exporter = world.exporter(&to);
    let sent = tokio::time::timeout(Duration::from_secs(60), exporter.work(soon(0))).await;
    sent.expect("it comes back").expect("a store");
    assert!(world.is_here());
    assert_eq!(exporter.failed(), 1);
    serving.abort();
}

/// When a server that sends a few bytes at a time, and then nothing more, does so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trickle {
    /// It never says that it has all of what it was sent.
    Upload,
    /// What it gives back.
    Download,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_trickles_and_then_stalls_is_given_up_in_time_and_nothing_here_is_removed() {
    const REQUEST_MAX: Duration = Duration::from_secs(3);
    const EVERY: Duration = Duration::from_millis(100);
    for when in [Trickle::Upload, Trickle::Download] {
        let trickled = Arc::<AtomicU64>::default();
        let counted = trickled.clone();
        let (address, serving) = serve(move |request: Request<hyper::body::Incoming>| {
            let counted = counted.clone();
            async move {
                let (head, body) = request.into_parts();
                to_bytes(Body::new(body), usize::MAX).await.expect("a body");
                let answer = Response::builder()
                    .header(header::ETAG, "\"yes\"")
                    .header(header::LAST_MODIFIED, "Sun, 22 Nov 2026 10:30:00 GMT");
                let uploads = head.method == Method::PUT;
                if uploads && when == Trickle::Download {
                    return answer.body(Body::empty()).expect("an answer");
                }
                // Ten times a few bytes of what was asked for, and then nothing for ever.
                let drops = futures_util::stream::unfold(0, move |sent| {
                    let counted = counted.clone();
                    async move {
                        tokio::time::sleep(EVERY).await;
                        if sent == 10 {
                            std::future::pending::<()>().await;
                        }
                        counted.fetch_add(1, Ordering::Relaxed);
                        Some((Ok::<_, Infallible>(Bytes::from_static(b"drip")), sent + 1))
                    }
                });
                let status = if uploads {
                    StatusCode::OK
                } else {
                    StatusCode::PARTIAL_CONTENT
                };
                answer
                    .status(status)
                    .header(header::CONTENT_LENGTH, 5_000)
                    .header(header::CONTENT_RANGE, "bytes 0-4999/5000")
                    .body(Body::from_stream(drops))
                    .expect("an answer")
            }
        })
        .await;
        let to = to_bucket(address, true);
        let world = World::new(&to);
        let program = file_of(world.folder.path(), ID).expect("an id");
        std::fs::write(&program, noise(5_000)).expect("written");
        let exporter = world.exporter_in(&to, REQUEST_MAX).expect("a client");
        let exporter = exporter.expect("a place");
        let start = tokio::time::Instant::now();
        // A request or two, and a machine that runs other tests.
        let sent = tokio::time::timeout(REQUEST_MAX * 6, exporter.work(soon(0))).await;
        sent.expect("it comes back").expect("a store");
        let (took, export) = (start.elapsed(), world.export());
        println!("{when:?}: {} after {took:?}", export.note);
        assert!(took >= REQUEST_MAX, "{when:?}: it was waited for, {took:?}");
        assert!(trickled.load(Ordering::Relaxed) >= 10, "{when:?}");
        assert!(world.is_here(), "{when:?}");
        assert_eq!(
            (export.state, export.tries, exporter.failed()),
            (ExportState::Waiting, 1, 1),
            "{when:?}"
        );
        serving.abort();
    }
}

/// How a server lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lie {
    None,
    /// One byte is another one.
    Bytes,
    /// It says that it has less.
    Size,
    /// It gives back less than it was asked for.
    Short,
    /// It gives back more, without an end.
    Endless,
    /// It gives back nothing at all.
    Gone,
}

/// Says yes to everything, and gives back what it likes.
async fn liar(lie: Lie) -> (SocketAddr, JoinHandle<()>) {
    let objects = Arc::<Mutex<BTreeMap<String, Bytes>>>::default();
    serve(move |request: Request<hyper::body::Incoming>| {
        let objects = objects.clone();
        async move {
            let (head, body) = request.into_parts();
            let name = head.uri.path().to_owned();
            let body = to_bytes(Body::new(body), usize::MAX).await.expect("a body");
            if head.method == Method::PUT {
                objects.lock().expect("no panic").insert(name, body);
                let answer = Response::builder().header(header::ETAG, "\"yes\"");
                return answer.body(Body::empty()).expect("an answer");
            }
            let found = objects.lock().expect("no panic").get(&name).cloned();
            let Some(found) = found.filter(|_| lie != Lie::Gone) else {
                return status(StatusCode::NOT_FOUND);
            };
            let size = found.len() - usize::from(lie == Lie::Size);
            let answer = Response::builder()
                .header(header::ETAG, "\"yes\"")
                .header(header::LAST_MODIFIED, "Sun, 22 Nov 2026 10:30:00 GMT");
            if head.method == Method::HEAD {
                let answer = answer.header(header::CONTENT_LENGTH, size);
                return answer.body(Body::empty()).expect("an answer");
            }
            let mut bytes = found.to_vec();
            match lie {
                Lie::Bytes => bytes[0] ^= 1,
                Lie::Short => bytes.truncate(size / 2),
                Lie::None | Lie::Size | Lie::Endless | Lie::Gone => {}
            }
            let end = bytes.len().max(1) - 1;
            let body = match lie {
                Lie::Endless => {
                    let again = futures_util::stream::repeat_with(move || {
                        Ok::<_, Infallible>(Bytes::from(bytes.clone()))
                    });
                    Body::from_stream(again)
                }
                _ => Body::from(bytes),
            };
            answer
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes 0-{end}/{size}"))
                .body(body)
                .expect("an answer")
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_is_found_out_before_anything_here_is_removed() {
    for lie in [
        Lie::None,
        Lie::Bytes,
        Lie::Size,
        Lie::Short,
        Lie::Endless,
        Lie::Gone,
    ] {
        let (address, serving) = liar(lie).await;
        let to = to_bucket(address, true);
        let world = World::new(&to);
        let program = file_of(world.folder.path(), ID).expect("an id");
        std::fs::write(&program, noise(5_000)).expect("written");
        let exporter = world.exporter(&to);
        exporter.work(soon(0)).await.expect("a store");
        if lie == Lie::None {
            assert!(!world.is_here(), "who does not lie is believed");
        } else {
            assert!(world.is_here(), "{lie:?}");
            let export = world.export();
            assert_eq!(
                (export.state, export.tries),
                (ExportState::Waiting, 1),
                "{lie:?}"
            );
            println!("{lie:?}: {}", export.note);
        }
        serving.abort();
    }
}
