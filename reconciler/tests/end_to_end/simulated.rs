//! What the simulator says of a plan is what the hosts and the catalog show once the plan was
//! applied. Histories are drawn at random from a seed that is printed. `TIEDOWN_RUNS` says how
//! many plans are applied.

use super::crashes::Dice;
use super::fleet::{Fleet, eventually, kill_9};
use super::stories::ORDINARY_USER;
use planner::document::{ObservedDocument, SavedPlan};
use planner::model::claim::Claims;
use planner::model::id::InstanceId;
use planner::model::observed::{HostView, InstanceState, Observed, PoolView};
use planner::model::size::Size;
use planner::model::time::Timestamp;
use planner::model::volume::VolumeState;
use planner::plan::Plan;
use planner::simulate::simulate_failing;
use std::fmt::Write;
use std::fs;

/// Plans that are applied if nobody says otherwise.
const RUNS: usize = 10;

/// Answers on its own address at once, and ends at once.
const PROGRAM: &str = "use IO::Socket::INET; exit 3 if ($ENV{FAIL} // '') eq 'yes';\n\
    my $s = IO::Socket::INET->new(LocalAddr => $ENV{FLY_PRIVATE_IP}, LocalPort => 8080, Listen => 9, \
    ReuseAddr => 1) or die $!; $SIG{INT} = $SIG{TERM} = sub { exit 0 };\n\
    while (1) { my $c = $s->accept; close $c if $c }\n";

/// One app as its manifest will say.
#[derive(Clone)]
struct App {
    name: &'static str,
    there: bool,
    version: u64,
    fails: bool,
    services: bool,
    ewr: u64,
    ord: u64,
    /// Sizes in GB by source; none: no such mount.
    mounts: [Option<u64>; 2],
    destroy: bool,
    kill_timeout: u64,
}

impl App {
    const fn new(name: &'static str, services: bool, mounts: [Option<u64>; 2]) -> Self {
        Self {
            name,
            there: true,
            version: 1,
            fails: false,
            services,
            ewr: 2,
            ord: 0,
            mounts,
            destroy: false,
            kill_timeout: 1,
        }
    }

    fn manifest(&self) -> String {
        let Self { name, version, ewr, ord, kill_timeout, .. } = self;
        let fail = if self.fails { "yes" } else { "no" };
        let mut text = format!(
            "app = {name:?}\nprimary_region = \"ewr\"\nkill_timeout = \"{kill_timeout}s\"\n\
             [processes]\napp = \"perl run.pl\"\n[env]\nVERSION = \"{version}\"\nFAIL = {fail:?}\n\
             [deploy]\nwait_timeout = \"10s\"\n[[restart]]\npolicy = \"never\"\n[[vm]]\nmemory = \"256mb\"\n"
        );
        let check = "interval = \"2s\"\ntimeout = \"1s\"\n";
        text += &match self.services {
            true => format!(
                "[[services]]\ninternal_port = 8080\nprocesses = [\"app\"]\n[[services.ports]]\nport = 80\n[[services.tcp_checks]]\n{check}"
            ),
            false => format!("[checks.up]\ntype = \"tcp\"\nport = 8080\n{check}"),
        };
        for (source, size) in ["data", "cache"].iter().zip(self.mounts) {
            let Some(size) = size else { continue };
            let on_remove = if self.destroy { "destroy" } else { "retain" };
            write!(
                text,
                "[[mounts]]\nsource = {source:?}\ndestination = \"/{source}\"\ninitial_size = \"{size}gb\"\n\
                 [tiedown.volumes.{source}]\non_remove = {on_remove:?}\nretention = \"0s\"\n"
            )
            .unwrap();
        }
        write!(text, "[tiedown.scale]\napp = {{ ewr = {ewr}, ord = {ord} }}\n").unwrap();
        text
    }

    /// One thing that a person would change.
    fn change(&mut self, dice: &mut Dice) {
        match dice.below(11) {
            0 | 1 => self.ewr = dice.below(4),
            2 => self.ord = dice.below(3),
            3 | 4 => self.version += 1,
            5 => self.mounts[0] = self.mounts[0].map(|size| (size + 1).min(3)),
            6 => self.mounts[1] = if self.mounts[1].is_some() { None } else { Some(1) },
            7 => self.there = !self.there,
            8 => self.destroy = !self.destroy,
            9 => self.kill_timeout = 1 + dice.below(3),
            _ => {
                self.fails = !self.fails;
                self.version += 1;
            }
        }
    }
}

fn write(fleet: &Fleet, apps: &[App]) {
    for app in apps {
        let directory = fleet.repo().join(app.name);
        let _ = fs::remove_dir_all(&directory);
        if app.there {
            fleet.write(&format!("{}/run.pl", app.name), PROGRAM);
            fleet.write(&format!("{}/fly.toml", app.name), &app.manifest());
        }
    }
    fleet.commit("a change");
}

fn observe(fleet: &Fleet, name: &str) -> ObservedDocument {
    let said = fleet.run(&["observe"]);
    assert!([0, 7].contains(&said.code), "{name}: {said}");
    ObservedDocument::from_json(said.out.clone()).unwrap()
}

