//! What a `tiedown.toml` means on some machine, and every way it can be wrong.

use super::*;
use crate::settings::keys::KeysSettings;
use planner::model::policy::{Fullness, MaxLoss, OnDrift, Spread};
use planner::model::size::Size;

fn machine() -> Machine {
    Machine {
        memory: Size::from_mib(8192),
        cpus: 4,
        shares_ports: true,
        root: false,
        state_home: None,
        home: Some("/home/someone".into()),
    }
}

const SMALL: &str = "fleet = \"prod\"\n[[hosts]]\nname = \"ewr-1\"\nregion = \"ewr\"\n\
                     storage = { driver = \"local\", capacity = \"20GB\" }\n";

#[test]
fn defaults_come_from_the_machine() {
    let settings = read("tiedown.toml", SMALL, &machine()).unwrap();
    assert_eq!(settings.state_dir, Path::new("/home/someone/.local/state/tiedown/prod"));
    let host = &settings.hosts[&HostName::new("ewr-1").unwrap()];
    assert_eq!(host.spec.subnet.to_string(), "127.77.1.0/24");
    assert_eq!((host.spec.memory, host.spec.cpus), (Size::from_mib(8192), 4));
    assert_eq!(host.spec.pool_size, Some(Size::from_gb(20)));
    let path = host.storage.path();
    assert_eq!(*path, settings.state_dir.join("hosts/ewr-1"));

    let root = Machine { root: true, shares_ports: false, ..machine() };
    let settings = read("tiedown.toml", SMALL, &root).unwrap();
    assert_eq!(settings.state_dir, Path::new("/var/lib/tiedown/prod"));
    let host = &settings.hosts[&HostName::new("ewr-1").unwrap()];
    assert_eq!(host.spec.subnet.to_string(), "10.77.1.0/24");

    let xdg = Machine { state_home: Some("/state".into()), ..machine() };
    let settings = read("tiedown.toml", SMALL, &xdg).unwrap();
    assert_eq!(settings.state_dir, Path::new("/state/tiedown/prod"));
}

