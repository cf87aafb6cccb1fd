//! Thumbnails of broadcasts, made by one process for the whole house: it decodes one coded picture after the other, which strangers sent,
//! and can do nothing else.
//!
//! It is started when the first one is wanted, and ends when none was for a while. Nobody waits for it: where it has too much to do, or
//! dies, thumbnails are left out and counted.

pub mod worker;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amphi_media::VideoSize;
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::{Deserialize, Serialize};

use crate::compose;
use crate::compose::wire::{self, Reader};

/// Pictures that wait: two of every broadcast that a house has by default. Beyond it they are left out.
const ORDERS_MAX: usize = 64;

/// A picture that takes longer ends the process; one of 4K takes a tenth of a second.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Without a picture for so long the process ends.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long the next process waits after one that died; doubled each time, up to the second value.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// After so many pictures a process has shown that it can live.
const GOOD_FROM: u32 = 10;

/// To the process: a key frame of H.264 with its parameter sets, in Annex B form.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub picture: Bytes,
}

/// From the process, one for each that was wanted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Made(Made),
    /// Why there is none.
    Refused(String),
}

/// A thumbnail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Made {
    pub size: VideoSize,
    /// JPEG.
    pub bytes: Bytes,
}

/// What was done. Counters only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    pub made: u64,
    /// Pictures that do not decode.
    pub refused: u64,
    /// Left out, since too many waited.
    pub crowded: u64,
    /// Left out, since there was no process: it died over this one, or a moment before.
    pub missed: u64,
    pub processes: u64,
    /// Processes that ended without being asked to.
    pub died: u64,
}

/// Takes pictures, and gives back thumbnails. Dropping it ends the process.
pub struct Thumbnailer {
    orders: Sender<Order>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    made: AtomicU64,
    refused: AtomicU64,
    crowded: AtomicU64,
    missed: AtomicU64,
    processes: AtomicU64,
    died: AtomicU64,
    /// Of the process that runs; 0: none does.
    process_id: AtomicU32,
}

struct Order {
    picture: Bytes,
    done: Box<dyn FnOnce(Made) + Send>,
}

impl Thumbnailer {
    /// `program` is this very binary. Starts a thread, and no process yet.
    pub fn start(program: PathBuf) -> io::Result<Self> {
        let (orders, queue) = bounded(ORDERS_MAX);
        let shared = Arc::new(Shared::default());
        let keeper = Keeper {
            program,
            shared: shared.clone(),
            running: None,
            pause: PAUSE,
            not_before: None,
        };
        std::thread::Builder::new()
            .name("thumbnails".into())
            .spawn(move || keeper.run(&queue))?;
        Ok(Self { orders, shared })
    }

