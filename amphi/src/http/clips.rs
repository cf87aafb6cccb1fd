//! Clips of a running broadcast. A clip is a recording like others from then on: listed, published, kept and deleted as they are.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amphi_mux::recording::scan;
use amphi_policy::{Action, name};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::request::{Bearer, JsonBody, Room, time};
use super::rooms::rfc3339;
use crate::egress::hls::{Clip, Missing, Refused};
use crate::egress::record::{Deletion, Plan, RecordingFile, file_of, new_id};
use crate::store::{Recording, RecordingState};

/// The longest clip: it is written while somebody waits for the answer.
const CLIP_MAX: Duration = Duration::from_secs(3_600);

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipBody {
    /// RFC 3339, in UTC: "2026-11-22T18:00:00.000Z". What the playlists say as EXT-X-PROGRAM-DATE-TIME.
    from: String,
    to: String,
    /// Of the clip; empty: the room's.
    title: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ClipAnswer {
    /// The recording that it is: see /api/recordings/{id}.
    id: String,
    /// RFC 3339. A little before `from`: a clip begins with a segment.
    started: String,
    duration_s: f64,
    size_bytes: u64,
}

/// Make a file of a stretch of the broadcast, from what viewers can go back to. Needs roomRecord, or roomAdmin.
#[utoipa::path(
    post,
    path = "/api/rooms/{room}/clips",
    params(("room" = String, Path)),
    request_body = ClipBody,
    security(("token" = [])),
    responses(
        (status = 201, body = ClipAnswer),
        (status = 400, body = ErrorBody, description = "No times, too long, or not in the window; the message says what is"),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "Not on air"),
        (status = 410, body = ErrorBody, description = "It left the window meanwhile"),
        (status = 503, body = ErrorBody, description = "As many clips are being made as may, or the disk is full"),
    )
)]
pub async fn make(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
    JsonBody(body): JsonBody<ClipBody>,
) -> Result<(StatusCode, Json<ClipAnswer>), ApiError> {
    bearer.grants(&room).allows(Action::Record)?;
    let (from_ms, to_ms) = (unix_ms("from", &body.from)?, unix_ms("to", &body.to)?);
    if to_ms <= from_ms {
        return Err(ApiError::bad_request("A clip ends after it begins."));
    }
    if (to_ms - from_ms) as u128 > CLIP_MAX.as_millis() {
        let minutes = CLIP_MAX.as_secs() / 60;
        return Err(ApiError::bad_request(format!(
            "A clip has {minutes} minutes at most; record the room for more."
        )));
    }
    if body.title.len() > name::TITLE_BYTES_MAX || body.title.chars().any(char::is_control) {
        let most = name::TITLE_BYTES_MAX;
        return Err(ApiError::bad_request(format!(
            "A title has at most {most} bytes and no control characters."
        )));
    }
    let clip = app.origin.clip(&room, from_ms, to_ms).map_err(refused)?;
    let title = match body.title {
        title if !title.is_empty() => title,
        _ => app.settings(&room).await?.title,
    };
    let started = UNIX_EPOCH + Duration::from_millis(u64::try_from(from_ms).unwrap_or(0));
    let plan = Plan {
        tracks: false,
        published: app.config.publishes(),
        keep_for: app.config.recording.keep_for.0,
    };
    let mut recording = Recording {
        id: new_id(&room, started),
        room,
        title,
        started,
        duration: Duration::ZERO,
        state: RecordingState::Recording,
        size_bytes: 0,
        gaps: 0,
        release: plan.release(started),
    };
    let path = file_of(&app.config.server.data_dir, &recording.id)
        .ok_or_else(|| ApiError::failed("naming a clip", &recording.id))?;
    // What a crash leaves of it is what a crash leaves of any recording.
    let row = recording.clone();
    app.stored("writing down a clip", move |store| {
        store.put_recording(&row)
    })
    .await?;
    let written = tokio::task::spawn_blocking(move || write(&clip, path)).await;
    let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    recording.state = RecordingState::Ready;
    let taken = match written {
        Ok(written) => {
            recording.started = written.started.unwrap_or(started);
            recording.duration = written.duration;
            recording.size_bytes = written.size_bytes;
            let row = recording.clone();
            app.stored("writing down a clip", move |store| {
                store.put_recording(&row)
            })
            .await
        }
        Err(error) => Err(unwritten(&error)),
    };
    if let Err(refusal) = taken {
        let whole = app.clone();
        tokio::task::spawn_blocking(move || take_back(&whole, &recording));
        return Err(refusal);
    }
    let answer = ClipAnswer {
        id: recording.id,
        started: rfc3339(recording.started),
        duration_s: recording.duration.as_secs_f64(),
        size_bytes: recording.size_bytes,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// How often, and how far apart, the store is asked to forget a clip that was not made: a full disk may be cleared.
const TAKE_BACK_TRIES: u32 = 60;
const TAKE_BACK_AFTER: Duration = Duration::from_secs(1);

/// Removes what there is of a clip that could not be made, its file first: that makes room for the store to forget it. Blocks.
fn take_back(app: &App, recording: &Recording) {
    if let Some(file) = file_of(&app.config.server.data_dir, &recording.id) {
        // The keeper removes the rest, and says so if it cannot.
        let _ = std::fs::remove_file(file);
    }
    for _ in 0..TAKE_BACK_TRIES {
        // Only what is ready can be deleted.
        let forgotten = app.store.put_recording(recording).is_ok()
            && matches!(
                app.keeper.delete(&recording.id),
                Ok(Deletion::Done | Deletion::Begun)
            );
        if forgotten {
            return;
        }
        std::thread::sleep(TAKE_BACK_AFTER);
    }
    tracing::warn!("a clip that could not be written stays in the list");
}

/// Why a clip's file could not be written, in words.
fn unwritten(error: &std::io::Error) -> ApiError {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => refused(Refused::Missing(Missing::Gone)),
        Kind::StorageFull | Kind::QuotaExceeded => ApiError::disk_full("writing a clip"),
        _ => ApiError::failed("writing a clip", error),
    }
}

struct Written {
    started: Option<SystemTime>,
    duration: Duration,
    size_bytes: u64,
}

fn write(clip: &Clip, path: PathBuf) -> std::io::Result<Written> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    clip.write(&path)?;
    let file = std::fs::File::open(&path)?;
    let size_bytes = file.metadata()?.len();
    let read = scan(&RecordingFile::new(file)?);
    let zero_ms = read.zero_unix_ms().and_then(|ms| u64::try_from(ms).ok());
    Ok(Written {
        started: zero_ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms)),
        duration: read.duration(),
        size_bytes,
    })
}

fn unix_ms(which: &str, text: &str) -> Result<i64, ApiError> {
    let since = time(which, text)?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn refused(refused: Refused) -> ApiError {
    match refused {
        Refused::Missing(Missing::Busy) => {
            ApiError::unavailable("Other clips are being made; try again in a moment.")
        }
        Refused::Missing(Missing::Gone) => {
            ApiError::gone("That is too long ago by now: choose a later clip.")
        }
        Refused::Missing(_) => ApiError::not_found("This room is not on air."),
        Refused::Outside { from_ms, to_ms } => {
            let [from, to] = [from_ms, to_ms].map(|ms| {
                let ms = u64::try_from(ms).unwrap_or(0);
                rfc3339(UNIX_EPOCH + Duration::from_millis(ms))
            });
            ApiError::bad_request(format!(
                "There is no such stretch of this broadcast: it can be clipped from {from} to {to}."
            ))
        }
    }
}
