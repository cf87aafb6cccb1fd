use std::net::SocketAddr;
use std::sync::Arc;

use amphi_media::Codec;
use str0m::config::{CryptoProvider, DtlsCert};

/// What the sessions of one room are opened with.
#[derive(Clone, Debug)]
pub struct Config {
    pub identity: Identity,
    /// Where we can be reached by UDP: host candidates of every session, all of them sockets of this shard.
    pub udp_candidates: Vec<SocketAddr>,
    /// Where we can be reached by ICE-TCP, passive (RFC 6544 §4.1).
    pub tcp_candidates: Vec<SocketAddr>,
    /// What is negotiated, most wanted first. Only Opus, H.264, VP8 and VP9 are carried; others are left out.
    pub codecs: Vec<Codec>,
}

impl Config {
    /// Opus, H.264, VP8 and VP9, and no candidates.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            udp_candidates: Vec::new(),
            tcp_candidates: Vec::new(),
            codecs: vec![Codec::Opus, Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1],
        }
    }
}

/// The DTLS certificate and the crypto back end of this process. Made once, because a certificate per session costs
/// more than a millisecond; cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(crate) inner: Arc<IdentityInner>,
}

pub(crate) struct IdentityInner {
    pub(crate) crypto: Arc<CryptoProvider>,
    pub(crate) certificate: DtlsCert,
}

impl Identity {
    /// Makes a self-signed certificate; what it is worth is said by its fingerprint in SDP.
    ///
    /// # Panics
    /// When the crypto library cannot make a key, which leaves nothing that could be served.
    pub fn new() -> Self {
        let crypto = str0m::crypto::from_feature_flags();
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .expect("the crypto library makes certificates");
        Self {
            inner: Arc::new(IdentityInner {
                crypto: Arc::new(crypto),
                certificate,
            }),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Identity {
    /// Says nothing about the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}
