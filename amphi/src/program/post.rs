//! What a program is told, other than frames: what is wanted of it, and who is on stage.
//!
//! Not a queue: of each thing the newest is kept, so that a program which is busy for a while is told how things are
//! when it looks, and nothing that somebody decided is lost because somebody else talked a lot.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use amphi_media::{Caption, TrackId};
use amphi_room::Wish;
use amphi_studio::Input;
use crossbeam_channel::{Receiver, Sender};

use super::held;
use crate::egress::record::Order;

/// Tracks that something happened to since the program last looked: four for each member of a full room. More than
/// that is not a busy program but a dead one.
const TRACKS_MAX: usize = 4_096;

/// Captions that were not taken yet: half a minute of a stage where all talk at once. Beyond it the oldest goes, and is counted.
const CAPTIONS_MAX: usize = 64;

/// One thing that a program is told.
pub enum Control {
    Input(Input),
    Caption(Caption),
    Switch(Switch),
}

/// What is wanted of the program.
pub enum Switch {
    /// On air under this epoch, or off air.
    Broadcast(Option<u64>),
    Record(Option<Box<Order>>),
    /// Another program.
    Wish(Wish),
}

/// Takes what a program is to be told; never blocks longer than it takes to put it down.
pub struct Post {
    waiting: Arc<Mutex<Waiting>>,
    bell: Sender<()>,
}

/// The program's end: look into it whenever the bell rings. The bell ends when nobody can tell anything any more.
pub struct Letters {
    pub bell: Receiver<()>,
    waiting: Arc<Mutex<Waiting>>,
}

/// The program has not looked for so long that there is no place for what happens on stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

#[derive(Default)]
struct Waiting {
    /// The newest of each track: that it is there, or gone.
    stage: BTreeMap<TrackId, Input>,
    speakers: Option<Input>,
    /// In the order in which they were said.
    captions: VecDeque<Caption>,
    /// How many of them had no place.
    captions_dropped: u64,
    wish: Option<Wish>,
    broadcast: Option<Option<u64>>,
    record: Option<Option<Box<Order>>>,
}

pub fn post() -> (Post, Letters) {
    let (bell, rung) = crossbeam_channel::bounded(1);
    let waiting = Arc::<Mutex<Waiting>>::default();
    let letters = Letters {
        bell: rung,
        waiting: waiting.clone(),
    };
    (Post { waiting, bell }, letters)
}

impl Post {
    /// # Errors
    /// [`Full`] when the program is to be given up. Only tracks can bring that about; switches and speakers always
    /// have their place.
    pub fn put(&self, control: Control) -> Result<(), Full> {
        let mut waiting = held(&self.waiting);
        match control {
            Control::Switch(Switch::Broadcast(wanted)) => waiting.broadcast = Some(wanted),
            // An order that was not begun yet has no file: ending it is the same as never having given it.
            Control::Switch(Switch::Record(wanted)) => waiting.record = Some(wanted),
            Control::Switch(Switch::Wish(wish)) => waiting.wish = Some(wish),
            Control::Caption(caption) => {
                if waiting.captions.len() >= CAPTIONS_MAX {
                    waiting.captions.pop_front();
                    waiting.captions_dropped += 1;
                }
                waiting.captions.push_back(caption);
            }
            Control::Input(input) => match &input {
                Input::Track(track) => waiting.put_track(track.track, input)?,
                Input::TrackGone { track } => waiting.put_track(*track, input)?,
                Input::Speakers(_) => waiting.speakers = Some(input),
                // They have a queue of their own, or the program's thread knows of them first.
                Input::Frame(_)
                | Input::NeedKeyFrame
                | Input::Kind(_)
                | Input::ComposerReady
                | Input::ComposerGone
                | Input::Composed(_)
                | Input::Ladder { .. }
                | Input::Timeout => {}
            },
        }
        drop(waiting);
        // It has rung already, or nobody listens any more.
        let _ = self.bell.try_send(());
        Ok(())
    }
}

impl Letters {
    /// Captions that had no place since this was asked.
    pub fn captions_dropped(&self) -> u64 {
        std::mem::take(&mut held(&self.waiting).captions_dropped)
    }

