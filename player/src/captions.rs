//! Captions: WebVTT (W3C), as far as HLS asks for it (RFC 8216bis §3.1.4).

use std::collections::BTreeSet;

/// Cues of one file that are read; the rest is an error.
const CUES_MAX: usize = 1_024;

/// A piece of text and when it is shown, in microseconds of the media's clock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Cue {
    pub from_us: i64,
    pub until_us: i64,
    pub text: String,
}

/// Whether an address is one of captions.
pub(crate) fn is_text(uri: &str) -> bool {
    crate::uri::plain(uri).ends_with(".vtt")
}

/// The cues of a file.
pub(crate) fn read(file: &[u8]) -> Result<BTreeSet<Cue>, String> {
    let file = std::str::from_utf8(file).map_err(|_| "it is not UTF-8")?;
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let file = file.replace("\r\n", "\n");
    let mut blocks = file.split("\n\n");
    let mut header = blocks.next().unwrap_or("").lines();
    let signature = header.next().unwrap_or("");
    let rest = signature
        .strip_prefix("WEBVTT")
        .ok_or("it does not begin with WEBVTT")?;
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return Err("it does not begin with WEBVTT".into());
    }
    let map = header.find_map(|line| line.strip_prefix("X-TIMESTAMP-MAP="));
    let ahead_us = mapped(map.ok_or("it has no X-TIMESTAMP-MAP")?)?;
    let mut cues = BTreeSet::new();
    for block in blocks.map(str::trim).filter(|block| !block.is_empty()) {
        if ["NOTE", "STYLE", "REGION"]
            .iter()
            .any(|word| block.starts_with(word))
        {
            continue;
        }
        let mut lines = block.lines();
        let times = lines
            .find(|line| line.contains("-->"))
            .ok_or("a cue has no times")?;
        let (from, rest) = times.split_once("-->").ok_or("a cue has no times")?;
        let until = rest.split_whitespace().next().unwrap_or("");
        let [from_us, until_us] = [from, until].map(|time| clock_us(time.trim()));
        let (from_us, until_us) = (from_us? + ahead_us, until_us? + ahead_us);
        if until_us <= from_us {
            return Err(format!("a cue ends before it begins: {times}"));
        }
        let text: Vec<&str> = lines.collect();
        let new = cues.insert(Cue {
            from_us,
            until_us,
            text: text.join("\n"),
        });
        if !new || cues.len() > CUES_MAX {
            return Err(format!(
                "a cue stands twice, or there are too many: {times}"
            ));
        }
    }
    Ok(cues)
}

/// How far the media's clock is ahead of the local one.
fn mapped(map: &str) -> Result<i64, String> {
    let value = |name: &str| {
        let found = map.split(',').find_map(|one| one.trim().strip_prefix(name));
        found.ok_or_else(|| format!("X-TIMESTAMP-MAP has no {name}"))
    };
    let ticks: i64 = value("MPEGTS:")?
        .parse()
        .map_err(|_| "X-TIMESTAMP-MAP has no number of ticks")?;
    // 90,000 ticks a second, of 33 bits.
    if !(0..1 << 33).contains(&ticks) {
        return Err(format!("{ticks} is no time of MPEG-2"));
    }
    Ok(ticks * 100 / 9 - clock_us(value("LOCAL:")?)?)
}

/// `hh:mm:ss.ttt` or `mm:ss.ttt`.
fn clock_us(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no time");
    let (whole, thousandths) = text.split_once('.').ok_or_else(wrong)?;
    let digits = |text: &str| {
        let plain =
            !text.is_empty() && text.len() < 6 && text.bytes().all(|one| one.is_ascii_digit());
        plain.then(|| text.parse::<i64>().ok()).flatten()
    };
    let thousandths = digits(thousandths)
        .filter(|_| thousandths.len() == 3)
        .ok_or_else(wrong)?;
    let mut seconds = 0;
    let mut fields = 0;
    for field in whole.split(':') {
        seconds = seconds * 60 + digits(field).ok_or_else(wrong)?;
        fields += 1;
    }
    if !(2..=3).contains(&fields) {
        return Err(wrong());
    }
    Ok((seconds * 1_000 + thousandths) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:90000,LOCAL:00:00:00.500\n";

    #[test]
    fn times_are_those_of_the_media() {
        let file =
            format!("{HEAD}\nNOTE nothing\n\n1\n00:01.000 --> 01:00:00.250 line:0\nA\nB\n\n");
        let cues = read(file.as_bytes()).expect("cues");
        let cue = Cue {
            from_us: 1_500_000,
            until_us: 3_600_750_000,
            text: "A\nB".into(),
        };
        assert_eq!(cues.into_iter().collect::<Vec<_>>(), [cue]);
        assert!(read(HEAD.as_bytes()).expect("none").is_empty());
    }

    #[test]
    fn what_is_no_webvtt_of_hls_is_refused() {
        for file in [
            "",
            "WEBVTTX\n",
            "WEBVTT\n\n00:01.000 --> 00:02.000\nA\n",
            "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000\n",
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:8589934592,LOCAL:00:00:00.000\n",
        ] {
            assert!(read(file.as_bytes()).is_err(), "{file:?}");
        }
        for cue in [
            "00:02.000 --> 00:01.000\nA",
            "00:01.00 --> 00:02.000\nA",
            "1.000 --> 2.000\nA",
            "-0:01.000 --> 00:02.000\nA",
            "A",
            "00:01.000 --> 00:02.000\nA\n\n00:01.000 --> 00:02.000\nA",
        ] {
            assert!(
                read(format!("{HEAD}\n{cue}\n").as_bytes()).is_err(),
                "{cue:?}"
            );
        }
        assert!(read(b"WEBVTT\n\xff").is_err());
    }
}
