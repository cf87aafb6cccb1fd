//! Everything over HTTP: pages, the API, call signalling, HLS, recordings, numbers.

pub mod error;
pub mod listen;
mod pages;

use axum::Router;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use error::ApiError;

/// Every route of the server.
pub fn router() -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(fallback)
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
}

/// What no route takes: a page, or "not found" as JSON where programs ask.
async fn fallback(method: axum::http::Method, uri: Uri, headers: axum::http::HeaderMap) -> Response {
    let first = uri.path().split('/').nth(1).unwrap_or("");
    if matches!(first, "api" | "rtc" | "hls" | "recordings") {
        return ApiError::not_found("There is nothing at this address.").into_response();
    }
    pages::page(method, uri, headers).await
}
