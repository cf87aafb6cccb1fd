//! A small layer over SDP text (RFC 8866) for what the WebRTC library does not tell or let us set: which m-line was
//! announced as which track, and what an answer says about the tracks that we send.
//!
//! Reading is [`lines`]; the SFU itself rewrites what it answers and offers with `rewrite`. This is not a validator: whether a description makes sense as a whole is decided when it is
//! applied. Everything here is bounded, because the text comes from anybody with a token.

use std::collections::BTreeMap;

use amphi_media::{Codec, MediaKind};
use thiserror::Error;

use crate::Mid;

/// Longest description that is looked at, in bytes. A browser's video line has about 4.5 KB, and a member
/// of a large room has a line for everybody; first offers of LiveKit's clients are 14 to 18 KB.
pub const BYTES_MAX: usize = 480 * 1024;

/// Most m-lines in one description.
pub const LINES_MAX: usize = 128;

/// Most simulcast names kept of one m-line.
const RIDS_MAX: usize = 8;

/// Most codecs kept of one m-line.
const CODECS_MAX: usize = 32;

/// RFC 5888 says nothing about a mid's length; what is kept in every packet's header extension is at most 16 bytes.
const MID_BYTES_MAX: usize = 16;

/// One m-line of a description, from the view of whoever wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub mid: Mid,
    pub kind: LineKind,
    /// A line whose port is 0 is inactive, unless it is `bundle-only` (RFC 9143 §6).
    pub direction: Direction,
    /// `a=msid` (RFC 8830): the stream's id ("-" when there is none) and the track's.
    pub msid: Option<(String, String)>,
    /// The names of the simulcast layers that the writer sends, in its order (RFC 8853, RFC 8851).
    pub rids: Vec<String>,
    /// Mime types of the codecs, most wanted first, each once: "video/H264". Repair formats (RTX, RED, FEC) are left out.
    pub codecs: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LineKind {
    Audio,
    Video,
    /// Data channels (RFC 8841).
    Data,
}

impl LineKind {
    /// None for data.
    pub fn media(self) -> Option<MediaKind> {
        match self {
            LineKind::Audio => Some(MediaKind::Audio),
            LineKind::Video => Some(MediaKind::Video),
            LineKind::Data => None,
        }
    }
}

/// Who sends on an m-line, from the view of whoever wrote the description.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    SendOnly,
    RecvOnly,
    SendRecv,
    Inactive,
}

impl Direction {
    /// The writer sends on this line.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendOnly | Direction::SendRecv)
    }

    /// The writer receives on this line.
    pub fn receives(self) -> bool {
        matches!(self, Direction::RecvOnly | Direction::SendRecv)
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "sendrecv" => Some(Direction::SendRecv),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }
}

/// Why a description was not read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SdpError {
    #[error("the description is {0} bytes; at most {BYTES_MAX} are read")]
    TooLarge(usize),
    #[error("this is not a session description")]
    NotSdp,
    #[error("the description has more than {LINES_MAX} m-lines")]
    TooManyLines,
    #[error("m-line {0} has no usable mid")]
    NoMid(usize),
    #[error("two m-lines are named {0:?}")]
    SameMid(String),
    #[error("m-line {0} is neither audio, video nor data channels")]
    UnknownKind(usize),
    #[error("{0:?} is not a payload type (0 to 127)")]
    PayloadType(String),
}

