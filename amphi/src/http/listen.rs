//! From a TCP connection to requests: bounds, time limits, TLS, HTTP/1.1 and HTTP/2.
//!
//! Over TLS the client chooses HTTP/2 or HTTP/1.1 (ALPN); without TLS there is HTTP/1.1 only, as with every browser.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Doors;

/// A connection on which nothing moves in either direction for that long is closed. Longer than anything that we
/// let wait: a blocked HLS request, a call's pings, a page's polling.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// All header lines of one request, in bytes.
const HEAD_BYTES_MAX: u32 = 64 * 1024;

/// Who sent a request: an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What came in and what the bounds cost. Counters only grow.
#[derive(Default, Debug)]
pub struct Counters {
    pub accepted: AtomicU64,
    pub closed: AtomicU64,
    /// Times that a new connection had to wait because `limits.connections` were open.
    pub waited_full: AtomicU64,
    pub accept_failed: AtomicU64,
    pub tls_failed: AtomicU64,
    pub timed_out: AtomicU64,
}

/// How connections are taken.
#[derive(Clone)]
pub struct Limits {
    pub connections: usize,
    pub head_timeout: Duration,
}

/// Reads certificate chain and key for TLS with HTTP/2 and HTTP/1.1.
pub fn tls(cert: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("reading the TLS certificate {}", cert.display()))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "there is no certificate in {} (PEM is expected)",
        cert.display()
    );
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("reading the TLS key {}", key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("using {} with {}", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes connections until `stop` is done, then lets running requests end for at most `grace`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    doors: Doors,
    limits: Limits,
    counters: Arc<Counters>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let places = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let free = Arc::new(Semaphore::new(places as usize));
    let (close, closing) = watch::channel(());
    let mut stop = std::pin::pin!(stop);
    loop {
        if free.available_permits() == 0 {
            counters.waited_full.fetch_add(1, Ordering::Relaxed);
        }
        let next = async {
            let permit = free
                .clone()
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(_) => {
                // Out of descriptors, most likely: come back when some are free.
                counters.accept_failed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let (tls, doors, limits, counters) =
            (tls.clone(), doors.clone(), limits.clone(), counters.clone());
        let closing = closing.clone();
        tokio::spawn(async move {
            connection(stream, peer, tls, doors, &limits, &counters, closing).await;
            counters.closed.fetch_add(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    drop(listener);
    drop(close);
    // When all places are free again, all connections have ended.
    if tokio::time::timeout(grace, free.acquire_many(places))
        .await
        .is_err()
    {
        tracing::info!("some connections were still open when the time to drain was over");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    doors: Doors,
    limits: &Limits,
    counters: &Counters,
    closing: watch::Receiver<()>,
) {
    // A playlist is one small write that somebody waits for.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let doors = doors.clone();
        async move { Ok::<_, Infallible>(doors.answer(Peer(peer), request.map(Body::new)).await) }
    });
    let mut http1 = http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout);
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let done = match tls {
        None => {
            let io = TokioIo::new(Impatient::new(stream));
            let connection = http1.serve_connection(io, service).with_upgrades();
            carry(connection, closing, |connection| {
                connection.graceful_shutdown()
            })
            .await
        }
        Some(tls) => {
            let Ok(Ok(stream)) =
                tokio::time::timeout(limits.head_timeout, tls.accept(stream)).await
            else {
                counters.tls_failed.fetch_add(1, Ordering::Relaxed);
                return;
            };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(Impatient::new(stream));
            if is_http2 {
                let connection = http2.serve_connection(io, service);
                carry(connection, closing, |connection| {
                    connection.graceful_shutdown()
                })
                .await
            } else {
                let connection = http1.serve_connection(io, service).with_upgrades();
                carry(connection, closing, |connection| {
                    connection.graceful_shutdown()
                })
                .await
            }
        }
    };
    if let Err(error) = done {
        if timed_out(&error) {
            counters.timed_out.fetch_add(1, Ordering::Relaxed);
        }
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// Answers requests until the client is done, or the doors close: then the running ones are the last ones.
async fn carry<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    mut closing: watch::Receiver<()>,
    close: impl FnOnce(Pin<&mut C>),
) -> hyper::Result<()> {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return done,
        // Nothing is ever sent: it is over when the sender is gone.
        _ = closing.changed() => {}
    }
    close(connection.as_mut());
    connection.await
}

/// A head that did not come in time, or nothing that moved for [`IDLE_MAX`].
fn timed_out(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_timeout() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// A stream that fails when nothing has moved for [`IDLE_MAX`].
struct Impatient<S> {
    stream: S,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Impatient<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            moved: Instant::now(),
            alarm: Box::pin(tokio::time::sleep(IDLE_MAX)),
        }
    }

    fn waited<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.moved = Instant::now();
            return poll;
        }
        // The alarm is set again only when it rings: moving is frequent, ringing is not.
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let due = self.moved + IDLE_MAX;
            if Instant::now() >= due {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing moved",
                )));
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_read(context, into);
        this.waited(context, poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.waited(context, poll)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.waited(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_stream_on_which_nothing_moves_fails_and_one_that_moves_does_not() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = Impatient::new(near);
        let mut byte = [0];
        for _ in 0..3 {
            let (read, ()) = tokio::join!(stream.read(&mut byte), async {
                tokio::time::sleep(IDLE_MAX * 2 / 3).await;
                far.write_all(b"x").await.expect("room for a byte");
            });
            assert_eq!(read.expect("in time"), 1);
        }
        let before = Instant::now();
        let error = stream.read(&mut byte).await.expect_err("nothing comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(before.elapsed() >= IDLE_MAX);
    }
}
