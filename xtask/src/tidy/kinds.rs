//! Every kind of ingest, egress, transcode and policy describes itself, is listed, and is in the manual.

use super::{Finding, Tree, has_word, program_lines};

const FOLDERS: &[&str] = &["ingest", "egress", "transcode", "policy"];

/// Files below `amphi/src/{ingest,egress,transcode,policy}/` that define `KIND`: each must stand in that
/// folder's `KINDS`, and its name in `docs/operate/`.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let manual: String = tree
        .texts()
        .filter(|(path, _)| path.starts_with("docs/operate/"))
        .map(|(_, text)| text)
        .collect();
    let mut found = Vec::new();
    for folder in FOLDERS {
        let prefix = format!("amphi/src/{folder}/");
        let list = [format!("{prefix}mod.rs"), format!("amphi/src/{folder}.rs")];
        let listed: String = list.iter().filter_map(|path| tree.text(path)).collect();
        for (path, text) in tree
            .texts()
            .filter(|(path, _)| path.starts_with(&prefix) && path.ends_with(".rs"))
        {
            let Some((line, name)) = kind(text) else {
                continue;
            };
            let module = path[prefix.len()..]
                .trim_end_matches(".rs")
                .trim_end_matches("/mod")
                .replace('/', "::");
            let mut say = |message: String| {
                found.push(Finding {
                    rule: "kinds",
                    path: path.to_owned(),
                    line,
                    message,
                })
            };
            if !has_word(&listed, "KINDS") || !has_word(&listed, &format!("{module}::KIND")) {
                say(format!("`{module}::KIND` is not in `KINDS` of {}", list[0]));
            }
            match name {
                None => say("`KIND` has no `name: \"…\"`".to_owned()),
                Some(name) if !manual.contains(&format!("`{name}`")) => {
                    say(format!(
                        "the kind `{name}` is not described in docs/operate/"
                    ));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// The line of `const KIND` or `static KIND`, and the name that it gives itself.
fn kind(text: &str) -> Option<(usize, Option<&str>)> {
    let (line, _) = program_lines(text)
        .find(|(_, code)| code.contains("const KIND:") || code.contains("static KIND:"))?;
    let name = text
        .lines()
        .skip(line - 1)
        .find_map(|code| code.split_once("name: \"")?.1.split_once('"'));
    Some((line, name.map(|(name, _)| name)))
}

#[cfg(test)]
mod tests {
    use super::super::made_up::check as check_rule;
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        check_rule(findings, files, expected);
    }

    const HLS: (&str, &str) = (
        "amphi/src/egress/hls.rs",
        "pub const KIND: Kind = Kind {\n    name: \"hls\",\n};\n",
    );
    const LIST: (&str, &str) = (
        "amphi/src/egress/mod.rs",
        "pub const KINDS: &[&Kind] = &[&hls::KIND];\n",
    );
    const MANUAL: (&str, &str) = ("docs/operate/egress.md", "## `hls`\n");

    #[test]
    fn a_kind_that_is_listed_and_in_the_manual_is_fine() {
        check(&[HLS, LIST, MANUAL], &[]);
    }

    #[test]
    fn a_kind_that_is_not_listed_is_found() {
        let empty = (LIST.0, "pub const KINDS: &[&Kind] = &[];\n");
        check(
            &[HLS, empty, MANUAL],
            &[
                "amphi/src/egress/hls.rs: line 1: `hls::KIND` is not in `KINDS` of amphi/src/egress/mod.rs [kinds]",
            ],
        );
    }

    #[test]
    fn a_kind_that_is_not_in_the_manual_is_found() {
        check(
            &[HLS, LIST],
            &[
                "amphi/src/egress/hls.rs: line 1: the kind `hls` is not described in docs/operate/ [kinds]",
            ],
        );
    }

    #[test]
    fn a_kind_without_a_name_is_found() {
        let nameless = (HLS.0, "pub static KIND: Kind = Kind {};\n");
        check(
            &[nameless, LIST, MANUAL],
            &["amphi/src/egress/hls.rs: line 1: `KIND` has no `name: \"…\"` [kinds]"],
        );
    }

    #[test]
    fn a_file_without_a_kind_is_nobodys_concern() {
        check(
            &[("amphi/src/egress/origin.rs", "pub struct Origin;\n")],
            &[],
        );
    }
}
