//! A fleet on a real Docker Engine: images from a real registry, volumes in containers, and writes
//! that are kept through rollouts.

use super::fleet::{Fleet, Said, eventually, kill_9};
use crate::engine::{Engine, Registry};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the test image runs: keeps a line for each of its starts, and one for each request to
/// `/cgi-bin/put?LINE`, which is answered when the line is on the disk.
const START: &str = r#"
mkdir -p /www/cgi-bin
echo "start $VERSION" >> /data/lines
cat > /www/cgi-bin/put <<'END'
#!/bin/sh
echo "$QUERY_STRING" >> /data/lines && busybox sync /data/lines &&
    printf 'Content-Type: text/plain\r\n\r\nkept\n'
END
busybox chmod +x /www/cgi-bin/put
busybox ln -s /data/lines /www/lines
echo $SHOWN $TOKEN > /www/shown
echo ready
exec busybox httpd -f -p 8080 -h /www
"#;

pub(super) fn manifest(image: &str, version: &str) -> String {
    format!(
        "app = \"store\"\nprimary_region = \"ewr\"\nkill_timeout = \"2s\"\nswap_size_mb = 64\n\
         [build]\nimage = {image:?}\n[env]\nVERSION = {version:?}\n\
         [[files]]\nguest_path = \"/start\"\nraw_value = '''\n{START}'''\n\
         [[mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n\
         [http_service]\ninternal_port = 8080\n[[http_service.checks]]\nmethod = \"GET\"\n\
         path = \"/shown\"\ninterval = \"1s\"\ntimeout = \"1s\"\n[deploy]\nwait_timeout = \"40s\"\n\
         [tiedown.scale]\napp = {{ ewr = 1, ord = 1 }}\n"
    )
}

/// What only a build could give.
const UNBUILT: &str =
    "app = \"built\"\nprimary_region = \"ewr\"\n[build]\ndockerfile = \"Dockerfile\"\n";

pub(super) fn engine(test: &str) -> Option<Engine> {
    match Engine::start() {
        Ok(engine) => Some(engine),
        Err(why) => {
            eprintln!("SKIPPED {test}: {why}");
            None
        }
    }
}

/// A fleet of two hosts on one engine.
pub(super) fn fleet(net: u8, engine: &Engine) -> Fleet {
    let fleet = Fleet::new(net);
    let docker = format!("driver = \"docker\", socket = \"unix://{}\"", engine.socket().display());
    let hosts = fleet.settings(&[("ewr-1", "ewr"), ("ord-1", "ord")]);
    let hosts = hosts.replace("driver = \"process\"", &docker).replace("5GB", "8GB");
    fleet.write("tiedown.toml", &hosts);
    fleet
}

pub(super) fn get(fleet: &Fleet, slot: usize, path: &str) -> String {
    fleet.http(&fleet.slots()[slot].1, "GET", path, "").unwrap_or_default()
}

