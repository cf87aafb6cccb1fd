//! How a client arrives: the query of the WebSocket's address, and the `JoinRequest` in it.

use std::collections::BTreeMap;
use std::io::Read;

use amphi_media::MemberId;
use amphi_policy::token::Claims;
use amphi_policy::{Action, Grants, Refusal};
use amphi_room::Joining;
use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use livekit_protocol as proto;
use prost::Message;
use thiserror::Error;

use crate::View;

/// Longest `join_request` that is looked at, in characters of base64. Clients send 2.1 to 2.4 KB; HTTP servers stop
/// between 8 and 64 KiB anyway.
const ENCODED_BYTES_MAX: usize = 64 * 1024;

/// Largest `JoinRequest` after gunzipping. Clients send 14 to 18 KB.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// Most tracks announced while joining that are looked at; the room has its own bound.
const ADD_TRACKS_MAX: usize = 32;

/// Longest single query value that is kept, but for the join request and the token.
const VALUE_BYTES_MAX: usize = 256;

/// Which address the client came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// `/rtc`: everything stands in the query. (A `join_request` is understood here too.)
    V0,
    /// `/rtc/v1`: everything stands in `join_request`.
    V1,
}

/// How many WebRTC connections the client makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One; the client always offers.
    Single,
    /// One to publish, which the client offers, and one to subscribe, which we offer.
    Dual,
}

/// What the client says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Client {
    /// As numbered in the protocol (`ClientInfo.SDK`).
    pub sdk: i32,
    pub version: String,
    /// Version of the signalling protocol; 0 when not said.
    pub protocol: i32,
    /// Version of what clients say to each other.
    pub client_protocol: i32,
    pub capabilities: Vec<i32>,
}

/// A session description and the number by which its answer is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    pub id: u32,
    pub sdp: String,
}

/// What a client said at the door, read but not yet believed.
#[derive(Clone, PartialEq, Debug)]
pub struct Connect {
    /// `access_token` of the query; else it is in the `Authorization` header.
    pub token: Option<String>,
    pub form: Form,
    pub client: Client,
    auto_subscribe: bool,
    metadata: String,
    attributes: BTreeMap<String, String>,
    offer: Option<Description>,
    add_tracks: Vec<proto::AddTrackRequest>,
    sync_state: Option<proto::SyncState>,
    resume: Option<String>,
}

/// A client that may come in, by its token, and what it wants.
#[derive(Clone, PartialEq, Debug)]
pub struct JoinRequest {
    pub room: String,
    pub joining: Joining,
    pub form: Form,
    pub client: Client,
    pub auto_subscribe: bool,
    /// It was here before and goes on: with the sid it had, empty when it does not say.
    pub resume: Option<String>,
    pub offer: Option<Description>,
    pub add_tracks: Vec<proto::AddTrackRequest>,
    pub sync_state: Option<proto::SyncState>,
}

/// Why an address was not understood, in words for who wrote the client.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    #[error("join_request is required here")]
    Missing,
    #[error("join_request has {0} characters; at most {ENCODED_BYTES_MAX} are read")]
    TooLong(usize),
    #[error("join_request is not base64url")]
    Base64,
    #[error("join_request does not hold a WrappedJoinRequest")]
    Wrapped,
    #[error("join_request names a compression that is not known")]
    Compression,
    #[error("the JoinRequest in join_request cannot be gunzipped")]
    Gzip,
    #[error("the JoinRequest in join_request has more than {REQUEST_BYTES_MAX} bytes")]
    TooLarge,
    #[error("join_request does not hold a JoinRequest")]
    Request,
    #[error("{0} in the query is too long")]
    Value(&'static str),
}

