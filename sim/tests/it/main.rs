//! Plays the committed seeds, or as many others as `SIM_SEEDS` says: `SIM_SEEDS=200 cargo test -p sim` plays the seeds
//! 1 to 200, `SIM_SEED=17` only that one, with its story. With it, `RUST_LOG=str0m=debug` shows what the WebRTC library
//! says.

use std::fmt::Write as _;

use sim::world::{Sabotage, run_with};

/// Seeds that are played every time: a few of all sorts, and those that found something.
const SEEDS: &str = include_str!("../../seeds.txt");

fn seeds() -> Vec<u64> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number of seeds, or a seed"))
    };
    if let Some(seed) = number("SIM_SEED") {
        return vec![seed];
    }
    if let Some(count) = number("SIM_SEEDS") {
        return (1..=count).collect();
    }
    let lines = SEEDS
        .lines()
        .filter_map(|line| line.split('#').next())
        .map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(|line| line.parse().expect("seeds.txt holds numbers"))
        .collect()
}

#[test]
fn in_a_call_everything_arrives_where_it_may_and_nowhere_else() {
    let mut failures = String::new();
    let (mut packets, mut expected) = (0, 0);
    let only_one = std::env::var("SIM_SEED").is_ok();
    if only_one {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
    for seed in seeds() {
        if only_one {
            println!("{}", sim::call::Scenario::new(seed));
        }
        let outcome = sim::world::run(seed);
        println!(
            "seed {seed}: {} stays, {} publications, {} packets arrived, {} datagrams lost, {} lines at the end",
            outcome.stays,
            outcome.publications,
            outcome.packets_arrived,
            outcome.datagrams_lost,
            outcome.expected_at_end,
        );
        packets += outcome.packets_arrived;
        expected += outcome.expected_at_end;
        if !outcome.violations.is_empty() {
            writeln!(failures, "seed {seed} (SIM_SEED={seed} cargo test -p sim):").expect("text");
            for violation in outcome.violations.iter().take(10) {
                writeln!(failures, "  {violation}").expect("text");
            }
            if only_one {
                writeln!(failures, "  the house counted: {}", outcome.counted).expect("text");
            }
            let more = outcome.violations.len().saturating_sub(10);
            if more > 0 {
                writeln!(failures, "  and {more} more").expect("text");
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(
        packets > 0 && expected > 0,
        "worlds in which nothing happens prove nothing"
    );
}

/// A house that does this is found out by one of the first seeds.
fn check_sabotage(sabotage: Sabotage, word: &str) {
    let found = (1..30).any(|seed| {
        let outcome = run_with(seed, Some(sabotage));
        outcome
            .violations
            .iter()
            .any(|violation| violation.contains(word))
    });
    assert!(found, "{sabotage:?} went unnoticed");
}

#[test]
fn the_model_finds_out_a_house_that_does_not_do_what_it_is_told() {
    check_sabotage(Sabotage::IgnoresMutes, "it is muted");
    check_sabotage(Sabotage::IgnoresUnsubscribing, "does not want it");
    check_sabotage(Sabotage::IgnoresLostGrants, "it is refused or taken away");
    check_sabotage(Sabotage::TellsNobody, "sees");
    check_sabotage(Sabotage::ForwardsNothingInTheEnd, "gets nothing");
    check_sabotage(Sabotage::TellsPublishersToRest, "gets nothing");
}