    /// Everything that was put down since: the stage first, so that what goes on air is what is there.
    pub fn take(&self) -> Vec<Control> {
        let mut kept = held(&self.waiting);
        let next = Waiting {
            captions_dropped: kept.captions_dropped,
            ..Waiting::default()
        };
        let waiting = std::mem::replace(&mut *kept, next);
        drop(kept);
        let inputs = waiting.stage.into_values().chain(waiting.speakers);
        let captions = waiting.captions.into_iter().map(Control::Caption);
        let wish = waiting.wish.map(Switch::Wish);
        let broadcast = waiting.broadcast.map(Switch::Broadcast);
        let switches = wish
            .into_iter()
            .chain(broadcast)
            .chain(waiting.record.map(Switch::Record));
        inputs
            .map(Control::Input)
            .chain(captions)
            .chain(switches.map(Control::Switch))
            .collect()
    }
}

impl Waiting {
    fn put_track(&mut self, track: TrackId, input: Input) -> Result<(), Full> {
        if self.stage.len() >= TRACKS_MAX && !self.stage.contains_key(&track) {
            return Err(Full);
        }
        self.stage.insert(track, input);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use amphi_media::Layout;

    use super::*;

    fn gone(track: u32) -> Control {
        let track = TrackId(track);
        Control::Input(Input::TrackGone { track })
    }

    fn words(letters: &Letters) -> Vec<String> {
        let word = |control| match control {
            Control::Input(Input::TrackGone { track }) => format!("gone {}", track.0),
            Control::Input(Input::Speakers(speakers)) => format!("{} speak", speakers.len()),
            Control::Input(_) => "?".to_owned(),
            Control::Caption(caption) => caption.text,
            Control::Switch(Switch::Broadcast(epoch)) => format!("broadcast {epoch:?}"),
            Control::Switch(Switch::Record(order)) => format!("record {}", order.is_some()),
            Control::Switch(Switch::Wish(wish)) => wish.layout.name().to_owned(),
        };
        letters.take().into_iter().map(word).collect()
    }

    #[test]
    fn of_each_thing_the_newest_is_told_and_the_bell_rings_once() {
        let (post, letters) = post();
        for control in [
            Control::Switch(Switch::Broadcast(Some(1))),
            gone(2),
            Control::Input(Input::Speakers(vec![(TrackId(2), 0.5)])),
            Control::Switch(Switch::Record(None)),
            Control::Switch(Switch::Broadcast(None)),
            gone(1),
            Control::Switch(Switch::Wish(Wish {
                layout: Layout::Speaker,
                ..Wish::default()
            })),
            Control::Input(Input::Speakers(Vec::new())),
            Control::Switch(Switch::Wish(Wish {
                layout: Layout::Grid,
                ..Wish::default()
            })),
            gone(2),
        ] {
            assert_eq!(post.put(control), Ok(()));
        }
        assert_eq!(letters.bell.try_iter().count(), 1);
        let told = [
            "gone 1",
            "gone 2",
            "0 speak",
            "grid",
            "broadcast None",
            "record false",
        ];
        assert_eq!(words(&letters), told);
        assert!(words(&letters).is_empty());
    }

    #[test]
    fn of_too_many_captions_the_newest_are_told_in_their_order() {
        let (post, letters) = post();
        for number in 0..CAPTIONS_MAX + 2 {
            let caption = Caption::new("Ada", &number.to_string()).expect("words");
            assert_eq!(post.put(Control::Caption(caption)), Ok(()));
        }
        let told = words(&letters);
        assert_eq!((told.len(), told[0].as_str()), (CAPTIONS_MAX, "2"));
        assert_eq!(
            (letters.captions_dropped(), letters.captions_dropped()),
            (2, 0)
        );
    }

    #[test]
    fn a_flood_takes_no_switch_its_place_and_a_stage_without_end_is_refused() {
        let (post, letters) = post();
        for track in 0..u32::try_from(TRACKS_MAX).expect("small") {
            assert_eq!(post.put(gone(track)), Ok(()));
            assert_eq!(
                post.put(Control::Input(Input::Speakers(Vec::new()))),
                Ok(())
            );
        }
        assert_eq!(post.put(gone(u32::MAX)), Err(Full));
        assert_eq!(post.put(gone(1)), Ok(()), "it has its place already");
        assert_eq!(
            post.put(Control::Switch(Switch::Broadcast(Some(7)))),
            Ok(())
        );
        let told = words(&letters);
        assert_eq!(told.len(), TRACKS_MAX + 2);
        assert_eq!(told.last().map(String::as_str), Some("broadcast Some(7)"));
        assert_eq!(post.put(gone(u32::MAX)), Ok(()), "who has looked has place");
    }
}
