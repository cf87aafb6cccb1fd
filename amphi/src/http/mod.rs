//! Everything over HTTP: pages, the API, call signalling, HLS, recordings, numbers.
//!
//! The shell knows no rules: what a token may do is asked of `amphi_policy::Grants`, and what a room then does is the
//! room's. Start reading at [`Doors`].

mod card;
mod clips;
mod door;
pub mod error;
mod hls;
pub mod limiter;
pub mod listen;
mod numbers;
mod openapi;
mod origin;
mod pages;
pub mod playlists;
mod range;
pub mod recordings;
pub mod reports;
mod request;
mod rooms;
pub mod rtc;
mod switches;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use amphi_policy::token::Keys;
use amphi_shard::{Command, Outcome};
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::airings::Airings;
use crate::announcement;
use crate::config::Config;
use crate::egress::hls::Origin;
use crate::egress::record::Keeper;
use crate::egress::record::export::Exporter;
use crate::metrics::{Cpu, Requests};
use crate::net::House;
use crate::program::Programs;
use crate::store::{RoomSettings, Store, StoreError};

use error::ApiError;
use limiter::Limiter;
use listen::Peer;

pub use hls::waited_for;
pub use openapi::document;
pub use rooms::for_room;

/// What every handler may reach.
#[derive(Clone)]
pub struct App(Arc<Parts>);

pub struct Parts {
    pub config: Config,
    pub keys: Keys,
    pub house: House,
    pub programs: Programs,
    pub origin: Arc<Origin>,
    pub store: Arc<dyn Store>,
    pub keeper: Arc<Keeper>,
    /// None where nothing is exported.
    pub exporter: Option<Arc<Exporter>>,
    pub joins: Limiter,
    pub identities: rtc::Joins,
    pub airings: Arc<Airings>,
    pub reports: reports::Reports,
    pub requests: Requests,
    pub connections: Arc<listen::Counters>,
    pub sockets: rtc::Counters,
    pub playlists: playlists::Playlists,
    pub cpu: Cpu,
    /// The server stops: ready for nothing new.
    pub draining: AtomicBool,
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Asks a room; a refusal of its becomes an error with its words.
    async fn ask(&self, room: &str, command: Command) -> Result<Outcome, ApiError> {
        match self.house.command(room, command).await {
            Ok(Outcome::Refused(refusal)) => Err(refusal.into()),
            Ok(outcome) => Ok(outcome),
            Err(overloaded) => Err(ApiError::unavailable(sentence(&overloaded.to_string()))),
        }
    }

    /// Asks the store, on a thread that may wait for a disk.
    async fn stored<T: Send + 'static>(
        &self,
        doing: &'static str,
        ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.store.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&*store)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(StoreError::Full { .. })) => Err(ApiError::disk_full(doing)),
            Ok(Err(error)) => Err(ApiError::failed(doing, &error)),
            Err(error) => Err(ApiError::failed(doing, &error)),
        }
    }

    /// What was set for a room: through the API, else in the configuration. What it announced, as long as that is said.
    async fn settings(&self, room: &str) -> Result<RoomSettings, ApiError> {
        let name = room.to_owned();
        let set = self
            .stored("reading the room's settings", move |store| {
                store.settings(&name)
            })
            .await?;
        let mut settings = set.unwrap_or_else(|| configured(&self.config, room));
        settings.starts = announcement::current(settings.starts, SystemTime::now());
        Ok(settings)
    }
}

/// What the configuration says of a room.
pub fn configured(config: &Config, room: &str) -> RoomSettings {
    let (title, broadcast, record) = config.room(room);
    RoomSettings {
        title,
        broadcast,
        record,
        starts: None,
    }
}