#[test]
fn the_example_of_the_docs_can_be_read() {
    let page = include_str!("../../../../docs/tiedown-toml.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let settings = read("tiedown.toml", example, &machine()).unwrap();
    assert_eq!(settings.hosts.len(), 1);
}

#[test]
fn a_renamed_host_keeps_its_directory() {
    let text = SMALL.replace("name = \"ewr-1\"", "name = \"east-1\"\nwas = \"ewr-1\"");
    let settings = read("tiedown.toml", &text, &machine()).unwrap();
    let host = &settings.hosts[&HostName::new("east-1").unwrap()];
    assert_eq!(*host.storage.path(), settings.state_dir.join("hosts/ewr-1"));
}

#[test]
fn everything_can_be_written() {
    let text = "fleet = \"prod\"\nstate_dir = \"/srv/tiedown\"\n[apps]\ninclude = [\"a/fly.toml\"]\n\
                exclude = [\"b/**\"]\n[policy]\novercommit = 1.5\nspread = \"zone\"\n\
                max_loss = { count = 0, share = 0.25 }\nfull = { data = 0.9 }\n[policy.drift]\nsize = \"warn\"\n\
                marks = \"ignore\"\n[serve]\ninterval = \"90s\"\ntime_zone = \"UTC\"\n\
                windows = [\"Mon-Fri 08:00-18:00\"]\nfreezes = [\"2026-12-20..2027-01-06\"]\n\
                [[hosts]]\nname = \"h\"\nregion = \"ewr\"\n\
                zone = \"a\"\nstate = \"cordoned\"\nwas = \"g\"\nsubnet = \"10.9.0.0/24\"\n\
                memory = \"64GB\"\ncpus = 16\n\
                storage = { driver = \"local\", path = \"disks/h\", capacity = \"1TB\" }\n\
                runtime = { driver = \"process\" }\n";
    let settings = read("tiedown.toml", text, &machine()).unwrap();
    assert_eq!(
        (settings.include, settings.exclude),
        (vec!["a/fly.toml".into()], vec!["b/**".into()])
    );
    assert_eq!(settings.policy.overcommit_thousandths, 1500);
    assert_eq!(settings.serve.interval.as_secs(), 90);
    let schedule = settings.serve.schedule;
    assert_eq!((schedule.windows.len(), schedule.freezes.len()), (1, 1));
    assert_eq!(settings.policy.spread, Spread::Zone);
    assert_eq!(settings.policy.max_loss, MaxLoss { count: 0, share_thousandths: 250 });
    let full = Fullness { data_thousandths: 900, ..Fullness::default() };
    assert_eq!(settings.policy.full, full);
    let drift = settings.policy.drift;
    assert_eq!(
        (drift.state, drift.size, drift.marks),
        (OnDrift::Heal, OnDrift::Warn, OnDrift::Ignore)
    );
    let host = settings.hosts.values().next().unwrap();
    let path = host.storage.path();
    assert_eq!(path, Path::new("/srv/tiedown/hosts/disks/h"));
    assert_eq!(host.spec.failure_domain(), "a");
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let text = "flet = \"prod\"\nstate_dir = \"state\"\n[[hosts]]\nname = \"Ewr_1\"\nregoin = \"ewr\"\n\
                cpus = 0\nstorage = { driver = \"locl\" }\n[polcy]\n";
    let problems = read("tiedown.toml", text, &machine()).unwrap_err();
    let told: Vec<String> = problems
        .iter()
        .map(|p| {
            format!("{}:{} {} ({})", p.line, p.column, p.message, p.hint.as_deref().unwrap_or(""))
        })
        .collect();
    let expected = [
        "1:1 `fleet` is missing (write fleet = \"NAME\" at the top: it names the hosts as one)",
        "1:1 `flet` is not a key of tiedown.toml (did you mean `fleet`?)",
        "2:13 `state_dir`: \"state\" must be an absolute path without `..`, and not `/` ()",
        "3:1 `region` of [[hosts]] is missing (write region = \"REGION\")",
        "4:8 `name` of [[hosts]]: \"Ewr_1\" is not a valid host name: 1 to 63 lower-case letters, \
         digits and dashes, not starting with a dash ()",
        "5:1 `regoin` is not a key of [[hosts]] (did you mean `region`?)",
        "6:8 `cpus` of [[hosts]] must be a whole number from 1 ()",
        "7:22 `driver` of `storage` is \"locl\"; it can be local | lvm (did you mean \"local\"?)",
        "8:2 `polcy` is not a key of tiedown.toml (did you mean `policy`?)",
    ];
    let mut told_sorted = told.clone();
    told_sorted.sort();
    let mut expected_sorted = expected.map(str::to_owned).to_vec();
    expected_sorted.sort();
    assert_eq!(told_sorted, expected_sorted);
}

#[test]
fn each_clash_has_one_message() {
    let host = |name: &str, more: &str| {
        format!("[[hosts]]\nname = \"{name}\"\nregion = \"ewr\"\n{more}\n")
    };
    let local = "storage = { driver = \"local\", capacity = \"1GB\" }";
    let shared = "storage = { driver = \"local\", path = \"p\", capacity = \"1GB\" }";
    let lvm = "storage = { driver = \"lvm\", vg = \"v\", pool = \"t\" }";
    let table = [
        (host("a", local) + &host("a", shared), "two hosts are called a"),
        (host("a", shared) + &host("b", shared), "hosts a and b have one pool"),
        (
            host("a", &format!("{local}\nsubnet = \"10.0.0.0/8\""))
                + &host("b", &format!("{local}\nsubnet = \"10.1.0.0/24\"")),
            "subnets of a (10.0.0.0/8) and b (10.1.0.0/24) overlap",
        ),
        (host("a", lvm) + &host("b", lvm), "hosts a and b have one pool"),
        (
            host("a", local) + &host("b", &format!("was = \"a\"\n{local}")),
            "b was a, which is a host itself",
        ),
        (
            host("a", "storage = { driver = \"lvm\", vg = \"v\", pool = \"../t\" }"),
            "`pool` of `storage`: \"../t\" is not a name: letters, digits, `_`, `+` and `.`",
        ),
        (
            host("a", &format!("{local}\nruntime = {{ driver = \"docker\", socket = \"x\" }}")),
            "`socket` of `runtime`: \"x\" must be an absolute path, or unix:// and one: an engine \
             of this machine",
        ),
        (
            host("a", "storage = { driver = \"local\", capacity = \"20\" }"),
            "`capacity` of `storage`: \"20\" is not a size: write a whole number and a unit, such \
             as 512MB, 20GB or 4GiB",
        ),
        (
            host("a", "storage = { driver = \"local\", path = \"../x\", capacity = \"1GB\" }"),
            "`path` of `storage`: \"../x\" must be a relative path under `state_dir`, without `..`",
        ),
        (String::new(), "`hosts` is missing"),
        ("hosts = []\n".into(), "`hosts` is empty: a fleet has at least one host"),
        ("hosts = 3\n".into(), "`hosts` must be tables: [[hosts]], not an integer"),
        (
            host("a", local) + "[policy]\novercommit = -1\n",
            "`overcommit` of [policy] must be from 0.1 to 100",
        ),
        (
            host("a", local) + "[apps]\ninclude = [\"[\"]\n",
            "`include` of [apps]: unclosed character class; missing ']'",
        ),
    ];
    for (text, message) in table {
        let text = format!("fleet = \"f\"\n{text}");
        let problems = read("tiedown.toml", &text, &machine()).unwrap_err();
        let told: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(told, [message], "{text}");
    }
}

#[test]
fn broken_toml_is_one_problem_at_its_place() {
    let problems = read("tiedown.toml", "fleet = \"f\"\n[[hosts]\n", &machine()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].line, 2);
    assert!(problems[0].message.starts_with("this is not TOML"), "{}", problems[0].message);
}

