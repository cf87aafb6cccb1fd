//! Whom an output concerns, so that whoever carries values between the cores need not know why.

use amphi_media::{MemberId, SessionId};
use amphi_room::Room;

/// Some of the members of one room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    Nobody,
    One(MemberId),
    Two(MemberId, MemberId),
    Everybody,
}

/// Who has to hear of an output of the room. Ask before anything else is given to the room.
pub fn audience(output: &amphi_room::Output, room: &Room) -> Audience {
    use amphi_room::Output;
    match output {
        Output::Joined { .. }
        | Output::MemberChanged { .. }
        | Output::Left { .. }
        | Output::RecordingStarted
        | Output::RecordingStopped { .. } => Audience::Everybody,
        Output::JoinRefused { member, .. }
        | Output::Published { member, .. }
        | Output::PublishRefused { member, .. }
        | Output::StopTrack { member, .. }
        | Output::Unsubscribed { member, .. }
        | Output::SubscribeRefused { member, .. }
        | Output::SubscribingLet { member, .. }
        | Output::GrantsChanged { member }
        | Output::Refused { member, .. }
        | Output::Described { member, .. } => Audience::One(*member),
        // The publisher is told that somebody gets its track.
        Output::Subscribed { member, track } => match room.track(*track) {
            Some(track) => Audience::Two(*member, track.member),
            None => Audience::One(*member),
        },
        Output::SetMuted { .. }
        | Output::Reply { .. }
        | Output::StartProgram { .. }
        | Output::ChangeProgram { .. }
        | Output::StopProgram
        | Output::BroadcastStarted { .. }
        | Output::BroadcastStopped { .. }
        | Output::Empty => Audience::Nobody,
    }
}

/// Which signals have to hear of an output of the SFU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SfuAudience {
    Nobody,
    /// The one whose session it is.
    Session(SessionId),
    Everybody,
}

/// Who has to hear of an output of the SFU.
pub fn sfu_audience(output: &amphi_sfu::Output) -> SfuAudience {
    use amphi_sfu::Output;
    match output {
        Output::Answer { session, .. }
        | Output::Offer { session, .. }
        | Output::SdpRefused { session, .. }
        | Output::Connected { session }
        | Output::Interrupted { session }
        | Output::Ended { session }
        | Output::ChannelOpen { session, .. }
        | Output::Data { session, .. }
        | Output::StreamState { session, .. }
        | Output::Demand { session, .. }
        | Output::Quality { session, .. } => SfuAudience::Session(*session),
        Output::Speakers(_) => SfuAudience::Everybody,
        Output::Transmit { .. }
        | Output::Credentials { .. }
        | Output::PathVerified { .. }
        | Output::TrackLive { .. }
        | Output::TrackSilent { .. }
        | Output::Layers { .. }
        | Output::Frame(_) => SfuAudience::Nobody,
    }
}
