//! The server's side: what starts and ends processes of ffmpeg for one composer, and says in words what became of them.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use amphi_studio::composer::{RUNGS_MAX, Rung};
use crossbeam_channel::Sender;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::Ffmpeg;
use super::command::command;
use crate::compose::Event;
use crate::compose::wire::{self, Reader};

/// Processes for one composer: those of a ladder. It is ended before another one begins.
const PROCESSES_MAX: usize = RUNGS_MAX;

/// Processes that are started for one composer within a minute: ten whole ladders. More is asked for by one that was taken over.
const STARTS_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// Letters of what a composer says of a process.
const HOW_MAX: usize = 200;

/// How much lower their priority is than that of the call, as the composer's.
const NICE: i32 = 5;

/// What a pipe holds: the most that Linux lets anybody have. A picture of 720p is somewhat larger.
const PIPE_BYTES: usize = 1024 * 1024;

/// How much of what ffmpeg complains of is kept, in bytes, and how long is waited for it once it has ended.
const WORDS_MAX: usize = 400;
const WORDS_WAIT: Duration = Duration::from_millis(300);

/// How long a composer waits for a process to be started, and the server for a composer to hear of it.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// The composer's end.
#[derive(Debug)]
pub struct Hand(UnixStream);

/// A process is to encode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Start {
    pub id: u32,
    pub rung: Rung,
    pub frames_per_second: u32,
}

/// What a composer says to the server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Said {
    Start(Start),
    /// Its first coded picture came.
    Works {
        id: u32,
    },
    /// It is not needed any more.
    Ended {
        id: u32,
        broke: Option<Broke>,
    },
}

/// A process is of no use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Broke {
    /// What it did, in words that follow its name.
    pub how: String,
    /// Another one is tried, rather than openh264.
    pub again: bool,
}

/// A process's pipes, neither of which makes its reader or writer wait.
#[derive(Debug)]
pub struct Pipes {
    pub pictures: OwnedFd,
    pub coded: OwnedFd,
}

/// The answer to [`Said::Start`] is one byte; with this one come the pipes.
const STARTED: u8 = 1;
const REFUSED: u8 = 0;

/// The server's end.
#[derive(Debug)]
pub struct Hands {
    ffmpeg: Ffmpeg,
    socket: UnixStream,
    running: BTreeMap<u32, Running>,
    /// How many were started in the minute that began then.
    started: (Instant, u32),
    /// How often nothing was started. People are told of the first.
    refused: u64,
}

#[derive(Debug)]
struct Running {
    child: Child,
    works: bool,
    /// What it complained of, once its errors have an end.
    words: mpsc::Receiver<String>,
}

