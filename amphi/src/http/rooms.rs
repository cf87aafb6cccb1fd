//! Rooms over the API: who is in, what is on air, how a room behaves, and a moderator's hand.

use std::collections::BTreeMap;
use std::time::SystemTime;

use amphi_mux::THUMBNAILS_PLAYLIST;
use amphi_policy::name::TITLE_BYTES_MAX;
use amphi_policy::{Action, Change, SourceSet};
use amphi_room::{ProgramKind, Settings};
use amphi_shard::{Command, MemberSnapshot, Outcome, RoomSnapshot};
use axum::Json;
use axum::extract::State;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::request::{Bearer, Identity, JsonBody, Room, time};
use crate::announcement;
use crate::config::{Config, Switch};
use crate::program::{Made, ProgramState};
use crate::store::{ANNOUNCED_MAX, Announced, RoomSettings};

/// What stays as it is in an address (RFC 3986 §2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Serialize, utoipa::ToSchema)]
pub struct RoomList {
    rooms: Vec<RoomSummary>,
    /// Rooms that go on air later, soonest first: the next 12 that said when.
    announced: Vec<AnnouncedRoom>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct AnnouncedRoom {
    room: String,
    title: String,
    /// RFC 3339.
    starts: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct RoomSummary {
    room: String,
    title: String,
    /// Hidden members are not counted.
    members: usize,
    on_air: bool,
    viewers: usize,
    /// When it went on air (RFC 3339).
    #[schema(required)]
    started: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct RoomState {
    room: String,
    pub title: String,
    members: Vec<Member>,
    pub broadcast: Broadcast,
    recording: Recording,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Member {
    identity: String,
    name: String,
    /// Published and not muted.
    camera: bool,
    microphone: bool,
    screen: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BroadcastState {
    Off,
    /// Asked for; nothing can be played yet.
    Starting,
    OnAir,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Broadcast {
    pub state: BroadcastState,
    /// What makes the program now: "cut" or "compose".
    #[schema(required)]
    pub program: Option<&'static str>,
    /// What was asked for: "auto", "cut" or "compose".
    #[schema(required)]
    pub requested: Option<&'static str>,
    /// How people are arranged, where they are composed: "grid", "speaker", "screen", "side-by-side" or "audio".
    #[schema(required)]
    pub layout: Option<&'static str>,
    /// What becomes there of cameras of another shape than their places: "auto", "crop" or "whole".
    #[schema(required)]
    pub fit: Option<&'static str>,
    /// What is written into the picture, where it is composed; empty: nothing.
    #[schema(required)]
    pub picture_title: Option<String>,
    /// What is composed.
    #[schema(required)]
    picture: Option<ComposedPicture>,
    /// Path of the multivariant playlist.
    #[schema(required)]
    pub hls: Option<String>,
    /// Path of the list of its thumbnails (an image playlist of HLS), where some are made.
    #[schema(required)]
    thumbnails: Option<String>,
    /// Somebody writes captions: the multivariant playlist has them from then on.
    captions: bool,
    #[schema(required)]
    on_air_member: Option<Name>,
    /// RFC 3339.
    #[schema(required)]
    started: Option<String>,
    /// When the room means to go on air next (RFC 3339), as it announced. Null: it did not, it is on air, or it is an hour late.
    #[schema(required)]
    pub starts: Option<String>,
    /// What a viewer sees is that old.
    #[schema(required)]
    seconds_behind: Option<f64>,
    /// Players that asked for a playlist in the last ten seconds; in big crowds an estimate.
    viewers: usize,
    /// Of them those who see each quality ("video", "video1" and so on down the ladder), and those who only hear ("audio").
    viewers_by_rendition: BTreeMap<String, usize>,
    /// Something about the program that people should know.
    #[schema(required)]
    note: Option<String>,
    /// What of it who watches should know: of what is in the picture, and nothing of what this machine carries.
    #[schema(required)]
    audience_note: Option<String>,
}

/// The largest size of the composed picture.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ComposedPicture {
    width: u32,
    height: u32,
    frames_per_second: u32,
    /// In how many sizes it is encoded.
    sizes: usize,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Name {
    identity: String,
    name: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Recording {
    /// "off" or "recording".
    state: &'static str,
    #[schema(required)]
    id: Option<String>,
    /// RFC 3339.
    #[schema(required)]
    started: Option<String>,
    gaps: u64,
    /// Why nothing can be written at present, in words. Null: it is written.
    #[schema(required)]
    note: Option<&'static str>,
}

/// Rooms that somebody is in or that are on air, and those that said when they will be.
#[utoipa::path(get, path = "/api/rooms", responses((status = 200, body = RoomList), (status = 503, body = ErrorBody)))]
pub async fn list(State(app): State<App>) -> Result<Json<RoomList>, ApiError> {
    let open = app
        .house
        .rooms()
        .await
        .map_err(|error| ApiError::unavailable(super::sentence(&error.to_string())))?;
    let rooms: Vec<RoomSummary> = open
        .into_iter()
        .map(|snapshot| summary(&app, snapshot))
        .collect();
    let now = SystemTime::now();
    let from = announcement::said_from(now);
    let announced = app
        .stored("listing what is announced", move |store| {
            store.announced(from, now)
        })
        .await
        // What is on is to be known also when the store does not answer, which is in the log.
        .unwrap_or_default();
    let is_on_air = |name: &str| rooms.iter().any(|room| room.on_air && room.room == name);
    let mut announced: Vec<Announced> = announced
        .into_iter()
        .filter(|announced| !is_on_air(&announced.room))
        .take(ANNOUNCED_MAX)
        .collect();
    announced.sort_by_key(|announced| announced.starts);
    let announced = announced.into_iter().map(AnnouncedRoom::from).collect();
    Ok(Json(RoomList { rooms, announced }))
}

impl From<Announced> for AnnouncedRoom {
    fn from(announced: Announced) -> Self {
        Self {
            room: announced.room,
            title: announced.title,
            starts: rfc3339(announced.starts),
        }
    }
}

fn summary(app: &App, snapshot: RoomSnapshot) -> RoomSummary {
    let program = app.programs.state(&snapshot.room);
    let broadcasting = program
        .and_then(|program| program.broadcasting)
        .filter(|_| snapshot.broadcast.is_some());
    RoomSummary {
        viewers: app.origin.audience(&snapshot.room).viewers,
        members: snapshot.members.len(),
        on_air: broadcasting
            .as_ref()
            .is_some_and(|broadcasting| broadcasting.on_air),
        started: broadcasting.map(|broadcasting| rfc3339(broadcasting.started)),
        room: snapshot.room,
        title: snapshot.title,
    }
}

/// One room as it is now. A room that nobody is in is an empty one.
#[utoipa::path(
    get,
    path = "/api/rooms/{room}",
    params(("room" = String, Path)),
    responses((status = 200, body = RoomState), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody))
)]
pub async fn state(State(app): State<App>, Room(room): Room) -> Result<Json<RoomState>, ApiError> {
    Ok(Json(state_of(&app, &room).await?))
}

pub async fn state_of(app: &App, room: &str) -> Result<RoomState, ApiError> {
    let (snapshot, starts) = match app.ask(room, Command::Snapshot).await? {
        Outcome::Snapshot(snapshot) => {
            let starts = match snapshot.broadcast {
                // A whole audience asks for this every two seconds, and does not wait for the store.
                Some(_) => None,
                // A call goes on without a store, and so do its pages; the log has the error.
                None => app.settings(room).await.ok().and_then(|set| set.starts),
            };
            (*snapshot, starts)
        }
        Outcome::Done | Outcome::NotFound | Outcome::Refused(_) | Outcome::Unavailable(_) => {
            let settings = app.settings(room).await?;
            let snapshot = RoomSnapshot {
                room: room.to_owned(),
                title: settings.title,
                ..RoomSnapshot::default()
            };
            (snapshot, settings.starts)
        }
    };
    let program = app.programs.state(room);
    Ok(RoomState {
        broadcast: broadcast(app, &snapshot, program.as_ref(), starts),
        recording: recording(&snapshot, program.as_ref()),
        members: snapshot.members.into_iter().map(Member::from).collect(),
        room: snapshot.room,
        title: snapshot.title,
    })
}

fn broadcast(
    app: &App,
    snapshot: &RoomSnapshot,
    program: Option<&ProgramState>,
    starts: Option<SystemTime>,
) -> Broadcast {
    let audience = app.origin.audience(&snapshot.room);
    let viewers = audience.viewers;
    let viewers_by_rendition = audience
        .by_rendition()
        .map(|(rendition, viewers)| (rendition.name(), viewers))
        .collect();
    let Some(requested) = &snapshot.broadcast else {
        return Broadcast {
            state: BroadcastState::Off,
            program: None,
            requested: None,
            layout: None,
            fit: None,
            picture_title: None,
            picture: None,
            hls: None,
            thumbnails: None,
            captions: false,
            on_air_member: None,
            started: None,
            starts: starts.map(rfc3339),
            seconds_behind: None,
            viewers,
            viewers_by_rendition,
            // Why it is not on air although somebody, or the room's settings, wanted it to be.
            note: snapshot.failure.clone(),
            audience_note: None,
        };
    };
    let broadcasting = program.and_then(|program| program.broadcasting.as_ref());
    let on_air = broadcasting.is_some_and(|broadcasting| broadcasting.on_air);
    let shown = program.and_then(|program| program.on_air_member);
    Broadcast {
        state: if on_air {
            BroadcastState::OnAir
        } else {
            BroadcastState::Starting
        },
        program: program.map(|program| program.made.program),
        requested: Some(program_word(requested.program)),
        layout: Some(requested.layout.name()),
        fit: Some(requested.fit.name()),
        picture_title: Some(requested.title.clone()),
        picture: program.and_then(|program| picture(&program.made)),
        hls: Some(hls_path(&snapshot.room)),
        thumbnails: (app.origin.makes_thumbnails()).then(|| thumbnails_path(&snapshot.room)),
        captions: app.origin.has_captions(&snapshot.room),
        // A hidden member is not in the snapshot, and so is not named.
        on_air_member: snapshot
            .members
            .iter()
            .find(|member| Some(member.member) == shown)
            .map(Name::from),
        started: broadcasting.map(|broadcasting| rfc3339(broadcasting.started)),
        starts: None,
        seconds_behind: app
            .origin
            .seconds_behind(&snapshot.room)
            .map(|seconds| (seconds * 10.0).round() / 10.0),
        viewers,
        viewers_by_rendition,
        note: program.and_then(note),
        audience_note: program.and_then(|program| program.note.clone()),
    }
}

/// What people should know: of how the picture is made, and of what is in it.
fn note(program: &ProgramState) -> Option<String> {
    let notes: Vec<&str> = [&program.made.note, &program.note]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    (!notes.is_empty()).then(|| notes.join(" "))
}

fn picture(made: &Made) -> Option<ComposedPicture> {
    let top = made.rungs.first()?;
    Some(ComposedPicture {
        width: top.size.width,
        height: top.size.height,
        frames_per_second: made.frames_per_second?,
        sizes: made.rungs.len(),
    })
}

fn recording(snapshot: &RoomSnapshot, program: Option<&ProgramState>) -> Recording {
    if !snapshot.recording {
        return Recording {
            state: "off",
            id: None,
            started: None,
            gaps: 0,
            note: None,
        };
    }
    let running = program.and_then(|program| program.recording.as_ref());
    Recording {
        state: "recording",
        id: running.map(|running| running.id.clone()),
        started: running.map(|running| rfc3339(running.started)),
        gaps: running.map_or(0, |running| running.gauge.gaps()),
        note: running.and_then(|running| running.gauge.trouble().map(super::recordings::trouble)),
    }
}

impl From<MemberSnapshot> for Member {
    fn from(member: MemberSnapshot) -> Self {
        Self {
            identity: member.identity,
            name: member.name,
            camera: member.camera,
            microphone: member.microphone,
            screen: member.screen,
        }
    }
}

impl From<&MemberSnapshot> for Name {
    fn from(member: &MemberSnapshot) -> Self {
        Self {
            identity: member.identity.clone(),
            name: member.name.clone(),
        }
    }
}

pub fn hls_path(room: &str) -> String {
    format!("/hls/{}/index.m3u8", utf8_percent_encode(room, PLAIN))
}

fn thumbnails_path(room: &str) -> String {
    let room = utf8_percent_encode(room, PLAIN);
    format!("/hls/{room}/{THUMBNAILS_PLAYLIST}")
}

pub fn program_word(program: ProgramKind) -> &'static str {
    match program {
        ProgramKind::Auto => "auto",
        ProgramKind::Cut => "cut",
        ProgramKind::Compose => "compose",
    }
}

pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// How a room behaves.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct SettingsBody {
    title: String,
    /// "auto": on air as soon as somebody publishes.
    broadcast: Switch,
    /// "auto": recording as soon as somebody publishes.
    record: Switch,
    /// When it goes on air next, as announced (RFC 3339). A broadcast that begins half an hour before at the earliest takes it away, and so does an hour's delay.
    #[schema(required)]
    starts: Option<String>,
}

impl From<RoomSettings> for SettingsBody {
    fn from(settings: RoomSettings) -> Self {
        Self {
            title: settings.title,
            broadcast: settings.broadcast,
            record: settings.record,
            starts: settings.starts.map(rfc3339),
        }
    }
}

/// What is left out stays as it is.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    title: Option<String>,
    broadcast: Option<Switch>,
    record: Option<Switch>,
    /// When the room goes on air next, for everybody to read: a time to come within a year, RFC 3339 in UTC
    /// ("2026-11-24T19:00:00Z"). Null: it announces nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    starts: Option<Option<String>>,
}

/// How a room behaves.
#[utoipa::path(
    get,
    path = "/api/rooms/{room}/settings",
    params(("room" = String, Path)),
    responses((status = 200, body = SettingsBody), (status = 400, body = ErrorBody))
)]
pub async fn settings(
    State(app): State<App>,
    Room(room): Room,
) -> Result<Json<SettingsBody>, ApiError> {
    Ok(Json(app.settings(&room).await?.into()))
}

