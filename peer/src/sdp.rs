//! Reading the little of SDP that the WebRTC library keeps to itself: which line carries whose track (RFC 8830).

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }
}

/// One m-line, as its writer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub mid: String,
    pub direction: Direction,
    /// Stream label and track label of `a=msid`.
    pub msid: Option<(String, String)>,
    /// Port 0: refused or stopped.
    pub rejected: bool,
}

/// All m-lines in order. Lines that are not understood are passed over.
pub fn lines(sdp: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for text in sdp.lines().map(str::trim_end) {
        if let Some(rest) = text.strip_prefix("m=") {
            let rejected = rest.split(' ').nth(1) == Some("0");
            lines.push(Line {
                mid: String::new(),
                direction: Direction::SendRecv,
                msid: None,
                rejected,
            });
            continue;
        }
        let Some(line) = lines.last_mut() else {
            continue;
        };
        match text {
            "a=sendrecv" => line.direction = Direction::SendRecv,
            "a=sendonly" => line.direction = Direction::SendOnly,
            "a=recvonly" => line.direction = Direction::RecvOnly,
            "a=inactive" => line.direction = Direction::Inactive,
            _ => {
                if let Some(mid) = text.strip_prefix("a=mid:") {
                    line.mid = mid.to_owned();
                } else if let Some(msid) = text.strip_prefix("a=msid:") {
                    line.msid = msid
                        .split_once(' ')
                        .map(|(stream, track)| (stream.to_owned(), track.to_owned()));
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_mid_direction_and_labels() {
        let sdp = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\n\
                   a=msid:PA_a|TR_b TR_b\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\na=mid:1\r\n";
        let labels = Some(("PA_a|TR_b".to_owned(), "TR_b".to_owned()));
        assert_eq!(
            lines(sdp),
            [
                Line {
                    mid: "0".into(),
                    direction: Direction::SendOnly,
                    msid: labels,
                    rejected: false
                },
                Line {
                    mid: "1".into(),
                    direction: Direction::Inactive,
                    msid: None,
                    rejected: true
                },
            ]
        );
        assert_eq!(lines("nonsense"), []);
    }
}
