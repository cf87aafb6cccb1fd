//! What a running program is told of: the tracks on stage.

use std::collections::BTreeMap;

use amphi_media::TrackId;
use amphi_room::Room;
use amphi_studio::StageTrack;

/// What the program knows, to tell it only what changed.
#[derive(Default)]
pub(crate) struct Stage {
    told: BTreeMap<TrackId, StageTrack>,
}

/// One thing that changed on stage.
pub(crate) enum Change {
    /// A track came, or something about it changed.
    Track {
        track: StageTrack,
        new: bool,
    },
    Gone {
        track: TrackId,
    },
}

impl Stage {
    /// Compares with the room as it is. Tracks of hidden members are not on stage, nor are encrypted ones, which
    /// nobody but the members can decode.
    pub(crate) fn changes(&mut self, room: &Room) -> Vec<Change> {
        let wanted: BTreeMap<TrackId, StageTrack> = room
            .tracks()
            .filter(|track| !track.announced.encrypted)
            .filter_map(|track| {
                Some((
                    track,
                    room.member(track.member)
                        .filter(|member| !member.hidden())?,
                ))
            })
            .map(|(track, member)| {
                let name = if member.name.is_empty() {
                    &member.identity
                } else {
                    &member.name
                };
                let on_stage = StageTrack {
                    track: track.id,
                    member: member.id,
                    member_name: name.clone(),
                    kind: track.announced.kind,
                    source: track.announced.source,
                    codec: track.codec,
                    muted: track.announced.muted,
                };
                (track.id, on_stage)
            })
            .collect();
        let gone = self
            .told
            .keys()
            .filter(|track| !wanted.contains_key(track))
            .map(|track| Change::Gone { track: *track });
        let come = wanted
            .values()
            .filter(|track| self.told.get(&track.track) != Some(track))
            .map(|track| Change::Track {
                new: !self.told.contains_key(&track.track),
                track: track.clone(),
            });
        let changes = gone.chain(come).collect();
        self.told = wanted;
        changes
    }

    /// The program is over; the tracks that it had.
    pub(crate) fn clear(&mut self) -> Vec<TrackId> {
        std::mem::take(&mut self.told).into_keys().collect()
    }
}