/// Set how a room behaves; kept over restarts. Needs roomAdmin, or roomCreate.
#[utoipa::path(
    put,
    path = "/api/rooms/{room}/settings",
    params(("room" = String, Path)),
    request_body = SettingsChange,
    security(("token" = [])),
    responses(
        (status = 200, body = SettingsBody),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
    )
)]
pub async fn put_settings(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
    JsonBody(change): JsonBody<SettingsChange>,
) -> Result<Json<SettingsBody>, ApiError> {
    bearer.grants(&room).allows(Action::Configure)?;
    if change
        .title
        .as_ref()
        .is_some_and(|title| title.len() > TITLE_BYTES_MAX || title.chars().any(char::is_control))
    {
        return Err(ApiError::bad_request(format!(
            "A title has at most {TITLE_BYTES_MAX} bytes and no control characters."
        )));
    }
    let starts = change
        .starts
        .map(|starts| starts.map(announceable).transpose());
    let starts = starts.transpose()?;
    let before = app.settings(&room).await?;
    let settings = RoomSettings {
        title: change.title.unwrap_or(before.title),
        broadcast: change.broadcast.unwrap_or(before.broadcast),
        record: change.record.unwrap_or(before.record),
        starts: starts.unwrap_or(before.starts),
    };
    let (name, value) = (room.clone(), settings.clone());
    app.stored("writing the room's settings", move |store| {
        store.put_settings(&name, &value)
    })
    .await?;
    // If the room is open it behaves so from now on; else it will when it opens.
    app.ask(&room, Command::Configure(for_room(&settings, &app.config)))
        .await?;
    Ok(Json(settings.into()))
}

