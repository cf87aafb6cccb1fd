//! LiveKit's access tokens: JWT (RFC 7519) signed with HS256 (RFC 7518 §3.2).
//!
//! The algorithm is fixed: whatever a token's header says, only HS256 with one of our keys verifies. No clock here:
//! the caller says what time it is.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::name;

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far another machine's clock may be off.
const LEEWAY_S: u64 = 10;

/// API keys by name, with their secrets.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, String>);

impl Keys {
    pub fn new(keys: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(keys.into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// One of the keys, to sign with.
    pub fn first(&self) -> Option<(&str, &str)> {
        self.0
            .iter()
            .next()
            .map(|(key, secret)| (key.as_str(), secret.as_str()))
    }
}

impl std::fmt::Debug for Keys {
    /// The secrets are kept out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// The `video` claim (LiveKit's VideoGrant, and amphi's own `roomBroadcast`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrant {
    #[serde(skip_serializing_if = "is_false")]
    pub room_join: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_record: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub room_broadcast: bool,
    /// A program that serves the room: it may say in captions what others say.
    #[serde(skip_serializing_if = "is_false")]
    pub agent: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The API key that signed it.
    #[serde(default)]
    pub iss: String,
    /// Whose token it is: the identity.
    #[serde(default)]
    pub sub: String,
    /// Seconds since 1970; a token without an end is refused.
    pub exp: u64,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoGrant>,
}

/// Why a token was refused. The text is for the person who made the token; it never repeats the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    #[error("no token was given")]
    Missing,
    #[error("the token is not a JWT of three parts, or is too long")]
    Malformed,
    #[error("the token's algorithm is not HS256")]
    Algorithm,
    #[error("the token's issuer is not a key of this server")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet (nbf)")]
    NotYet,
    #[error("the token has no video grant")]
    NoVideoGrant,
    #[error("the token's subject (identity) is missing, too long or holds control characters")]
    Identity,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Verifies a token at `now_s` (seconds since 1970): form, algorithm, key, signature, times, identity, a video grant.
pub fn verify(token: &str, keys: &Keys, now_s: u64) -> Result<Claims, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = part(header)?;
    if header.alg != "HS256" {
        return Err(TokenError::Algorithm);
    }
    let claims: Claims = part(payload)?;
    let secret = keys.0.get(&claims.iss).ok_or(TokenError::UnknownKey)?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| TokenError::Malformed)?;
    mac(secret, signed)
        .verify_slice(&signature)
        .map_err(|_| TokenError::Signature)?;
    if now_s > claims.exp.saturating_add(LEEWAY_S) {
        return Err(TokenError::Expired);
    }
    if claims
        .nbf
        .is_some_and(|nbf| now_s.saturating_add(LEEWAY_S) < nbf)
    {
        return Err(TokenError::NotYet);
    }
    if claims.video.is_none() {
        return Err(TokenError::NoVideoGrant);
    }
    // A token for the API alone (create, list, administer) may be nobody's; only who joins needs an identity.
    let joins = claims.video.as_ref().is_some_and(|video| video.room_join);
    let nameless = claims.sub.is_empty() && !joins;
    if !nameless && name::identity(&claims.sub).is_err() {
        return Err(TokenError::Identity);
    }
    Ok(claims)
}

/// Signs `claims` as `key`; the issuer is set to it.
pub fn sign(claims: &Claims, key: &str, secret: &str) -> String {
    let claims = Claims {
        iss: key.to_owned(),
        ..claims.clone()
    };
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let payload =
        serde_json::to_vec(&claims).expect("claims are plain text, numbers and maps of text");
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = mac(secret, &signed).finalize().into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

pub(crate) fn mac(secret: &str, signed: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn keys() -> Keys {
        Keys::new([("devkey".to_owned(), "secret".to_owned())])
    }

    fn claims() -> Claims {
        Claims {
            sub: "ada".into(),
            exp: NOW + 60,
            video: Some(VideoGrant {
                room_join: true,
                room: Some("hall".into()),
                ..VideoGrant::default()
            }),
            ..Claims::default()
        }
    }

    #[test]
    fn a_signed_token_verifies_and_says_the_same() {
        let token = sign(&claims(), "devkey", "secret");
        let read = verify(&token, &keys(), NOW).expect("our own token");
        assert_eq!(
            read,
            Claims {
                iss: "devkey".into(),
                ..claims()
            }
        );
    }

    #[test]
    fn every_wrong_token_is_refused_for_its_own_reason() {
        let good = sign(&claims(), "devkey", "secret");
        let none_header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let payload = good.split('.').nth(1).expect("three parts");
        let check =
            |token: &str, reason| assert_eq!(verify(token, &keys(), NOW), Err(reason), "{token}");
        check("", TokenError::Missing);
        check("abc", TokenError::Malformed);
        check("a.b.c", TokenError::Malformed);
        check(&"a".repeat(TOKEN_BYTES_MAX + 1), TokenError::Malformed);
        check(&format!("{none_header}.{payload}."), TokenError::Algorithm);
        check(&sign(&claims(), "devkey", "wrong"), TokenError::Signature);
        check(
            &sign(&claims(), "otherkey", "secret"),
            TokenError::UnknownKey,
        );
        check(
            &sign(
                &Claims {
                    exp: NOW - 60,
                    ..claims()
                },
                "devkey",
                "secret",
            ),
            TokenError::Expired,
        );
        check(
            &sign(
                &Claims {
                    nbf: Some(NOW + 60),
                    ..claims()
                },
                "devkey",
                "secret",
            ),
            TokenError::NotYet,
        );
        check(
            &sign(
                &Claims {
                    video: None,
                    ..claims()
                },
                "devkey",
                "secret",
            ),
            TokenError::NoVideoGrant,
        );
        check(
            &sign(
                &Claims {
                    sub: String::new(),
                    ..claims()
                },
                "devkey",
                "secret",
            ),
            TokenError::Identity,
        );
        check(
            &sign(
                &Claims {
                    sub: "a\u{1}".into(),
                    ..claims()
                },
                "devkey",
                "secret",
            ),
            TokenError::Identity,
        );
    }

    #[test]
    fn a_token_as_another_library_writes_it_is_read() {
        // Padding-free, with claims we do not know and video grants in LiveKit's spelling.
        let json = format!(
            r#"{{"iss":"devkey","sub":"ada","exp":{},"jti":"x","kind":"standard","sip":{{}},"video":{{"roomJoin":true,"room":"hall","canPublishSources":["camera"],"agent":false}}}}"#,
            NOW + 60
        );
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256","kid":"1"}"#),
            URL_SAFE_NO_PAD.encode(json)
        );
        let token = format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(mac("secret", &signed).finalize().into_bytes())
        );
        let claims = verify(&token, &keys(), NOW).expect("a token of another maker");
        assert_eq!(
            claims.video.expect("a grant").can_publish_sources,
            ["camera"]
        );
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", keys()), r#"["devkey"]"#);
    }
}
