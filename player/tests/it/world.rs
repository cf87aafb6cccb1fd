//! A server in memory that serves one good session, and lets a test break one thing of it. Boxes and playlists are
//! written here by hand, so that the player is not held against its own reading.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use player::{
    Answer, Beginning, Config, Counters, Input, Mode, Output, Player, Request, Rule, Violation,
};

const TICK_MS: u64 = 50;

pub struct World {
    pub video: Rendition,
    pub sound: Rendition,
    /// The same picture as another variant.
    pub lower: Option<Rendition>,
    /// What is said in it.
    pub captions: Option<Rendition>,
    /// When EXT-X-ENDLIST comes.
    pub end_ms: u64,
    /// How much is listed, and how much of it with parts.
    pub window_ms: u64,
    pub parts_ms: u64,
    /// Whether requests for what is not there yet wait.
    pub blocks: bool,
    /// Whether there are delta updates.
    pub skips: bool,
    pub holds_hints: bool,
    pub packs: Packs,
    pub hooks: Vec<fn(&Ask, &mut Reply)>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Packs {
    ForWhoTakesIt,
    Always,
}

#[derive(Clone)]
pub struct Rendition {
    pub letter: char,
    /// Per millisecond.
    pub ticks: u64,
    pub segments: Vec<Segment>,
}

#[derive(Clone)]
pub struct Segment {
    pub number: u64,
    pub discontinuity: u64,
    pub cut: bool,
    pub gap: bool,
    pub date_ms: u64,
    pub extinf_ms: u64,
    pub parts: Vec<Part>,
}

#[derive(Clone)]
pub struct Part {
    /// Its first sample, on the programme's clock.
    pub time_ms: u64,
    pub ms: u64,
    pub listed_ms: u64,
    /// When it is there.
    pub at_ms: u64,
    pub independent: bool,
    pub sync: bool,
}

/// What is asked for.
pub struct Ask {
    /// Last component of the path.
    pub file: String,
    pub number: Option<u64>,
    pub part: Option<u64>,
    pub skip: bool,
    pub now_ms: u64,
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Not to be sent yet.
    pub held: bool,
}

impl Reply {
    /// Changes the text of a playlist.
    pub fn edit(&mut self, change: impl FnOnce(String) -> String) {
        let text = String::from_utf8(std::mem::take(&mut self.body)).expect("text");
        self.body = change(text).into_bytes();
    }

    pub fn replace(&mut self, old: &str, new: &str) {
        self.edit(|text| text.replace(old, new));
    }

    pub fn header(&mut self, name: &str, value: Option<&str>) {
        self.headers.retain(|(known, _)| known != name);
        if let Some(value) = value {
            self.headers.push((name.into(), value.into()));
        }
    }
}

/// What a player made of a session.
pub struct Seen {
    pub violations: Vec<Violation>,
    pub counters: Counters,
    pub beginning: Option<Beginning>,
    pub ended: bool,
    pub urls: Vec<String>,
}

impl Seen {
    pub fn rules(&self) -> BTreeSet<Rule> {
        self.violations.iter().map(|one| one.rule).collect()
    }

    pub fn words(&self) -> String {
        let words: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        format!("{}\n{:?}", words.join("\n"), self.counters)
    }
}

impl World {
    /// Twenty seconds of ten segments of four parts; a cut at eight seconds, no picture from 14 to 16.
    pub fn good() -> Self {
        Self::of(&[&[500; 4][..]; 10])
    }

    /// Segments of parts that last so long.
    pub fn of(segments: &[&[u64]]) -> Self {
        let end_ms = segments.iter().map(|parts| parts.iter().sum::<u64>()).sum();
        Self {
            video: Rendition::new('v', 90, segments),
            sound: Rendition::new('a', 48, segments),
            lower: None,
            captions: None,
            end_ms,
            window_ms: 8_000,
            parts_ms: 6_000,
            blocks: true,
            skips: false,
            holds_hints: true,
            packs: Packs::ForWhoTakesIt,
            hooks: Vec::new(),
        }
    }

    /// Of two variants, the second one in segments of parts that last so long.
    pub fn ladder(segments: &[&[u64]]) -> Self {
        Self {
            lower: Some(Rendition::new('w', 90, segments)),
            ..Self::good()
        }
    }