#[test]
fn images_become_running_slots_and_a_registry_that_is_down_stops_nothing() {
    let Some(engine) = engine("images_become_running_slots") else { return };
    let mut registry = Registry::start(&engine.root().join("registry"));
    let image = |tag: u8| format!("127.0.0.1:{}/store:{tag}", registry.port());
    let (one, two) = (image(1), image(2));
    let push = |name: &str, shown: &str| {
        let env = format!("ENV SHOWN={shown}");
        engine.image(name, &[&env, "CMD [\"/bin/sh\", \"/start\"]"]);
        let (pushed, said) = engine.docker(&["push", name]);
        assert!(pushed, "{said}");
    };
    push(&one, "first");
    let (removed, said) = engine.docker(&["rmi", &one]);
    assert!(removed, "{said}");
    let fleet = fleet(161, &engine);
    fleet.write("store/fly.toml", &manifest(&one, "v1"));
    fleet.write("built/fly.toml", UNBUILT);
    fleet.commit("an image, and one that nobody built");
    let said = fleet.run(&["doctor"]);
    assert!(said.out.contains("ok      Docker Engine: "), "{said}");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "{said}");
    let fetched = format!("fetch-image {one} ");
    assert!(said.err.contains(&fetched), "{said}");
    let why = "it runs an image built from dockerfile Dockerfile, and nobody has built it";
    assert!(said.out.contains(why), "{said}");
    fleet.git(&["rm", "-rq", "built"]);
    fleet.commit("without it");
    fleet.assert_fixpoint();
    fleet.assert_one_to_one();
    for slot in [0, 1] {
        assert_eq!(get(&fleet, slot, "/shown").trim(), "first");
        assert_eq!(get(&fleet, slot, "/lines"), "start v1\n");
    }

    // What a tag means was looked up once, and the image is here.
    push(&one, "other");
    fleet.assert_fixpoint();
    registry.stop();
    fleet.write("store/fly.toml", &manifest(&one, "v2"));
    fleet.commit("another environment");
    fleet.apply();
    for slot in [0, 1] {
        assert_eq!(get(&fleet, slot, "/shown").trim(), "first");
        assert_eq!(get(&fleet, slot, "/lines"), "start v1\nstart v2\n");
    }
    fleet.write("store/fly.toml", &manifest(&two, "v2"));
    fleet.commit("another image, and no registry");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "{said}");
    assert!(said.out.contains(&format!("the image {two} is not here")), "{said}");
    assert_eq!(get(&fleet, 0, "/lines"), "start v1\nstart v2\n");

    registry.up();
    push(&two, "second");
    fleet.apply();
    assert_eq!(get(&fleet, 1, "/shown").trim(), "second");
    fleet.assert_fixpoint();
    healed_and_seen(&fleet, &engine);
    failed_on_clones(&fleet, &engine, &two);
    tried_on_clones(&fleet, &two);
    gone_back(&fleet, &two);
}

#[test]
fn a_registry_is_logged_in_to_as_the_client_is() {
    let Some(engine) = engine("a_registry_is_logged_in_to") else { return };
    let registry = Registry::guarded(&engine.root().join("registry"));
    let place = format!("127.0.0.1:{}", registry.port());
    let image = format!("{place}/store:1");
    engine.image(&image, &["CMD [\"/bin/sh\", \"/start\"]"]);
    for args in [
        &["login", "-u", "me", "-p", "finch-lane-1618", &place][..],
        &["push", &image],
        &["rmi", &image],
    ] {
        let (done, said) = engine.docker(args);
        assert!(done, "{args:?}: {said}");
    }
    let fleet = fleet(165, &engine);
    fleet.write("store/fly.toml", &manifest(&image, "v1").replace(", ord = 1", ""));
    fleet.commit("an image behind a login");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "{said}");
    assert!(said.out.contains(&format!("the image {image} is not here")), "{said}");
    let kept = fleet.root_path().join(".docker");
    fs::create_dir(&kept).unwrap();
    fs::copy(engine.root().join(".docker/config.json"), kept.join("config.json")).unwrap();
    let said = fleet.apply();
    assert!(!said.to_string().contains("finch-lane-1618"), "{said}");
    eventually("an answer", || get(&fleet, 0, "/lines") == "start v1\n");
    fleet.assert_fixpoint();
}

