//! Whole programs through packager and window, watched by a player that shares no code with them and knows the rules
//! of RFC 8216bis. Time is given: a picture comes when it is shown, sound a quarter of a second later.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use amphi_media::{MediaKind, Sample};
use amphi_mux::{Found, Order, Output, Packager, Presence, Rendition, Window};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use player::{Answer, Config, Counters, Input, Mode, Player, Request, Violation};

use crate::captions::{Said, say};
use crate::program::*;
use crate::window::window;

const TICK_MS: u64 = 20;
/// How much later than the picture the sound of the same moment comes.
const SOUND_DELAY_MS: u64 = 250;
/// How long a request waits.
const WAIT_MS: u64 = 12_000;

/// How a broadcast ends.
#[derive(Clone, Copy)]
pub enum Ends {
    /// With the program: the last part is put out.
    WithTheProgram,
    /// It is switched off, and the program goes on for somebody else.
    OffAir,
}

struct Seen {
    violations: Vec<Violation>,
    counters: Counters,
    ended: bool,
}

/// A broadcast in the making, and who waits for it.
struct Broadcast {
    window: Window,
    /// Segments that the window asked to be kept.
    kept: BTreeMap<String, Bytes>,
    waiting: Vec<(Request, u64)>,
}

impl Broadcast {
    fn push(&mut self, output: &Output) {
        self.window.push(output);
        while let Some(order) = self.window.poll() {
            match order {
                Order::Keep { name, bytes } => {
                    assert!(self.window.kept(&name), "{name} is of use");
                    self.kept.insert(name, bytes);
                }
                Order::Forget { name } => {
                    assert!(self.kept.remove(&name).is_some(), "{name} was kept");
                }
            }
        }
    }

    /// The answer, when there is one.
    fn answer(&self, request: &Request, since_ms: u64, now_ms: u64) -> Option<Answer> {
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let file = path.rsplit('/').next().expect("a name");
        let late = || (now_ms >= since_ms + WAIT_MS).then(|| refused(503));
        if file == "index.m3u8" {
            let index = self.window.multivariant();
            return index.map(|text| answered(text, "no-store", request));
        }
        let Some(rendition) = Rendition::of_playlist(file) else {
            return match self.window.resource(file) {
                Found::Init(bytes) | Found::Media(bytes) => {
                    Some(answered(bytes, "max-age=3600, immutable", request))
                }
                Found::Kept(name) => {
                    let bytes = self.kept.get(&name).expect("what is said to be kept is");
                    Some(answered(bytes.clone(), "max-age=3600, immutable", request))
                }
                Found::NotYet => late(),
                Found::Gone => Some(refused(410)),
                Found::Unknown => Some(refused(404)),
            };
        };
        let number = |name: &str| {
            let found = query.split('&').find_map(|one| one.strip_prefix(name));
            found.map(|value| value.parse().expect("a number"))
        };
        let (msn, part) = (number("_HLS_msn="), number("_HLS_part="));
        let presence = match (msn, part) {
            (None, Some(_)) => return Some(refused(400)),
            (None, None) => Presence::Ready,
            (Some(msn), part) => {
                let part = part.map(|part| u32::try_from(part).expect("a part"));
                self.window.contains(rendition, msn, part)
            }
        };
        let playlist = if query.split('&').any(|one| one == "_HLS_skip=YES") {
            self.window.delta_update(rendition)
        } else {
            self.window.playlist(rendition)
        };
        match (presence, playlist) {
            (Presence::TooFar, _) => Some(refused(400)),
            (Presence::Ready, Some(text)) => Some(answered(text, "no-cache", request)),
            (Presence::Ready, None) | (Presence::NotYet, _) => late(),
        }
    }
}

fn refused(status: u16) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

/// With what the shell says of everything: what it says itself is judged by its own tests.
fn answered(body: Bytes, cache: &str, request: &Request) -> Answer {
    let text = body.starts_with(b"#EXTM3U");
    let content = match text {
        true => "application/vnd.apple.mpegurl",
        false if body.starts_with(b"WEBVTT") => "text/vtt",
        false => "video/mp4",
    };
    let mut headers = vec![
        ("content-type", content),
        ("cache-control", cache),
        ("access-control-allow-origin", "*"),
    ];
    let mut body = body;
    if request.gzip {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(&body).expect("into memory");
        body = packer.finish().expect("into memory").into();
        headers.push(("content-encoding", "gzip"));
    }
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Answer {
        status: 200,
        headers: headers.into_iter().map(owned).collect(),
        body,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a first instant to count from; tests add to it"
)]
fn first_instant() -> Instant {
    Instant::now()
}

