//! What other places show of a link to a page: OpenGraph and Twitter cards (<https://ogp.me>), written into the page's head,
//! since who reads them runs no script.

use axum::http::{HeaderMap, Uri, header};
use percent_encoding::percent_decode_str;

use super::{App, recordings, rooms};

/// The picture of every card; 1,200 by 630 pixels.
const PICTURE: &str = "/card.png";

struct Card {
    title: String,
    description: String,
    kind: &'static str,
}

/// What belongs into the head of the page at this address; none where the page is no one's in particular.
pub async fn head(app: &App, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let path = percent_decode_str(uri.path()).decode_utf8().ok()?;
    let mut parts = path.trim_start_matches('/').split('/');
    let card = match (parts.next()?, parts.next()?, parts.next()) {
        ("watch", room, None) => broadcast(app, room).await?,
        ("recording", id, None) => recording(app, id).await?,
        _ => return None,
    };
    Some(card.head(&base(app, uri, headers), uri.path()))
}

async fn broadcast(app: &App, room: &str) -> Option<Card> {
    amphi_policy::name::room(room).ok()?;
    let state = rooms::state_of(app, room).await.ok()?;
    let on_air = state.broadcast.state == rooms::BroadcastState::OnAir;
    Some(Card {
        title: match state.title.is_empty() {
            true => room.to_owned(),
            false => state.title,
        },
        description: match (on_air, state.broadcast.starts) {
            (true, _) => {
                "Live now: watch in the browser, a second or two behind the stage.".to_owned()
            }
            (false, Some(starts)) => announcement(&starts),
            (false, None) => {
                "Nothing is on air right now. The page starts playing when the room goes live."
                    .to_owned()
            }
        },
        kind: "video.other",
    })
}

/// Nobody knows where it is read, so it is said in the one time that is the same everywhere.
fn announcement(starts: &str) -> String {
    let day = starts.get(..10).unwrap_or_default();
    let minute = starts.get(11..16).unwrap_or_default();
    format!("Starts on {day} at {minute} UTC. The page starts playing when the room goes live.")
}

async fn recording(app: &App, id: &str) -> Option<Card> {
    let recording = recordings::for_everybody(app, id).await?;
    let minutes = recording.duration.as_secs().div_ceil(60);
    Some(Card {
        title: match recording.title.is_empty() {
            true => recording.room,
            false => recording.title,
        },
        description: match minutes {
            0 | 1 => "A recording of a minute.".to_owned(),
            minutes => format!("A recording of {minutes} minutes."),
        },
        kind: "video.other",
    })
}

/// Scheme and authority that the page was asked for by, as a proxy in front says or as it came; empty where that is no
/// such thing, and addresses then have only a path.
fn base(app: &App, uri: &Uri, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto") {
        Some(scheme @ ("http" | "https")) => scheme,
        _ if app.config.tls.cert.as_os_str().is_empty() => "http",
        _ => "https",
    };
    let authority = uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| text(header::HOST.as_str()));
    match authority.and_then(|authority| authority.parse::<axum::http::uri::Authority>().ok()) {
        Some(authority) => format!("{scheme}://{authority}"),
        None => String::new(),
    }
}

impl Card {
    fn head(&self, base: &str, path: &str) -> String {
        let title = escaped(&self.title);
        let description = escaped(&self.description);
        let address = escaped(&format!("{base}{path}"));
        let picture = escaped(&format!("{base}{PICTURE}"));
        let kind = self.kind;
        format!(
            "<title>{title} · amphi</title>\n    \
             <meta property=\"og:site_name\" content=\"amphi\">\n    \
             <meta property=\"og:type\" content=\"{kind}\">\n    \
             <meta property=\"og:title\" content=\"{title}\">\n    \
             <meta property=\"og:description\" content=\"{description}\">\n    \
             <meta property=\"og:url\" content=\"{address}\">\n    \
             <meta property=\"og:image\" content=\"{picture}\">\n    \
             <meta property=\"og:image:width\" content=\"1200\">\n    \
             <meta property=\"og:image:height\" content=\"630\">\n    \
             <meta name=\"twitter:card\" content=\"summary_large_image\">"
        )
    }
}

/// Text for HTML, also within quotes. Direction marks would turn what follows them around.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_names_day_and_minute_in_utc() {
        let words = announcement("2026-11-24T19:05:00.000Z");
        assert!(
            words.starts_with("Starts on 2026-11-24 at 19:05 UTC."),
            "{words}"
        );
    }

    #[test]
    fn titles_are_text_whatever_is_in_them() {
        let card = Card {
            title: "\"><script>alert('x')</script>\u{202e}&".to_owned(),
            description: String::new(),
            kind: "video.other",
        };
        let head = card.head("https://a.example", "/watch/x");
        assert!(!head.contains("<script>") && !head.contains('\u{202e}'));
        assert!(head.contains(
            "content=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;\""
        ));
        assert!(head.contains("content=\"https://a.example/watch/x\""));
    }
}
