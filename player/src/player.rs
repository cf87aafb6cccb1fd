//! The player: what is asked for, and when, and where each answer goes. What it is held against is in `player/judge.rs`,
//! `rendition.rs` (one playlist over time), `media.rs` (what is in it) and `shown.rs` (the multivariant playlist).

mod judge;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::boxes::Init;
use crate::media::{Body, Section};
use crate::playlist::{Alternative, Media, Multivariant, Problem};
use crate::rendition::{News, Rendition};
use crate::shown::Seen;
use crate::uri::{plain, resolve, with_query};
use crate::{
    Answer, Beginning, Config, Counters, Input, Mode, Output, Probes, Request, Rule, Violation,
};

/// Violations that are said; more are counted.
const VIOLATIONS_MAX: u64 = 200;
/// Addresses whose bytes are remembered.
const BODIES_MAX: usize = 8_192;
/// Longest playlist that is unpacked.
const UNPACKED_MAX: u64 = 1024 * 1024;
/// How often a playlist that cannot be had is asked for again.
const RETRIES_MAX: u32 = 20;
const RETRY: Duration = Duration::from_millis(500);
/// How often the multivariant playlist is read again.
const INDEX_EVERY: Duration = Duration::from_secs(4);
/// Media that is asked for again at the end, to see that it is the same.
const AGAIN_MAX: usize = 8;
/// Of the segments that leave every so many-th is asked for again, the first one too.
const AVAILABLE_EVERY: u64 = 4;
/// The version of a playlist from which on a player asks for what must be refused, once.
const PROBES_FROM: u64 = 3;
/// Variants that are followed.
const VARIANTS_MAX: usize = 16;
/// How one is told that a part will not come.
const UNKEPT: [u16; 2] = [404, 410];

/// A player of one program, from its multivariant playlist to its end.
///
/// Requests are to be made side by side: some of them wait, on purpose, until something is there. **Poll outputs after
/// every input, and give it [`Input::Timeout`] when `poll_timeout` says so.** Ended means that nothing more comes.
pub struct Player {
    config: Config,
    /// The variants in the order in which they are listed, their sound, and captions.
    renditions: Vec<Rendition>,
    /// Which of them is sound.
    sounds: Vec<usize>,
    /// How many of them, the last ones, are captions.
    texts: usize,
    asked: BTreeMap<u64, Asked>,
    later: BTreeMap<(Instant, u64), Later>,
    outputs: VecDeque<Output>,
    bodies: BTreeMap<String, u64>,
    bodies_by_age: VecDeque<String>,
    /// Parts that were hinted at and could not be had, with the status.
    hints_failed: BTreeMap<String, u16>,
    index: Option<Index>,
    index_versions: u64,
    /// Claims about a playlist that its next version must bear out.
    claims: Vec<Claim>,
    /// Playlists and segments of the first one that were compared with each other.
    together: BTreeSet<(usize, u64)>,
    agreed: Agreed,
    retries: u32,
    next: u64,
    phase: Phase,
    counters: Counters,
    began_at: Instant,
    /// See [`Beginning::behind`].
    behind: Duration,
    beginning: Option<Beginning>,
}

/// How far the program is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Playing,
    /// All playlists have ended; what is still under way is waited for.
    Ending,
    /// Some of the media is asked for again, and the multivariant playlist.
    Checking,
    Over,
}

struct Asked {
    what: What,
    url: String,
    at: Instant,
    gzip: bool,
    /// A delta update would do.
    skip: bool,
    /// The newest part of each playlist that was known then.
    others: Vec<Option<(u64, u64)>>,
    /// What was known of all media then, for the multivariant playlist.
    seen: Option<Seen>,
    /// It was hinted at, and is listed by now.
    due: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Index,
    Playlist {
        of: usize,
        at: Option<(u64, u64)>,
    },
    Init {
        of: usize,
        url: String,
    },
    Part {
        of: usize,
        at: (u64, u64),
        hinted: bool,
    },
    Segment {
        of: usize,
        number: u64,
    },
    /// Again, to see that it is still there and still the same.
    Again {
        rule: Rule,
    },
    /// To be refused with 400.
    TooFar,
    /// A directive for what is there since long.
    Old {
        of: usize,
    },
    /// After the end, with directives or without.
    AfterEnd {
        of: usize,
    },
}

