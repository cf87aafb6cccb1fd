//! `/hls/{room}/…`: what a request looks like, and what the answer's headers are. The waiting is in `egress/hls.rs`.

use amphi_mux::{Rendition, THUMBNAILS_PLAYLIST, Variants, is_thumbnail};
use amphi_policy::name;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::App;
use super::error::{ApiError, ErrorBody};
use super::listen::Peer;
use super::range::{self, Wanted};
use super::request::{FileName, Room};
use crate::egress::hls::{Coming, Form, Index, Missing, Playlist};
use crate::gzip;

/// A live playlist is another one at the next part: who has one asks whether it still is that one. A cache that many ask may
/// answer all of them with one that is a second old, since who wants it newer says which part it waits for.
const PLAYLIST_CACHE: &str = "public, max-age=0, s-maxage=1";
/// An answer that was waited for holds what its address asks for, for ever. RFC 8216bis appendix B.1 has six target durations.
const BLOCKED_CACHE: &str = "public, max-age=24";
/// A name never gets other bytes, and is not asked for again after the window.
const MEDIA_CACHE: &str = "public, max-age=3600, immutable";

/// The pattern of its route, by which its requests are counted: as it stands at [`file`].
pub const ROUTE: &str = "/hls/{room}/{file}";
/// Headers of an answer at most, so that there is room for all of them at once.
const HEADERS: usize = 12;

/// Playlists (index.m3u8, video.m3u8, video1.m3u8 and so on down the ladder, audio.m3u8, opus.m3u8), initialization sections, segments and parts of a broadcast, the list of its thumbnails (thumbnails.m3u8), and those.
#[utoipa::path(
    get,
    path = "/hls/{room}/{file}",
    params(
        ("room" = String, Path),
        ("file" = String, Path),
        ("_HLS_msn" = Option<u64>, Query, description = "Wait until the playlist has this media sequence number"),
        ("_HLS_part" = Option<u32>, Query, description = "… and this part of it"),
        ("_HLS_skip" = Option<String>, Query, description = "YES: leave out what was listed long ago, if the playlist says that it can"),
        ("v" = Option<String>, Query, description = "The viewer's ticket, as it stands in index.m3u8. With stage, index.m3u8 gives one that is not counted: for who is in the call and looks at what the audience sees"),
        ("native" = Option<String>, Query, description = "Of index.m3u8, for players that are part of a system or a browser: of pictures that are cut it names the largest alone, since the smaller ones are other encoders' work"),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The range of a segment that was asked for"),
        (status = 304, description = "It is what if-none-match has"),
        (status = 400, body = ErrorBody, description = "Not a number, or too far ahead"),
        (status = 404, body = ErrorBody, description = "Not on air, or no such file"),
        (status = 410, body = ErrorBody, description = "It left the window"),
        (status = 416, description = "The segment has no such range"),
        (status = 503, body = ErrorBody, description = "Too many wait, or it did not come within three target durations"),
    )
)]
pub async fn file(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Room(room): Room,
    FileName(file): FileName,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = query.iter().map(|(name, value)| (&**name, &**value));
    answer(&app, peer, Asked::new(&room, &file, query), &headers).await
}

/// A file of a broadcast, as it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked<'a> {
    room: &'a str,
    file: &'a str,
    msn: Option<&'a str>,
    part: Option<&'a str>,
    skip: Option<&'a str>,
    ticket: Option<&'a str>,
    /// By a player that is not ours: a system's or a browser's own.
    native: bool,
}

