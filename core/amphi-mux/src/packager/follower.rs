//! A lower rung of the ladder. It decides nothing: the top rung says where parts and segments begin and end ([`Span`]), and each of them
//! is filled with what this rung has of that time. So all rungs have the same numbers, times and durations, whatever an encoder
//! leaves out, and a player may change between them at any segment.

use std::collections::VecDeque;

use amphi_media::Sample;
use bytes::Bytes;

use super::{
    Filled, Init, PackagerCounters, Pending, Rendition, Rung, SAMPLE_BYTES_MAX, Span, VIDEO_RATE,
    init,
};
use crate::picture::{self, Parameters, Picture};

/// Pictures that wait for the top rung to say which part they are in: ten seconds of them. It is a part's worth when all is well.
const QUEUED_MAX: usize = 320;
/// Parts that wait for this rung's pictures: four seconds. It is one when all is well.
const SPANS_MAX: usize = 12;
/// A key frame this much after the start of a segment still is its first picture.
const NEAR_TICKS: i64 = VIDEO_RATE as i64 / 10;
/// Own pictures that the top rung may show without one of this rung, before this one is taken for gone: three seconds of them.
/// Lower: who plays a layer that its publisher has switched off sees the top one sooner. Higher: an encoder may leave out more.
const BEHIND_MAX: u32 = 90;

pub(super) struct Follower {
    pub rung: u8,
    /// Pictures that the top rung has shown since the last one of this rung.
    pub behind: u32,
    /// None while it is not in the ladder.
    filling: Option<Rung>,
    generation: u32,
    /// What it began that generation with.
    begun: Option<Parameters>,
    /// Of the newest key frame that came.
    parameters: Option<Parameters>,
    queue: VecDeque<Queued>,
    spans: VecDeque<Span>,
    /// A picture was lost to us: wait for a key frame.
    broken: bool,
    /// An initialization section comes before the next part.
    announce: bool,
}

struct Queued {
    time: i64,
    key: bool,
    picture: Picture,
    /// With a key frame.
    parameters: Option<Parameters>,
}

/// What a lower rung made.
pub(super) enum Made {
    Init(Init),
    Part(Span, Filled),
    Left,
}

impl Follower {
    pub fn new(rung: u8) -> Self {
        Self {
            rung,
            behind: 0,
            filling: None,
            generation: 0,
            begun: None,
            parameters: None,
            queue: VecDeque::new(),
            spans: VecDeque::new(),
            broken: true,
            announce: false,
        }
    }

    /// Of the generation that it is in.
    pub fn init(&self) -> Option<Init> {
        let filling = self.filling.as_ref()?;
        let rendition = Rendition::of_rung(self.rung);
        Some(init(rendition, self.generation, &filling.parameters.entry))
    }

    pub fn push(&mut self, sample: &Sample, counters: &mut PackagerCounters) {
        let key = picture::is_key(&sample.data);
        if self.broken && !key {
            counters.pictures_without_key += 1;
            return;
        }
        let Some((picture, parameters)) = self.read(&sample.data, key) else {
            counters.pictures_refused += 1;
            self.broken = true;
            return;
        };
        if self.queue.len() == QUEUED_MAX {
            counters.pictures_refused += self.queue.len() as u64;
            self.queue.clear();
            self.broken = !key;
            if !key {
                return;
            }
        }
        self.broken = false;
        self.behind = 0;
        self.queue.push_back(Queued {
            time: sample.time.rescale(VIDEO_RATE).ticks.max(0),
            key,
            picture,
            parameters: key.then(|| parameters.clone()),
        });
        self.parameters = Some(parameters);
    }

    fn read(&self, data: &Bytes, key: bool) -> Option<(Picture, Parameters)> {
        if data.len() > SAMPLE_BYTES_MAX {
            return None;
        }
        let own = if key { picture::parameters(data) } else { None };
        let parameters = own.or_else(|| self.parameters.clone())?;
        let picture = picture::picture(data, key, &parameters)?;
        Some((picture, parameters))
    }

    /// The top rung has closed a part.
    pub fn lead(&mut self, span: Span) {
        self.spans.push_back(span);
    }

