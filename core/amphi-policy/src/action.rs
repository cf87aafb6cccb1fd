use std::fmt;

/// Something a subject may or may not do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    Enter,
    Subscribe,
    Camera,
    Microphone,
    Screen,
    ScreenAudio,
    /// Publish a track whose source was not said: allowed only where every source is.
    PublishUnknown,
    SendData,
    /// Say in captions of the broadcast what somebody else says.
    CaptionOthers,
    UpdateOwnMetadata,
    /// Change others' grants, remove them.
    Moderate,
    /// Change the room's settings.
    Configure,
    Broadcast,
    Record,
    /// Watch a recording that was not published.
    WatchUnpublished,
    /// Publish a recording or take it back, name it, say how long it is kept, delete it.
    Release,
}

impl Action {
    pub const ALL: [Action; 16] = [
        Action::Enter,
        Action::Subscribe,
        Action::Camera,
        Action::Microphone,
        Action::Screen,
        Action::ScreenAudio,
        Action::PublishUnknown,
        Action::SendData,
        Action::CaptionOthers,
        Action::UpdateOwnMetadata,
        Action::Moderate,
        Action::Configure,
        Action::Broadcast,
        Action::Record,
        Action::WatchUnpublished,
        Action::Release,
    ];

    /// The word for it on the wire and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Action::Enter => "enter",
            Action::Subscribe => "subscribe",
            Action::Camera => "camera",
            Action::Microphone => "microphone",
            Action::Screen => "screen",
            Action::ScreenAudio => "screen_audio",
            Action::PublishUnknown => "publish",
            Action::SendData => "send_data",
            Action::CaptionOthers => "caption_others",
            Action::UpdateOwnMetadata => "update_own_metadata",
            Action::Moderate => "moderate",
            Action::Configure => "configure",
            Action::Broadcast => "broadcast",
            Action::Record => "record",
            Action::WatchUnpublished => "watch_unpublished",
            Action::Release => "release",
        }
    }

    /// What a person reads after "You may not".
    fn phrase(self) -> &'static str {
        match self {
            Action::Enter => "join this room",
            Action::Subscribe => "see or hear the others here",
            Action::Camera => "show your camera here",
            Action::Microphone => "speak here",
            Action::Screen => "share a screen here",
            Action::ScreenAudio => "share a screen's sound here",
            Action::PublishUnknown => "publish here without saying what it is",
            Action::SendData => "send data here",
            Action::CaptionOthers => "write captions for others here",
            Action::UpdateOwnMetadata => "change your name or attributes here",
            Action::Moderate => "moderate this room",
            Action::Configure => "change this room's settings",
            Action::Broadcast => "start or end a broadcast here",
            Action::Record => "start or end a recording here",
            Action::WatchUnpublished => "watch what is not published of this recording",
            Action::Release => "publish or delete recordings of this room",
        }
    }

    /// The grant that would allow it, as a token spells it.
    pub fn needs(self) -> &'static str {
        match self {
            Action::Enter => "roomJoin for this room",
            Action::Subscribe => "canSubscribe",
            Action::Camera => "canPublish with source camera",
            Action::Microphone => "canPublish with source microphone",
            Action::Screen => "canPublish with source screen_share",
            Action::ScreenAudio => "canPublish with source screen_share_audio",
            Action::PublishUnknown => "canPublish without a list of sources",
            Action::SendData => "canPublishData",
            Action::CaptionOthers => "agent for this room, or roomAdmin",
            Action::UpdateOwnMetadata => "canUpdateOwnMetadata",
            Action::Moderate => "roomAdmin",
            Action::Configure => "roomAdmin, or roomCreate",
            Action::Broadcast => "roomBroadcast",
            Action::Record => "roomRecord",
            Action::WatchUnpublished => "roomRecord or roomAdmin for its room",
            Action::Release => "roomRecord or roomAdmin for its room",
        }
    }
}

/// An action that was refused, and why, in words for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub action: Action,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "You may not {} (needs: {}).",
            self.action.phrase(),
            self.action.needs()
        )
    }
}

impl std::error::Error for Refusal {}
