use std::path::Path;
use std::process::Command;
use std::time::Instant;

use amphi_media::{Codec, MediaKind, MediaTime, Rid, Sample, Source};
use amphi_mux::{Output as Packaged, Rendition, Window, WindowConfig};
use amphi_room::{ProgramKind, Wish};
use amphi_studio::StageTrack;
use bytes::Bytes;

use super::*;
use crate::codec::film;
use crate::compose::Tools;
use crate::egress::record::file_of;
use crate::store::{self, SqliteStore};

/// What went live: a window for each time on air, and all pieces.
#[derive(Default)]
struct Studio {
    events: Mutex<Vec<String>>,
    windows: Mutex<Vec<Window>>,
    packaged: Mutex<Vec<Packaged>>,
    asked: Mutex<Vec<(String, TrackId)>>,
    failed: Mutex<Vec<(String, String)>>,
    expected: Mutex<Vec<u8>>,
    /// A room whose pieces make the origin panic.
    cursed: Option<&'static str>,
    /// Held by a test to keep programs from going on air, and so from everything else.
    gate: Mutex<()>,
}

impl Live for Studio {
    fn begin(&self, room: &str, window: WindowConfig) {
        held(&self.events).push(format!("begin {room}"));
        drop(held(&self.gate));
        held(&self.windows).push(Window::new(window));
    }

    fn expect(&self, _room: &str, rungs: u8) {
        held(&self.expected).push(rungs);
    }

    fn push(&self, room: &str, output: &Packaged) {
        assert!(
            self.cursed != Some(room) || !matches!(output, Packaged::Part(_)),
            "made to panic"
        );
        if let Some(window) = held(&self.windows).last_mut() {
            window.push(output);
        }
        held(&self.packaged).push(output.clone());
    }

    fn key_frame(&self, room: &str, picture: &Sample) {
        assert!(picture.key && picture.kind == MediaKind::Video, "{room}");
    }

    fn end(&self, room: &str) {
        held(&self.events).push(format!("end {room}"));
    }
}

impl Calls for Studio {
    fn request_key_frame(&self, room: &str, track: TrackId) {
        held(&self.asked).push((room.to_owned(), track));
    }

    fn want_size(&self, _: &str, _: TrackId, _: Option<VideoSize>) {}

    fn take_layers(&self, _: &str, _: TrackId, _: bool) {}

    fn program_failed(&self, room: &str, reason: &str) {
        held(&self.failed).push((room.to_owned(), reason.to_owned()));
    }
}

const ALL: store::Which = store::Which {
    room: None,
    unpublished_of: store::Unpublished::OfEveryRoom,
};

struct House {
    folder: tempfile::TempDir,
    studio: Arc<Studio>,
    store: Arc<SqliteStore>,
    programs: Programs,
}

impl House {
    fn new() -> Self {
        Self::of(Studio::default())
    }

    fn of(studio: Studio) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store =
            Arc::new(SqliteStore::open(&folder.path().join("amphi.db")).expect("a database"));
        let studio = Arc::new(studio);
        let config = Config {
            data_dir: folder.path().to_owned(),
            programs_max: 8,
            means: Means {
                tools: Tools {
                    program: "/nowhere".into(),
                    ffmpeg: None,
                    fonts: None,
                },
                logo: None,
                ladder: Vec::new(),
                frames_per_second: 30,
                carried: Carried::default(),
            },
            layers: true,
            opus: false,
            recordings: record::Plan::default(),
        };
        let programs = Programs::new(config, studio.clone(), store.clone());
        programs.connect(studio.clone());
        Self {
            folder,
            studio,
            store,
            programs,
        }
    }

    fn say(&self, output: Output) {
        assert!(
            self.programs.on_output(output).is_none(),
            "this concerns programs"
        );
    }

    fn start(&self, room: &str) {
        self.say(Output::StartProgram {
            room: room.to_owned(),
            wish: Wish {
                program: ProgramKind::Cut,
                ..Wish::default()
            },
        });
        for (track, kind, source, codec) in [
            (
                TrackId(1),
                MediaKind::Audio,
                Source::Microphone,
                Codec::Opus,
            ),
            (TrackId(2), MediaKind::Video, Source::Camera, Codec::H264),
        ] {
            self.input(
                room,
                Input::Track(StageTrack {
                    track,
                    member: MemberId(7),
                    member_name: "Ada".to_owned(),
                    kind,
                    source,
                    codec: Some(codec),
                    muted: false,
                }),
            );
        }
    }

    fn input(&self, room: &str, input: Input) {
        self.say(Output::Program {
            room: room.to_owned(),
            input,
        });
    }

    fn broadcast(&self, on: bool) {
        self.say(Output::Broadcast {
            room: "hall".to_owned(),
            on,
        });
    }

    fn record(&self, on: bool) {
        self.say(Output::Recording {
            room: "hall".to_owned(),
            on,
        });
    }

    fn stop(&self, room: &str) {
        self.say(Output::StopProgram {
            room: room.to_owned(),
        });
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn ready_recording(&self) -> store::Recording {
        let ready = |house: &Self| {
            let all = house.store.recordings(&ALL).expect("a store");
            all.into_iter()
                .find(|recording| recording.state == store::RecordingState::Ready)
        };
        self.wait_for("a closed recording", |house| ready(house).is_some());
        ready(self).expect("it was there")
    }
}

