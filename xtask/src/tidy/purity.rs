//! No IO, clock, thread, lock, randomness or waiting in `core/`.
//!
//! `core/clippy.toml` says the same by name resolution. This rule says it by text, so that an `allow`, a macro
//! or a name that Clippy's list forgot does not pass both.

use super::{Finding, Tree, has_word, program_lines};

/// Words that the code of a core does not contain, each with what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime", "the shell says what day it is in an input"),
    ("std::fs", "ask with an output, get the bytes in an input"),
    ("std::thread", "the shell owns threads"),
    (
        "thread_local",
        "state belongs to the value, not to the thread",
    ),
    ("std::env", "configuration comes in as an argument"),
    ("std::process", "only the shell starts or ends a process"),
    ("UdpSocket", "bytes come in as inputs and go out as outputs"),
    ("TcpStream", "bytes come in as inputs and go out as outputs"),
    (
        "TcpListener",
        "bytes come in as inputs and go out as outputs",
    ),
    ("Mutex", "one `&mut self` owns the value"),
    ("RwLock", "one `&mut self` owns the value"),
    ("Condvar", "a core never waits"),
    ("mpsc", "outputs are polled"),
    ("async", "a core never waits: emit `Ask`, get `Answer`"),
    ("await", "a core never waits: emit `Ask`, get `Answer`"),
    ("RandomState", "randomness is a seed at construction"),
    ("thread_rng", "randomness is a seed at construction"),
    ("static mut", "state belongs to the value"),
];

/// Every line of program code in `core/*/src/` against [`FORBIDDEN`].
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.texts() {
        if !(path.starts_with("core/") && path.contains("/src/") && path.ends_with(".rs")) {
            continue;
        }
        for (line, code) in program_lines(text) {
            for (word, instead) in FORBIDDEN.iter().filter(|(word, _)| has_word(code, word)) {
                let message = format!("a core does not know `{word}`: {instead}");
                found.push(Finding {
                    rule: "purity",
                    path: path.to_owned(),
                    line,
                    message,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::made_up::check as check_rule;
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        check_rule(findings, files, expected);
    }

    #[test]
    fn a_clock_in_a_core_is_found_and_one_in_the_shell_is_not() {
        let code = "fn a() {\n    let now = Instant::now();\n}\n";
        check(
            &[
                ("core/amphi-room/src/lib.rs", code),
                ("amphi/src/main.rs", code),
            ],
            &[
                "core/amphi-room/src/lib.rs: line 2: a core does not know `Instant::now`: take `now` as an argument [purity]",
            ],
        );
    }

    #[test]
    fn every_forbidden_word_is_found() {
        for (word, instead) in FORBIDDEN {
            let said = format!(
                "core/a/src/b.rs: line 1: a core does not know `{word}`: {instead} [purity]"
            );
            check(&[("core/a/src/b.rs", &format!("({word})\n"))], &[&said]);
        }
    }

    #[test]
    fn a_core_may_speak_of_a_lock_and_its_tests_may_start_a_clock() {
        let code = "//! No Mutex here.\nstruct A; // not a Mutex\n#[cfg(test)]\nmod tests { use std::thread; }\n";
        check(&[("core/amphi-room/src/lib.rs", code)], &[]);
        check(
            &[(
                "core/amphi-room/tests/it/main.rs",
                "let start = Instant::now();\n",
            )],
            &[],
        );
    }
}
