//! What makes a program's picture: the choice between cut and composed, and the composer's process while there is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amphi_room::{ProgramKind, Wish};
use amphi_studio::composer::{self, Look, Rung};
use amphi_studio::cost::{Cost, Load, Step};
use amphi_studio::lettering::Image;
use amphi_studio::{Counters, Input, Kind};
use crossbeam_channel::{Receiver, never};
use tracing::{info, warn};

use super::silence::Silence;
use crate::compose::{Composing, Event, Gone, Report, Tools};

/// A composer that lived for so long did not die of how it was begun.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// How long the next one waits after one that died young; doubled each time, up to the second value.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// After so many that died young in a row the picture is cut, for so long.
const YOUNG_DEATHS_MAX: u32 = 5;
const GIVEN_UP_FOR: Duration = Duration::from_secs(60);

/// What can be composed here.
#[derive(Clone, Debug)]
pub struct Means {
    pub tools: Tools,
    pub ladder: Vec<Rung>,
    pub frames_per_second: u32,
    /// Laid over every composed picture.
    pub logo: Option<Image>,
    pub carried: Carried,
}

/// At which step of its costs the picture stood that was composed last, whichever program's it was: where the next one begins. It is
/// kept as long as the process lives.
#[derive(Clone, Debug, Default)]
pub struct Carried(Arc<AtomicUsize>);

impl Carried {
    fn step(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, step: usize) {
        self.0.store(step, Ordering::Relaxed);
    }
}

/// How the picture is made now, for people and programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// "cut" or "compose".
    pub program: &'static str,
    pub rungs: Vec<Rung>,
    pub frames_per_second: Option<u32>,
    /// Why it is not what was wished, in words.
    pub note: Option<String>,
}

/// What composers did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EaselStats {
    pub started: u64,
    /// Ended without being asked to, and those that hung.
    pub died: u64,
    /// Said nothing any more, and were ended.
    pub hung: u64,
    pub frames_dropped: u64,
    pub cpu_us: u64,
}

pub struct Easel {
    means: Means,
    wish: Wish,
    cost: Cost,
    composing: Option<Alive>,
    nothing: Receiver<Event>,
    young_deaths: u32,
    /// Another composer is started then.
    again_at: Option<Instant>,
    /// Composers died so fast that none is started before then.
    given_up_until: Option<Instant>,
    /// Of composers that are gone.
    past: Counters,
    stats: EaselStats,
    /// Why another encoder encodes than was asked for, in words.
    encoder_note: Option<String>,
    /// Something that people should know has changed, of which the program need not be told.
    news: bool,
    zero: Instant,
}

struct Alive {
    composing: Composing,
    since: Instant,
    silence: Silence,
    counters: Counters,
    report: Report,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            program: "cut",
            rungs: Vec::new(),
            frames_per_second: None,
            note: None,
        }
    }
}

impl Made {
    pub fn is_cut(&self) -> bool {
        self.program == Self::default().program
    }
}

impl Easel {
    /// `zero` is the programme clock's.
    pub fn new(means: Means, wish: Wish, zero: Instant) -> Self {
        Self {
            cost: Cost::new(&means.ladder, means.frames_per_second)
                .beginning_at(means.carried.step()),
            means,
            wish,
            composing: None,
            nothing: never(),
            young_deaths: 0,
            again_at: None,
            given_up_until: None,
            past: Counters::default(),
            stats: EaselStats::default(),
            encoder_note: None,
            news: false,
            zero,
        }
    }

    /// What the composer says.
    pub fn events(&self) -> &Receiver<Event> {
        self.composing
            .as_ref()
            .map_or(&self.nothing, |alive| &alive.composing.events)
    }

    /// When [`Easel::pass_time`] wants to be called.
    pub fn timeout(&self) -> Option<Instant> {
        // Where nothing is composed, it is looked at once in a while whether it could be.
        let look = (self.wish.program != ProgramKind::Cut && self.cost.step().is_none())
            .then(|| Instant::now() + Duration::from_secs(1));
        let listen = (self.composing.as_ref()).map(|alive| alive.silence.next_look());
        self.again_at
            .into_iter()
            .chain(listen)
            .chain(self.given_up_until)
            .chain(look)
            .min()
    }

    /// Everything that begins: what the program is to be told.
    pub fn begin(&mut self) -> Vec<Input> {
        self.cost.begin(self.now_us());
        self.follow()
    }

    pub fn set_wish(&mut self, wish: Wish) -> Vec<Input> {
        self.wish = wish;
        self.follow()
    }

