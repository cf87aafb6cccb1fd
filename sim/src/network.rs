//! What lies between the clients and the house: datagrams are lost, delayed and overtake each other; sockets keep order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::random::Random;

/// No datagram and no message is faster.
pub const DELAY_MIN: Duration = Duration::from_millis(5);

/// How bad one client's network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Datagrams lost in a thousand, each way.
    pub loss_per_mille: u64,
    /// One way, at least [`DELAY_MIN`].
    pub delay: Duration,
    /// On top of the delay, anew for each datagram; those behind a slow one wait with it, as in a router's queue.
    pub jitter: Duration,
    /// Datagrams in a thousand that go another way: they take the jitter's whole length and are overtaken.
    pub stray_per_mille: u64,
}

impl Weather {
    pub fn of(random: &mut Random) -> Self {
        let ms = Duration::from_millis;
        Self {
            loss_per_mille: random.pick(&[0, 0, 5, 20, 50]),
            delay: random.duration(DELAY_MIN, ms(60)),
            jitter: random.duration(ms(0), ms(25)),
            stray_per_mille: random.pick(&[0, 10, 50]),
        }
    }
}

/// Which way on whose link. A client's two directions and its two kinds of traffic do not disturb each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lane {
    DatagramUp(usize),
    DatagramDown(usize),
    SocketUp(usize),
    SocketDown(usize),
}

/// When what is sent arrives, if it does.
pub struct Network {
    seed: Random,
    weather: Vec<Weather>,
    lanes: BTreeMap<Lane, State>,
    /// Nothing is lost any more.
    calm: bool,
    pub datagrams_lost: u64,
}

struct State {
    random: Random,
    /// The last one in the queue arrives at this time, so the next one not before.
    last: Option<Instant>,
}

impl Network {
    pub fn new(seed: Random) -> Self {
        Self {
            seed,
            weather: Vec::new(),
            lanes: BTreeMap::new(),
            calm: false,
            datagrams_lost: 0,
        }
    }

    /// One more client's link, the next in order.
    pub fn add(&mut self, weather: Weather) {
        self.weather.push(weather);
    }

    pub fn calm(&mut self) {
        self.calm = true;
    }

    /// None when it is lost.
    pub fn arrival(&mut self, now: Instant, lane: Lane) -> Option<Instant> {
        let (client, name, is_socket) = match lane {
            Lane::DatagramUp(client) => (client, 1, false),
            Lane::DatagramDown(client) => (client, 2, false),
            Lane::SocketUp(client) => (client, 3, true),
            Lane::SocketDown(client) => (client, 4, true),
        };
        let weather = self.weather[client];
        let seed = &self.seed;
        let state = self.lanes.entry(lane).or_insert_with(|| State {
            random: seed.branch(8 * client as u64 + name),
            last: None,
        });
        let jitter = state.random.duration(Duration::ZERO, weather.jitter);
        let lost = state.random.per_mille(weather.loss_per_mille);
        let strays = state.random.per_mille(weather.stray_per_mille);
        if !is_socket && lost && !self.calm {
            self.datagrams_lost += 1;
            return None;
        }
        if !is_socket && strays {
            return Some(now + weather.delay + 2 * weather.jitter);
        }
        let at = (now + weather.delay + jitter).max(state.last.unwrap_or(now));
        state.last = Some(at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(loss_per_mille: u64) -> Network {
        let mut network = Network::new(Random::new(1));
        let jitter = Duration::from_millis(50);
        network.add(Weather {
            loss_per_mille,
            delay: DELAY_MIN,
            jitter,
            stray_per_mille: 50,
        });
        network
    }

    #[test]
    fn datagrams_overtake_each_other_and_messages_do_not() {
        let start = Instant::now();
        let arrivals = |lane| {
            let mut network = network(0);
            let times = (0..100).map(|n| network.arrival(start + Duration::from_millis(n), lane));
            times.flatten().collect::<Vec<_>>()
        };
        assert!(!arrivals(Lane::DatagramUp(0)).is_sorted());
        assert!(arrivals(Lane::SocketUp(0)).is_sorted());
    }

    #[test]
    fn some_are_lost_until_it_is_calm() {
        let mut network = network(100);
        let start = Instant::now();
        let arrived = (0..1_000)
            .filter(|_| network.arrival(start, Lane::DatagramDown(0)).is_some())
            .count();
        assert!((850..950).contains(&arrived), "{arrived}");
        assert_eq!(network.datagrams_lost, 1_000 - arrived as u64);
        network.calm();
        assert!((0..100).all(|_| network.arrival(start, Lane::DatagramDown(0)).is_some()));
    }
}
