//! `[broadcast]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::within;

/// How broadcasts are served.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broadcast {
    pub dvr: Rewind,
    #[serde(deserialize_with = "within::<DVR_BYTES_LEAST, DVR_BYTES_MOST, _, _>")]
    pub dvr_bytes_max: u64,
    pub thumbnails: Thumbnails,
    /// The simulcast layers of who is on air are the ladder of a program that is cut.
    pub layers: bool,
    /// The sound in Opus, beside AAC.
    pub opus: bool,
}

const DVR_BYTES_LEAST: u64 = 16 << 20;
const DVR_BYTES_MOST: u64 = 1 << 50;

impl Default for Broadcast {
    fn default() -> Self {
        Self {
            dvr: Rewind(Some(Duration::from_secs(2 * 3_600))),
            dvr_bytes_max: 6 << 30,
            thumbnails: Thumbnails(Some(Duration::from_secs(10))),
            layers: true,
            opus: false,
        }
    }
}

/// How far one may go back in a broadcast: `"2h"`, or `"0s"`, which is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rewind(pub Option<Duration>);

impl TryFrom<String> for Rewind {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let span = humantime::parse_duration(&text).map_err(|error| {
            format!("`{text}` is not a time span such as \"2h\", or \"0s\" for none: {error}")
        })?;
        match span.as_secs() {
            0 => Ok(Self(None)),
            30..=86_400 => Ok(Self(Some(span))),
            _ => Err(format!(
                "{text} is not between 30s and 1day; \"0s\" is not to go back at all"
            )),
        }
    }
}

impl From<Rewind> for String {
    fn from(rewind: Rewind) -> String {
        humantime::format_duration(rewind.0.unwrap_or_default()).to_string()
    }
}

/// How often a thumbnail of a broadcast is made: `"10s"`, or `"off"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbnails(pub Option<Duration>);

impl TryFrom<String> for Thumbnails {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let span = humantime::parse_duration(&text).map_err(|error| {
            format!("`{text}` is not a time span such as \"10s\", or \"off\" for none: {error}")
        })?;
        match (span.as_secs(), span.subsec_nanos()) {
            (5..=600, 0) => Ok(Self(Some(span))),
            _ => Err(format!(
                "{text} is not whole seconds from 5s to 10m; \"off\" is not to make any"
            )),
        }
    }
}

impl From<Thumbnails> for String {
    fn from(thumbnails: Thumbnails) -> String {
        match thumbnails.0 {
            Some(every) => humantime::format_duration(every).to_string(),
            None => "off".to_owned(),
        }
    }
}
