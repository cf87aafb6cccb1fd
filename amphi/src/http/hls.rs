//! `/hls/{room}/…`: what a request looks like, and what the answer's headers are. The waiting is in `egress/hls.rs`.

use amphi_mux::Rendition;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::listen::Peer;
use super::request::{FileName, Room};
use crate::egress::hls::{Coming, Missing, Playlist};
use crate::gzip;

/// A live playlist is another one at the next part.
const PLAYLIST_CACHE: &str = "no-cache";
/// An answer that was waited for holds what its address asks for, for ever; this long players could want it again.
const BLOCKED_CACHE: &str = "public, max-age=4";
/// A name never gets other bytes, and is not asked for again after the window.
const MEDIA_CACHE: &str = "public, max-age=3600, immutable";

/// Playlists (index.m3u8, video.m3u8, video1.m3u8 and so on down the ladder, audio.m3u8), initialization sections, segments and parts of a broadcast.
#[utoipa::path(
    get,
    path = "/hls/{room}/{file}",
    params(
        ("room" = String, Path),
        ("file" = String, Path),
        ("_HLS_msn" = Option<u64>, Query, description = "Wait until the playlist has this media sequence number"),
        ("_HLS_part" = Option<u32>, Query, description = "… and this part of it"),
        ("v" = Option<String>, Query, description = "The viewer's ticket, as it stands in index.m3u8"),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 400, body = ErrorBody, description = "Not a number, or too far ahead"),
        (status = 404, body = ErrorBody, description = "Not on air, or no such file"),
        (status = 410, body = ErrorBody, description = "It left the window"),
        (status = 503, body = ErrorBody, description = "Too many wait, or it did not come within three target durations"),
    )
)]
pub async fn file(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    Room(room): Room,
    FileName(file): FileName,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let value = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    if file == "index.m3u8" {
        let program = app.programs.state(&room);
        let coming = match program.and_then(|program| program.broadcasting) {
            Some(_) => Coming::Yes,
            None => Coming::No,
        };
        let playlist = app
            .origin
            .multivariant(&room, coming)
            .await
            .map_err(error)?;
        return Ok(playlist_answer(playlist, "no-store", &headers));
    }
    if let Some(rendition) = Rendition::of_playlist(&file) {
        let at = waited_for(value("_HLS_msn"), value("_HLS_part"))?;
        let agent = headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or("");
        app.origin
            .saw_viewer(&room, value("v"), Some(peer.ip()), agent);
        let playlist = app
            .origin
            .playlist(&room, rendition, at)
            .await
            .map_err(error)?;
        let cache = if at.is_some() {
            BLOCKED_CACHE
        } else {
            PLAYLIST_CACHE
        };
        return Ok(playlist_answer(playlist, cache, &headers));
    }
    let media = app.origin.media(&room, &file).await.map_err(error)?;
    let content_type = match Rendition::of_file(&file) {
        Some(Rendition::Audio) => "audio/mp4",
        Some(Rendition::Video | Rendition::Lower { .. }) | None => "video/mp4",
    };
    Ok((
        [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, MEDIA_CACHE),
        ],
        media.0,
    )
        .into_response())
}

/// The delivery directives (RFC 8216bis §6.2.5.2). Ones that we do not know are ignored, as it asks for.
pub fn waited_for(
    msn: Option<&str>,
    part: Option<&str>,
) -> Result<Option<(u64, Option<u32>)>, ApiError> {
    let nonsense = |name: &str| {
        ApiError::bad_request(format!(
            "{name} is not a number that a playlist could reach."
        ))
    };
    match (msn, part) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ApiError::bad_request("_HLS_part needs _HLS_msn.")),
        (Some(msn), part) => {
            let msn = msn.parse().map_err(|_| nonsense("_HLS_msn"))?;
            let part = part
                .map(str::parse)
                .transpose()
                .map_err(|_| nonsense("_HLS_part"))?;
            Ok(Some((msn, part)))
        }
    }
}

fn playlist_answer(playlist: Playlist, cache: &'static str, headers: &HeaderMap) -> Response {
    let common = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/vnd.apple.mpegurl"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    match playlist.packed {
        Some(packed) if gzip::is_taken(headers) => {
            (common, [(header::CONTENT_ENCODING, "gzip")], packed).into_response()
        }
        _ => (common, playlist.body).into_response(),
    }
}

fn error(missing: Missing) -> ApiError {
    match missing {
        Missing::NotOnAir => ApiError::not_found("This room is not on air."),
        Missing::Unknown => ApiError::not_found("There is no such file in this broadcast."),
        Missing::Gone => ApiError::gone("That is too long ago: read the playlist again."),
        Missing::TooFar => ApiError::bad_request("That is too far ahead: read the playlist again."),
        Missing::Busy => {
            ApiError::unavailable("Too many players are waiting; try again in a moment.")
        }
        Missing::Late => ApiError::unavailable("It did not come in time."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_directives_are_read_and_nonsense_is_refused() {
        assert_eq!(waited_for(None, None), Ok(None));
        assert_eq!(waited_for(Some("7"), None), Ok(Some((7, None))));
        assert_eq!(waited_for(Some("7"), Some("2")), Ok(Some((7, Some(2)))));
        for (msn, part) in [
            (None, Some("1")),
            (Some("-1"), None),
            (Some("x"), None),
            (Some("99999999999999999999"), None),
            (Some("1"), Some("1.5")),
        ] {
            assert!(waited_for(msn, part).is_err(), "{msn:?} {part:?}");
        }
    }
}
