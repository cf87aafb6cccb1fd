//! Access tokens (JWT, HS256) as LiveKit's server SDKs write them, and as an attacker would.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// The key that `amphi serve --dev` takes.
pub const DEV_KEY: &str = "devkey";
/// Its secret.
pub const DEV_SECRET: &str = "secret";

/// A token before it is signed. Header and claims are free to be changed, also into what must be refused.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    pub header: Value,
    pub claims: Value,
    pub secret: String,
}

impl Token {
    /// A token of the development key that may do in `room` what a member usually may, valid for six hours.
    /// `now_s` is unix time in seconds.
    pub fn dev(room: &str, identity: &str, now_s: u64) -> Self {
        Self {
            header: json!({ "alg": "HS256", "typ": "JWT" }),
            claims: json!({
                "iss": DEV_KEY,
                "sub": identity,
                "name": identity,
                "nbf": now_s.saturating_sub(5),
                "exp": now_s + 6 * 3600,
                "video": {
                    "roomJoin": true,
                    "room": room,
                    "canPublish": true,
                    "canSubscribe": true,
                    "canPublishData": true,
                    "canUpdateOwnMetadata": true,
                },
            }),
            secret: DEV_SECRET.into(),
        }
    }

    /// Sets one grant, or takes it away with [`Value::Null`].
    pub fn grant(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let grants = self.claims["video"]
            .as_object_mut()
            .expect("claims carry a video grant");
        if value.is_null() {
            grants.remove(name);
        } else {
            grants.insert(name.into(), value);
        }
        self
    }

    /// Sets one claim beside the video grant.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// The token as it travels. With `"alg": "none"` in the header there is no signature.
    pub fn sign(&self) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(self.header.to_string()),
            URL_SAFE_NO_PAD.encode(self.claims.to_string())
        );
        if self.header["alg"] == "none" {
            return format!("{signed}.");
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(signed.as_bytes());
        format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_signed_as_rfc_7515_says() {
        // RFC 7515 appendix A.1 cannot be used (its key is binary); made with `openssl dgst -sha256 -hmac secret`.
        let token = Token {
            header: json!({"alg":"HS256"}),
            claims: json!({"sub":"a"}),
            secret: "secret".into(),
        };
        assert_eq!(
            token.sign(),
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.UUtsUaeO3koQylSZ3wxP4lqVvgFw6mGsVzGNBNF_1sQ"
        );
    }

    #[test]
    fn a_grant_can_be_set_and_taken_away() {
        let token = Token::dev("hall", "ada", 100)
            .grant("hidden", true)
            .grant("canPublish", Value::Null);
        assert_eq!(token.claims["video"]["hidden"], true);
        assert_eq!(token.claims["video"]["canPublish"], Value::Null);
    }
}
