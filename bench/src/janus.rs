//! Janus dressed as a LiveKit server, so that the same members measure both: a translator between LiveKit's signalling
//! (the pair form) and the JSON of Janus' videoroom plugin. Media goes straight to Janus.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use peer::protocol as proto;
use peer::protocol::signal_request::Message as Request;
use peer::protocol::signal_response::Message as Response;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::process::Server;

const BINARY: &str = "/usr/bin/janus";
/// Where Debian puts the plugins.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu/janus";
/// One room is enough.
const ROOM: u64 = 1;

/// A Janus that runs, and the translator in front of it.
pub struct Janus {
    pub server: Server,
    /// Where media has to come from: Janus takes none on a loopback address.
    pub address: IpAddr,
    /// `ws://127.0.0.1:port` of the translator.
    pub url: String,
}

pub fn is_installed() -> bool {
    Path::new(BINARY).exists() && Path::new(LIBRARIES).exists()
}

pub async fn version() -> Option<String> {
    let output = Command::new(BINARY).arg("--version").output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "Janus commit: …" stands before it.
    text.lines()
        .find(|line| line.starts_with("janus "))
        .map(str::to_owned)
}

/// The machine's own address, as the kernel would take it for a packet that leaves; nothing is sent. What is sent to
/// it does not leave the machine either.
fn own_address() -> anyhow::Result<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").context("binding a socket")?;
    socket
        .connect("198.51.100.1:9")
        .context("looking for an address that is not loopback: Janus needs one")?;
    Ok(socket.local_addr().context("a socket's address")?.ip())
}

/// Starts Janus with only the videoroom and only its WebSocket, on loopback. Media is the exception: ICE of Janus passes
/// over loopback interfaces, whatever its configuration says.
pub async fn start() -> anyhow::Result<Janus> {
    let address = own_address()?;
    let data = tempfile::tempdir().context("making a folder for Janus")?;
    let folder = data.path();
    let port = free_port().await?;
    let config = format!(
        r#"general: {{
  configs_folder = "{folder}"
  plugins_folder = "{LIBRARIES}/plugins"
  transports_folder = "{LIBRARIES}/transports"
  events_folder = "{LIBRARIES}/events"
  loggers_folder = "{LIBRARIES}/loggers"
  debug_level = 2
  interface = "127.0.0.1"
  session_timeout = 0
}}
media: {{ rtp_port_range = "40000-44999" }}
nat: {{ ice_enforce_list = "{address}" }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so" }}
events: {{ broadcast = false }}
"#,
        folder = folder.display(),
        plugins = [
            "audiobridge",
            "duktape",
            "echotest",
            "lua",
            "nosip",
            "recordplay",
            "sip",
            "streaming",
            "textroom",
            "videocall",
            "voicemail",
        ]
        .map(|plugin| format!("libjanus_{plugin}.so"))
        .join(","),
    );
    let room = format!(
        "general: {{ events = false }}\nroom-{ROOM}: {{ description = \"bench\", publishers = 32, bitrate = 8000000, \
         fir_freq = 0, audiocodec = \"opus\", videocodec = \"h264\" }}\n"
    );
    let socket = format!(
        "general: {{ json = \"compact\", ws = true, ws_port = {port}, ws_interface = \"lo\", wss = false }}\n"
    );
    let files = [
        ("janus.jcfg", config),
        ("janus.plugin.videoroom.jcfg", room),
        ("janus.transport.websockets.jcfg", socket),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    let mut command = Command::new(BINARY);
    command
        .arg("-F")
        .arg(folder)
        .arg("-C")
        .arg(folder.join("janus.jcfg"));
    let authority = format!("127.0.0.1:{port}");
    let server = Server::other(command, authority.clone(), data)
        .await
        .context("Janus")?;

    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("opening the translator's port")?;
    let url = format!(
        "ws://{}",
        listener.local_addr().context("the translator's address")?
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let authority = authority.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(stream, &authority).await {
                    eprintln!("the translator of Janus: {error:#}");
                }
            });
        }
    });
    Ok(Janus {
        server,
        address,
        url,
    })
}

async fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("looking for a free port")?;
    Ok(listener.local_addr().context("a port's address")?.port())
}

/// What a member shows: its identity, `member-7`, which is feed 107 in the room.
pub fn token(_room: &str, identity: &str) -> String {
    identity.to_owned()
}

fn feed_of(identity: &str) -> anyhow::Result<u64> {
    let number: u64 = identity
        .rsplit('-')
        .next()
        .unwrap_or_default()
        .parse()
        .context("an identity with a number")?;
    Ok(number + 100)
}

type Socket<S> = WebSocketStream<S>;

/// The JSON side: one session of Janus.
struct Api {
    socket: Socket<MaybeTlsStream<TcpStream>>,
    session: u64,
    transactions: u64,
    /// Events that came while an answer was waited for.
    passed: VecDeque<Value>,
}

impl Api {
    async fn open(authority: &str) -> anyhow::Result<Self> {
        let mut request = format!("ws://{authority}")
            .into_client_request()
            .context("Janus' address")?;
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            "janus-protocol".parse().context("a header")?,
        );
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .context("opening Janus' WebSocket")?;
        let mut api = Self {
            socket,
            session: 0,
            transactions: 0,
            passed: VecDeque::new(),
        };
        let created = api.request(json!({ "janus": "create" }), "success").await?;
        api.session = created["data"]["id"].as_u64().context("no session")?;
        Ok(api)
    }

    async fn attach(&mut self) -> anyhow::Result<u64> {
        let request = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
        let attached = self.request(request, "success").await?;
        attached["data"]["id"].as_u64().context("no handle")
    }

    /// A message to the plugin; its answer comes as an event.
    async fn message(
        &mut self,
        handle: u64,
        body: Value,
        jsep: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = json!({ "janus": "message", "handle_id": handle, "body": body });
        if let Some(jsep) = jsep {
            request["jsep"] = jsep;
        }
        let event = self.request(request, "event").await?;
        if !event["plugindata"]["data"]["error"].is_null() {
            bail!("Janus refuses: {}", event["plugindata"]["data"]);
        }
        Ok(event)
    }

    /// Sends, and waits for the answer of this kind to it.
    async fn request(&mut self, mut request: Value, kind: &str) -> anyhow::Result<Value> {
        self.transactions += 1;
        let transaction = self.transactions.to_string();
        request["transaction"] = json!(transaction);
        if self.session != 0 {
            request["session_id"] = json!(self.session);
        }
        self.socket
            .send(Message::text(request.to_string()))
            .await
            .context("telling Janus")?;
        loop {
            let message = self
                .socket
                .next()
                .await
                .context("Janus closed its socket")?
                .context("hearing Janus")?;
            let Message::Text(text) = message else {
                continue;
            };
            let value: Value = serde_json::from_str(&text).context("Janus' JSON")?;
            let ours = value["transaction"] == json!(transaction);
            if ours && value["janus"] == "error" {
                bail!("Janus refuses: {}", value["error"]);
            }
            if ours && value["janus"] == kind {
                return Ok(value);
            }
            if !ours {
                self.passed.push_back(value);
                // Who else came and went: nobody looks at it.
                self.passed.truncate(16);
            }
        }
    }
}

