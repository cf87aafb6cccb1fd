//! The two switches of a room: on air, and recording.

use std::time::Duration;

use amphi_policy::Action;
use amphi_room::{Wish, WishChange};
use amphi_shard::{Command, Outcome};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::request::{Bearer, JsonBody, Room};
use super::rooms::{BroadcastState, state_of};
use crate::config::{FitWord, LayoutWord, ProgramWord};
use crate::program::{NO_PLACE, Place};

/// A recording gets its id on the program's thread, a moment after the room said yes; that long it is waited for.
const ID_WAIT_MAX: Duration = Duration::from_secs(2);
const ID_WAIT_STEP: Duration = Duration::from_millis(20);

/// What is left out is as the configuration says.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    #[serde(default)]
    program: Option<ProgramWord>,
    #[serde(default)]
    layout: Option<LayoutWord>,
    #[serde(default)]
    fit: Option<FitWord>,
    /// Written into a composed picture: at most 80 characters, nothing if empty.
    #[serde(default)]
    title: Option<String>,
}

/// What is left out stays as it is.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeBody {
    #[serde(default)]
    program: Option<ProgramWord>,
    #[serde(default)]
    layout: Option<LayoutWord>,
    #[serde(default)]
    fit: Option<FitWord>,
    /// Written into a composed picture: at most 80 characters, nothing if empty.
    #[serde(default)]
    title: Option<String>,
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordBody {
    /// Record every member's tracks too, as they are sent, each in a file of its own. Left out: as the configuration says.
    #[serde(default)]
    tracks: Option<bool>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct BroadcastAnswer {
    state: BroadcastState,
    /// What makes the program now: "cut" or "compose". After a change it is for a moment what it was.
    #[schema(required)]
    program: Option<&'static str>,
    /// What was asked for: "auto", "cut" or "compose".
    #[schema(required)]
    requested: Option<&'static str>,
    /// How people are arranged where they are composed.
    #[schema(required)]
    layout: Option<&'static str>,
    /// What becomes there of cameras of another shape than their places: "auto", "crop" or "whole".
    #[schema(required)]
    fit: Option<&'static str>,
    /// What is written into the picture where it is composed; empty: nothing.
    #[schema(required)]
    title: Option<String>,
    /// Path of the multivariant playlist.
    #[schema(required)]
    hls: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct RecordingAnswer {
    /// "off" or "recording".
    state: &'static str,
    #[schema(required)]
    id: Option<String>,
}

/// Go on air. Needs roomBroadcast, or roomAdmin. In a room that is on air already, what the body names is changed.
#[utoipa::path(
    post,
    path = "/api/rooms/{room}/broadcast",
    params(("room" = String, Path)),
    request_body(content = StartBody, description = "May be empty"),
    security(("token" = [])),
    responses(
        (status = 200, body = BroadcastAnswer),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "Nobody is in this room"),
        (status = 503, body = ErrorBody, description = "As many programs run as may (limits.broadcasts)"),
    )
)]
pub async fn start_broadcast(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
    JsonBody(body): JsonBody<StartBody>,
) -> Result<Json<BroadcastAnswer>, ApiError> {
    let by = bearer.grants(&room);
    by.allows(Action::Broadcast)?;
    let title = body.title.map(written).transpose()?;
    let program = &app.config.program;
    let room_title = match &title {
        // Nobody waits for the store for what is not needed.
        None if program.room_title => app.settings(&room).await?.title,
        None | Some(_) => String::new(),
    };
    let usual = program.wish(&room_title);
    let change = WishChange {
        program: body.program.map(Into::into),
        layout: body.layout.map(Into::into),
        fit: body.fit.map(Into::into),
        title,
    };
    let was_on_air = app
        .programs
        .state(&room)
        .is_some_and(|program| program.broadcasting.is_some());
    if was_on_air && change != WishChange::default() {
        return changed(&app, &room, Command::ChangeProgram { by, change }).await;
    }
    let wish = Wish {
        program: change.program.unwrap_or(usual.program),
        layout: change.layout.unwrap_or(usual.layout),
        fit: change.fit.unwrap_or(usual.fit),
        title: change.title.unwrap_or(usual.title),
    };
    let _place = place(&app, &room)?;
    match app.ask(&room, Command::StartBroadcast { by, wish }).await? {
        Outcome::Done | Outcome::Snapshot(_) => broadcast_answer(&app, &room).await,
        Outcome::NotFound => Err(nobody_here()),
        Outcome::Unavailable(words) => Err(ApiError::unavailable(words)),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

/// Change the program while the room is on air or recorded. Needs roomBroadcast, or roomAdmin.
#[utoipa::path(
    patch,
    path = "/api/rooms/{room}/broadcast",
    params(("room" = String, Path)),
    request_body(content = ChangeBody),
    security(("token" = [])),
    responses(
        (status = 200, body = BroadcastAnswer),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "The room is neither on air nor recorded"),
    )
)]
pub async fn change_broadcast(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
    JsonBody(body): JsonBody<ChangeBody>,
) -> Result<Json<BroadcastAnswer>, ApiError> {
    let by = bearer.grants(&room);
    by.allows(Action::Broadcast)?;
    let command = Command::ChangeProgram {
        by,
        change: WishChange {
            program: body.program.map(Into::into),
            layout: body.layout.map(Into::into),
            fit: body.fit.map(Into::into),
            title: body.title.map(written).transpose()?,
        },
    };
    changed(&app, &room, command).await
}

