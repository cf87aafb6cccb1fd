//! How much of the picture a machine carries: a ladder of costs, down before pictures are left out, up again when there is room.
//!
//! A pure value: it is told about once a second what composing cost, and says when to take another step.

use std::fmt;

use amphi_media::{Bitrate, VideoSize};

use crate::composer::Rung;

/// Processor time per second above which a step is too dear: one thread composes, and it must not wait for itself.
pub const CPU_MAX: f32 = 0.85;

/// A picture that is so late was not made in its time.
const LATE_MAX_US: i64 = 150_000;

/// So many reports in a row that say "too much" are believed: one may be a burst of somebody else's work.
const TOO_MUCH: u32 = 3;

/// How long a step must have gone well before the next better one is tried; doubled each time that one failed.
const CALM_US: i64 = 30_000_000;
const CALM_MAX_US: i64 = 960_000_000;

/// What the better step is expected to take, by the pixels that it encodes, must be below this to be tried.
const CPU_ROOM: f32 = 0.6;

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
    /// The latest picture was out so long after its time.
    pub late_us: i64,
    /// Pictures that were not made because there was no time.
    pub left_out: u64,
}

impl Load {
    fn is_too_much(self) -> bool {
        self.left_out > 0 || self.late_us > LATE_MAX_US || self.cpu > CPU_MAX
    }
}

/// Which step to take, the dearest first; behind the last one nothing is composed.
#[derive(Clone, Debug)]
pub struct Cost {
    steps: Vec<Step>,
    at: usize,
    since_us: i64,
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
            too_much: 0,
            gave_up: None,
        }
    }

    /// All of them, the dearest first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What to compose; none: nothing, that is too much for this machine.
    pub fn step(&self) -> Option<&Step> {
        self.steps.get(self.at)
    }

    /// The step that was too much, if one was.
    pub fn too_dear(&self) -> Option<&Step> {
        self.gave_up.and_then(|step| self.steps.get(step))
    }

    /// Composing goes on with the step there is, whatever was before: what was measured until now says nothing any more.
    pub fn begin(&mut self, now_us: i64) {
        self.since_us = now_us;
        self.too_much = 0;
    }

    /// The step before was too much, or there is room for a better one. True when another step is to be taken.
    pub fn observe(&mut self, now_us: i64, load: Load) -> bool {
        if self.at >= self.steps.len() {
            return self.pass_time(now_us);
        }
        // The first moments are of decoders that begin.
        if now_us - self.since_us < 2_000_000 {
            return false;
        }
        if !load.is_too_much() {
            self.too_much = 0;
            return self.rise(now_us, Some(load));
        }
        self.too_much += 1;
        if self.too_much < TOO_MUCH {
            return false;
        }
        self.gave_up = Some(self.at);
        // If the step below was left for this one, it waits longer the next time.
        let below = self.at + 1;
        self.calm_us[below] = (self.calm_us[below] * 2).min(CALM_MAX_US);
        self.move_to(below, now_us);
        true
    }

    /// Nothing is composed, so nobody reports. True when it is to be tried again.
    pub fn pass_time(&mut self, now_us: i64) -> bool {
        self.at >= self.steps.len() && !self.steps.is_empty() && self.rise(now_us, None)
    }

    fn rise(&mut self, now_us: i64, load: Option<Load>) -> bool {
        if self.at == 0 || now_us - self.since_us < self.calm_us[self.at] {
            return false;
        }
        let above = &self.steps[self.at - 1];
        let expected = self.step().zip(load).map_or(0.0, |(step, load)| {
            load.cpu * above.weight() / step.weight()
        });
        if expected > CPU_ROOM {
            return false;
        }
        self.move_to(self.at - 1, now_us);
        true
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
