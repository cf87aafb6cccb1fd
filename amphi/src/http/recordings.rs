//! Recordings: the list, the file, a playlist over the file, and what people decide about each.
//!
//! Who may watch one is `amphi_policy`'s to say: whoever asks, if it is published, else by the token. Players and download
//! links send no token, so the addresses of what is not published carry a pass (`amphi_policy::pass`).

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use amphi_policy::{Action, Audience, Grants, name, pass};
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::App;
use super::error::{ApiError, ErrorBody};
use super::range::{self, Wanted};
use super::request::{Bearer, FileName, JsonBody, RecordingId, Visitor, now_s, query};
use super::rooms::rfc3339;
use super::sentence;
use crate::config::KeepFor;
use crate::egress::record::timeline::{self, Event, Timeline};
use crate::egress::record::{self, Deletion, TrackFile, file_of};
use crate::gzip;
use crate::store::{ExportState, Recording, RecordingState, ReleaseChange, Unpublished, Which};

/// What a recording's media is called in its address.
pub(super) const FILE: &str = "program.mp4";
/// The part of an address that lets its reader watch what is not published.
const PASS: &str = "pass";
/// Events of a timeline that are sent at once.
const EVENTS_MAX: usize = 10_000;

#[derive(Serialize, utoipa::ToSchema)]
pub struct RecordingList {
    recordings: Vec<RecordingBody>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct RecordingBody {
    id: String,
    room: String,
    title: String,
    /// RFC 3339.
    started: String,
    /// So far, while it runs.
    duration_s: f64,
    /// "recording" or "ready".
    state: &'static str,
    /// Path of a playlist over the file. Of a recording that is not published, it lets whoever has it watch for some hours;
    /// so does `file`.
    hls: String,
    /// Path of the file, one MP4 that plays anywhere.
    file: String,
    size_bytes: u64,
    /// Places where something is missing.
    gaps: u64,
    /// Why nothing can be written at present, in words. Null: it is written, or has ended.
    #[schema(required)]
    note: Option<&'static str>,
    /// Everybody may watch it.
    published: bool,
    /// RFC 3339: it is deleted then. Null: never by itself.
    #[schema(required)]
    keep_until: Option<String>,
    /// Its copy elsewhere. Null where there is none, in lists, and for who may not release it.
    #[schema(required)]
    export: Option<ExportBody>,
    /// Whether who asks may publish, name, keep and delete it.
    may_release: bool,
}

/// How far the copy of a recording is.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ExportBody {
    /// "waiting", "done": all of it is there and was read back; or "given up": until the server's next start.
    state: &'static str,
    /// Where to, in words: "the bucket archive".
    to: String,
    /// What went wrong the last time, in words. Null: nothing did.
    #[schema(required)]
    note: Option<String>,
    /// RFC 3339: it is tried again then, if something went wrong.
    #[schema(required)]
    next: Option<String>,
}