async fn changed(
    app: &App,
    room: &str,
    command: Command,
) -> Result<Json<BroadcastAnswer>, ApiError> {
    match app.ask(room, command).await? {
        Outcome::Done | Outcome::Snapshot(_) => broadcast_answer(app, room).await,
        Outcome::NotFound => Err(nobody_here()),
        Outcome::Unavailable(words) => Err(ApiError::conflict(words)),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

/// End the broadcast. Needs roomBroadcast, or roomAdmin. Ending what is not on air is fine.
#[utoipa::path(
    delete,
    path = "/api/rooms/{room}/broadcast",
    params(("room" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = BroadcastAnswer), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody))
)]
pub async fn stop_broadcast(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
) -> Result<Json<BroadcastAnswer>, ApiError> {
    let by = bearer.grants(&room);
    by.allows(Action::Broadcast)?;
    match app.ask(&room, Command::StopBroadcast { by }).await? {
        Outcome::Done | Outcome::Snapshot(_) | Outcome::NotFound => Ok(Json(BroadcastAnswer {
            state: BroadcastState::Off,
            program: None,
            requested: None,
            layout: None,
            fit: None,
            title: None,
            hls: None,
        })),
        Outcome::Unavailable(words) => Err(ApiError::unavailable(words)),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

async fn broadcast_answer(app: &App, room: &str) -> Result<Json<BroadcastAnswer>, ApiError> {
    let broadcast = state_of(app, room).await?.broadcast;
    Ok(Json(BroadcastAnswer {
        state: broadcast.state,
        program: broadcast.program,
        requested: broadcast.requested,
        layout: broadcast.layout,
        fit: broadcast.fit,
        title: broadcast.picture_title,
        hls: broadcast.hls,
    }))
}

/// Record the program. Needs roomRecord, or roomAdmin. The room need not be on air. What is recorded already goes on as it is.
#[utoipa::path(
    post,
    path = "/api/rooms/{room}/recording",
    params(("room" = String, Path)),
    request_body(content = RecordBody, description = "May be empty"),
    security(("token" = [])),
    responses(
        (status = 200, body = RecordingAnswer),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "Nobody is in this room"),
        (status = 503, body = ErrorBody, description = "As many programs run as may (limits.broadcasts)"),
    )
)]
pub async fn start_recording(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
    JsonBody(body): JsonBody<RecordBody>,
) -> Result<Json<RecordingAnswer>, ApiError> {
    let by = bearer.grants(&room);
    by.allows(Action::Record)?;
    let _place = place(&app, &room)?;
    if let Some(tracks) = body.tracks {
        app.programs.want_tracks(&room, tracks);
    }
    match app.ask(&room, Command::StartRecording { by }).await? {
        Outcome::Done | Outcome::Snapshot(_) => {}
        Outcome::NotFound => return Err(nobody_here()),
        Outcome::Unavailable(words) => return Err(ApiError::unavailable(words)),
        Outcome::Refused(refusal) => return Err(refusal.into()),
    }
    let mut waited = Duration::ZERO;
    let id = loop {
        let running = app
            .programs
            .state(&room)
            .and_then(|program| program.recording);
        if running.is_some() || waited >= ID_WAIT_MAX {
            break running.map(|running| running.id);
        }
        tokio::time::sleep(ID_WAIT_STEP).await;
        waited += ID_WAIT_STEP;
    };
    Ok(Json(RecordingAnswer {
        state: "recording",
        id,
    }))
}

/// End the recording. Needs roomRecord, or roomAdmin. Ending what is not recorded is fine.
#[utoipa::path(
    delete,
    path = "/api/rooms/{room}/recording",
    params(("room" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = RecordingAnswer), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody))
)]
pub async fn stop_recording(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
) -> Result<Json<RecordingAnswer>, ApiError> {
    let by = bearer.grants(&room);
    by.allows(Action::Record)?;
    let id = app
        .programs
        .state(&room)
        .and_then(|program| program.recording)
        .map(|running| running.id);
    match app.ask(&room, Command::StopRecording { by }).await? {
        Outcome::Done | Outcome::Snapshot(_) | Outcome::NotFound => {
            Ok(Json(RecordingAnswer { state: "off", id }))
        }
        Outcome::Unavailable(words) => Err(ApiError::unavailable(words)),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

/// A room that goes on air or is recorded starts a program, and only so many may run. Kept until the room has started
/// its own, so that two rooms that ask at once are not both promised the last one.
fn place(app: &App, room: &str) -> Result<Place, ApiError> {
    app.programs
        .keep_place(room)
        .ok_or_else(|| ApiError::unavailable(NO_PLACE))
}

/// Longest text that is written into a picture, in characters.
const PICTURE_TITLE_MAX: usize = 80;

/// A text that can be written into a picture.
fn written(title: String) -> Result<String, ApiError> {
    let title = title.trim().to_owned();
    let length = title.chars().count();
    if length > PICTURE_TITLE_MAX {
        return Err(ApiError::bad_request(format!(
            "This title has {length} characters; a picture has place for {PICTURE_TITLE_MAX}."
        )));
    }
    if title.chars().any(char::is_control) {
        return Err(ApiError::bad_request(
            "A title in the picture is one line without control characters.",
        ));
    }
    Ok(title)
}

fn nobody_here() -> ApiError {
    ApiError::conflict("Nobody is in this room: join it first.")
}