    /// With captions.
    pub fn captioned() -> Self {
        let mut world = Self::good();
        world.add_captions();
        world
    }

    pub fn add_captions(&mut self) {
        self.captions = Some(Rendition::new('c', 48, &[&[500; 4][..]; 10]));
    }

    /// With delta updates, and long enough for them.
    pub fn long() -> Self {
        Self {
            window_ms: 18_000,
            skips: true,
            ..Self::good()
        }
    }

    fn renditions(&self) -> impl Iterator<Item = &Rendition> {
        let both = [&self.video, &self.sound].into_iter();
        both.chain(&self.lower).chain(&self.captions)
    }

    pub fn both(&mut self) -> [&mut Rendition; 2] {
        [&mut self.video, &mut self.sound]
    }

    /// Everything from part `index` of segment `number` on comes so much later.
    pub fn delay(&mut self, number: usize, index: usize, ms: u64) {
        self.end_ms += ms;
        for rendition in self.both() {
            for segment in &mut rendition.segments[number..] {
                let from = if segment.number == number as u64 {
                    index
                } else {
                    0
                };
                for part in &mut segment.parts[from..] {
                    part.at_ms += ms;
                }
            }
        }
    }

    pub fn hook(&mut self, hook: fn(&Ask, &mut Reply)) {
        self.hooks.push(hook);
    }

    /// Lets a player watch all of it.
    pub fn watch(&self, mode: Mode) -> Seen {
        let zero = Instant::now();
        let mut player = Player::new(zero, Config::new("/hls/hall/index.m3u8", mode));
        let mut pending: Vec<Request> = Vec::new();
        let mut seen = Seen {
            violations: Vec::new(),
            counters: Counters::default(),
            beginning: None,
            ended: false,
            urls: Vec::new(),
        };
        for tick in 0..2 * self.end_ms / TICK_MS {
            let now_ms = tick * TICK_MS;
            let now = zero + Duration::from_millis(now_ms);
            if player.poll_timeout().is_some_and(|at| at <= now) {
                player.handle_input(now, Input::Timeout);
            }
            loop {
                while let Some(output) = player.poll_output() {
                    match output {
                        Output::Request(request) => {
                            seen.urls.push(request.url.clone());
                            pending.push(request);
                        }
                        Output::Violation(violation) => seen.violations.push(violation),
                        Output::Ended => seen.ended = true,
                    }
                }
                let ready = pending
                    .iter()
                    .position(|request| self.answer(request, now_ms).is_some());
                let Some(place) = ready else { break };
                let request = pending.remove(place);
                let answer = self.answer(&request, now_ms).expect("it is ready");
                let id = request.id;
                player.handle_input(now, Input::Answered { id, answer });
            }
            if seen.ended {
                break;
            }
        }
        seen.counters = player.counters();
        seen.beginning = player.beginning();
        seen
    }

    fn answer(&self, request: &Request, now_ms: u64) -> Option<Answer> {
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let number = |name: &str| {
            let found = query.split('&').find_map(|one| one.strip_prefix(name));
            found.and_then(|value| value.parse().ok())
        };
        let ask = Ask {
            file: path.rsplit('/').next().expect("a name").to_owned(),
            number: number("_HLS_msn="),
            part: number("_HLS_part="),
            skip: query.split('&').any(|one| one == "_HLS_skip=YES"),
            now_ms,
        };
        let mut reply = self.reply(&ask);
        for hook in &self.hooks {
            hook(&ask, &mut reply);
        }
        if reply.held {
            return None;
        }
        let playlist = ask.file.ends_with(".m3u8");
        if playlist && (request.gzip || self.packs == Packs::Always) {
            use std::io::Write as _;
            let mut packer =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(&reply.body).expect("into memory");
            reply.body = packer.finish().expect("into memory");
            reply.header("content-encoding", Some("gzip"));
        }
        Some(Answer {
            status: reply.status,
            headers: reply.headers,
            body: Bytes::from(reply.body),
        })
    }

    fn reply(&self, ask: &Ask) -> Reply {
        let mut reply = Reply {
            status: 404,
            headers: vec![("access-control-allow-origin".into(), "*".into())],
            body: Vec::new(),
            held: false,
        };
        if ask.file == "index.m3u8" {
            reply.text(self.index(ask.now_ms), "no-store");
            // Before there is anything there is nothing to say.
            reply.held = ask.now_ms < 500;
            return reply;
        }
        for rendition in self.renditions() {
            if ask.file == rendition.playlist_name() {
                self.playlist_reply(rendition, ask, &mut reply);
            } else if ask.file.starts_with(rendition.letter) {
                self.media_reply(rendition, ask, &mut reply);
            }
        }
        reply
    }

