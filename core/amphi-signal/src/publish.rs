//! Publishing: from an announced track and a line in an offer to "this line is that track".

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amphi_media::{Codec, MediaKind, Source, TrackId, VideoSize};
use amphi_room::Announced;
use amphi_sfu::sdp::Line;
use amphi_sfu::{Mid, ReceiveLine};
use livekit_protocol as proto;

use crate::{Counters, View};

/// Refused ids that are remembered of one client.
const REFUSED_MAX: usize = 64;

/// What one client publishes.
#[derive(Default)]
pub(crate) struct Publishing {
    /// Its tracks that exist.
    tracks: BTreeMap<TrackId, Own>,
    /// Further names of tracks in SDP (`simulcast_codecs[].cid`), to the name they were announced by.
    aliases: BTreeMap<String, String>,
    /// Announced and refused, or stopped by us: a line with such a name is nobody's, and never another track's.
    refused: VecDeque<String>,
    /// A line came before its announcement, so another offer has to be asked for once it is announced.
    early: BTreeSet<String>,
}

struct Own {
    cid: String,
    sid: String,
    kind: MediaKind,
    /// What it shall be sent as: what was announced, else what can go on air untouched.
    codec: Option<Codec>,
    mid: Option<Mid>,
}

/// What an offer says about the client's own tracks.
#[derive(Default)]
pub(crate) struct Published {
    pub(crate) receives: Vec<ReceiveLine>,
    /// Their lines went inactive.
    pub(crate) ended: Vec<TrackId>,
}

impl Publishing {
    /// A track exists. True when a line of it was seen before and was turned down.
    pub(crate) fn published(&mut self, view: View<'_>, id: TrackId, cid: &str) -> bool {
        let Some(track) = view.room.track(id) else {
            return false;
        };
        self.refused.retain(|refused| refused != cid);
        let mid = self.tracks.remove(&id).and_then(|own| own.mid);
        let sid = view.facts.track_sid(track);
        self.tracks.insert(
            id,
            Own {
                cid: cid.to_owned(),
                sid,
                kind: track.announced.kind,
                codec: track.announced.codec.or(match track.announced.kind {
                    MediaKind::Video => Some(Codec::H264),
                    MediaKind::Audio => None,
                }),
                mid,
            },
        );
        let names: Vec<String> = self
            .aliases
            .iter()
            .filter(|(_, own)| *own == cid)
            .map(|(alias, _)| alias.clone())
            .collect();
        names
            .iter()
            .map(String::as_str)
            .chain([cid])
            .filter(|name| self.early.remove(*name))
            .count()
            > 0
    }

    pub(crate) fn refuse(&mut self, cid: &str) {
        self.refused.retain(|refused| refused != cid);
        if self.refused.len() >= REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(cid.to_owned());
    }

    /// A track is gone: its sid.
    pub(crate) fn stopped(&mut self, id: TrackId, by_us: bool) -> Option<String> {
        let own = self.tracks.remove(&id)?;
        self.aliases.retain(|_, cid| *cid != own.cid);
        if by_us {
            self.refuse(&own.cid);
        }
        Some(own.sid)
    }

    /// Further names under which a track may stand in SDP.
    pub(crate) fn name(&mut self, request: &proto::AddTrackRequest) {
        for codec in request.simulcast_codecs.iter().take(4) {
            if !codec.cid.is_empty() && codec.cid != request.cid && self.aliases.len() < REFUSED_MAX
            {
                self.aliases.insert(codec.cid.clone(), request.cid.clone());
            }
        }
    }

    /// Which of the offer's lines are which tracks.
    pub(crate) fn read(&mut self, lines: &[Line], counters: &mut Counters) -> Published {
        let mut published = Published::default();
        let mut bound = BTreeSet::new();
        self.early.clear();
        for line in lines.iter().filter(|line| line.direction.sends()) {
            let (Some(kind), Some((_, name))) = (line.kind.media(), &line.msid) else {
                continue;
            };
            let Some(id) = self.track_of(name, kind).filter(|id| bound.insert(*id)) else {
                counters.lines_unannounced += 1;
                if self.early.len() < REFUSED_MAX {
                    self.early.insert(name.clone());
                }
                continue;
            };
            let own = self.tracks.get_mut(&id).expect("found in it");
            own.mid = Some(line.mid.clone());
            published.receives.push(ReceiveLine {
                mid: line.mid.clone(),
                track: id,
                codec: own.codec,
            });
        }
        for (id, own) in &mut self.tracks {
            if !bound.contains(id) && own.mid.take().is_some() {
                published.ended.push(*id);
            }
        }
        published
    }

