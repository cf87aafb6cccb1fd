//! What a client of the simulation has done, and what it knows.

use amphi_shard::ConnectionId;
use peer::{Codec, Peer, PublicationId, Source};

use crate::model::Media;

pub(crate) struct Client {
    pub person: usize,
    pub room: usize,
    pub peer: Peer,
    pub connection: ConnectionId,
    /// Its socket is open as far as it knows.
    pub open: bool,
    pub gone: bool,
    pub publications: Vec<Published>,
}

pub(crate) struct Published {
    pub media: Media,
    pub id: PublicationId,
    pub source: Source,
    pub codec: Codec,
    pub frames: u32,
    pub key_wanted: bool,
    /// The house says that nobody takes it.
    pub unwanted: bool,
    pub ticking: bool,
    pub ended: bool,
    /// Its announcement was not answered before the socket broke.
    pub lost: bool,
}

impl Client {
    pub fn own(&mut self, id: PublicationId) -> Option<&mut Published> {
        self.publications.iter_mut().find(|own| own.id == id)
    }
}