enum Later {
    Reload {
        of: usize,
        at: Option<(u64, u64)>,
    },
    Index,
    /// A request should have been answered by now.
    Overdue {
        id: u64,
        rule: Rule,
    },
    Again {
        url: String,
    },
    /// Whatever is still under way is not waited for.
    Close,
}

/// The multivariant playlist, and what it must be held against.
struct Index {
    read: Multivariant,
    seen: Seen,
    /// When it came; it is judged when newer playlists are there, which have what it may have known already.
    at: Instant,
    judged: bool,
}

struct Claim {
    of: usize,
    newest: (u64, u64),
    at: Instant,
    by: String,
}

/// What is compared once.
#[derive(Default)]
struct Agreed {
    control: bool,
    dates: bool,
}

impl Player {
    pub fn new(now: Instant, config: Config) -> Self {
        let mut player = Self {
            config,
            renditions: Vec::new(),
            sounds: Vec::new(),
            texts: 0,
            asked: BTreeMap::new(),
            later: BTreeMap::new(),
            outputs: VecDeque::new(),
            bodies: BTreeMap::new(),
            bodies_by_age: VecDeque::new(),
            hints_failed: BTreeMap::new(),
            index: None,
            index_versions: 0,
            claims: Vec::new(),
            together: BTreeSet::new(),
            agreed: Agreed::default(),
            retries: 0,
            next: 0,
            phase: Phase::Playing,
            counters: Counters::default(),
            began_at: now,
            behind: Duration::ZERO,
            beginning: None,
        };
        player.ask_index(now);
        player
    }

    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Answered { id, answer } => {
                if let Some(asked) = self.asked.remove(&id) {
                    self.answered(now, asked, answer);
                }
            }
            Input::Failed { id, why } => {
                if let Some(asked) = self.asked.remove(&id) {
                    let answer = Answer {
                        status: 0,
                        headers: Vec::new(),
                        body: why.into(),
                    };
                    self.answered(now, asked, answer);
                }
            }
            Input::Timeout => {}
        }
        self.note_beginning(now);
        self.on_time(now);
        self.go_on(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Over => None,
            _ => self.later.keys().next().map(|(at, _)| *at),
        }
    }

    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        for rendition in &self.renditions {
            counters.compared += rendition.track.compared;
            counters.forgotten += rendition.forgotten + rendition.track.forgotten;
        }
        counters
    }

    /// None while it cannot play yet.
    pub fn beginning(&self) -> Option<Beginning> {
        self.beginning
    }

    fn note_beginning(&mut self, now: Instant) {
        let mut tracks = self.renditions.iter().map(|rendition| &rendition.track);
        let can_play =
            !self.renditions.is_empty() && tracks.all(|track| !track.measured.is_empty());
        if can_play && self.beginning.is_none() {
            self.beginning = Some(Beginning {
                took: now - self.began_at,
                behind: self.behind,
            });
        }
    }

    // ---- asking

    fn ask(&mut self, now: Instant, what: What, url: String) -> u64 {
        self.next += 1;
        let playlist = matches!(
            what,
            What::Index | What::Playlist { .. } | What::Old { .. } | What::AfterEnd { .. }
        );
        // Every other playlist packed, so that both forms are seen.
        let gzip = playlist && self.next.is_multiple_of(2);
        let id = self.next;
        let others = match &what {
            What::Playlist { .. } => {
                let known = self.renditions.iter();
                known.map(Rendition::newest_part).collect()
            }
            _ => Vec::new(),
        };
        let seen = (what == What::Index).then(|| Seen::of(&self.renditions));
        self.counters.requests += 1;
        self.asked.insert(
            id,
            Asked {
                what,
                url: url.clone(),
                at: now,
                gzip,
                skip: url.contains("_HLS_skip="),
                others,
                seen,
                due: false,
            },
        );
        self.outputs
            .push_back(Output::Request(Request { id, url, gzip }));
        id
    }

    fn ask_index(&mut self, now: Instant) {
        let url = self.config.index.clone();
        self.ask(now, What::Index, url);
    }

    fn ask_playlist(&mut self, now: Instant, of: usize, at: Option<(u64, u64)>) {
        let mut url = self.renditions[of].url.clone();
        if let Some((number, part)) = at {
            url = with_query(&url, &format!("_HLS_msn={number}&_HLS_part={part}"));
            self.counters.blocked += 1;
        }
        if self.may_skip(now, of) {
            url = with_query(&url, "_HLS_skip=YES");
        }
        let patience = self.renditions[of].target() * 3 + self.config.slack;
        let id = self.ask(now, What::Playlist { of, at }, url);
        self.then(
            now + patience,
            Later::Overdue {
                id,
                rule: Rule::BlockedTime,
            },
        );
    }

    /// Of what is known for long enough to be left out, two of three times: so that whole playlists are seen, too.
    fn may_skip(&self, now: Instant, of: usize) -> bool {
        let rendition = &self.renditions[of];
        let control = rendition
            .newest
            .as_ref()
            .and_then(|newest| newest.control.as_ref());
        let until = control.and_then(|control| control.can_skip_until);
        // RFC 8216bis §6.3.7: what one has must not be older than half the skip boundary.
        until.zip(rendition.asked_at).is_some_and(|(until, at)| {
            let fresh = now.duration_since(at).as_secs_f64() < until / 2.0;
            fresh && self.config.mode == Mode::LowLatency && !rendition.versions.is_multiple_of(3)
        })
    }

    fn then(&mut self, at: Instant, later: Later) {
        self.next += 1;
        self.later.insert((at, self.next), later);
    }

    // ---- time

    fn on_time(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now || self.phase == Phase::Over {
                return;
            }
            match entry.remove() {
                Later::Reload { of, at } => self.ask_playlist(now, of, at),
                Later::Index => {
                    if self.phase == Phase::Playing {
                        self.ask_index(now);
                    }
                }
                Later::Overdue { id, rule } => {
                    if let Some(asked) = self.asked.get(&id) {
                        let what =
                            format!("{} had no answer after {:?}", asked.url, now - asked.at);
                        self.say(rule, what);
                    }
                }
                Later::Again { url } => {
                    self.counters.again += 1;
                    let rule = Rule::Available;
                    self.ask(now, What::Again { rule }, url);
                }
                Later::Close => self.close(),
            }
        }
    }

    /// What is still open when nobody waits any longer.
    fn close(&mut self) {
        let waiting: Vec<Asked> = std::mem::take(&mut self.asked).into_values().collect();
        for asked in waiting {
            if let What::Part { hinted: true, .. } = asked.what {
                self.say(Rule::HintUnkept, format!("{} had no answer", asked.url));
            }
        }
        self.over();
    }

    fn over(&mut self) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            self.outputs.push_back(Output::Ended);
        }
    }

    /// From playing to checking to the end, when nothing is under way.
    fn go_on(&mut self, now: Instant) {
        let ended = !self.renditions.is_empty() && self.renditions.iter().all(Rendition::ended);
        if self.phase == Phase::Playing && ended {
            self.phase = Phase::Ending;
            for (url, status) in std::mem::take(&mut self.hints_failed) {
                if !UNKEPT.contains(&status) {
                    self.say(Rule::HintUnkept, format!("{url}: {status}"));
                }
            }
            let patience = self.renditions[0].target() * 3 + self.config.slack;
            self.then(now + patience, Later::Close);
            for of in 0..self.renditions.len() {
                let (url, next) = (
                    self.renditions[of].url.clone(),
                    self.renditions[of].newest.as_ref().map(Media::next),
                );
                self.ask(now, What::AfterEnd { of }, url.clone());
                if let (Some((number, _)), Mode::LowLatency) = (next, self.config.mode) {
                    let query = format!("_HLS_msn={}&_HLS_part=0", number + 7);
                    self.ask(now, What::AfterEnd { of }, with_query(&url, &query));
                }
            }
        }
        if !self.asked.is_empty() {
            return;
        }
        match self.phase {
            Phase::Ending => {
                self.phase = Phase::Checking;
                if self.config.probes == Probes::Yes {
                    let step = (self.bodies.len() / AGAIN_MAX).max(1);
                    let again: Vec<String> = self
                        .bodies
                        .keys()
                        .step_by(step)
                        .take(AGAIN_MAX)
                        .cloned()
                        .collect();
                    for url in again {
                        // What may have gone by now is not asked for.
                        if self.is_listed(&url) {
                            self.counters.again += 1;
                            let rule = Rule::ListedIsThere;
                            self.ask(now, What::Again { rule }, url);
                        }
                    }
                }
                self.ask_index(now);
            }
            Phase::Checking => {
                self.judge_index();
                self.over();
            }
            Phase::Playing | Phase::Over => {}
        }
    }

    fn is_listed(&self, url: &str) -> bool {
        self.renditions.iter().any(|rendition| {
            let listed = rendition.newest.iter().flat_map(|newest| &newest.segments);
            listed
                .flat_map(|segment| [&segment.uri, &segment.map])
                .flatten()
                .any(|uri| rendition.resolve(uri) == url)
        })
    }

    // ---- answers

    fn answered(&mut self, now: Instant, asked: Asked, answer: Answer) {
        self.counters.bytes += answer.body.len() as u64;
        if answer.status == 200 {
            self.judge_headers(&asked, &answer);
        }
        match asked.what.clone() {
            What::Index => self.took_index(now, &asked, answer),
            What::Playlist { of, at } => self.took_playlist(now, of, at, &asked, answer),
            What::Init { of, url } => self.took_init(now, of, url, answer),
            What::Part { of, at, hinted } => self.took_part(now, of, at, hinted, &asked, answer),
            What::Segment { of, number } => {
                self.counters.segments += 1;
                let body = self.took_media(&asked.url, Rule::ListedIsThere, answer);
                self.renditions[of].track.wholes.insert(number, body);
                self.look(of);
            }
            What::Again { rule } => {
                self.took_media(&asked.url, rule, answer);
            }
            What::TooFar => {
                let took = now - asked.at;
                if answer.status != 400 || took > self.config.slack {
                    let what = format!("{}: {} after {took:?}", asked.url, answer.status);
                    self.say(Rule::TooFar, what);
                }
            }
            What::Old { of } => {
                let took = now - asked.at;
                let read = unpacked(&answer).and_then(|text| Media::read(&text).ok());
                let whole = read.is_some_and(|media| {
                    let newest = self.renditions[of].newest.as_ref();
                    newest.is_none_or(|newest| media.media_sequence <= newest.media_sequence + 1)
                        && !media.segments.is_empty()
                });
                if answer.status != 200 || !whole || took > self.config.slack {
                    let what = format!("{}: {} after {took:?}", asked.url, answer.status);
                    self.say(Rule::OldIsAnswered, what);
                }
            }
            What::AfterEnd { of } => {
                let text = unpacked(&answer).unwrap_or_default();
                let known = (self.renditions[of].text).get_or_insert_with(|| text.to_vec());
                if answer.status != 200 || text != *known {
                    let what = format!(
                        "{}: another answer than before ({})",
                        asked.url, answer.status
                    );
                    self.say(Rule::AfterEnd, what);
                }
            }
        }
    }

    fn retry(&mut self, now: Instant, url: &str, status: u16, later: Later) {
        self.retries += 1;
        if self.retries > RETRIES_MAX {
            self.say(
                Rule::ListedIsThere,
                format!("{url}: {status}, again and again"),
            );
            self.over();
        } else {
            self.then(now + RETRY, later);
        }
    }

    fn took_index(&mut self, now: Instant, asked: &Asked, answer: Answer) {
        if answer.status != 200 {
            if self.phase == Phase::Playing {
                self.retry(now, &asked.url, answer.status, Later::Index);
            }
            return;
        }
        let read = unpacked(&answer).map(|text| Multivariant::read(&text));
        let index = match read {
            Some(Ok(index)) => index,
            Some(Err(problem)) => return self.problem("index", &problem),
            None => return self.say(Rule::Gzip, "index: it cannot be unpacked".to_owned()),
        };
        if self.index_versions == 0 {
            for problem in index.problems.clone() {
                self.problem("index", &problem);
            }
            self.follow(now, &index, &asked.url);
        }
        self.index_versions += 1;
        // One that waits for newer playlists to be held against is not pushed out by the next.
        let waits = self.index.as_ref().is_some_and(|index| !index.judged);
        if !waits || self.phase != Phase::Playing {
            self.index = Some(Index {
                read: index,
                seen: asked.seen.clone().unwrap_or_default(),
                at: now,
                judged: false,
            });
        }
        // One that was asked for because of a cut does not begin another row of them.
        let due = self
            .later
            .values()
            .any(|later| matches!(later, Later::Index));
        if self.phase == Phase::Playing && !due {
            self.then(now + INDEX_EVERY, Later::Index);
        }
    }

    /// Begins to play all variants and the sounds of all groups.
    fn follow(&mut self, now: Instant, index: &Multivariant, url: &str) {
        let Some(variant) = index.variants.first() else {
            return;
        };
        let mut urls: Vec<String> = Vec::new();
        for variant in index.variants.iter().take(VARIANTS_MAX) {
            let url = resolve(url, &variant.uri);
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        // The sound of the first variant, and after it that of other groups.
        let is_sound = |one: &&Alternative| one.kind == "AUDIO" && one.uri.is_some();
        let (own, others): (Vec<_>, Vec<_>) = (index.renditions.iter())
            .filter(is_sound)
            .partition(|one| Some(&one.group) == variant.audio.as_ref());
        let sounds = own.into_iter().chain(others).take(VARIANTS_MAX);
        let mut sounds: Vec<String> = sounds
            .filter_map(|one| one.uri.as_ref())
            .map(|uri| resolve(url, uri))
            .collect();
        sounds.dedup();
        // They may be variants, too: sound alone.
        urls.retain(|url| !sounds.contains(url));
        self.sounds = (urls.len()..urls.len() + sounds.len()).collect();
        urls.extend(sounds);
        let texts = (index.renditions.iter()).filter(|one| one.kind == "SUBTITLES");
        let mut texts: Vec<String> = texts
            .filter_map(|one| Some(resolve(url, one.uri.as_ref()?)))
            .take(VARIANTS_MAX)
            .collect();
        texts.dedup();
        self.texts = texts.len();
        urls.extend(texts);
        self.renditions = urls.into_iter().map(Rendition::new).collect();
        for of in 0..self.renditions.len() {
            self.ask_playlist(now, of, None);
        }
    }

    fn took_playlist(
        &mut self,
        now: Instant,
        of: usize,
        at: Option<(u64, u64)>,
        asked: &Asked,
        answer: Answer,
    ) {
        if answer.status != 200 {
            if at.is_some() {
                let took = now - asked.at;
                self.say(
                    Rule::BlockedAnswer,
                    format!("{}: {} after {took:?}", asked.url, answer.status),
                );
            }
            return self.retry(
                now,
                &asked.url,
                answer.status,
                Later::Reload { of, at: None },
            );
        }
        let name = self.renditions[of].name().to_owned();
        let Some(text) = unpacked(&answer) else {
            return self.say(Rule::Gzip, format!("{name}: it cannot be unpacked"));
        };
        let media = match Media::read(&text) {
            Ok(media) => media,
            Err(problem) => {
                self.problem(&name, &problem);
                return self.retry(now, &asked.url, 200, Later::Reload { of, at: None });
            }
        };
        self.retries = 0;
        self.counters.playlists += 1;
        self.counters.deltas += u64::from(media.skipped > 0);
        let can_skip = (media.control.as_ref()).is_some_and(|one| one.can_skip_until.is_some());
        if media.skipped > 0 && !(asked.skip && can_skip) {
            let what = format!("{}: {} segments are left out", asked.url, media.skipped);
            self.say(Rule::SkipUnasked, what);
        }
        if let Some(at) = at.filter(|at| media.next() <= *at && !media.ended) {
            let what = format!("{name}: {}.{} was waited for and is not there", at.0, at.1);
            self.say(Rule::BlockedAnswer, what);
        }
        self.judge_reports(now, of, &media, asked);
        let first = self.renditions[of].newest.is_none();
        let (mode, slack) = (self.config.mode, self.config.slack);
        let news = self.renditions[of].take(now, media, &text, mode, slack);
        self.renditions[of].others_then.clone_from(&asked.others);
        self.renditions[of].asked_at = Some(asked.at);
        self.keep_available(now, of, &news);
        self.counters.cuts(&news);
        for violation in news.violations {
            self.say(violation.rule, violation.what);
        }
        if first {
            self.begin(of);
        }
        self.fetch(now, of);
        self.judge_together();
        self.look(of);
        self.probe(now, of);
        self.reload(now, of, at, asked);
        // It is held against playlists that are newer than itself.
        let known_at = self
            .index
            .as_ref()
            .map(|index| index.at + self.unlisted_max());
        if self.renditions.iter().all(|one| one.asked_at > known_at) {
            self.judge_index();
        }
    }

    /// How long what the multivariant playlist says already may not be in a media playlist: who reads no parts learns of a segment when
    /// it is whole, and reads the playlist up to a target duration later.
    fn unlisted_max(&self) -> Duration {
        let newest = self.renditions.iter().filter_map(|one| one.newest.as_ref());
        let target = newest.map(|newest| newest.target_duration).max();
        match self.config.mode {
            Mode::LowLatency => Duration::ZERO,
            Mode::Plain => Duration::from_secs(2 * target.unwrap_or(0)),
        }
    }

    /// Where to begin: at all that is listed, or HOLD-BACK from the end.
    fn begin(&mut self, of: usize) {
        let rendition = &mut self.renditions[of];
        let Some(newest) = &rendition.newest else {
            return;
        };
        let mut from = newest.media_sequence;
        if self.config.mode == Mode::Plain {
            let control = newest.control.as_ref();
            let held = control
                .and_then(|control| control.hold_back)
                .unwrap_or(3.0 * newest.target_duration as f64);
            let mut left = newest.duration();
            for segment in &newest.segments {
                left -= segment.listed();
                if left < held {
                    from = segment.number;
                    break;
                }
            }
        }
        if of == 0 {
            let ahead = newest.segments.iter();
            let ahead = ahead.filter(|one| one.uri.is_some() && one.number >= from);
            let seconds: f64 = ahead.map(|segment| segment.listed()).sum();
            self.behind = Duration::from_secs_f64(seconds.min(86_400.0));
        }
        rendition.track.begin(from);
    }

    /// Asks for what is listed and was not asked for.
    fn fetch(&mut self, now: Instant, of: usize) {
        let rendition = &self.renditions[of];
        let Some(newest) = rendition.newest.clone() else {
            return;
        };
        let low_latency = self.config.mode == Mode::LowLatency;
        let under_way: BTreeSet<String> = self.asked.values().map(|one| one.url.clone()).collect();
        let mut wanted = Vec::new();
        for segment in newest.segments.iter().filter(|segment| !segment.gap) {
            if rendition.track.is_past(segment.number) {
                continue;
            }
            if let Some(map) = &segment.map {
                let url = rendition.resolve(map);
                if !rendition.track.inits.contains_key(&url) {
                    wanted.push((
                        What::Init {
                            of,
                            url: url.clone(),
                        },
                        url,
                    ));
                }
            }
            if low_latency {
                for (index, part) in segment
                    .parts
                    .iter()
                    .enumerate()
                    .filter(|(_, part)| !part.gap)
                {
                    let at = (segment.number, index as u64);
                    if !rendition.track.parts.contains_key(&at) {
                        let what = What::Part {
                            of,
                            at,
                            hinted: false,
                        };
                        wanted.push((what, rendition.resolve(&part.uri)));
                    }
                }
            }
            if let Some(uri) = &segment.uri
                && !rendition.track.wholes.contains_key(&segment.number)
            {
                let number = segment.number;
                wanted.push((What::Segment { of, number }, rendition.resolve(uri)));
            }
        }
        let hint = newest.hints.iter().find(|hint| hint.kind == "PART");
        if let (Some(hint), true) = (hint, low_latency && !newest.ended) {
            let what = What::Part {
                of,
                at: newest.next(),
                hinted: true,
            };
            wanted.push((what, rendition.resolve(&hint.uri)));
        }
        let mut begun = BTreeSet::new();
        for (what, url) in wanted {
            let hinted = matches!(what, What::Part { hinted: true, .. });
            if under_way.contains(&url) {
                if !hinted && matches!(what, What::Part { .. }) {
                    self.must_come(now, &url);
                }
                continue;
            }
            if !begun.insert(url.clone()) || hinted && self.hints_failed.contains_key(&url) {
                continue;
            }
            if let (false, Some(status)) = (hinted, self.hints_failed.remove(&url)) {
                self.say(Rule::HintIsServed, format!("{url}: {status}"));
            }
            if let What::Init { of, url } = &what {
                self.renditions[*of]
                    .track
                    .inits
                    .insert(url.clone(), Section::Asked);
            }
            self.counters.hinted += u64::from(hinted);
            self.ask(now, what, url);
        }
    }

    /// A hinted part is listed: who asked for it must have it in a moment.
    fn must_come(&mut self, now: Instant, url: &str) {
        let waiting = self.asked.iter_mut().find(|(_, one)| one.url == url);
        let Some((id, asked)) = waiting else { return };
        let hinted = matches!(asked.what, What::Part { hinted: true, .. });
        if hinted && !asked.due {
            asked.due = true;
            let later = Later::Overdue {
                id: *id,
                rule: Rule::HintIsServed,
            };
            self.then(now + self.config.slack, later);
        }
    }

    fn reload(&mut self, now: Instant, of: usize, at: Option<(u64, u64)>, asked: &Asked) {
        let rendition = &self.renditions[of];
        let Some(newest) = &rendition.newest else {
            return;
        };
        if newest.ended {
            return;
        }
        let blocks = newest.part_target.is_some()
            && newest
                .control
                .as_ref()
                .is_some_and(|control| control.can_block_reload);
        if self.config.mode == Mode::LowLatency && blocks {
            let next = newest.next();
            if at == Some(next) {
                // It was answered without what it waited for: not again at once.
                self.then(now + RETRY, Later::Reload { of, at: Some(next) });
            } else {
                self.ask_playlist(now, of, Some(next));
            }
            return;
        }
        // RFC 8216bis §6.3.4: a target duration after the last reload began.
        let due = (asked.at + rendition.target()).max(now + RETRY);
        self.then(due, Later::Reload { of, at: None });
    }

    fn probe(&mut self, now: Instant, of: usize) {
        if self.config.probes == Probes::No || self.config.mode == Mode::Plain {
            return;
        }
        let rendition = &mut self.renditions[of];
        let Some(newest) = &rendition.newest else {
            return;
        };
        let early = rendition.versions < PROBES_FROM || newest.newest_segment().is_none();
        if newest.ended || early || rendition.probed {
            return;
        }
        rendition.probed = true;
        let (url, (number, part)) = (rendition.url.clone(), newest.next());
        let limit = newest
            .part_target
            .filter(|target| *target < 1.0 && *target > 0.001)
            .map_or(3, |target| (3.0 / target) as u64);
        let old = format!("_HLS_msn={}", newest.media_sequence);
        for query in [
            format!("_HLS_msn={}", number + 100),
            format!("_HLS_msn={number}&_HLS_part={}", part + limit + 100),
            "_HLS_part=0".to_owned(),
        ] {
            self.counters.probes += 1;
            let id = self.ask(now, What::TooFar, with_query(&url, &query));
            let rule = Rule::TooFar;
            self.then(now + self.config.slack, Later::Overdue { id, rule });
        }
        self.counters.probes += 1;
        self.ask(now, What::Old { of }, with_query(&url, &old));
    }

    /// What left must be there for a while: some of it is asked for shortly before that is over.
    fn keep_available(&mut self, now: Instant, of: usize, news: &News) {
        if self.config.probes == Probes::No {
            return;
        }
        let rendition = &self.renditions[of];
        let mut laters = Vec::new();
        for number in news
            .left
            .iter()
            .filter(|number| *number % AVAILABLE_EVERY == 0)
        {
            let Some(known) = rendition.segments.get(number) else {
                continue;
            };
            let (Some(since), Some(uri), false) =
                (known.since, &known.listed.uri, known.listed.gap)
            else {
                continue;
            };
            let lasts = known.listed.listed() + known.longest;
            let until = since + Duration::from_secs_f64(lasts.min(86_400.0));
            // Not at the last moment, which the way there and back would overstep.
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                laters.push((now + left * 3 / 4, rendition.resolve(uri)));
            }
        }
        for number in news
            .parts_left
            .iter()
            .filter(|number| *number % AVAILABLE_EVERY == 0)
        {
            let part = rendition
                .segments
                .get(number)
                .and_then(|known| known.listed.parts.iter().rfind(|part| !part.gap));
            if let Some(part) = part {
                let at = now + rendition.target() * 3 * 3 / 4;
                laters.push((at, rendition.resolve(&part.uri)));
            }
        }
        for (at, url) in laters {
            self.then(at, Later::Again { url });
        }
    }

    fn took_init(&mut self, now: Instant, of: usize, url: String, answer: Answer) {
        self.counters.inits += 1;
        let section = match self.took_media(&url, Rule::ListedIsThere, answer) {
            Body::Missing => Section::Broken,
            Body::Here(bytes) => match Init::read(&bytes) {
                Ok(init) => Section::Here(init),
                Err(why) => {
                    let name = plain(&url).to_owned();
                    self.say(Rule::InitForm, format!("{name}: {why}"));
                    Section::Broken
                }
            },
        };
        let another = self.renditions[of].track.inits.len() > 1;
        self.renditions[of].track.inits.insert(url, section);
        self.look(of);
        // Another picture than before: what is said of it has changed too.
        if another && !self.sounds.contains(&of) && self.phase == Phase::Playing {
            self.ask_index(now);
        }
    }

    fn took_part(
        &mut self,
        now: Instant,
        of: usize,
        at: (u64, u64),
        hinted: bool,
        asked: &Asked,
        answer: Answer,
    ) {
        self.counters.parts += 1;
        if hinted && answer.status != 200 {
            // It may never have come; if it is listed after all, it should have been served.
            if asked.due {
                self.say(
                    Rule::HintIsServed,
                    format!("{}: {}", asked.url, answer.status),
                );
                self.renditions[of].track.parts.insert(at, Body::Missing);
            } else if self.renditions[of].ended() || self.phase != Phase::Playing {
                if !UNKEPT.contains(&answer.status) {
                    let took = now - asked.at;
                    self.say(
                        Rule::HintUnkept,
                        format!("{}: {} after {took:?}", asked.url, answer.status),
                    );
                }
            } else {
                self.hints_failed.insert(asked.url.clone(), answer.status);
            }
            return;
        }
        let body = self.took_media(&asked.url, Rule::ListedIsThere, answer);
        self.renditions[of].track.parts.insert(at, body);
        self.look(of);
    }

    /// The bytes of an address, which are the same each time.
    fn took_media(&mut self, url: &str, rule: Rule, answer: Answer) -> Body {
        if answer.status != 200 {
            self.say(rule, format!("{url}: {}", answer.status));
            return Body::Missing;
        }
        let mut hasher = DefaultHasher::new();
        answer.body.hash(&mut hasher);
        let hash = hasher.finish();
        match self.bodies.get(url) {
            Some(known) if *known != hash => {
                self.say(
                    Rule::BytesChanged,
                    format!("{url} has other bytes than before"),
                );
            }
            Some(_) => {}
            None => {
                if self.bodies.len() >= BODIES_MAX
                    && let Some(oldest) = self.bodies_by_age.pop_front()
                {
                    self.bodies.remove(&oldest);
                    self.counters.forgotten += 1;
                }
                self.bodies_by_age.push_back(url.to_owned());
                self.bodies.insert(url.to_owned(), hash);
            }
        }
        Body::Here(answer.body)
    }

    fn problem(&mut self, name: &str, problem: &Problem) {
        self.say(problem.rule, format!("{name}: {}", problem.what));
    }

    fn say(&mut self, rule: Rule, what: String) {
        self.counters.violations += 1;
        if self.counters.violations > VIOLATIONS_MAX {
            self.counters.violations_unsaid += 1;
            return;
        }
        self.outputs
            .push_back(Output::Violation(Violation { rule, what }));
    }
}

impl Counters {
    fn cuts(&mut self, news: &News) {
        self.discontinuities += news.cuts;
        self.gaps += news.gaps;
    }
}

/// The body as it was before packing.
fn unpacked(answer: &Answer) -> Option<Bytes> {
    if answer.header("content-encoding") != "gzip" {
        return Some(answer.body.clone());
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&answer.body[..])
        .take(UNPACKED_MAX)
        .read_to_end(&mut plain)
        .ok()?;
    Some(plain.into())
}