/// Recordings, newest first: those that are published, and with a token of somebody who may record in a room the
/// others of that room too.
#[utoipa::path(
    get,
    path = "/api/recordings",
    params(("room" = Option<String>, Query, description = "Of this room only")),
    security((), ("token" = [])),
    responses((status = 200, body = RecordingList), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody))
)]
pub async fn list(
    State(app): State<App>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Json<RecordingList>, ApiError> {
    let room = query(&uri, "room");
    if let Some(room) = &room {
        name::room(room).map_err(|bad| ApiError::bad_request(sentence(&bad.to_string())))?;
    }
    let unpublished_of = match visitor.room() {
        Some(own) if visitor.grants(own).may_watch(Audience::Keepers).is_ok() => {
            Unpublished::OfRoom(own.to_owned())
        }
        Some(_) | None => Unpublished::None,
    };
    let which = Which {
        room,
        unpublished_of,
    };
    let recordings = app
        .stored("listing the recordings", move |store| {
            store.recordings(&which)
        })
        .await?;
    let recordings = recordings
        .into_iter()
        .map(|recording| body(&app, &visitor.grants(&recording.room), recording))
        .collect();
    Ok(Json(RecordingList { recordings }))
}

/// One recording. One that is not published is for those who may record in its room, or moderate it.
#[utoipa::path(
    get,
    path = "/api/recordings/{id}",
    params(("id" = String, Path)),
    security((), ("token" = [])),
    responses(
        (status = 200, body = RecordingBody),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "It is not published"),
        (status = 404, body = ErrorBody),
    )
)]
pub async fn one(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    visitor: Visitor,
) -> Result<Json<RecordingBody>, ApiError> {
    let recording = find(&app, id).await?;
    let grants = visitor.grants(&recording.room);
    grants.may_watch(audience(&recording))?;
    let body = body(&app, &grants, recording);
    Ok(Json(with_export(&app, body).await?))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    /// True: everybody may watch it. False: those who may record in its room.
    #[serde(default)]
    published: Option<bool>,
    /// From now on: a time span such as "30days", after which it is deleted, or "for ever".
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    keep_for: Option<KeepFor>,
    /// What people read; empty: the room's name.
    #[serde(default)]
    title: Option<String>,
}

