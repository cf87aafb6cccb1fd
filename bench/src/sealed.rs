//! A server that speaks TLS only, and the way into it for members, who speak none.

use std::path::Path;

use peer::net::Options;
use tokio::task::JoinHandle;

use crate::load::Door;
use crate::process::Server;
use crate::tls::{Certificate, bridge};

pub struct Sealed {
    pub server: Server,
    pub certificate: Certificate,
    /// Where it takes plain connections, by a bridge: `127.0.0.1:port`.
    pub plain: String,
    /// The same for members.
    pub door: Door,
    bridged: JoinHandle<()>,
}

impl Sealed {
    pub async fn start(binary: &Path) -> anyhow::Result<Self> {
        let certificate = Certificate::make()?;
        let cert = ["--tls-cert".as_ref(), certificate.cert.as_os_str()];
        let key = ["--tls-key".as_ref(), certificate.key.as_os_str()];
        let server = Server::amphi_with(binary, "", &[cert, key].concat()).await?;
        let (plain, bridged) = bridge(&server.authority, &certificate.client).await?;
        let door = Door {
            server: format!("ws://{plain}"),
            ..crate::amphi_door(&server)
        };
        Ok(Self {
            server,
            certificate,
            plain,
            door,
            bridged,
        })
    }

    /// For members.
    pub fn options(&self) -> Options {
        let mut options = Options::new(self.door.form);
        options.address = self.door.address;
        options
    }

    pub async fn stop(self) {
        self.bridged.abort();
        self.server.stop().await;
    }
}
