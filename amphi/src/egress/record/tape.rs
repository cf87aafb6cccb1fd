use std::io;
use std::time::{Duration, Instant};

use amphi_media::MediaTime;
use amphi_mux::Output;
use amphi_mux::recording::{Chunk, HEADER_BYTES, Place, Writer};
use bytes::Bytes;

use super::disk::{Disk, Sync};

/// How long a disk that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Opens the disk, anew after every failure to do so.
pub type Open = Box<dyn FnMut() -> io::Result<Box<dyn Disk>> + Send>;

/// What a tape's file looks like.
pub trait Form: Send {
    type Piece;

    fn push(&mut self, piece: &Self::Piece);

    /// Nothing comes any more: what is held back is to be written.
    fn flush(&mut self);

    fn poll(&mut self) -> Option<Chunk>;

    /// `chunk` could not be written, nor will be those that are still to be polled.
    fn lost(&mut self, chunk: &Chunk);

    /// From when to when on the programme clock the piece lasts. None for what has no time, which is pushed also while the disk
    /// is left alone.
    fn span(piece: &Self::Piece) -> Option<(MediaTime, MediaTime)>;
}

/// The program itself.
impl Form for Writer {
    type Piece = Output;

    fn push(&mut self, output: &Output) {
        Writer::push(self, output);
    }

    fn flush(&mut self) {}

    fn poll(&mut self) -> Option<Chunk> {
        Writer::poll(self)
    }

    fn lost(&mut self, chunk: &Chunk) {
        Writer::lost(self, chunk);
    }

    fn span(output: &Output) -> Option<(MediaTime, MediaTime)> {
        let Output::Part(part) = output else {
            return None;
        };
        let end = MediaTime::new(part.time.ticks + part.duration.ticks, part.time.rate);
        Some((part.time, end))
    }
}

/// One file on one disk that may fail at any time.
///
/// Whatever fails, the file is cut back to the last whole piece (if that fails too, before the next write), and the
/// recording goes on where its form can, no sooner than [`RETRY_AFTER`]. Only the disk takes time here; nothing is kept
/// that could not be written.
///
/// Syncs are run by whoever holds the tape, on another thread, since a busy disk takes a second over one and a kill must not
/// cost what waits behind it: **run what [`Tape::begin_sync`] gives, and say [`Tape::end_sync`] what came of it.**
pub struct Tape<F: Form = Writer> {
    writer: F,
    open: Open,
    /// How long something written may wait for its sync to begin.
    sync_after: Duration,
    disk: Option<Box<dyn Disk>>,
    /// All whole; beyond it there may be torn bytes.
    length: u64,
    torn: bool,
    /// What of it was synced.
    synced: u64,
    /// The header was written since the last sync began.
    header_unsynced: bool,
    unsynced_since: Option<Instant>,
    syncing: Option<Syncing>,
    /// The disk failed, and is not tried again before this.
    retry_at: Option<Instant>,
    last_error: String,
    last_kind: io::ErrorKind,
    io_errors: u64,
    gaps: u64,
    begin: Option<MediaTime>,
    duration: Duration,
}

/// What a sync that is under way covers.
#[derive(Clone, Copy, Debug)]
struct Syncing {
    length: u64,
    header: bool,
}

impl<F: Form> Tape<F> {
    /// `sync_after`: how long something written may wait for its sync to begin.
    pub fn new(writer: F, open: Open, sync_after: Duration) -> Self {
        Self {
            writer,
            open,
            sync_after,
            disk: None,
            length: 0,
            torn: false,
            synced: 0,
            header_unsynced: false,
            unsynced_since: None,
            syncing: None,
            retry_at: None,
            last_error: String::new(),
            last_kind: io::ErrorKind::Other,
            io_errors: 0,
            gaps: 0,
            begin: None,
            duration: Duration::ZERO,
        }
    }

    pub fn push(&mut self, now: Instant, piece: &F::Piece) {
        let span = F::span(piece);
        if span.is_some() && self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.writer.push(piece);
        self.write_what_is_due(now, span);
    }

