use crate::action::{Action, Refusal};
use crate::token::VideoGrant;

/// Which sources may be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceSet {
    pub camera: bool,
    pub microphone: bool,
    pub screen: bool,
    pub screen_audio: bool,
}

impl SourceSet {
    pub const ALL: SourceSet = SourceSet {
        camera: true,
        microphone: true,
        screen: true,
        screen_audio: true,
    };

    /// From LiveKit's words; unknown words allow nothing.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = SourceSet::default();
        for name in names {
            match name.to_ascii_lowercase().as_str() {
                "camera" => set.camera = true,
                "microphone" => set.microphone = true,
                "screen_share" => set.screen = true,
                "screen_share_audio" => set.screen_audio = true,
                _ => {}
            }
        }
        set
    }

    /// LiveKit's words for what is in the set.
    pub fn names(self) -> Vec<&'static str> {
        [
            (self.camera, "camera"),
            (self.microphone, "microphone"),
            (self.screen, "screen_share"),
            (self.screen_audio, "screen_share_audio"),
        ]
        .into_iter()
        .filter_map(|(in_it, name)| in_it.then_some(name))
        .collect()
    }
}

/// What one subject may do in one room, as one value. The revision grows with every change, so that an older value
/// that arrives late is recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grants {
    pub revision: u64,
    enter: bool,
    subscribe: bool,
    publish: bool,
    /// None: every source, named or not.
    sources: Option<SourceSet>,
    send_data: bool,
    update_own_metadata: bool,
    moderate: bool,
    configure: bool,
    broadcast: bool,
    record: bool,
    hidden: bool,
    agent: bool,
}

/// Whom a recording is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    Everybody,
    /// It was not published: for those who look after its room's recordings.
    Keepers,
}

/// A change of some of a subject's grants, by a moderator. None leaves a grant as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    pub can_publish: Option<bool>,
    pub can_subscribe: Option<bool>,
    pub can_publish_data: Option<bool>,
    /// The outer none: unchanged. The inner none: every source.
    pub sources: Option<Option<SourceSet>>,
}

impl Grants {
    /// Nothing at all.
    pub fn none() -> Self {
        Self {
            revision: 0,
            enter: false,
            subscribe: false,
            publish: false,
            sources: None,
            send_data: false,
            update_own_metadata: false,
            moderate: false,
            configure: false,
            broadcast: false,
            record: false,
            hidden: false,
            agent: false,
        }
    }

    /// What a token's video grant gives in `room`. As in LiveKit, publishing, subscribing and data are allowed unless
    /// the token says no, and everything else is refused unless it says yes.
    pub fn from_token(video: &VideoGrant, room: &str) -> Self {
        if video
            .room
            .as_deref()
            .is_some_and(|named| !named.is_empty() && named != room)
        {
            return Self::none();
        }
        let named = video.room.as_deref() == Some(room);
        let admin = video.room_admin && named;
        Self {
            revision: 1,
            enter: video.room_join && named,
            subscribe: video.can_subscribe.unwrap_or(true),
            publish: video.can_publish.unwrap_or(true),
            sources: (!video.can_publish_sources.is_empty()).then(|| {
                SourceSet::from_names(video.can_publish_sources.iter().map(String::as_str))
            }),
            send_data: video.can_publish_data.unwrap_or(true),
            update_own_metadata: video.can_update_own_metadata.unwrap_or(false),
            moderate: admin,
            // Who may make rooms may say how they behave; such a token names no room, or this one.
            configure: admin || video.room_create,
            broadcast: admin || (video.room_broadcast && named),
            record: admin || (video.room_record && named),
            hidden: video.hidden,
            agent: video.agent && named,
        }
    }