/// The documented routes: the API, and the files and sockets beside it.
fn documented() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(door::server))
        .routes(routes!(door::join))
        .routes(routes!(rooms::list))
        .routes(routes!(rooms::state))
        .routes(routes!(rooms::settings, rooms::put_settings))
        .routes(routes!(rooms::change_member, rooms::remove_member))
        .routes(routes!(
            switches::start_broadcast,
            switches::change_broadcast,
            switches::stop_broadcast
        ))
        .routes(routes!(switches::start_recording, switches::stop_recording))
        .routes(routes!(clips::make))
        .routes(routes!(reports::make, reports::list))
        .routes(routes!(reports::done))
        .routes(routes!(recordings::list))
        .routes(routes!(
            recordings::one,
            recordings::change,
            recordings::delete
        ))
        .routes(routes!(recordings::tracks))
        .routes(routes!(recordings::timeline))
        .routes(routes!(numbers::healthz))
        .routes(routes!(numbers::readyz))
        .routes(routes!(numbers::metrics));
    let elsewhere = OpenApiRouter::new()
        .routes(routes!(recordings::playlist))
        .routes(routes!(recordings::file))
        .routes(routes!(recordings::track))
        .routes(routes!(hls::file))
        .routes(routes!(rtc::socket))
        .routes(routes!(rtc::socket_v1))
        .routes(routes!(rtc::validate))
        .routes(routes!(rtc::validate_v1))
        .layer(from_fn(for_every_origin));
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(api)
        .merge(elsewhere)
}

/// Answers every request.
///
/// Files of broadcasts are nearly all of them when there are viewers, and go past the router, whose layers cost as much as the
/// answer: docs/decisions/0013.
#[derive(Clone)]
pub struct Doors {
    app: App,
    router: Router,
}

impl Doors {
    pub fn new(app: App) -> Self {
        let router = router(app.clone());
        Self { app, router }
    }

    pub async fn answer(&self, peer: Peer, mut request: Request) -> Response {
        let app = &self.app;
        if let Some(asked) = hls::Asked::read(request.method(), request.uri()) {
            let mut response = match origin::refusal(app, request.uri(), request.headers()) {
                Some(refused) => refused.into_response(),
                None => {
                    let answer = hls::answer(app, peer, asked, request.headers()).await;
                    let mut response = answer.into_response();
                    let_every_origin(response.headers_mut());
                    response
                }
            };
            finish(app, hls::ROUTE, &mut response);
            return response;
        }
        request.extensions_mut().insert(peer);
        let answered = self.router.clone().oneshot(request).await;
        let mut response = answered.unwrap_or_else(|never| match never {});
        if response.status() == StatusCode::NOT_MODIFIED {
            // The router's zero would be the length of what the client has (RFC 9110 §8.6).
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response
    }
}

/// Every route of the server.
fn router(app: App) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .route("/api/openapi.json", get(openapi::answer))
        .fallback(fallback)
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(DefaultBodyLimit::max(app.config.limits.body_bytes))
        .layer(from_fn_with_state(app.clone(), origin::only_this_machine))
        .layer(from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// What no route takes: a page, or "not found" as JSON where programs ask.
async fn fallback(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if is_for_programs(uri.path()) {
        return ApiError::not_found("There is nothing at this address.").into_response();
    }
    let head = card::head(&app, &uri, &headers).await;
    pages::page(&method, &uri, &headers, head)
}

/// Whether programs ask there, and not people for pages.
fn is_for_programs(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or("");
    matches!(first, "api" | "rtc" | "hls" | "recordings")
}

/// Pages of other sites may ask: nothing here is given to a browser because of who it is, only to who has a token.
async fn for_every_origin(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response = match is_preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    let_every_origin(headers);
    if is_preflight {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, range, if-none-match",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// On every answer. What only a browser's question before its request is answered with is added in [`for_every_origin`] (Fetch,
/// "CORS-preflight request").
fn let_every_origin(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "content-length, content-range, date, etag",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

async fn count(
    axum::extract::State(app): axum::extract::State<App>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let route = route.as_ref().map_or("pages", MatchedPath::as_str);
    finish(&app, route, &mut response);
    response
}

/// Counts every request by its route, and says to browsers that a type is a type.
fn finish(app: &App, route: &str, response: &mut Response) {
    app.requests.count(route, response.status());
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}

/// An error's text as a sentence for people.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let first = text.split(' ').next().unwrap_or("");
    // A name of a thing (`join_request`) stays as it is written.
    if !first.chars().all(char::is_alphabetic) {
        return format!("{text}.");
    }
    let mut characters = text.chars();
    let capital = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    format!("{}{}.", capital.unwrap_or_default(), characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn an_error_becomes_a_sentence() {
        assert_eq!(sentence("a name is needed"), "A name is needed.");
        assert_eq!(
            sentence("join_request is missing."),
            "join_request is missing."
        );
    }
}
