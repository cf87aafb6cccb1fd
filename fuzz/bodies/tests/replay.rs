//! Replays the committed corpora on stable: every seed as it is, and many changed copies of each.

use std::fs;
use std::panic;
use std::path::PathBuf;

use fuzz_bodies::TARGETS;

/// A few numbers at which lengths and counters go wrong.
const EDGES: [u8; 6] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];

#[test]
fn every_seed_and_its_changed_copies_are_read_without_a_panic() {
    for (name, body, copies) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has seeds");
        for (file, seed) in &seeds {
            run(name, *body, seed, file);
            let mut dice = Dice::new(name, file);
            // The same copies in every run, so that a failure is found again.
            for copy in 0..*copies {
                let other = &seeds[dice.below(seeds.len())].1;
                run(
                    name,
                    *body,
                    &changed(seed, other, &mut dice),
                    &format!("{file}, changed copy {copy}"),
                );
            }
        }
    }
}

/// Runs a body; if it panics, says on what.
fn run(name: &str, body: fn(&[u8]), bytes: &[u8], what: &str) {
    let outcome = panic::catch_unwind(|| body(bytes));
    assert!(
        outcome.is_ok(),
        "{name} panicked on {what}: {}",
        bytes.escape_ascii()
    );
}

fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(name);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = files
        .map(|file| {
            let file = file.unwrap();
            (
                file.file_name().into_string().unwrap(),
                fs::read(file.path()).unwrap(),
            )
        })
        .collect();
    seeds.sort();
    seeds
}

/// One to four small damages, as a fuzzer makes them.
fn changed(seed: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len().max(1)).min(bytes.len());
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = EDGES[dice.below(EDGES.len())],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, dice.below(256) as u8),
            4 => {
                bytes.drain(at..(at + 1 + dice.below(8)).min(bytes.len()));
            }
            5 => bytes.extend_from_within(
                at..(at + dice.below(64))
                    .min(seed.len().min(bytes.len()))
                    .max(at),
            ),
            _ => bytes.extend_from_slice(&other[dice.below(other.len().max(1)).min(other.len())..]),
        }
    }
    bytes
}

/// xorshift64* (Vigna 2016), seeded by names, so that a seed's copies do not depend on the other seeds.
struct Dice(u64);

impl Dice {
    fn new(name: &str, file: &str) -> Self {
        // FNV-1a.
        let hash = name
            .bytes()
            .chain(file.bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Dice(hash | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}