    fn playlist_reply(&self, rendition: &Rendition, ask: &Ask, reply: &mut Reply) {
        let ended = ask.now_ms >= self.end_ms;
        let (number, index) = rendition.next(ask.now_ms);
        let cache = if ask.number.is_some() {
            "public, max-age=4"
        } else {
            "no-cache"
        };
        reply.text(self.playlist(rendition, ask), cache);
        match (ask.number, ask.part) {
            _ if ended => {}
            (None, Some(_)) => reply.status = 400,
            (None, None) => {}
            (Some(asked), part) => {
                let far = asked > number + 2 || asked == number && part > Some(index + 6);
                if far {
                    reply.status = 400;
                }
                let there = match part {
                    Some(part) => (asked, part) < (number, index),
                    None => asked < number,
                };
                reply.held = !far && !there && self.blocks;
            }
        }
    }

    fn media_reply(&self, rendition: &Rendition, ask: &Ask, reply: &mut Reply) {
        let sound = rendition.letter == 'a';
        let content = match rendition.letter {
            'a' => "audio/mp4",
            'c' => "text/vtt; charset=utf-8",
            _ => "video/mp4",
        };
        reply.header("content-type", Some(content));
        reply.header("cache-control", Some("public, max-age=3600, immutable"));
        for generation in 0..2 {
            let has_init = rendition.letter != 'c';
            if has_init && ask.file == format!("{}-init{generation}.mp4", rendition.letter) {
                reply.status = 200;
                reply.body = init(sound, generation);
            }
        }
        // Promised, and never made.
        let next = rendition.part_name(rendition.segments.len() as u64, 0);
        reply.held = ask.file == next && ask.now_ms < self.end_ms;
        for segment in rendition.segments.iter().filter(|segment| !segment.gap) {
            for (part, index) in segment.parts.iter().zip(0..) {
                if ask.file != rendition.part_name(segment.number, index) {
                    continue;
                }
                if part.at_ms <= ask.now_ms {
                    reply.status = 200;
                    reply.body = rendition.part_bytes(segment, index);
                } else {
                    let hinted = rendition.next(ask.now_ms) == (segment.number, index);
                    reply.held = hinted && self.holds_hints;
                }
            }
            let complete = segment.parts.iter().all(|part| part.at_ms <= ask.now_ms);
            if complete && ask.file == rendition.segment_name(segment.number) {
                let count = segment.parts.len() as u64;
                let parts = (0..count).map(|index| rendition.part_bytes(segment, index));
                reply.status = 200;
                reply.body = match rendition.letter {
                    'c' => text(segment.parts[0].time_ms, segment.extinf_ms),
                    _ => parts.collect::<Vec<_>>().concat(),
                };
            }
        }
    }

    fn index(&self, now_ms: u64) -> String {
        let first = self.video.first_listed(now_ms, self.window_ms);
        let there = self.video.there(now_ms);
        let mut generations: Vec<u64> = there
            .iter()
            .filter(|(segment, _)| segment.number >= first)
            .map(|(segment, _)| segment.discontinuity)
            .collect();
        generations.dedup();
        let codecs: Vec<&str> = generations
            .iter()
            .map(|generation| {
                if *generation == 0 {
                    "avc1.42c00c"
                } else {
                    "avc1.42c01f"
                }
            })
            .collect();
        let size = match generations.last() {
            Some(1) => "1280x720",
            _ => "320x180",
        };
        let mut out = "#EXTM3U\n#EXT-X-VERSION:8\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"mix\",NAME=\"Mix\",DEFAULT=YES,URI=\"audio.m3u8?v=1\"\n"
            .to_owned();
        let mut subtitles = "";
        if self.captions.is_some() {
            subtitles = ",SUBTITLES=\"text\"";
            out += "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"text\",NAME=\"Text\",URI=\"captions.m3u8?v=1\"\n";
        }
        let variants = self
            .renditions()
            .filter(|one| !['a', 'c'].contains(&one.letter));
        for rendition in variants {
            out += &format!(
                "#EXT-X-STREAM-INF:BANDWIDTH=40000,AVERAGE-BANDWIDTH=30000,CODECS=\"{},mp4a.40.2\",\
                 RESOLUTION={size},FRAME-RATE=10.000,AUDIO=\"mix\"{subtitles}\n{}?v=1\n",
                codecs.join(","),
                rendition.playlist_name()
            );
        }
        out
    }

