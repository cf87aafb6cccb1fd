//! Addresses, as far as playlists need them.

/// What `reference` means in the document at `base` (RFC 3986 §5.2, of one host: no user, no dots but `..` in front).
pub(crate) fn resolve(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let root = base.find("://").map_or(0, |at| {
        base[at + 3..]
            .find('/')
            .map_or(base.len(), |slash| at + 3 + slash)
    });
    if reference.starts_with('/') {
        return format!("{}{reference}", &base[..root]);
    }
    let path = &base[root..];
    let path = path.split('?').next().unwrap_or(path);
    let mut folder = path.rfind('/').map_or("", |slash| &path[..slash]);
    let mut rest = reference;
    loop {
        if let Some(up) = rest.strip_prefix("../") {
            folder = folder.rfind('/').map_or("", |slash| &folder[..slash]);
            rest = up;
        } else if let Some(here) = rest.strip_prefix("./") {
            rest = here;
        } else {
            break;
        }
    }
    format!("{}{folder}/{rest}", &base[..root])
}

/// With one more query parameter.
pub(crate) fn with_query(url: &str, query: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}{query}")
}

/// Without its query.
pub(crate) fn plain(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_a_browser_does() {
        for (base, reference, expected) in [
            (
                "/hls/hall/index.m3u8",
                "audio.m3u8?v=1",
                "/hls/hall/audio.m3u8?v=1",
            ),
            ("/hls/hall/index.m3u8?v=a/b", "a-1.m4s", "/hls/hall/a-1.m4s"),
            ("http://h:1/x/y.m3u8", "/z.mp4", "http://h:1/z.mp4"),
            ("http://h:1/x/y.m3u8", "../z.mp4", "http://h:1/z.mp4"),
            ("http://h:1/x/y.m3u8", "./z.mp4", "http://h:1/x/z.mp4"),
            ("http://h:1", "z.mp4", "http://h:1/z.mp4"),
            ("/x.m3u8", "https://other/z.mp4", "https://other/z.mp4"),
        ] {
            assert_eq!(resolve(base, reference), expected);
        }
        assert_eq!(with_query("/a?v=1", "_HLS_msn=2"), "/a?v=1&_HLS_msn=2");
        assert_eq!(with_query("/a", "_HLS_msn=2"), "/a?_HLS_msn=2");
    }
}
