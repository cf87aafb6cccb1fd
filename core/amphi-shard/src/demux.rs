//! Which session a datagram belongs to.
//!
//! A STUN check carries the user name of its session; everything else is told by the address it comes from, and an
//! address belongs to a session only after an authenticated check came from it (never learn an address from a packet).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use amphi_media::SessionId;
use amphi_sfu::Transport;

use crate::RoomKey;

/// Addresses one session may have verified; the oldest is forgotten beyond that.
const PATHS_PER_SESSION_MAX: usize = 8;

/// Where a datagram goes.
pub type Place = (RoomKey, SessionId);

/// See the module's text.
#[derive(Default)]
pub struct Demux {
    by_ufrag: BTreeMap<String, Place>,
    by_path: BTreeMap<(Transport, SocketAddr), Place>,
    /// What to forget with a session, oldest first.
    of_session: BTreeMap<SessionId, Known>,
}

#[derive(Default)]
struct Known {
    ufrags: Vec<String>,
    paths: Vec<(Transport, SocketAddr)>,
}

impl Demux {
    pub fn by_ufrag(&self, ufrag: &str) -> Option<Place> {
        self.by_ufrag.get(ufrag).copied()
    }

    pub fn by_path(&self, transport: Transport, source: SocketAddr) -> Option<Place> {
        self.by_path.get(&(transport, source)).copied()
    }

    /// A session's user name, also a second one after an ICE restart: checks under the old one may still be under way.
    pub fn learn_ufrag(&mut self, place: Place, ufrag: String) {
        let known = self.of_session.entry(place.1).or_default();
        known.ufrags.push(ufrag.clone());
        if known.ufrags.len() > 2 {
            self.by_ufrag.remove(&known.ufrags.remove(0));
        }
        self.by_ufrag.insert(ufrag, place);
    }

    /// An authenticated check came from `source`. The newest session to prove an address has it.
    pub fn learn_path(&mut self, place: Place, transport: Transport, source: SocketAddr) {
        let path = (transport, source);
        if self.by_path.insert(path, place) == Some(place) {
            return;
        }
        let known = self.of_session.entry(place.1).or_default();
        known.paths.push(path);
        if known.paths.len() > PATHS_PER_SESSION_MAX {
            let oldest = known.paths.remove(0);
            self.forget_path(oldest, place.1);
        }
    }

    pub fn forget_session(&mut self, session: SessionId) {
        let Some(known) = self.of_session.remove(&session) else {
            return;
        };
        for ufrag in known.ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for path in known.paths {
            self.forget_path(path, session);
        }
    }

    pub fn forget_room(&mut self, room: RoomKey) {
        let gone: Vec<SessionId> = self
            .by_ufrag
            .values()
            .filter_map(|(key, session)| (*key == room).then_some(*session))
            .collect();
        for session in gone {
            self.forget_session(session);
        }
    }

    /// Another session may have proven the same address since.
    fn forget_path(&mut self, path: (Transport, SocketAddr), session: SessionId) {
        if self
            .by_path
            .get(&path)
            .is_some_and(|(_, owner)| *owner == session)
        {
            self.by_path.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomKey = RoomKey(1);

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_session_is_found_by_its_names_and_addresses_until_it_is_forgotten() {
        let mut demux = Demux::default();
        let place = (ROOM, SessionId(7));
        demux.learn_ufrag(place, "abcd".into());
        demux.learn_path(place, Transport::Udp, address(1));
        assert_eq!(demux.by_ufrag("abcd"), Some(place));
        assert_eq!(demux.by_path(Transport::Udp, address(1)), Some(place));
        assert_eq!(demux.by_path(Transport::Tcp, address(1)), None);
        demux.forget_session(SessionId(7));
        assert_eq!(
            (
                demux.by_ufrag("abcd"),
                demux.by_path(Transport::Udp, address(1))
            ),
            (None, None)
        );
    }

    #[test]
    fn an_address_belongs_to_the_session_that_proved_it_last() {
        let mut demux = Demux::default();
        demux.learn_path((ROOM, SessionId(1)), Transport::Udp, address(1));
        demux.learn_path((ROOM, SessionId(2)), Transport::Udp, address(1));
        demux.forget_session(SessionId(1));
        assert_eq!(
            demux.by_path(Transport::Udp, address(1)),
            Some((ROOM, SessionId(2)))
        );
    }

    #[test]
    fn a_session_keeps_a_bounded_number_of_addresses() {
        let mut demux = Demux::default();
        for port in 1..=20 {
            demux.learn_path((ROOM, SessionId(1)), Transport::Udp, address(port));
        }
        assert_eq!(demux.by_path.len(), PATHS_PER_SESSION_MAX);
        assert!(demux.by_path(Transport::Udp, address(20)).is_some());
        demux.forget_room(ROOM);
        demux.forget_session(SessionId(1));
        assert!(demux.by_path.is_empty());
    }

    #[test]
    fn the_name_before_an_ice_restart_is_known_until_the_next_one() {
        let mut demux = Demux::default();
        for name in ["a", "b", "c"] {
            demux.learn_ufrag((ROOM, SessionId(1)), name.into());
        }
        assert_eq!(demux.by_ufrag("a"), None);
        assert!(demux.by_ufrag("b").is_some() && demux.by_ufrag("c").is_some());
    }
}