/// What must be equal: everything but moments, and what only shows while something runs.
fn plain(observed: &Observed, claims: &Claims) -> (Observed, Claims) {
    let (mut observed, mut claims) = (observed.clone(), claims.clone());
    for view in observed.values_mut() {
        let HostView::Read(reading) = view else { continue };
        (reading.at, reading.asked_at) = (Timestamp(0), Timestamp(0));
        if let PoolView::Present(pool) = &mut reading.pool {
            // What a pool that is made is like is the driver's to say.
            pool.used = Size::ZERO;
            (pool.extent, pool.header) = (Size::ZERO, Size::ZERO);
            (pool.cap_enforced, pool.grows_online, pool.copies_online) = (true, true, true);
        }
        for view in reading.volumes.values_mut() {
            view.allocated = Size::ZERO;
            if let VolumeState::Retired { since } = &mut view.state {
                *since = Timestamp(0);
            }
        }
        for view in reading.instances.values_mut() {
            (view.healthy, view.restarts, view.up_since) = (None, 0, None);
            view.said.clear();
            view.checks.clear();
            if let InstanceState::Failed { why } = &mut view.state {
                why.clear();
            }
        }
    }
    claims.losses.iter_mut().for_each(|(_, at)| *at = Timestamp(0));
    claims.losses.sort();
    for claim in claims.slots.values_mut() {
        if let Some(failed) = &mut claim.failed {
            failed.why.clear();
        }
    }
    (observed, claims)
}

/// Instances that the plan starts and that were told not to come up.
fn failing(plan: &Plan) -> Vec<InstanceId> {
    plan.steps()
        .filter_map(|step| match &step.act {
            planner::plan::step::Act::StartInstance { instance } => Some(instance),
            _ => None,
        })
        .filter(|instance| instance.env.get("FAIL").is_some_and(|fails| fails == "yes"))
        .map(|instance| instance.id.clone())
        .collect()
}

/// What a person allows this time.
fn permits(dice: &mut Dice) -> &'static [&'static str] {
    match dice.below(4) {
        0 => &["--allow-destroy"],
        1 => &["--retry"],
        2 => &["--allow-empty"],
        _ => &[],
    }
}

#[test]
fn what_the_simulator_says_is_what_the_hosts_show() {
    let runs = std::env::var("TIEDOWN_RUNS").ok().and_then(|text| text.parse().ok());
    let runs: usize = runs.unwrap_or(RUNS);
    let root = rustix::process::geteuid().is_root();
    // Directories instead of images: what is compared is the same, and it is done sooner.
    let fleet = Fleet::of_user(141, root.then_some(ORDINARY_USER));
    let mut dice = Dice::seeded();
    let mut apps = [
        App::new("store", false, [Some(1), None]),
        App::new("shop", true, [Some(1), Some(1)]),
        App::new("web", true, [None, None]),
    ];
    let saved = fleet.root_path().join("plan.json");
    let saved = saved.to_str().unwrap();
    let (mut applied, mut tried) = (0, 0);
    while applied < runs {
        tried += 1;
        assert!(tried <= runs * 10 + 10, "{applied} of {tried} plans had something to do");
        if tried > 1 {
            let app = usize::try_from(dice.below(3)).unwrap();
            apps[app].change(&mut dice);
            if dice.below(6) == 0
                && let Some(pid) = fleet.processes().first()
            {
                kill_9(*pid);
                eventually("it is gone", || !fleet.processes().contains(pid));
            }
        }
        write(&fleet, &apps);
        let permits = permits(&mut dice);
        let told = fleet.run(&[&["plan", "-o", saved], permits].concat());
        let before = observe(&fleet, "before");
        let text = fs::read_to_string(saved).unwrap_or_else(|error| panic!("{error}: {told}"));
        let plan = SavedPlan::from_json(text).unwrap().plan;
        if plan.is_empty() {
            continue;
        }
        let said = fleet.run(&[&["apply", saved], permits].concat());
        let after = observe(&fleet, "after");
        let failing = failing(&plan);
        let (observed, claims) = simulate_failing(
            &before.observed,
            &before.claims,
            &plan,
            Timestamp(u64::MAX / 2),
            &|instance| failing.contains(instance),
        );
        let (mut wanted, mut shown) =
            (plain(&observed, &claims), plain(&after.observed, &after.claims));
        for (wanted, shown) in wanted.0.values_mut().zip(shown.0.values_mut()) {
            assert_eq!(
                format!("{wanted:#?}"),
                format!("{shown:#?}"),
                "run {applied}\n{}\n{said}",
                told.out
            );
        }
        assert_eq!(
            format!("{:#?}", wanted.1),
            format!("{:#?}", shown.1),
            "run {applied}\n{}\n{said}",
            told.out
        );
        // What was refused weighs more than what failed.
        let codes: &[i32] = if failing.is_empty() { &[0, 4, 8] } else { &[4, 6] };
        assert!(codes.contains(&said.code), "run {applied}: {said}");
        applied += 1;
    }
    eprintln!("{applied} plans of {tried} were applied and compared");
}