    fn write_what_is_due(&mut self, now: Instant, span: Option<(MediaTime, MediaTime)>) {
        while let Some(chunk) = self.writer.poll() {
            if let Err(error) = self.write(&chunk) {
                return self.fail(now, &error, &chunk);
            }
            self.unsynced_since.get_or_insert(now);
            if let (Place::Append, Some((time, end))) = (chunk.place, span) {
                self.retry_at = None;
                let begin = *self.begin.get_or_insert(time);
                let lasted = end.to_duration().saturating_sub(begin.to_duration());
                self.duration = self.duration.max(lasted);
            }
        }
    }

    pub fn form(&mut self) -> &mut F {
        &mut self.writer
    }

    /// Something of the program did not come.
    pub fn miss(&mut self) {
        self.gaps += u64::from(self.length > 0 && self.retry_at.is_none());
        self.writer.lost(&nothing(Place::Append));
    }

    /// When the next sync may begin: never while one is under way.
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since
            .filter(|_| self.syncing.is_none())
            .map(|since| since + self.sync_after)
    }

    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// The sync that is due, to be run elsewhere.
    pub fn begin_sync(&mut self, now: Instant) -> Option<Sync> {
        if self.sync_due().is_none_or(|due| now < due) {
            return None;
        }
        self.take_sync()
    }

    /// What came of the sync that was begun.
    pub fn end_sync(&mut self, now: Instant, result: io::Result<()>) {
        let Some(syncing) = self.syncing.take() else {
            return;
        };
        match result {
            Ok(()) => self.synced = self.synced.max(syncing.length),
            // The system may have thrown away what it could not write (fsync(2)), so nothing since the last sync counts.
            Err(error) => {
                self.length = self.synced;
                let lost = if syncing.header || self.header_unsynced {
                    Place::Header
                } else {
                    Place::Append
                };
                self.unsynced_since = None;
                self.fail(now, &error, &nothing(lost));
            }
        }
    }

    /// Nothing comes any more, and no sync is under way: the last one is made here.
    pub fn finish(&mut self, now: Instant) {
        self.writer.flush();
        self.write_what_is_due(now, None);
        if let Some(sync) = self.take_sync() {
            self.end_sync(now, sync());
        }
        if self.torn {
            // Who reads the file does not mind a torn end.
            let _ = self.cut_back();
        }
    }

    /// Length of the file, torn end not counted.
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// Something is safely in the file.
    pub fn is_begun(&self) -> bool {
        self.synced > 0
    }

    /// Programme time of the first part in it.
    pub fn begin(&self) -> Option<MediaTime> {
        self.begin
    }

    pub fn duration(&self) -> Duration {
        self.duration
    }

    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    pub fn io_errors(&self) -> u64 {
        self.io_errors
    }

    pub fn is_failing(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Why nothing can be written at present.
    pub fn trouble(&self) -> Option<io::ErrorKind> {
        self.is_failing().then_some(self.last_kind)
    }

    pub fn last_error(&self) -> &str {
        &self.last_error
    }

    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        if self.disk.is_none() {
            self.disk = Some((self.open)()?);
        }
        if self.torn {
            self.cut_back()?;
        }
        let disk = self.disk.as_mut().expect("it was just opened");
        match chunk.place {
            Place::Header => {
                disk.write_at(0, &chunk.bytes)?;
                self.header_unsynced = true;
                self.length = self.length.max(HEADER_BYTES as u64);
            }
            Place::Append => {
                disk.write_at(self.length, &chunk.bytes)?;
                self.length += chunk.bytes.len() as u64;
            }
        }
        Ok(())
    }

    fn take_sync(&mut self) -> Option<Sync> {
        self.unsynced_since.take()?;
        let sync = self.disk.as_ref()?.sync();
        self.syncing = Some(Syncing {
            length: self.length,
            header: std::mem::take(&mut self.header_unsynced),
        });
        Some(sync)
    }

    fn fail(&mut self, now: Instant, error: &io::Error, chunk: &Chunk) {
        self.io_errors += 1;
        self.last_error = error.to_string();
        self.last_kind = error.kind();
        // A retry that fails is still the same gap.
        self.gaps += u64::from(self.retry_at.is_none());
        self.writer.lost(chunk);
        self.retry_at = Some(now + RETRY_AFTER);
        if self.disk.is_some() {
            self.torn = true;
            // Now if possible: a full disk can be cut. Else before the next write.
            let _ = self.cut_back();
        }
    }

    fn cut_back(&mut self) -> io::Result<()> {
        if let Some(disk) = &mut self.disk {
            disk.truncate(self.length)?;
        }
        self.torn = false;
        Ok(())
    }
}