#[test]
fn what_seals_the_keys_can_be_elsewhere() {
    let with = |keys: &str| {
        let text = SMALL.replace("region", &format!("keys = {keys}\nregion"));
        let settings = read("tiedown.toml", &text, &machine());
        settings.map(|settings| settings.hosts.values().next().unwrap().keys.clone())
    };
    let file = with("{ file = \"/usb/seal.key\" }").unwrap();
    assert_eq!(file, KeysSettings::File("/usb/seal.key".into()));
    let file = with("{ passphrase_file = \"/run/passphrase\" }").unwrap();
    assert_eq!(file, KeysSettings::PassphraseFile("/run/passphrase".into()));
    let credential = with("{ credential = \"seal\" }").unwrap();
    assert_eq!(credential, KeysSettings::Credential("seal".into()));
    assert_eq!(with("{ ask = true }").unwrap(), KeysSettings::Ask);
    assert_eq!(
        read("tiedown.toml", SMALL, &machine()).unwrap().hosts.values().next().unwrap().keys,
        KeysSettings::Own
    );
    for (keys, told) in [
        ("{}", "says 0 things"),
        ("{ file = \"/a\", ask = true }", "says 2 things"),
        ("{ file = \"a\" }", "must be an absolute path"),
        ("{ credential = \"../a\" }", "is not a credential's name"),
        ("{ ask = 1 }", "must be true or false, not an integer"),
        ("{ passphrase = \"sesame\" }", "`passphrase` is not a key"),
        ("\"sesame\"", "must be a table"),
    ] {
        let problems = with(keys).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message.contains(told)), "{problems:?}");
    }
}
