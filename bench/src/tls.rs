//! TLS as viewers have it: a certificate for the servers that are measured, connections that believe it, and a way in for what speaks
//! no TLS.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
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
    shake_hands(reach(authority).await?, client).await
}

/// A connection that knows when the kernel had what was read from it.
pub async fn connect_stamped(
    authority: &str,
    client: &Arc<ClientConfig>,
) -> anyhow::Result<TlsStream<Stamped>> {
    let stream = reach(authority).await?;
    setsockopt(&stream, sockopt::ReceiveTimestampns, &true).context("asking for times")?;
    let stamped = Stamped {
        stream,
        arrived: None,
    };
    shake_hands(stamped, client).await
}

async fn reach(authority: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(authority).await.context("connecting")?;
    stream.set_nodelay(true).context("connecting")?;
    Ok(stream)
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    client: &Arc<ClientConfig>,
) -> anyhow::Result<TlsStream<S>> {
    let name = ServerName::try_from("localhost").context("a name")?;
    TlsConnector::from(client.clone())
        .connect(name, stream)
        .await
        .context("a TLS connection")
}

/// A stream that notes when its newest bytes reached this machine, which need not be when somebody had the time to read them.
pub struct Stamped {
    stream: TcpStream,
    arrived: Option<Duration>,
}

impl Stamped {
    /// When the newest bytes that were read had arrived, since 1970. None where the kernel does not say.
    pub fn arrived(&self) -> Option<Duration> {
        self.arrived
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.stream.poll_read_ready(context))?;
            let room = into.initialize_unfilled();
            let socket = this.stream.as_raw_fd();
            let read = || receive(socket, room);
            match this.stream.try_io(Interest::READABLE, read) {
                Ok((size, arrived)) => {
                    this.arrived = arrived;
                    into.advance(size);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// What is there, and when its last byte came (socket(7), `SO_TIMESTAMPNS`).
fn receive(socket: i32, into: &mut [u8]) -> io::Result<(usize, Option<Duration>)> {
    let mut notes = nix::cmsg_space!(TimeSpec);
    let mut into = [io::IoSliceMut::new(into)];
    let read = recvmsg::<()>(socket, &mut into, Some(&mut notes), MsgFlags::empty())?;
    let arrived = read.cmsgs()?.find_map(|note| match note {
        ControlMessageOwned::ScmTimestampns(at) => Some(at.into()),
        _ => None,
    });
    Ok((read.bytes, arrived))
}

impl AsyncWrite for Stamped {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
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
