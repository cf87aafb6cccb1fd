//! The pages: embedded files of `web/dist`, with a strict content security policy.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use rust_embed::RustEmbed;

use crate::gzip;

#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Dist;

/// Nothing from elsewhere, nothing inline; the call's socket, the player's blobs, and the empty `data:` that hls.js gives tracks of
/// captions are all that pages need.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     media-src 'self' blob: data:; font-src 'self'; connect-src 'self' ws: wss:; worker-src 'self' blob:; manifest-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The embedded player may be in a frame of any page: there is nothing on it to be tricked into but "play". Its camera and
/// microphone are nobody's.
const EMBEDDED: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: data:; \
         font-src 'self'; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors *",
    ),
    (
        "permissions-policy",
        "camera=(), microphone=(), display-capture=(), geolocation=()",
    ),
];

/// Pages of other places load this script, from wherever they are.
const ELEMENT: &str = "/embed.js";

/// What is in `index.html` in place of what belongs to one page.
const TITLE: &str = "<title>amphi</title>";

/// On every page and asset.
const SECURITY_HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    ),
];

/// Smaller files are not worth packing.
const PACK_BYTES_MIN: usize = 1_024;

struct Page {
    body: Bytes,
    packed: Option<Bytes>,
    content_type: HeaderValue,
    tag: HeaderValue,
}

/// All embedded files by path, packed when somebody first asks for a page.
fn files() -> &'static BTreeMap<String, Page> {
    static FILES: OnceLock<BTreeMap<String, Page>> = OnceLock::new();
    FILES.get_or_init(|| {
        Dist::iter()
            .filter_map(|path| Some((path.to_string(), Dist::get(&path)?)))
            .map(|(path, file)| {
                let body = match file.data {
                    std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
                };
                let content_type = content_type(&path);
                let hash: String = file.metadata.sha256_hash()[..12]
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                let page = Page {
                    packed: packed(&body, &content_type),
                    content_type: HeaderValue::from_str(&content_type)
                        .expect("media types are ASCII"),
                    tag: HeaderValue::from_str(&format!("\"{hash}\""))
                        .expect("hexadecimal digits are ASCII"),
                    body,
                };
                (path, page)
            })
            .collect()
    })
}

fn content_type(path: &str) -> String {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let text = kind.type_() == "text" || kind.subtype() == "json" || kind.subtype() == "javascript";
    if text {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    }
}

fn packed(body: &Bytes, content_type: &str) -> Option<Bytes> {
    let shrinks = [
        "text/",
        "application/javascript",
        "application/json",
        "image/svg",
    ];
    if body.len() < PACK_BYTES_MIN || !shrinks.iter().any(|start| content_type.starts_with(start)) {
        return None;
    }
    gzip::pack(body)
}

/// Answers everything that is no other route's: a page, with `head` in its head, an asset, or "not found".
pub fn page(method: &Method, uri: &Uri, headers: &HeaderMap, head: Option<String>) -> Response {
    let mut response = find(method, uri.path(), headers, head);
    let mut set = |&(name, value): &(&'static str, &'static str)| {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    };
    SECURITY_HEADERS.iter().for_each(&mut set);
    if uri.path().starts_with("/embed/") {
        EMBEDDED.iter().for_each(&mut set);
        response.headers_mut().remove("x-frame-options");
    }
    if uri.path() == ELEMENT {
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "cross-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

fn find(method: &Method, path: &str, headers: &HeaderMap, head: Option<String>) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "GET, HEAD")],
            "pages are for reading\n",
        )
            .into_response();
    }
    let Ok(path) = percent_decode_str(path).decode_utf8() else {
        return (StatusCode::BAD_REQUEST, "this address is not UTF-8\n").into_response();
    };
    let files = files();
    let Some(index) = files.get("index.html") else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "pages were not built: run ./run\n",
        )
            .into_response();
    };
    if is_page(&path) {
        let own = head.and_then(|head| with_head(index, &head));
        return answer(
            own.as_ref().unwrap_or(index),
            StatusCode::OK,
            "no-cache",
            headers,
        );
    }
    match files.get(path.trim_start_matches('/')) {
        Some(file) if path.starts_with("/assets/") => answer(
            file,
            StatusCode::OK,
            "public, max-age=31536000, immutable",
            headers,
        ),
        Some(file) if path != "/index.html" => answer(file, StatusCode::OK, "no-cache", headers),
        _ if path.starts_with("/assets/") => {
            (StatusCode::NOT_FOUND, "no such file\n").into_response()
        }
        _ => answer(index, StatusCode::NOT_FOUND, "no-store", headers),
    }
}

/// The page with a head of its own.
fn with_head(index: &Page, head: &str) -> Option<Page> {
    let text = std::str::from_utf8(&index.body).ok()?;
    let (before, after) = text.split_once(TITLE)?;
    let body = format!("{before}{head}{after}");
    let mut hash = DefaultHasher::new();
    body.hash(&mut hash);
    let tag = format!("\"{:016x}\"", hash.finish());
    Some(Page {
        body: body.into(),
        packed: None,
        content_type: index.content_type.clone(),
        tag: HeaderValue::from_str(&tag).expect("hexadecimal digits are ASCII"),
    })
}

/// The addresses that are pages; the script in them tells which one is shown.
fn is_page(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("join" | "stage" | "watch" | "embed"), Some(room), None) => {
            amphi_policy::name::room(room).is_ok()
        }
        (Some("recording"), Some(id), None) => !id.is_empty(),
        _ => false,
    }
}

fn answer(page: &Page, status: StatusCode, cache: &'static str, headers: &HeaderMap) -> Response {
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|tag| tag == page.tag);
    let common = [
        (header::ETAG, page.tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if known && status == StatusCode::OK {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let typed = [(header::CONTENT_TYPE, page.content_type.clone())];
    match &page.packed {
        Some(packed) if gzip::is_taken(headers) => (
            status,
            common,
            typed,
            [(header::CONTENT_ENCODING, "gzip")],
            packed.clone(),
        )
            .into_response(),
        _ => (status, common, typed, page.body.clone()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_addresses_are_the_listed_ones_with_a_room_that_can_be() {
        for page in [
            "/",
            "/join/hall",
            "/stage/Ålesund 2",
            "/watch/a",
            "/embed/a",
            "/recording/20260101-x",
        ] {
            assert!(is_page(page), "{page}");
        }
        for other in [
            "/join",
            "/join/",
            "/stage/a/b",
            "/watch/<b>",
            "/watch/..",
            "/recording/",
            "/index.html",
            "//",
            "/admin",
        ] {
            assert!(!is_page(other), "{other}");
        }
    }
}