    fn playlist(&self, rendition: &Rendition, ask: &Ask) -> String {
        let now_ms = ask.now_ms;
        let first = rendition.first_listed(now_ms, self.window_ms);
        let there = rendition.there(now_ms);
        let end_ms = there.last().map_or(0, |(_, part)| part.time_ms + part.ms);
        let generation = rendition.segments[first as usize].discontinuity;
        let (version, until) = match self.skips {
            true => (9, ",CAN-SKIP-UNTIL=12.0"),
            false => (8, ""),
        };
        let mut out = format!(
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:2\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=2.000,HOLD-BACK=6.0{until}\n\
             #EXT-X-PART-INF:PART-TARGET=0.500\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{generation}\n"
        );
        if ['a', 'c'].contains(&rendition.letter) {
            out += "#EXT-X-INDEPENDENT-SEGMENTS\n";
        }
        let mut map = None;
        let old = |segment: &&Segment| {
            let last = segment.parts.last().expect("parts");
            last.time_ms + last.ms + 12_000 <= end_ms
        };
        let listed = &rendition.segments[first as usize..];
        let skipped = listed.iter().filter(old).count() * usize::from(self.skips && ask.skip);
        if skipped > 0 {
            out += &format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n");
        }
        for segment in &listed[skipped..] {
            let parts: Vec<&Part> = segment
                .parts
                .iter()
                .filter(|part| part.at_ms <= now_ms)
                .collect();
            if parts.is_empty() {
                break;
            }
            if segment.cut && segment.number != first {
                out += "#EXT-X-DISCONTINUITY\n";
            }
            if (map != Some(segment.discontinuity) || segment.cut) && rendition.letter != 'c' {
                map = Some(segment.discontinuity);
                out += &format!(
                    "#EXT-X-MAP:URI=\"{}-init{}.mp4\"\n",
                    rendition.letter, segment.discontinuity
                );
            }
            let date = segment.date_ms;
            out += &format!(
                "#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:00:{:02}.{:03}Z\n",
                date / 1_000,
                date % 1_000
            );
            let last = segment.parts.last().expect("parts");
            let after_ms = end_ms.saturating_sub(last.time_ms + last.ms);
            if after_ms < self.parts_ms {
                for (index, part) in parts.iter().enumerate() {
                    out += &format!(
                        "#EXT-X-PART:DURATION={:.5},URI=\"{}\"{}{}\n",
                        part.listed_ms as f64 / 1e3,
                        rendition.part_name(segment.number, index as u64),
                        if part.independent {
                            ",INDEPENDENT=YES"
                        } else {
                            ""
                        },
                        if segment.gap { ",GAP=YES" } else { "" },
                    );
                }
            }
            if parts.len() == segment.parts.len() {
                if segment.gap {
                    out += "#EXT-X-GAP\n";
                }
                out += &format!(
                    "#EXTINF:{:.5},\n{}\n",
                    segment.extinf_ms as f64 / 1e3,
                    rendition.segment_name(segment.number),
                );
            }
        }
        if now_ms >= self.end_ms {
            return out + "#EXT-X-ENDLIST\n";
        }
        let (number, index) = rendition.next(now_ms);
        // What will be missing is not promised.
        let next = rendition.segments.get(number as usize);
        if next.is_none_or(|next| !next.gap) {
            out += &format!(
                "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"\n",
                rendition.part_name(number, index)
            );
        }
        for other in self
            .renditions()
            .filter(|other| other.letter != rendition.letter)
        {
            let there = other.there(now_ms);
            let Some((segment, _)) = there.last() else {
                continue;
            };
            let part = segment
                .parts
                .iter()
                .filter(|part| part.at_ms <= now_ms)
                .count()
                - 1;
            out += &format!(
                "#EXT-X-RENDITION-REPORT:URI=\"{}\",LAST-MSN={},LAST-PART={part}\n",
                other.playlist_name(),
                segment.number
            );
        }
        out
    }
}

impl Reply {
    fn text(&mut self, text: String, cache: &str) {
        self.status = 200;
        self.body = text.into_bytes();
        self.header("content-type", Some("application/vnd.apple.mpegurl"));
        self.header("cache-control", Some(cache));
    }
}

impl Rendition {
    fn new(letter: char, ticks: u64, segments: &[&[u64]]) -> Self {
        let mut time_ms = 0;
        let segments = segments.iter().zip(0..).map(|(parts, number)| {
            let date_ms = time_ms;
            let parts: Vec<Part> = parts
                .iter()
                .enumerate()
                .map(|(index, ms)| {
                    let part = Part {
                        time_ms,
                        ms: *ms,
                        listed_ms: *ms,
                        at_ms: time_ms + ms,
                        independent: index == 0 || ['a', 'c'].contains(&letter),
                        sync: index == 0 || letter == 'a',
                    };
                    time_ms += ms;
                    part
                })
                .collect();
            Segment {
                number,
                discontinuity: u64::from(number >= 4),
                cut: number == 4,
                gap: number == 7 && !['a', 'c'].contains(&letter),
                date_ms,
                extinf_ms: time_ms - date_ms,
                parts,
            }
        });
        Self {
            letter,
            ticks,
            segments: segments.collect(),
        }
    }

