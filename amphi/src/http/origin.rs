//! `--dev` and the pages of others: everybody knows its secret, so any page that the developer happens to look at could
//! sign a token for itself and listen to the call on 127.0.0.1. Browsers say which page asks; programs do not, and need
//! not.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::{App, is_for_programs};

/// Lets through what comes from no page, or from a page of this machine.
pub async fn only_this_machine(State(app): State<App>, request: Request, next: Next) -> Response {
    let foreign = app.config.dev
        && is_for_programs(request.uri().path())
        && request
            .headers()
            .get_all(header::ORIGIN)
            .iter()
            .any(|origin| !is_this_machine(origin));
    if foreign {
        let words = "With --dev only pages of this machine (http://localhost, http://127.0.0.1) may ask: everybody knows its secret. Start amphi with a secret of your own for pages from elsewhere.";
        return ApiError::not_allowed("enter", words).into_response();
    }
    next.run(request).await
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
    let host = origin.host().unwrap_or("");
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let local = host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    local && matches!(origin.scheme_str(), Some("http" | "https"))
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
}
