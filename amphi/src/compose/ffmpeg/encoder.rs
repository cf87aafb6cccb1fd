//! The composer's side: an encoder that is somewhere else. It never waits: pictures are written and coded ones are read as the pipes
//! take and give, and a process that does not keep up, or says nothing for too long, is given up.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use amphi_media::{MediaTime, VideoSize};
use amphi_studio::canvas::Canvas;
use amphi_studio::composer::Rung;
use amphi_studio::{CodecError, Coded, Encoded, EncoderConfig, VideoEncoder, VideoEncoders};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::flv::Reader;
use super::hands::{Broke, Hand, Pipes, Said, Start};
use super::matroska;

/// How long a process may take for its first picture: a GPU may have to wake up, and so may a machine.
const BEGIN_WAIT: Duration = Duration::from_secs(8);
/// … and for any other one.
const PICTURE_WAIT: Duration = Duration::from_secs(3);

/// After so many that broke, openh264 encodes until there is another composer. One that never made a picture is not tried again at all.
const BROKEN_MAX: u32 = 3;
/// One that worked for so long broke for a reason of its own.
const LONG_LIFE: Duration = Duration::from_secs(600);

/// Pictures that an encoder may keep to itself until more are given: fewer than a program waits for.
pub const KEPT_MAX: usize = 4;

/// What is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one pipe in one turn.
const READS_MAX: usize = 64;

/// FLV counts milliseconds modulo this.
const TIMES: i64 = 1 << 31;

/// All encoders that one composer has outside; without a hand, or once that was given up, there are none, and it has openh264.
#[derive(Clone)]
pub struct Outside(Arc<Mutex<Inner>>);

/// What there is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Woken {
    /// Something can be read from the socket.
    pub by_socket: bool,
    /// The composer should look for what its encoders have.
    pub by_encoder: bool,
}

struct Inner {
    hand: Option<Hand>,
    /// Nothing is started any more. What runs is still ended by the hand.
    gave_up: bool,
    pipes: BTreeMap<u32, Piped>,
    next_id: u32,
    /// Ladders of which a process broke, in a row.
    broken: u32,
    /// The ladder that ends now is among them.
    counted: bool,
}

/// One process, as seen from here.
struct Piped {
    pipes: Pipes,
    size: VideoSize,
    unwritten: VecDeque<Vec<u8>>,
    /// Bytes of the first of them.
    written: usize,
    /// Of what no coded picture has come, in order.
    given: VecDeque<Given>,
    reader: Reader,
    come: VecDeque<Coded>,
    broke: Option<String>,
    begun: Instant,
    /// When the first picture was given of those that should have made a coded one come.
    waits: Option<Instant>,
    works: bool,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    time: MediaTime,
    ms: i64,
    key: bool,
}

/// The encoder as the composer knows it.
struct OutsideEncoder {
    outside: Outside,
    id: u32,
    first: Option<MediaTime>,
}