/// A time that may be announced.
fn announceable(starts: String) -> Result<SystemTime, ApiError> {
    let starts = time("starts", &starts)?;
    announcement::check(starts, SystemTime::now())
        .map_err(|unfit| ApiError::bad_request(super::sentence(&unfit.to_string())))?;
    Ok(starts)
}

/// The settings in the room's words.
pub fn for_room(settings: &RoomSettings, config: &Config) -> Settings {
    Settings {
        title: settings.title.clone(),
        broadcast_auto: settings.broadcast == Switch::Auto,
        record_auto: settings.record == Switch::Auto,
        wish: config.program.wish(&settings.title),
    }
}

/// What a moderator changes about a member; what is left out stays as it is.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberChange {
    /// Sources that may be published: camera, microphone, screen_share, screen_share_audio; null: every source.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    can_publish_sources: Option<Option<Vec<String>>>,
    can_publish: Option<bool>,
    can_subscribe: Option<bool>,
    can_publish_data: Option<bool>,
}

/// Tells `null` from "not given".
fn given<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(from).map(Some)
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct MemberDone {
    identity: String,
}

/// Change what a member may do, while the call runs. Needs roomAdmin.
#[utoipa::path(
    patch,
    path = "/api/rooms/{room}/members/{identity}",
    params(("room" = String, Path), ("identity" = String, Path)),
    request_body = MemberChange,
    security(("token" = [])),
    responses(
        (status = 200, body = MemberDone),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "No such member"),
    )
)]
pub async fn change_member(
    State(app): State<App>,
    Room(room): Room,
    Identity(identity): Identity,
    bearer: Bearer,
    JsonBody(change): JsonBody<MemberChange>,
) -> Result<Json<MemberDone>, ApiError> {
    let by = bearer.grants(&room);
    by.allows(Action::Moderate)?;
    let known = SourceSet::ALL.names();
    let named = change.can_publish_sources.iter().flatten().flatten();
    if let Some(strange) = named
        .into_iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(ApiError::bad_request(format!(
            "There is no source {strange:?}; there are {}.",
            known.join(", ")
        )));
    }
    let sources = |names: Vec<String>| SourceSet::from_names(names.iter().map(String::as_str));
    let change = Change {
        can_publish: change.can_publish,
        can_subscribe: change.can_subscribe,
        can_publish_data: change.can_publish_data,
        sources: change.can_publish_sources.map(|names| names.map(sources)),
    };
    member_done(
        app.ask(
            &room,
            Command::ChangeGrants {
                by,
                identity: identity.clone(),
                change,
            },
        )
        .await?,
        identity,
    )
}

