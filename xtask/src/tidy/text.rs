//! Rules that read files line by line: what a file may not contain, and how long it may be.

use super::{Finding, Tree, has_word, program_lines};

/// Longest source file. Longer ones have more than one subject (house.md's "8,000-line call files").
const LINES_MAX: usize = 1200;

const SOURCES: &[&str] = &[".rs", ".ts", ".tsx", ".mjs", ".css", ".py"];

/// Where a build machine keeps things, and where packages come from: neither belongs into what we publish.
/// Written in two halves, so that this list does not find itself.
const MACHINE_PATHS: &[[&str; 2]] = &[
    ["/ro", "ot/"],
    ["/wo", "rk/"],
    ["/tmp/pl", "an/"],
    ["registry.np", "mjs.org"],
    ["files.python", "hosted.org"],
    ["static.crat", "es.io"],
];

/// Marks of work that was left off, in our own sources. In two halves for the same reason.
const UNFINISHED: &[[&str; 2]] = &[
    ["TO", "DO"],
    ["FIX", "ME"],
    ["XX", "X"],
    ["todo", "!("],
    ["unimplemented", "!("],
    ["#[ign", "ore"],
];

/// Paths of a build machine and addresses of package registries.
pub fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            for place in MACHINE_PATHS
                .iter()
                .map(|halves| halves.concat())
                .filter(|place| line.contains(place))
            {
                let message = format!("`{place}` is a place of one build machine");
                found.push(Finding {
                    rule: "machine-paths",
                    path: path.to_owned(),
                    line: index + 1,
                    message,
                });
            }
        }
    }
    found
}

/// Source files longer than [`LINES_MAX`].
pub fn long_files(tree: &Tree) -> Vec<Finding> {
    sources(tree)
        .filter_map(|(path, text)| {
            let lines = text.lines().count();
            let message = format!(
                "has {lines} lines (most: {LINES_MAX}): give its second subject a file of its own"
            );
            (lines > LINES_MAX).then(|| Finding {
                rule: "long-files",
                path: path.to_owned(),
                line: 0,
                message,
            })
        })
        .collect()
}

/// Sources that say of themselves that they are not done, and tests that do not run.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in sources(tree) {
        for (index, line) in text.lines().enumerate() {
            for mark in UNFINISHED
                .iter()
                .map(|halves| halves.concat())
                .filter(|mark| is_mark(line, mark))
            {
                let message =
                    format!("`{mark}`: finish it, or write down the condition that it waits for");
                found.push(Finding {
                    rule: "unfinished",
                    path: path.to_owned(),
                    line: index + 1,
                    message,
                });
            }
        }
    }
    found
}

/// `unwrap()` in the code of a program or core: `expect` says why it cannot fail.
pub fn unwraps(tree: &Tree) -> Vec<Finding> {
    let call = [".unw", "rap()"].concat();
    let mut found = Vec::new();
    for (path, text) in
        sources(tree).filter(|(path, _)| path.ends_with(".rs") && path.contains("src/"))
    {
        for (line, code) in program_lines(text).filter(|(_, code)| code.contains(&call)) {
            let message = format!("`{}`: say with `expect` why it cannot be", code.trim());
            found.push(Finding {
                rule: "unwrap",
                path: path.to_owned(),
                line,
                message,
            });
        }
    }
    found
}

fn sources(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts()
        .filter(|(path, _)| SOURCES.iter().any(|end| path.ends_with(end)))
}

fn is_mark(line: &str, mark: &str) -> bool {
    if mark.ends_with(|c: char| c.is_alphanumeric()) && !mark.starts_with('#') {
        has_word(line, mark)
    } else {
        line.contains(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::check;
    use super::*;

    #[test]
    fn a_path_of_a_build_machine_is_found_in_any_text() {
        for halves in MACHINE_PATHS {
            let place = halves.concat();
            let said = format!(
                "a.lock: line 2: `{place}` is a place of one build machine [machine-paths]"
            );
            check(
                machine_paths,
                &[
                    ("a.lock", &format!("\nx={place}y\n")),
                    ("b.md", "docs/work"),
                ],
                &[&said],
            );
        }
    }

    #[test]
    fn a_source_of_many_lines_is_found_and_a_long_document_is_not() {
        let long = "x\n".repeat(LINES_MAX + 1);
        check(
            long_files,
            &[
                ("a.rs", &long),
                ("b.rs", &"x\n".repeat(LINES_MAX)),
                ("c.json", &long),
            ],
            &[
                "a.rs: has 1201 lines (most: 1200): give its second subject a file of its own [long-files]",
            ],
        );
    }

    #[test]
    fn every_mark_of_unfinished_work_is_found() {
        for halves in UNFINISHED {
            let mark = halves.concat();
            let said = format!(
                "a.rs: line 1: `{mark}`: finish it, or write down the condition that it waits for [unfinished]"
            );
            check(
                unfinished,
                &[("a.rs", &format!(" {mark} \n")), ("b.md", &mark)],
                &[&said],
            );
        }
    }

    #[test]
    fn a_word_that_only_contains_a_mark_is_no_mark() {
        let plural = format!("let {}S = 1;\n", UNFINISHED[0].concat());
        check(unfinished, &[("a.rs", &plural)], &[]);
    }

    #[test]
    fn an_unwrap_is_found_in_the_program_but_not_in_tests() {
        let code = "a.unwrap();\n#[cfg(test)]\nmod tests { b.unwrap() }\n";
        check(
            unwraps,
            &[
                ("core/a/src/lib.rs", code),
                ("core/a/tests/it/main.rs", code),
            ],
            &[
                "core/a/src/lib.rs: line 1: `a.unwrap();`: say with `expect` why it cannot be [unwrap]",
            ],
        );
    }
}
