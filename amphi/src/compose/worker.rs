//! `amphi program-worker`: the process that decodes, draws and encodes one composed program, and can do nothing else.
//!
//! It is started by the server with its end of a Unix socket as standard input, and ends when the other end does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use amphi_studio::VideoCodecs;
use amphi_studio::composer::{Composer, Input, Output, PICTURE_DELAY_US};
use anyhow::{Context, bail};
use rustix::time::{ClockId, clock_gettime};

use super::ffmpeg::{Outside, hands_of_stdout};
use super::lettering::Letters;
use super::sandbox;
use super::wire::{self, Reader, Report, Said, Told};

/// How much lower its priority is than that of the call.
const NICE: i32 = 5;

const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Until the server has gone.
pub fn run() -> anyhow::Result<()> {
    let mut socket = socket()?;
    let mut reader = Reader::default();
    let Some((clock, fonts)) = first(&mut socket, &mut reader)? else {
        return Ok(());
    };
    // Fonts are read before files are given up.
    let letters = Box::new(Letters::load(fonts.as_deref()));
    let hand = hands_of_stdout().context("taking the hand that is lent")?;
    let files = match &hand {
        Some(hand) => {
            hand.limit_waiting()?;
            sandbox::FILES_WITH_PIPES
        }
        None => sandbox::FILES,
    };
    let outside = Outside::new(hand);
    let codecs = VideoCodecs {
        encoders: outside.encoders(),
        decoders: Box::new(video_codec::decoder),
    };
    let mut composer = Composer::new(codecs, letters);
    if let Err(unfiltered) = sandbox::enter(files).context("giving up what is not needed")? {
        eprintln!("amphi: {unfiltered}");
    }
    let began = Instant::now();
    let mut reported = began;
    let (mut late_us, mut waited) = (0, Duration::ZERO);
    let say_all = |composer: &mut Composer, socket: &mut UnixStream| -> io::Result<i64> {
        let mut late_us = 0;
        while let Some(output) = composer.poll_output() {
            late_us = late_us.max(lateness_us(&clock, &output));
            wire::write(socket, &Said::Output(output))?;
        }
        Ok(late_us)
    };
    loop {
        let now_us = clock.now_us();
        let wait_us = composer
            .poll_timeout()
            .map_or(REPORT_EVERY.as_micros() as i64, |at| (at - now_us).max(0));
        let wait = Duration::from_micros(wait_us.unsigned_abs());
        let idle = Instant::now();
        let woken = outside.wait(Some(socket.as_fd()), wait)?;
        waited += idle.elapsed();
        if woken.by_socket {
            if !reader.fill(&mut socket)? {
                return Ok(());
            }
            while let Some(told) = reader.next_message::<Told>()? {
                if let Told::Input(input) = told {
                    composer.handle_input(clock.now_us(), input);
                    late_us = late_us.max(say_all(&mut composer, &mut socket)?);
                }
            }
        }
        let due = composer.poll_timeout();
        if woken.by_encoder || due.is_some_and(|at| at <= clock.now_us()) {
            composer.handle_input(clock.now_us(), Input::Timeout);
            late_us = late_us.max(say_all(&mut composer, &mut socket)?);
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let lived = reported - began;
            let report = Report {
                counters: *composer.counters(),
                cpu_us: cpu_us(),
                lived_us: microseconds(lived),
                busy_us: microseconds(lived.saturating_sub(waited)),
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

/// The programme clock, as this process tells it: so much less than the machine's.
struct Clock {
    less_us: i64,
}

impl Clock {
    fn now_us(&self) -> i64 {
        wire::machine_clock_us() - self.less_us
    }
}

/// Waits for the clock, and where fonts are. None when the server has gone.
fn first(
    socket: &mut UnixStream,
    reader: &mut Reader,
) -> anyhow::Result<Option<(Clock, Option<PathBuf>)>> {
    loop {
        if let Some(told) = reader.next_message::<Told>()? {
            let Told::Begin {
                fonts,
                now_us,
                at_us,
            } = told
            else {
                bail!("something was told before the clock");
            };
            let less_us = at_us - now_us;
            return Ok(Some((Clock { less_us }, fonts)));
        }
        if !reader.fill(socket)? {
            return Ok(None);
        }
    }
}

/// How long after it was due a picture is out.
fn lateness_us(clock: &Clock, output: &Output) -> i64 {
    match output {
        Output::Sample(sample) => clock.now_us() - sample.time.micros() - PICTURE_DELAY_US,
        Output::NeedKeyFrame { .. } | Output::Wanted { .. } | Output::Failed { .. } => 0,
    }
}

fn cpu_us() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let us = used.tv_sec * 1_000_000 + used.tv_nsec / 1_000;
    u64::try_from(us).unwrap_or(0)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
