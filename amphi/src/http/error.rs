//! What a request gets that cannot be done: a status and `{"error": {"code", "action", "message"}}`.

use amphi_policy::Refusal;
use amphi_policy::token::TokenError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Which kind of error it is, as one word for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    BadRequest,
    Unauthorized,
    NotAllowed,
    NotFound,
    MethodNotAllowed,
    Conflict,
    TooLarge,
    TooMany,
    Unavailable,
}

/// The body of every error.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    pub error: ErrorWords,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorWords {
    pub code: Code,
    /// The action that was refused, where one was: "broadcast", "record", "moderate", "enter" …
    #[schema(required)]
    pub action: Option<&'static str>,
    /// What was refused and what to do, for a person.
    pub message: String,
}

/// An error on its way to the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub words: ErrorWords,
}

impl ApiError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            words: ErrorWords {
                code,
                action: None,
                message: message.into(),
            },
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
    }

    pub fn not_allowed(action: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::FORBIDDEN, Code::NotAllowed, message);
        error.words.action = Some(action);
        error
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    /// It was here, and will not come back.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, Code::NotFound, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, Code::Conflict, message)
    }

    pub fn method_not_allowed() -> Self {
        let message =
            "This address does not take that method; the Allow header names the ones it takes.";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::MethodNotAllowed,
            message,
        )
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, message)
    }

    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooMany, message)
    }

    /// The server cannot do it at the moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
    }

    /// Somebody has to make room.
    pub fn disk_full(doing: &'static str) -> Self {
        tracing::warn!(doing, "a request failed: the disk is full");
        Self::unavailable(
            "The server's disk is full: nothing was written. Try again when there is room on it.",
        )
    }

    /// The world failed (disk, database). The cause goes to the log and not to the client.
    pub fn failed(doing: &'static str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(doing, %cause, "a request failed");
        let message = format!("The server failed while {doing}; its log says why.");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unavailable,
            message,
        )
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::not_allowed(refusal.action.name(), refusal.to_string())
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::unauthorized(format!("The access token was refused: {error}."))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(ErrorBody { error: self.words })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}
