//! Everybody who is shown, drawn into one picture and encoded once per rung of the ladder.
//!
//! Time is that of the programme, in microseconds: the picture for an instant is made [`PICTURE_DELAY_US`] after it, so that late
//! frames still come in time. Each source is shown by its newest frame up to half a picture after that instant, so that a frame is
//! never further than that from its own time, whichever way: lips stay with the sound also where few pictures a second are made.
//! Work that nobody would see is not done: a source without a cell is not decoded, a cell without a new frame is not drawn,
//! an instant in which nothing changed is not encoded.
//!
//! It is a value of its own beside [`crate::Program`], which feeds it: what decodes strangers' bitstreams can so be put where it
//! can break without harm, into another process.

mod faces;
mod fade;
mod io;
mod ladder;
mod overlay;
mod people;
mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amphi_media::{TrackId, VideoSize};

use crate::canvas::{Canvas, Colour, Scaler, Stamp};
use crate::layout::{self, Area, Guest};
use crate::lettering::Lettering;
use crate::{Counters, VideoCodecs};
use faces::Face;
use fade::Fade;
pub use io::{Described, Input, Look, Output, RUNGS_MAX, Rung};
use ladder::{Ladder, Moment};
use overlay::Overlay;
use people::{People, Shown};
use source::{Arrived, Seat};

/// How long after an instant its picture is made. A frame that comes later is shown with the next one. Everybody who watches pays for it;
/// it is three pictures, which is what a sender's pacing and one resending on a near network take.
pub const PICTURE_DELAY_US: i64 = 100_000;

/// Tracks that are followed.
const TRACKS_MAX: usize = 512;

/// How often the composed picture has a key frame: a segment of the broadcast starts there.
const KEY_INTERVAL_US: i64 = 2_000_000;

/// Instants that are made up for when time has jumped; the others are left out.
const TICKS_BEHIND_MAX: i64 = 15;

/// Where somebody is on the canvas, and what is seen there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cell {
    seat: Seat,
    track: Option<TrackId>,
    area: Area,
    card: bool,
    /// A card stands for a picture that is not taken for one any more, and is taken off when another one comes.
    frozen: bool,
}

impl Cell {
    fn has_card(&self) -> bool {
        self.card || self.frozen
    }
}

/// Three verbs, on programme time: **after every `handle_input`, drain `poll_output`; come back with [`Input::Timeout`] at
/// `poll_timeout`.** Before the first [`Look`] nothing comes out.
pub struct Composer {
    codecs: VideoCodecs,
    lettering: Box<dyn Lettering>,
    scaler: Scaler,
    people: People,
    show: Option<Show>,
    outputs: VecDeque<Output>,
    counters: Counters,
    failed: bool,
}

/// One look, while it lasts.
struct Show {
    look: Look,
    fps: i64,
    ladder: Ladder,
    canvas: Canvas,
    /// What the canvas was before the cells moved.
    before: Canvas,
    cells: Vec<Cell>,
    /// The cells are those of `before`, which is of another look.
    moved: bool,
    /// The cells moved a moment ago.
    fade: Option<Fade>,
    overlay: Overlay,
    /// What is laid over each cell, and of whom: drawn again over every picture.
    labels: BTreeMap<Seat, (Option<Face>, Option<Stamp>)>,
    /// Around whom there is a ring.
    rings: BTreeSet<Seat>,
    wanted: BTreeMap<TrackId, VideoSize>,
    /// Somebody's picture is drawn in another size, or may be.
    sizes_changed: bool,
    /// Number of the next instant.
    tick: i64,
    changed: bool,
    key_us: Option<i64>,
    key_wanted: bool,
    /// The next picture is the first of its encoders.
    cut: bool,
}

impl Composer {
    pub fn new(codecs: VideoCodecs, lettering: Box<dyn Lettering>) -> Self {
        Self {
            codecs,
            lettering,
            scaler: Scaler::default(),
            people: People::default(),
            show: None,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            failed: false,
        }
    }