/// One member.
async fn serve(stream: TcpStream, authority: &str) -> anyhow::Result<()> {
    let mut identity = String::new();
    #[expect(
        clippy::result_large_err,
        reason = "the callback's type is the library's"
    )]
    let look = |request: &tokio_tungstenite::tungstenite::handshake::server::Request, response| {
        let query = request.uri().query().unwrap_or_default();
        identity = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("access_token="))
            .unwrap_or_default()
            .to_owned();
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, look)
        .await
        .context("taking a member in")?;
    let feed = feed_of(&identity)?;
    let mut api = Api::open(authority).await?;
    let publisher = api.attach().await?;
    api.message(
        publisher,
        json!({ "request": "join", "ptype": "publisher", "room": ROOM, "id": feed }),
        None,
    )
    .await?;
    let join = proto::JoinResponse {
        participant: Some(proto::ParticipantInfo {
            sid: format!("PA_{identity}"),
            identity,
            ..Default::default()
        }),
        subscriber_primary: true,
        ..Default::default()
    };
    respond(&mut socket, Response::Join(join)).await?;

    let mut subscriber = None;
    while let Some(message) = socket.next().await {
        let Ok(Message::Binary(bytes)) = message else {
            continue;
        };
        let request = proto::SignalRequest::decode(bytes)
            .context("a member's request")?
            .message;
        match request {
            Some(Request::AddTrack(add)) => {
                let track = proto::TrackInfo {
                    sid: format!("TR_{}", add.cid),
                    ..Default::default()
                };
                let published = proto::TrackPublishedResponse {
                    cid: add.cid,
                    track: Some(track),
                };
                respond(&mut socket, Response::TrackPublished(published)).await?;
            }
            Some(Request::Offer(offer)) => {
                let jsep = json!({ "type": "offer", "sdp": offer.sdp });
                let event = api
                    .message(publisher, json!({ "request": "publish" }), Some(jsep))
                    .await?;
                let sdp = event["jsep"]["sdp"]
                    .as_str()
                    .context("no answer of Janus")?
                    .to_owned();
                let answer = proto::SessionDescription {
                    r#type: "answer".into(),
                    sdp,
                    id: offer.id,
                    ..Default::default()
                };
                respond(&mut socket, Response::Answer(answer)).await?;
            }
            Some(Request::Subscription(wanted)) if wanted.subscribe => {
                let feeds: Vec<u64> = wanted
                    .track_sids
                    .iter()
                    .map(|sid| feed_of(sid))
                    .collect::<Result<_, _>>()?;
                let streams: Vec<Value> =
                    feeds.iter().map(|feed| json!({ "feed": feed })).collect();
                let handle = api.attach().await?;
                subscriber = Some(handle);
                let body = json!({ "request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams });
                let event = api.message(handle, body, None).await?;
                let sdp = event["jsep"]["sdp"].as_str().context("no offer of Janus")?;
                let offer = proto::SessionDescription {
                    r#type: "offer".into(),
                    sdp: labelled(sdp),
                    id: 1,
                    ..Default::default()
                };
                respond(&mut socket, Response::Offer(offer)).await?;
            }
            Some(Request::Answer(answer)) => {
                let handle = subscriber.context("an answer to no offer")?;
                let jsep = json!({ "type": "answer", "sdp": answer.sdp });
                api.message(handle, json!({ "request": "start" }), Some(jsep))
                    .await?;
            }
            Some(Request::Leave(_)) => break,
            _ => {}
        }
    }
    Ok(())
}

async fn respond(socket: &mut Socket<TcpStream>, message: Response) -> anyhow::Result<()> {
    let bytes = proto::SignalResponse {
        message: Some(message),
    }
    .encode_to_vec();
    socket
        .send(Message::binary(bytes))
        .await
        .context("answering a member")
}

/// Janus' offer with labels as LiveKit's clients want them: each line a track of its own.
fn labelled(sdp: &str) -> String {
    let mut lines = 0;
    sdp.lines()
        .map(|line| {
            if line.starts_with("m=") {
                lines += 1;
            }
            if line.starts_with("a=msid:") {
                format!("a=msid:PA_janus|TR_{lines} TR_{lines}\r\n")
            } else {
                format!("{line}\r\n")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_offer_gets_a_label_of_its_own() {
        let sdp = "v=0\r\nm=audio 9\r\na=msid:janus janus0\r\na=mid:0\r\nm=video 9\r\na=msid:janus janus1\r\n";
        let expected = "v=0\r\nm=audio 9\r\na=msid:PA_janus|TR_1 TR_1\r\na=mid:0\r\nm=video 9\r\n\
                        a=msid:PA_janus|TR_2 TR_2\r\n";
        assert_eq!(labelled(sdp), expected);
    }

    #[test]
    fn an_identity_is_a_feed() {
        assert_eq!(feed_of("TR_member-7").expect("a feed"), 107);
        assert!(feed_of("ada").is_err());
    }
}
