//! Everything that amphi is linked with, and everything that its pages ship, has a licence of `deny.toml`.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::{Finding, Tree};

/// What `cargo metadata` says of the workspace in `root`.
pub fn metadata(root: &Path) -> anyhow::Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("starting cargo metadata")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("reading what cargo metadata wrote")
}

/// Crates of `metadata` and packages of `web/package-lock.json` whose licence the list does not allow.
pub fn findings(tree: &Tree, metadata: &Value) -> Vec<Finding> {
    let say = |path: &str, message: String| Finding {
        rule: "licences",
        path: path.to_owned(),
        line: 0,
        message,
    };
    let allowed = match allowed(tree) {
        Ok(allowed) => allowed,
        Err(error) => return vec![say("deny.toml", error.to_string())],
    };
    let mut found = Vec::new();
    let mut hold = |path: &str, name: &str, licence: Option<&str>| match licence {
        None => found.push(say(
            path,
            format!("`{name}` does not say under which licence it is"),
        )),
        Some(licence) if !is_allowed(licence, &allowed) => {
            found.push(say(
                path,
                format!("`{name}` is under `{licence}`, which deny.toml does not allow"),
            ));
        }
        Some(_) => {}
    };
    for package in metadata["packages"].as_array().into_iter().flatten() {
        hold(
            "Cargo.lock",
            package["name"].as_str().unwrap_or("?"),
            package["license"].as_str(),
        );
    }
    let lock = tree
        .text("web/package-lock.json")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    for (name, package) in lock
        .iter()
        .filter_map(|lock| lock["packages"].as_object())
        .flatten()
    {
        if !name.is_empty() && package["dev"] != Value::Bool(true) {
            hold("web/package-lock.json", name, package["license"].as_str());
        }
    }
    found
}

fn allowed(tree: &Tree) -> anyhow::Result<Vec<String>> {
    let table: toml::Table = tree.text("deny.toml").context("is not there")?.parse()?;
    let list = table
        .get("licenses")
        .and_then(|licences| licences.get("allow"))
        .and_then(toml::Value::as_array);
    let list = list.context("has no list `allow` in [licenses]")?;
    Ok(list
        .iter()
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect())
}

/// Whether an SPDX expression (`AND`, `OR`, `WITH`, brackets; `/` is an old way to write `OR`) can be met with
/// the allowed licences alone. `AND` binds closer than `OR`; an exception only ever adds permissions, so
/// `A WITH B` is allowed where `A` is.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let met = any_of(&mut words, allowed);
    met && words.is_empty()
}

/// `words` is reversed: the next word is the last one.
fn any_of(words: &mut Vec<&str>, allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while words.pop_if(|word| *word == "OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Vec<&str>, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.pop_if(|word| *word == "AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Vec<&str>, allowed: &[String]) -> bool {
    let met = match words.pop() {
        Some("(") => {
            let met = any_of(words, allowed);
            met && words.pop() == Some(")")
        }
        Some(licence) => allowed.iter().any(|name| name == licence),
        None => false,
    };
    if words.pop_if(|word| *word == "WITH").is_some() {
        words.pop();
    }
    met
}

#[cfg(test)]
mod tests {
    use super::super::made_up::tree;
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(expression: &str, expected: bool) {
        let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned);
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }

    #[test]
    fn an_expression_is_allowed_when_the_list_can_meet_it() {
        check("MIT", true);
        check("GPL-3.0-only OR MIT", true);
        check("LGPL-2.1-or-later/MIT", true);
        check("ISC AND (Apache-2.0 OR OpenSSL)", true);
        check("Apache-2.0 WITH LLVM-exception", true);
    }

    #[test]
    fn an_expression_is_refused_when_the_list_cannot_meet_it() {
        check("GPL-3.0-only", false);
        check("MIT AND OpenSSL", false);
        check("MIT AND OpenSSL OR GPL-2.0-only", false);
        check("(MIT", false);
        check("", false);
    }

    #[test]
    fn a_crate_or_shipped_package_of_another_licence_is_found() {
        let lock = r#"{"packages": {"": {}, "node_modules/a": {"license": "GPL-3.0-only"},
            "node_modules/b": {"license": "GPL-3.0-only", "dev": true}, "node_modules/c": {}}}"#;
        let tree = tree(&[
            ("deny.toml", "[licenses]\nallow = [\"MIT\"]\n"),
            ("web/package-lock.json", lock),
        ]);
        let metadata = json!({"packages": [{"name": "d", "license": "MIT"}, {"name": "e", "license": "AGPL-3.0-only"}]});
        let said: Vec<String> = findings(&tree, &metadata)
            .iter()
            .map(Finding::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "Cargo.lock: `e` is under `AGPL-3.0-only`, which deny.toml does not allow [licences]",
                "web/package-lock.json: `node_modules/a` is under `GPL-3.0-only`, which deny.toml does not allow [licences]",
                "web/package-lock.json: `node_modules/c` does not say under which licence it is [licences]",
            ]
        );
    }

    #[test]
    fn a_tree_without_the_list_is_found() {
        let said = findings(&tree(&[]), &json!({}));
        assert_eq!(said[0].to_string(), "deny.toml: is not there [licences]");
    }
}
