//! Relative links of every document lead somewhere, to the heading if they name one.

use super::{Finding, Tree};

/// Every `[…](target)` in every `*.md` that is not an address of its own.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        for (line, target) in links(text) {
            if let Some(message) = broken(tree, path, &target) {
                found.push(Finding {
                    rule: "links",
                    path: path.to_owned(),
                    line,
                    message,
                });
            }
        }
    }
    found
}

/// What is wrong with a link, if anything.
fn broken(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        resolve(from, file)
    };
    if !tree.exists(&path) {
        return Some(format!("`{target}` leads to nothing: there is no {path}"));
    }
    let text = tree
        .text(&path)
        .filter(|_| path.ends_with(".md") && !heading.is_empty())?;
    let headings = outside_fences(text).filter(|(_, line)| line.starts_with('#'));
    let there = headings
        .map(|(_, line)| slug(line.trim_start_matches('#')))
        .any(|slug| slug == heading);
    (!there).then(|| format!("`{target}` leads to nothing: {path} has no such heading"))
}

/// The path that `target` means in the document `from`; a leading `/` means the root of the tree.
fn resolve(from: &str, target: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = if target.starts_with('/') {
        vec![]
    } else {
        folder.split('/').collect()
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

/// A heading's anchor, as the usual renderers of Markdown make it.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn outside_fences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in outside_fences(text) {
        // What stands between backticks is code, not a link.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for (at, _) in prose.match_indices("](") {
            let rest = &prose[at + 2..];
            if let Some(end) = rest.find(')') {
                let target = rest[..end].split_whitespace().next().unwrap_or("");
                found.push((number, target.to_owned()));
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
    fn links_to_files_folders_headings_and_other_sites_are_fine() {
        let text = "# One idea, twice\n[a](docs/b.md) ![p](docs/p.png \"title\") [d](docs/) [h](#one-idea-twice)\n\
                    [w](https://example.org/x) `[code](nowhere)`\n```\n[fence](nowhere)\n```\n";
        check(
            &[
                ("README.md", text),
                ("docs/b.md", "[up](../README.md#one-idea-twice)\n"),
                ("docs/p.png", ""),
            ],
            &[],
        );
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        check(
            &[("docs/a.md", "\n[b](../gone.md)\n")],
            &["docs/a.md: line 2: `../gone.md` leads to nothing: there is no gone.md [links]"],
        );
    }

    #[test]
    fn a_link_to_a_heading_that_is_not_there_is_found() {
        check(
            &[
                ("a.md", "[b](b.md#two)\n"),
                ("b.md", "# One\n```\n# two\n```\n"),
            ],
            &["a.md: line 1: `b.md#two` leads to nothing: b.md has no such heading [links]"],
        );
    }
}
