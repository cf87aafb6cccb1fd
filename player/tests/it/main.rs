//! A player against a server that keeps every rule, and against servers that break one each.

mod doctored;
mod world;

use std::time::Duration;

use player::{Mode, Rule};
use world::World;

#[test]
fn a_good_session_breaks_no_rule_for_a_low_latency_player() {
    let seen = World::good().watch(Mode::LowLatency);
    assert!(seen.violations.is_empty(), "{}", seen.words());
    assert!(seen.ended, "{}", seen.words());
    let counters = seen.counters;
    // Ten segments of four parts twice, without those of the gap.
    assert_eq!(
        (counters.segments, counters.compared),
        (19, 19),
        "{counters:?}"
    );
    assert_eq!(
        (counters.inits, counters.discontinuities, counters.gaps),
        (4, 2, 1)
    );
    assert_eq!((counters.probes, counters.forgotten), (8, 0));
    assert!(
        counters.hinted >= 70 && counters.blocked >= 70,
        "{counters:?}"
    );
    assert!(counters.again >= 4, "{counters:?}");
}

#[test]
fn a_good_session_breaks_no_rule_for_a_plain_player() {
    let seen = World::good().watch(Mode::Plain);
    assert!(seen.violations.is_empty(), "{}", seen.words());
    assert!(seen.ended, "{}", seen.words());
    let counters = seen.counters;
    assert_eq!(
        (counters.blocked, counters.parts, counters.hinted),
        (0, 0, 0)
    );
    assert_eq!(counters.segments, 19, "{counters:?}");
}

#[test]
fn who_plays_whole_segments_begins_when_the_first_one_is_there() {
    let seen = World::good().watch(Mode::Plain);
    let beginning = seen.beginning.expect("it played");
    let first_ms = World::good().video.segments[0]
        .parts
        .last()
        .map(|part| part.at_ms);
    let there = Duration::from_millis(first_ms.expect("a part"));
    // And one target duration of two seconds later at most, at which it asks again.
    assert!(
        (there..=there + Duration::from_millis(2_500)).contains(&beginning.took),
        "{beginning:?}, there after {there:?}"
    );
    assert_eq!(
        beginning.behind,
        Duration::ZERO,
        "nothing was listed when it came"
    );
}

#[test]
fn a_good_session_of_two_variants_breaks_no_rule() {
    for mode in [Mode::LowLatency, Mode::Plain] {
        let seen = World::ladder(&[&[500; 4][..]; 10]).watch(mode);
        assert!(seen.violations.is_empty() && seen.ended, "{}", seen.words());
        assert_eq!(seen.counters.segments, 28, "{}", seen.words());
    }
}

#[test]
fn a_good_session_with_captions_breaks_no_rule() {
    for mode in [Mode::LowLatency, Mode::Plain] {
        let seen = World::captioned().watch(mode);
        assert!(seen.violations.is_empty() && seen.ended, "{}", seen.words());
        assert_eq!(seen.counters.segments, 29, "{}", seen.words());
        let parts = seen.urls.iter().filter(|url| url.contains("/c-"));
        let expected = if mode == Mode::Plain { 10 } else { 50 };
        assert!(parts.count() >= expected, "{}", seen.words());
    }
}

#[test]
fn a_good_session_with_delta_updates_breaks_no_rule() {
    let seen = World::long().watch(Mode::LowLatency);
    assert!(seen.violations.is_empty() && seen.ended, "{}", seen.words());
    assert!(seen.counters.deltas >= 10, "{}", seen.words());
    assert_eq!(World::long().watch(Mode::Plain).counters.deltas, 0);
}

#[test]
fn a_hint_that_the_end_overtakes_breaks_no_rule() {
    let mut world = World::good();
    world.end_ms += 250;
    let seen = world.watch(Mode::LowLatency);
    assert!(seen.violations.is_empty(), "{}", seen.words());
    let overtaken = |url: &&String| url.contains("-10.0.m4s");
    assert_eq!(seen.urls.iter().filter(overtaken).count(), 2);
}

#[test]
fn what_is_said_to_be_missing_is_not_asked_for() {
    for mode in [Mode::LowLatency, Mode::Plain] {
        let seen = World::good().watch(mode);
        let gap = |url: &&String| url.contains("/v-7.");
        assert_eq!(seen.urls.iter().find(gap), None);
    }
}

/// Sessions that do not break exactly the rule that they should, with what was seen.
fn wrong(doctored: &[doctored::Doctored], mode: Mode) -> Vec<String> {
    let mut wrong = Vec::new();
    for (rule, broken) in doctored {
        let mut world = World::good();
        broken(&mut world);
        let seen = world.watch(mode);
        if seen.rules() != [*rule].into() || !seen.ended {
            wrong.push(format!("{rule:?}: {}", seen.words()));
        }
    }
    wrong
}

#[test]
fn every_rule_was_seen_to_be_broken_by_a_session_that_breaks_only_that_one() {
    let wrong = wrong(doctored::LOW_LATENCY, Mode::LowLatency);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for rule in Rule::ALL {
        let known = doctored::LOW_LATENCY.iter().any(|(known, _)| known == rule);
        assert!(known, "no session breaks {rule:?}");
    }
}

#[test]
fn a_plain_player_finds_what_whole_segments_show() {
    let wrong = wrong(doctored::PLAIN, Mode::Plain);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
