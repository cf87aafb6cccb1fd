//! `[recording]`: what becomes of what is recorded.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What becomes of recordings that nobody has decided about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recording {
    pub publish: Publish,
    pub keep_for: KeepFor,
    pub tracks: bool,
    pub export: Export,
}

/// Where a copy of every recording goes. Empty texts are none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Export {
    pub folder: PathBuf,
    pub bucket: String,
    pub endpoint: String,
    pub region: String,
    pub prefix: String,
    pub key_id: String,
    pub secret: Hidden,
    pub remove_after_export: bool,
}

impl Default for Export {
    fn default() -> Self {
        Self {
            folder: PathBuf::new(),
            bucket: String::new(),
            endpoint: String::new(),
            region: "us-east-1".into(),
            prefix: String::new(),
            key_id: String::new(),
            secret: Hidden::default(),
            remove_after_export: false,
        }
    }
}

impl Export {
    pub fn is_wanted(&self) -> bool {
        !self.folder.as_os_str().is_empty() || !self.bucket.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |words| Err(ConfigError::Export(words));
        if !self.folder.as_os_str().is_empty() && !self.bucket.is_empty() {
            return refuse("name a folder or a bucket, not both");
        }
        if !self.bucket.is_empty() && (self.key_id.is_empty() || self.secret.0.is_empty()) {
            return refuse(
                "a bucket needs key_id and secret, here or as AMPHI_S3_KEY_ID and AMPHI_S3_SECRET in the environment",
            );
        }
        let is_address = ["http://", "https://"]
            .iter()
            .any(|start| self.endpoint.starts_with(start));
        if !self.endpoint.is_empty() && !is_address {
            return refuse("endpoint begins with https:// or http://");
        }
        if self.remove_after_export && !self.is_wanted() {
            return refuse("remove_after_export needs a folder or a bucket");
        }
        Ok(())
    }
}

/// A secret of somebody else's making. Never shown.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publish {
    /// At once where the door is open.
    #[default]
    Auto,
    Always,
    Never,
}

/// How long a recording is kept: `"30days"`, or `"for ever"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeepFor(pub Option<Duration>);

/// Less is not keeping, and more is for ever.
const KEEP_MIN: Duration = Duration::from_secs(60);
const KEEP_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
const FOR_EVER: &str = "for ever";

impl TryFrom<String> for KeepFor {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == FOR_EVER {
            return Ok(Self(None));
        }
        match humantime::parse_duration(&text) {
            Ok(span) if (KEEP_MIN..=KEEP_MAX).contains(&span) => Ok(Self(Some(span))),
            Ok(_) => Err(format!(
                "`{text}` is not between one minute and a hundred years; to keep it always say \"{FOR_EVER}\""
            )),
            Err(error) => Err(format!(
                "`{text}` is neither \"{FOR_EVER}\" nor a time span such as \"12h\" or \"30days\": {error}"
            )),
        }
    }
}

impl From<KeepFor> for String {
    fn from(keep: KeepFor) -> String {
        match keep.0 {
            Some(span) => humantime::format_duration(span).to_string(),
            None => FOR_EVER.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Overrides};
    use super::*;

    #[test]
    fn an_export_that_cannot_be_is_refused_in_words_and_its_secret_is_not_shown() {
        let load = |text: &str, overrides: &Overrides| {
            let text = format!("[recording.export]\n{text}");
            let mut config = Config::parse(&text, Path::new("x.toml")).expect("it can be read");
            config.apply(overrides).map(|()| config)
        };
        for (text, word) in [
            ("folder = \"/a\"\nbucket = \"b\"", "not both"),
            ("bucket = \"b\"", "AMPHI_S3_SECRET"),
            ("bucket = \"b\"\nkey_id = \"k\"", "AMPHI_S3_SECRET"),
            ("folder = \"/a\"\nendpoint = \"s3.example.org\"", "https://"),
            ("remove_after_export = true", "a folder or a bucket"),
        ] {
            let words = load(text, &Overrides::default())
                .expect_err("refused")
                .to_string();
            assert!(words.contains(word), "{words}");
        }
        let from_environment = Overrides {
            export_key: Some(("k".into(), "hunter2".into())),
            ..Overrides::default()
        };
        let config = load("bucket = \"b\"", &from_environment).expect("a key is there");
        assert_eq!(config.recording.export.secret.0, "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_time_to_keep_is_written_as_it_is_read() {
        for text in ["for ever", "12h", "30days"] {
            let read = KeepFor::try_from(text.to_owned()).expect(text);
            assert_eq!(String::from(read), text);
        }
    }
}
