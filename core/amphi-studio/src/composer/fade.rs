//! One picture becomes another within a moment, so that nobody jumps into a cell or out of it.

use amphi_media::VideoSize;

use crate::canvas::Canvas;

/// From the last picture before the change to the first one that is wholly after it.
const FADE_US: i64 = 200_000;

pub struct Fade {
    since_us: i64,
    from: Canvas,
    mixed: Canvas,
}

impl Fade {
    /// `before` is what was seen last; where a change comes into another one, it goes on from what was seen of that.
    pub fn new(since_us: i64, running: Option<Fade>, before: &Canvas) -> Self {
        let from = running.map_or_else(|| before.clone(), |fade| fade.mixed);
        Self {
            since_us,
            mixed: from.clone(),
            from,
        }
    }

    pub fn size(&self) -> VideoSize {
        self.from.size()
    }

    pub fn is_over(&self, at_us: i64) -> bool {
        at_us - self.since_us >= FADE_US
    }

    /// What is seen at this instant.
    pub fn mix(&mut self, at_us: i64, to: &Canvas) -> &mut Canvas {
        let passed_us = (at_us - self.since_us).clamp(0, FADE_US);
        // Already the first picture shows some of it.
        let share = (passed_us * 4 + FADE_US) * 256 / (FADE_US * 5);
        self.mixed.mix(&self.from, to, share as u16);
        &mut self.mixed
    }
}
