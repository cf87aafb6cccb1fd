//! `--dev` and the pages of others: everybody knows its secret, so any page that the developer happens to look at could
//! sign a token for itself and listen to the call on 127.0.0.1. Browsers say which page asks; programs do not, and need
//! not.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::{App, is_for_programs};

/// Lets through what is not to be refused.
pub async fn only_this_machine(State(app): State<App>, request: Request, next: Next) -> Response {
    match refusal(&app, request.uri(), request.headers()) {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    }
}

/// Why a request is refused that comes from a page of another machine. Also what was asked for has to be a name of this machine: by a
/// name of its own that it lets lead here (DNS rebinding), a page's requests carry no origin, since to the browser all is one.
pub fn refusal(app: &App, uri: &Uri, headers: &HeaderMap) -> Option<ApiError> {
    // HTTP/2 says in the request's address what HTTP/1.1 says in Host.
    let authority = uri.authority();
    let foreign = || {
        let mut pages = headers.get_all(header::ORIGIN).iter();
        let mut hosts = headers.get_all(header::HOST).iter();
        pages.any(|origin| !is_this_machine(origin))
            || hosts.any(|host| !is_name_of_this_machine(host))
            || authority.is_some_and(|authority| !is_local(authority.host()))
    };
    if app.config.dev && is_for_programs(uri.path()) && foreign() {
        let words = "With --dev only pages of this machine (http://localhost, http://127.0.0.1) may ask: everybody knows its secret. Start amphi with a secret of your own for pages from elsewhere.";
        return Some(ApiError::not_allowed("enter", words));
    }
    None
}

/// Whether a page of that origin (RFC 6454 §7.1) came from this machine, by any port. "null" may be anybody.
fn is_this_machine(origin: &HeaderValue) -> bool {
    let Some(origin) = origin
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Uri>().ok())
    else {
        return false;
    };
    is_local(origin.host().unwrap_or("")) && matches!(origin.scheme_str(), Some("http" | "https"))
}

/// Of a Host header (RFC 9110 §7.2), with any port.
fn is_name_of_this_machine(host: &HeaderValue) -> bool {
    host.to_str()
        .ok()
        .and_then(|text| text.parse::<Authority>().ok())
        .is_some_and(|authority| is_local(authority.host()))
}

/// localhost and all below it (RFC 6761 §6.3), and loopback addresses.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_are_told_from_others() {
        let is_own = |text: &'static str| is_this_machine(&HeaderValue::from_static(text));
        for own in [
            "http://localhost",
            "http://localhost:5173",
            "https://LOCALHOST:8443",
            "http://127.0.0.1:7880",
            "http://[::1]:7880",
            "http://app.localhost:3000",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "https://example.org",
            "http://192.0.2.1:7880",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://example.org:7880",
            "http://localhost@example.org",
            "null",
            "file://",
            "localhost",
            "",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }

    #[test]
    fn names_of_this_machine_are_told_from_names_that_lead_to_it() {
        let is_own = |text: &'static str| is_name_of_this_machine(&HeaderValue::from_static(text));
        for own in [
            "localhost",
            "LocalHost:7880",
            "127.0.0.1:7880",
            "[::1]:7880",
            "a.localhost",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "evil.example",
            "evil.example:7880",
            "localhost.evil.example",
            "192.0.2.1",
            "",
            " ",
        ] {
            assert!(!is_own(other), "{other:?}");
        }
    }
}
