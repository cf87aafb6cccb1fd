//! The scenario "call": people join, publish, mute, unsubscribe, lose and regain what they may do, and leave.

use std::fmt;
use std::time::Duration;

use peer::{Codec, Form, Source};

use crate::network::Weather;
use crate::random::Random;

/// How long people do things; then all is quiet until the end.
pub const BUSY: Duration = Duration::from_secs(20);
/// How long the quiet lasts. Long enough for what was lost on the way to be asked for again.
pub const QUIET: Duration = Duration::from_secs(12);

/// What one person does, and when, from the beginning of the world.
#[derive(Clone, Debug)]
pub struct Step {
    pub at: Duration,
    pub person: usize,
    pub act: Act,
}

/// What does not apply when its time comes (muting what was never published) does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Again after having left: as a new member. While still there: the older one has to go.
    Join,
    Publish(Source, Codec),
    /// The newest publication of this source.
    Unpublish(Source),
    Mute(Source, bool),
    /// Somebody else's newest publication of this source.
    Subscribe {
        whose: usize,
        source: Source,
        on: bool,
    },
    Pause {
        whose: usize,
        source: Source,
        paused: bool,
    },
    /// The house takes away or gives back: publishing from this source, or subscribing at all.
    Grant {
        source: Source,
        on: bool,
    },
    GrantSubscribing(bool),
    /// A moderator sends the member away.
    Remove,
    /// With a goodbye: only while the socket is open.
    Leave,
    /// The socket breaks and comes back a little later, for the same member.
    CutSocket,
}

/// One person's way of being there.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub form: Form,
    /// Of the two rooms there are.
    pub room: usize,
    pub weather: Weather,
}

/// Everything that the world does by itself.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub people: Vec<Person>,
    /// In order of time.
    pub steps: Vec<Step>,
}

const SOURCES: [Source; 3] = [Source::Microphone, Source::Camera, Source::Screen];

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + random.below(4) as usize;
        let mut people: Vec<Person> = Vec::new();
        let mut steps = Vec::new();
        for person in 0..count {
            people.push(Person {
                form: random.pick(&[Form::Single, Form::Single, Form::Pair]),
                // Mostly one room; somebody in the other one must never hear of the first.
                room: usize::from(count > 2 && random.per_mille(200)),
                weather: Weather::of(&mut random),
            });
            let join = random.duration(Duration::ZERO, Duration::from_secs(3));
            steps.push(Step {
                at: join,
                person,
                act: Act::Join,
            });
            // Most people have a microphone and a camera on from the start.
            let ready = Duration::from_millis(200);
            if random.per_mille(900) {
                steps.push(Step {
                    at: join + ready,
                    person,
                    act: Act::Publish(Source::Microphone, Codec::Opus),
                });
            }
            if random.per_mille(700) {
                steps.push(Step {
                    at: join + ready,
                    person,
                    act: Act::Publish(Source::Camera, camera(&mut random)),
                });
            }
        }
        for person in 0..count {
            for _ in 0..4 + random.below(8) {
                let at = random.duration(Duration::from_secs(2), BUSY);
                let act = act(&mut random, count, person);
                steps.push(Step { at, person, act });
            }
        }
        steps.sort_by_key(|step| step.at);
        Self {
            seed,
            people,
            steps,
        }
    }
}

/// The story, as text.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (person, about) in self.people.iter().enumerate() {
            writeln!(f, "person {person}: {about:?}")?;
        }
        for step in &self.steps {
            writeln!(
                f,
                "{:>10.3?} person {} {:?}",
                step.at, step.person, step.act
            )?;
        }
        Ok(())
    }
}

fn camera(random: &mut Random) -> Codec {
    random.pick(&[Codec::Vp8, Codec::H264])
}

fn act(random: &mut Random, people: usize, person: usize) -> Act {
    let source = random.pick(&SOURCES);
    let whose = (person + 1 + random.below(people as u64 - 1) as usize) % people;
    match random.below(100) {
        0..18 => Act::Publish(
            source,
            if source == Source::Microphone {
                Codec::Opus
            } else {
                camera(random)
            },
        ),
        18..26 => Act::Unpublish(source),
        26..36 => Act::Mute(source, true),
        36..52 => Act::Mute(source, false),
        52..60 => Act::Subscribe {
            whose,
            source,
            on: false,
        },
        60..68 => Act::Subscribe {
            whose,
            source,
            on: true,
        },
        68..72 => Act::Pause {
            whose,
            source,
            paused: true,
        },
        72..76 => Act::Pause {
            whose,
            source,
            paused: false,
        },
        76..83 => Act::Grant { source, on: false },
        83..89 => Act::Grant { source, on: true },
        89..91 => Act::GrantSubscribing(false),
        91..93 => Act::GrantSubscribing(true),
        93..96 => Act::CutSocket,
        96..97 => Act::Remove,
        97..98 => Act::Leave,
        _ => Act::Join,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_the_same_story_twice() {
        let told = |seed| format!("{:?}", Scenario::new(seed));
        assert_eq!(told(3), told(3));
        assert_ne!(told(3), told(4));
    }
}
