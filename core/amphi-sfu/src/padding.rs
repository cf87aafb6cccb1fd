//! The numbers of a layer's packets, without those that carry nothing.
//!
//! A sender without RTX (LiveKit's native SDKs send H.264 so) probes for bandwidth with packets of nothing but padding on
//! the media's own SSRC, and they use up its sequence numbers (RFC 3550 §5.1). We do not send them on. If their numbers
//! stayed open, everybody behind us would take them for lost: ask for what nobody can send again, wait, and ask for a key
//! frame every few seconds. So they are taken out here, once for all subscribers and for frames.

use std::collections::VecDeque;

/// Most runs of padding that are remembered of one layer. A sender pads in runs of some packets, a few times a second, so
/// this is many seconds; what is repeated later than that is of no use to anybody.
const RUNS_MAX: usize = 128;

/// Numbers of one SSRC never go back as far as this (RFC 3711 §3.3.1); what does begins anew.
const RESTART: u64 = 1 << 15;

#[derive(Clone, Debug, Default)]
pub(crate) struct Numbering {
    /// Oldest first.
    runs: VecDeque<Run>,
    /// Packets before this one cannot be placed any more.
    floor: u64,
    /// Padding in runs that are forgotten.
    forgotten: u64,
    newest: Option<u64>,
}

/// Padding without media between.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    count: u64,
    /// Padding before this run.
    before: u64,
}

impl Numbering {
    /// A packet of padding came. One that is overtaken by media leaves a hole, since what follows it has its number already:
    /// the number of that hole is returned, where it is still known.
    pub(crate) fn skip(&mut self, seq: u64) -> Option<u64> {
        self.restart_at(seq);
        if self.is_late(seq) {
            let is_out =
                |run: &Run| (run.first..run.first.saturating_add(run.count)).contains(&seq);
            return (!self.runs.iter().any(is_out))
                .then(|| self.number(seq))
                .flatten();
        }
        self.newest = Some(seq);
        match self.runs.back_mut() {
            Some(run) if run.first.checked_add(run.count) == Some(seq) => run.count += 1,
            last => {
                let before = last.map_or(self.forgotten, |run| run.before + run.count);
                let count = 1;
                self.runs.push_back(Run {
                    first: seq,
                    count,
                    before,
                });
            }
        }
        if self.runs.len() > RUNS_MAX
            && let Some(run) = self.runs.pop_front()
        {
            self.floor = run.first.saturating_add(run.count);
            self.forgotten = run.before + run.count;
        }
        None
    }

    /// This one, or a later one, was seen before.
    pub(crate) fn is_late(&self, seq: u64) -> bool {
        self.newest.is_some_and(|newest| seq <= newest)
    }

    /// The number of a media packet among media packets. None when it comes too late to say.
    pub(crate) fn number(&mut self, seq: u64) -> Option<u64> {
        self.restart_at(seq);
        self.newest = Some(self.newest.map_or(seq, |newest| newest.max(seq)));
        if seq < self.floor {
            return None;
        }
        let following = self.runs.partition_point(|run| run.first <= seq);
        let padding = match following.checked_sub(1).and_then(|at| self.runs.get(at)) {
            Some(run) => run.before + run.count,
            None => self.forgotten,
        };
        seq.checked_sub(padding)
    }

    /// It goes back too far for a late packet.
    pub(crate) fn restarts_at(&self, seq: u64) -> bool {
        self.newest
            .is_some_and(|newest| newest.saturating_sub(seq) > RESTART)
    }

    fn restart_at(&mut self, seq: u64) {
        if self.restarts_at(seq) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_takes_no_number() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.number(10), Some(10));
        numbering.skip(11);
        numbering.skip(12);
        assert_eq!(numbering.number(13), Some(11));
        numbering.skip(14);
        assert_eq!(numbering.number(15), Some(12));
    }

    #[test]
    fn what_is_repeated_late_gets_the_number_that_was_kept_for_it() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.number(10), Some(10));
        // 11 and 14 are lost at first.
        numbering.skip(12);
        assert_eq!(numbering.number(13), Some(12));
        numbering.skip(15);
        assert_eq!(numbering.number(16), Some(14));
        assert_eq!(numbering.number(14), Some(13));
        assert_eq!(numbering.number(11), Some(11));
    }

    #[test]
    fn no_number_is_too_large() {
        let mut numbering = Numbering::default();
        for seq in [2, u64::MAX, u64::MAX - 1, 3, u64::MAX] {
            numbering.number(seq);
            numbering.skip(seq);
        }
        let many = 2 * RUNS_MAX as u64;
        for behind in (0..many).rev() {
            numbering.skip(u64::MAX - 2 * behind);
        }
        assert!(numbering.runs.len() <= RUNS_MAX);
    }

    #[test]
    fn padding_that_is_overtaken_moves_nobody() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.number(10), Some(10));
        assert_eq!(numbering.number(12), Some(12));
        assert_eq!(numbering.skip(11), Some(11), "the number of the hole");
        assert_eq!(numbering.number(13), Some(13));
    }

    #[test]
    fn only_a_hole_has_a_number_to_close() {
        let mut numbering = Numbering::default();
        numbering.number(10);
        assert_eq!(numbering.skip(12), None, "it is the newest");
        numbering.number(13);
        assert_eq!(numbering.skip(12), None, "it was taken out before");
        assert_eq!(numbering.skip(11), Some(11));
        for seq in (14..14 + 4 * RUNS_MAX as u64).step_by(2) {
            numbering.skip(seq);
            numbering.number(seq + 1);
        }
        assert_eq!(numbering.skip(11), None, "it is too late to say");
    }

    #[test]
    fn only_so_much_padding_is_remembered_and_no_number_is_given_twice() {
        let mut numbering = Numbering::default();
        let mut given = Vec::new();
        let end = 4 * RUNS_MAX as u64;
        for seq in (0..end).step_by(2) {
            given.extend(numbering.number(seq));
            numbering.skip(seq + 1);
        }
        assert!(given.iter().copied().eq(0..end / 2), "{given:?}");
        assert_eq!(numbering.runs.len(), RUNS_MAX);
        assert_eq!(numbering.number(2), None, "it is too late for this one");
        assert_eq!(numbering.number(end), Some(end / 2));
    }

    #[test]
    fn numbers_that_begin_anew_are_not_too_late() {
        let mut numbering = Numbering::default();
        for seq in (100_000..101_000).step_by(2) {
            numbering.number(seq);
            numbering.skip(seq + 1);
        }
        assert_eq!(numbering.number(7), Some(7));
    }
}
