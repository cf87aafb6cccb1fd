//! How many watch, without knowing who.
//!
//! Each multivariant playlist hands out a ticket, some random letters in the addresses of the media playlists that it
//! names. A player asks for those again and again; a ticket that was seen in the last ten seconds is one viewer. There is no
//! cookie, nothing is written anywhere, and a ticket says nothing but that this server gave it out. What the count cannot
//! know is in docs/operate/hls.md.
//!
//! Up to [`KEPT_MAX`] viewers of a broadcast are counted one by one. Of more, only every second is kept, or every fourth,
//! and so on, and the count is an estimate (adaptive sampling: M. Wegman; P. Flajolet, Computing 43, 1990), right to
//! about one in a hundred.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use amphi_mux::{RUNGS_MAX, Rendition};
use rand::Rng;

/// Who has not asked for a playlist for that long no longer watches. Players ask every part or every segment (4 s).
const MEMORY: Duration = Duration::from_secs(10);

/// Viewers of one broadcast that are told apart: some 1.5 MB.
const KEPT_MAX: usize = 16_384;

/// A crowd above this is counted once a second only: the answer is asked for by every watch page.
const COUNTED_AT_ONCE: usize = 1_024;
const COUNTED_EVERY: Duration = Duration::from_secs(1);

/// Letters of a ticket: eight that are random, and eight that say that we made it.
const TICKET_BYTES: usize = 16;

/// The ticket of who is on stage and looks at what the audience sees: nobody of the audience, and not counted. Who pretends it only
/// makes themselves invisible.
pub const ON_STAGE: &str = "stage";

/// Gives tickets out, and knows its own again.
#[derive(Default)]
pub struct Tickets {
    /// Random, and of this process only.
    key: RandomState,
}

/// One viewer, by a number that is the same for ten seconds of asking and means nothing elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Viewer(u64);

impl Tickets {
    pub fn ticket(&self, room: &str) -> String {
        let random: u32 = rand::rng().random();
        format!("{random:08x}{:08x}", self.seal(room, random))
    }

    /// Who asks: by a ticket that was given out for this room. Players that drop it, and made-up ones, are told apart by
    /// address and program only, so that nobody makes a crowd by making up tickets.
    pub fn viewer(
        &self,
        room: &str,
        ticket: Option<&str>,
        address: Option<IpAddr>,
        agent: &str,
    ) -> Viewer {
        match ticket.filter(|ticket| self.is_ours(room, ticket)) {
            Some(ticket) => Viewer(self.key.hash_one(("ticket", ticket))),
            None => Viewer(self.key.hash_one(("address", address, agent))),
        }
    }

    fn is_ours(&self, room: &str, ticket: &str) -> bool {
        let number = |digits: Option<&str>| u32::from_str_radix(digits?, 16).ok();
        let random = number(ticket.get(..8)).filter(|_| ticket.len() == TICKET_BYTES);
        random.is_some_and(|random| number(ticket.get(8..)) == Some(self.seal(room, random)))
    }

    fn seal(&self, room: &str, random: u32) -> u32 {
        (self.key.hash_one(("seal", room, random)) >> 32) as u32
    }
}

/// How many watch, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Audience {
    pub viewers: usize,
    /// Of them those who hear only.
    pub audio: usize,
    /// Of them those who see this rung of the ladder, the top one first.
    pub video: [usize; RUNGS_MAX as usize],
}

impl Audience {
    /// What is watched by anybody, and by how many.
    pub fn by_rendition(&self) -> impl Iterator<Item = (Rendition, usize)> {
        let rungs = self.video.iter().enumerate();
        let video = rungs.map(|(rung, viewers)| (Rendition::of_rung(rung as u8), *viewers));
        let all = video.chain([(Rendition::Audio, self.audio)]);
        all.filter(|(_, viewers)| *viewers > 0)
    }
}

impl std::ops::AddAssign for Audience {
    fn add_assign(&mut self, other: Self) {
        self.viewers += other.viewers;
        self.audio += other.audio;
        for (rung, more) in self.video.iter_mut().zip(other.video) {
            *rung += more;
        }
    }
}

#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    /// The rung whose playlist was asked for last, and when.
    picture: Option<(u8, Instant)>,
}