impl<'a> Asked<'a> {
    /// Of a name that is there twice, the first.
    fn new(
        room: &'a str,
        file: &'a str,
        query: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Self {
        let value = |wanted| {
            let mut named = query.clone().filter(|(name, _)| *name == wanted);
            named.next().map(|(_, value)| value)
        };
        Self {
            room,
            file,
            msn: value("_HLS_msn"),
            part: value("_HLS_part"),
            skip: value("_HLS_skip"),
            ticket: value("v"),
            native: value("native").is_some(),
        }
    }

    /// An address as players write it, read where it stands. None for all that need a closer look: other addresses and methods, what
    /// is percent-encoded, names that no room has.
    pub fn read(method: &Method, uri: &'a Uri) -> Option<Self> {
        let (room, file) = uri.path().strip_prefix("/hls/")?.split_once('/')?;
        let query = uri.query().unwrap_or("");
        let is_plain = !uri.path().contains('%') && !query.contains(['%', '+']);
        let is_file = method == Method::GET && !file.is_empty() && !file.contains('/');
        if !is_plain || !is_file || name::room(room).is_err() {
            return None;
        }
        let pairs = (query.split('&')).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Some(Self::new(room, file, pairs))
    }
}

/// Answers at once, or when it is there.
pub async fn answer(
    app: &App,
    Peer(peer): Peer,
    asked: Asked<'_>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let Asked { room, file, .. } = asked;
    if file == "index.m3u8" {
        let program = app.programs.state(room);
        let is_cut = (program.as_ref()).is_some_and(|program| program.made.is_cut());
        let index = Index {
            ticket: asked.ticket,
            variants: match asked.native && is_cut {
                true => Variants::Largest,
                false => Variants::All,
            },
        };
        let coming = match program.and_then(|program| program.broadcasting) {
            Some(_) => Coming::Yes,
            None => Coming::No,
        };
        let playlist = app
            .origin
            .multivariant(room, index, coming)
            .await
            .map_err(error)?;
        return Ok(playlist_answer(playlist, "no-store", headers));
    }
    if file == THUMBNAILS_PLAYLIST {
        let playlist = app.origin.thumbnails(room).map_err(error)?;
        return Ok(playlist_answer(playlist, PLAYLIST_CACHE, headers));
    }
    if let Some(rendition) = Rendition::of_playlist(file) {
        let at = waited_for(asked.msn, asked.part)?;
        let agent = headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or("");
        app.origin
            .saw_viewer(room, rendition, asked.ticket, Some(peer.ip()), agent);
        let form = match asked.skip {
            Some("YES" | "v2") => Form::Delta,
            Some(_) | None => Form::Whole,
        };
        let playlist = app
            .origin
            .playlist(room, rendition, at, form)
            .await
            .map_err(error)?;
        let cache = if at.is_some() {
            BLOCKED_CACHE
        } else {
            PLAYLIST_CACHE
        };
        return Ok(playlist_answer(playlist, cache, headers));
    }
    let media = app.origin.media(room, file).await.map_err(error)?;
    let content_type = match Rendition::of_file(file) {
        _ if is_thumbnail(file) => "image/jpeg",
        Some(Rendition::Audio | Rendition::Opus) => "audio/mp4",
        Some(Rendition::Captions) => "text/vtt; charset=utf-8",
        Some(Rendition::Video | Rendition::Lower { .. }) | None => "video/mp4",
    };
    // A name is never given to other bytes, so it says which they are.
    let tag = format!("\"{file}\"");
    let mut answer = media_answer(media.0, &tag, headers);
    let named = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(MEDIA_CACHE)),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ];
    for (name, value) in named {
        answer.headers_mut().insert(name, value);
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    Ok(answer)
}

