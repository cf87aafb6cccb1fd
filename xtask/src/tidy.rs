//! Checks of the tree's shape that neither the compiler nor Clippy makes.
//!
//! A rule is a function from a [`Tree`] (all text of the work tree, as one value) to findings, so that each
//! rule is tested on a made-up tree that breaks it. Start reading at [`RULES`].

pub mod floors;
pub mod fuzz;
pub mod kinds;
pub mod licences;
pub mod links;
pub mod purity;
pub mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;

/// A rule's name and the function that looks for breaches of it.
pub type Rule = (&'static str, fn(&Tree) -> Vec<Finding>);

/// Every rule that needs nothing but the tree. (`licences` needs Cargo's metadata too.)
pub const RULES: &[Rule] = &[
    ("floors", floors::findings),
    ("purity", purity::findings),
    ("kinds", kinds::findings),
    ("fuzz", fuzz::findings),
    ("links", links::findings),
    ("machine-paths", text::machine_paths),
    ("long-files", text::long_files),
    ("unfinished", text::unfinished),
    ("unwrap", text::unwraps),
];

/// Runs all of [`RULES`].
pub fn findings(tree: &Tree) -> Vec<Finding> {
    RULES.iter().flat_map(|(_, rule)| rule(tree)).collect()
}

/// One breach of a rule: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub path: String,
    /// First line is 1; 0 means the file as a whole.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{} [{}]", self.message, self.rule)
    }
}

/// The work tree as a value: path (with `/`, relative to the root) to content.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, Option<String>>,
}

/// Folders that hold nothing of ours: build results, downloads, git's own files.
const FOREIGN_FOLDERS: &[&str] = &[
    ".git",
    "target",
    "node_modules",
    "dist",
    ".venv",
    ".cache",
    "artifacts",
    "__pycache__",
];

impl Tree {
    /// Reads every file below `root` but those in [`FOREIGN_FOLDERS`]. A file that is not UTF-8 (a picture)
    /// has a name and no text; of a corpus folder only the names are kept.
    pub fn read(root: &Path) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if name == "corpus" {
                    self.name_folder(&entry.path(), &format!("{path}/"))?;
                } else if !FOREIGN_FOLDERS.contains(&name.as_str()) && path != "data" {
                    self.read_folder(&entry.path(), &format!("{path}/"))?;
                }
            } else if kind.is_file() {
                let bytes =
                    std::fs::read(entry.path()).with_context(|| format!("reading {path}"))?;
                self.files.insert(path, String::from_utf8(bytes).ok());
            }
        }
        Ok(())
    }

    fn name_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.name_folder(&entry.path(), &format!("{path}/"))?;
            } else {
                self.files.insert(path, None);
            }
        }
        Ok(())
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether a file or a folder of this path is there.
    pub fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files.contains_key(path)
            || self.below(&format!("{path}/")).next().is_some()
    }

    /// The text of a file; `None` if it is not there or is not text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// The names of all files whose path begins with `prefix`.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.files
            .keys()
            .map(String::as_str)
            .filter(move |path| path.starts_with(prefix))
    }

    /// Every text file as (path, text).
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }
}

/// The lines of a Rust file that are code of the program: numbered from 1, comments blanked, ending where the
/// file's tests begin (tests stand last in a file, STYLE.md).
pub fn program_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

/// Whether `word` stands in `line` with no letter, digit or `_` on either side of it.
pub fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !joins(line[..at].chars().next_back()) && !joins(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
pub mod made_up {
    //! Trees made up for the tests of the rules.
    use super::{Finding, Tree};

    /// A tree of these files.
    pub fn tree(files: &[(&str, &str)]) -> Tree {
        Tree {
            files: files
                .iter()
                .map(|(path, text)| (path.to_string(), Some(text.to_string())))
                .collect(),
        }
    }

    /// The rule says exactly this (as it is printed), in this order, about a tree of these files.
    #[track_caller]
    pub fn check(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], expected: &[&str]) {
        let said: Vec<String> = rule(&tree(files)).iter().map(Finding::to_string).collect();
        assert_eq!(said, expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_found_inside_another_word() {
        assert!(has_word("use std::sync::Mutex;", "Mutex"));
        assert!(!has_word("struct NoMutexes;", "Mutex"));
    }

    #[test]
    fn comments_and_tests_are_not_code_of_the_program() {
        let text = "use a; // b\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(program_lines(text).collect::<Vec<_>>(), [(1, "use a; ")]);
    }

    #[test]
    fn the_tree_is_read_with_paths_from_its_root() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tree = Tree::read(here).expect("the folder of this crate is readable");
        assert!(
            tree.text("src/tidy.rs")
                .is_some_and(|text| text.contains("the_tree_is_read"))
        );
        assert!(tree.exists("src") && !tree.exists("sr"));
    }
}
