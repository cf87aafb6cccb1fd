//! Up to which layer a track is taken by anybody, so that its publisher need not encode what nobody takes (LiveKit calls
//! this dynacast). More is told at once; less only when it has been enough for a while.

use std::time::{Duration, Instant};

use amphi_media::Layer;

/// For how long nobody must have taken a layer before its publisher is told.
/// Lower: its encoder and its uplink are free sooner. Higher: who looks away for a moment finds the picture as it was; an
/// encoder that begins anew costs a key frame and a moment. LiveKit waits as long.
const FALL_AFTER: Duration = Duration::from_secs(5);

/// How long a publisher that was told that nobody takes anything may take to send again. Until then nobody need be told
/// that nothing comes.
const WAKE_WITHIN: Duration = Duration::from_secs(2);

/// What the publisher of one track has been told, and what it will be told later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    told: Option<Layer>,
    falling: Option<Falling>,
    wakes_until: Option<Instant>,
}

/// Less is taken than was told.
#[derive(Clone, Copy, Debug)]
struct Falling {
    /// The most that was taken since it fell.
    most: Option<Layer>,
    at: Instant,
}

impl Default for Demand {
    /// A publisher that was told nothing sends all its layers.
    fn default() -> Self {
        Self {
            told: Some(Layer::HIGH),
            falling: None,
            wakes_until: None,
        }
    }
}

impl Demand {
    /// Layers up to this one are taken. None: nothing is.
    pub(crate) fn told(&self) -> Option<Layer> {
        self.told
    }

    /// Takes note of what is taken as of now. True when the publisher is to be told.
    pub(crate) fn weigh(&mut self, taken: Option<Layer>, now: Instant) -> bool {
        self.wakes_until = self.wakes_until.filter(|until| *until > now);
        if taken >= self.told {
            let rises = taken > self.told;
            if rises && self.told.is_none() {
                self.wakes_until = Some(now + WAKE_WITHIN);
            }
            self.told = taken;
            self.falling = None;
            return rises;
        }
        let falling = self.falling.get_or_insert(Falling {
            most: taken,
            at: now + FALL_AFTER,
        });
        falling.most = falling.most.max(taken);
        if falling.at > now {
            return false;
        }
        self.told = falling.most;
        self.falling = (taken < self.told).then_some(Falling {
            most: taken,
            at: now + FALL_AFTER,
        });
        true
    }

    /// Nothing need come of the track: its publisher believes that nobody takes it, or did a moment ago.
    pub(crate) fn rests(&self, now: Instant) -> bool {
        self.told.is_none() || self.wakes_until.is_some_and(|until| until > now)
    }

    /// When to weigh again. Weighing then puts it off or ends it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let falls = self.falling.map(|falling| falling.at);
        [falls, self.wakes_until].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_layer_is_given_up_only_when_nobody_took_it_all_the_while() {
        let (mut demand, now) = (Demand::default(), start());
        let second = Duration::from_secs(1);
        assert!(!demand.weigh(Some(Layer::LOW), now));
        assert!(!demand.weigh(Some(Layer::MEDIUM), now + second * 2));
        assert!(!demand.weigh(None, now + second * 4));
        assert_eq!(demand.deadline(), Some(now + FALL_AFTER));
        assert!(demand.weigh(None, now + FALL_AFTER));
        assert_eq!(demand.told(), Some(Layer::MEDIUM));
        assert!(demand.weigh(None, now + FALL_AFTER * 2));
        assert_eq!(demand.told(), None);
        assert_eq!(demand.deadline(), None);
    }

    #[test]
    fn who_takes_it_again_in_time_changes_nothing() {
        let (mut demand, now) = (Demand::default(), start());
        assert!(!demand.weigh(None, now));
        assert!(!demand.weigh(Some(Layer::HIGH), now + Duration::from_secs(4)));
        assert_eq!(demand.deadline(), None);
        assert_eq!(demand.told(), Some(Layer::HIGH));
    }

    #[test]
    fn what_is_taken_after_nothing_may_take_a_moment_to_come() {
        let (mut demand, now) = (Demand::default(), start());
        demand.weigh(None, now);
        demand.weigh(None, now + FALL_AFTER);
        let later = now + FALL_AFTER * 3;
        assert!(demand.rests(later));
        assert!(demand.weigh(Some(Layer::LOW), later), "at once");
        assert!(demand.rests(later));
        assert_eq!(demand.deadline(), Some(later + WAKE_WITHIN));
        assert!(!demand.weigh(Some(Layer::LOW), later + WAKE_WITHIN));
        assert!(!demand.rests(later + WAKE_WITHIN));
        assert_eq!(demand.deadline(), None);
    }
}