/// All of it, a range of it, or that it is what the client has.
fn media_answer(bytes: Bytes, tag: &str, headers: &HeaderMap) -> Response {
    if has(headers, tag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let ranged = headers
        .get(header::IF_RANGE)
        .is_none_or(|known| known == tag);
    let range = headers.get(header::RANGE).filter(|_| ranged);
    let length = bytes.len() as u64;
    match range.map_or(Wanted::All, |range| range::wanted(range, length)) {
        Wanted::All => bytes.into_response(),
        Wanted::Part(first, last) => {
            let place = |at: u64| usize::try_from(at).expect("it is in memory");
            let part = bytes.slice(place(first)..=place(last));
            let said = format!("bytes {first}-{last}/{length}");
            (
                StatusCode::PARTIAL_CONTENT,
                [(header::CONTENT_RANGE, said)],
                part,
            )
                .into_response()
        }
        Wanted::Beyond => {
            let said = format!("bytes */{length}");
            (
                StatusCode::RANGE_NOT_SATISFIABLE,
                [(header::CONTENT_RANGE, said)],
            )
                .into_response()
        }
    }
}

/// Whether the client has the bytes that `tag`, with its quotation marks, stands for (RFC 9110 §13.1.2).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == tag || known == "*")
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

fn playlist_answer(playlist: Playlist, cache: &'static str, asking: &HeaderMap) -> Response {
    let (body, tag, is_packed) = match (playlist.packed, playlist.tag) {
        (Some(packed), tag) if gzip::is_taken(asking) => (packed, tag.map(|tag| tag.packed), true),
        (_, tag) => (playlist.body, tag.map(|tag| tag.plain), false),
    };
    let tag = tag.and_then(|tag| HeaderValue::from_maybe_shared(tag).ok());
    let known = tag.as_ref().and_then(|tag| tag.to_str().ok());
    let is_known = known.is_some_and(|tag| has(asking, tag));
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/vnd.apple.mpegurl"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed && !is_known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(tag) = tag {
        headers.insert(header::ETAG, tag);
    }
    let mut answer = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Response::new(Body::from(body)),
    };
    *answer.headers_mut() = headers;
    answer
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

    fn asking(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[tokio::test]
    async fn a_range_of_a_segment_is_served_and_nonsense_is_not() {
        let check = async |range: &'static str, status: u16, said: &str, body: &[u8]| {
            let bytes = Bytes::from_static(b"0123456789");
            let answer = media_answer(bytes, "\"x\"", &asking(header::RANGE, range));
            assert_eq!(answer.status(), status, "{range}");
            let header = answer.headers().get(header::CONTENT_RANGE);
            assert_eq!(
                header.map_or("", |value| value.to_str().expect("text")),
                said
            );
            let got = axum::body::to_bytes(answer.into_body(), 99)
                .await
                .expect("a body");
            assert_eq!(got, body, "{range}");
        };
        check("bytes=0-3", 206, "bytes 0-3/10", b"0123").await;
        check("bytes=8-", 206, "bytes 8-9/10", b"89").await;
        check("bytes=-2", 206, "bytes 8-9/10", b"89").await;
        check("bytes=10-", 416, "bytes */10", b"").await;
        check("bytes=-300", 206, "bytes 0-9/10", b"0123456789").await;
        check("bytes=5-3", 200, "", b"0123456789").await;
        check("bytes=0-1,4-5", 200, "", b"0123456789").await;
        check("lines=0-1", 200, "", b"0123456789").await;
        check("bytes=99999999999999999999-", 416, "bytes */10", b"").await;
    }

    #[test]
    fn addresses_as_players_write_them_are_read_where_they_stand() {
        let read = |path: &'static str| {
            let uri = Uri::from_static(path);
            let asked = Asked::read(&Method::GET, &uri);
            asked.map(|asked| format!("{asked:?}"))
        };
        let asked = |room, file, query: &[(&'static str, &'static str)]| {
            Some(format!(
                "{:?}",
                Asked::new(room, file, query.iter().copied())
            ))
        };
        assert_eq!(
            read("/hls/hall/index.m3u8"),
            asked("hall", "index.m3u8", &[])
        );
        assert_eq!(
            read("/hls/hall/video.m3u8?v=1&_HLS_msn=7&_HLS_part=2&_HLS_skip=YES&v=2&_HLS_msn"),
            asked(
                "hall",
                "video.m3u8",
                &[
                    ("v", "1"),
                    ("_HLS_msn", "7"),
                    ("_HLS_part", "2"),
                    ("_HLS_skip", "YES")
                ]
            )
        );
        assert_eq!(
            read("/hls/hall/index.m3u8?v=stage&native"),
            asked("hall", "index.m3u8", &[("v", "stage"), ("native", "")])
        );
        for path in [
            "/hls/hall",
            "/hls/hall/",
            "/hls//index.m3u8",
            "/hls/hall/a/b",
            "/hls/the%20hall/index.m3u8",
            "/hls/hall/index.m3u8?v=%31",
            "/hls/hall/index.m3u8?v=a+b",
            "/api/rooms/hall",
            "/",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
        let uri = Uri::from_static("/hls/hall/index.m3u8");
        assert_eq!(Asked::read(&Method::HEAD, &uri), None);
    }

    #[test]
    fn who_has_it_is_told_so() {
        let known = |value| has(&asking(header::IF_NONE_MATCH, value), "\"x\"");
        assert!(known("\"x\"") && known("W/\"x\"") && known("\"y\", \"x\"") && known("*"));
        assert!(!known("\"y\"") && !known("x") && !known(""));
    }

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