impl Outside {
    pub fn new(hand: Option<Hand>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            hand,
            gave_up: false,
            pipes: BTreeMap::new(),
            next_id: 0,
            broken: 0,
            counted: false,
        })))
    }

    /// Makes encoders: ffmpeg's while that is to be trusted, else those that are built in.
    pub fn encoders(&self) -> VideoEncoders {
        let outside = self.clone();
        Box::new(move |config| match outside.start(config) {
            Some(encoder) => Ok(Box::new(encoder)),
            None => Ok(Box::new(video_codec::H264Encoder::new(config)?)),
        })
    }

    /// Encoders are made by ffmpeg: there is a hand, and none has broken for good.
    pub fn is_used(&self) -> bool {
        let inner = self.inner();
        inner.hand.is_some() && !inner.gave_up
    }

    /// Pictures that the slowest encoder has been given and of which nothing has come.
    pub fn owed(&self) -> usize {
        let inner = self.inner();
        let working = (inner.pipes.values()).filter(|piped| piped.broke.is_none());
        working.map(|piped| piped.given.len()).max().unwrap_or(0)
    }

    /// Waits until something can be read from `socket`, or something came from a process, or so long; and reads and writes what can be.
    pub fn wait(&self, socket: Option<BorrowedFd<'_>>, most: Duration) -> io::Result<Woken> {
        let mut inner = self.inner();
        let mut polled: Vec<PollFd<'_>> = (socket.into_iter())
            .map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN))
            .collect();
        for piped in inner.pipes.values() {
            piped.poll(&mut polled);
        }
        let most = Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: most.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&most)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let first = polled.first().map(PollFd::revents);
        let by_socket = socket.is_some() && first.is_some_and(|events| !events.is_empty());
        let now = Instant::now();
        let mut by_encoder = false;
        let Inner {
            pipes,
            hand,
            broken,
            ..
        } = &mut *inner;
        for (id, piped) in pipes {
            let worked = piped.works;
            by_encoder |= piped.work(now);
            if piped.works
                && !worked
                && let Some(hand) = hand
            {
                // If it does not hear that, it will not hear of the next one either.
                let _ = hand.say(&Said::Works { id: *id });
            }
            if piped.works && now - piped.begun > LONG_LIFE {
                *broken = 0;
            }
        }
        Ok(Woken {
            by_socket,
            by_encoder,
        })
    }

    fn start(&self, config: &EncoderConfig) -> Option<OutsideEncoder> {
        let mut inner = self.inner();
        if inner.gave_up {
            return None;
        }
        let hand = inner.hand.as_ref()?;
        let id = inner.next_id;
        let started = hand.start(Start {
            id,
            rung: Rung {
                size: config.size,
                bitrate: config.bitrate,
            },
            frames_per_second: config.frames_per_second,
        });
        let Ok(Some(pipes)) = started else {
            if started.is_err() {
                // It may be started all the same, when nobody waits for it any more.
                let how = "was not started in time".to_owned();
                let broke = Some(Broke { how, again: false });
                // If the server is not there, nobody has to know.
                let _ = hand.say(&Said::Ended { id, broke });
            }
            // Else the server said why. It is not asked again.
            inner.gave_up = true;
            return None;
        };
        let head = matroska::head(config.size, config.frames_per_second);
        inner.next_id += 1;
        inner.counted = false;
        inner.pipes.insert(
            id,
            Piped {
                pipes,
                size: config.size,
                unwritten: VecDeque::from([head]),
                written: 0,
                given: VecDeque::new(),
                reader: Reader::default(),
                come: VecDeque::new(),
                broke: None,
                begun: Instant::now(),
                waits: None,
                works: false,
            },
        );
        drop(inner);
        Some(OutsideEncoder {
            outside: self.clone(),
            id,
            first: None,
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl VideoEncoder for OutsideEncoder {
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError> {
        let first = *self.first.get_or_insert(time);
        let begins = first == time;
        let ms = time.rescale(1_000).ticks - first.rescale(1_000).ticks;
        let mut inner = self.outside.inner();
        let piped = inner.pipes.get_mut(&self.id).expect("as long as this one");
        piped.waits.get_or_insert_with(Instant::now);
        // The first is a key frame by itself, and its time must be zero.
        piped
            .unwritten
            .push_back(matroska::picture(picture, ms, key && !begins));
        let key = key || begins;
        piped.given.push_back(Given { time, ms, key });
        piped.write();
        Ok(Encoded::Later)
    }

    fn poll(&mut self) -> Result<Option<Coded>, CodecError> {
        let mut inner = self.outside.inner();
        let piped = inner.pipes.get_mut(&self.id).expect("as long as this one");
        match (piped.come.pop_front(), &piped.broke) {
            (Some(coded), _) => Ok(Some(coded)),
            (None, None) => Ok(None),
            (None, Some(how)) => Err(CodecError(format!("ffmpeg {how}"))),
        }
    }
}

impl Drop for OutsideEncoder {
    fn drop(&mut self) {
        let mut inner = self.outside.inner();
        let Inner {
            hand,
            gave_up,
            pipes,
            broken,
            counted,
            ..
        } = &mut *inner;
        let Some(piped) = pipes.remove(&self.id) else {
            return;
        };
        // Once people know, there is no more to say.
        let broke = piped.broke.filter(|_| !*gave_up).map(|how| {
            // Those of one ladder often break together, and for one reason.
            *broken += u32::from(!std::mem::replace(counted, true));
            let again = piped.works && *broken < BROKEN_MAX;
            Broke { how, again }
        });
        *gave_up |= broke.as_ref().is_some_and(|broke| !broke.again);
        if let Some(hand) = hand {
            let id = self.id;
            *gave_up |= hand.say(&Said::Ended { id, broke }).is_err();
        }
    }
}

impl Piped {
    fn poll<'a>(&'a self, polled: &mut Vec<PollFd<'a>>) {
        if self.broke.is_some() {
            return;
        }
        polled.push(PollFd::from_borrowed_fd(
            self.pipes.coded.as_fd(),
            PollFlags::IN,
        ));
        if !self.unwritten.is_empty() {
            polled.push(PollFd::from_borrowed_fd(
                self.pipes.pictures.as_fd(),
                PollFlags::OUT,
            ));
        }
    }

    /// True when there is something to look at.
    fn work(&mut self, now: Instant) -> bool {
        if self.broke.is_some() {
            return false;
        }
        self.write();
        self.read(now);
        let most = if self.works { PICTURE_WAIT } else { BEGIN_WAIT };
        let hangs = self.waits.is_some_and(|since| now - since > most);
        if self.broke.is_none() && hangs {
            self.broke = Some(format!("made no picture for {} seconds", most.as_secs()));
        }
        self.broke.is_some() || !self.come.is_empty()
    }

    fn write(&mut self) {
        while let Some(first) = self.unwritten.front() {
            match rustix::io::write(&self.pipes.pictures, &first[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    if self.written == first.len() {
                        self.unwritten.pop_front();
                        self.written = 0;
                    }
                }
                Err(Errno::INTR) => {}
                // Also when it has ended: what it said before is still to be read.
                Err(_) => return,
            }
        }
    }

    fn read(&mut self, now: Instant) {
        let mut bytes = [0; READ_BYTES];
        for _ in 0..READS_MAX {
            match rustix::io::read(&self.pipes.coded, &mut bytes) {
                Ok(0) => {
                    self.broke.get_or_insert_with(|| "ended".to_owned());
                    return;
                }
                Ok(count) => {
                    self.reader.push(&bytes[..count]);
                    if let Err(how) = self.take_pictures(now) {
                        self.broke = Some(how);
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    self.broke = Some(format!("cannot be read from: {error}"));
                    return;
                }
            }
        }
    }

    fn take_pictures(&mut self, now: Instant) -> Result<(), String> {
        loop {
            let picture = self.reader.next_picture();
            let Some(picture) = picture.map_err(|nonsense| format!("wrote {nonsense}"))? else {
                return Ok(());
            };
            let given = self.given.pop_front();
            let given = given.ok_or("wrote more pictures than there were")?;
            let apart = (i64::from(picture.time_ms) - given.ms).rem_euclid(TIMES);
            // A key frame's time has half a millisecond more, and is rounded.
            if apart > 1 && apart < TIMES - 1 {
                return Err("left a picture out".to_owned());
            }
            if given.key && !picture.key {
                return Err("makes no key frames when it is asked to".to_owned());
            }
            if picture.size.is_some_and(|size| size != self.size) {
                return Err("makes pictures of another size".to_owned());
            }
            self.waits = (self.given.len() > KEPT_MAX).then_some(now);
            self.works = true;
            self.come.push_back(Coded {
                time: given.time,
                key: picture.key,
                data: picture.data,
            });
        }
    }
}