/// Reads the m-lines of a description, in their order. Does not allocate more than a small multiple of the text.
pub fn lines(sdp: &str) -> Result<Vec<Line>, SdpError> {
    if sdp.len() > BYTES_MAX {
        return Err(SdpError::TooLarge(sdp.len()));
    }
    if !sdp.starts_with("v=0") {
        return Err(SdpError::NotSdp);
    }
    let mut session_direction = Direction::SendRecv;
    let mut sections: Vec<Section<'_>> = Vec::new();
    for text in sdp.lines() {
        let text = text.trim_end();
        let Some((letter, value)) = text.split_once('=') else {
            continue;
        };
        match (letter, sections.last_mut()) {
            ("m", _) => {
                if sections.len() == LINES_MAX {
                    return Err(SdpError::TooManyLines);
                }
                let section = Section::new(value).ok_or(SdpError::UnknownKind(sections.len()))?;
                if section.kind != LineKind::Data {
                    section
                        .formats
                        .iter()
                        .try_for_each(|format| payload_type(format).map(drop))?;
                }
                sections.push(section);
            }
            ("a", Some(section)) => section.attribute(value)?,
            ("a", None) => session_direction = Direction::parse(value).unwrap_or(session_direction),
            _ => {}
        }
    }
    let mut lines: Vec<Line> = Vec::with_capacity(sections.len());
    for (index, section) in sections.into_iter().enumerate() {
        let line = section
            .line(session_direction)
            .ok_or(SdpError::NoMid(index))?;
        // At most LINES_MAX² comparisons of short names.
        if lines.iter().any(|other| other.mid == line.mid) {
            return Err(SdpError::SameMid(line.mid.0));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// What was read of one m-line, borrowed from the text.
struct Section<'a> {
    kind: LineKind,
    port_zero: bool,
    bundle_only: bool,
    formats: Vec<&'a str>,
    /// Payload type and encoding name of each `a=rtpmap`.
    encodings: Vec<(&'a str, &'a str)>,
    mid: Option<&'a str>,
    direction: Option<Direction>,
    msid: Option<(&'a str, &'a str)>,
    rids: Vec<&'a str>,
    simulcast: Vec<&'a str>,
}

impl<'a> Section<'a> {
    /// `value` is what stands after `m=`: "video 9 UDP/TLS/RTP/SAVPF 96 97".
    fn new(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = match words.next()? {
            "audio" => LineKind::Audio,
            "video" => LineKind::Video,
            "application" => LineKind::Data,
            _ => return None,
        };
        let port = words.next()?;
        let _protocol = words.next()?;
        Some(Self {
            kind,
            port_zero: port == "0",
            bundle_only: false,
            formats: words.take(128).collect(),
            encodings: Vec::new(),
            mid: None,
            direction: None,
            msid: None,
            rids: Vec::new(),
            simulcast: Vec::new(),
        })
    }

    fn attribute(&mut self, value: &'a str) -> Result<(), SdpError> {
        let (name, rest) = value.split_once(':').unwrap_or((value, ""));
        match name {
            "mid" => self.mid = Some(rest),
            "bundle-only" => self.bundle_only = true,
            "msid" => self.msid = self.msid.or_else(|| msid(rest)),
            // Plan-B style, still written beside a=msid: "a=ssrc:1 msid:stream track".
            "ssrc" => {
                let attribute = rest
                    .split_once(' ')
                    .and_then(|(_, attribute)| attribute.strip_prefix("msid:"));
                self.msid = self.msid.or_else(|| msid(attribute?));
            }
            "rtpmap" => {
                if let Some((number, encoding)) = rest.split_once(' ') {
                    payload_type(number)?;
                    let name = encoding.split('/').next().unwrap_or(encoding);
                    if self.encodings.len() < 128 {
                        self.encodings.push((number, name));
                    }
                }
            }
            "rid" if self.rids.len() < RIDS_MAX => {
                let mut words = rest.split_ascii_whitespace();
                if let (Some(rid), Some("send")) = (words.next(), words.next()) {
                    self.rids.push(rid);
                }
            }
            "simulcast" => self.simulcast = simulcast_sends(rest),
            _ => self.direction = Direction::parse(value).or(self.direction),
        }
        Ok(())
    }

    fn line(self, session_direction: Direction) -> Option<Line> {
        let mid = self.mid.filter(|mid| {
            (1..=MID_BYTES_MAX).contains(&mid.len())
                && mid.bytes().all(|byte| byte.is_ascii_graphic())
        })?;
        let rejected = self.port_zero && !self.bundle_only;
        let direction = if rejected {
            Direction::Inactive
        } else {
            self.direction.unwrap_or(session_direction)
        };
        let codecs = self.codecs();
        let rids = if self.simulcast.is_empty() {
            &self.rids
        } else {
            &self.simulcast
        };
        Some(Line {
            mid: Mid(mid.to_owned()),
            kind: self.kind,
            direction,
            msid: self
                .msid
                .map(|(stream, track)| (stream.to_owned(), track.to_owned())),
            rids: rids.iter().map(|rid| (*rid).to_owned()).collect(),
            codecs,
        })
    }

    fn codecs(&self) -> Vec<String> {
        let media = match self.kind {
            LineKind::Audio => "audio",
            LineKind::Video => "video",
            LineKind::Data => return Vec::new(),
        };
        let mut codecs: Vec<String> = Vec::new();
        for format in &self.formats {
            let Some((_, name)) = self
                .encodings
                .iter()
                .find(|(payload_type, _)| payload_type == format)
            else {
                continue;
            };
            let known = codecs
                .iter()
                .any(|codec| codec[media.len() + 1..].eq_ignore_ascii_case(name));
            if !known && !is_repair(name) && codecs.len() < CODECS_MAX {
                codecs.push(format!("{media}/{name}"));
            }
        }
        codecs
    }
}

/// RTP has seven bits for it (RFC 3550 §5.1). Larger numbers break the library underneath, so they end here.
fn payload_type(text: &str) -> Result<u8, SdpError> {
    let number = text.parse().ok().filter(|number| *number <= 127);
    number.ok_or_else(|| SdpError::PayloadType(text.chars().take(16).collect()))
}

/// "stream track"; a missing track id means that the stream's name stands for both (RFC 8830 §2).
fn msid(text: &str) -> Option<(&str, &str)> {
    let mut words = text.split_ascii_whitespace();
    let stream = words.next()?;
    Some((stream, words.next().unwrap_or(stream)))
}

/// "send q;h,x;~f recv a": the first alternative of each sent layer, paused or not (RFC 8853 §5.1).
fn simulcast_sends(text: &str) -> Vec<&str> {
    let mut words = text.split_ascii_whitespace();
    while let (Some(direction), Some(layers)) = (words.next(), words.next()) {
        if direction == "send" {
            let first = |layer: &'_ str| -> usize { layer.find(',').unwrap_or(layer.len()) };
            return layers
                .split(';')
                .map(|layer| layer[..first(layer)].trim_start_matches('~'))
                .filter(|layer| !layer.is_empty())
                .take(RIDS_MAX)
                .collect();
        }
    }
    Vec::new()
}

fn is_repair(encoding: &str) -> bool {
    ["rtx", "red", "ulpfec", "flexfec-03", "flexfec"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(encoding))
}

/// What one of our descriptions shall say about an m-line, whatever the library wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// We send this track.
    Sends {
        stream_label: String,
        track_label: String,
    },
    /// We receive; these are the payload types as the other side ordered them, which says what it would rather send.
    Receives {
        formats: Vec<String>,
    },
    Inactive,
}

/// Writes directions and track names into a description that the library made. Lines that `roles` does not name (data
/// channels) stay as they are. The library gives the lines it answers random names and cannot set them, and LiveKit's
/// clients take every name that stands there for a track.
pub(crate) fn rewrite(sdp: &str, roles: &BTreeMap<Mid, Role>) -> String {
    let mut out = String::with_capacity(sdp.len() + 64 * roles.len());
    let mut section: Vec<&str> = Vec::new();
    for text in sdp.lines() {
        if text.starts_with("m=") {
            write_section(&mut out, &section, roles);
            section.clear();
        }
        section.push(text);
    }
    write_section(&mut out, &section, roles);
    out
}

/// The payload types of each m-line in the order in which they stand there.
pub(crate) fn formats(sdp: &str) -> BTreeMap<Mid, Vec<String>> {
    let mut all = BTreeMap::new();
    let mut current: Vec<String> = Vec::new();
    for text in sdp.lines() {
        if let Some(line) = text.strip_prefix("m=") {
            current = line
                .split_ascii_whitespace()
                .skip(3)
                .map(str::to_owned)
                .collect();
        } else if let Some(mid) = text.strip_prefix("a=mid:") {
            all.insert(Mid(mid.trim_end().to_owned()), std::mem::take(&mut current));
        }
    }
    all
}

/// The payload types of one m-line with those of `codec` in front: packetization mode 1 of H.264 before mode 0, because
/// only it may cut a picture into packets of any size (RFC 6184 §5.4).
pub(crate) fn preferring(sdp: &str, mid: &Mid, formats: Vec<String>, codec: Codec) -> Vec<String> {
    let mut section = false;
    let mut rank: BTreeMap<String, u8> = BTreeMap::new();
    let mut whole: Vec<&str> = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    for text in sdp.lines().map(str::trim_end).chain(["m="]) {
        if text.starts_with("m=") {
            if section {
                whole = std::mem::take(&mut texts);
            }
            (section, texts) = (false, Vec::new());
        }
        section |= text.strip_prefix("a=mid:") == Some(mid.0.as_str());
        texts.push(text);
    }
    for text in &whole {
        let Some((format, encoding)) = text
            .strip_prefix("a=rtpmap:")
            .and_then(|map| map.split_once(' '))
        else {
            continue;
        };
        let name = encoding.split('/').next().unwrap_or("");
        if name.eq_ignore_ascii_case(codec.name()) {
            rank.insert(format.to_owned(), 1);
        }
    }
    for text in &whole {
        let Some((format, parameters)) = text
            .strip_prefix("a=fmtp:")
            .and_then(|map| map.split_once(' '))
        else {
            continue;
        };
        if let Some(rank) = rank.get_mut(format)
            && parameters.contains("packetization-mode=1")
        {
            *rank = 0;
        }
    }
    let mut formats = formats;
    formats.sort_by_key(|format| rank.get(format).copied().unwrap_or(2));
    formats
}

/// `section` is the session's part or one m-line with its attributes.
fn write_section(out: &mut String, section: &[&str], roles: &BTreeMap<Mid, Role>) {
    let mid = section.iter().find_map(|text| text.strip_prefix("a=mid:"));
    let role = mid.and_then(|mid| roles.get(&Mid(mid.trim_end().to_owned())));
    for text in section {
        match role {
            Some(role) => write_line(out, text, role),
            None if text.starts_with("a=msid-semantic") => push_line(out, "a=msid-semantic: WMS *"),
            None => push_line(out, text),
        }
    }
}

fn write_line(out: &mut String, text: &str, role: &Role) {
    let attribute = text.strip_prefix("a=").unwrap_or("");
    if Direction::parse(attribute).is_some() {
        match role {
            Role::Sends {
                stream_label,
                track_label,
            } => {
                push_line(out, "a=sendonly");
                push_line(out, &format!("a=msid:{stream_label} {track_label}"));
            }
            Role::Receives { .. } => push_line(out, "a=recvonly"),
            Role::Inactive => push_line(out, "a=inactive"),
        }
        return;
    }
    if attribute.starts_with("msid:") {
        return;
    }
    if attribute.starts_with("ssrc:") || attribute.starts_with("ssrc-group:") {
        match (role, text.split_once(" msid:")) {
            (
                Role::Sends {
                    stream_label,
                    track_label,
                },
                Some((ssrc, _)),
            ) => push_line(out, &format!("{ssrc} msid:{stream_label} {track_label}")),
            // A line that sleeps keeps its SSRCs. Measured in Chromium: without them it drops the receiver's stream,
            // and what comes on the line later with the same SSRC is decoded and never shown.
            (Role::Sends { .. } | Role::Inactive, None) => push_line(out, text),
            (Role::Inactive, Some(_)) | (Role::Receives { .. }, _) => {}
        }
        return;
    }
    match role {
        Role::Receives { formats } if text.starts_with("m=") => {
            push_line(out, &reorder(text, formats))
        }
        Role::Sends { .. } | Role::Receives { .. } | Role::Inactive => push_line(out, text),
    }
}

/// The m-line with its payload types in the order of `formats`; those that do not stand there go last. A sender takes
/// the first codec of the answer, so the order of the answer decides what it sends.
fn reorder(line: &str, formats: &[String]) -> String {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (head, tail) = words.split_at(words.len().min(3));
    let mut tail = tail.to_vec();
    tail.sort_by_key(|format| {
        formats
            .iter()
            .position(|other| other == format)
            .unwrap_or(usize::MAX)
    });
    [head, &tail].concat().join(" ")
}

fn push_line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n";

    fn one(section: &str) -> Line {
        lines(&format!("{HEAD}{section}"))
            .expect("it is a description")
            .remove(0)
    }

    #[test]
    fn the_announced_codec_goes_first_and_the_rest_keeps_its_order() {
        let sdp = format!(
            "{HEAD}m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 108 35\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 packetization-mode=0\r\na=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1\r\na=rtpmap:35 AV1/90000\r\nm=video 9 UDP/TLS/RTP/SAVPF 103\r\na=mid:2\r\na=rtpmap:103 VP8/90000\r\n"
        );
        let formats = |mid: &str| {
            super::formats(&sdp)
                .remove(&Mid(mid.to_owned()))
                .expect("a line")
        };
        let order = |codec| preferring(&sdp, &Mid("1".to_owned()), formats("1"), codec);
        assert_eq!(order(Codec::H264), ["108", "103", "96", "97", "35"]);
        assert_eq!(order(Codec::Vp8), ["96", "97", "103", "108", "35"]);
        assert_eq!(order(Codec::Vp9), ["96", "97", "103", "108", "35"]);
    }

    #[test]
    fn a_simulcast_line_tells_its_track_layers_and_codecs() {
        let line = one(
            "m=video 9 UDP/TLS/RTP/SAVPF 103 104 96 97 109\r\nc=IN IP4 0.0.0.0\r\na=mid:7\r\na=sendonly\r\n\
             a=msid:stream-1 camera-1\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:103 H264/90000\r\n\
             a=rtpmap:104 rtx/90000\r\na=rtpmap:109 h264/90000\r\na=rid:q send\r\na=rid:h send\r\na=rid:f send\r\n\
             a=simulcast:send q;~h;f,x\r\n",
        );
        assert_eq!(
            line,
            Line {
                mid: Mid("7".to_owned()),
                kind: LineKind::Video,
                direction: Direction::SendOnly,
                msid: Some(("stream-1".to_owned(), "camera-1".to_owned())),
                rids: ["q", "h", "f"].map(str::to_owned).to_vec(),
                codecs: ["video/H264", "video/VP8"].map(str::to_owned).to_vec(),
            }
        );
    }

    #[test]
    fn receive_lines_and_data_have_no_track() {
        let sdp = format!(
            "{HEAD}m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:0\na=recvonly\na=rtpmap:111 opus/48000/2\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:d\na=sctp-port:5000\n"
        );
        let lines = lines(&sdp).expect("it is a description");
        assert_eq!(lines[0].direction, Direction::RecvOnly);
        assert_eq!(lines[0].msid, None);
        assert_eq!(lines[0].codecs, ["audio/opus"]);
        assert_eq!(lines[1].kind, LineKind::Data);
        assert_eq!(lines[1].direction, Direction::SendRecv);
    }

    #[test]
    fn a_track_named_only_by_its_ssrc_is_found() {
        let line = one(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ssrc:5 cname:x\r\na=ssrc:5 msid:s t\r\n",
        );
        assert_eq!(line.msid, Some(("s".to_owned(), "t".to_owned())));
    }

    #[test]
    fn port_zero_is_inactive_unless_it_is_bundled() {
        assert_eq!(
            one("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\n").direction,
            Direction::Inactive
        );
        let bundled =
            one("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=bundle-only\r\na=sendonly\r\n");
        assert_eq!(bundled.direction, Direction::SendOnly);
    }

    #[test]
    fn a_session_wide_direction_holds_where_a_line_has_none() {
        let sdp = format!("{HEAD}a=inactive\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n");
        assert_eq!(
            lines(&sdp).expect("it is a description")[0].direction,
            Direction::Inactive
        );
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        assert_eq!(lines(""), Err(SdpError::NotSdp));
        assert_eq!(lines("{\"sdp\":1}"), Err(SdpError::NotSdp));
        assert_eq!(
            lines(&"v=0\n".repeat(BYTES_MAX / 4 + 1)),
            Err(SdpError::TooLarge(BYTES_MAX + 4))
        );
        assert_eq!(
            lines(&format!("{HEAD}m=audio 9 X 1\r\n")),
            Err(SdpError::NoMid(0))
        );
        assert_eq!(
            lines(&format!("{HEAD}m=audio 9 X 1\r\na=mid:a b\r\n")),
            Err(SdpError::NoMid(0))
        );
        assert_eq!(
            lines(&format!("{HEAD}m=text 9 X 1\r\na=mid:0\r\n")),
            Err(SdpError::UnknownKind(0))
        );
        assert_eq!(
            lines(&format!("{HEAD}m=\r\n")),
            Err(SdpError::UnknownKind(0))
        );
        for bad in [
            "m=video 9 X 200\r\na=mid:0\r\n",
            "m=video 9 X 96\r\na=mid:0\r\na=rtpmap:128 VP8/90000\r\n",
        ] {
            assert!(
                matches!(
                    lines(&format!("{HEAD}{bad}")),
                    Err(SdpError::PayloadType(_))
                ),
                "{bad}"
            );
        }
        let twice = format!("{HEAD}m=audio 9 X 1\r\na=mid:0\r\nm=audio 9 X 1\r\na=mid:0\r\n");
        assert_eq!(lines(&twice), Err(SdpError::SameMid("0".to_owned())));
        let many = format!("{HEAD}{}", "m=audio 9 X 1\r\n".repeat(LINES_MAX + 1));
        assert_eq!(lines(&many), Err(SdpError::TooManyLines));
    }

    const ANSWER: &str = "v=0\r\na=msid-semantic: WMS x y\r\nm=video 9 UDP/TLS/RTP/SAVPF 103 104 96 97\r\na=mid:7\r\n\
        a=sendrecv\r\na=msid:x y\r\na=rtcp-mux\r\na=ssrc:5 cname:c\r\na=ssrc:5 msid:x y\r\na=ssrc-group:FID 5 6\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\na=sctp-port:5000\r\n";

    fn rewritten(role: Role) -> String {
        rewrite(ANSWER, &BTreeMap::from([(Mid("7".to_owned()), role)]))
    }

    #[test]
    fn a_sending_line_carries_the_names_of_its_track() {
        let text = rewritten(Role::Sends {
            stream_label: "PA_a|TR_b".to_owned(),
            track_label: "TR_b".to_owned(),
        });
        assert!(text.contains("a=sendonly\r\na=msid:PA_a|TR_b TR_b\r\n"));
        assert!(text.contains("a=ssrc:5 msid:PA_a|TR_b TR_b\r\n"));
        assert!(text.contains("a=ssrc:5 cname:c\r\na=ssrc:5"));
        assert!(text.contains("a=ssrc-group:FID 5 6"));
        assert!(!text.contains("x y"));
        assert!(
            text.ends_with("a=mid:d\r\na=sctp-port:5000\r\n"),
            "data channels stay as they are"
        );
    }

    #[test]
    fn a_receiving_line_keeps_the_order_of_the_offer_and_names_no_track() {
        let formats = ["96", "97", "35", "103", "104"].map(str::to_owned).to_vec();
        let text = rewritten(Role::Receives { formats });
        assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104\r\n"));
        assert!(text.contains("a=recvonly"));
        assert!(!text.contains("msid:") && !text.contains("ssrc"));
    }

    #[test]
    fn an_inactive_line_names_no_track_and_keeps_its_ssrcs() {
        let text = rewritten(Role::Inactive);
        assert!(text.contains("a=inactive\r\na=rtcp-mux"));
        assert!(!text.contains("msid:") && !text.contains("sendrecv"));
        assert!(text.contains("a=ssrc:5 cname:c\r\na=ssrc-group:FID 5 6\r\n"));
    }
}
