//! Runs a player over HTTP/1.1 and real sockets, for the bench and the shell's tests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::{Answer, Beginning, Config, Counters, Input, Output, Player, Request, Violation};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a player saw.
#[derive(Clone, Debug)]
pub struct Report {
    pub violations: Vec<Violation>,
    pub counters: Counters,
    /// None when it could not play at all.
    pub beginning: Option<Beginning>,
    /// The program ended before the time was over.
    pub ended: bool,
}

/// Watches until the program ends, but not longer than `time_max`. `config.index` is `http://host:port/path`.
pub async fn watch(config: Config, time_max: Duration) -> anyhow::Result<Report> {
    let authority = config
        .index
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next())
        .context("the address of a playlist over HTTP")?
        .to_owned();
    let connections = Connections {
        authority,
        idle: Arc::default(),
    };
    let deadline = tokio::time::Instant::now() + time_max;
    let mut player = Player::new(Instant::now(), config);
    let (said, mut answers) = mpsc::unbounded_channel();
    let mut violations = Vec::new();
    let mut ended = false;
    loop {
        while let Some(output) = player.poll_output() {
            match output {
                Output::Request(request) => {
                    let (connections, said) = (connections.clone(), said.clone());
                    tokio::spawn(async move {
                        let id = request.id;
                        let input = match connections.get(&request).await {
                            Ok(answer) => Input::Answered { id, answer },
                            Err(error) => Input::Failed {
                                id,
                                why: format!("{error:#}"),
                            },
                        };
                        // Nobody listens any more when the watching is over.
                        let _ = said.send(input);
                    });
                }
                Output::Violation(violation) => violations.push(violation),
                Output::Ended => ended = true,
            }
        }
        if ended {
            break;
        }
        let wake = player.poll_timeout().map_or(deadline, |at| {
            tokio::time::Instant::from_std(at).min(deadline)
        });
        let input = tokio::select! {
            input = answers.recv() => input.context("our own end of the channel")?,
            () = tokio::time::sleep_until(wake) => Input::Timeout,
        };
        if tokio::time::Instant::now() >= deadline {
            break;
        }
        player.handle_input(Instant::now(), input);
    }
    Ok(Report {
        violations,
        counters: player.counters(),
        beginning: player.beginning(),
        ended,
    })
}

/// As many connections as requests are under way at once, kept open.
#[derive(Clone)]
struct Connections {
    authority: String,
    idle: Arc<Mutex<Vec<SendRequest<Empty<Bytes>>>>>,
}

impl Connections {
    async fn get(&self, request: &Request) -> anyhow::Result<Answer> {
        let mut sender = self.connection().await?;
        let path = request.url.splitn(4, '/').nth(3).unwrap_or("");
        let mut asked = hyper::Request::get(format!("/{path}")).header("host", &self.authority);
        if request.gzip {
            asked = asked.header("accept-encoding", "gzip");
        }
        let asked = asked.body(Empty::new()).context("a request")?;
        let response = sender.send_request(asked).await.context("asking")?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("an answer: {error}"))?;
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(sender);
        Ok(Answer {
            status: head.status.as_u16(),
            headers,
            body: body.to_bytes(),
        })
    }

    async fn connection(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        loop {
            let kept = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.pop()
            };
            let Some(mut kept) = kept else { break };
            if kept.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        let stream = TcpStream::connect(&self.authority)
            .await
            .context("connecting")?;
        stream.set_nodelay(true).context("connecting")?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .context("speaking HTTP")?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
