//! An explanation as a person reads it.

use super::{Page, changes, report};
use crate::model::claim::Claim;
use crate::render::Paint;
use crate::report::Report;
use crate::why::{Explanation, Held, Standing, Verdict, Wanted};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many hosts that were passed over are named; the rest are counted.
const HOSTS: usize = 12;

/// The whole text, with a line break at its end. `lock`: who holds the app's lock, in words.
#[must_use]
pub fn why(explanation: &Explanation, lock: Option<&str>, paint: &dyn Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    page.heading(&explanation.about);
    page.heading("Wanted by");
    match &explanation.wanted {
        Wanted::By { file, line } => page.line(2, &format!("{file}: {line}")),
        Wanted::Not { why } => page.line(2, &format!("nothing: {why}")),
    }
    page.heading("What there is");
    for held in &explanation.held {
        page.line(2, &self::held(held));
    }
    if let Some(lock) = lock {
        page.line(2, &format!("lock: {lock}"));
    }
    if explanation.held.is_empty() && lock.is_none() {
        page.line(2, "nothing");
    }
    if let Some(place) = &explanation.place {
        page.heading("Where");
        page.line(2, place);
        hosts(&mut page, &explanation.hosts);
    } else if !explanation.hosts.is_empty() {
        page.heading("Where");
        hosts(&mut page, &explanation.hosts);
    }
    page.heading("The next plan");
    changes::listed(&mut page, &explanation.changes);
    if explanation.changes.is_empty() {
        page.line(2, "does nothing with it");
    }
    let told = Report {
        lines: explanation.lines.clone(),
        drift: explanation.drift.clone(),
        ..Report::default()
    };
    report::refused(&mut page, &told);
    report::wanting(&mut page, &told);
    report::drift(&mut page, &told);
    report::notes(&mut page, &told);
    page.text
}

fn held(held: &Held) -> String {
    match held {
        Held::Claim(claim) => self::claim(claim),
        Held::Instance { host, instance } => {
            let health = match instance.healthy {
                Some(true) => ", healthy",
                Some(false) => ", unhealthy",
                None => "",
            };
            format!(
                "instance {} ({}) on {host}: {}{health}, release {}",
                instance.id,
                instance.role.as_str(),
                instance.state.as_str(),
                instance.release
            )
        }
        Held::Volume { host, volume } => {
            let spec = &volume.spec;
            let state = volume.state.as_str();
            format!("volume {} ({}) on {host}: {state}, {}", spec.source, spec.id, spec.size)
        }
    }
}

fn claim(claim: &Claim) -> String {
    let mut parts = Vec::new();
    if claim.held {
        parts.push("held: every pass leaves it alone".to_string());
    }
    parts.push(match &claim.applied {
        Some(release) => format!("release {release} was applied last"),
        None => "no release was brought up yet".to_string(),
    });
    if let Some(failed) = &claim.failed {
        parts.push(format!("release {} failed: {}", failed.release, failed.why));
    }
    let volumes = claim.volumes.values().map(|volume| volume.id.as_str());
    let volumes: Vec<&str> = volumes.collect();
    if !volumes.is_empty() {
        parts.push(format!("volumes {}", volumes.join(", ")));
    }
    let Claim { slot, host, address, .. } = claim;
    format!("claim: {slot} on {host} at {address}; {}", parts.join("; "))
}

/// Hosts that were passed over; where it is or goes is told already.
fn hosts(page: &mut Page<'_>, hosts: &[Verdict]) {
    let mut told = 0;
    for Verdict { host, standing, why } in hosts {
        let text = match standing {
            Standing::Chosen => continue,
            Standing::Better => format!("could be {host}, which {why}"),
            Standing::Behind => format!("not {host}, which {why}"),
            Standing::Unfit => format!("cannot be {host}, which {why}"),
        };
        told += 1;
        if told <= HOSTS {
            page.dim(4, &text);
        }
    }
    if told > HOSTS {
        page.dim(4, &format!("and {} hosts more", told - HOSTS));
    }
}