/// For the writer, when what is lost has no bytes any more.
fn nothing(place: Place) -> Chunk {
    Chunk {
        place,
        bytes: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use amphi_media::Codec;
    use amphi_mux::recording::{Scan, TrackFrame, TrackWriter, scan};

    use super::super::timeline::{Event, Line, Lines};
    use super::*;
    use crate::codec::film;

    /// What is on a disk, and which of the next operations fail.
    #[derive(Default)]
    struct Platter {
        bytes: Vec<u8>,
        synced: Vec<u8>,
        operations: u32,
        failing: std::ops::Range<u32>,
        /// Every so many-th operation fails, as these dice fall.
        dice: Option<Dice>,
        /// Nothing can be opened, written or cut.
        read_only: bool,
        /// Space; writes beyond it are cut short.
        room: Option<usize>,
        opened: u32,
    }

    impl Platter {
        fn operate(&mut self) -> io::Result<()> {
            self.operations += 1;
            if self.failing.contains(&(self.operations - 1)) {
                return Err(io::Error::other("made to fail"));
            }
            let Some(dice) = &mut self.dice else {
                return Ok(());
            };
            match dice.below(FAILS_OF) {
                0 => Err(dice.error()),
                _ => Ok(()),
            }
        }

        /// As [`Platter::operate`], of what changes the file.
        fn change(&mut self) -> io::Result<()> {
            self.operate()?;
            match self.read_only {
                true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
                false => Ok(()),
            }
        }

        /// How much of a write that fails is there afterwards.
        fn torn(&mut self, length: usize) -> usize {
            match &mut self.dice {
                Some(dice) => dice.below(length as u64 + 1) as usize,
                None => length / 2,
            }
        }
    }

    /// One of so many operations fails, where dice decide.
    const FAILS_OF: u64 = 12;

    /// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    struct Dice(u64);

    impl Dice {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }

        fn error(&mut self) -> io::Error {
            let kinds = [
                io::ErrorKind::Other,
                io::ErrorKind::StorageFull,
                io::ErrorKind::ReadOnlyFilesystem,
                io::ErrorKind::TimedOut,
            ];
            kinds[self.below(kinds.len() as u64) as usize].into()
        }
    }

    #[derive(Clone, Default)]
    struct FaultyDisk(Arc<Mutex<Platter>>);

    impl FaultyDisk {
        fn platter(&self) -> std::sync::MutexGuard<'_, Platter> {
            self.0.lock().expect("no panic while held")
        }

        fn opener(&self) -> Open {
            let disk = self.clone();
            Box::new(move || {
                disk.platter().change()?;
                disk.platter().opened += 1;
                Ok(Box::new(disk.clone()))
            })
        }

        fn scan(&self) -> Scan {
            scan(self.platter().bytes.as_slice())
        }
    }

    impl Disk for FaultyDisk {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            let mut platter = self.platter();
            let failed = platter.change();
            let room = platter
                .room
                .map_or(usize::MAX, |room| room.saturating_sub(offset as usize));
            let whole = match failed {
                Err(_) => platter.torn(bytes.len()),
                Ok(()) => bytes.len(),
            };
            let taken = whole.min(room);
            let end = offset as usize + taken;
            if platter.bytes.len() < end {
                platter.bytes.resize(end, 0);
            }
            platter.bytes[offset as usize..end].copy_from_slice(&bytes[..taken]);
            failed?;
            match taken == bytes.len() {
                true => Ok(()),
                false => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn truncate(&mut self, length: u64) -> io::Result<()> {
            let mut platter = self.platter();
            platter.change()?;
            platter.bytes.truncate(length as usize);
            Ok(())
        }

        /// A sync that fails loses what was not synced, as Linux may.
        fn sync(&self) -> Sync {
            let disk = self.clone();
            Box::new(move || {
                let mut platter = disk.platter();
                match platter.operate() {
                    Ok(()) => platter.synced = platter.bytes.clone(),
                    Err(error) => {
                        platter.bytes = platter.synced.clone();
                        return Err(error);
                    }
                }
                Ok(())
            })
        }
    }

    fn tape(disk: &FaultyDisk) -> Tape {
        Tape::new(Writer::new(0), disk.opener(), Duration::from_millis(200))
    }

    /// A disk whose sync is done as soon as it is begun.
    fn sync_if_due<F: Form>(tape: &mut Tape<F>, now: Instant) {
        if let Some(sync) = tape.begin_sync(now) {
            tape.end_sync(now, sync());
        }
    }

    /// Records what happens three times a second.
    fn feed(
        tape: &mut Tape,
        start: Instant,
        outputs: &[Output],
        mut at_part: impl FnMut(usize),
    ) -> Instant {
        let mut now = start;
        for (index, output) in outputs.iter().enumerate() {
            at_part(index);
            if let Output::Part(part) = output {
                let at = start + part.time.to_duration();
                while now < at {
                    now += Duration::from_millis(50);
                    sync_if_due(tape, now);
                }
            }
            tape.push(now, output);
        }
        now
    }

    fn parts(outputs: &[Output]) -> usize {
        outputs
            .iter()
            .filter(|output| matches!(output, Output::Part(_)))
            .count()
    }

    #[test]
    fn all_parts_are_in_the_file_and_synced_in_time() {
        let outputs = film::packaged(6);
        let disk = FaultyDisk::default();
        let mut tape = tape(&disk);
        let start = Instant::now();
        let mut worst = Duration::ZERO;
        let mut written = 0;
        let mut oldest = None;
        let mut now = start;
        for output in &outputs {
            if let Output::Part(part) = output {
                while now < start + part.time.to_duration() {
                    now += Duration::from_millis(10);
                    sync_if_due(&mut tape, now);
                    let platter = disk.platter();
                    if platter.synced.len() == platter.bytes.len() {
                        oldest = None;
                    }
                    worst = worst.max(oldest.map_or(Duration::ZERO, |since| now - since));
                }
            }
            tape.push(now, output);
            let length = disk.platter().bytes.len();
            if length > written {
                written = length;
                oldest = oldest.or(Some(now));
            }
        }
        tape.finish(now);
        assert!(
            worst > Duration::ZERO && worst <= Duration::from_millis(210),
            "{worst:?} unsynced"
        );
        let scan = disk.scan();
        assert_eq!(scan.fragments.len(), parts(&outputs));
        assert_eq!((scan.gaps(), tape.gaps(), tape.io_errors()), (0, 0, 0));
        assert!(scan.duration().abs_diff(tape.duration()) < Duration::from_millis(2));
        assert_eq!(disk.platter().synced.len() as u64, tape.bytes());
    }

    /// Every operation on the disk fails once, alone and with the two after it: opening, each write, sync, cut.
    #[test]
    fn whichever_operation_fails_the_file_stays_whole_and_goes_on_at_a_key_frame() {
        let outputs = film::packaged(10);
        let start = Instant::now();
        let mut gaps_seen = 0;
        for length in [1, 3] {
            for first in 0..45 {
                let disk = FaultyDisk::default();
                disk.platter().failing = first..first + length;
                let mut tape = tape(&disk);
                let end = feed(&mut tape, start, &outputs, |_| {});
                tape.finish(end);
                let scan = disk.scan();
                let context = format!("operations {first}..{} fail", first + length);
                assert!(
                    disk.platter().operations > first,
                    "{context}: it did happen"
                );
                assert!(tape.io_errors() >= 1, "{context}");
                assert!(scan.playable, "{context}");
                assert_eq!(
                    scan.good_bytes,
                    disk.platter().bytes.len() as u64,
                    "{context}: nothing torn is left"
                );
                assert_eq!(scan.good_bytes, tape.bytes(), "{context}");
                assert!(
                    scan.fragments.len() * 3 > parts(&outputs),
                    "{context}: it went on"
                );
                assert!(
                    u64::from(scan.gaps()) <= tape.gaps() && tape.gaps() <= 2,
                    "{context}"
                );
                gaps_seen += scan.gaps();
                for (index, fragment) in scan.fragments.iter().enumerate().skip(1) {
                    if fragment.mark != scan.fragments[index - 1].mark {
                        assert!(fragment.key, "{context}: it goes on at a key frame");
                    }
                }
            }
        }
        assert!(gaps_seen > 40, "{gaps_seen} gaps were marked");
    }

    #[test]
    fn a_full_disk_is_one_gap_and_is_tried_about_once_a_second() {
        let outputs = film::packaged(12);
        let disk = FaultyDisk::default();
        let mut tape = tape(&disk);
        let start = Instant::now();
        let (full_from, full_to) = (outputs.len() / 4, outputs.len() * 3 / 4);
        let full = disk.clone();
        let operations = std::cell::Cell::new((0, 0));
        let end = feed(&mut tape, start, &outputs, |index| {
            let mut platter = full.platter();
            if index == full_from {
                platter.room = Some(platter.bytes.len() + 100);
                operations.set((platter.operations, 0));
            } else if index == full_to {
                platter.room = None;
                operations.set((operations.get().0, platter.operations));
            }
        });
        tape.finish(end);
        let scan = disk.scan();
        assert_eq!((scan.gaps(), tape.gaps()), (1, 1));
        assert_eq!(scan.good_bytes, disk.platter().bytes.len() as u64);
        let (from, to) = operations.get();
        // Half of 12 s: at most one write and one cut a second, and the syncs before.
        assert!(to - from <= 16, "{} operations", to - from);
        assert!(!tape.is_failing());
        assert!(
            scan.duration() > Duration::from_secs(11),
            "the time of the gap is kept"
        );
        assert!(scan.fragments.len() < parts(&outputs) * 3 / 4);
    }

    #[test]
    fn a_disk_that_becomes_read_only_is_one_gap_that_says_so_until_it_may_be_written_again() {
        let outputs = film::packaged(12);
        let disk = FaultyDisk::default();
        let mut tape = tape(&disk);
        let mut now = Instant::now();
        let start = now;
        let mut troubles = Vec::new();
        for (index, output) in outputs.iter().enumerate() {
            let quarter = index * 4 / outputs.len();
            disk.platter().read_only = (1..3).contains(&quarter);
            if let Output::Part(part) = output {
                now = start + part.time.to_duration();
                sync_if_due(&mut tape, now);
            }
            tape.push(now, output);
            troubles.extend(tape.trouble());
        }
        tape.finish(now);
        let scan = disk.scan();
        assert!(troubles.len() > 10 && !tape.is_failing());
        assert!(
            troubles
                .iter()
                .all(|kind| *kind == io::ErrorKind::ReadOnlyFilesystem),
            "{troubles:?}"
        );
        assert_eq!((scan.gaps(), tape.gaps()), (1, 1));
        assert_eq!(scan.good_bytes, disk.platter().bytes.len() as u64);
        assert!(scan.duration() > Duration::from_secs(11));
    }

    /// Operations fail as a seed says, each in its way, writes leave any part of themselves, space runs out and comes back, and
    /// syncs take up to a second and a half. Whatever is acknowledged plays if the power fails then; when the disk is well
    /// again the file is whole and goes on.
    #[test]
    fn whatever_fails_in_whatever_order_what_was_acknowledged_plays() {
        const SEEDS: u64 = 200;
        /// The disk is well from then on.
        const WELL_AT: Duration = Duration::from_secs(8);
        let outputs = film::recorded(12);
        let start = Instant::now();
        let (mut errors, mut gaps, mut cuts) = (0, 0, 0);
        for seed in 0..SEEDS {
            let mut dice = Dice(seed);
            let disk = FaultyDisk::default();
            disk.platter().dice = Some(Dice(dice.next()));
            let mut tape = tape(&disk);
            let mut now = start;
            let mut syncing: Option<(Instant, Sync)> = None;
            for output in &outputs {
                if let Output::Part(part) = output {
                    now = now.max(start + part.time.to_duration());
                }
                if now - start >= WELL_AT {
                    let mut platter = disk.platter();
                    (platter.dice, platter.room) = (None, None);
                } else if dice.below(40) == 0 {
                    let mut platter = disk.platter();
                    platter.room = match platter.room {
                        Some(_) => None,
                        None => Some(platter.bytes.len() + dice.below(20_000) as usize),
                    };
                }
                if let Some((_, sync)) = syncing.take_if(|(done, _)| *done <= now) {
                    tape.end_sync(now, sync());
                }
                tape.push(now, output);
                if let Some(sync) = tape.begin_sync(now) {
                    let takes = Duration::from_millis(dice.below(1_500));
                    // It covers what was written when it began, or also what was written since.
                    let sync: Sync = match dice.below(2) {
                        0 => {
                            let result = sync();
                            Box::new(move || result)
                        }
                        _ => sync,
                    };
                    syncing = Some((now + takes, sync));
                }
                assert_eq!(tape.trouble().is_some(), tape.is_failing(), "seed {seed}");
                // The power fails: what is left is what was synced.
                let platter = disk.platter();
                let left = scan(platter.synced.as_slice());
                assert!(
                    left.good_bytes >= tape.synced && (tape.synced == 0 || left.playable),
                    "seed {seed} at {:?}: {} of {} bytes, {left:?}",
                    now - start,
                    tape.synced,
                    platter.synced.len()
                );
                cuts += 1;
            }
            if let Some((_, sync)) = syncing {
                tape.end_sync(now, sync());
            }
            tape.finish(now);
            let (scan, context) = (disk.scan(), format!("seed {seed}"));
            assert!(scan.playable && !tape.is_failing(), "{context}");
            let length = disk.platter().bytes.len() as u64;
            assert_eq!(
                (scan.good_bytes, tape.bytes()),
                (length, length),
                "{context}"
            );
            let platter = disk.platter();
            assert!(platter.synced == platter.bytes, "{context}");
            assert!(u64::from(scan.gaps()) <= tape.gaps(), "{context}");
            assert!(scan.duration() > Duration::from_secs(11), "{context}");
            for pair in scan.fragments.windows(2) {
                let goes_on = pair[0].mark == pair[1].mark || pair[1].key;
                assert!(goes_on, "{context}: it goes on at a key frame");
            }
            errors += tape.io_errors();
            gaps += scan.gaps();
        }
        println!("{errors} errors, {gaps} gaps, power cut at {cuts} moments");
        assert!(errors > SEEDS && u64::from(gaps) > SEEDS);
    }

    #[test]
    fn a_disk_that_never_works_costs_nothing_but_the_recording() {
        let outputs = film::packaged(4);
        let disk = FaultyDisk::default();
        disk.platter().failing = 0..u32::MAX;
        let mut tape = tape(&disk);
        let end = feed(&mut tape, Instant::now(), &outputs, |_| {});
        tape.finish(end);
        assert_eq!(
            (tape.bytes(), tape.gaps(), disk.platter().opened),
            (0, 1, 0)
        );
        assert!(
            (2..=4).contains(&tape.io_errors()),
            "{} tries",
            tape.io_errors()
        );
        assert!(!tape.is_begun());
    }

    #[test]
    fn what_the_program_did_not_wait_for_is_a_gap() {
        let outputs = film::packaged(6);
        let disk = FaultyDisk::default();
        let mut tape = tape(&disk);
        let start = Instant::now();
        let (before, after) = outputs.split_at(outputs.len() / 2);
        feed(&mut tape, start, before, |_| {});
        tape.miss();
        let end = feed(&mut tape, start, after, |_| {});
        tape.finish(end);
        assert_eq!((disk.scan().gaps(), tape.gaps()), (1, 1));
    }

    /// The disk takes a second for each sync, and fails the second one.
    #[test]
    fn what_is_written_while_a_sync_takes_long_is_in_the_file_and_is_lost_with_a_sync_that_fails() {
        let outputs = film::packaged(8);
        let disk = FaultyDisk::default();
        let mut tape = tape(&disk);
        let start = Instant::now();
        let mut under_way: Option<(Instant, Sync)> = None;
        let (mut begun, mut longest_wait) = (0, 0);
        let mut now = start;
        for output in &outputs {
            if let Output::Part(part) = output {
                now = now.max(start + part.time.to_duration());
            }
            if let Some((done, sync)) = under_way.take_if(|(done, _)| *done <= now) {
                let _ = done;
                let before = disk.platter().bytes.len();
                let result = match begun {
                    2 => {
                        let mut platter = disk.platter();
                        platter.bytes = platter.synced.clone();
                        Err(io::Error::other("made to fail"))
                    }
                    _ => sync(),
                };
                let failed = result.is_err();
                tape.end_sync(now, result);
                assert_eq!(
                    failed,
                    disk.platter().bytes.len() < before,
                    "only what was synced is left after a failure"
                );
                assert_eq!(tape.is_failing(), failed);
            }
            let before = disk.platter().bytes.len();
            tape.push(now, output);
            if under_way.is_some() {
                assert!(tape.begin_sync(now).is_none(), "one at a time");
                longest_wait += usize::from(disk.platter().bytes.len() > before);
            } else if let Some(sync) = tape.begin_sync(now) {
                begun += 1;
                under_way = Some((now + Duration::from_secs(1), sync));
            }
        }
        assert!(
            longest_wait > 6,
            "parts went in beside a sync: {longest_wait}"
        );
        assert!(begun >= 4, "{begun} syncs");
        if let Some((_, sync)) = under_way {
            tape.end_sync(now, sync());
        }
        tape.finish(now);
        let scan = disk.scan();
        assert_eq!((scan.gaps(), tape.gaps(), tape.io_errors()), (1, 1, 1));
        assert_eq!(scan.good_bytes, tape.bytes());
        let platter = disk.platter();
        assert_eq!(platter.synced, platter.bytes);
        assert!(scan.duration() > Duration::from_secs(7));
    }

    /// As above, of a member's track and of the timeline: every operation fails once, alone and with the two after it.
    #[test]
    fn whichever_operation_fails_a_track_and_a_timeline_stay_whole_and_go_on() {
        let start = Instant::now();
        for length in [1, 3] {
            for first in 0..30 {
                let failing = first..first + length;
                let disk = FaultyDisk::default();
                disk.platter().failing = failing.clone();
                let writer = TrackWriter::new(Codec::Vp8, b"Bo").expect("it is carried");
                let mut track = Tape::new(writer, disk.opener(), Duration::from_millis(200));
                let mut now = start;
                for n in 0..250_i64 {
                    now += Duration::from_millis(40);
                    sync_if_due(&mut track, now);
                    track.push(now, &picture(n));
                }
                track.finish(now);
                let bytes = disk.platter().bytes.clone();
                assert_eq!(bytes.len() as u64, track.bytes(), "{failing:?}");
                let whole = boxes(&bytes).expect("only whole boxes");
                assert!(whole > 30, "{failing:?}: {whole} boxes");
                let about = amphi_mux::recording::about(&bytes[..]).expect("a head");
                assert_eq!(about.note, b"Bo", "{failing:?}");
                assert!(track.io_errors() >= 1, "{failing:?}");

                let disk = FaultyDisk::default();
                disk.platter().failing = failing.clone();
                let mut lines =
                    Tape::new(Lines::default(), disk.opener(), Duration::from_millis(200));
                let mut now = start;
                for ms in 0..200 {
                    now += Duration::from_millis(50);
                    sync_if_due(&mut lines, now);
                    let event = Event::Left { member: 1 };
                    lines.push(now, &Line { ms: ms * 50, event });
                }
                lines.finish(now);
                let text = String::from_utf8(disk.platter().bytes.clone()).expect("text");
                assert!(text.ends_with('\n'), "{failing:?}");
                for line in text.lines() {
                    serde_json::from_str::<Line>(line).expect("a whole line");
                }
                let count = text.lines().count();
                assert!((100..=201).contains(&count), "{failing:?}: {count}");
            }
        }
    }

    /// 640×360 in VP8, a key frame each second (RFC 6386 §9.1).
    fn picture(n: i64) -> TrackFrame {
        let key = n % 25 == 0;
        let data = match key {
            true => vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 9],
            false => vec![0x11, 1, 2, 3],
        };
        TrackFrame {
            time: MediaTime::new(n * 40, 1_000),
            key,
            contiguous: true,
            size: None,
            data: data.into(),
        }
    }

    /// How many boxes there are; none when the last one is cut.
    fn boxes(mut bytes: &[u8]) -> Option<usize> {
        let mut count = 0;
        while !bytes.is_empty() {
            let size = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
            bytes = bytes.get(size as usize..)?;
            count += 1;
        }
        Some(count)
    }
}
