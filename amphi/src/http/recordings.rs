//! Recordings: the list, the file, and a playlist over the file.

use std::path::PathBuf;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::App;
use super::error::{ApiError, ErrorBody};
use super::request::RecordingId;
use super::rooms::rfc3339;
use crate::egress::record::file_of;
use crate::gzip;
use crate::store::{Recording, RecordingState};

/// What a recording's media is called in its address.
pub(super) const FILE: &str = "program.mp4";
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
    /// Path of a playlist over the file.
    hls: String,
    /// Path of the file, one MP4 that plays anywhere.
    file: String,
    size_bytes: u64,
    /// Places where something is missing.
    gaps: u64,
}

/// All recordings, newest first.
#[utoipa::path(get, path = "/api/recordings", responses((status = 200, body = RecordingList)))]
pub async fn list(State(app): State<App>) -> Result<Json<RecordingList>, ApiError> {
    let recordings = app
        .stored("listing the recordings", |store| store.recordings())
        .await?;
    let recordings = recordings
        .into_iter()
        .map(|recording| body(&app, recording))
        .collect();
    Ok(Json(RecordingList { recordings }))
}

/// One recording.
#[utoipa::path(
    get,
    path = "/api/recordings/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = RecordingBody), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub async fn one(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Json<RecordingBody>, ApiError> {
    let recording = find(&app, id).await?;
    Ok(Json(body(&app, recording)))
}

fn body(app: &App, recording: Recording) -> RecordingBody {
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
    RecordingBody {
        hls: format!("/recordings/{}/index.m3u8", recording.id),
        file: format!("/recordings/{}/{FILE}", recording.id),
        started: rfc3339(recording.started),
        duration_s: (duration.as_secs_f64() * 1_000.0).round() / 1_000.0,
        state: recording.state.word(),
        gaps: live
            .as_ref()
            .map_or(recording.gaps, |live| live.gauge.gaps()),
        size_bytes: live.map_or(recording.size_bytes, |live| live.gauge.bytes()),
        id: recording.id,
        room: recording.room,
        title: recording.title,
    }
}

/// A playlist over the recording's bytes. While it is being recorded the playlist has what is there so far.
#[utoipa::path(
    get,
    path = "/recordings/{id}/index.m3u8",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = str, content_type = "application/vnd.apple.mpegurl"),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "No such recording, or nothing in it yet"),
    )
)]
pub async fn playlist(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let recording = find(&app, id.clone()).await?;
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
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    Ok(match listed.packed.filter(|_| gzip::is_taken(&headers)) {
        Some(packed) => (common, [(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
        None => (common, listed.text).into_response(),
    })
}

/// The recording as one fragmented MP4, whole or in part.
#[utoipa::path(
    get,
    path = "/recordings/{id}/program.mp4",
    params(("id" = String, Path), ("range" = Option<String>, Header)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "video/mp4"),
        (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 416, description = "Beyond the end"),
    )
)]
pub async fn file(
    State(app): State<App>,
    RecordingId(id): RecordingId,
    mut request: Request,
) -> Result<Response, ApiError> {
    find(&app, id.clone()).await?;
    // What is not understood is ignored, and several ranges may be (RFC 9110 §14.2): the answer is the whole.
    if !request
        .headers()
        .get(header::RANGE)
        .is_none_or(is_one_range)
    {
        request.headers_mut().remove(header::RANGE);
    }
    let served = ServeFile::new(path(&app, &id)).oneshot(request).await;
    let mut response = served
        .map(|response| response.map(Body::new))
        .expect("serving a file cannot fail");
    if response.status() == axum::http::StatusCode::NOT_FOUND {
        return Err(no_file());
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
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

/// Whether this asks for one range of bytes: `bytes=0-99`, `bytes=100-` or `bytes=-100` (RFC 9110 §14.1.2).
fn is_one_range(value: &HeaderValue) -> bool {
    let Some((unit, range)) = value.to_str().ok().and_then(|text| text.split_once('=')) else {
        return false;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return false;
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // Numbers compare as text once they are of one length.
    let [first, last] = [first, last].map(|number| match number.trim_start_matches('0') {
        "" if !number.is_empty() => "0",
        trimmed => trimmed,
    });
    let backwards = !last.is_empty() && (last.len(), last) < (first.len(), first);
    unit.trim().eq_ignore_ascii_case("bytes")
        && is_number(first)
        && is_number(last)
        && !(first.is_empty() && last.is_empty())
        && !backwards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_told_from_what_is_to_be_ignored() {
        let is_one = |text: &str| is_one_range(&HeaderValue::from_str(text).expect("a header"));
        for one in [
            "bytes=0-99",
            "bytes=100-",
            "bytes=-100",
            "Bytes=9-10",
            "bytes=007-7",
            "bytes=0-0",
            "bytes=99999999999999999999999-",
        ] {
            assert!(is_one(one), "{one}");
        }
        for other in [
            "bytes=abc",
            "bytes=",
            "bytes=-",
            "bytes",
            "bytes=0-1,5-6",
            "bytes=1-2-3",
            "bytes=10-9",
            "seconds=0-9",
            "",
        ] {
            assert!(!is_one(other), "{other}");
        }
    }
}