/// Either alphabet's padding habits: some clients pad, some do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Connect {
    /// Reads a query, given as its decoded pairs. Of a name that comes twice the first counts.
    pub fn parse<K: AsRef<str>, V: AsRef<str>>(
        path: Path,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConnectError> {
        let query = Query::read(pairs)?;
        match (&query.join_request, path) {
            (Some(encoded), _) => Ok(Self::from_request(join_request(encoded)?, query.token)),
            (None, Path::V1) => Err(ConnectError::Missing),
            (None, Path::V0) => Ok(Self::from_query(query)),
        }
    }

    /// What the client may be here, by its token. Refused when it may not enter the token's room.
    pub fn join(self, claims: &Claims) -> Result<JoinRequest, Refusal> {
        let video = claims.video.clone().unwrap_or_default();
        let room = video.room.clone().unwrap_or_default();
        let grants = Grants::from_token(&video, &room);
        grants.allows(Action::Enter)?;
        let mut joining = Joining {
            identity: claims.sub.clone(),
            name: claims.name.clone(),
            metadata: claims.metadata.clone(),
            attributes: claims.attributes.clone(),
            grants,
        };
        // What the token says is its maker's word; who may change it later may also change it now.
        if joining.grants.allows(Action::UpdateOwnMetadata).is_ok() {
            if !self.metadata.is_empty() {
                joining.metadata = self.metadata;
            }
            joining.attributes.extend(self.attributes);
        }
        Ok(JoinRequest {
            room,
            joining,
            form: self.form,
            client: self.client,
            auto_subscribe: self.auto_subscribe,
            resume: self.resume,
            offer: self.offer,
            add_tracks: self.add_tracks,
            sync_state: self.sync_state,
        })
    }

    /// The client goes on with what it had, rather than joining.
    pub fn resumes(&self) -> bool {
        self.resume.is_some()
    }

    fn from_request(request: proto::JoinRequest, token: Option<String>) -> Self {
        let info = request.client_info.unwrap_or_default();
        let settings = request.connection_settings.unwrap_or_default();
        let mut add_tracks = request.add_track_requests;
        add_tracks.truncate(ADD_TRACKS_MAX);
        Self {
            token,
            form: Form::Single,
            client: Client {
                sdk: info.sdk,
                version: info.version,
                protocol: info.protocol,
                client_protocol: info.client_protocol,
                capabilities: info.capabilities,
            },
            auto_subscribe: settings.auto_subscribe,
            metadata: request.metadata,
            attributes: request.participant_attributes.into_iter().collect(),
            offer: request.publisher_offer.map(|offer| Description {
                id: offer.id,
                sdp: offer.sdp,
            }),
            add_tracks,
            sync_state: request.sync_state,
            resume: request.reconnect.then_some(request.participant_sid),
        }
    }

    fn from_query(query: Query) -> Self {
        let sdk = match query.sdk.as_str() {
            "js" => proto::client_info::Sdk::Js,
            "ios" | "swift" => proto::client_info::Sdk::Swift,
            "android" => proto::client_info::Sdk::Android,
            "flutter" => proto::client_info::Sdk::Flutter,
            "go" => proto::client_info::Sdk::Go,
            "unity" => proto::client_info::Sdk::Unity,
            "reactnative" => proto::client_info::Sdk::ReactNative,
            "rust" => proto::client_info::Sdk::Rust,
            "python" => proto::client_info::Sdk::Python,
            "cpp" => proto::client_info::Sdk::Cpp,
            "unityweb" => proto::client_info::Sdk::UnityWeb,
            "node" => proto::client_info::Sdk::Node,
            "esp32" => proto::client_info::Sdk::Esp32,
            _ => proto::client_info::Sdk::Unknown,
        };
        Self {
            token: query.token,
            form: Form::Dual,
            client: Client {
                sdk: sdk.into(),
                version: query.version,
                protocol: query.protocol.parse().unwrap_or(0),
                client_protocol: query.client_protocol.parse().unwrap_or(0),
                capabilities: Vec::new(),
            },
            auto_subscribe: query.auto_subscribe.is_empty() || truth(&query.auto_subscribe),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            offer: None,
            add_tracks: Vec::new(),
            sync_state: None,
            resume: truth(&query.reconnect).then_some(query.sid),
        }
    }
}