    /// Calls `done` with the thumbnail of a key frame, on a thread of its own, if one can be made. Never waits.
    pub fn make(&self, picture: Bytes, done: impl FnOnce(Made) + Send + 'static) {
        let done = Box::new(done);
        if self.orders.try_send(Order { picture, done }).is_err() {
            self.shared.crowded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The process that runs, while one does.
    pub fn process_id(&self) -> Option<u32> {
        Some(self.shared.process_id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    pub fn stats(&self) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            made: count(&self.shared.made),
            refused: count(&self.shared.refused),
            crowded: count(&self.shared.crowded),
            missed: count(&self.shared.missed),
            processes: count(&self.shared.processes),
            died: count(&self.shared.died),
        }
    }
}

/// Starts the process, talks to it, and ends it.
struct Keeper {
    program: PathBuf,
    shared: Arc<Shared>,
    running: Option<Running>,
    /// How long to wait after the next death.
    pause: Duration,
    not_before: Option<Instant>,
}

struct Running {
    child: Child,
    socket: UnixStream,
    reader: Reader,
    answers: u32,
}

impl Drop for Running {
    fn drop(&mut self) {
        compose::end(&mut self.child);
    }
}

impl Keeper {
    /// Until nobody can give orders any more.
    fn run(mut self, queue: &Receiver<Order>) {
        loop {
            let order = match self.running {
                Some(_) => queue.recv_timeout(IDLE_MAX),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(order) => self.carry_out(order),
                Err(RecvTimeoutError::Timeout) => self.end(),
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn carry_out(&mut self, Order { picture, done }: Order) {
        let shared = self.shared.clone();
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let Some(running) = self.running() else {
            count(&shared.missed);
            return;
        };
        match running.ask(picture) {
            Ok(Answer::Made(made)) => {
                count(&shared.made);
                done(made);
            }
            Ok(Answer::Refused(reason)) => {
                count(&shared.refused);
                tracing::debug!("no thumbnail: {reason}");
            }
            Err(error) => {
                count(&shared.missed);
                return self.died(&error);
            }
        }
        if self
            .running
            .as_ref()
            .is_some_and(|one| one.answers >= GOOD_FROM)
        {
            self.pause = PAUSE;
        }
    }

    /// The process, a new one if there is none. None for a while after one died.
    fn running(&mut self) -> Option<&mut Running> {
        if self.running.is_none() {
            if self.not_before.is_some_and(|at| at > Instant::now()) {
                return None;
            }
            match Running::start(&self.program) {
                Ok(running) => {
                    self.shared.processes.fetch_add(1, Ordering::Relaxed);
                    let id = running.child.id();
                    self.shared.process_id.store(id, Ordering::Relaxed);
                    self.running = Some(running);
                }
                Err(error) => {
                    self.died(&error);
                    return None;
                }
            }
        }
        self.running.as_mut()
    }

    fn died(&mut self, error: &io::Error) {
        tracing::warn!("what makes thumbnails died ({error}); another one follows");
        self.shared.died.fetch_add(1, Ordering::Relaxed);
        self.end();
        self.not_before = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn end(&mut self) {
        self.shared.process_id.store(0, Ordering::Relaxed);
        self.running = None;
    }
}

impl Running {
    fn start(program: &Path) -> io::Result<Self> {
        let (child, socket) = compose::spawn(program, "thumbnail-worker", None)?;
        let running = Self {
            child,
            socket,
            reader: Reader::default(),
            answers: 0,
        };
        running.socket.set_read_timeout(Some(ANSWER_MAX))?;
        running.socket.set_write_timeout(Some(ANSWER_MAX))?;
        Ok(running)
    }

    fn ask(&mut self, picture: Bytes) -> io::Result<Answer> {
        let Ok(message) = wire::packed(&Wanted { picture }) else {
            return Ok(Answer::Refused("it is beyond all bounds".to_owned()));
        };
        self.socket.write_all(&message)?;
        // What trickles in does not get longer than what comes at once.
        let until = Instant::now() + ANSWER_MAX;
        loop {
            if let Some(answer) = self.reader.next_message()? {
                self.answers = self.answers.saturating_add(1);
                return Ok(answer);
            }
            if !self.reader.fill(&mut self.socket)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_live_is_not_started_for_every_picture() {
        let thumbnailer = Thumbnailer::start("/bin/false".into()).expect("a thread");
        let (done, dones) = bounded(1);
        let until = Instant::now() + Duration::from_secs(10);
        let mut asked = 0;
        while thumbnailer.stats().died < 2 {
            assert!(Instant::now() < until, "{:?}", thumbnailer.stats());
            let done = done.clone();
            thumbnailer.make(Bytes::from_static(b"x"), move |_| {
                done.send(()).expect("nothing was made");
            });
            asked += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        let stats = thumbnailer.stats();
        assert!(
            asked > 10 && stats.missed + stats.crowded > 10,
            "{asked} {stats:?}"
        );
        assert_eq!((stats.made, stats.refused), (0, 0));
        assert_eq!(thumbnailer.process_id(), None);
        assert!(dones.try_recv().is_err());
    }
}
