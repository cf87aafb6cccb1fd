//! `/rtc` and `/rtc/v1`: the call's WebSocket, from the token to the shard that the room lives on.
//!
//! Errors here are plain sentences and not JSON: LiveKit's clients fetch `/rtc/validate` after a failed upgrade and
//! show its text to people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use amphi_policy::{name, token};
use amphi_shard::{Connect, JoinRequest, MESSAGE_BYTES_MAX, Path};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
// The one that axum's WebSocket is made of, to tell its errors apart.
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};

use super::App;
use super::error::ApiError;
use super::limiter::Buckets;
use super::request::{bearer, now_s};
use super::sentence;
use crate::net::{Connection, ToClient};

/// What happened to sockets, and what their bounds cost. Counters only grow.
#[derive(Default, Debug)]
pub struct Counters {
    pub opened: AtomicU64,
    pub closed: AtomicU64,
    pub refused: AtomicU64,
    /// Closed because the client took nothing for too long.
    pub stalled: AtomicU64,
    /// Closed because the shard had too much to do.
    pub overloaded: AtomicU64,
    /// Closed because of a message that was too large.
    pub oversize: AtomicU64,
    /// Closed because of something that is not WebSocket.
    pub broken: AtomicU64,
    /// Ended without a word: a client that lost its network, or its life.
    pub cut: AtomicU64,
}

impl Counters {
    /// The one that counts sockets that ended so.
    fn of(&self, error: axum::Error) -> &AtomicU64 {
        let error = error.into_inner();
        match error.downcast_ref::<tungstenite::Error>() {
            Some(tungstenite::Error::Capacity(_)) => &self.oversize,
            Some(
                tungstenite::Error::Io(_)
                | tungstenite::Error::ConnectionClosed
                | tungstenite::Error::AlreadyClosed
                | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
            ) => &self.cut,
            _ => &self.broken,
        }
    }
}

/// How often one identity may come into one room: that many times at once, and again once a second. Each time costs the
/// room's thread a millisecond, which is everybody's on it. A client that has lost its network tries again some ten times
/// in its first half minute.
const JOINS_AT_ONCE: u32 = 10;
const JOINS_PER_SECOND: f64 = 1.0;

/// Who came how often, by room and identity.
pub struct Joins(Buckets<(String, String)>);

impl Default for Joins {
    fn default() -> Self {
        Self(Buckets::new(JOINS_AT_ONCE, JOINS_PER_SECOND))
    }
}

impl Joins {
    /// Refused because one identity came too often.
    pub fn refused(&self) -> u64 {
        self.0.refused()
    }

    /// Refused because too many identities came at once.
    pub fn full(&self) -> u64 {
        self.0.full()
    }
}

type Pairs = Query<Vec<(String, String)>>;

/// The call's signalling in the older form, as LiveKit's clients speak it. Token in the query (`access_token`) or as
/// a bearer token.
#[utoipa::path(
    get,
    path = "/rtc",
    params(("access_token" = Option<String>, Query)),
    responses(
        (status = 101, description = "WebSocket"),
        (status = 400, body = str, content_type = "text/plain"),
        (status = 401, body = str, content_type = "text/plain", description = "No token, or a wrong one"),
        (status = 403, body = str, content_type = "text/plain", description = "The token does not let into a room"),
        (status = 429, body = str, content_type = "text/plain", description = "This identity came into this room too often"),
        (status = 503, body = str, content_type = "text/plain"),
    )
)]
pub async fn socket(
    State(app): State<App>,
    Query(pairs): Pairs,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    open(app, Path::V0, pairs, &headers, upgrade)
}

/// The call's signalling in the newer form, with one peer connection.
#[utoipa::path(
    get,
    path = "/rtc/v1",
    params(("join_request" = String, Query), ("access_token" = Option<String>, Query)),
    responses(
        (status = 101, description = "WebSocket"),
        (status = 400, body = str, content_type = "text/plain"),
        (status = 401, body = str, content_type = "text/plain", description = "No token, or a wrong one"),
        (status = 403, body = str, content_type = "text/plain", description = "The token does not let into a room"),
        (status = 429, body = str, content_type = "text/plain", description = "This identity came into this room too often"),
        (status = 503, body = str, content_type = "text/plain"),
    )
)]
pub async fn socket_v1(
    State(app): State<App>,
    Query(pairs): Pairs,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    open(app, Path::V1, pairs, &headers, upgrade)
}

/// Whether `/rtc` would let in, and why not.
#[utoipa::path(
    get,
    path = "/rtc/validate",
    params(("access_token" = Option<String>, Query)),
    responses(
        (status = 200, body = str, content_type = "text/plain"),
        (status = 400, body = str, content_type = "text/plain"),
        (status = 401, body = str, content_type = "text/plain"),
        (status = 403, body = str, content_type = "text/plain"),
    )
)]
pub async fn validate(State(app): State<App>, Query(pairs): Pairs, headers: HeaderMap) -> Response {
    would_let_in(&app, Path::V0, pairs, &headers)
}

