//! Who comes without a token: what kind of house this is, and the open door.

use std::time::Instant;

use amphi_media::{CameraFit, Layout};
use amphi_policy::name::TITLE_BYTES_MAX;
use amphi_policy::token::{self, Claims, VideoGrant};
use axum::extract::{Extension, State};
use axum::{Json, response::IntoResponse};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::listen::Peer;
use super::request::{JsonBody, Room, now_s};
use super::rooms::program_word;
use crate::config::{AccessMode, OpenGrant};

/// Letters of a shown name that are kept in an identity.
const SLUG_MAX: usize = 32;
/// An identity ends in that many random letters, so that two who are called the same are two.
const RANDOM_LETTERS: usize = 4;

#[derive(Serialize, utoipa::ToSchema)]
pub struct ServerInfo {
    /// Version of this server.
    version: &'static str,
    access: AccessWord,
    /// What tokens from the join call allow, as it is spelled in them; nothing where the door is closed.
    #[schema(value_type = Vec<String>)]
    open_grants: Vec<OpenGrant>,
    /// Whether programs can be composed (`compose`); `cut` always works.
    composes: bool,
    /// What is made where nobody says otherwise.
    program: &'static str,
    /// How people are arranged where they are composed, where nobody says otherwise: "grid", "speaker", "screen", "side-by-side" or "audio".
    layout: &'static str,
    /// What becomes of cameras of another shape than their places in a composed picture, where nobody says otherwise: "auto", "crop"
    /// or "whole".
    fit: &'static str,
    /// Whether a room's title is written into its composed picture, where nobody says otherwise.
    room_title: bool,
    /// Whether every member's own tracks are recorded too, where nobody says otherwise.
    tracks: bool,
}

/// "open": anybody may get a token from the join call; "token": people come with a token.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessWord {
    Open,
    Token,
}

/// What kind of house this is.
#[utoipa::path(get, path = "/api/server", responses((status = 200, body = ServerInfo)))]
pub async fn server(State(app): State<App>) -> Json<ServerInfo> {
    let (access, open_grants) = match app.config.access.mode {
        AccessMode::Open => (AccessWord::Open, app.config.access.open_grants.clone()),
        AccessMode::Token => (AccessWord::Token, Vec::new()),
    };
    Json(ServerInfo {
        version: env!("CARGO_PKG_VERSION"),
        access,
        open_grants,
        composes: !app.config.program.ladder.is_empty(),
        program: program_word(app.config.program.kind.into()),
        layout: Layout::from(app.config.program.layout).name(),
        fit: CameraFit::from(app.config.program.fit).name(),
        room_title: app.config.program.room_title,
        tracks: app.config.recording.tracks,
    })
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinBody {
    /// What others read for you.
    name: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JoinAnswer {
    /// Access token for the call's socket and for the API.
    token: String,
    identity: String,
    room: String,
    /// What the token allows, as it is spelled in the token.
    #[schema(value_type = Object)]
    grants: VideoGrant,
}

/// Get an access token for a room, where the door is open.
#[utoipa::path(
    post,
    path = "/api/rooms/{room}/join",
    params(("room" = String, Path)),
    request_body = JoinBody,
    responses(
        (status = 200, body = JoinAnswer),
        (status = 400, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "This house is entered with a token only"),
        (status = 429, body = ErrorBody),
    )
)]
pub async fn join(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    Room(room): Room,
    JsonBody(body): JsonBody<JoinBody>,
) -> Result<impl IntoResponse, ApiError> {
    if app.config.access.mode == AccessMode::Token {
        let words = "You need an invitation to come in here: ask for a link with an access token.";
        return Err(ApiError::not_allowed("enter", words));
    }
    if !app.joins.allow(peer.ip(), Instant::now()) {
        return Err(ApiError::too_many(
            "You knock too often; try again in a minute.",
        ));
    }
    let name = body.name.trim();
    if name.is_empty() || name.len() > TITLE_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "A name has 1 to {TITLE_BYTES_MAX} bytes and no control characters."
        )));
    }
    let identity = identity_for(name);
    let grants = app.config.access.open_grant(&room);
    let now_s = now_s();
    let claims = Claims {
        sub: identity.clone(),
        name: name.to_owned(),
        exp: now_s.saturating_add(app.config.access.token_valid_for.0.as_secs()),
        nbf: Some(now_s),
        video: Some(grants.clone()),
        ..Claims::default()
    };
    let (key, secret) = app
        .keys
        .first()
        .expect("the server does not start without a key");
    let answer = JoinAnswer {
        token: token::sign(&claims, key, secret),
        identity,
        room,
        grants,
    };
    Ok(([("cache-control", "no-store")], Json(answer)))
}

/// "Ada Lovelace" becomes "ada-lovelace-x7k2".
fn identity_for(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= SLUG_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "guest" } else { slug };
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: String = (0..RANDOM_LETTERS)
        .map(|_| char::from(LETTERS[rand::rng().random_range(0..LETTERS.len())]))
        .collect();
    format!("{slug}-{random}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_plain_and_tells_two_of_one_name_apart() {
        for (name, start) in [
            ("Ada Lovelace", "ada-lovelace-"),
            ("<b>Bo</b>", "b-bo-b-"),
            ("会議", "guest-"),
            ("  -- x", "x-"),
            (&"y".repeat(99), &format!("{}-", "y".repeat(SLUG_MAX))),
        ] {
            let identity = identity_for(name);
            assert!(
                identity.starts_with(start) && identity.len() == start.len() + RANDOM_LETTERS,
                "{identity}"
            );
        }
        let many: std::collections::BTreeSet<String> =
            (0..20).map(|_| identity_for("Ada")).collect();
        assert!(many.len() > 15);
    }
}
