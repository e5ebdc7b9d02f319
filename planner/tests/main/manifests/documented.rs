//! `docs/fly-toml.md` is made of the table that the reader takes its keys from.
//! `UPDATE_EXPECT=1` writes its tables anew.

use planner::manifest::code::{Code, Flyctl};
use planner::manifest::keys::{Class, SECTIONS};
use planner::manifest::problem::Severity;
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fly-toml.md");

fn keys() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let title = if section.path.is_empty() { "The top" } else { section.path };
        let title = title.replace('*', "\\*");
        writeln!(text, "### {title}\n\n| key | class | effect |\n| --- | --- | --- |").unwrap();
        for key in section.keys {
            writeln!(text, "| `{}` | {} | {} |", key.name, key.class.as_str(), key.effect).unwrap();
        }
        text.push('\n');
    }
    text
}

fn rules() -> String {
    let mut text = String::from(
        "| rule | without `--strict` | flyctl | what is so |\n| --- | --- | --- | --- |\n",
    );
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let flyctl = match code.flyctl() {
            Flyctl::CannotRead => "cannot read it",
            Flyctl::Refuses => "refuses it",
            Flyctl::Warns => "warns",
            Flyctl::Silent => "says nothing",
        };
        let what = code.explanation();
        writeln!(text, "| `{}` | {severity} | {flyctl} | {what} |", code.as_str()).unwrap();
    }
    text
}

/// What stands between the two marks of a part, replaced.
fn filled(page: &str, part: &str, now: &str) -> String {
    let (begin, end) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->\n"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}\n{}\n\n{end}{after}", now.trim_end())
}

#[test]
fn the_page_has_every_key_and_every_rule() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let now = filled(&filled(&page, "keys", &keys()), "rules", &rules());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(PAGE, &now).unwrap();
        return;
    }
    assert!(page == now, "{PAGE} is not of this code; UPDATE_EXPECT=1 writes it anew");
}

#[test]
fn the_page_explains_every_class() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let classes: [Class; 9] = [
        Class::Restarts,
        Class::Live,
        Class::Placement,
        Class::Steering,
        Class::TiedownOnly,
        Class::Inert,
        Class::Legacy,
        Class::Retired,
        Class::Table,
    ];
    for class in classes {
        let row = format!("| {} | ", class.as_str());
        assert!(page.contains(&row), "{row}");
    }
}