    pub fn pass_time(&mut self) -> Vec<Input> {
        let now = Instant::now();
        if let Some(alive) = &mut self.composing
            && alive.silence.is_too_long(now)
        {
            return self.hung();
        }
        if self.given_up_until.is_some_and(|until| until <= now) {
            self.given_up_until = None;
            self.young_deaths = 0;
            return self.follow();
        }
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            return self.follow();
        }
        let is_cut = self.wish.program == ProgramKind::Cut;
        if !is_cut && self.cost.pass_time(self.now_us()) {
            return self.follow();
        }
        Vec::new()
    }

    /// Tells the composer something. What the program is to be told when that does not work.
    pub fn tell(&mut self, input: composer::Input) -> Vec<Input> {
        let told = self
            .composing
            .as_mut()
            .map_or(Ok(()), |alive| alive.composing.tell(input));
        match told {
            Ok(()) => Vec::new(),
            Err(Gone) => self.died(),
        }
    }

    /// The composer said something; none: it is gone.
    pub fn heard(&mut self, event: Option<Event>) -> Vec<Input> {
        // The server itself speaks of encoders.
        if let (Some(alive), Some(Event::Output(_) | Event::Report(_))) =
            (&mut self.composing, &event)
        {
            alive.silence.broken(Instant::now());
        }
        match event {
            Some(Event::Output(composer::Output::Failed { reason })) => {
                warn!("a composer gave up: {reason}");
                self.died()
            }
            Some(Event::Output(output)) => vec![Input::Composed(output)],
            Some(Event::Report(report)) => self.weigh(report),
            Some(Event::Encoder { note }) => {
                self.news |= self.encoder_note != note;
                self.encoder_note = note;
                Vec::new()
            }
            None => self.died(),
        }
    }

    /// What [`Easel::made`] says has changed since this was asked the last time, though nothing came out.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Of the composer that runs.
    pub fn process_id(&self) -> Option<u32> {
        let alive = self.composing.as_ref()?;
        Some(alive.composing.process_id())
    }

    /// Of all composers so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.past;
        if let Some(alive) = &self.composing {
            counters += alive.counters;
        }
        counters
    }

    pub fn stats(&self) -> EaselStats {
        let mut stats = self.stats;
        if let Some(alive) = &self.composing {
            stats.frames_dropped += alive.composing.frames_dropped;
            stats.cpu_us += alive.report.cpu_us;
        }
        stats
    }

    pub fn made(&self) -> Made {
        let Some(step) = self.wanted_step() else {
            return Made {
                note: self.why_cut(),
                ..Made::default()
            };
        };
        let notes: Vec<String> = (self.why_less(&step).into_iter())
            .chain(self.encoder_note.clone())
            .collect();
        Made {
            program: "compose",
            note: Some(notes.join(" ")).filter(|note| !note.is_empty()),
            frames_per_second: Some(step.frames_per_second),
            rungs: step.rungs,
        }
    }

    fn why_cut(&self) -> Option<String> {
        let (dear, layout) = (self.cost.too_dear(), self.wish.layout.name());
        match self.wish.program {
            ProgramKind::Cut => None,
            _ if self.given_up_until.is_some() => Some(
                "Composing broke several times in a row; who speaks is shown instead, and composing is tried again in a minute."
                    .to_owned(),
            ),
            ProgramKind::Compose | ProgramKind::Auto => dear.map(|step| {
                format!(
                    "This machine does not carry a composed picture ({layout}) even at {}; who speaks is shown instead.",
                    step
                )
            }),
        }
    }

    fn why_less(&self, step: &Step) -> Option<String> {
        match self.cost.too_dear() {
            Some(dear) => Some(format!(
                "This machine carries the arrangement {} at {step}; {dear} was too much for it.",
                self.wish.layout.name(),
            )),
            None if self.cost.number() > 0 => Some(format!(
                "This machine carried no more than {step} when it composed last; more is tried as soon as there is room."
            )),
            None => None,
        }
    }

    /// What should be composed now; none: the picture is cut.
    fn wanted_step(&self) -> Option<Step> {
        if self.given_up_until.is_some() {
            return None;
        }
        match self.wish.program {
            ProgramKind::Cut => None,
            // Who asks for it gets it as well as the machine can.
            ProgramKind::Compose | ProgramKind::Auto => self.cost.step().cloned(),
        }
    }

    /// Makes what there is into what there should be.
    fn follow(&mut self) -> Vec<Input> {
        let Some(step) = self.wanted_step() else {
            let was = self.end();
            let gone = was.then_some(Input::ComposerGone);
            return gone.into_iter().chain([Input::Kind(Kind::Cut)]).collect();
        };
        let look = Look {
            layout: self.wish.layout,
            fit: self.wish.fit,
            title: self.wish.title.clone(),
            logo: self.means.logo.clone(),
            frames_per_second: step.frames_per_second,
            rungs: step.rungs,
        };
        let mut inputs = vec![Input::Kind(Kind::Compose(look))];
        if self.composing.is_none() && self.again_at.is_none() {
            match Composing::start(&self.means.tools, self.now_us()) {
                Ok(composing) => {
                    // It tries for itself.
                    self.encoder_note = None;
                    let now = Instant::now();
                    info!(process = composing.process_id(), "composer started");
                    self.stats.started += 1;
                    self.composing = Some(Alive {
                        composing,
                        since: now,
                        silence: Silence::new(now),
                        counters: Counters::default(),
                        report: Report::default(),
                    });
                    self.cost.begin(self.now_us());
                    inputs.push(Input::ComposerReady);
                }
                Err(error) => {
                    warn!("a composer could not be started: {error}");
                    inputs.extend(self.died());
                }
            }
        }
        inputs
    }

    /// True when there was one.
    fn end(&mut self) -> bool {
        let Some(alive) = self.composing.take() else {
            return false;
        };
        self.past += alive.counters;
        self.stats.frames_dropped += alive.composing.frames_dropped;
        self.stats.cpu_us += alive.report.cpu_us;
        true
    }

    fn hung(&mut self) -> Vec<Input> {
        if let Some(alive) = &self.composing {
            let (silent, process) = (alive.silence.lasted(), alive.composing.process_id());
            warn!(
                process,
                "a composer says nothing for {silent:.1?}: it is ended"
            );
        }
        self.stats.hung += 1;
        self.died()
    }

    fn died(&mut self) -> Vec<Input> {
        // One that hangs as soon as it begins is no better than one that dies.
        let lived = self.composing.as_ref().map_or(Duration::ZERO, |alive| {
            let silent = alive.silence.lasted();
            alive.since.elapsed().saturating_sub(silent)
        });
        self.end();
        self.stats.died += 1;
        if lived >= LONG_LIFE {
            self.young_deaths = 0;
        }
        self.young_deaths += 1;
        warn!("a composer died after {lived:.1?}: another one follows");
        let now = Instant::now();
        if self.young_deaths > YOUNG_DEATHS_MAX {
            warn!("composers die as soon as they begin: the picture is cut for a minute");
            self.given_up_until = Some(now + GIVEN_UP_FOR);
            self.again_at = None;
            return vec![Input::ComposerGone, Input::Kind(Kind::Cut)];
        }
        let pause = PAUSE * 2u32.saturating_pow(self.young_deaths - 1);
        self.again_at = Some(now + pause.min(PAUSE_MAX));
        vec![Input::ComposerGone]
    }

    /// Whether what it costs is too much, or so little that it can do more.
    fn weigh(&mut self, report: Report) -> Vec<Input> {
        let now_us = self.now_us();
        let Some(alive) = &mut self.composing else {
            return Vec::new();
        };
        let share = |now: u64, before: u64| {
            let passed_us = report.lived_us.saturating_sub(alive.report.lived_us);
            now.saturating_sub(before) as f32 / passed_us.max(1) as f32
        };
        let load = Load {
            cpu: share(report.cpu_us, alive.report.cpu_us),
            busy: share(report.busy_us, alive.report.busy_us),
            late_us: report.late_us,
            left_out: report
                .counters
                .ticks_left_out
                .saturating_sub(alive.counters.ticks_left_out),
        };
        alive.counters = report.counters;
        alive.report = report;
        if !self.cost.observe(now_us, load) {
            return Vec::new();
        }
        self.means.carried.set(self.cost.number());
        let why = self
            .wanted_step()
            .map_or_else(|| self.why_cut(), |step| self.why_less(&step));
        match why {
            Some(note) => info!(?load, "{note}"),
            None => info!(?load, "there is room for the full picture again"),
        }
        self.follow()
    }

    fn now_us(&self) -> i64 {
        i64::try_from(self.zero.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use amphi_media::{Bitrate, VideoSize};

    use super::*;

    #[test]
    fn a_program_begins_where_composing_stood_and_says_so() {
        let rung = |width, height| Rung {
            size: VideoSize::new(width, height),
            bitrate: Bitrate(500_000),
        };
        let means = Means {
            tools: Tools {
                program: "/nowhere".into(),
                ffmpeg: None,
                fonts: None,
            },
            ladder: vec![rung(1_280, 720), rung(640, 360)],
            frames_per_second: 30,
            logo: None,
            carried: Carried::default(),
        };
        let made = || Easel::new(means.clone(), Wish::default(), Instant::now()).made();
        assert_eq!((made().rungs.len(), made().note), (2, None));
        means.carried.set(2);
        let made = made();
        assert_eq!(made.rungs, [rung(640, 360)]);
        let note = made.note.expect("a word about it");
        assert!(note.contains("no more than 640x360, 30"), "{note}");
    }
}