/// Publish a recording or take it back, name it, say how long it is kept. What is left out stays as it is. Needs
/// roomRecord or roomAdmin for its room.
#[utoipa::path(
    patch,
    path = "/api/recordings/{id}",
    params(("id" = String, Path)),
    request_body = ReleaseBody,
    security(("token" = [])),
    responses(
        (status = 200, body = RecordingBody),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub async fn change(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    bearer: Bearer,
    JsonBody(wanted): JsonBody<ReleaseBody>,
) -> Result<Json<RecordingBody>, ApiError> {
    let grants = may_release(&app, &id, &bearer).await?;
    if let Some(title) = &wanted.title
        && (title.len() > name::TITLE_BYTES_MAX || title.chars().any(char::is_control))
    {
        return Err(ApiError::bad_request(format!(
            "A title has at most {} bytes and no control characters.",
            name::TITLE_BYTES_MAX
        )));
    }
    let change = ReleaseChange {
        title: wanted.title,
        published: wanted.published,
        keep_until: wanted
            .keep_for
            .map(|KeepFor(span)| span.and_then(|span| SystemTime::now().checked_add(span))),
    };
    let changed = id.clone();
    app.stored("releasing a recording", move |store| {
        store.release(&changed, &change)
    })
    .await?;
    let recording = find(&app, id).await?;
    let body = body(&app, &grants, recording);
    Ok(Json(with_export(&app, body).await?))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct DeletionAnswer {
    /// "deleted", or "deleting": nobody finds it any more, and its files go as soon as the disk lets them.
    state: &'static str,
}

/// Delete a recording and its files, for good. Needs roomRecord or roomAdmin for its room.
#[utoipa::path(
    delete,
    path = "/api/recordings/{id}",
    params(("id" = String, Path)),
    security(("token" = [])),
    responses(
        (status = 200, body = DeletionAnswer),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "It is still being recorded"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    bearer: Bearer,
) -> Result<Json<DeletionAnswer>, ApiError> {
    may_release(&app, &id, &bearer).await?;
    let (keeping, deleted) = (app.clone(), id.clone());
    let asked = tokio::task::spawn_blocking(move || keeping.keeper.delete(&deleted)).await;
    let deletion = match asked {
        Ok(Ok(deletion)) => deletion,
        Ok(Err(error)) => return Err(ApiError::failed("deleting a recording", &error)),
        Err(error) => return Err(ApiError::failed("deleting a recording", &error)),
    };
    match deletion {
        Deletion::Done => Ok(Json(DeletionAnswer { state: "deleted" })),
        Deletion::Begun => Ok(Json(DeletionAnswer { state: "deleting" })),
        Deletion::NotReady => {
            // Somebody else may have been faster.
            find(&app, id).await?;
            Err(ApiError::conflict(
                "This is still being recorded: end the recording first.",
            ))
        }
    }
}

/// A recording that everybody may watch.
pub(super) async fn for_everybody(app: &App, id: &str) -> Option<Recording> {
    file_of(std::path::Path::new(""), id)?;
    let recording = find(app, id.to_owned()).await.ok()?;
    let nobody = Grants::none();
    nobody.may_watch(audience(&recording)).ok()?;
    Some(recording)
}

/// What who asks may do in the recording's room, if that is to release it.
async fn may_release(app: &App, id: &str, bearer: &Bearer) -> Result<Grants, ApiError> {
    let recording = find(app, id.to_owned()).await?;
    let grants = bearer.grants(&recording.room);
    grants.allows(Action::Release)?;
    Ok(grants)
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct TrackList {
    tracks: Vec<TrackBody>,
}

/// One member's track as it was sent.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TrackBody {
    /// Who it was, as in the timeline.
    member: u64,
    name: String,
    /// "camera", "microphone", "screen", "screen_audio" or "unknown".
    source: String,
    /// "H264", "VP8", "VP9", "AV1" or "opus".
    codec: String,
    /// Where its beginning is in the recording, in seconds. Less than zero: the track was there before the picture.
    offset_s: f64,
    /// From its first frame to its last.
    duration_s: f64,
    /// Path of the file, an MP4 that plays alone. It lets whoever has it watch for some hours.
    file: String,
    size_bytes: u64,
}

/// The members' tracks of a recording, in the order in which they began; none where only the program was recorded. For those
/// who may record in its room, also when it is published: not all that somebody sent was on air.
#[utoipa::path(
    get,
    path = "/api/recordings/{id}/tracks",
    params(("id" = String, Path), ("pass" = Option<String>, Query, description = "As in `hls` of the recording")),
    security((), ("token" = [])),
    responses(
        (status = 200, body = TrackList),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "Not for those who may not record here"),
        (status = 404, body = ErrorBody),
    )
)]
pub async fn tracks(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    visitor: Visitor,
    uri: Uri,
) -> Result<Json<TrackList>, ApiError> {
    let recording = find(&app, id).await?;
    admit(&app, &recording, Audience::Keepers, &visitor, &uri)?;
    let (data_dir, id) = (app.config.server.data_dir.clone(), recording.id.clone());
    let turn = app.playlists.turn().await;
    let listed = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let tracks = record::tracks(&data_dir, &id)?;
        let zero = timeline::read(&timeline_path(&data_dir, &id), i64::MIN, 1);
        Ok((tracks, zero.ok().and_then(|read| read.zero_unix_ms)))
    });
    let (tracks, zero_unix_ms): (Vec<TrackFile>, Option<i64>) = listed
        .await
        .map_err(std::io::Error::other)
        .and_then(|read| read)
        .map_err(|error| ApiError::failed("reading a recording's tracks", &error))?;
    let asked = pass_for(&app, &recording);
    let tracks = tracks.into_iter().map(|track| TrackBody {
        offset_s: seconds_in(&recording, zero_unix_ms, track.begin_us),
        file: format!("/recordings/{}/tracks/{}{asked}", recording.id, track.name),
        member: track.of.member,
        name: track.of.name,
        source: track.of.source,
        codec: track.of.codec,
        duration_s: track.length.as_millis() as f64 / 1_000.0,
        size_bytes: track.size_bytes,
    });
    Ok(Json(TrackList {
        tracks: tracks.collect(),
    }))
}