    pub fn allows(&self, action: Action) -> Result<(), Refusal> {
        let source =
            |pick: fn(&SourceSet) -> bool| self.publish && self.sources.as_ref().is_none_or(pick);
        let allowed = match action {
            Action::Enter => self.enter,
            Action::Subscribe => self.subscribe,
            Action::Camera => source(|set| set.camera),
            Action::Microphone => source(|set| set.microphone),
            Action::Screen => source(|set| set.screen),
            Action::ScreenAudio => source(|set| set.screen_audio),
            Action::PublishUnknown => self.publish && self.sources.is_none(),
            Action::SendData => self.send_data,
            Action::CaptionOthers => self.send_data && (self.agent || self.moderate),
            Action::UpdateOwnMetadata => self.update_own_metadata,
            Action::Moderate => self.moderate,
            Action::Configure => self.configure,
            Action::Broadcast => self.broadcast,
            // Who makes recordings decides what becomes of them.
            Action::Record | Action::WatchUnpublished | Action::Release => self.record,
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal { action })
        }
    }

    /// Whether a recording of this room may be watched.
    pub fn may_watch(&self, recording: Audience) -> Result<(), Refusal> {
        match recording {
            Audience::Everybody => Ok(()),
            Audience::Keepers => self.allows(Action::WatchUnpublished),
        }
    }

    /// The value after a moderator's change, one revision on.
    pub fn changed(&self, change: &Change) -> Self {
        let mut next = self.clone();
        next.revision += 1;
        next.publish = change.can_publish.unwrap_or(self.publish);
        next.subscribe = change.can_subscribe.unwrap_or(self.subscribe);
        next.send_data = change.can_publish_data.unwrap_or(self.send_data);
        if let Some(sources) = change.sources {
            next.sources = sources;
        }
        next
    }

    /// Others are not told of this member.
    pub fn hidden(&self) -> bool {
        self.hidden
    }

    /// May publish something.
    pub fn can_publish(&self) -> bool {
        self.publish && self.sources != Some(SourceSet::default())
    }

    /// None: every source.
    pub fn sources(&self) -> Option<SourceSet> {
        self.sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> VideoGrant {
        VideoGrant {
            room_join: true,
            room: Some("hall".into()),
            ..VideoGrant::default()
        }
    }

    #[test]
    fn a_plain_join_token_may_publish_and_subscribe_but_not_broadcast() {
        let grants = Grants::from_token(&grant(), "hall");
        for action in [
            Action::Enter,
            Action::Subscribe,
            Action::Camera,
            Action::PublishUnknown,
            Action::SendData,
        ] {
            assert_eq!(grants.allows(action), Ok(()), "{action:?}");
        }
        for action in [
            Action::Broadcast,
            Action::Record,
            Action::WatchUnpublished,
            Action::Release,
            Action::Moderate,
            Action::UpdateOwnMetadata,
        ] {
            assert_eq!(grants.allows(action), Err(Refusal { action }));
        }
    }

    #[test]
    fn a_token_for_another_room_or_for_no_room_gives_nothing_here() {
        assert!(Action::ALL.iter().all(|action| {
            Grants::from_token(&grant(), "cellar")
                .allows(*action)
                .is_err()
        }));
        let nowhere = VideoGrant {
            room: None,
            room_admin: true,
            ..grant()
        };
        let grants = Grants::from_token(&nowhere, "hall");
        assert!(grants.allows(Action::Enter).is_err() && grants.allows(Action::Moderate).is_err());
    }

    #[test]
    fn who_may_make_rooms_may_configure_them_and_nothing_more() {
        let anywhere = VideoGrant {
            room_create: true,
            ..VideoGrant::default()
        };
        let elsewhere = VideoGrant {
            room: Some("cellar".into()),
            ..anywhere.clone()
        };
        let grants = Grants::from_token(&anywhere, "hall");
        assert!(grants.allows(Action::Configure).is_ok());
        assert!(
            grants.allows(Action::Moderate).is_err() && grants.allows(Action::Broadcast).is_err()
        );
        assert!(
            Grants::from_token(&elsewhere, "hall")
                .allows(Action::Configure)
                .is_err()
        );
        assert!(
            Grants::from_token(&grant(), "hall")
                .allows(Action::Configure)
                .is_err()
        );
    }

    #[test]
    fn a_list_of_sources_allows_only_these() {
        let video = VideoGrant {
            can_publish_sources: vec!["microphone".into()],
            ..grant()
        };
        let grants = Grants::from_token(&video, "hall");
        assert!(grants.allows(Action::Microphone).is_ok());
        for action in [
            Action::Camera,
            Action::Screen,
            Action::ScreenAudio,
            Action::PublishUnknown,
        ] {
            assert!(grants.allows(action).is_err(), "{action:?}");
        }
    }

    #[test]
    fn agents_and_moderators_may_write_captions_for_others_while_they_may_send_data() {
        let agent = VideoGrant {
            agent: true,
            ..grant()
        };
        let admin = VideoGrant {
            room_admin: true,
            ..grant()
        };
        let mute = VideoGrant {
            can_publish_data: Some(false),
            ..agent.clone()
        };
        for (video, room, may) in [
            (&agent, "hall", true),
            (&admin, "hall", true),
            (&agent, "cellar", false),
            (&mute, "hall", false),
            (&grant(), "hall", false),
        ] {
            let allowed = Grants::from_token(video, room).allows(Action::CaptionOthers);
            assert_eq!(allowed.is_ok(), may, "{video:?} {room}");
        }
    }

    #[test]
    fn a_change_touches_what_it_names_and_raises_the_revision() {
        let before = Grants::from_token(&grant(), "hall");
        let only_sound = Change {
            sources: Some(Some(SourceSet {
                microphone: true,
                ..SourceSet::default()
            })),
            ..Change::default()
        };
        let after = before.changed(&only_sound);
        assert_eq!(after.revision, before.revision + 1);
        assert!(after.allows(Action::Camera).is_err() && after.allows(Action::Microphone).is_ok());
        assert!(after.allows(Action::Subscribe).is_ok());
    }

    #[test]
    fn what_is_published_is_for_everybody_and_the_rest_for_who_records_or_moderates_in_its_room() {
        let nobody = Grants::none();
        assert_eq!(nobody.may_watch(Audience::Everybody), Ok(()));
        assert!(nobody.may_watch(Audience::Keepers).is_err());
        let admin = VideoGrant {
            room_admin: true,
            ..grant()
        };
        let recorder = VideoGrant {
            room_record: true,
            ..grant()
        };
        for (video, room, may) in [
            (&admin, "hall", true),
            (&recorder, "hall", true),
            (&recorder, "cellar", false),
            (&grant(), "hall", false),
        ] {
            let grants = Grants::from_token(video, room);
            assert_eq!(
                grants.may_watch(Audience::Keepers).is_ok(),
                may,
                "{video:?}"
            );
            assert_eq!(grants.allows(Action::Release).is_ok(), may, "{video:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_action_and_what_it_needs() {
        let words = Refusal {
            action: Action::Screen,
        }
        .to_string();
        assert_eq!(
            words,
            "You may not share a screen here (needs: canPublish with source screen_share)."
        );
    }
}