    /// Closes the next part if all that it can have is there, or it is over by `due`. **Call until there is nothing more.**
    pub fn advance(&mut self, due: i64, counters: &mut PackagerCounters) -> Option<Made> {
        loop {
            let span = *self.spans.front()?;
            let whole = (self.queue.back()).is_some_and(|newest| newest.time >= span.until);
            if !whole && span.end > due && self.spans.len() <= SPANS_MAX {
                return None;
            }
            if self.announce {
                self.announce = false;
                return self.init().map(Made::Init);
            }
            let begins = span.index == 0;
            let silent = begins && self.behind > BEHIND_MAX;
            let must_begin = begins && (span.segment.cut || self.filling.is_none());
            if (must_begin && self.generation_is_new(&span)) || self.filling.is_none() || silent {
                let was = self.filling.take().is_some();
                if begins && !silent && self.begin(&span) {
                    counters.rungs_begun += u64::from(!was);
                    self.announce = true;
                    continue;
                }
                self.spans.pop_front();
                self.pass_over(span.until);
                if was {
                    counters.rungs_left += 1;
                    return Some(Made::Left);
                }
                continue;
            }
            self.spans.pop_front();
            return Some(Made::Part(span, self.fill(&span, counters)));
        }
    }

    /// It has not begun this generation yet.
    fn generation_is_new(&self, span: &Span) -> bool {
        self.filling.is_none() || self.generation != span.segment.generation
    }

    /// Goes on, or joins, with the key frame at the start of the segment, if there is one.
    fn begin(&mut self, span: &Span) -> bool {
        while let Some(first) = self.queue.front() {
            if first.time >= span.until || first.time > span.from + NEAR_TICKS {
                return false;
            }
            let first = self.queue.pop_front().expect("it was at the front");
            let Some(parameters) = first.parameters.filter(|_| first.time >= span.from) else {
                continue;
            };
            let again = self.generation == span.segment.generation;
            if again
                && self
                    .begun
                    .as_ref()
                    .is_some_and(|begun| *begun != parameters)
            {
                // A generation has one initialization section: it may come back at the next cut.
                return false;
            }
            self.begun = Some(parameters.clone());
            let pending = Pending {
                time: span.start,
                key: true,
                own: true,
                picture: first.picture,
            };
            self.filling = Some(Rung::new(parameters, pending));
            self.generation = span.segment.generation;
            return true;
        }
        false
    }

    fn pass_over(&mut self, until: i64) {
        self.queue.retain(|one| one.time >= until);
    }

    /// The part: the held-back picture, what came in its time, and the last of it until its end.
    fn fill(&mut self, span: &Span, counters: &mut PackagerCounters) -> Filled {
        let rung = self
            .filling
            .as_mut()
            .expect("a part is filled of a rung that is in the ladder");
        let begins = span.index == 0;
        while let Some(next) = self.queue.front().filter(|next| next.time < span.until) {
            let earliest = rung.pending.time + i64::from(rung.pending.own);
            let time = next.time.max(earliest);
            if time >= span.end {
                break;
            }
            let next = self.queue.pop_front().expect("it was at the front");
            counters.pictures_late += u64::from(next.time < span.from);
            if (next.parameters.as_ref()).is_some_and(|its| *its != rung.parameters) {
                // Its own discontinuity would no longer be the others': it may begin anew at the next cut.
                counters.pictures_refused += 1;
                self.broken = true;
                let lost = self.queue.iter().take_while(|one| !one.key).count();
                counters.pictures_without_key += lost as u64;
                self.queue.drain(..lost);
                continue;
            }
            if time > rung.pending.time {
                counters.groups_repeated += u64::from(rung.take_pending(time, begins));
            }
            rung.pending = Pending {
                time,
                key: next.key,
                own: true,
                picture: next.picture,
            };
        }
        counters.pictures_held += u64::from(!rung.pending.own);
        counters.groups_repeated += u64::from(rung.take_pending(span.end, begins));
        rung.hold(span.end);
        rung.take_part()
    }
}
