use amphi_media::{Bitrate, VideoSize};
use amphi_studio::composer::Rung;
use amphi_studio::cost::{Cost, Load, Step};

const SECOND: i64 = 1_000_000;

fn ladder() -> Vec<Rung> {
    [
        (1280, 720, 2_000),
        (854, 480, 900),
        (426, 240, 300),
        (256, 144, 120),
    ]
    .map(|(width, height, kbit)| Rung {
        size: VideoSize::new(width, height),
        bitrate: Bitrate(kbit * 1_000),
    })
    .to_vec()
}

fn word(step: Option<&Step>) -> String {
    step.map_or("nothing".to_owned(), |step| {
        let heights: Vec<String> = step
            .rungs
            .iter()
            .map(|rung| rung.size.height.to_string())
            .collect();
        format!("{}@{}", heights.join("+"), step.frames_per_second)
    })
}

fn cpu(cpu: f32) -> Load {
    Load {
        cpu,
        ..Load::default()
    }
}

/// A machine on which a pixel per second costs so much, for so many seconds; the steps that were taken.
fn live(cost: &mut Cost, seconds: std::ops::Range<i64>, per_megapixel: f32) -> Vec<String> {
    let mut taken = Vec::new();
    for second in seconds {
        let load = cost.step().map_or(0.0, |step| {
            let pixels: u64 = step.rungs.iter().map(|rung| rung.size.pixels()).sum();
            pixels as f32 / 1e6 * step.frames_per_second as f32 * per_megapixel
        });
        let load = Load {
            left_out: u64::from(load > 1.0),
            ..cpu(load)
        };
        if cost.observe(second * SECOND, load) {
            taken.push(word(cost.step()));
        }
    }
    taken
}

#[test]
fn the_steps_go_from_the_full_ladder_to_one_small_slow_picture_and_to_nothing() {
    let mut cost = Cost::new(&ladder(), 30);
    let steps: Vec<String> = cost.steps().iter().map(|step| word(Some(step))).collect();
    assert_eq!(
        steps,
        [
            "720+480+240+144@30",
            "720@30",
            "480+240+144@30",
            "480@30",
            "240+144@30",
            "240@30",
            "240@15"
        ]
    );
    let mut taken = Vec::new();
    // Somebody else's work: it is as busy whatever it does.
    for second in 0..50 {
        if cost.observe(second * SECOND, cpu(0.86)) {
            taken.push(word(cost.step()));
        }
    }
    assert_eq!(taken, steps[1..]);
    assert_eq!(word(cost.too_dear()), "240@30");
    // Behind the last step there is nothing, and late pictures are better.
    let late = Load {
        late_us: 400_000,
        ..cpu(0.9)
    };
    let left_out = Load {
        left_out: 1,
        ..cpu(0.9)
    };
    assert!((50..100).all(|second| !cost.observe(second * SECOND, late)));
    let given_up = (100..120).position(|second| cost.observe(second * SECOND, left_out));
    assert_eq!((given_up, cost.step()), (Some(9), None));
    assert_eq!(word(cost.too_dear()), "240@15");
}

#[test]
fn what_is_too_much_for_certain_is_not_tried_on_the_way_down() {
    let mut cost = Cost::new(&ladder(), 30);
    // The best step would take 4.4 of a core, 480 alone 1.2, 240 and 144 0.42.
    assert_eq!(live(&mut cost, 0..20, 0.1), ["240+144@30"]);
    assert_eq!(word(cost.too_dear()), "720+480+240+144@30");
}

#[test]
fn a_machine_that_carries_the_best_step_stays_on_it() {
    let mut cost = Cost::new(&ladder(), 30);
    assert_eq!(live(&mut cost, 0..3_600, 0.015), Vec::<String>::new());
    assert_eq!(cost.too_dear(), None);
}

