//! The description of the API: made from the handlers themselves, so that it cannot say anything else.

use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi};

/// What is not a route: title, and how a token is sent.
pub fn frame() -> OpenApi {
    let mut info = Info::new("amphi", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "A call, its broadcast and its recording in one process. Errors are always \
         {\"error\": {\"code\", \"action\", \"message\"}}. Tokens are LiveKit access tokens (JWT, HS256)."
            .into(),
    );
    let mut components = Components::new();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    let mut document = OpenApi::new(info, utoipa::openapi::Paths::new());
    document.components = Some(components);
    document
}

/// The whole document, as it is committed in `docs/openapi.json`.
pub fn document() -> OpenApi {
    super::documented().into_openapi()
}

pub async fn answer() -> Json<OpenApi> {
    Json(document())
}