/// `fixtures/docker`, with a state directory, addresses and an engine of the test's own.
#[test]
fn the_example_of_containers_does_what_it_says() {
    let Some(engine) = engine("the_example_of_containers") else { return };
    let fleet = Fleet::new(166);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures/docker");
    let guestbook = fleet.repo().join("guestbook");
    fs::create_dir(&guestbook).unwrap();
    for name in ["Dockerfile", "fly.toml", "start"] {
        fs::copy(fixture.join("guestbook").join(name), guestbook.join(name)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists()).unwrap();
    fs::copy(busybox, guestbook.join("busybox")).unwrap();
    let (built, said) =
        engine.docker(&["build", "-q", "-t", "guestbook:1", guestbook.to_str().unwrap()]);
    assert!(built, "{said}");
    let settings = fs::read_to_string(fixture.join("tiedown.toml")).unwrap();
    let socket = format!("\"docker\", socket = \"unix://{}\"", engine.socket().display());
    let settings = settings.replace("\"docker\" }", &format!("{socket} }}")).replace(
        "[[hosts]]\n",
        &format!("state_dir = {:?}\n[[hosts]]\nsubnet = \"10.166.0.0/24\"\n", fleet.state()),
    );
    fleet.write("tiedown.toml", &settings);
    fleet.commit("the example");
    fleet.apply();
    assert!(get(&fleet, 0, "/").starts_with("hello from "), "{}", get(&fleet, 0, "/"));
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

/// Supervisors and guards are killed at once, as by one who kills all that is tiedown's: what is left
/// is cleared away before anything is started on the volumes.
fn healed_and_seen(fleet: &Fleet, engine: &Engine) {
    let secret = fleet.root_path().join("secret");
    fs::write(&secret, "finch-lane-yew-1618").unwrap();
    let mut set = fleet.command(&["secrets", "set", "store", "TOKEN"]);
    let set = set.stdin(fs::File::open(&secret).unwrap()).output().unwrap();
    assert!(set.status.success(), "{}", Said::of(&set));
    fs::remove_file(&secret).unwrap();
    fleet.apply();
    assert_eq!(get(fleet, 0, "/shown").trim(), "second finch-lane-yew-1618");
    for pid in fleet.processes() {
        kill_9(pid);
    }
    let said = fleet.run(&["resume"]);
    assert_eq!(said.code, 0, "{said}");
    let starts = || get(fleet, 0, "/lines").matches("start").count();
    eventually("an answer", || starts() >= 5);
    assert_eq!(starts(), 5, "{}", fleet.run(&["logs", "store"]));
    fleet.assert_fixpoint();
    fleet.assert_one_to_one();
    let said = fleet.run(&["logs", "store/app/ewr/1"]);
    assert!(said.out.contains("ready"), "{said}");
    let mut exec = fleet.command(&["exec", "store/app/ewr/1"]);
    let said = Said::of(
        &exec.args(["--", "/bin/sh", "-c", "echo $SHOWN $VERSION; exit 7"]).output().unwrap(),
    );
    assert_eq!((said.code, said.out.trim()), (7, "second v2"), "{said}");
    let limits = engine.docker(&["ps", "-q"]).1;
    let first = limits.lines().next().unwrap();
    let memory = engine.docker(&["inspect", "-f", "{{.HostConfig.Memory}}", first]).1;
    assert_eq!(memory, (256_u64 << 20).to_string());
    let restart = engine.docker(&["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", first]).1;
    assert!(restart.is_empty() || restart == "no", "{restart}");
}

/// A manifest whose releases are tried on clones first.
fn cloned(image: &str, version: &str) -> String {
    let clone = "[tiedown]\ncanary = \"clone\"\n[tiedown.scale]";
    manifest(image, version).replace("[tiedown.scale]", clone)
}

/// What spoils its clone and ends there: no slot is touched, and nothing of it is left.
fn failed_on_clones(fleet: &Fleet, engine: &Engine, image: &str) {
    let containers = || engine.docker(&["ps", "-aq"]).1.lines().count();
    let (slots, lines) = (fleet.slots(), get(fleet, 0, "/lines"));
    let (volumes, all) = (fleet.status()["volumes"].clone(), containers());
    let ends = "[ -z \"$TIEDOWN_CANARY\" ] || { echo spoilt > /data/lines; busybox sleep 1; exit 1; }\n\
         mkdir -p /www";
    let spoils = cloned(image, "v3").replace("mkdir -p /www", ends).replace("40s", "5s");
    fleet.write("store/fly.toml", &spoils);
    fleet.commit("ends where it is tried");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 6, "{said}");
    assert!(said.out.contains("a canary on clones of ewr/1"), "{said}");
    assert_eq!((fleet.slots(), get(fleet, 0, "/lines")), (slots, lines), "nothing was touched");
    assert_eq!(fleet.status()["volumes"], volumes, "the clones are gone");
    assert_eq!(containers(), all, "and the container on them");
    let said = fleet.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, 8, "it is not tried again by itself: {said}");
    assert!(said.out.contains("stay as they are"), "{said}");
}

