//! Runs a peer over real sockets: a WebSocket to the server and UDP on loopback. For the bench and the shell's tests.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::{Certificate, Config, Event, Form, Input, Output, Peer};

/// How long a server may take to open a socket.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Datagrams that are read before other things get their turn.
const DATAGRAMS_AT_ONCE: usize = 64;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    pub form: Form,
    /// Where our media comes from.
    pub address: IpAddr,
    pub auto_subscribe: bool,
    /// Shared between peers, since making one takes time.
    pub certificate: Certificate,
}

impl Options {
    pub fn new(form: Form) -> Self {
        Self {
            form,
            address: Ipv4Addr::LOCALHOST.into(),
            auto_subscribe: true,
            certificate: Certificate::new(),
        }
    }
}

/// A peer that runs in a task of its own. Dropping it cuts its sockets without a word.
pub struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    events: mpsc::UnboundedReceiver<(Instant, Event)>,
    /// Events that a wait for another one has passed over.
    passed: VecDeque<(Instant, Event)>,
    address: SocketAddr,
    media: Arc<OnceLock<SocketAddr>>,
}

/// Does things with a peer whose [`Handle`] is elsewhere. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    orders: mpsc::UnboundedSender<Order>,
}

impl Caller {
    /// Does something with the peer, soon.
    pub fn tell(&self, what: impl FnOnce(&mut Peer, Instant) + Send + 'static) {
        let _ = self.orders.send(Order::Call(Box::new(what)));
    }
}

type Call = Box<dyn FnOnce(&mut Peer, Instant) + Send>;

enum Order {
    Call(Call),
    /// Any bytes from the peer's own UDP address to wherever its media goes.
    Inject(Bytes),
    CutSocket,
    Resume {
        server: String,
        token: String,
        done: oneshot::Sender<anyhow::Result<()>>,
    },
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Joins: `server` is `ws://127.0.0.1:7880`. Fails when the socket is refused, with the status and what the server said.
pub async fn connect(server: &str, token: &str, options: &Options) -> anyhow::Result<Handle> {
    let publisher = UdpSocket::bind((options.address, 0))
        .await
        .context("binding a UDP socket")?;
    let subscriber = UdpSocket::bind((options.address, 0))
        .await
        .context("binding a UDP socket")?;
    let address = publisher
        .local_addr()
        .context("asking for our own address")?;
    let mut config = Config::new(options.form, address, options.certificate.clone());
    config.subscriber_address = subscriber
        .local_addr()
        .context("asking for our own address")?;
    config.auto_subscribe = options.auto_subscribe;

    let mut peer = Peer::new(Instant::now(), config);
    let socket = open(&peer.request().url(server, token)).await?;
    peer.handle_input(Instant::now(), Input::SocketOpened);

    let (orders, ordered) = mpsc::unbounded_channel();
    let (told, events) = mpsc::unbounded_channel();
    let outputs = VecDeque::new();
    let media = Arc::new(OnceLock::new());
    let driver = Driver {
        peer,
        outputs,
        socket: Some(socket),
        publisher,
        subscriber,
        told,
        media: media.clone(),
    };
    tokio::spawn(driver.run(ordered));
    Ok(Handle {
        orders,
        events,
        passed: VecDeque::new(),
        address,
        media,
    })
}

/// Opens a WebSocket. A refusal is told as `refused with 401: …`.
async fn open(url: &str) -> anyhow::Result<Socket> {
    match tokio::time::timeout(CONNECT_TIME_MAX, tokio_tungstenite::connect_async(url)).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let body = response
                .body()
                .as_deref()
                .map(String::from_utf8_lossy)
                .unwrap_or_default();
            bail!("refused with {}: {body}", response.status().as_u16())
        }
        Ok(Err(error)) => Err(error).context("opening the WebSocket"),
        Err(_) => bail!("the server did not open the WebSocket in {CONNECT_TIME_MAX:?}"),
    }
}

impl Handle {
    /// Does something with the peer and waits until it is done.
    pub async fn call<R: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Peer, Instant) -> R + Send + 'static,
    ) -> anyhow::Result<R> {
        let (done, result) = oneshot::channel();
        self.tell(move |peer, now| {
            let _ = done.send(what(peer, now));
        });
        result.await.context("the peer is gone")
    }

    /// Does something with the peer, soon.
    pub fn tell(&self, what: impl FnOnce(&mut Peer, Instant) + Send + 'static) {
        self.caller().tell(what);
    }

    /// For who has to speak while somebody else listens.
    pub fn caller(&self) -> Caller {
        Caller {
            orders: self.orders.clone(),
        }
    }

    /// Where published media goes; None before the first datagram.
    pub fn media(&self) -> Option<SocketAddr> {
        self.media.get().copied()
    }

    /// The UDP address that media is published from.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends any bytes from the peer's own UDP address to where its media goes.
    pub fn inject(&self, bytes: impl Into<Bytes>) {
        let _ = self.orders.send(Order::Inject(bytes.into()));
    }

    /// Cuts the WebSocket without a word; media goes on.
    pub fn cut_socket(&self) {
        let _ = self.orders.send(Order::CutSocket);
    }

    /// Opens the socket again for the same member.
    pub async fn resume(&self, server: &str, token: &str) -> anyhow::Result<()> {
        let (done, result) = oneshot::channel();
        let _ = self.orders.send(Order::Resume {
            server: server.into(),
            token: token.into(),
            done,
        });
        result.await.context("the peer is gone")?
    }

    /// The next event, with when it was seen; None when none comes in time or the peer is gone.
    pub async fn next(&mut self, within: Duration) -> Option<(Instant, Event)> {
        if let Some(event) = self.passed.pop_front() {
            return Some(event);
        }
        tokio::time::timeout(within, self.events.recv())
            .await
            .ok()
            .flatten()
    }

    /// Takes every event that is there without waiting.
    pub fn take(&mut self) -> Vec<(Instant, Event)> {
        let mut events: Vec<_> = self.passed.drain(..).collect();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events
    }

    /// Waits for an event that `wanted` finds something in; other events are kept for later, in order.
    pub async fn wait<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> anyhow::Result<T> {
        let found = self
            .passed
            .iter()
            .position(|(_, event)| wanted(event).is_some());
        if let Some((_, event)) = found.and_then(|at| self.passed.remove(at)) {
            return wanted(&event).context("an event is what it was a moment ago");
        }
        let deadline = tokio::time::Instant::now() + within;
        loop {
            match tokio::time::timeout_at(deadline, self.events.recv()).await {
                Ok(Some((at, event))) => match wanted(&event) {
                    Some(found) => return Ok(found),
                    None => self.passed.push_back((at, event)),
                },
                Ok(None) => bail!("the peer ended before: {what}"),
                Err(_) => bail!("did not come within {within:?}: {what}"),
            }
        }
    }
}