/// One member's track as one fragmented MP4, whole or in part.
#[utoipa::path(
    get,
    path = "/recordings/{id}/tracks/{file}",
    params(
        ("id" = String, Path),
        ("file" = String, Path),
        ("pass" = Option<String>, Query, description = "As in `file` of the track"),
        ("range" = Option<String>, Header),
    ),
    security((), ("token" = [])),
    responses(
        (status = 200, body = Vec<u8>, content_type = "video/mp4"),
        (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "Not for those who may not record here"),
        (status = 404, body = ErrorBody),
        (status = 416, description = "Beyond the end"),
    )
)]
pub async fn track(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    FileName(name): FileName,
    visitor: Visitor,
    request: Request,
) -> Result<Response, ApiError> {
    let recording = find(&app, id).await?;
    admit(&app, &recording, Audience::Keepers, &visitor, request.uri())?;
    let path = record::track_file(&app.config.server.data_dir, &recording.id, &name)
        .ok_or_else(|| ApiError::not_found("This recording has no such track."))?;
    let name = format!("{}-{name}", plain_name(&recording));
    let named = format!("inline; filename=\"{name}\"");
    let named = HeaderValue::from_str(&named).expect("letters, digits and hyphens");
    send_file(path, Audience::Keepers, named, request).await
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct TimelineBody {
    events: Vec<TimelineEvent>,
    /// There are more: ask again with `from` of the last one.
    more: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct TimelineEvent {
    /// Where in the recording, in seconds; what was so before it began is at 0.
    at_s: f64,
    #[serde(flatten)]
    event: Event,
}

/// What happened while it was recorded: who came and left, tracks, who spoke, whom the picture showed.
#[utoipa::path(
    get,
    path = "/api/recordings/{id}/timeline",
    params(
        ("id" = String, Path),
        ("from" = Option<f64>, Query, description = "From this second of the recording on"),
        ("pass" = Option<String>, Query, description = "As in `hls` of the recording"),
    ),
    security((), ("token" = [])),
    responses(
        (status = 200, body = TimelineBody),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "It is not published"),
        (status = 404, body = ErrorBody),
    )
)]
pub async fn timeline(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    visitor: Visitor,
    uri: Uri,
) -> Result<Json<TimelineBody>, ApiError> {
    let from_s = match query(&uri, "from") {
        None => None,
        Some(text) => Some(
            text.parse::<f64>()
                .ok()
                .filter(|seconds| (0.0..1e9).contains(seconds))
                .ok_or_else(|| {
                    ApiError::bad_request("`from` is a number of seconds, from 0 on.")
                })?,
        ),
    };
    let (recording, _) = find_watched(&app, id, &visitor, &uri).await?;
    let path = timeline_path(&app.config.server.data_dir, &recording.id);
    let started_ms = unix_ms(recording.started);
    let from_unix_ms = from_s.map_or(i64::MIN, |seconds| {
        started_ms.saturating_add((seconds * 1_000.0) as i64)
    });
    let turn = app.playlists.turn().await;
    let read = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        timeline::read(&path, from_unix_ms, EVENTS_MAX)
    });
    let read = match read
        .await
        .map_err(std::io::Error::other)
        .and_then(|read| read)
    {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Timeline::default(),
        Err(error) => return Err(ApiError::failed("reading a timeline", &error)),
    };
    let (zero_unix_ms, more) = (read.zero_unix_ms, read.more);
    let events = read
        .lines
        .into_iter()
        .filter(|line| !matches!(line.event, Event::Begin { .. }))
        .map(|line| TimelineEvent {
            at_s: seconds_in(&recording, zero_unix_ms, line.ms.saturating_mul(1_000)).max(0.0),
            event: line.event,
        })
        .collect();
    Ok(Json(TimelineBody { events, more }))
}

fn timeline_path(data_dir: &Path, id: &str) -> PathBuf {
    let program = file_of(data_dir, id).expect("RecordingId and the store hold ids only");
    program.with_file_name(timeline::FILE)
}