    pub fn handle_input(&mut self, now_us: i64, input: Input) {
        if self.failed {
            return;
        }
        match input {
            Input::Look(look) => self.set_look(now_us, look),
            Input::Track(track) => self.people.set_track(track, &mut self.counters),
            Input::TrackGone { track } => self.people.remove_track(track),
            Input::Frame {
                track,
                codec,
                time_us,
                key,
                contiguous,
                data,
            } => {
                let film = self.people.films.get_mut(&track);
                let Some(film) = film.filter(|film| !film.muted) else {
                    self.counters.frames_unknown += 1;
                    return;
                };
                let frame = Arrived {
                    codec,
                    time_us,
                    key,
                    contiguous,
                    data,
                };
                film.push(frame, &mut self.counters);
            }
            Input::Speakers(speakers) => self.people.set_speakers(speakers),
            Input::NeedKeyFrame => {
                if let Some(show) = &mut self.show {
                    show.key_wanted = true;
                }
            }
            Input::Timeout => {}
        }
        self.compose(now_us);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Programme time at which the next picture is made.
    pub fn poll_timeout(&self) -> Option<i64> {
        let show = self.show.as_ref().filter(|_| !self.failed)?;
        Some(show.next_due_us())
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn set_look(&mut self, now_us: i64, look: Look) {
        if let Some(show) = &mut self.show
            && show.look.rungs == look.rungs
            && show.look.frames_per_second == look.frames_per_second
        {
            // Other cells on the same canvas.
            if (&show.look.title, &show.look.logo) != (&look.title, &look.logo) {
                show.overlay = Overlay::new(&look, show.canvas.size(), &mut *self.lettering);
                show.changed = true;
            }
            show.sizes_changed |= show.look.fit != look.fit;
            show.look = look;
            return;
        }
        let Some(top) = look.rungs.first() else {
            return self.fail("A composed picture needs a size.".to_owned());
        };
        let canvas = Canvas::new(top.size, backdrop());
        // There are never two ladders at a time: what encodes outside may be scarce.
        if let Some(show) = &mut self.show {
            show.ladder.end();
        }
        let ladder = match Ladder::new(&look, &mut self.codecs.encoders) {
            Ok(ladder) => ladder,
            Err(reason) => return self.fail(reason),
        };
        let fps = i64::from(look.frames_per_second.clamp(1, 60));
        // From now on, and after everything that was made before.
        let made_us = self.show.as_ref().map(|show| show.tick_us(show.tick));
        let from_us = made_us.map_or(now_us - PICTURE_DELAY_US, |made_us| {
            made_us.max(now_us - PICTURE_DELAY_US)
        });
        let before = self.show.take();
        let shown_before = before.as_ref().is_some_and(|show| show.key_us.is_some());
        let (before, cells, wanted) = before.map_or_else(
            || (canvas.clone(), Vec::new(), BTreeMap::new()),
            |show| (show.canvas, show.cells, show.wanted),
        );
        let overlay = Overlay::new(&look, canvas.size(), &mut *self.lettering);
        self.show = Some(Show {
            fps,
            ladder,
            overlay,
            before,
            canvas,
            cells,
            moved: true,
            fade: None,
            labels: BTreeMap::new(),
            rings: BTreeSet::new(),
            wanted,
            sizes_changed: true,
            tick: (from_us.max(0) * fps).div_euclid(1_000_000) + 1,
            changed: true,
            key_us: None,
            key_wanted: shown_before,
            cut: shown_before,
            look,
        });
    }

    fn fail(&mut self, reason: String) {
        self.failed = true;
        self.outputs.push_back(Output::Failed { reason });
    }

    /// Makes the pictures that are due.
    fn compose(&mut self, now_us: i64) {
        let Some(show) = &mut self.show else { return };
        show.ladder.collect(&mut self.counters, &mut self.outputs);
        if show.ladder.must_be_replaced()
            && let Err(reason) = show.replace_encoders(&mut self.codecs, &mut self.counters)
        {
            return self.fail(reason);
        }
        let newest = (now_us - PICTURE_DELAY_US) * show.fps / 1_000_000;
        if newest - show.tick > TICKS_BEHIND_MAX {
            let left_out = newest - TICKS_BEHIND_MAX - show.tick;
            self.counters.ticks_left_out += u64::try_from(left_out).unwrap_or(0);
            show.tick += left_out;
        }
        while show.next_due_us() <= now_us {
            let at_us = show.tick_us(show.tick);
            show.tick += 1;
            self.people.follow_speakers(at_us);
            show.arrange(
                at_us,
                &mut self.people,
                &mut *self.lettering,
                &mut self.scaler,
                &mut self.counters,
            );
            for (track, film) in &mut self.people.films {
                if film.asks(now_us) {
                    self.counters.key_frame_requests += 1;
                    self.outputs
                        .push_back(Output::NeedKeyFrame { track: *track });
                }
            }
            show.name_people(&self.people, &mut *self.lettering);
            let (until_us, fit) = (at_us + show.half_us(), show.look.fit);
            for cell in &show.cells {
                let Some(film) = cell
                    .track
                    .filter(|_| !cell.has_card())
                    .and_then(|track| self.people.films.get_mut(&track))
                else {
                    continue;
                };
                let (canvas, scaler, changed) =
                    (&mut show.canvas, &mut self.scaler, &mut show.changed);
                let (area, label) = (cell.area, show.labels.get(&cell.seat));
                let size = film.size;
                film.decode_until(
                    until_us,
                    &mut self.codecs.decoders,
                    &mut self.counters,
                    &mut |source, picture| {
                        let (taken, filled) = layout::placed(fit, source, picture.size(), area);
                        if filled != area {
                            canvas.fill(area, Colour::BLACK);
                        }
                        canvas.draw(picture, taken, filled, scaler);
                        if let Some((_, Some(stamp))) = label {
                            canvas.stamp(stamp, faces::corner(area, stamp.size()));
                        }
                        *changed = true;
                    },
                );
                show.sizes_changed |= film.size != size;
            }
            show.ask_for_sizes(&self.people, &mut self.outputs);
            show.encode(
                at_us,
                &mut self.scaler,
                &mut self.counters,
                &mut self.outputs,
            );
        }
        if show.ladder.is_broken() {
            self.fail("The encoder of the program's picture fails again and again.".to_owned());
        }
    }
}

impl Show {
    fn next_due_us(&self) -> i64 {
        self.tick_us(self.tick) + PICTURE_DELAY_US
    }

    fn tick_us(&self, tick: i64) -> i64 {
        tick * 1_000_000 / self.fps
    }

    /// Half of the time for which a picture is shown.
    fn half_us(&self) -> i64 {
        500_000 / self.fps
    }

    /// Goes on with other encoders, at a cut, since one of those there were broke.
    fn replace_encoders(
        &mut self,
        codecs: &mut VideoCodecs,
        counters: &mut Counters,
    ) -> Result<(), String> {
        counters.encoders_replaced += 1;
        counters.ticks_left_out += self.ladder.left_out();
        // First of all, since who makes encoders may learn from how these end.
        self.ladder.end();
        self.ladder = Ladder::new(&self.look, &mut codecs.encoders)?;
        self.cut = self.key_us.is_some();
        self.key_wanted = self.cut;
        self.changed = true;
        Ok(())
    }

    /// Who is shown and where; moves what is on the canvas when that is not as it was.
    fn arrange(
        &mut self,
        at_us: i64,
        people: &mut People,
        lettering: &mut dyn Lettering,
        scaler: &mut Scaler,
        counters: &mut Counters,
    ) {
        let (shown, lead) = people.shown();
        let until_us = at_us + self.half_us();
        let guests: Vec<Guest> = shown.iter().map(|shown| shown.guest).collect();
        let cells: Vec<Cell> = layout::cells(self.look.layout, self.canvas.size(), &guests, lead)
            .into_iter()
            .filter_map(|layout::Cell { guest, area, card }| {
                let Shown { seat, track, .. } = shown.get(guest)?;
                let film = track.and_then(|track| people.films.get(&track));
                Some(Cell {
                    seat: *seat,
                    track: *track,
                    area,
                    card: card || track.is_none(),
                    frozen: film.is_some_and(|film| film.is_frozen(until_us)),
                })
            })
            .collect();
        if cells == self.cells && !self.moved {
            return;
        }
        counters.layouts += 1;
        self.rearrange(&cells, people, lettering, scaler);
        // The first picture that anybody sees is whole.
        if self.key_us.is_some() && !self.cut {
            let fade = Fade::new(at_us, self.fade.take(), &self.before);
            self.fade = Some(fade).filter(|fade| fade.size() == self.canvas.size());
        }
        for (track, film) in &mut people.films {
            let cell = cells
                .iter()
                .find(|cell| cell.track == Some(*track) && !cell.card);
            film.set_visible(cell.is_some());
        }
        self.sizes_changed = true;
        self.cells = cells;
    }

    /// Says in which size each film should come, where that has changed.
    fn ask_for_sizes(&mut self, people: &People, out: &mut impl Extend<Output>) {
        if !std::mem::take(&mut self.sizes_changed) {
            return;
        }
        for (track, film) in &people.films {
            let cell = self
                .cells
                .iter()
                .find(|cell| cell.track == Some(*track) && !cell.card);
            let size = cell.map_or(VideoSize::default(), |cell| match film.size {
                Some(size) => layout::wanted(self.look.fit, film.source, size, cell.area),
                None => cell.area.size(),
            });
            if self.wanted.insert(*track, size) != Some(size) {
                let track = *track;
                out.extend([Output::Wanted { track, size }]);
            }
        }
        self.wanted
            .retain(|track, _| people.films.contains_key(track));
    }

    /// What is in a cell already moves with it, so that nobody is dark until the next frame comes: a screen may not change for
    /// a minute.
    fn rearrange(
        &mut self,
        cells: &[Cell],
        people: &People,
        lettering: &mut dyn Lettering,
        scaler: &mut Scaler,
    ) {
        self.changed = true;
        if !std::mem::take(&mut self.moved) {
            if self.before.size() != self.canvas.size() {
                self.before = self.canvas.clone();
            }
            std::mem::swap(&mut self.canvas, &mut self.before);
        }
        self.canvas.fill(Area::of(self.canvas.size()), backdrop());
        for cell in cells {
            let alike = |cell: &Cell| (cell.seat, cell.track, cell.has_card());
            let was = self.cells.iter().find(|was| alike(was) == alike(cell));
            match (was.filter(|was| !was.has_card()), self.before.picture()) {
                (Some(was), Some(before)) => {
                    self.canvas.draw(&before, was.area, cell.area, scaler);
                }
                _ => {
                    draw_card(&mut self.canvas, cell, people, lettering);
                    // Its name is under the card.
                    self.labels.remove(&cell.seat);
                }
            }
        }
        self.rings.clear();
        self.labels
            .retain(|seat, _| cells.iter().any(|cell| cell.seat == *seat));
    }

    /// Writes who is who: names once per change, a ring around who speaks.
    fn name_people(&mut self, people: &People, lettering: &mut dyn Lettering) {
        for cell in &self.cells {
            let Seat::Person(member) = cell.seat else {
                continue;
            };
            let face = face_of(people, cell);
            if self
                .labels
                .get(&cell.seat)
                .is_none_or(|(known, _)| *known != face)
            {
                let stamp = face.as_ref().and_then(|face| faces::label(face, lettering));
                if cell.has_card() {
                    draw_card(&mut self.canvas, cell, people, lettering);
                }
                if let Some(stamp) = &stamp {
                    let place = faces::corner(cell.area, stamp.size());
                    self.canvas.stamp(stamp, place);
                }
                self.changed = true;
                self.labels.insert(cell.seat, (face, stamp));
            }
            let speaks = people.speaks(member);
            if speaks != self.rings.contains(&cell.seat) {
                let ring = if speaks {
                    colour(faces::LIMELIGHT)
                } else {
                    backdrop()
                };
                draw_ring(&mut self.canvas, cell.area, ring);
                self.changed = true;
                if speaks {
                    self.rings.insert(cell.seat);
                } else {
                    self.rings.remove(&cell.seat);
                }
            }
        }
    }

    fn encode(
        &mut self,
        at_us: i64,
        scaler: &mut Scaler,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        if self.cells.is_empty() && self.key_us.is_none() && !self.key_wanted {
            // Sound only until somebody is shown.
            return;
        }
        let due = |key_us| at_us - key_us >= KEY_INTERVAL_US;
        let key = self.key_wanted || self.key_us.is_none_or(due);
        // An encoder that still has what changed gets the same again, and lets go of the one before.
        if !self.changed && !key && !self.ladder.owes() {
            counters.ticks_unchanged += 1;
            return;
        }
        let moment = Moment {
            at_us,
            key,
            cut: self.cut,
            repeated: !self.changed && !key,
        };
        self.fade = self.fade.take().filter(|fade| !fade.is_over(at_us));
        let picture = match &mut self.fade {
            Some(fade) => fade.mix(at_us, &self.canvas),
            None => &mut self.canvas,
        };
        self.overlay.put_on(picture);
        let taken = self.ladder.encode(picture, moment, scaler, counters, out);
        self.overlay.take_off(picture);
        if taken {
            // The next picture of a change is another one, also where nobody moves.
            self.changed = self.fade.is_some();
            self.cut = false;
            if key {
                self.key_us = Some(at_us);
                self.key_wanted = false;
            }
        }
    }
}

/// What is told of who sits there; nothing of a screen, which has its owner beside it.
fn face_of(people: &People, cell: &Cell) -> Option<Face> {
    let Seat::Person(member) = cell.seat else {
        return None;
    };
    Some(Face {
        name: people.name(member).to_owned(),
        muted: people.is_muted(member),
        size: cell.area.size(),
    })
}

/// A cell without a picture. Its name is laid over it as over a picture.
fn draw_card(canvas: &mut Canvas, cell: &Cell, people: &People, lettering: &mut dyn Lettering) {
    canvas.fill(cell.area, colour(faces::CARD));
    if let Some(face) = face_of(people, cell) {
        let stamp = faces::card(&face, lettering);
        canvas.stamp(&stamp, faces::middle(cell.area, stamp.size()));
    }
}

/// In the gap around a cell.
fn draw_ring(canvas: &mut Canvas, cell: Area, colour: Colour) {
    let most = canvas.size();
    // Half of the gap between cells, but at least two pixels.
    let width = (most.width.min(most.height) / 180).max(2) & !1;
    let left = cell.x.saturating_sub(width);
    let top = cell.y.saturating_sub(width);
    let right = (cell.right() + width).min(most.width);
    let bottom = (cell.bottom() + width).min(most.height);
    let side = |x, y, right: u32, bottom: u32| Area {
        x,
        y,
        width: right.saturating_sub(x),
        height: bottom.saturating_sub(y),
    };
    for area in [
        side(left, top, right, cell.y),
        side(left, cell.bottom(), right, bottom),
        side(left, cell.y, cell.x, cell.bottom()),
        side(cell.right(), cell.y, right, cell.bottom()),
    ] {
        canvas.fill(area, colour);
    }
}

fn backdrop() -> Colour {
    colour(faces::BACKDROP)
}

fn colour([red, green, blue]: [u8; 3]) -> Colour {
    Colour::of_rgb(red, green, blue)
}