#[test]
fn one_late_second_changes_nothing_and_two_do_and_pictures_that_are_left_out_do_at_once() {
    let late = Load {
        late_us: 400_000,
        ..cpu(0.2)
    };
    let mut cost = Cost::new(&ladder(), 30);
    for second in 0..60 {
        let load = if second % 2 == 0 { late } else { cpu(0.2) };
        assert!(!cost.observe(second * SECOND, load), "second {second}");
    }
    let taken = [60, 61].map(|second| cost.observe(second * SECOND, late));
    assert_eq!(taken, [false, true]);
    let left_out = Load {
        left_out: 29,
        ..cpu(0.2)
    };
    let mut cost = Cost::new(&ladder(), 30);
    assert!(!cost.observe(SECOND, left_out), "it only begins");
    assert!(cost.observe(3 * SECOND, left_out));
    // It did not run, or waited for somebody: that says nothing of how much is too much.
    assert_eq!(word(cost.step()), "720@30");
}

#[test]
fn the_last_step_is_left_after_ten_bad_seconds_in_a_row() {
    let bad = Load {
        left_out: 5,
        late_us: 900_000,
        ..cpu(0.01)
    };
    let mut cost = Cost::new(&ladder(), 30).beginning_at(99);
    for second in 0..60 {
        let load = if second % 10 == 9 { cpu(0.8) } else { bad };
        assert!(!cost.observe(second * SECOND, load), "second {second}");
    }
    let taken = (60..80).position(|second| cost.observe(second * SECOND, bad));
    assert_eq!((taken, cost.step()), (Some(9), None));
}

/// A composer, picture by picture: what it does not come to is done later, and left out when that is half a second.
struct Machine {
    /// Time that composing a million pixels takes, with all that belongs to it.
    per_megapixel_s: f32,
    behind_s: f32,
    left_out: u64,
}

impl Machine {
    fn new(per_megapixel_s: f32) -> Self {
        Self {
            per_megapixel_s,
            behind_s: 0.0,
            left_out: 0,
        }
    }

    /// What it is busy for at this step, if it comes to it.
    fn share(&self, step: &Step) -> f32 {
        let pixels: u64 = step.rungs.iter().map(|rung| rung.size.pixels()).sum();
        pixels as f32 / 1e6 * step.frames_per_second as f32 * self.per_megapixel_s
    }

    /// A second of it; `grows`: how much dearer each picture is than the one before.
    fn second(&mut self, cost: &Cost, grows: f32) -> Load {
        let mut load = Load::default();
        let Some(step) = cost.step() else { return load };
        let pictures = step.frames_per_second;
        let time_s = 1.0 / pictures as f32;
        for _ in 0..pictures {
            self.per_megapixel_s *= grows;
            if self.behind_s > 0.5 {
                load.left_out += 1;
            } else {
                self.behind_s += self.share(step) * time_s;
            }
            load.late_us = load.late_us.max((self.behind_s * 1e6) as i64);
            load.busy += self.behind_s.min(time_s);
            self.behind_s = (self.behind_s - time_s).max(0.0);
        }
        load.cpu = load.busy;
        self.left_out += load.left_out;
        load
    }
}

#[test]
fn load_that_grows_slowly_leaves_no_picture_out_on_any_step() {
    // Two percent a second: from half of a core to twenty times as much in three minutes.
    let grows = 1.02f32.powf(1.0 / 30.0);
    let mut cost = Cost::new(&ladder(), 30);
    let mut machine = Machine::new(0.0113);
    let mut taken = Vec::new();
    let mut second = 0;
    while let Some(step) = cost.step().cloned() {
        let load = machine.second(&cost, grows);
        second += 1;
        if cost.observe(second * SECOND, load) {
            let is_last = step == *cost.steps().last().expect("a step");
            assert!(machine.left_out == 0 || is_last, "at {step}, {load:?}");
            taken.push(word(cost.step()));
        }
    }
    assert!(taken.len() >= 6, "{taken:?}");
    assert!((100..400).contains(&second), "{second} s: {taken:?}");
}