/// Where a point of the programme clock is in the recording, in seconds.
fn seconds_in(recording: &Recording, zero_unix_ms: Option<i64>, programme_us: i64) -> f64 {
    let Some(zero_unix_ms) = zero_unix_ms else {
        return 0.0;
    };
    let since_us = zero_unix_ms
        .saturating_sub(unix_ms(recording.started))
        .saturating_mul(1_000)
        .saturating_add(programme_us);
    (since_us as f64 / 1_000.0).round() / 1_000.0
}

fn unix_ms(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn audience(recording: &Recording) -> Audience {
    match recording.release.published {
        true => Audience::Everybody,
        false => Audience::Keepers,
    }
}

/// For somebody who may watch it.
fn body(app: &App, grants: &Grants, recording: Recording) -> RecordingBody {
    let running = recording.state == RecordingState::Recording;
    let live = running
        .then(|| app.programs.state(&recording.room))
        .flatten()
        .and_then(|program| program.recording);
    let live = live.filter(|live| live.id == recording.id);
    // The store is told now and then; who records knows it now.
    let duration = live
        .as_ref()
        .map_or(recording.duration, |live| live.gauge.duration());
    let release = recording.release;
    let asked = asked(app, &recording);
    RecordingBody {
        hls: format!("/recordings/{}/index.m3u8{asked}", recording.id),
        file: format!("/recordings/{}/{FILE}{asked}", recording.id),
        published: release.published,
        keep_until: release.keep_until.map(rfc3339),
        export: None,
        may_release: grants.allows(Action::Release).is_ok(),
        started: rfc3339(recording.started),
        duration_s: (duration.as_secs_f64() * 1_000.0).round() / 1_000.0,
        state: recording.state.word(),
        gaps: live
            .as_ref()
            .map_or(recording.gaps, |live| live.gauge.gaps()),
        note: live
            .as_ref()
            .and_then(|live| live.gauge.trouble().map(trouble)),
        size_bytes: live.map_or(recording.size_bytes, |live| live.gauge.bytes()),
        id: recording.id,
        room: recording.room,
        title: recording.title,
    }
}

/// Why a recording that runs is not written at present, in words.
pub(super) fn trouble(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind as Kind;
    match kind {
        Kind::StorageFull | Kind::QuotaExceeded => {
            "The disk is full: what comes is missing in the recording until there is room. It is tried again every second."
        }
        Kind::FileTooLarge => {
            "The recording's file may not grow any more: what comes is missing in it. It is tried again every second."
        }
        Kind::ReadOnlyFilesystem | Kind::PermissionDenied => {
            "The disk may not be written to: what comes is missing in the recording. It is tried again every second."
        }
        _ => {
            "The disk cannot be written to: what comes is missing in the recording. It is tried again every second, and the log says why."
        }
    }
}

/// Adds how far its copy elsewhere is, for who may know.
async fn with_export(app: &App, mut body: RecordingBody) -> Result<RecordingBody, ApiError> {
    let Some(exporter) = app.exporter.as_ref().filter(|_| body.may_release) else {
        return Ok(body);
    };
    let id = body.id.clone();
    let export = app
        .stored("reading an export", move |store| store.export(&id))
        .await?
        .filter(|export| export.place == exporter.place());
    let state = export
        .as_ref()
        .map_or(ExportState::Waiting, |export| export.state);
    let failed = export.filter(|export| !export.note.is_empty());
    let waits = state == ExportState::Waiting;
    body.export = Some(ExportBody {
        state: state.word(),
        to: exporter.target_words(),
        next: failed
            .as_ref()
            .filter(|_| waits)
            .map(|export| rfc3339(export.next)),
        note: failed.map(|export| export.note),
    });
    Ok(body)
}

/// What stands behind the addresses of a recording that is not published: players and download links send no token.
fn asked(app: &App, recording: &Recording) -> String {
    match audience(recording) {
        Audience::Everybody => String::new(),
        Audience::Keepers => pass_for(app, recording),
    }
}

/// What lets whoever has the address watch for some hours.
fn pass_for(app: &App, recording: &Recording) -> String {
    let pass = pass::issue(&app.keys, &recording.id, now_s());
    pass.map_or(String::new(), |pass| format!("?{PASS}={pass}"))
}

/// A playlist over the recording's bytes. While it is being recorded the playlist has what is there so far.
#[utoipa::path(
    get,
    path = "/recordings/{id}/index.m3u8",
    params(("id" = String, Path), ("pass" = Option<String>, Query, description = "As in `hls` of the recording")),
    security((), ("token" = [])),
    responses(
        (status = 200, body = str, content_type = "application/vnd.apple.mpegurl"),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "It is not published"),
        (status = 404, body = ErrorBody, description = "No such recording, or nothing in it yet"),
    )
)]
pub async fn playlist(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    visitor: Visitor,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (recording, pass) = find_watched(&app, id.clone(), &visitor, &uri).await?;
    let growing = recording.state == RecordingState::Recording;
    let listed = match app.playlists.get(path(&app, &id), growing).await {
        Ok(Some(listed)) => listed,
        Ok(None) => {
            return Err(ApiError::not_found(
                "There is nothing to play in this recording yet.",
            ));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_file()),
        Err(error) => return Err(ApiError::failed("reading a recording", &error)),
    };
    let common = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/vnd.apple.mpegurl"),
        ),
        (header::CACHE_CONTROL, caching(audience(&recording))),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if let Some(pass) = pass {
        let text = String::from_utf8_lossy(&listed.text);
        let text = text.replace(FILE, &format!("{FILE}?{PASS}={pass}"));
        return Ok((common, text).into_response());
    }
    Ok(match listed.packed.filter(|_| gzip::is_taken(&headers)) {
        Some(packed) => (common, [(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
        None => (common, listed.text).into_response(),
    })
}

/// The recording as one fragmented MP4, whole or in part.
#[utoipa::path(
    get,
    path = "/recordings/{id}/program.mp4",
    params(
        ("id" = String, Path),
        ("pass" = Option<String>, Query, description = "As in `file` of the recording"),
        ("range" = Option<String>, Header),
    ),
    security((), ("token" = [])),
    responses(
        (status = 200, body = Vec<u8>, content_type = "video/mp4"),
        (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "It is not published"),
        (status = 404, body = ErrorBody),
        (status = 416, description = "Beyond the end"),
    )
)]
pub async fn file(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    visitor: Visitor,
    request: Request,
) -> Result<Response, ApiError> {
    let (recording, _) = find_watched(&app, id, &visitor, request.uri()).await?;
    let (path, named) = (path(&app, &recording.id), disposition(&recording));
    send_file(path, audience(&recording), named, request).await
}

