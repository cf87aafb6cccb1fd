//! Descriptions as browsers and the Rust SDK write them, made from a list of lines.

use livekit_protocol::TrackType;

const HEAD: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const FINGERPRINT: &str = "D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F";

/// One m-line of a client.
#[derive(Clone)]
pub struct Line {
    pub mid: String,
    /// None for data channels.
    kind: Option<TrackType>,
    direction: &'static str,
    /// The track's id, for a line that sends.
    cid: Option<String>,
    rids: Vec<&'static str>,
}

impl Line {
    pub fn receiving(mid: &str, kind: TrackType) -> Self {
        Self {
            mid: mid.into(),
            kind: Some(kind),
            direction: "recvonly",
            cid: None,
            rids: Vec::new(),
        }
    }

    pub fn sending(mid: &str, kind: TrackType, cid: &str) -> Self {
        Self {
            mid: mid.into(),
            kind: Some(kind),
            direction: "sendonly",
            cid: Some(cid.into()),
            rids: Vec::new(),
        }
    }

    pub fn inactive(mid: &str, kind: TrackType) -> Self {
        Self {
            mid: mid.into(),
            kind: Some(kind),
            direction: "inactive",
            cid: None,
            rids: Vec::new(),
        }
    }

    pub fn channels(mid: &str) -> Self {
        Self {
            mid: mid.into(),
            kind: None,
            direction: "sendrecv",
            cid: None,
            rids: Vec::new(),
        }
    }

    pub fn simulcast(mut self) -> Self {
        self.rids = vec!["q", "h", "f"];
        self
    }
}

/// What both SDKs put into their first offer: three lines of each kind to receive on, and the data channels.
pub fn usual_lines() -> Vec<Line> {
    lines_to_receive(3, 3)
}

pub fn lines_to_receive(audio: usize, video: usize) -> Vec<Line> {
    let mut lines = vec![Line::channels("d")];
    lines.extend((0..audio).map(|number| Line::receiving(&format!("a{number}"), TrackType::Audio)));
    lines.extend((0..video).map(|number| Line::receiving(&format!("v{number}"), TrackType::Video)));
    lines
}

pub fn offer(lines: &[Line]) -> String {
    describe(lines, "actpass")
}

/// Accepts every line of our offer, receiving.
pub fn answer(offer: &str) -> String {
    let lines = amphi_sfu::sdp::lines(offer).expect("our own offer");
    let lines: Vec<Line> = lines
        .iter()
        .map(|line| match (line.kind.media(), line.direction.sends()) {
            (None, _) => Line::channels(&line.mid.0),
            (Some(amphi_media::MediaKind::Audio), true) => {
                Line::receiving(&line.mid.0, TrackType::Audio)
            }
            (Some(amphi_media::MediaKind::Video), true) => {
                Line::receiving(&line.mid.0, TrackType::Video)
            }
            (Some(amphi_media::MediaKind::Audio), false) => {
                Line::inactive(&line.mid.0, TrackType::Audio)
            }
            (Some(amphi_media::MediaKind::Video), false) => {
                Line::inactive(&line.mid.0, TrackType::Video)
            }
        })
        .collect();
    describe(&lines, "active")
}

fn describe(lines: &[Line], setup: &str) -> String {
    let mids: Vec<&str> = lines.iter().map(|line| line.mid.as_str()).collect();
    let mut text = format!(
        "{HEAD}a=group:BUNDLE {}\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n",
        mids.join(" ")
    );
    for line in lines {
        text += &section(line, setup);
    }
    text
}

fn section(line: &Line, setup: &str) -> String {
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:0123\r\na=ice-pwd:0123456789012345678901\r\na=ice-options:trickle\r\n\
         a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:{setup}\r\na=mid:{}\r\n",
        line.mid
    );
    let media = format!("a={}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n", line.direction);
    let extensions = "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
                      a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
                      a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
    let mut text = match line.kind {
        None => format!(
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=sctp-port:5000\r\na=max-message-size:262144\r\n"
        ),
        Some(TrackType::Audio) => format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\n{transport}{extensions}{media}a=rtpmap:111 opus/48000/2\r\n\
             a=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n"
        ),
        Some(TrackType::Video | TrackType::Data) => format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104\r\n{transport}{extensions}\
             a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
             a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n{media}\
             a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
             a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:103 H264/90000\r\na=rtcp-fb:103 transport-cc\r\n\
             a=rtcp-fb:103 nack\r\na=rtcp-fb:103 nack pli\r\n\
             a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
             a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\n"
        ),
    };
    if let Some(cid) = &line.cid {
        text += &format!("a=msid:stream-of-{cid} {cid}\r\n");
    }
    for rid in &line.rids {
        text += &format!("a=rid:{rid} send\r\n");
    }
    if !line.rids.is_empty() {
        text += &format!("a=simulcast:send {}\r\n", line.rids.join(";"));
    }
    text
}
