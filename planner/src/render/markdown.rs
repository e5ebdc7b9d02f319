//! A plan and its report as one comment on a pull request: what loses data first and never cut,
//! the rest folded by app. It always fits into a comment; what does not is counted, not dropped
//! without a word.

use super::text::parts::{self, Part};
use super::{Plain, text};
use crate::model::object::Object;
use crate::model::slot::Parts;
use crate::plan::Plan;
use crate::plan::change::{Change, Verb};
use crate::report::Report;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Characters that a comment has at most: GitHub's limit, the narrowest of the common ones.
pub const LIMIT: usize = 65_536;

/// Kept for what is said of parts that do not fit.
const RESERVE: usize = 1_000;

/// The comment, at most [`LIMIT`] bytes long, with a line break at its end. `opening` is put under
/// its heading, whole: a few lines, or nothing.
#[must_use]
pub fn plan(plan: &Plan, report: &Report, opening: &str) -> String {
    let mut page = format!("### {}\n", text::summary(plan, report, &Plain));
    if !opening.is_empty() {
        page.push_str(&format!("\n{opening}\n"));
    }
    destroys(&mut page, plan);
    let mut cut = Cut::default();
    for part in parts::parts(plan, report) {
        let (open, close) = match part.folded {
            true => (
                format!("\n<details><summary>{}</summary>\n\n", escaped(&part.title)),
                "\n</details>\n",
            ),
            false => (format!("\n**{}**\n\n", escaped(&part.title)), ""),
        };
        let fence = fence(&part.text);
        let body = outdented(&part.text);
        let whole = format!("{open}{fence}diff\n{body}{fence}\n{close}");
        if page.len() + whole.len() + RESERVE <= LIMIT {
            page.push_str(&whole);
        } else {
            cut.add(&mut page, &part);
        }
    }
    cut.end(&mut page);
    page
}

/// What was too long to be shown.
#[derive(Default)]
struct Cut {
    begun: bool,
    left: usize,
}

impl Cut {
    fn add(&mut self, page: &mut String, part: &Part) {
        let title = "\n**Too long to show here**\n\n";
        let line = format!("- {} ({} lines)\n", escaped(&part.title), part.text.lines().count());
        let room = if self.begun { 0 } else { title.len() };
        if page.len() + room + line.len() + RESERVE / 2 > LIMIT {
            self.left += 1;
            return;
        }
        if !self.begun {
            page.push_str(title);
            self.begun = true;
        }
        page.push_str(&line);
    }

    fn end(&self, page: &mut String) {
        if self.left > 0 {
            page.push_str(&format!("\nand {} more parts that are too long.\n", self.left));
        }
        if self.begun || self.left > 0 {
            page.push_str("\nAll of it: `tiedown plan`.\n");
        }
    }
}

/// All volumes whose data goes: each on a line, or, if they are too many for that, each by its
/// number within its group.
fn destroys(page: &mut String, plan: &Plan) {
    let doomed: Vec<&Change> =
        plan.changes.iter().filter(|change| change.verb == Verb::Destroy).collect();
    if doomed.is_empty() {
        return;
    }
    let title = format!("\n**Data will be lost: {}**\n\n", counted(doomed.len()));
    let each: String = doomed.iter().map(|change| each(change)).collect();
    let room = LIMIT - RESERVE - page.len() - title.len();
    page.push_str(&title);
    if each.len() <= room {
        page.push_str(&each);
        return;
    }
    let mut left = 0;
    for (line, volumes) in by_group(&doomed) {
        if page.len() + line.len() + RESERVE <= LIMIT {
            page.push_str(&line);
        } else {
            left += volumes;
        }
    }
    if left > 0 {
        let all = "they do not fit into a comment, see `tiedown plan`";
        page.push_str(&format!("- **and {} more**: {all}\n", counted(left)));
    }
}

fn counted(volumes: usize) -> String {
    match volumes {
        1 => "1 volume".to_string(),
        n => format!("{n} volumes"),
    }
}

fn each(change: &Change) -> String {
    let size = change.fields.iter().find(|field| field.name == "size");
    let size = size.and_then(|field| field.before.as_ref());
    let size = size.map(|size| format!(", {size}")).unwrap_or_default();
    format!("- `{}` on `{}`{size}\n", change.object, change.host)
}

/// `- web/app/ewr data: 1-40, 42`, and of how many volumes it tells.
fn by_group(doomed: &[&Change]) -> Vec<(String, usize)> {
    let mut groups: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for change in doomed {
        let (name, number) = match &change.object {
            Object::Volume { slot, source, .. } => {
                let Parts { app, group, region, number } = &**slot;
                (format!("{app}/{group}/{region} {source}"), number.get())
            }
            object => (object.to_string(), 1),
        };
        groups.entry(name).or_default().push(number);
    }
    let line = |(name, mut numbers): (String, Vec<u32>)| {
        numbers.sort_unstable();
        let volumes = numbers.len();
        let runs =
            numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match (run.first(), run.last()) {
                (Some(first), Some(last)) if first != last => format!("{first}-{last}"),
                (Some(first), _) => first.to_string(),
                (None, _) => String::new(),
            });
        (format!("- `{name}`: {}\n", runs.collect::<Vec<_>>().join(", ")), volumes)
    };
    groups.into_iter().map(line).collect()
}

/// A fence that nothing within ends.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Signs in the first column, where a comment colours them.
fn outdented(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let blank = line.len() - line.trim_start_matches(' ').len();
        out.push_str(&line[blank.min(4)..]);
        out.push('\n');
    }
    out
}

/// A comment that says why there is no plan: a title, lines that stay whole, and what was said.
#[must_use]
pub fn failure(title: &str, opening: &str, told: &str) -> String {
    let fence = fence(told);
    let room = LIMIT - RESERVE - opening.len() - title.len() - 2 * fence.len();
    let mut end = told.len().min(room);
    while !told.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < told.len() { "\n… and more: `tiedown plan`" } else { "" };
    let told = told[..end].trim_end_matches('\n');
    format!("### {title}\n\n{opening}\n\n{fence}\n{told}{cut}\n{fence}\n")
}

/// Text that is no markup.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