/// The viewers of one broadcast.
pub struct Viewers {
    seen: HashMap<Viewer, Seen>,
    kept_max: usize,
    /// Only viewers whose number begins with so many zero bits are kept.
    level: u32,
    /// Until when viewers may be missing that the level before kept out.
    thin_until: Option<Instant>,
    counted: Option<(Instant, Audience)>,
}

impl Default for Viewers {
    fn default() -> Self {
        Self::keeping(KEPT_MAX)
    }
}

impl Viewers {
    fn keeping(kept_max: usize) -> Self {
        Self {
            seen: HashMap::new(),
            kept_max,
            level: 0,
            thin_until: None,
            counted: None,
        }
    }

    /// Somebody asked for the playlist of a rendition. False when it is not kept, because the count is an estimate.
    pub fn saw(&mut self, now: Instant, viewer: Viewer, rendition: Rendition) -> bool {
        if !is_kept(viewer, self.level) {
            return false;
        }
        let seen = self.seen.entry(viewer).or_insert(Seen {
            at: now,
            picture: None,
        });
        seen.at = now;
        match rendition {
            Rendition::Video => seen.picture = Some((0, now)),
            Rendition::Lower { rung } => seen.picture = Some((rung, now)),
            Rendition::Audio | Rendition::Opus | Rendition::Captions => {}
        }
        if self.seen.len() > self.kept_max {
            self.forget(now);
        }
        while self.seen.len() > self.kept_max {
            self.level += 1;
            self.thin_until = None;
            let level = self.level;
            self.seen.retain(|viewer, _| is_kept(*viewer, level));
        }
        true
    }

    pub fn count(&mut self, now: Instant) -> Audience {
        if let Some((at, audience)) = self.counted
            && self.seen.len() > COUNTED_AT_ONCE
            && now.duration_since(at) < COUNTED_EVERY
        {
            return audience;
        }
        self.forget(now);
        let audience = self.add_up(now);
        if self.level > 0 && self.thin_until.is_none() && self.seen.len() < self.kept_max / 4 {
            self.level -= 1;
            self.thin_until = Some(now + MEMORY);
        }
        self.counted = Some((now, audience));
        audience
    }

    fn forget(&mut self, now: Instant) {
        self.seen
            .retain(|_, seen| now.duration_since(seen.at) < MEMORY);
        self.thin_until = self.thin_until.filter(|until| now < *until);
    }

    fn add_up(&self, now: Instant) -> Audience {
        // After the level fell, those whom it let in are not all back yet.
        let level = self.level + u32::from(self.thin_until.is_some());
        let mut audience = Audience::default();
        let seen = self.seen.iter();
        for (_, seen) in seen.filter(|(viewer, _)| is_kept(**viewer, level)) {
            let picture = seen
                .picture
                .filter(|(_, at)| now.duration_since(*at) < MEMORY);
            let place = match picture {
                Some((rung, _)) => audience.video.get_mut(usize::from(rung)),
                None => Some(&mut audience.audio),
            };
            // A rung beyond the ladder has no playlist that could have been asked for.
            if let Some(place) = place {
                *place += 1 << level;
                audience.viewers += 1 << level;
            }
        }
        audience
    }
}