/// A release of containers is tried on clones too, and nothing of that is left.
fn tried_on_clones(fleet: &Fleet, image: &str) {
    let before = get(fleet, 0, "/lines");
    let cloned = cloned(image, "v3");
    fleet.write("store/fly.toml", &cloned);
    fleet.commit("tried first");
    let said = fleet.apply();
    assert!(said.out.contains("a canary on clones of ewr/1"), "{said}");
    assert_eq!(get(fleet, 0, "/lines"), format!("{before}start v3\n"), "the canary had a clone");
    assert_eq!(fleet.status()["volumes"].as_array().unwrap().len(), 2, "the clones are gone");
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

/// What spoils the data of the first slot and ends there, then what does so in the middle: the slot
/// goes back to its data, those before it have the new release, and those behind the old one.
fn gone_back(fleet: &Fleet, image: &str) {
    let scale = "[tiedown]\nrevert = \"snapshot\"\n[tiedown.scale]\napp = { ewr = 2, ord = 1 }";
    let going_back = |version: &str, fails: &str| {
        let ends = format!(
            "[ \"$TIEDOWN_SLOT\" != store/app/{fails} ] || \
             {{ echo spoilt > /data/lines; busybox sleep 1; exit 1; }}\n\
             mkdir -p /www"
        );
        let manifest = manifest(image, version).replace("mkdir -p /www", &ends);
        manifest.replace("[tiedown.scale]\napp = { ewr = 1, ord = 1 }", scale)
    };
    let lines = || [0, 1, 2].map(|slot| get(fleet, slot, "/lines"));
    fleet.write("store/fly.toml", &going_back("v4", "none"));
    fleet.commit("a third slot");
    fleet.apply();
    let before = lines();
    let failed = |version: &str, slot: &str, after: [String; 3]| {
        fleet.write("store/fly.toml", &going_back(version, slot).replace("40s", "5s"));
        fleet.commit(version);
        let said = fleet.run(&["apply", "--auto-approve"]);
        assert_eq!(said.code, 6, "{said}");
        assert!(said.out.contains("and its data changes: to copies of snapshots"), "{said}");
        eventually("answers", || lines() == after);
        fleet.assert_one_to_one();
        let said = fleet.run(&["apply", "--auto-approve"]);
        assert_eq!(said.code, 8, "it is not tried again by itself: {said}");
        assert!(said.out.contains(&format!("failed on store/app/{slot}")), "{said}");
    };
    let [first, second, third] = before;
    let first = format!("{first}start v4\n");
    failed("v5", "ewr/1", [first.clone(), second.clone(), third.clone()]);
    let (first, second) = (format!("{first}start v6\n"), format!("{second}start v4\n"));
    failed("v6", "ewr/2", [first, second, third]);
    fleet.write("store/fly.toml", &going_back("v7", "none"));
    fleet.commit("good again");
    fleet.apply();
    assert!(lines().iter().all(|lines| lines.ends_with("start v7\n")));
    fleet.assert_one_to_one();
    fleet.assert_fixpoint();
}

/// Rollouts while a client writes: what was acknowledged is there in the end. `ROLLOUTS` says how
/// many; the time without an answer is printed, beside that of `docker stop` and `docker run`.
#[test]
fn acknowledged_writes_outlive_rollouts() {
    let Some(engine) = engine("acknowledged_writes_outlive_rollouts") else { return };
    engine.image("store:1", &["CMD [\"/bin/sh\", \"/start\"]"]);
    let rollouts = std::env::var("ROLLOUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let fleet = fleet(162, &engine);
    let one = |version: &str| manifest("store:1", version).replace(", ord = 1", "");
    fleet.write("store/fly.toml", &one("v0"));
    fleet.commit("first");
    fleet.apply();
    let address = fleet.slots()[0].1.clone();
    let client = Client::default();
    std::thread::scope(|scope| {
        scope.spawn(|| client.write(&fleet, &address));
        for n in 1..=rollouts {
            fleet.write("store/fly.toml", &one(&format!("v{n}")));
            fleet.commit("next");
            let said = fleet.run(&["apply", "--auto-approve"]);
            if said.code != 0 {
                client.stop.store(true, Ordering::Relaxed);
            }
            assert_eq!(said.code, 0, "{said}");
        }
        client.stop.store(true, Ordering::Relaxed);
    });
    let lines = get(&fleet, 0, "/lines");
    let kept: std::collections::BTreeSet<&str> = lines.lines().collect();
    let acknowledged = client.acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > rollouts, "hardly anything was written");
    for (n, _) in &acknowledged {
        assert!(kept.contains(n.to_string().as_str()), "{n} was acknowledged and is lost");
    }
    assert_eq!(lines.matches("start v").count(), rollouts + 1);
    let ours = longest(&acknowledged, rollouts);
    let theirs = by_script(&engine, &fleet, rollouts);
    let told = |all: &[Duration]| {
        let of = |place: usize| all[place].as_secs_f64();
        format!("{:.2} s in the middle, {:.2} s at most", of(all.len() / 2), of(all.len() - 1))
    };
    eprintln!(
        "{rollouts} rollouts, {} acknowledged writes, none lost; without an answer for each: {}; \
         with docker stop and run: {}",
        acknowledged.len(),
        told(&ours),
        told(&theirs)
    );
}

#[derive(Default)]
struct Client {
    next: AtomicU64,
    stop: AtomicBool,
    acknowledged: std::sync::Mutex<Vec<(u64, Instant)>>,
}

impl Client {
    fn write(&self, fleet: &Fleet, address: &str) {
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let answer = fleet.http(address, "GET", &format!("/cgi-bin/put?{n}"), "");
            if answer.is_ok_and(|answer| answer.trim() == "kept") {
                self.acknowledged.lock().unwrap().push((n, Instant::now()));
            }
        }
    }
}