    /// By its name; else, for clients whose SDP names a track differently from its announcement, the only track of
    /// this kind that has no line yet. A name that was refused is never taken for another track.
    fn track_of(&self, name: &str, kind: MediaKind) -> Option<TrackId> {
        let cid = self.aliases.get(name).map_or(name, String::as_str);
        if let Some((id, _)) = self.tracks.iter().find(|(_, own)| own.cid == cid) {
            return Some(*id).filter(|id| self.tracks[id].kind == kind);
        }
        if !self.refused.is_empty() {
            return None;
        }
        let mut lineless = self
            .tracks
            .iter()
            .filter(|(_, own)| own.kind == kind && own.mid.is_none());
        match (lineless.next(), lineless.next()) {
            (Some((id, _)), None) => Some(*id),
            _ => None,
        }
    }
}

/// What a request announces; none for what is neither sound nor picture.
#[expect(
    deprecated,
    reason = "clients before `audio_features` write the older fields"
)]
pub(crate) fn announced(request: &proto::AddTrackRequest) -> Option<Announced> {
    let kind = match request.r#type() {
        proto::TrackType::Audio => MediaKind::Audio,
        proto::TrackType::Video => MediaKind::Video,
        proto::TrackType::Data => return None,
    };
    let source = match request.source() {
        proto::TrackSource::Camera => Source::Camera,
        proto::TrackSource::Microphone => Source::Microphone,
        proto::TrackSource::ScreenShare => Source::Screen,
        proto::TrackSource::ScreenShareAudio => Source::ScreenAudio,
        proto::TrackSource::Unknown => Source::Unknown,
    };
    let first = request.simulcast_codecs.first();
    let feature = |wanted| request.audio_features().any(|feature| feature == wanted);
    Some(Announced {
        cid: request.cid.clone(),
        name: request.name.clone(),
        kind,
        source,
        muted: request.muted,
        size: VideoSize::new(request.width, request.height),
        layers: layers(match first {
            Some(codec) if !codec.layers.is_empty() => &codec.layers,
            _ => &request.layers,
        }),
        codec: first
            .and_then(|codec| carried_codec(&codec.codec))
            .filter(|codec| codec.kind() == kind),
        stereo: request.stereo || feature(proto::AudioTrackFeature::TfStereo),
        dtx: !(request.disable_dtx || feature(proto::AudioTrackFeature::TfNoDtx)),
        red: !request.disable_red,
        encrypted: request.encryption() != proto::encryption::Type::None,
        stream: match (request.stream.as_str(), source) {
            ("", Source::Camera | Source::Microphone) => "camera".to_owned(),
            ("", Source::Screen | Source::ScreenAudio) => "screen_share".to_owned(),
            (stream, _) => stream.to_owned(),
        },
    })
}

/// Lowest first; nothing for a single layer, which is the track itself.
fn layers(layers: &[proto::VideoLayer]) -> Vec<(String, VideoSize, u64)> {
    let mut several: Vec<_> = layers
        .iter()
        .filter(|layer| layer.quality() != proto::VideoQuality::Off)
        .collect();
    if several.len() < 2 {
        return Vec::new();
    }
    several.sort_by_key(|layer| layer.quality);
    several
        .into_iter()
        .map(|layer| {
            let rid = match (layer.rid.as_str(), layer.quality()) {
                ("", proto::VideoQuality::Low) => "q",
                ("", proto::VideoQuality::Medium) => "h",
                ("", proto::VideoQuality::High | proto::VideoQuality::Off) => "f",
                (rid, _) => rid,
            };
            (
                rid.to_owned(),
                VideoSize::new(layer.width, layer.height),
                u64::from(layer.bitrate),
            )
        })
        .collect()
}

/// "h264", "video/H264" and so on; none for what is not carried here.
fn carried_codec(name: &str) -> Option<Codec> {
    let name = name.rsplit('/').next().unwrap_or(name);
    crate::info::PUBLISH_CODECS
        .into_iter()
        .find(|codec| codec.name().eq_ignore_ascii_case(name))
}