/// A file of a recording, or what of it was asked for.
async fn send_file(
    path: PathBuf,
    audience: Audience,
    named: HeaderValue,
    mut request: Request,
) -> Result<Response, ApiError> {
    if let Some(asked) = request.headers_mut().remove(header::RANGE) {
        // A recording that is still written is longer than this by the time that it is sent.
        let length = tokio::fs::metadata(&path).await.map_err(|_| no_file())?;
        let length = length.len();
        let range = match range::wanted(&asked, length) {
            Wanted::All => None,
            Wanted::Part(first, last) => Some(format!("bytes={first}-{last}")),
            Wanted::Beyond => Some(format!("bytes={length}-")),
        };
        if let Some(range) = range {
            let range = HeaderValue::try_from(range).expect("numbers");
            request.headers_mut().insert(header::RANGE, range);
        }
    }
    let served = ServeFile::new(path).oneshot(request).await;
    let mut response = served
        .map(|response| response.map(Body::new))
        .expect("serving a file cannot fail");
    if response.status() == axum::http::StatusCode::NOT_FOUND {
        return Err(no_file());
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, caching(audience));
    headers.insert(header::CONTENT_DISPOSITION, named);
    Ok(response)
}

/// The recording, if who asks may watch it, and the pass that says so, if that is what does.
async fn find_watched(
    app: &App,
    id: String,
    visitor: &Visitor,
    uri: &Uri,
) -> Result<(Recording, Option<String>), ApiError> {
    let recording = find(app, id).await?;
    let pass = admit(app, &recording, audience(&recording), visitor, uri)?;
    Ok((recording, pass))
}

