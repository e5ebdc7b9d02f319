//! How each host stands as a place for one slot of a group, and why it is not the one: what
//! placement weighs, told host by host. It places nothing.

use super::Ledger;
use super::choice::{Field, lacks, unfit};
use crate::Inputs;
use crate::diff::{Diff, Runs};
use crate::model::desired::Group;
use crate::model::name::{HostName, Region};
use crate::recover::Ground;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// A host as a place for a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The host.
    pub host: HostName,
    /// How it stands.
    pub standing: Standing,
    /// Why, in words that follow its name.
    pub why: String,
}

/// How a host stands as a place for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The slot is there, or is to go there.
    Chosen,
    /// It could take the slot and would be better today; slots never move by themselves.
    Better,
    /// It could take the slot, and another one is better.
    Behind,
    /// It cannot take the slot.
    Unfit,
}

/// Every host of the fleet, the chosen one first, then the better placed. `others` are the hosts
/// of the group's other slots.
pub(crate) fn verdicts<'a>(
    inputs: &Inputs<'a>,
    ground: &Ground<'a>,
    (group, runs): (&Group, &Runs<'a>),
    region: &Region,
    chosen: Option<&HostName>,
    others: &[&HostName],
) -> Vec<Verdict> {
    let ledger = Ledger::of(inputs, ground, &Diff::default());
    let field = Field { inputs, ground, group, runs: runs.clone(), regions: BTreeMap::new() };
    let candidates = field.candidates(&ledger, region, others);
    let rank = |host: &HostName| candidates.hosts.get(host).copied();
    let best = chosen.and_then(rank);
    let mut verdicts = Vec::new();
    for spec in inputs.desired.hosts.values() {
        let account = ledger.look(&spec.name);
        let no = match chosen == Some(&spec.name) {
            true => None,
            false if spec.region != *region => Some(format!("is in {}", spec.region)),
            false => unfit(spec, account.map(super::Account::host), runs)
                .or_else(|| lacks(group, account?)),
        };
        let at = rank(&spec.name);
        let (standing, why) = match (no, at, best) {
            _ if chosen == Some(&spec.name) => (Standing::Chosen, chosen_why(at)),
            (Some(why), ..) => (Standing::Unfit, why),
            (None, Some(at), Some(best)) => compare(at, best),
            (None, ..) => (Standing::Behind, "could take it".into()),
        };
        let at = at.filter(|_| standing != Standing::Unfit);
        verdicts.push((standing, at, Verdict { host: spec.name.clone(), standing, why }));
    }
    verdicts.sort_by(|a, b| {
        let key = |(standing, at, verdict): &(Standing, _, Verdict)| {
            (*standing, *at, verdict.host.clone())
        };
        key(a).cmp(&key(b))
    });
    verdicts.into_iter().map(|(.., verdict)| verdict).collect()
}

type Rank<'a> = super::choice::Rank<'a>;

fn chosen_why(at: Option<Rank<'_>>) -> String {
    match at {
        Some((_, 0, ..)) => "has no other slot of the group".into(),
        Some((_, n, ..)) => format!("has {} of the group", slots(n)),
        None => "would not be chosen today".into(),
    }
}

fn slots(n: usize) -> String {
    match n {
        1 => "1 other slot".into(),
        n => format!("{n} other slots"),
    }
}

/// What tells a host from the chosen one, by the first thing in which they differ.
fn compare(at: Rank<'_>, best: Rank<'_>) -> (Standing, String) {
    let standing = if at < best { Standing::Better } else { Standing::Behind };
    let percent = |thousandths: u64| format!("{}.{}%", thousandths / 10, thousandths % 10);
    let chosen = best.3;
    let why = if at.0 != best.0 {
        format!("shares its zone with {} of the group, {chosen} with {}", slots(at.0), best.0)
    } else if at.1 != best.1 {
        format!("has {} of the group, {chosen} has {}", slots(at.1), best.1)
    } else if at.2 != best.2 {
        let (here, there) = (percent(at.2), percent(best.2));
        format!("has promised {here} of its pool, {chosen} {there}")
    } else {
        let order = if at < best { "before" } else { "after" };
        format!("is as good as {chosen}, and comes {order} it by name")
    };
    match standing {
        Standing::Better => (standing, format!("{why}; slots never move by themselves")),
        Standing::Chosen | Standing::Behind | Standing::Unfit => (standing, why),
    }
}
