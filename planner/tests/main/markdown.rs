//! Plans as comments: within the limit whatever is in them, and nothing grave cut.

use crate::by_hand::{change, field, plan, redeploy, slot, source, volume};
use planner::model::object::Object;
use planner::plan::Plan;
use planner::plan::change::{Change, Verb};
use planner::render::markdown::{self, LIMIT};
use planner::render::{Plain, text};
use planner::report::{Kind, Line, Report};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn destroy(n: u32) -> Change {
    let object = Object::Volume { slot: slot(n), source: source(), volume: volume(n).id };
    let fields = vec![field("size", Some("10GB"), None)];
    Change { object, fields, ..change(Verb::Destroy, n) }
}

fn redeployed(app: usize, n: u32, value: &str) -> Change {
    let slot = format!("app-{app}/app/ewr/{n}").parse().unwrap();
    let fields = vec![
        field("env.MOTD", Some("```\n<b>old</b>\n"), Some(value)),
        field("env.API_TOKEN", Some("hunter2"), Some("hunter3")),
    ];
    Change { object: Object::Slot { slot }, fields, ..change(Verb::Redeploy, n) }
}

fn of(changes: Vec<Change>) -> Plan {
    Plan { changes, ..plan(Vec::new()) }
}

/// Numbers that lines like `` - `web/app/ewr data`: 1-40, 42 `` tell.
fn numbers(comment: &str) -> Vec<u32> {
    let lines = comment.lines().filter(|line| line.starts_with("- `web/app/ewr data`: "));
    let runs = lines.flat_map(|line| line.split_once("`: ").unwrap().1.split(", "));
    let read = |text: &str| text.parse::<u32>().unwrap();
    runs.flat_map(|run| match run.split_once('-') {
        Some((first, last)) => read(first)..=read(last),
        None => read(run)..=read(run),
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_comment_fits_and_keeps_the_summary_and_every_destroy(
        all in prop_oneof![Just(10_000_usize), 1..10_000_usize],
        share in 0..=100_usize,
        apps in 1..3_000_usize,
        value in "[a-z`<\n]{0,60}",
        lines in 0..3_000_usize,
    ) {
        let doomed = all * share / 100;
        let mut changes: Vec<Change> =
            (1..=doomed).map(|n| destroy(u32::try_from(n).unwrap())).collect();
        for n in doomed + 1..=all {
            changes.push(redeployed(n % apps, u32::try_from(n).unwrap(), &format!("{value}{n}\n")));
        }
        let plan = of(changes);
        let lines = (1..=lines).map(|n| Line {
            kind: Kind::Refused,
            object: Object::Slot { slot: slot(u32::try_from(n).unwrap()) },
            why: format!("reason {n}"),
            hint: None,
        });
        let report = Report { lines: lines.collect(), drift: Vec::new(), history_unknown: Vec::new() };
        let comment = markdown::plan(&plan, &report, "");
        prop_assert!(comment.len() <= LIMIT, "{} bytes", comment.len());
        prop_assert!(comment.contains(&text::summary(&plan, &report, &Plain)));
        prop_assert!(!comment.contains("hunter"));
        prop_assert_eq!(comment.matches("<details>").count(), comment.matches("</details>").count());
        let told: BTreeSet<u32> = numbers(&comment).into_iter().collect();
        let ids: BTreeSet<&str> = comment.split(['(', ')']).collect();
        for n in 1..=u32::try_from(doomed).unwrap() {
            let named = told.contains(&n) || ids.contains(volume(n).id.as_str());
            prop_assert!(named, "volume {n} is not named");
        }
    }
}

#[test]
fn what_is_put_away_comes_before_what_is_refused() {
    let mut all = redeploy();
    all.changes = vec![crate::by_hand::volume_change(Verb::Retire, 2)];
    let object = Object::Slot { slot: slot(9) };
    let line = Line { kind: Kind::Refused, object, why: "it is not".to_string(), hint: None };
    let report = Report { lines: vec![line], history_unknown: vec![slot(7)], drift: Vec::new() };
    let told = markdown::plan(&all, &report, "");
    let order =
        ["**1 volume will be put away**", "**Refused**", "**History unknown", "web/app/ewr/7"];
    let places: Vec<_> = order.iter().map(|words| told.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{told}");
}

#[test]
fn a_comment_reads_from_loss_to_the_folded_rest() {
    let mut all = redeploy();
    all.changes = vec![destroy(4), redeployed(1, 1, "new ``` line\n")];
    let line = Line {
        kind: Kind::Blocked,
        object: Object::Slot { slot: slot(9) },
        why: "there is no room".to_string(),
        hint: Some("add a host".to_string()),
    };
    let report = Report { lines: vec![line], drift: Vec::new(), history_unknown: Vec::new() };
    let expected = "\
### Plan: 0 to add, 1 to change, 1 to destroy. Not in it: 1 blocked.

**Data will be lost: 1 volume**

- `volume data of web/app/ewr/4 (VOL4)` on `ewr-1`, 10GB

**Not done now**

```diff
Blocked

slot web/app/ewr/9: there is no room
  add a host
```

<details><summary>App app-1: 1 redeploy</summary>

````diff
-/+ redeploy slot app-1/app/ewr/1 on ewr-1
    env.MOTD:
      - ```
      - <b>old</b>
      + new ``` line
    env.API_TOKEN: (sensitive), changed
````

</details>

<details><summary>Rollouts</summary>

```diff
web/app: rolling, at most 1 of 2 slots down at once
  the group has mounts
  ewr/1, then ewr/2
```

</details>
";
    let told = markdown::plan(&all, &report, "").replace(volume(4).id.as_str(), "VOL4");
    assert_eq!(told, expected);
}
