use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use amphi_media::{Codec, MemberId, TrackId};
use amphi_policy::Grants;

use crate::{Announced, Joining, LetTracks, Subscribers};

/// Somebody who is in the room.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    pub id: MemberId,
    pub identity: String,
    pub name: String,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub grants: Grants,
    pub joined: Instant,
    /// Its media connection stands. Until then it gets no tracks.
    pub active: bool,
    /// Grows by one with each change that others see, from 1.
    pub version: u32,
    /// What it publishes, oldest first.
    pub tracks: Vec<TrackId>,
    /// What it gets.
    pub subscriptions: BTreeSet<TrackId>,
    pub(crate) auto_subscribe: bool,
    /// Whom it lets have its tracks.
    pub(crate) lets: Subscribers,
    /// What it said about single tracks, which counts more than `auto_subscribe`.
    pub(crate) wishes: BTreeMap<TrackId, bool>,
}

impl Member {
    pub(crate) fn new(id: MemberId, joining: Joining, now: Instant) -> Self {
        let Joining {
            identity,
            name,
            metadata,
            attributes,
            grants,
        } = joining;
        Self {
            id,
            identity,
            name,
            metadata,
            attributes,
            grants,
            joined: now,
            active: false,
            version: 1,
            tracks: Vec::new(),
            subscriptions: BTreeSet::new(),
            auto_subscribe: true,
            lets: Subscribers::Everybody,
            wishes: BTreeMap::new(),
        }
    }

    /// Others are not told of it.
    pub fn hidden(&self) -> bool {
        self.grants.hidden()
    }

    /// Whether it lets this identity have this track of its own.
    pub(crate) fn lets(&self, identity: &str, track: TrackId) -> bool {
        match &self.lets {
            Subscribers::Everybody => true,
            Subscribers::Only(named) => match named.get(identity) {
                Some(LetTracks::All) => true,
                Some(LetTracks::These(tracks)) => tracks.contains(&track),
                None => false,
            },
        }
    }

    /// Whether it asked for this track, or for everything.
    pub(crate) fn wishes(&self, track: TrackId) -> bool {
        self.wishes
            .get(&track)
            .copied()
            .unwrap_or(self.auto_subscribe)
    }
}

/// Something that a member publishes.
#[derive(Clone, PartialEq, Debug)]
pub struct Track {
    pub id: TrackId,
    /// Whose it is.
    pub member: MemberId,
    /// As announced, with the muting of now.
    pub announced: Announced,
    /// How it is coded: announced, or as its first packets told.
    pub codec: Option<Codec>,
    /// Packets of it came.
    pub live: bool,
    /// Who gets it.
    pub subscribers: BTreeSet<MemberId>,
}
