//! Mistakes as SARIF 2.1.0: the subset that code scanning reads. Every rule is listed, whether
//! broken or not, so that a reader can say what was looked for.

use crate::cli::error::CLASH;
use crate::prepare::Mistakes;
use crate::settings::problem::Problem as Clash;
use planner::manifest::code::Code;
use planner::manifest::place::Lines;
use planner::manifest::problem::{Problem, Severity};
use serde_json::{Value, json};
use std::fmt::Write;

/// What a mistake in tiedown.toml is called.
const SETTINGS: &str = "settings";

/// A run over manifests; and over tiedown.toml, of which there are mistakes only.
pub(super) fn log(mistakes: &Mistakes, settings: &[Clash]) -> Value {
    let problems = mistakes.problems.iter().map(|(problem, text)| of_problem(problem, text));
    let clashes = mistakes.clashes.iter().map(|clash| of_clash(CLASH, Code::ALL.len(), clash));
    let wrong = settings.iter().map(|problem| of_clash(SETTINGS, Code::ALL.len() + 1, problem));
    let results: Vec<Value> = problems.chain(clashes).chain(wrong).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tiedown",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rules() -> Vec<Value> {
    let own = Code::ALL.iter().map(|code| {
        let mut rule = rule(code.as_str(), code.explanation(), code.severity());
        rule["properties"] = json!({ "flyctl": code.flyctl() });
        rule
    });
    let others = [
        rule(CLASH, "Manifests of one fleet name different apps.", Severity::Error),
        rule(SETTINGS, "tiedown.toml has the keys and values that it allows.", Severity::Error),
    ];
    own.chain(others).collect()
}

fn rule(id: &str, explanation: &str, severity: Severity) -> Value {
    json!({
        "id": id,
        "shortDescription": { "text": explanation },
        "defaultConfiguration": { "level": level(severity) },
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn of_problem(problem: &Problem, text: &str) -> Value {
    let (end_line, end_column) = Lines::new(text).position(problem.span.end);
    let mut region = json!({ "startLine": problem.line, "startColumn": problem.column });
    // Bytes that are no text have a place before them and no end.
    if (end_line, end_column) > (problem.line, problem.column) {
        region["endLine"] = json!(end_line);
        region["endColumn"] = json!(end_column);
    }
    let index = Code::ALL.iter().position(|code| *code == problem.code);
    json!({
        "ruleId": problem.code.as_str(),
        "ruleIndex": index,
        "level": level(problem.severity),
        "message": { "text": message(&problem.message, problem.hint.as_deref()) },
        "locations": [location(&problem.file, &region)],
    })
}

fn of_clash(rule: &str, index: usize, clash: &Clash) -> Value {
    let region = json!({ "startLine": clash.line, "startColumn": clash.column });
    json!({
        "ruleId": rule,
        "ruleIndex": index,
        "level": "error",
        "message": { "text": message(&clash.message, clash.hint.as_deref()) },
        "locations": [location(&clash.file, &region)],
    })
}

fn message(message: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| message.to_owned(), |hint| format!("{message} ({hint})"))
}

fn location(path: &str, region: &Value) -> Value {
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(path) },
        "region": region,
    }})
}

/// A path as a URI: relative as it is, absolute with its scheme; all but letters, digits and a
/// few signs in percents.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uris() {
        assert_eq!(uri("web/fly.toml"), "web/fly.toml");
        assert_eq!(uri("/a b/é.toml"), "file:///a%20b/%C3%A9.toml");
        assert_eq!(uri("a:b%"), "a%3Ab%25");
    }
}
