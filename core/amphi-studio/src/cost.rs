//! How much of the picture a machine carries: a ladder of costs, down before pictures are left out, up again when there is room.
//!
//! A pure value: it is told about once a second what composing cost, and says when to take another step. It looks at how long the
//! composer had nothing to do, which shrinks before a picture is late, and at pictures that are late long before one is left out.
//! Load that jumps within a second to more than the machine has leaves pictures out nevertheless, until the next report.

use std::fmt;

use amphi_media::{Bitrate, VideoSize};

use crate::composer::Rung;

/// Share of its time above which a step is too dear: one thread composes, and it must not wait for itself.
pub const CPU_MAX: f32 = 0.85;

/// A composer that is as busy as this, and late, does not catch up any more: pictures will be left out.
const FULL: f32 = 0.95;

/// As many times what a machine has is the most that is made out from what it left out.
const DEMAND_MAX: f32 = 4.0;

/// A picture that is so late was not made in its time.
const LATE_MAX_US: i64 = 150_000;

/// So many reports in a row that say "too much" are believed: one may be a burst of somebody else's work.
const TOO_MUCH: u32 = 2;

/// And so many on the last step in which pictures are left out. It costs little, so who is late there is as a rule late for the work of
/// others, to whom giving it up would leave next to nothing; and what is behind it is another broadcast.
const TOO_MUCH_AT_LAST: u32 = 10;

/// The first moments of a step are of decoders and encoders that begin.
const FIRST_US: i64 = 2_000_000;

/// How long a step must have gone well before the next better one is tried; doubled each time that one failed.
const CALM_US: i64 = 30_000_000;
const CALM_MAX_US: i64 = 960_000_000;

/// The same for a step that was begun with because others did no better: this program may be a smaller one.
const CALM_AT_FIRST_US: i64 = 6_000_000;

/// What the better step is expected to take, by the pixels that it encodes and by what is decoded, must be below this to be tried.
const CPU_ROOM: f32 = 0.6;

/// What decoding four cameras takes, whatever the step, as a share of encoding the best one (bench/README.md). Of more cameras it is
/// more, which is on the safe side where a better step is considered.
const DECODING: f32 = 0.1;

/// How much is composed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub frames_per_second: u32,
    pub rungs: Vec<Rung>,
}

impl fmt::Display for Step {
    /// For people: "1280x720 in 4 sizes, 30 pictures a second".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(top) = self.rungs.first() {
            write!(f, "{}x{}", top.size.width, top.size.height)?;
        }
        if self.rungs.len() > 1 {
            write!(f, " in {} sizes", self.rungs.len())?;
        }
        write!(f, ", {} pictures a second", self.frames_per_second)
    }
}

impl Step {
    fn weight(&self) -> f32 {
        let pixels: u64 = self.rungs.iter().map(|rung| rung.size.pixels()).sum();
        pixels as f32 * self.frames_per_second as f32
    }
}

/// What composing cost since the last report.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Load {
    /// Processor time per time.
    pub cpu: f32,
    /// Share of the time in which it had something to do: also while others had the processor.
    pub busy: f32,
    /// The latest picture was out so long after its time.
    pub late_us: i64,
    /// Pictures that were not made because there was no time.
    pub left_out: u64,
}

impl Load {
    /// More than one where several threads work.
    fn share(self) -> f32 {
        self.cpu.max(self.busy)
    }

    fn is_late(self) -> bool {
        self.late_us > LATE_MAX_US
    }

    fn is_too_much(self) -> bool {
        self.is_certain() || self.is_late() || self.share() > CPU_MAX
    }

    /// Pictures are left out, or will be.
    fn is_certain(self) -> bool {
        self.left_out > 0 || self.is_late() && self.share() > FULL
    }

    /// The share of its time that it would have taken to make every picture that was `due`.
    fn demand(self, due: f32) -> f32 {
        let share = self.share();
        // Who leaves pictures out and has time did not run, or waited for somebody else.
        if share < FULL {
            return share;
        }
        let made = 1.0 - self.left_out as f32 / due.max(1.0);
        share / made.max(1.0 / DEMAND_MAX)
    }
}

/// Which step to take, the dearest first; behind the last one nothing is composed.
#[derive(Clone, Debug)]
pub struct Cost {
    steps: Vec<Step>,
    at: usize,
    since_us: i64,
    /// When the last report came.
    reported_us: i64,
    too_much: u32,
    /// How long each step has to have gone well before the one above it is tried.
    calm_us: Vec<i64>,
    /// The step that was left last because it was too dear.
    gave_up: Option<usize>,
}

