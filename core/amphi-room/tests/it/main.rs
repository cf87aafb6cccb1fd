//! How a room behaves, through its three verbs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amphi_media::{CameraFit, Codec, Layout, MediaKind, MemberId, Source, TrackId, VideoSize};
use amphi_policy::token::VideoGrant;
use amphi_policy::{Action, Change, Grants, Refusal, SourceSet};
use amphi_room::{
    ATTRIBUTES_BYTES_MAX, Announced, Denied, EMPTY_BROADCAST_GRACE, Input, Joining,
    LABEL_BYTES_MAX, LeaveReason, LetTracks, MEMBERS_MAX, METADATA_BYTES_MAX, Output, ProgramKind,
    RequestId, Room, Settings, Subscribers, TRACKS_PER_MEMBER_MAX, Wish, WishChange,
};

mod grants;
mod members;
mod switches;
mod tracks;

const ADA: MemberId = MemberId(1);
const BO: MemberId = MemberId(2);
const CY: MemberId = MemberId(3);
const REQUEST: RequestId = RequestId(9);

#[expect(
    clippy::disallowed_methods,
    reason = "a first instant to count from; tests add to it"
)]
fn start() -> Instant {
    Instant::now()
}

/// A room and a clock, with what came out of the last input.
struct World {
    room: Room,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self {
            room: Room::new(settings),
            now: start(),
        }
    }

    /// Ada and Bo are in and connected.
    fn of_two() -> Self {
        let mut world = Self::new();
        world.enter(ADA, "ada");
        world.enter(BO, "bo");
        world
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        self.room.handle_input(self.now, input);
        std::iter::from_fn(|| self.room.poll_output()).collect()
    }

    /// The one place where an input meets what should come out of it.
    #[track_caller]
    fn check(&mut self, input: Input, expected: &[Output]) {
        let said = format!("{input:?}");
        assert_eq!(self.give(input), expected, "after {said}");
    }

    fn enter(&mut self, member: MemberId, identity: &str) {
        self.give(Input::Join {
            member,
            joining: joining(identity),
        });
        self.give(Input::Active { member });
    }

    /// Announces a track and returns its id.
    #[track_caller]
    fn publish(&mut self, member: MemberId, source: Source) -> TrackId {
        let outputs = self.give(Input::Announce {
            member,
            track: announced(source),
        });
        let published = outputs.iter().find_map(|output| match output {
            Output::Published { track, .. } => Some(*track),
            _ => None,
        });
        published.unwrap_or_else(|| panic!("not published: {outputs:?}"))
    }

    fn grants(&self, member: MemberId) -> Grants {
        self.room
            .member(member)
            .expect("in the room")
            .grants
            .clone()
    }

    fn change(&mut self, member: MemberId, change: &Change) -> Vec<Output> {
        let grants = self.grants(member).changed(change);
        self.give(Input::GrantsChanged { member, grants })
    }
}

fn video_grant() -> VideoGrant {
    VideoGrant {
        room_join: true,
        room: Some("hall".into()),
        can_update_own_metadata: Some(true),
        ..VideoGrant::default()
    }
}

fn grants(video: &VideoGrant) -> Grants {
    Grants::from_token(video, "hall")
}

fn host() -> Grants {
    grants(&VideoGrant {
        room_broadcast: true,
        room_record: true,
        ..video_grant()
    })
}

fn joining(identity: &str) -> Joining {
    Joining {
        identity: identity.to_owned(),
        name: identity.to_uppercase(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        grants: grants(&video_grant()),
    }
}

fn announced(source: Source) -> Announced {
    let kind = match source {
        Source::Microphone | Source::ScreenAudio => MediaKind::Audio,
        Source::Camera | Source::Screen | Source::Unknown => MediaKind::Video,
    };
    Announced {
        cid: format!("cid-{source:?}"),
        name: String::new(),
        kind,
        source,
        muted: false,
        size: VideoSize::default(),
        layers: Vec::new(),
        codec: None,
        stereo: false,
        dtx: true,
        red: true,
        encrypted: false,
        stream: String::new(),
    }
}

fn refused(action: Action) -> Denied {
    Denied::Refused(Refusal { action })
}