/// Remove a member from the room. Needs roomAdmin.
#[utoipa::path(
    delete,
    path = "/api/rooms/{room}/members/{identity}",
    params(("room" = String, Path), ("identity" = String, Path)),
    security(("token" = [])),
    responses(
        (status = 200, body = MemberDone),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "No such member"),
    )
)]
pub async fn remove_member(
    State(app): State<App>,
    Room(room): Room,
    Identity(identity): Identity,
    bearer: Bearer,
) -> Result<Json<MemberDone>, ApiError> {
    let by = bearer.grants(&room);
    by.allows(Action::Moderate)?;
    member_done(
        app.ask(
            &room,
            Command::RemoveMember {
                by,
                identity: identity.clone(),
            },
        )
        .await?,
        identity,
    )
}

fn member_done(outcome: Outcome, identity: String) -> Result<Json<MemberDone>, ApiError> {
    match outcome {
        Outcome::Done | Outcome::Snapshot(_) => Ok(Json(MemberDone { identity })),
        Outcome::NotFound => Err(ApiError::not_found(
            "Nobody of that identity is in this room.",
        )),
        Outcome::Unavailable(words) => Err(ApiError::unavailable(words)),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_path_is_a_path_whatever_the_room_is_called() {
        assert_eq!(hls_path("town-hall"), "/hls/town-hall/index.m3u8");
        assert_eq!(hls_path("Å 2"), "/hls/%C3%85%202/index.m3u8");
    }

    #[test]
    fn null_sources_mean_every_source_and_none_given_means_no_change() {
        let read = |text: &str| {
            serde_json::from_str::<MemberChange>(text)
                .expect("right")
                .can_publish_sources
        };
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"canPublishSources":null}"#), Some(None));
        assert_eq!(read(r#"{"canPublishSources":[]}"#), Some(Some(vec![])));
    }
}