impl Cost {
    /// Steps from full ladders to one small picture, by what they cost; the sizes are those of the ladder.
    pub fn new(ladder: &[Rung], frames_per_second: u32) -> Self {
        let mut steps = Vec::new();
        for first in 0..ladder.len() {
            let ways = [&ladder[first..], &ladder[first..=first]];
            for rungs in ways.into_iter().filter(|rungs| is_watchable(rungs[0])) {
                let step = Step {
                    frames_per_second,
                    rungs: rungs.to_vec(),
                };
                if steps.last() != Some(&step) {
                    steps.push(step);
                }
            }
        }
        if let Some(least) = steps.last().cloned()
            && frames_per_second > 15
        {
            let half = |rung: &Rung| Rung {
                bitrate: Bitrate(rung.bitrate.0 * 2 / 3),
                ..*rung
            };
            steps.push(Step {
                frames_per_second: 15,
                rungs: least.rungs.iter().map(half).collect(),
            });
        }
        Self {
            calm_us: vec![CALM_US; steps.len() + 1],
            steps,
            at: 0,
            since_us: 0,
            reported_us: 0,
            too_much: 0,
            gave_up: None,
        }
    }

    /// Begins with the step of this [`number`](Self::number), which others carried.
    #[must_use]
    pub fn beginning_at(mut self, number: usize) -> Self {
        self.at = number.min(self.steps.len().saturating_sub(1));
        self.calm_us[..=self.at].fill(CALM_AT_FIRST_US);
        self
    }

    /// How many steps are dearer than the one there is.
    pub fn number(&self) -> usize {
        self.at
    }

    /// All of them, the dearest first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What to compose; none: nothing, that is too much for this machine.
    pub fn step(&self) -> Option<&Step> {
        self.steps.get(self.at)
    }

    /// The step above the present one that was too much, if one was.
    pub fn too_dear(&self) -> Option<&Step> {
        let above = self.gave_up.filter(|step| *step < self.at);
        above.and_then(|step| self.steps.get(step))
    }

    /// Composing goes on with the step there is, whatever was before: what was measured until now says nothing any more.
    pub fn begin(&mut self, now_us: i64) {
        self.since_us = now_us;
        self.reported_us = now_us;
        self.too_much = 0;
    }

    /// The step before was too much, or there is room for a better one. True when another step is to be taken.
    pub fn observe(&mut self, now_us: i64, load: Load) -> bool {
        let Some(step) = self.steps.get(self.at) else {
            return self.pass_time(now_us);
        };
        let passed_us = now_us - std::mem::replace(&mut self.reported_us, now_us);
        if now_us - self.since_us < FIRST_US {
            return false;
        }
        let is_last = self.at + 1 == self.steps.len();
        let is_too_much = match is_last {
            true => load.is_certain(),
            false => load.is_too_much(),
        };
        if !is_too_much {
            self.too_much = 0;
            return !load.is_too_much() && self.rise(now_us, load);
        }
        self.too_much += 1;
        let is_believed = match is_last {
            true => self.too_much >= TOO_MUCH_AT_LAST,
            false => self.too_much >= TOO_MUCH || load.is_certain(),
        };
        if !is_believed {
            return false;
        }
        let due = step.frames_per_second as f32 * passed_us as f32 / 1e6;
        self.fall(now_us, load.demand(due));
        true
    }

    /// Nothing is composed, so nobody reports. True when it is to be tried again.
    pub fn pass_time(&mut self, now_us: i64) -> bool {
        let nothing = self.at >= self.steps.len() && !self.steps.is_empty();
        let tries = nothing && now_us - self.since_us >= self.calm_us[self.at];
        if tries {
            self.move_to(self.at - 1, now_us);
        }
        tries
    }

    /// To the best step below that may be carried.
    fn fall(&mut self, now_us: i64, demand: f32) {
        let least = self.steps.len() - 1;
        let below = (self.at + 1..=least)
            .find(|step| demand * self.encoded(*step) <= CPU_MAX)
            .unwrap_or(least)
            .max(self.at + 1);
        self.gave_up = Some(self.at);
        // Whatever was left for what is too much waits longer the next time.
        for calm_us in &mut self.calm_us[self.at + 1..=below] {
            *calm_us = (*calm_us * 2).clamp(2 * CALM_US, CALM_MAX_US);
        }
        self.move_to(below, now_us);
    }

    /// To the best step above for which there is room. Nothing leaps over one that was too much before.
    fn rise(&mut self, now_us: i64, load: Load) -> bool {
        if self.at == 0 || now_us - self.since_us < self.calm_us[self.at] {
            return false;
        }
        let left = (1..=self.at).rfind(|step| self.calm_us[*step] > CALM_US);
        let best = left.unwrap_or(0).min(self.at - 1);
        let decoding = DECODING * self.encoded(0);
        let above = (best..self.at).find(|step| {
            let expected = (self.encoded(*step) + decoding) / (1.0 + decoding);
            load.share() * expected <= CPU_ROOM
        });
        if let Some(above) = above {
            self.move_to(above, now_us);
        }
        above.is_some()
    }

    /// How much a step encodes of what the present one does.
    fn encoded(&self, step: usize) -> f32 {
        self.steps[step].weight() / self.steps[self.at].weight()
    }

    fn move_to(&mut self, at: usize, now_us: i64) {
        self.at = at;
        self.begin(now_us);
    }
}

/// Smaller ones are rungs for bad networks, and not the best that anybody gets.
fn is_watchable(rung: Rung) -> bool {
    let VideoSize { width, height } = rung.size;
    width.min(height) >= 240
}
