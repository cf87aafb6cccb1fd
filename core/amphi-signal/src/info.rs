//! Members, tracks and the room as the protocol shows them.

use std::time::Instant;

use amphi_media::{Codec, Layer, MediaKind, Source, VideoSize};
use amphi_policy::{Action, Grants};
use amphi_room::{Announced, LeaveReason, MEMBERS_MAX, Member, Track};
use livekit_protocol as proto;

use crate::{View, leave};

/// What clients must be able to publish, most wanted first: H.264 can go on air as it is.
pub(crate) const PUBLISH_CODECS: [Codec; 5] =
    [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus];

/// What the protocol calls us: its version (the numbering of `livekit/protocol`) and ours.
pub(crate) fn server() -> proto::ServerInfo {
    proto::ServerInfo {
        edition: proto::server_info::Edition::Standard.into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        ..proto::ServerInfo::default()
    }
}

/// Version of the signalling protocol that is spoken here.
const PROTOCOL: i32 = 16;

pub(crate) fn room(view: View<'_>, now: Instant) -> proto::Room {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let seen = || view.room.members().filter(|member| !member.hidden());
    let created_ms = view.facts.wall.unix_ms(
        view.room
            .members()
            .map(|member| member.joined)
            .min()
            .unwrap_or(now),
    );
    proto::Room {
        sid: view.facts.room_sid(),
        name: view.facts.name.clone(),
        max_participants: count(MEMBERS_MAX),
        creation_time: created_ms / 1_000,
        creation_time_ms: created_ms,
        enabled_codecs: publish_codecs(),
        num_participants: count(seen().count()),
        num_publishers: count(seen().filter(|member| !member.tracks.is_empty()).count()),
        active_recording: view.room.recording().is_some(),
        ..proto::Room::default()
    }
}

pub(crate) fn publish_codecs() -> Vec<proto::Codec> {
    PUBLISH_CODECS
        .iter()
        .map(|codec| proto::Codec {
            mime: codec.mime(),
            fmtp_line: String::new(),
        })
        .collect()
}

pub(crate) fn participant(view: View<'_>, member: &Member) -> proto::ParticipantInfo {
    let state = match member.active {
        true => proto::participant_info::State::Active,
        false => proto::participant_info::State::Joined,
    };
    let joined_ms = view.facts.wall.unix_ms(member.joined);
    proto::ParticipantInfo {
        sid: view.facts.participant_sid(member.id),
        identity: member.identity.clone(),
        state: state.into(),
        tracks: member
            .tracks
            .iter()
            .filter_map(|id| view.room.track(*id))
            .map(|known| track(view, known))
            .collect(),
        metadata: member.metadata.clone(),
        joined_at: joined_ms / 1_000,
        joined_at_ms: joined_ms,
        name: member.name.clone(),
        version: member.version,
        permission: Some(permission(&member.grants)),
        is_publisher: !member.tracks.is_empty(),
        attributes: member.attributes.clone().into_iter().collect(),
        ..proto::ParticipantInfo::default()
    }
}

/// Somebody who is gone.
pub(crate) fn departed(sid: String, identity: &str, reason: LeaveReason) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid,
        identity: identity.to_owned(),
        state: proto::participant_info::State::Disconnected.into(),
        disconnect_reason: leave::disconnect_reason(reason).into(),
        ..proto::ParticipantInfo::default()
    }
}

pub(crate) fn permission(grants: &Grants) -> proto::ParticipantPermission {
    let may = |action| grants.allows(action).is_ok();
    let listed = grants.sources();
    let sources = [
        (Action::Camera, proto::TrackSource::Camera),
        (Action::Microphone, proto::TrackSource::Microphone),
        (Action::Screen, proto::TrackSource::ScreenShare),
        (Action::ScreenAudio, proto::TrackSource::ScreenShareAudio),
    ];
    proto::ParticipantPermission {
        can_subscribe: may(Action::Subscribe),
        can_publish: grants.can_publish(),
        can_publish_data: may(Action::SendData),
        // An empty list means every source; a list that allows none shows as `can_publish: false`.
        can_publish_sources: sources
            .into_iter()
            .filter(|(action, _)| listed.is_some() && may(*action))
            .map(|(_, source)| source.into())
            .collect(),
        hidden: grants.hidden(),
        can_update_metadata: may(Action::UpdateOwnMetadata),
        ..proto::ParticipantPermission::default()
    }
}