    fn playlist_name(&self) -> &'static str {
        match self.letter {
            'v' => "video.m3u8",
            'w' => "video1.m3u8",
            'c' => "captions.m3u8",
            _ => "audio.m3u8",
        }
    }

    fn part_name(&self, number: u64, index: u64) -> String {
        format!("{}-{number}.{index}.{}", self.letter, self.extension())
    }

    fn segment_name(&self, number: u64) -> String {
        format!("{}-{number}.{}", self.letter, self.extension())
    }

    fn extension(&self) -> &'static str {
        if self.letter == 'c' { "vtt" } else { "m4s" }
    }

    /// The parts that are there.
    fn there(&self, now_ms: u64) -> Vec<(&Segment, &Part)> {
        self.segments
            .iter()
            .flat_map(|segment| segment.parts.iter().map(move |part| (segment, part)))
            .filter(|(_, part)| part.at_ms <= now_ms)
            .collect()
    }

    /// The part that comes next.
    fn next(&self, now_ms: u64) -> (u64, u64) {
        for segment in &self.segments {
            for (index, part) in segment.parts.iter().enumerate() {
                if part.at_ms > now_ms {
                    return (segment.number, index as u64);
                }
            }
        }
        (self.segments.len() as u64, 0)
    }

    fn first_listed(&self, now_ms: u64, window_ms: u64) -> u64 {
        let there = self.there(now_ms);
        let end_ms = there.last().map_or(0, |(_, part)| part.time_ms + part.ms);
        let old = |segment: &&Segment| {
            let last = segment.parts.last().expect("parts");
            last.time_ms + last.ms + window_ms <= end_ms
        };
        self.segments.iter().filter(old).count() as u64
    }

    /// `moof` and `mdat`, of five samples.
    fn part_bytes(&self, segment: &Segment, index: u64) -> Vec<u8> {
        const SAMPLES: u64 = 5;
        const SAMPLE_BYTES: u32 = 120;
        let part = &segment.parts[index as usize];
        if self.letter == 'c' {
            return text(part.time_ms, part.ms);
        }
        let mut run = vec![0, 0, 7, 1];
        run.extend((SAMPLES as u32).to_be_bytes());
        run.extend([0; 4]);
        for sample in 0..SAMPLES {
            let share = |sample: u64| sample * part.ms * self.ticks / SAMPLES;
            let duration = share(sample + 1) - share(sample);
            run.extend((duration as u32).to_be_bytes());
            run.extend(SAMPLE_BYTES.to_be_bytes());
            let sync = self.letter == 'a' || sample == 0 && part.sync;
            let flags: u32 = if sync { 0x0200_0000 } else { 0x0101_0000 };
            run.extend(flags.to_be_bytes());
        }
        let mut decode_time = vec![1, 0, 0, 0];
        decode_time.extend((part.time_ms * self.ticks).to_be_bytes());
        let header = full(b"tfhd", 0x02_0000, &1u32.to_be_bytes());
        let fragment = [header, boxed(b"tfdt", &decode_time), boxed(b"trun", &run)].concat();
        let moof = [full(b"mfhd", 0, &[0; 4]), boxed(b"traf", &fragment)].concat();
        let mut data = vec![index as u8; (SAMPLES as u32 * SAMPLE_BYTES) as usize];
        data[..8].copy_from_slice(&segment.number.to_be_bytes());
        [boxed(b"moof", &moof), boxed(b"mdat", &data)].concat()
    }
}

