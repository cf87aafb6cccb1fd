//! One camera, microphone or screen of ours, from its announcement to its end.

use livekit_protocol as proto;
use str0m::media::{Mid, Pt, Rid};

use crate::{Announcement, Codec, Kind, Sid};

/// Our own name of one publication; counted from zero, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PublicationId(pub u32);

/// One publication as it stands.
#[derive(Clone, Debug)]
pub struct Publication {
    pub id: PublicationId,
    pub announcement: Announcement,
    pub muted: bool,
    /// From the server's answer to the announcement.
    pub track: Option<Sid>,
    pub(crate) stage: Stage,
    /// To be taken away as soon as its line stands: before that there is nothing that could be taken away.
    pub(crate) ending: bool,
    pub(crate) line: Option<Mid>,
    pub(crate) payload_type: Option<Pt>,
    pub(crate) layers: Vec<Layer>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The server has not given it a name yet.
    Announced,
    /// Its line is asked for, or will be.
    Offered,
    /// Its line stands.
    Sending,
    Ended,
}

/// One simulcast layer, or the only one.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) rid: Option<Rid>,
    pub(crate) sequence: u64,
    pub(crate) pictures: u16,
}

impl Publication {
    pub(crate) fn new(id: PublicationId, announcement: Announcement) -> Self {
        let rids: Vec<Option<Rid>> = match announcement.rids.as_slice() {
            [] => vec![None],
            rids => rids
                .iter()
                .map(|rid| Some(Rid::from(rid.as_str())))
                .collect(),
        };
        Self {
            id,
            muted: announcement.muted,
            announcement,
            track: None,
            stage: Stage::Announced,
            ending: false,
            line: None,
            payload_type: None,
            // Sequence numbers start low, so that the roll-over counter of SRTP starts at zero on both sides.
            layers: rids
                .into_iter()
                .map(|rid| Layer {
                    rid,
                    sequence: 1,
                    pictures: 0,
                })
                .collect(),
        }
    }

    /// Frames that are written are sent.
    pub fn is_sending(&self) -> bool {
        self.stage == Stage::Sending
    }

    /// The name that stands in `a=msid` and in the announcement.
    pub(crate) fn cid(&self) -> String {
        format!("peer-track-{}", self.id.0)
    }

    pub(crate) fn layer_mut(&mut self, rid: Option<&str>) -> Option<&mut Layer> {
        self.layers
            .iter_mut()
            .find(|layer| layer.rid.as_deref() == rid)
    }

    pub(crate) fn add_track_request(&self) -> proto::AddTrackRequest {
        let announcement = &self.announcement;
        let layers = self.video_layers();
        let codecs = if announcement.names_codec && announcement.codec.kind() == Kind::Video {
            vec![proto::SimulcastCodec {
                codec: announcement
                    .codec
                    .mime()
                    .trim_start_matches("video/")
                    .to_ascii_lowercase(),
                cid: self.cid(),
                layers: layers.clone(),
                ..Default::default()
            }]
        } else {
            Vec::new()
        };
        proto::AddTrackRequest {
            cid: self.cid(),
            name: announcement.name.clone(),
            r#type: match announcement.codec {
                Codec::Opus => proto::TrackType::Audio,
                Codec::H264 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => proto::TrackType::Video,
            } as i32,
            width: announcement.width,
            height: announcement.height,
            muted: announcement.muted,
            source: announcement.source.wire() as i32,
            layers,
            simulcast_codecs: codecs,
            ..Default::default()
        }
    }

    /// LiveKit's order: q is low, h medium, f high; each layer has half the sides of the next one.
    fn video_layers(&self) -> Vec<proto::VideoLayer> {
        let announcement = &self.announcement;
        if announcement.codec.kind() == Kind::Audio {
            return Vec::new();
        }
        let layer = |quality: proto::VideoQuality, rid: &str, divisor: u32| proto::VideoLayer {
            quality: quality as i32,
            width: announcement.width / divisor,
            height: announcement.height / divisor,
            bitrate: 1_500_000 / (divisor * divisor),
            rid: rid.into(),
            ..Default::default()
        };
        let count = announcement.rids.len();
        if count == 0 {
            return vec![layer(proto::VideoQuality::High, "", 1)];
        }
        let qualities = [
            proto::VideoQuality::Low,
            proto::VideoQuality::Medium,
            proto::VideoQuality::High,
        ];
        let rids = announcement.rids.iter().enumerate();
        rids.zip(qualities)
            .map(|((index, rid), quality)| layer(quality, rid, 1 << (count - 1 - index)))
            .collect()
    }
}
