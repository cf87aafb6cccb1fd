//! `amphi program-worker`: the process that decodes, draws and encodes one composed program, and can do nothing else.
//!
//! It is started by the server with its end of a Unix socket as standard input, and ends when the other end does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use amphi_studio::composer::{Composer, Input};
use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use super::lettering::Letters;
use super::sandbox;
use super::wire::{self, Reader, Report, Said, Told};

/// How much lower its priority is than that of the call.
const NICE: i32 = 5;

const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Until the server has gone.
pub fn run() -> anyhow::Result<()> {
    let mut socket = socket()?;
    // Fonts are read before files are given up.
    let letters = Box::new(Letters::load());
    let mut composer = Composer::new(video_codec::video_codecs(), letters);
    if let Err(unfiltered) = sandbox::enter().context("giving up what is not needed")? {
        eprintln!("amphi: {unfiltered}");
    }
    let mut reader = Reader::default();
    let Some(clock) = first(&mut socket, &mut reader)? else {
        return Ok(());
    };
    let mut reported = Instant::now();
    let mut late_us = 0;
    loop {
        let now_us = clock.now_us();
        let wait_us = composer
            .poll_timeout()
            .map_or(REPORT_EVERY.as_micros() as i64, |at| (at - now_us).max(0));
        if is_readable(&socket, wait_us)? {
            if !reader.fill(&mut socket)? {
                return Ok(());
            }
            while let Some(told) = reader.next_message::<Told>()? {
                if let Told::Input(input) = told {
                    composer.handle_input(clock.now_us(), input);
                    say_all(&mut composer, &mut socket)?;
                }
            }
        }
        let due = composer.poll_timeout();
        if due.is_some_and(|at| at <= clock.now_us()) {
            composer.handle_input(clock.now_us(), Input::Timeout);
            // Lateness is that of the finished picture: what was due, and when it was out.
            late_us = late_us.max(due.map_or(0, |at| clock.now_us() - at));
            say_all(&mut composer, &mut socket)?;
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let report = Report {
                counters: *composer.counters(),
                cpu_us: cpu_us(),
                late_us: std::mem::take(&mut late_us),
            };
            wire::write(&mut socket, &Said::Report(report))?;
        }
    }
}

/// The socket that a process which decodes was started with. Also lowers its priority.
pub(crate) fn socket() -> anyhow::Result<UnixStream> {
    let socket: OwnedFd = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("taking the socket")?;
    let socket = UnixStream::from(socket);
    if socket.peer_addr().is_err() {
        bail!("this is started by amphi itself, with a socket as its standard input");
    }
    rustix::process::setpriority_process(None, NICE).context("lowering the priority")?;
    Ok(socket)
}

/// The programme clock, as this process tells it.
struct Clock {
    at: Instant,
    now_us: i64,
}

impl Clock {
    fn now_us(&self) -> i64 {
        let passed = i64::try_from(self.at.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.now_us.saturating_add(passed)
    }
}

/// Waits for the clock. None when the server has gone.
fn first(socket: &mut UnixStream, reader: &mut Reader) -> anyhow::Result<Option<Clock>> {
    loop {
        if let Some(told) = reader.next_message::<Told>()? {
            let Told::Clock { now_us } = told else {
                bail!("something was told before the clock");
            };
            let at = Instant::now();
            return Ok(Some(Clock { at, now_us }));
        }
        if !reader.fill(socket)? {
            return Ok(None);
        }
    }
}

fn say_all(composer: &mut Composer, socket: &mut UnixStream) -> io::Result<()> {
    while let Some(output) = composer.poll_output() {
        wire::write(socket, &Said::Output(output))?;
    }
    Ok(())
}

fn is_readable(socket: &UnixStream, wait_us: i64) -> io::Result<bool> {
    let wait = Timespec {
        tv_sec: wait_us / 1_000_000,
        tv_nsec: wait_us % 1_000_000 * 1_000,
    };
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    match poll(&mut polled, Some(&wait)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn cpu_us() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let us = used.tv_sec * 1_000_000 + used.tv_nsec / 1_000;
    u64::try_from(us).unwrap_or(0)
}
