//! What handlers take out of a request: names in the path, the token, a JSON body. Each refuses in the one form that
//! errors have.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use amphi_policy::token::{self, Claims};
use amphi_policy::{Grants, name};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde::de::DeserializeOwned;

use super::App;
use super::error::ApiError;
use super::sentence;
use crate::egress::record::file_of;

/// `{room}` of the path, checked.
pub struct Room(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Room {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let room = path_parameter(parts, state, "room").await?;
        name::room(&room).map_err(|bad| ApiError::bad_request(sentence(&bad.to_string())))?;
        Ok(Self(room))
    }
}

/// `{identity}` of the path, checked.
pub struct Identity(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let identity = path_parameter(parts, state, "identity").await?;
        name::identity(&identity)
            .map_err(|bad| ApiError::bad_request(sentence(&bad.to_string())))?;
        Ok(Self(identity))
    }
}

/// `{id}` of a recording: it becomes a part of a file's path, so it is letters, digits and hyphens.
pub struct RecordingId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RecordingId {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = path_parameter(parts, state, "id").await?;
        if file_of(Path::new(""), &id).is_none() {
            return Err(ApiError::bad_request(
                "A recording's id has a-z, 0-9 and - only.",
            ));
        }
        Ok(Self(id))
    }
}

/// `{id}` of a report: the store's number of it.
pub struct ReportId(pub u64);

impl<S: Send + Sync> FromRequestParts<S> for ReportId {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = path_parameter(parts, state, "id").await?;
        let id = id.parse().map_err(|_| {
            ApiError::bad_request("A report's id is a number, as the list of reports has it.")
        })?;
        Ok(Self(id))
    }
}

/// `{file}` of the path: a name that whoever has the files looks up, never a path.
pub struct FileName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for FileName {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(path_parameter(parts, state, "file").await?))
    }
}

async fn path_parameter<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    wanted: &str,
) -> Result<String, ApiError> {
    let parameters = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| ApiError::bad_request("This address is not UTF-8."))?;
    let found = parameters
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned());
    found.ok_or_else(|| ApiError::bad_request(format!("This address names no {wanted}.")))
}

/// What the bearer token says, verified.
pub struct Bearer(pub Claims);

impl Bearer {
    /// What it allows in a room.
    pub fn grants(&self, room: &str) -> Grants {
        self.0
            .video
            .as_ref()
            .map_or_else(Grants::none, |video| Grants::from_token(video, room))
    }
}

impl FromRequestParts<App> for Bearer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).unwrap_or("");
        Ok(Self(token::verify(token, &app.keys, now_s())?))
    }
}

/// Who may come without a token. One that is given has to be good.
pub struct Visitor(Option<Claims>);

impl Visitor {
    pub fn grants(&self, room: &str) -> Grants {
        let video = self.0.as_ref().and_then(|claims| claims.video.as_ref());
        video.map_or_else(Grants::none, |video| Grants::from_token(video, room))
    }

    /// The one room that the token names.
    pub fn room(&self) -> Option<&str> {
        self.0.as_ref()?.video.as_ref()?.room.as_deref()
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        let Bearer(claims) = Bearer::from_request_parts(parts, app).await?;
        Ok(Self(Some(claims)))
    }
}

/// The value of `?name=` in an address.
pub fn query(uri: &Uri, name: &str) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let found = pairs.into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value)
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// A time in a body, by the name that it has there: RFC 3339, in UTC.
pub fn time(which: &str, text: &str) -> Result<SystemTime, ApiError> {
    humantime::parse_rfc3339(text).map_err(|_| {
        ApiError::bad_request(format!(
            "`{which}` is not a time such as \"2026-11-22T18:00:00.000Z\"."
        ))
    })
}

/// A JSON body; an empty body is read as `{}`.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(too_large_or_broken)?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        // Else a list would be read as an object's values in the order of its fields, and what they mean by chance.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(ApiError::bad_request(
                "The body is to be a JSON object: {\"name\": value, ...}.",
            ));
        }
        let value = serde_json::from_slice(text).map_err(|error| {
            ApiError::bad_request(format!(
                "The body is not the JSON that is expected here: {error}."
            ))
        })?;
        Ok(Self(value))
    }
}

fn too_large_or_broken(rejection: BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::too_large("The body is larger than limits.body_bytes allows.");
    }
    ApiError::bad_request("The body could not be read.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[tokio::test]
    async fn a_body_is_an_object_or_nothing() {
        #[derive(serde::Deserialize)]
        struct Asked {
            #[serde(default)]
            on: bool,
        }
        for (text, expected) in [
            ("", Some(false)),
            ("\n {\"on\": true}", Some(true)),
            ("[true]", None),
            ("[]", None),
            ("null", None),
            ("7", None),
            ("{\"on\": 7}", None),
        ] {
            let request = Request::new(axum::body::Body::from(text));
            let read = JsonBody::<Asked>::from_request(request, &()).await;
            assert_eq!(read.ok().map(|body| body.0.on), expected, "{text}");
        }
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        let read = |value: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(read("Basic abc"), None);
        assert_eq!(read("abc"), None);
    }
}
