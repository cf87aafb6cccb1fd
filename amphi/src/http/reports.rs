//! What viewers report of a broadcast, for whoever moderates the room.
//!
//! A viewer has no token, so everything here is bounded: how often an address may come, how long the words are, and how many
//! reports are kept. Who reported is not kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use amphi_policy::Action;
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::limiter::Limiter;
use super::listen::Peer;
use super::request::{Bearer, JsonBody, ReportId, Room, time};
use super::rooms::rfc3339;
use crate::store::{Complaint, Reason, Report};

/// So many reports an address may make at once, and again so many a minute: a household sees the same broadcast.
const AT_ONCE: u32 = 5;
const PER_MINUTE: u32 = 1;
/// Longest text of a report, in characters.
const WORDS_MAX: usize = 500;
/// A moment is not ahead of this server's clock by more than that.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// Who came how often, and what became of it. Counters only grow.
pub struct Reports {
    per_address: Limiter,
    pub taken: AtomicU64,
    pub bad: AtomicU64,
    pub too_often: AtomicU64,
    pub off_air: AtomicU64,
    pub done: AtomicU64,
    /// Kept no longer since too many newer ones came.
    pub pushed_out: AtomicU64,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            per_address: Limiter::new(AT_ONCE, PER_MINUTE),
            taken: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            too_often: AtomicU64::new(0),
            off_air: AtomicU64::new(0),
            done: AtomicU64::new(0),
            pushed_out: AtomicU64::new(0),
        }
    }
}

impl Reports {
    /// Refused because too many addresses came at once.
    pub fn full(&self) -> u64 {
        self.per_address.full()
    }

    /// Refused because one address came too often.
    pub fn refused(&self) -> u64 {
        self.per_address.refused()
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportBody {
    reason: Reason,
    /// In the viewer's own words: one line, at most 500 characters; may be empty.
    #[serde(default)]
    words: String,
    /// The moment of the broadcast that was shown: RFC 3339, in UTC.
    #[serde(default)]
    at: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ReportAnswer {
    /// RFC 3339.
    made: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ReportList {
    reports: Vec<ReportEntry>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ReportEntry {
    id: u64,
    reason: Reason,
    /// A stranger's words. Empty: there are none.
    words: String,
    /// The moment of the broadcast that was shown (RFC 3339), where the viewer's page said it.
    #[schema(required)]
    at: Option<String>,
    /// RFC 3339.
    made: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ReportDone {
    id: u64,
}

impl From<Report> for ReportEntry {
    fn from(Report { id, complaint }: Report) -> Self {
        Self {
            id,
            reason: complaint.reason,
            words: complaint.words,
            at: complaint.at.map(rfc3339),
            made: rfc3339(complaint.made),
        }
    }
}

/// Report a broadcast to whoever moderates its room. Needs no token. Only while it is on air, and for an hour after.
#[utoipa::path(
    post,
    path = "/api/rooms/{room}/reports",
    params(("room" = String, Path)),
    request_body = ReportBody,
    responses(
        (status = 201, body = ReportAnswer),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "Neither on air nor within the last hour"),
        (status = 429, body = ErrorBody, description = "This address reported too often"),
    )
)]
pub async fn make(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    Room(room): Room,
    JsonBody(body): JsonBody<ReportBody>,
) -> Result<(StatusCode, Json<ReportAnswer>), ApiError> {
    let counters = &app.reports;
    let complaint =
        complaint(room, body, SystemTime::now()).inspect_err(|_| add(&counters.bad, 1))?;
    if !counters.per_address.allow(peer.ip(), Instant::now()) {
        add(&counters.too_often, 1);
        return Err(ApiError::too_many(
            "You report too often; try again in a minute.",
        ));
    }
    if !app.airings.is_recent(&complaint.room, Instant::now()) {
        add(&counters.off_air, 1);
        return Err(ApiError::not_found(
            "This room is not on air, and was not within the last hour: there is nothing to report.",
        ));
    }
    let (reason, made) = (complaint.reason, complaint.made);
    let pushed_out = app
        .stored("writing down a report", move |store| {
            store.put_report(&complaint)
        })
        .await?;
    add(&counters.taken, 1);
    add(&counters.pushed_out, pushed_out);
    tracing::info!(reason = reason.word(), "a broadcast was reported");
    let answer = ReportAnswer {
        made: rfc3339(made),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// What was sent, checked.
fn complaint(room: String, body: ReportBody, now: SystemTime) -> Result<Complaint, ApiError> {
    let words = body.words.trim().to_owned();
    let length = words.chars().count();
    if length > WORDS_MAX {
        return Err(ApiError::bad_request(format!(
            "These words have {length} characters; a report has place for {WORDS_MAX}."
        )));
    }
    if words.chars().any(char::is_control) {
        return Err(ApiError::bad_request(
            "The words of a report are one line without control characters.",
        ));
    }
    let at = body.at.map(|at| time("at", &at)).transpose()?;
    if at.is_some_and(|at| at > now + AHEAD_MAX) {
        return Err(ApiError::bad_request(
            "`at` is a moment that was shown, and this one is still to come.",
        ));
    }
    Ok(Complaint {
        room,
        reason: body.reason,
        words,
        at,
        made: now,
    })
}

/// What was reported of a room's broadcasts, newest first. Needs roomAdmin.
#[utoipa::path(
    get,
    path = "/api/rooms/{room}/reports",
    params(("room" = String, Path)),
    security(("token" = [])),
    responses((status = 200, body = ReportList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody))
)]
pub async fn list(
    State(app): State<App>,
    Room(room): Room,
    bearer: Bearer,
) -> Result<Json<ReportList>, ApiError> {
    bearer.grants(&room).allows(Action::Moderate)?;
    let reports = app
        .stored("listing reports", move |store| store.reports(&room))
        .await?;
    let reports = reports.into_iter().map(ReportEntry::from).collect();
    Ok(Json(ReportList { reports }))
}

/// A report is done with, and is kept no longer. Needs roomAdmin.
#[utoipa::path(
    delete,
    path = "/api/rooms/{room}/reports/{id}",
    params(("room" = String, Path), ("id" = u64, Path)),
    security(("token" = [])),
    responses(
        (status = 200, body = ReportDone),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "No such report of this room"),
    )
)]
pub async fn done(
    State(app): State<App>,
    Room(room): Room,
    ReportId(id): ReportId,
    bearer: Bearer,
) -> Result<Json<ReportDone>, ApiError> {
    bearer.grants(&room).allows(Action::Moderate)?;
    let deleted = app
        .stored("deleting a report", move |store| {
            store.delete_report(&room, id)
        })
        .await?;
    if !deleted {
        return Err(ApiError::not_found(
            "There is no such report of this room; somebody else may have been done with it.",
        ));
    }
    add(&app.reports.done, 1);
    Ok(Json(ReportDone { id }))
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