/// The same by hand, with the same client: `docker stop`, then `docker run` on the same directory.
fn by_script(engine: &Engine, fleet: &Fleet, rounds: usize) -> Vec<Duration> {
    // A bridge of that name which a killed test left is taken over, not made beside.
    let bridge = "com.docker.network.bridge.name=tiedown-hand";
    let create = ["network", "create", "--subnet", "10.163.0.0/24", "-o", bridge, "hand"];
    let (made, said) = engine.docker(&create);
    assert!(made, "{said}");
    let (data, start) = (engine.root().join("hand"), engine.root().join("start"));
    fs::create_dir_all(&data).unwrap();
    fs::write(&start, START).unwrap();
    let (data, start) =
        (format!("{}:/data", data.display()), format!("{}:/start", start.display()));
    let run = || {
        let args = ["run", "-d", "--name", "hand", "--network", "hand", "--ip", "10.163.0.9"];
        let (ran, said) =
            engine.docker(&[&args[..], &["-v", &data, "-v", &start, "store:1"]].concat());
        assert!(ran, "{said}");
    };
    let client = Client::default();
    let count = || client.acknowledged.lock().unwrap().len();
    std::thread::scope(|scope| {
        run();
        scope.spawn(|| client.write(fleet, "10.163.0.9"));
        for _ in 0..rounds {
            let before = count();
            eventually("an answer", || count() > before);
            engine.docker(&["stop", "-t", "2", "hand"]);
            engine.docker(&["rm", "hand"]);
            run();
        }
        let before = count();
        eventually("an answer", || count() > before);
        client.stop.store(true, Ordering::Relaxed);
    });
    longest(&client.acknowledged.into_inner().unwrap(), rounds)
}

/// The longest times between two answers, in order.
fn longest(acknowledged: &[(u64, Instant)], how_many: usize) -> Vec<Duration> {
    let mut gaps: Vec<Duration> = acknowledged.windows(2).map(|w| w[1].1 - w[0].1).collect();
    gaps.sort();
    gaps.split_off(gaps.len().saturating_sub(how_many))
}