/// Plays the program to a player that comes `joins_ms` after it began.
fn watch(
    program: &[Sample],
    said: &[Said<'_>],
    window: Window,
    ends: Ends,
    mode: Mode,
    joins_ms: u64,
) -> Seen {
    let mut said = said.iter().peekable();
    let zero = first_instant();
    let mut coming: BTreeMap<(u64, usize), &Sample> = BTreeMap::new();
    for (index, sample) in program.iter().enumerate() {
        let at_ms = (sample.time.seconds() * 1e3) as u64;
        let delay_ms = match sample.kind {
            MediaKind::Audio => SOUND_DELAY_MS,
            MediaKind::Video => 0,
        };
        coming.insert((at_ms + delay_ms, index), sample);
    }
    let mut packager = Packager::new(config_of(program));
    let mut broadcast = Broadcast {
        window,
        kept: BTreeMap::new(),
        waiting: Vec::new(),
    };
    let mut player: Option<Player> = None;
    let mut seen = Seen {
        violations: Vec::new(),
        counters: Counters::default(),
        ended: false,
    };
    let end_ms = coming.keys().next_back().expect("a program").0;
    for tick in 0..(end_ms + 30_000) / TICK_MS {
        let now_ms = tick * TICK_MS;
        let now = zero + Duration::from_millis(now_ms);
        while let Some(entry) = coming.first_entry()
            && entry.key().0 <= now_ms
        {
            say(&mut packager, &mut said, now_ms as f64 / 1e3);
            packager.push(entry.remove());
            if coming.is_empty() && matches!(ends, Ends::WithTheProgram) {
                packager.end();
            }
            while let Some(output) = packager.poll() {
                broadcast.push(&output);
            }
            if coming.is_empty() && matches!(ends, Ends::OffAir) {
                broadcast.push(&Output::End);
            }
        }
        if now_ms < joins_ms {
            continue;
        }
        let player = player
            .get_or_insert_with(|| Player::new(now, Config::new("/hls/hall/index.m3u8", mode)));
        if player.poll_timeout().is_some_and(|at| at <= now) {
            player.handle_input(now, Input::Timeout);
        }
        loop {
            while let Some(output) = player.poll_output() {
                match output {
                    player::Output::Request(request) => broadcast.waiting.push((request, now_ms)),
                    player::Output::Violation(violation) => seen.violations.push(violation),
                    player::Output::Ended => seen.ended = true,
                }
            }
            let mut answers = broadcast.waiting.iter().enumerate();
            let ready = answers.find_map(|(place, (request, since_ms))| {
                let answer = broadcast.answer(request, *since_ms, now_ms)?;
                Some((place, answer))
            });
            let Some((place, answer)) = ready else { break };
            let (request, _) = broadcast.waiting.remove(place);
            let id = request.id;
            player.handle_input(now, Input::Answered { id, answer });
        }
        seen.counters = player.counters();
        if seen.ended {
            break;
        }
    }
    seen
}

/// No player sees a rule broken.
#[track_caller]
pub fn conforms(what: &str, program: &[Sample], ends: Ends) -> [Counters; 2] {
    conforms_in(what, window, program, ends)
}

/// The same in a window of another kind.
#[track_caller]
pub fn conforms_in(
    what: &str,
    window: impl Fn() -> Window,
    program: &[Sample],
    ends: Ends,
) -> [Counters; 2] {
    conforms_saying(what, window, program, &[], ends)
}

/// The same with captions.
#[track_caller]
pub fn conforms_saying(
    what: &str,
    window: impl Fn() -> Window,
    program: &[Sample],
    said: &[Said<'_>],
    ends: Ends,
) -> [Counters; 2] {
    [Mode::LowLatency, Mode::Plain].map(|mode| {
        // A program that begins with sound gets its picture within two seconds, or has none.
        let seen = watch(program, said, window(), ends, mode, 3_000);
        let words: Vec<String> = seen.violations.iter().map(ToString::to_string).collect();
        assert!(
            words.is_empty() && seen.ended,
            "{what}, {mode:?}:\n{}\n{:?}",
            words.join("\n"),
            seen.counters
        );
        seen.counters
    })
}

#[test]
fn a_call_conforms_while_its_window_slides() {
    let program = plain(64.0);
    let [low_latency, simple] = conforms("a call", &program, Ends::WithTheProgram);
    assert!(
        low_latency.hinted > 300 && low_latency.compared > 40,
        "{low_latency:?}"
    );
    assert!(low_latency.again >= 8 && simple.again >= 4, "{simple:?}");
}

#[test]
fn a_broadcast_that_is_switched_off_conforms_wherever_that_is() {
    for parts in 0..8 {
        let program = plain(9.0 + f64::from(parts) * 0.29);
        conforms(&format!("{parts}"), &program, Ends::OffAir);
        conforms(&format!("{parts}"), &program, Ends::WithTheProgram);
    }
}

#[test]
fn cuts_between_sources_conform() {
    let mut shots = Vec::new();
    let mut start = 0.0;
    for (index, stream) in [CAMERA, SCREEN, CABAC]
        .into_iter()
        .cycle()
        .take(12)
        .enumerate()
    {
        let seconds = [3.1, 4.7, 0.9][index % 3];
        shots.push(cut(shot(stream, start, 30.0, (seconds * 30.0) as usize)));
        start += seconds;
    }
    shots.push(sound(0.0, start));
    let [low_latency, _] = conforms("cuts", &together(&shots), Ends::WithTheProgram);
    assert!(low_latency.discontinuities >= 20, "{low_latency:?}");
}

#[test]
fn a_size_that_changes_with_every_picture_conforms() {
    let keys = [CAMERA, SCREEN].map(|stream| pictures(stream)[0].clone());
    let restless =
        (0..240).map(|index| video(f64::from(index) / 30.0, keys[index as usize % 2].clone()));
    let samples = together(&[
        restless.collect(),
        shot(CAMERA, 8.0, 30.0, 120),
        sound(0.0, 12.0),
    ]);
    conforms("restless", &samples, Ends::WithTheProgram);
}

#[test]
fn pictures_that_stall_or_come_seldom_conform() {
    let mut stalled = shot(CAMERA, 0.0, 30.0, 900);
    stalled.retain(|sample| !(7.3..11.9).contains(&sample.time.seconds()));
    let program = together(&[stalled, sound(0.0, 30.0)]);
    conforms("a stall", &program, Ends::WithTheProgram);
    let screen = together(&[shot(SCREEN, 0.0, 1.0, 30), sound(0.0, 30.0)]);
    conforms("a screen", &screen, Ends::WithTheProgram);
}

#[test]
fn sound_alone_conforms() {
    conforms("sound", &sound(0.0, 30.0), Ends::WithTheProgram);
}

#[test]
fn a_picture_that_comes_later_conforms() {
    let program = together(&[shot(CAMERA, 6.0, 30.0, 720), sound(0.0, 30.0)]);
    conforms("a later picture", &program, Ends::WithTheProgram);
}

/// Shots of any source, length and rate, with pictures that come a little early or late.
fn anything(seed: u64) -> Vec<Sample> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: u64| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    };
    let (mut shots, mut start) = (Vec::new(), 0.0);
    while start < 40.0 {
        let stream = [CAMERA, SCREEN, CABAC][roll(3) as usize];
        let fps = [5.0, 15.0, 25.0, 30.0][roll(4) as usize];
        let seconds = 0.4 + roll(56) as f64 / 10.0;
        let count = ((seconds * fps) as usize).max(1);
        let mut pictures = cut(shot(stream, start, fps, count));
        for picture in &mut pictures[1..] {
            let early = roll(1_000) as i64 - 500;
            picture.time.ticks += early * 90 / 100;
        }
        if roll(3) == 0 {
            let (from, to) = (start + seconds * 0.4, start + seconds * 0.8);
            pictures.retain(|sample| !(from..to).contains(&sample.time.seconds()));
        }
        shots.push(pictures);
        start += seconds;
    }
    shots.push(sound(0.0, start));
    if roll(2) == 0 {
        shots.push(opus(0.0, start));
    }
    together(&shots)
}

#[test]
fn whatever_is_shown_conforms() {
    for seed in 1..=4 {
        let ends = [Ends::WithTheProgram, Ends::OffAir][seed as usize % 2];
        conforms(&format!("seed {seed}"), &anything(seed), ends);
    }
}