/// Captions of that time: one begins every 1.3 s and is shown for 1.7.
fn text(from_ms: u64, ms: u64) -> Vec<u8> {
    let mut out = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:10.000\n".to_owned();
    let clock = |ms: u64| format!("00:{:02}.{:03}", ms / 1_000, ms % 1_000);
    for begin in (0..from_ms + ms).step_by(1_300) {
        let end = begin + 1_700;
        if end > from_ms {
            out += &format!("\n{} --> {}\nWord {begin}\n", clock(begin), clock(end));
        }
    }
    out.into_bytes()
}

fn boxed(kind: &[u8; 4], inside: &[u8]) -> Vec<u8> {
    let size = 8 + inside.len() as u32;
    [&size.to_be_bytes()[..], kind, inside].concat()
}

fn full(kind: &[u8; 4], flags: u32, inside: &[u8]) -> Vec<u8> {
    boxed(kind, &[&flags.to_be_bytes()[..], inside].concat())
}

/// An initialization section: 320x180 before the cut, 1280x720 after it; or AAC-LC.
fn init(sound: bool, generation: u64) -> Vec<u8> {
    const SMALL: &[u8] = &[
        0x67, 0x42, 0xc0, 0x0c, 0xda, 0x05, 0x06, 0x7e, 0x7c, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00,
        0x40, 0x00, 0x00, 0x0c, 0x83, 0xc5, 0x0a, 0xa8,
    ];
    const LARGE: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00,
        0x40, 0x00, 0x00, 0x0c, 0x83, 0xc6, 0x0c, 0xa8,
    ];
    let (sps, width, height) = match generation {
        0 => (SMALL, 320u16, 180u16),
        _ => (LARGE, 1280, 720),
    };
    let (width, height) = if sound { (0, 0) } else { (width, height) };
    let mut track_header = [0u8; 80];
    track_header[8..12].copy_from_slice(&1u32.to_be_bytes());
    track_header[72..74].copy_from_slice(&width.to_be_bytes());
    track_header[76..78].copy_from_slice(&height.to_be_bytes());
    let mut media_header = [0u8; 20];
    let timescale: u32 = if sound { 48_000 } else { 90_000 };
    media_header[8..12].copy_from_slice(&timescale.to_be_bytes());
    let entry = if sound {
        let specific = [5, 2, 0x11, 0x90];
        let decoder = [&[4, 17, 0x40][..], &[0; 12], &specific].concat();
        let stream = [&[3, 22, 0, 0, 0][..], &decoder].concat();
        boxed(
            b"mp4a",
            &[&[0; 28][..], &full(b"esds", 0, &stream)].concat(),
        )
    } else {
        let mut visual = [0u8; 78];
        visual[24..26].copy_from_slice(&width.to_be_bytes());
        visual[26..28].copy_from_slice(&height.to_be_bytes());
        let length = (sps.len() as u16).to_be_bytes();
        let head = [&[1][..], &sps[1..4], &[0xff, 0xe1], &length, sps, &[0]].concat();
        boxed(b"avc1", &[&visual[..], &boxed(b"avcC", &head)].concat())
    };
    let entries = full(b"stsd", 0, &[&1u32.to_be_bytes()[..], &entry].concat());
    let information = boxed(b"minf", &boxed(b"stbl", &entries));
    let media = boxed(
        b"mdia",
        &[full(b"mdhd", 0, &media_header), information].concat(),
    );
    let track = boxed(b"trak", &[full(b"tkhd", 3, &track_header), media].concat());
    let mut extends = [0u8; 20];
    extends[..4].copy_from_slice(&1u32.to_be_bytes());
    let extends = boxed(b"mvex", &full(b"trex", 0, &extends));
    let movie = boxed(b"moov", &[track, extends].concat());
    [boxed(b"ftyp", b"iso6\0\0\0\0iso6cmfc"), movie].concat()
}