impl Hands {
    /// And the other end, for a composer.
    pub fn new(ffmpeg: Ffmpeg) -> io::Result<(Self, Hand)> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_write_timeout(Some(ANSWER_WAIT))?;
        let hands = Self {
            ffmpeg,
            socket,
            running: BTreeMap::new(),
            started: (Instant::now(), 0),
            refused: 0,
        };
        Ok((hands, Hand(theirs)))
    }

    /// Until the composer has gone, or nobody listens.
    pub fn run(mut self, events: &Sender<Event>) {
        let mut reader = Reader::default();
        let read = |socket: &mut UnixStream, reader: &mut Reader| -> io::Result<Option<Said>> {
            loop {
                if let Some(said) = reader.next_message()? {
                    return Ok(Some(said));
                }
                if !reader.fill(socket)? {
                    return Ok(None);
                }
            }
        };
        while let Ok(Some(said)) = read(&mut self.socket, &mut reader) {
            let note = match said {
                Said::Start(start) => self.start(&start),
                Said::Works { id } => {
                    let running = self.running.get_mut(&id);
                    let first = running.is_some_and(|one| !std::mem::replace(&mut one.works, true));
                    if first && events.send(Event::Encoder { note: None }).is_err() {
                        break;
                    }
                    None
                }
                Said::Ended { id, broke } => self.ended(id, broke),
            };
            if let Some(note) = note
                && events.send(Event::Encoder { note: Some(note) }).is_err()
            {
                break;
            }
        }
        if self.refused > 1 {
            warn!(
                refused = self.refused,
                "a composer asked for ffmpeg again and again"
            );
        }
        // Dropping them ends them.
    }

    /// Starts one. When it cannot be, for the first time: a note for people.
    fn start(&mut self, start: &Start) -> Option<String> {
        let started = self.spawn(start);
        let answered = match &started {
            Ok(pipes) => answer(&self.socket, pipes),
            Err(_) => (&self.socket).write_all(&[REFUSED]),
        };
        match (started, answered) {
            // A composer that does not listen ends by itself, or says that it took too long.
            (Ok(_), _) => None,
            (Err(error), _) => {
                self.refused += 1;
                if self.refused > 1 {
                    return None;
                }
                let program = self.ffmpeg.program.display();
                let note =
                    format!("{program} cannot be started ({error}); openh264 encodes instead.");
                warn!("{note}");
                Some(note)
            }
        }
    }

    fn spawn(&mut self, start: &Start) -> io::Result<Pipes> {
        if self.running.len() >= PROCESSES_MAX {
            return Err(io::Error::other("too many run already"));
        }
        let (since, count) = &mut self.started;
        if since.elapsed() >= MINUTE {
            (*since, *count) = (Instant::now(), 0);
        }
        if *count >= STARTS_MAX {
            return Err(io::Error::other("too many were started within a minute"));
        }
        *count += 1;
        let (theirs_in, pictures) = pipe_with(PipeFlags::CLOEXEC)?;
        let (coded, theirs_out) = pipe_with(PipeFlags::CLOEXEC)?;
        for ours in [&pictures, &coded] {
            fcntl_setfl(ours, fcntl_getfl(ours)? | OFlags::NONBLOCK)?;
        }
        // A smaller one only makes for more turns.
        let _ = fcntl_setpipe_size(&pictures, PIPE_BYTES);
        let mut child = command(&self.ffmpeg, start)
            .stdin(Stdio::from(theirs_in))
            .stdout(Stdio::from(theirs_out))
            .stderr(Stdio::piped())
            // What it starts itself ends with it.
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        if let Err(error) = setpriority_process(Some(pid), NICE) {
            warn!("ffmpeg runs at the priority of the call: {error}");
        }
        let (said, words) = mpsc::sync_channel(1);
        let errors = child.stderr.take().expect("it was piped");
        let listening = std::thread::Builder::new()
            .name("ffmpeg-words".to_owned())
            // Nobody may want to know any more.
            .spawn(move || drop(said.send(last_words(errors))));
        let running = Running {
            child,
            works: false,
            words,
        };
        listening?;
        info!(
            process = running.child.id(),
            codec = self.ffmpeg.codec.name(),
            "ffmpeg started"
        );
        self.running.insert(start.id, running);
        Ok(Pipes { pictures, coded })
    }

    /// A note for people, when openh264 follows.
    fn ended(&mut self, id: u32, broke: Option<Broke>) -> Option<String> {
        let mut running = self.running.remove(&id)?;
        running.end();
        let Broke { how, again } = broke?;
        // What says it may have been taken over.
        let how: String = (how.chars())
            .filter(|letter| *letter == ' ' || letter.is_ascii_graphic())
            .take(HOW_MAX)
            .collect();
        let codec = self.ffmpeg.codec.name();
        let words = running.words.recv_timeout(WORDS_WAIT).unwrap_or_default();
        let words = match words.trim() {
            "" => String::new(),
            words => format!(" ({words})"),
        };
        let what = format!("ffmpeg ({codec}) {how}{words}");
        if again {
            warn!("{what}; another one follows");
            return None;
        }
        let note = format!("{what}; openh264 encodes instead.");
        warn!("{note}");
        Some(note)
    }
}

impl Running {
    fn end(&mut self) {
        // All of them may have ended already.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        crate::compose::end(&mut self.child);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The first two lines that are kept of what it complains of, until it has ended.
fn last_words(mut errors: ChildStderr) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut bytes = [0; 1_024];
    while let Ok(count @ 1..) = errors.read(&mut bytes) {
        kept.extend_from_slice(&bytes[..count]);
        kept.drain(..kept.len().saturating_sub(WORDS_MAX));
    }
    let text = String::from_utf8_lossy(&kept);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    // What it did not manage comes first, and then what did not work because of that.
    let said: Vec<&str> = lines.take(2).collect();
    said.join("; ")
        .replace(|letter: char| letter.is_control(), " ")
}

fn answer(socket: &UnixStream, pipes: &Pipes) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let descriptors = [pipes.pictures.as_fd(), pipes.coded.as_fd()];
    if !beside.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("two descriptors did not fit"));
    }
    sendmsg(
        socket,
        &[IoSlice::new(&[STARTED])],
        &mut beside,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// The hand that a composer was started with, as its standard output; none when it is something else.
pub fn hands_of_stdout() -> io::Result<Option<Hand>> {
    let socket = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    let is_socket = socket.peer_addr().is_ok();
    Ok(is_socket.then_some(Hand(socket)))
}

impl Hand {
    /// From now on nothing that is asked waits longer than it is worth.
    pub fn limit_waiting(&self) -> io::Result<()> {
        self.0.set_read_timeout(Some(ANSWER_WAIT))?;
        self.0.set_write_timeout(Some(ANSWER_WAIT))
    }

    pub fn say(&self, said: &Said) -> io::Result<()> {
        wire::write(&mut &self.0, said)
    }

    /// None when it was refused; the server tells people why.
    pub fn start(&self, start: Start) -> io::Result<Option<Pipes>> {
        self.say(&Said::Start(start))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [REFUSED];
        let got = recvmsg(
            &self.0,
            &mut [IoSliceMut::new(&mut byte)],
            &mut beside,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors = beside.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let mut descriptors = descriptors.next().into_iter().flatten();
        Ok(match (byte, descriptors.next(), descriptors.next()) {
            ([STARTED], Some(pictures), Some(coded)) => Some(Pipes { pictures, coded }),
            _ => None,
        })
    }

    pub(crate) fn into_socket(self) -> OwnedFd {
        self.0.into()
    }
}
