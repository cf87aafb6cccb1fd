//! A composer in a process of its own: what decodes strangers' bitstreams cannot harm the server, and one that breaks is followed by
//! another.

pub mod ffmpeg;
#[cfg(test)]
mod golden;
pub(crate) mod lettering;
pub(crate) mod sandbox;
pub mod trial;
pub mod wire;
pub mod worker;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use amphi_media::TrackId;
use amphi_studio::composer::{Input, Output};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use tracing::warn;

use ffmpeg::{Ffmpeg, Hand, Hands};
pub use wire::Report;
use wire::{Reader, Said, Told};

/// Messages that wait to be written: half a second of a full stage. Beyond it, frames are dropped up to the next key frame.
const WAITING_MAX: usize = 512;

/// Of these places, those that no frame takes: what else it is told (who speaks, who comes and goes, the layout) cannot be left out, and a
/// composer that is slow for a while, as one that begins, is not given up for it.
const KEPT_FREE: usize = 64;

/// What the composer said and nobody has looked at yet. Beyond it, the composer waits.
const SAID_MAX: usize = 256;

/// One running composer. Dropping it ends the process.
pub struct Composing {
    child: Child,
    messages: Sender<Vec<u8>>,
    /// What it says. Ends when the process does.
    pub events: Receiver<Event>,
    /// Tracks of which a frame was dropped.
    broken: BTreeSet<TrackId>,
    /// Frames that were dropped because it did not read them in time.
    pub frames_dropped: u64,
}

/// What a composer is started from.
#[derive(Clone, Debug)]
pub struct Tools {
    /// This very binary.
    pub program: PathBuf,
    /// What encodes; none: openh264.
    pub ffmpeg: Option<Ffmpeg>,
    /// Where fonts for names are; none: where the system has them.
    pub fonts: Option<PathBuf>,
}

/// What a composer says.
#[derive(Debug)]
pub enum Event {
    Output(Output),
    Report(Report),
    /// What became of the encoder that was asked for; a note for people when it is another one that encodes.
    Encoder {
        note: Option<String>,
    },
}

/// It does not read any more, or is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

impl Composing {
    /// Starts a composer whose programme clock says `now_us`.
    pub fn start(tools: &Tools, now_us: i64) -> io::Result<Self> {
        let at_us = wire::machine_clock_us();
        let (hands, hand) = match tools.ffmpeg.clone().map(Hands::new).transpose()? {
            Some((hands, hand)) => (Some(hands), Some(hand)),
            None => (None, None),
        };
        let (mut child, ours) = spawn(&tools.program, "program-worker", hand)?;
        let (messages, queue) = crossbeam_channel::bounded(WAITING_MAX);
        let (events, said) = crossbeam_channel::bounded(SAID_MAX);
        let started = start_threads(ours, queue, events, hands);
        let fonts = tools.fonts.clone();
        let begin = wire::packed(&Told::Begin {
            fonts,
            now_us,
            at_us,
        });
        match (started, begin) {
            (Ok(()), Ok(begin)) => {
                messages.try_send(begin).expect("it is empty");
                Ok(Self {
                    child,
                    messages,
                    events: said,
                    broken: BTreeSet::new(),
                    frames_dropped: 0,
                })
            }
            (started, begin) => {
                end(&mut child);
                started.and(begin.map(drop))?;
                Err(io::Error::other("a composer without threads"))
            }
        }
    }