/// Refuses who is not of that audience; the pass, if that is what lets them.
fn admit(
    app: &App,
    recording: &Recording,
    audience: Audience,
    visitor: &Visitor,
    uri: &Uri,
) -> Result<Option<String>, ApiError> {
    match visitor.grants(&recording.room).may_watch(audience) {
        Ok(()) => Ok(None),
        Err(refusal) => {
            let pass = query(uri, PASS)
                .filter(|pass| pass::admits(&app.keys, &recording.id, pass, now_s()))
                .ok_or(refusal)?;
            Ok(Some(pass))
        }
    }
}

/// Nobody on the way keeps what is not for everybody.
fn caching(audience: Audience) -> HeaderValue {
    match audience {
        Audience::Everybody => HeaderValue::from_static("no-cache"),
        Audience::Keepers => HeaderValue::from_static("private, no-store"),
    }
}

/// What the file is called by who saves it (RFC 6266 §4): `20261122-1030-town-hall.mp4`, and the title for those who take
/// all letters.
fn disposition(recording: &Recording) -> HeaderValue {
    let plain = plain_name(recording);
    let value = match recording.title.as_str() {
        "" => format!("inline; filename=\"{plain}.mp4\""),
        title => {
            let title =
                percent_encoding::utf8_percent_encode(title, percent_encoding::NON_ALPHANUMERIC);
            format!("inline; filename=\"{plain}.mp4\"; filename*=UTF-8''{title}.mp4")
        }
    };
    HeaderValue::from_str(&value).expect("an id and what is percent-encoded are ASCII")
}

fn plain_name(recording: &Recording) -> String {
    // The id without the seconds and its random end.
    let mut words = recording.id.split('-');
    let (date, time) = (words.next(), words.next());
    let room = recording.id.splitn(3, '-').nth(2);
    let room = room.and_then(|rest| rest.rsplit_once('-'));
    match (date, time, room) {
        (Some(date), Some(time), Some((room, _))) => {
            format!("{date}-{}-{room}", time.get(..4).unwrap_or(time))
        }
        _ => recording.id.clone(),
    }
}

async fn find(app: &App, id: String) -> Result<Recording, ApiError> {
    let found = app
        .stored("looking for a recording", move |store| store.recording(&id))
        .await?;
    found.ok_or_else(|| ApiError::not_found("There is no such recording."))
}

fn no_file() -> ApiError {
    ApiError::not_found("The file of this recording is gone.")
}

fn path(app: &App, id: &str) -> PathBuf {
    file_of(&app.config.server.data_dir, id).expect("RecordingId and the store hold ids only")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(id: &str, title: &str) -> Recording {
        Recording {
            id: id.into(),
            room: "hall".into(),
            title: title.into(),
            started: SystemTime::UNIX_EPOCH,
            duration: Default::default(),
            state: RecordingState::Ready,
            size_bytes: 0,
            gaps: 0,
            release: Default::default(),
        }
    }

    #[test]
    fn a_file_is_saved_under_its_date_and_room_or_its_title() {
        let check = |id, title, expected: &str| {
            assert_eq!(disposition(&recording(id, title)), expected);
        };
        check(
            "20261122-103000-town-hall-x7k2",
            "",
            "inline; filename=\"20261122-1030-town-hall.mp4\"",
        );
        check(
            "20261122-103000-hall-x7k2",
            "Été \"2026\"",
            "inline; filename=\"20261122-1030-hall.mp4\"; filename*=UTF-8''%C3%89t%C3%A9%20%222026%22.mp4",
        );
        check("odd", "", "inline; filename=\"odd.mp4\"");
    }
}