#[expect(
    deprecated,
    reason = "clients before `audio_features` and `codecs` read the older fields"
)]
pub(crate) fn track(view: View<'_>, track: &Track) -> proto::TrackInfo {
    let announced = &track.announced;
    let audio = announced.kind == MediaKind::Audio;
    let layers = video_layers(announced);
    let mime = track.codec.map(Codec::mime).unwrap_or_default();
    let mode = match audio {
        true => proto::video_layer::Mode::Unused,
        false => proto::video_layer::Mode::OneSpatialLayerPerStream,
    };
    let codec = proto::SimulcastCodecInfo {
        mime_type: mime.clone(),
        cid: announced.cid.clone(),
        layers: layers.clone(),
        video_layer_mode: mode.into(),
        ..proto::SimulcastCodecInfo::default()
    };
    proto::TrackInfo {
        sid: view.facts.track_sid(track),
        r#type: match audio {
            true => proto::TrackType::Audio.into(),
            false => proto::TrackType::Video.into(),
        },
        name: announced.name.clone(),
        muted: announced.muted,
        width: announced.size.width,
        height: announced.size.height,
        simulcast: announced.layers.len() > 1,
        disable_dtx: audio && !announced.dtx,
        source: source(announced.source).into(),
        layers,
        mime_type: mime,
        codecs: vec![codec],
        stereo: announced.stereo,
        disable_red: !announced.red,
        encryption: match announced.encrypted {
            true => proto::encryption::Type::Gcm.into(),
            false => proto::encryption::Type::None.into(),
        },
        stream: announced.stream.clone(),
        audio_features: audio_features(announced),
        ..proto::TrackInfo::default()
    }
}

fn audio_features(announced: &Announced) -> Vec<i32> {
    if announced.kind != MediaKind::Audio {
        return Vec::new();
    }
    let features = [
        (announced.stereo, proto::AudioTrackFeature::TfStereo),
        (!announced.dtx, proto::AudioTrackFeature::TfNoDtx),
    ];
    features
        .into_iter()
        .filter_map(|(on, feature)| on.then_some(feature.into()))
        .collect()
}

fn video_layers(announced: &Announced) -> Vec<proto::VideoLayer> {
    let layers = layers(announced);
    let one = announced.layers.len() < 2;
    layers
        .into_iter()
        .map(|(layer, size, bitrate, rid)| proto::VideoLayer {
            quality: quality(layer).into(),
            width: size.width,
            height: size.height,
            bitrate: u32::try_from(bitrate).unwrap_or(u32::MAX),
            spatial_layer: if one { 0 } else { i32::from(layer.0) },
            rid,
            ..proto::VideoLayer::default()
        })
        .collect()
}

/// The announced layers of a video track, lowest first, each with its place among the three qualities. A track without
/// simulcast has one, the highest. Audio has none.
pub(crate) fn layers(announced: &Announced) -> Vec<(Layer, VideoSize, u64, String)> {
    match (&announced.layers[..], announced.kind) {
        (_, MediaKind::Audio) => Vec::new(),
        ([], MediaKind::Video) => vec![(Layer::HIGH, announced.size, 0, String::new())],
        ([(rid, size, bitrate)], MediaKind::Video) => {
            vec![(Layer::HIGH, *size, *bitrate, rid.clone())]
        }
        (several, MediaKind::Video) => several
            .iter()
            .enumerate()
            .map(|(index, (rid, size, bitrate))| {
                let layer = match rid.as_str() {
                    "q" => Layer::LOW,
                    "h" => Layer::MEDIUM,
                    "f" => Layer::HIGH,
                    _ => Layer(u8::try_from(index.min(2)).expect("at most 2")),
                };
                (layer, *size, *bitrate, rid.clone())
            })
            .collect(),
    }
}

pub(crate) fn quality(layer: Layer) -> proto::VideoQuality {
    match layer.0 {
        0 => proto::VideoQuality::Low,
        1 => proto::VideoQuality::Medium,
        _ => proto::VideoQuality::High,
    }
}

pub(crate) fn source(source: Source) -> proto::TrackSource {
    match source {
        Source::Camera => proto::TrackSource::Camera,
        Source::Microphone => proto::TrackSource::Microphone,
        Source::Screen => proto::TrackSource::ScreenShare,
        Source::ScreenAudio => proto::TrackSource::ScreenShareAudio,
        Source::Unknown => proto::TrackSource::Unknown,
    }
}