/// Ada's camera and her microphone with a tone of 440 Hz, as they come from the call.
struct Ada {
    pictures: Vec<(Bytes, bool)>,
    packets: Vec<Bytes>,
    start: Instant,
    shown: usize,
    said: usize,
}

impl Ada {
    fn new(seconds: u32) -> Self {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip)
            .expect("libopus");
        let packets = (0..seconds as usize * 50).map(|packet| {
            let sample = |n: usize| {
                0.25 * ((packet * 960 + n) as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin()
            };
            let pcm: Vec<f32> = (0..960).map(sample).collect();
            Bytes::from(encoder.encode_vec_float(&pcm, 1_500).expect("a packet"))
        });
        let packets = packets.collect();
        Self {
            pictures: film::pictures(seconds),
            packets,
            start: Instant::now(),
            shown: 0,
            said: 0,
        }
    }

    /// Sends what is due, in real time, until `ms` after the beginning.
    fn send_until(&mut self, house: &House, room: &str, ms: u64) {
        if self.said == 0 {
            self.start = Instant::now();
        }
        while self.start.elapsed() < Duration::from_millis(ms) {
            let passed_ms = self.start.elapsed().as_millis() as usize;
            while self.said * 20 < passed_ms {
                let data = self.packets[self.said].clone();
                self.send(
                    house,
                    room,
                    TrackId(1),
                    Codec::Opus,
                    self.said as i64 * 960,
                    true,
                    data,
                );
                self.said += 1;
            }
            while self.shown * 40 < passed_ms {
                let (data, key) = self.pictures[self.shown].clone();
                self.send(
                    house,
                    room,
                    TrackId(2),
                    Codec::H264,
                    self.shown as i64 * 3_600,
                    key,
                    data,
                );
                self.shown += 1;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a frame has that many parts")]
    fn send(
        &self,
        house: &House,
        room: &str,
        track: TrackId,
        codec: Codec,
        ticks: i64,
        key: bool,
        data: Bytes,
    ) {
        let time = MediaTime::new(ticks, codec.clock_rate());
        house.input(
            room,
            Input::Frame(Frame {
                track,
                codec,
                rid: Rid::NONE,
                rung: 0,
                lower: 0,
                time,
                arrived: Instant::now(),
                sender_time_us: Some(time.micros()),
                key,
                contiguous: true,
                size: None,
                data,
            }),
        );
    }
}

/// What ffprobe or ffmpeg prints, and nothing about errors.
fn run(program: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let done = Command::new(program)
        .args(["-v", "error"])
        .args(arguments.iter().take_while(|argument| **argument != "--"))
        .arg("-i")
        .arg(file)
        .args(
            arguments
                .iter()
                .skip_while(|argument| **argument != "--")
                .skip(1),
        )
        .output()
        .expect("the tests need ffmpeg: see ./test");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{program}");
    assert!(done.status.success());
    done.stdout
}

#[test]
fn a_program_goes_on_air_and_is_recorded_from_its_middle_on() {
    let house = House::new();
    let mut ada = Ada::new(6);
    house.start("hall");
    house.broadcast(true);
    let state = house.programs.state("hall").expect("a program");
    assert_eq!(
        (
            state.made.program,
            state.broadcasting.map(|live| live.on_air)
        ),
        ("cut", Some(false))
    );
    ada.send_until(&house, "hall", 1_800);
    let state = house.programs.state("hall").expect("a program");
    assert_eq!((state.on_air_member, state.note), (Some(MemberId(7)), None));
    assert!(state.broadcasting.is_some_and(|live| live.on_air));
    held(&house.studio.asked).clear();
    house.record(true);
    ada.send_until(&house, "hall", 1_900);
    assert_eq!(
        held(&house.studio.asked).first(),
        Some(&("hall".to_owned(), TrackId(2))),
        "so that the file begins soon"
    );
    let recording = house
        .programs
        .state("hall")
        .and_then(|state| state.recording)
        .expect("it is known at once");
    ada.send_until(&house, "hall", 5_500);
    house.record(false);
    house.broadcast(false);
    house.stop("hall");
    assert!(house.programs.state("hall").is_none());

    let ready = house.ready_recording();
    assert_eq!(
        (ready.id.as_str(), ready.room.as_str(), ready.gaps),
        (recording.id.as_str(), "hall", 0)
    );
    let file = file_of(house.folder.path(), &ready.id).expect("an id");
    let probe = run(
        "ffprobe",
        &[
            "-show_entries",
            "stream=codec_name,start_time:format=duration",
            "-of",
            "json",
        ],
        &file,
    );
    let probe: serde_json::Value = serde_json::from_slice(&probe).expect("JSON");
    let codecs: Vec<_> = probe["streams"]
        .as_array()
        .expect("streams")
        .iter()
        .map(|stream| &stream["codec_name"])
        .collect();
    assert_eq!(codecs, ["h264", "aac"]);
    let duration: f64 = probe["format"]["duration"]
        .as_str()
        .expect("a duration")
        .parse()
        .expect("seconds");
    assert!((1.5..4.2).contains(&duration), "{duration} s");
    assert!(
        (duration - ready.duration.as_secs_f64()).abs() < 0.1,
        "{duration} s and {:?}",
        ready.duration
    );
    run("ffmpeg", &["--", "-f", "null", "-"], &file);
    let heard = run(
        "ffmpeg",
        &["--", "-map", "0:a", "-f", "f32le", "-ac", "1", "-"],
        &file,
    );
    let pcm: Vec<f32> = heard
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")))
        .collect();
    let crossings = pcm[4_800..52_800]
        .windows(2)
        .filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0)
        .count();
    assert!((435..=445).contains(&crossings), "a tone of {crossings} Hz");

    house.wait_for("the end", |house| held(&house.studio.events).len() == 2);
    assert_eq!(*held(&house.studio.events), ["begin hall", "end hall"]);
    assert_eq!(*held(&house.studio.expected), [1], "one size, said once");
    let windows = held(&house.studio.windows);
    assert!(windows[0].ended() && windows[0].has_video());
    let playlist = windows[0].playlist(Rendition::Video).expect("a playlist");
    let playlist = String::from_utf8(playlist.to_vec()).expect("text");
    assert!(
        playlist.contains("#EXT-X-ENDLIST") && !playlist.contains("DISCONTINUITY\n"),
        "{playlist}"
    );
    let stats = house.programs.stats();
    assert_eq!(
        (
            stats.started,
            stats.failed,
            stats.frames_dropped,
            stats.recordings
        ),
        (1, 0, 0, 1)
    );
    assert!(stats.studio.pictures > 100 && stats.parts > 20, "{stats:?}");
    assert_eq!(stats.studio.packets_late, 0);
}

#[test]
fn recording_needs_no_broadcast_and_going_on_air_later_begins_with_a_segment() {
    let house = House::new();
    let mut ada = Ada::new(6);
    house.start("hall");
    house.record(true);
    ada.send_until(&house, "hall", 2_500);
    assert!(
        held(&house.studio.packaged).is_empty(),
        "nothing goes out before somebody says so"
    );
    house.broadcast(true);
    ada.send_until(&house, "hall", 5_500);
    house.stop("hall");
    house.wait_for("the end", |house| held(&house.studio.events).len() == 2);
    let packaged = held(&house.studio.packaged);
    let inits = packaged
        .iter()
        .take_while(|packaged| matches!(packaged, Packaged::Init(_)))
        .count();
    assert_eq!(inits, 2);
    let Some(Packaged::Part(first)) = packaged.get(inits) else {
        panic!("no part went out")
    };
    assert_eq!(
        (first.rendition, first.index, first.independent),
        (Rendition::Video, 0, true)
    );
    assert!(first.sequence > 0);
    let parts = packaged.iter().filter_map(|packaged| match packaged {
        Packaged::Part(part) => Some(part.sequence),
        _ => None,
    });
    assert_eq!(parts.min(), Some(first.sequence), "no sound from before");
    assert_eq!(packaged.last(), Some(&Packaged::End));
    assert!(house.ready_recording().duration > Duration::from_secs(4));
}

#[test]
fn a_program_that_panics_says_so_and_leaves_the_others_alone() {
    let house = House::of(Studio {
        cursed: Some("cursed"),
        ..Studio::default()
    });
    let mut ada = Ada::new(4);
    house.start("cursed");
    house.start("hall");
    house.say(Output::Broadcast {
        room: "cursed".to_owned(),
        on: true,
    });
    house.say(Output::Recording {
        room: "cursed".to_owned(),
        on: true,
    });
    ada.send_until(&house, "cursed", 1_500);
    house.wait_for("a reason", |house| !held(&house.studio.failed).is_empty());
    let failed = held(&house.studio.failed)[0].clone();
    assert_eq!(
        failed,
        (
            "cursed".to_owned(),
            "The program broke by an error of the server.".to_owned()
        )
    );
    assert_eq!(*held(&house.studio.events), ["begin cursed", "end cursed"]);
    // Frames for it are still handed in until the call has heard of it.
    house.stop("cursed");
    house.broadcast(true);
    let mut bo = Ada::new(3);
    bo.send_until(&house, "hall", 2_000);
    assert!(
        house
            .programs
            .state("hall")
            .and_then(|state| state.broadcasting)
            .is_some_and(|live| live.on_air)
    );
    assert_eq!(house.programs.stats().failed, 1);
}

#[test]
fn a_room_that_starts_again_at_once_begins_after_its_former_program_has_ended() {
    let house = House::new();
    for _ in 0..5 {
        house.start("hall");
        house.broadcast(true);
        house.stop("hall");
    }
    house.wait_for("five ends", |house| held(&house.studio.events).len() == 10);
    assert_eq!(
        *held(&house.studio.events),
        ["begin hall", "end hall"].repeat(5)
    );
    let epochs: BTreeSet<u64> = (0..100).map(|_| house.programs.next_epoch()).collect();
    assert_eq!(epochs.len(), 100, "no epoch comes twice");
}

#[test]
fn closing_finishes_recordings_and_takes_no_new_programs() {
    let house = House::new();
    let mut ada = Ada::new(4);
    house.start("hall");
    house.record(true);
    ada.send_until(&house, "hall", 2_500);
    house.programs.close();
    let recordings = house.store.recordings(&ALL).expect("a store");
    assert_eq!(recordings.len(), 1);
    assert_eq!(recordings[0].state, store::RecordingState::Ready);
    house.start("hall");
    assert!(house.programs.state("hall").is_none());
}

#[test]
fn a_switch_is_not_lost_while_a_program_is_busy_and_everybody_talks() {
    let house = House::new();
    let busy = held(&house.studio.gate);
    house.start("hall");
    house.broadcast(true);
    house.wait_for("a busy program", |house| {
        !held(&house.studio.events).is_empty()
    });
    for _ in 0..3_000 {
        house.input("hall", Input::Speakers(vec![(TrackId(1), 0.5)]));
    }
    house.broadcast(false);
    house.record(true);
    assert_eq!(house.programs.stats().inputs_dropped, 0);
    drop(busy);
    house.wait_for("the end", |house| held(&house.studio.events).len() == 2);
    let mut ada = Ada::new(3);
    ada.send_until(&house, "hall", 2_500);
    house.record(false);
    assert!(house.ready_recording().duration > Duration::from_secs(1));
}

#[test]
fn a_program_that_never_looks_at_its_stage_is_given_up_in_words() {
    let house = House::new();
    let stuck = held(&house.studio.gate);
    house.start("hall");
    house.broadcast(true);
    house.wait_for("a stuck program", |house| {
        !held(&house.studio.events).is_empty()
    });
    for track in 0..5_000 {
        let track = TrackId(track);
        house.input("hall", Input::TrackGone { track });
    }
    let failed = held(&house.studio.failed).clone();
    let reason = "The program hung by an error of the server.".to_owned();
    assert_eq!(failed, [("hall".to_owned(), reason)]);
    assert!(house.programs.state("hall").is_none());
    let stats = house.programs.stats();
    assert_eq!((stats.failed, stats.inputs_dropped), (1, 1));
    drop(stuck);
    house.wait_for("the end", |house| held(&house.studio.events).len() == 2);
}

#[test]
fn a_place_is_kept_for_who_is_about_to_start_and_beyond_them_all_is_refused_in_words() {
    let house = House::new();
    for room in 0..7 {
        house.start(&format!("room-{room}"));
    }
    let last = house.programs.keep_place("hall").expect("the eighth");
    assert!(house.programs.keep_place("late").is_none());
    house.start("late");
    let refused = ("late".to_owned(), NO_PLACE.to_owned());
    assert_eq!(*held(&house.studio.failed), [refused]);
    house.start("hall");
    drop(last);
    assert!(house.programs.state("hall").is_some());
    assert!(
        house.programs.keep_place("late").is_none(),
        "its program has the place that was kept"
    );
    assert!(
        house.programs.keep_place("hall").is_some(),
        "a room that has one needs no other"
    );
    house.stop("room-0");
    house.wait_for("a free place", |house| {
        house.programs.keep_place("late").is_some()
    });
    house.start("late");
    let stats = house.programs.stats();
    assert_eq!((stats.running, stats.failed), (8, 0));
    assert!(stats.refused >= 3);
}

#[test]
fn outputs_that_concern_no_program_are_given_back() {
    let house = House::new();
    let other = Output::RoomOpened {
        room: "hall".to_owned(),
    };
    assert!(matches!(
        house.programs.on_output(other),
        Some(Output::RoomOpened { .. })
    ));
    // Of a room without a program: nothing happens.
    house.broadcast(true);
    house.record(true);
    house.stop("hall");
    assert!(house.programs.state("hall").is_none());
}

#[test]
fn frames_that_do_not_fit_are_dropped_up_to_the_next_key_frame() {
    let (post, _letters) = post::post();
    let (frames, queue) = crossbeam_channel::bounded(2);
    let state = State {
        program: ProgramState {
            wish: Wish::default(),
            made: Made::default(),
            composer: None,
            on_air_member: None,
            note: None,
            started: SystemTime::now(),
            broadcasting: None,
            recording: None,
        },
        counters: amphi_studio::Counters::default(),
        easel: EaselStats::default(),
        parts: 0,
        captions: 0,
        captions_overflowed: 0,
        captions_unread: 0,
    };
    let mut running = Running {
        post,
        frames,
        dropping: BTreeSet::new(),
        state: Arc::new(Mutex::new(state)),
        thread: std::thread::spawn(|| ()),
    };
    let frame = |track, key| Frame {
        track: TrackId(track),
        codec: Codec::H264,
        rid: Rid::NONE,
        rung: 0,
        lower: 0,
        time: MediaTime::new(0, 90_000),
        arrived: Instant::now(),
        sender_time_us: None,
        key,
        contiguous: true,
        size: None,
        data: Bytes::new(),
    };
    let dropped: Vec<bool> = (0..4)
        .map(|n| running.take_frame(frame(1, n == 0)))
        .collect();
    assert_eq!(dropped, [false, false, true, true]);
    while queue.try_recv().is_ok() {}
    assert!(
        running.take_frame(frame(1, false)),
        "a picture that needs those before it"
    );
    assert!(
        !running.take_frame(frame(2, false)),
        "another track goes on"
    );
    assert!(!running.take_frame(frame(1, true)));
    assert!(running.take_frame(frame(1, false)), "full again");
}
