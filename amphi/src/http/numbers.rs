//! Is it well, is it ready, and what has it done.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::App;
use crate::metrics;

/// The process runs.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = str)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// New people can come: 503 while the server is stopping.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = str), (status = 503, body = str)))]
pub async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    (StatusCode::OK, "ready\n")
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = str)))]
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    // https://prometheus.io/docs/instrumenting/exposition_formats/
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        metrics::page(&app),
    )
}