/// Whether `/rtc/v1` would let in, and why not.
#[utoipa::path(
    get,
    path = "/rtc/v1/validate",
    params(("join_request" = String, Query), ("access_token" = Option<String>, Query)),
    responses(
        (status = 200, body = str, content_type = "text/plain"),
        (status = 400, body = str, content_type = "text/plain"),
        (status = 401, body = str, content_type = "text/plain"),
        (status = 403, body = str, content_type = "text/plain"),
    )
)]
pub async fn validate_v1(
    State(app): State<App>,
    Query(pairs): Pairs,
    headers: HeaderMap,
) -> Response {
    would_let_in(&app, Path::V1, pairs, &headers)
}

fn would_let_in(
    app: &App,
    path: Path,
    pairs: Vec<(String, String)>,
    headers: &HeaderMap,
) -> Response {
    match let_in(app, path, pairs, headers) {
        Ok(_) => "success".into_response(),
        Err(error) => plain(app, error),
    }
}

fn open(
    app: App,
    path: Path,
    pairs: Vec<(String, String)>,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let join = match let_in(&app, path, pairs, headers) {
        Ok(join) => join,
        Err(error) => return plain(&app, error),
    };
    if app.draining.load(Ordering::Relaxed) {
        return plain(
            &app,
            ApiError::unavailable("The server is stopping; come back in a moment."),
        );
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) => {
            return plain(
                &app,
                ApiError::bad_request("This address is for WebSocket."),
            );
        }
    };
    let who = (join.room.clone(), join.joining.identity.clone());
    if !app.identities.0.allow(who, Instant::now()) {
        return plain(
            &app,
            ApiError::too_many("You come in too often; try again in a few seconds."),
        );
    }
    // Connected before the answer, so that a server with too much to do says so in HTTP.
    let room = join.room.clone();
    let connection = match app.house.connect(&room, join) {
        Ok(connection) => connection,
        Err(error) => return plain(&app, ApiError::unavailable(sentence(&error.to_string()))),
    };
    let largest = app
        .config
        .limits
        .socket_message_bytes
        .min(MESSAGE_BYTES_MAX);
    upgrade
        .max_message_size(largest)
        .max_frame_size(largest)
        .on_upgrade(move |socket| carry(app, socket, connection))
}

/// From the token to what the client may be: the token first, so that nobody without one learns anything.
fn let_in(
    app: &App,
    path: Path,
    pairs: Vec<(String, String)>,
    headers: &HeaderMap,
) -> Result<JoinRequest, ApiError> {
    let in_query = pairs
        .iter()
        .find(|(name, _)| name == "access_token")
        .map(|(_, token)| token.as_str());
    let token = in_query.or_else(|| bearer(headers)).unwrap_or("");
    let claims = token::verify(token, &app.keys, now_s())?;
    let connect = Connect::parse(path, pairs)
        .map_err(|error| ApiError::bad_request(sentence(&error.to_string())))?;
    let join = connect.join(&claims)?;
    name::room(&join.room).map_err(|bad| ApiError::bad_request(sentence(&bad.to_string())))?;
    Ok(join)
}

fn plain(app: &App, error: ApiError) -> Response {
    app.sockets.refused.fetch_add(1, Ordering::Relaxed);
    let words = error.words.message.clone();
    let mut response = error.into_response();
    *response.body_mut() = words.into();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, plain);
    response
}

/// Carries messages both ways until either side is done. Dropping `connection` tells the shard.
async fn carry(app: App, mut socket: WebSocket, mut connection: Connection) {
    let counters = &app.sockets;
    counters.opened.fetch_add(1, Ordering::Relaxed);
    let stall = app.config.limits.socket_stall.0;
    loop {
        tokio::select! {
            to_client = connection.incoming.recv() => {
                let Some(ToClient::Message(bytes)) = to_client else {
                    let goodbye = CloseFrame { code: close_code::NORMAL, reason: "".into() };
                    let _ = tokio::time::timeout(stall, socket.send(Message::Close(Some(goodbye)))).await;
                    break;
                };
                match tokio::time::timeout(stall, socket.send(Message::Binary(bytes))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => break,
                    Err(_) => {
                        counters.stalled.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
            }
            from_client = socket.recv() => {
                let sent = match from_client {
                    Some(Ok(Message::Binary(bytes))) => connection.send(bytes),
                    Some(Ok(Message::Text(_))) => connection.send_text(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                    None | Some(Ok(Message::Close(_))) => break,
                    Some(Err(error)) => {
                        counters.of(error).fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                };
                if sent.is_err() {
                    counters.overloaded.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
    }
    counters.closed.fetch_add(1, Ordering::Relaxed);
}