/// What becomes of a client with a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// It joins as a new member.
    Join,
    /// It goes on as this member.
    Resume(MemberId),
    /// It wants to go on, and what it had is gone ([`crate::cannot_resume`]).
    CannotResume,
}

/// Finds what a client wants to resume: the member with its sid, which must be its identity's too; a client that does
/// not name the sid is known by its identity alone.
pub fn find_resumed(join: &JoinRequest, view: View<'_>) -> Entry {
    let Some(sid) = &join.resume else {
        return Entry::Join;
    };
    let of_identity = view.room.member_by_identity(&join.joining.identity);
    match of_identity {
        Some(member) if sid.is_empty() || view.facts.member_of(sid) == Some(member.id) => {
            Entry::Resume(member.id)
        }
        Some(_) | None => Entry::CannotResume,
    }
}

/// The pairs that are looked at.
#[derive(Default)]
struct Query {
    token: Option<String>,
    join_request: Option<String>,
    sdk: String,
    version: String,
    protocol: String,
    client_protocol: String,
    auto_subscribe: String,
    reconnect: String,
    sid: String,
}

impl Query {
    fn read<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConnectError> {
        let mut query = Query::default();
        for (key, value) in pairs {
            let value = value.as_ref();
            match key.as_ref() {
                "access_token" => {
                    query.token.get_or_insert_with(|| value.to_owned());
                }
                "join_request" => {
                    if value.len() > ENCODED_BYTES_MAX {
                        return Err(ConnectError::TooLong(value.len()));
                    }
                    query.join_request.get_or_insert_with(|| value.to_owned());
                }
                "sdk" => keep(&mut query.sdk, "sdk", value)?,
                "version" => keep(&mut query.version, "version", value)?,
                "protocol" => keep(&mut query.protocol, "protocol", value)?,
                "client_protocol" => keep(&mut query.client_protocol, "client_protocol", value)?,
                "auto_subscribe" => keep(&mut query.auto_subscribe, "auto_subscribe", value)?,
                "reconnect" => keep(&mut query.reconnect, "reconnect", value)?,
                "sid" => keep(&mut query.sid, "sid", value)?,
                _ => {}
            }
        }
        query.join_request = query.join_request.filter(|encoded| !encoded.is_empty());
        Ok(query)
    }
}

fn keep(place: &mut String, name: &'static str, value: &str) -> Result<(), ConnectError> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(ConnectError::Value(name));
    }
    if place.is_empty() {
        value.clone_into(place);
    }
    Ok(())
}

fn truth(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

/// Reads a `WrappedJoinRequest` in base64url, gzip or not.
fn join_request(encoded: &str) -> Result<proto::JoinRequest, ConnectError> {
    let wrapped = BASE64.decode(encoded).map_err(|_| ConnectError::Base64)?;
    let wrapped =
        proto::WrappedJoinRequest::decode(&wrapped[..]).map_err(|_| ConnectError::Wrapped)?;
    let compression = proto::wrapped_join_request::Compression::try_from(wrapped.compression);
    let bytes = match compression.map_err(|_| ConnectError::Compression)? {
        proto::wrapped_join_request::Compression::None => wrapped.join_request,
        proto::wrapped_join_request::Compression::Gzip => gunzip(&wrapped.join_request)?,
    };
    if bytes.len() > REQUEST_BYTES_MAX {
        return Err(ConnectError::TooLarge);
    }
    proto::JoinRequest::decode(&bytes[..]).map_err(|_| ConnectError::Request)
}

/// Stops one byte past the limit, so that a gzip bomb costs no more than that.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, ConnectError> {
    let limit = u64::try_from(REQUEST_BYTES_MAX).expect("a small number") + 1;
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|_| ConnectError::Gzip)?;
    Ok(out)
}