#[test]
fn load_that_jumps_is_answered_within_two_reports_and_soon_enough_if_it_is_a_little_too_much() {
    for times in [1.1, 1.2, 1.5, 2.0, 5.0, 20.0] {
        let mut cost = Cost::new(&ladder(), 30);
        // Four fifths of a core.
        let mut machine = Machine::new(0.018);
        for second in 1..=10 {
            let load = machine.second(&cost, 1.0);
            assert!(!cost.observe(second * SECOND, load), "{load:?}");
        }
        machine.per_megapixel_s *= times / 0.8;
        let reports = (11..)
            .take_while(|second| {
                let load = machine.second(&cost, 1.0);
                !cost.observe(second * SECOND, load)
            })
            .count()
            + 1;
        assert!(reports <= 2, "{times}: {reports}");
        if times < 1.5 {
            assert_eq!(machine.left_out, 0, "{times}");
        }
        // What follows is carried, or what follows then.
        let more = (20..40).filter(|second| {
            let load = machine.second(&cost, 1.0);
            cost.observe(second * SECOND, load)
        });
        assert!(more.count() <= 2, "{times}: {}", word(cost.step()));
        let share = machine.share(cost.step().expect("a step"));
        assert!(share <= 0.85, "{times}: {share} at {}", word(cost.step()));
    }
}

#[test]
fn who_begins_where_others_stood_rises_as_soon_as_there_is_room() {
    let mut cost = Cost::new(&ladder(), 30).beginning_at(5);
    assert_eq!((word(cost.step()), cost.number()), ("240@30".to_owned(), 5));
    assert_eq!(cost.too_dear(), None);
    // This one is small, or the other one's load is gone: at once to the top, and it stays there.
    assert_eq!(live(&mut cost, 0..10, 0.008), ["720+480+240+144@30"]);
    // This one is not: it does not swing.
    let mut cost = Cost::new(&ladder(), 30).beginning_at(3);
    assert_eq!(live(&mut cost, 0..600, 0.04), Vec::<String>::new());
    let least = Cost::new(&ladder(), 30).beginning_at(99);
    assert_eq!(word(least.step()), "240@15");
    assert_eq!(Cost::new(&[], 30).beginning_at(3).step(), None);
}

/// It does not go to and fro every half minute: each time that the better step was too much, it waits twice as long.
#[test]
fn between_two_steps_it_swings_ever_more_rarely() {
    let mut cost = Cost::new(&ladder(), 30);
    // 720 alone takes 0.55, so the ladder is expected to take 0.88: it is not tried. With less it is, and turns out too dear.
    assert_eq!(live(&mut cost, 0..600, 0.02), ["720@30"]);
    let mut tried = Vec::new();
    for second in 600..8_000 {
        let on_the_ladder = cost.step().is_some_and(|step| step.rungs.len() == 4);
        let load = if on_the_ladder { 0.95 } else { 0.3 };
        if cost.observe(second * SECOND, cpu(load))
            && cost.step().is_some_and(|step| step.rungs.len() == 4)
        {
            tried.push(second);
        }
    }
    assert!((4..=10).contains(&tried.len()), "{tried:?}");
    let gaps: Vec<i64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0]), "{gaps:?}");
}

#[test]
fn from_nothing_it_is_tried_again_after_a_while_and_rises_when_the_machine_is_free() {
    let mut cost = Cost::new(&ladder(), 30);
    live(&mut cost, 0..40, 10.0);
    assert_eq!(word(cost.step()), "nothing");
    assert!(!cost.pass_time(41 * SECOND));
    let steps = live(&mut cost, 41..1_000, 0.001);
    assert_eq!(steps.first().map(String::as_str), Some("240@15"));
    assert_eq!(steps.last().map(String::as_str), Some("720+480+240+144@30"));
    assert_eq!(cost.too_dear(), None, "nothing is left that is too much");
}

#[test]
fn a_ladder_of_nothing_composes_nothing() {
    let mut cost = Cost::new(&[], 30);
    assert_eq!(cost.step(), None);
    assert!(!cost.observe(0, cpu(2.0)));
    assert!(!cost.pass_time(1_000 * SECOND));
}