struct Driver {
    peer: Peer,
    /// What the peer wants done, with when it came out of it.
    outputs: VecDeque<(Instant, Output)>,
    socket: Option<Socket>,
    publisher: UdpSocket,
    subscriber: UdpSocket,
    told: mpsc::UnboundedSender<(Instant, Event)>,
    /// Where our media goes, from the first datagram that we sent.
    media: Arc<OnceLock<SocketAddr>>,
}

impl Driver {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            self.perform().await;
            let timeout = self.peer.poll_timeout().map(tokio::time::Instant::from_std);
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.order(order).await,
                    None => return,
                },
                ready = self.publisher.readable() => if ready.is_ok() {
                    read(&mut self.peer, &mut self.outputs, &self.publisher);
                },
                ready = self.subscriber.readable() => if ready.is_ok() {
                    read(&mut self.peer, &mut self.outputs, &self.subscriber);
                },
                message = next_message(&mut self.socket) => self.message(message),
                () = sleep_until(timeout) => self.peer.handle_input(Instant::now(), Input::Timeout),
            }
        }
    }

    async fn order(&mut self, order: Order) {
        match order {
            Order::Call(call) => call(&mut self.peer, Instant::now()),
            Order::Inject(bytes) => {
                if let Some(media) = self.media.get() {
                    let _ = self.publisher.send_to(&bytes, *media).await;
                }
            }
            Order::CutSocket => {
                self.socket = None;
                self.peer.handle_input(Instant::now(), Input::SocketClosed);
            }
            Order::Resume {
                server,
                token,
                done,
            } => {
                self.peer.resume();
                let opened = open(&self.peer.request().url(&server, &token)).await;
                let _ = done.send(opened.map(|socket| {
                    self.socket = Some(socket);
                    self.peer.handle_input(Instant::now(), Input::SocketOpened);
                }));
            }
        }
    }

    fn message(&mut self, message: Option<Result<Message, tungstenite::Error>>) {
        let now = Instant::now();
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                self.peer.handle_input(now, Input::SocketMessage(&bytes))
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                self.socket = None;
                self.peer.handle_input(now, Input::SocketClosed);
            }
        }
    }

    /// Does what the peer wants done.
    async fn perform(&mut self) {
        collect(&mut self.peer, &mut self.outputs, Instant::now());
        while let Some((at, output)) = self.outputs.pop_front() {
            match output {
                Output::SocketSend(bytes) => {
                    if let Some(socket) = &mut self.socket
                        && socket.send(Message::Binary(bytes)).await.is_err()
                    {
                        self.socket = None;
                    }
                }
                Output::SocketClose => {
                    if let Some(mut socket) = self.socket.take() {
                        let _ = socket.close(None).await;
                    }
                }
                Output::Transmit {
                    source,
                    destination,
                    bytes,
                } => {
                    let own = if self
                        .subscriber
                        .local_addr()
                        .is_ok_and(|address| address == source)
                    {
                        &self.subscriber
                    } else {
                        let _ = self.media.set(destination);
                        &self.publisher
                    };
                    // A full socket buffer loses the datagram, as a network would.
                    if own.try_send_to(&bytes, destination).is_err() {
                        let _ = own.send_to(&bytes, destination).await;
                    }
                }
                Output::Event(event) => {
                    let _ = self.told.send((at, event));
                }
            }
        }
    }
}

fn collect(peer: &mut Peer, outputs: &mut VecDeque<(Instant, Output)>, now: Instant) {
    while let Some(output) = peer.poll_output() {
        outputs.push_back((now, output));
    }
}

fn read(peer: &mut Peer, outputs: &mut VecDeque<(Instant, Output)>, socket: &UdpSocket) {
    let Ok(destination) = socket.local_addr() else {
        return;
    };
    let mut buffer = [0; 2_048];
    for _ in 0..DATAGRAMS_AT_ONCE {
        let Ok((length, source)) = socket.try_recv_from(&mut buffer) else {
            return;
        };
        // Each datagram has its own time, so that what is measured does not contain the work on those before it.
        let now = Instant::now();
        peer.handle_input(
            now,
            Input::Datagram {
                source,
                destination,
                bytes: &buffer[..length],
            },
        );
        collect(peer, outputs, now);
    }
}

async fn next_message(socket: &mut Option<Socket>) -> Option<Result<Message, tungstenite::Error>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