    /// Tells it something. An error when it does not read any more: end it and start another.
    pub fn tell(&mut self, mut input: Input) -> Result<(), Gone> {
        let frame = match &mut input {
            Input::Frame {
                track, contiguous, ..
            } => {
                *contiguous &= !self.broken.remove(track);
                Some(*track)
            }
            _ => None,
        };
        let Ok(message) = wire::packed(&Told::Input(input)) else {
            // A frame beyond all bounds.
            self.drop_frame(frame);
            return Ok(());
        };
        if frame.is_some() && self.messages.len() >= WAITING_MAX - KEPT_FREE {
            self.drop_frame(frame);
            return Ok(());
        }
        match (self.messages.try_send(message), frame) {
            (Ok(()), _) => Ok(()),
            (Err(TrySendError::Full(_)), Some(track)) => {
                self.drop_frame(Some(track));
                Ok(())
            }
            (Err(_), _) => Err(Gone),
        }
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    fn drop_frame(&mut self, track: Option<TrackId>) {
        self.frames_dropped += 1;
        self.broken.extend(track);
    }
}

impl Drop for Composing {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Starts `program` (this very binary) as a process that decodes, which `command` is; and our end of its socket.
pub(crate) fn spawn(
    program: &Path,
    command: &str,
    hand: Option<Hand>,
) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Command::new(program)
        .arg(command)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(hand.map_or_else(Stdio::null, |hand| Stdio::from(hand.into_socket())))
        .env_clear()
        .spawn()?;
    Ok((child, ours))
}

/// Ends a process of ours and takes it off the list of processes.
pub(crate) fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    if let Err(error) = child.wait() {
        warn!("a process of ours cannot be waited for: {error}");
    }
}

fn start_threads(
    socket: UnixStream,
    queue: Receiver<Vec<u8>>,
    events: Sender<Event>,
    hands: Option<Hands>,
) -> io::Result<()> {
    let reading = socket.try_clone()?;
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    // All end with the process, or when nobody holds their queue any more.
    if let Some(hands) = hands {
        let events = events.clone();
        thread("compose-hands").spawn(move || hands.run(&events))?;
    }
    thread("compose-out").spawn(move || write_all(socket, &queue))?;
    thread("compose-in").spawn(move || read_all(reading, &events))?;
    Ok(())
}

fn write_all(mut socket: UnixStream, queue: &Receiver<Vec<u8>>) {
    for message in queue {
        if socket.write_all(&message).is_err() {
            // The other thread sees the end and says so.
            return;
        }
    }
}

fn read_all(mut socket: UnixStream, events: &Sender<Event>) {
    let mut reader = Reader::default();
    loop {
        match reader.fill(&mut socket) {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
        loop {
            let event = match reader.next_message::<Said>() {
                Ok(Some(Said::Output(output))) => Event::Output(output),
                Ok(Some(Said::Report(report))) => Event::Report(report),
                Ok(None) => break,
                // What talks like that is broken; it ends with its socket.
                Err(error) => return warn!("a composer talks nonsense: {error}"),
            };
            if events.send(event).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use amphi_media::Codec;
    use bytes::Bytes;

    use super::*;

    /// What never reads is found by what it is told, and not by frames, of which any number is left out meanwhile.
    #[test]
    fn frames_leave_places_for_what_cannot_be_left_out() {
        let tools = Tools {
            // It writes, and reads nothing.
            program: "/usr/bin/yes".into(),
            ffmpeg: None,
            fonts: None,
        };
        let mut composing = Composing::start(&tools, 0).expect("it starts");
        let frame = || Input::Frame {
            track: TrackId(7),
            codec: Codec::Vp8,
            time_us: 0,
            key: true,
            contiguous: true,
            data: Bytes::from(vec![9; 4_096]),
        };
        // The socket takes some of them.
        let deadline = Instant::now() + Duration::from_secs(20);
        while composing.frames_dropped < 1_000 {
            assert!(Instant::now() < deadline, "somebody reads them");
            assert_eq!(composing.tell(frame()), Ok(()));
        }
        let waiting = composing.messages.len();
        assert!(waiting <= WAITING_MAX - KEPT_FREE, "{waiting} wait");
        for told in 0..KEPT_FREE {
            assert_eq!(composing.tell(Input::NeedKeyFrame), Ok(()), "after {told}");
        }
        let told = (0..=KEPT_FREE).find(|_| composing.tell(Input::NeedKeyFrame).is_err());
        assert!(told.is_some(), "there are more than {WAITING_MAX} places");
    }
}