fn is_kept(viewer: Viewer, level: u32) -> bool {
    viewer.0.leading_zeros() >= level
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    /// A viewer whose number is as good as random.
    fn viewer(tickets: &Tickets, number: usize) -> Viewer {
        tickets.viewer("hall", None, None, &number.to_string())
    }

    #[test]
    fn viewers_are_told_apart_by_ticket_and_else_by_address_and_program() {
        let tickets = Tickets::default();
        let (ada, bo) = (tickets.ticket("hall"), tickets.ticket("hall"));
        let of = |ticket: Option<&str>, agent: &str| tickets.viewer("hall", ticket, HOME, agent);
        assert_ne!(of(Some(&ada), "x"), of(Some(&bo), "x"));
        assert_eq!(of(Some(&ada), "x"), of(Some(&ada), "y"));
        assert_ne!(of(None, "x"), of(None, "y"));
        assert_ne!(of(None, "x"), of(Some(&ada), "x"));
    }

    #[test]
    fn a_made_up_ticket_and_one_of_another_room_are_no_ticket() {
        let tickets = Tickets::default();
        let theirs = tickets.ticket("cellar");
        let nobody = tickets.viewer("hall", None, HOME, "x");
        let long = "a".repeat(99);
        for ticket in [
            "",
            "viewer7",
            "0000000000000000",
            "ffffffff+fffffff",
            "ééééééééé",
            &long,
            &theirs,
        ] {
            assert_eq!(
                tickets.viewer("hall", Some(ticket), HOME, "x"),
                nobody,
                "{ticket}"
            );
        }
    }

    #[test]
    fn who_asks_for_the_picture_counts_there_and_who_only_hears_as_sound() {
        let (tickets, mut viewers, now) = (Tickets::default(), Viewers::default(), Instant::now());
        let [ada, bo] = [viewer(&tickets, 1), viewer(&tickets, 2)];
        viewers.saw(now, ada, Rendition::Audio);
        viewers.saw(now, ada, Rendition::Video);
        viewers.saw(now, bo, Rendition::Audio);
        let audience = viewers.count(now);
        let by: Vec<_> = audience.by_rendition().collect();
        assert_eq!(by, [(Rendition::Video, 1), (Rendition::Audio, 1)]);
        assert_eq!(audience.viewers, 2);
        // Another quality: still one viewer.
        let lower = Rendition::Lower { rung: 2 };
        viewers.saw(now, ada, lower);
        let by: Vec<_> = viewers.count(now).by_rendition().collect();
        assert_eq!(by, [(lower, 1), (Rendition::Audio, 1)]);
        // The picture is left alone for ten seconds: it is sound only.
        let later = now + MEMORY;
        viewers.saw(later, ada, Rendition::Audio);
        let by: Vec<_> = viewers.count(later).by_rendition().collect();
        assert_eq!(by, [(Rendition::Audio, 1)]);
    }

    #[test]
    fn who_has_not_asked_for_ten_seconds_no_longer_watches() {
        let (tickets, mut viewers, now) = (Tickets::default(), Viewers::default(), Instant::now());
        viewers.saw(now, viewer(&tickets, 1), Rendition::Audio);
        let soon = now + MEMORY - Duration::from_millis(1);
        assert_eq!(viewers.count(soon).viewers, 1);
        assert_eq!(viewers.count(now + MEMORY).viewers, 0);
        assert!(viewers.seen.is_empty(), "nothing is remembered");
    }

    #[test]
    fn a_crowd_beyond_the_bound_is_estimated_and_one_that_goes_is_counted_again() {
        const CROWD: usize = 100_000;
        let tickets = Tickets::default();
        let mut viewers = Viewers::keeping(4_096);
        let start = Instant::now();
        let mut kept_out = 0;
        for number in 0..CROWD {
            kept_out +=
                usize::from(!viewers.saw(start, viewer(&tickets, number), Rendition::Video));
            assert!(viewers.seen.len() <= 4_096);
        }
        let near = |viewers: usize, of: usize| (viewers as f64 / of as f64 - 1.0).abs() < 0.1;
        let audience = viewers.count(start);
        assert!(near(audience.viewers, CROWD), "{audience:?}");
        assert!(near(audience.video[0], CROWD) && kept_out > CROWD / 2);
        // All but 500 go; those ask every second. Of the crowd one in 32 was remembered, so that for a while some 16 stand for them.
        for second in 1..120 {
            let now = start + Duration::from_secs(second);
            for number in 0..500 {
                viewers.saw(now, viewer(&tickets, number), Rendition::Video);
            }
            let audience = viewers.count(now);
            if second > 11 {
                assert!(
                    (50..1_300).contains(&audience.viewers),
                    "{second}: {audience:?}"
                );
            }
        }
        assert_eq!(viewers.count(start + Duration::from_secs(119)).viewers, 500);
    }

    #[test]
    fn a_big_crowd_is_counted_once_a_second_only() {
        let (tickets, mut viewers, now) = (Tickets::default(), Viewers::default(), Instant::now());
        for number in 0..COUNTED_AT_ONCE + 1 {
            viewers.saw(now, viewer(&tickets, number), Rendition::Video);
        }
        let first = viewers.count(now);
        viewers.saw(now, viewer(&tickets, usize::MAX), Rendition::Video);
        assert_eq!(viewers.count(now), first);
        let later = viewers.count(now + COUNTED_EVERY);
        assert_eq!(later.viewers, first.viewers + 1);
    }
}
