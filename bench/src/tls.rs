//! TLS as viewers have it: a certificate for the servers that are measured, connections that believe it, and a way in for what speaks
//! no TLS.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate of our own for `localhost`, as files for servers.
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub client: Arc<ClientConfig>,
    _folder: tempfile::TempDir,
}

impl Certificate {
    pub fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for a certificate")?;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
            .context("making a certificate")?;
        let (cert, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        std::fs::write(&cert, made.cert.pem()).context("writing a certificate")?;
        std::fs::write(&key, made.signing_key.serialize_pem()).context("writing a key")?;
        let mut roots = RootCertStore::empty();
        roots
            .add(made.cert.der().clone())
            .context("believing our own certificate")?;
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            cert,
            key,
            client: Arc::new(client),
            _folder: folder,
        })
    }
}

pub async fn connect(
    authority: &str,
    client: &Arc<ClientConfig>,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(authority).await.context("connecting")?;
    stream.set_nodelay(true).context("connecting")?;
    let name = ServerName::try_from("localhost").context("a name")?;
    TlsConnector::from(client.clone())
        .connect(name, stream)
        .await
        .context("a TLS connection")
}

/// Takes plain connections on a port of its own, and hands them on over TLS. Ends with the returned handle.
pub async fn bridge(
    authority: &str,
    client: &Arc<ClientConfig>,
) -> anyhow::Result<(String, tokio::task::JoinHandle<()>)> {
    let door = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
    let own = door.local_addr().context("a port")?.to_string();
    let (authority, client) = (authority.to_owned(), client.clone());
    let handle = tokio::spawn(async move {
        while let Ok((mut plain, _)) = door.accept().await {
            let (authority, client) = (authority.clone(), client.clone());
            tokio::spawn(async move {
                if let Ok(mut sealed) = connect(&authority, &client).await {
                    // Either end may hang up at any time.
                    let _ = tokio::io::copy_bidirectional(&mut plain, &mut sealed).await;
                }
            });
        }
    });
    Ok((own, handle))
}
