//! `tiedown.toml` as written: every key read, every mistake of grammar found, nothing filled in
//! that this machine would have to say.

mod require;
mod serve;

use super::keys::{self, KeysSettings, absolute};
use super::section::{At, Reader, Section};
use super::{
    EndpointsSettings, INCLUDE, ProcessNetwork, Requirements, RuntimeDriver, ServeSettings,
};
use planner::model::host::HostState;
use planner::model::name::{FleetName, HostName, Region};
use planner::model::network::Subnet;
use planner::model::policy::{Auto, DriftPolicy, Fullness, MaxLoss, OnDrift, Policy, Spread};
use planner::model::size::Size;
use std::path::{Component, Path, PathBuf};
use toml_edit::Document;

/// The file as written.
#[derive(Debug)]
pub struct Written {
    /// `fleet`.
    pub fleet: FleetName,
    /// `state_dir`; absolute.
    pub state_dir: Option<PathBuf>,
    /// `include` of `[apps]`, or its default.
    pub include: Vec<String>,
    /// `exclude` of `[apps]`.
    pub exclude: Vec<String>,
    /// `[[hosts]]`, at least one, no name twice.
    pub hosts: Vec<WrittenHost>,
    /// `[policy]`, with its defaults.
    pub policy: Policy,
    /// `[endpoints]`.
    pub endpoints: Option<EndpointsSettings>,
    /// `[serve]`, with its defaults.
    pub serve: ServeSettings,
    /// `[require]`.
    pub require: Requirements,
}

/// One `[[hosts]]` entry as written.
#[derive(Debug)]
pub struct WrittenHost {
    /// `name`.
    pub name: At<HostName>,
    /// `region`.
    pub region: Region,
    /// `zone`.
    pub zone: Option<String>,
    /// `state`, or active.
    pub state: HostState,
    /// `was`.
    pub was: Option<At<HostName>>,
    /// `subnet`.
    pub subnet: Option<At<Subnet>>,
    /// `memory`.
    pub memory: Option<Size>,
    /// `cpus`.
    pub cpus: Option<u32>,
    /// `path` of `storage`, or the name that the host was made with; relative, without `..`.
    pub path: At<String>,
    /// `capacity` of `storage`; with `lvm` it may be left out: the pool must be there already.
    pub capacity: Option<Size>,
    /// `vg` and `pool` of `storage`, if its driver is lvm.
    pub lvm: Option<At<(String, String)>>,
    /// `driver` of `runtime`, or process.
    pub runtime: RuntimeDriver,
    /// `keys`.
    pub keys: KeysSettings,
}

impl WrittenHost {
    fn was_called(&self, other: &Self) -> bool {
        self.was.as_ref().is_some_and(|was| was.value == other.name.value)
    }
}

const STATES: [(&str, HostState); 3] =
    [("active", HostState::Active), ("cordoned", HostState::Cordoned), ("lost", HostState::Lost)];
const SPREADS: [(&str, Spread); 3] =
    [("host", Spread::Host), ("zone", Spread::Zone), ("none", Spread::None)];

/// Reads the whole file. `None` if what is missing or wrong leaves nothing to go on with; the
/// reader then knows why.
pub fn read(reader: &mut Reader<'_>, text: &str) -> Option<Written> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let message = format!("this is not TOML: {}", error.message().replace('\n', "; "));
            reader.wrong(span, message, "");
            return None;
        }
    };
    let file = Section::new(document.as_table(), "", 0..0);
    const KEYS: [&str; 8] =
        ["fleet", "state_dir", "apps", "hosts", "policy", "endpoints", "serve", "require"];
    file.allow(reader, &KEYS);
    if !file.has("fleet") {
        file.missing(reader, "fleet", "fleet = \"NAME\" at the top: it names the hosts as one");
    }
    let fleet = file.parsed::<FleetName, _>(reader, "fleet");
    let state_dir = file.parsed_by(reader, "state_dir", absolute);
    let apps = file.table(reader, "apps", "[apps]");
    let (mut include, mut exclude) = (None, None);
    if let Some(apps) = &apps {
        apps.allow(reader, &["include", "exclude"]);
        include = globs(reader, apps, "include");
        exclude = globs(reader, apps, "exclude");
    }
    let hosts = hosts(reader, &file);
    let policy = file.table(reader, "policy", "[policy]");
    let policy = policy.map_or_else(Policy::default, |section| read_policy(reader, &section));
    let endpoints = file.table(reader, "endpoints", "[endpoints]").and_then(|section| {
        section.allow(reader, &["file", "command"]);
        if !section.has("file") {
            section.missing(reader, "file", "file = \"/an/absolute/path.json\"");
        }
        let command = section.texts(reader, "command").unwrap_or_default();
        if let Some(program) = command.first().filter(|word| word.value.contains('/')) {
            let message = "`command` of [endpoints] begins with a path";
            let hint = "write a program's bare name; it is looked for where the system has them";
            reader.wrong(program.span.clone(), message, hint);
        }
        let command = command.into_iter().map(|word| word.value).collect();
        let file = section.parsed_by(reader, "file", absolute)?.value;
        Some(EndpointsSettings { file, command })
    });
    let serve = file.table(reader, "serve", "[serve]");
    let serve = serve.map_or_else(ServeSettings::default, |section| serve::read(reader, &section));
    let require = file.table(reader, "require", "[require]");
    let require = require.map(|section| require::read(reader, &section)).unwrap_or_default();
    Some(Written {
        fleet: fleet?.value,
        state_dir: state_dir.map(|at| at.value),
        include: include.unwrap_or_else(|| INCLUDE.map(str::to_owned).to_vec()),
        exclude: exclude.unwrap_or_default(),
        hosts,
        policy,
        endpoints,
        serve,
        require,
    })
}

fn inside(text: &str) -> Result<String, String> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !text.is_empty() && text.len() <= 200 && plain && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    let shown: String = text.chars().take(80).collect();
    Err(format!("{shown:?} must be a relative path under `state_dir`, without `..`"))
}

fn zone_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=63).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    let shown: String = text.chars().take(80).collect();
    Err(format!("{shown:?} is not a valid zone: 1 to 63 letters, digits, dashes and underscores"))
}

fn globs(reader: &mut Reader<'_>, apps: &Section<'_>, key: &str) -> Option<Vec<String>> {
    let patterns = apps.texts(reader, key)?;
    for pattern in &patterns {
        if let Err(error) = globset::Glob::new(&pattern.value) {
            let message = format!("`{key}` of [apps]: {}", error.kind());
            reader.wrong(pattern.span.clone(), message, "patterns look like **/fly.toml");
        }
    }
    Some(patterns.into_iter().map(|pattern| pattern.value).collect())
}

fn hosts(reader: &mut Reader<'_>, file: &Section<'_>) -> Vec<WrittenHost> {
    let sections = file.tables(reader, "hosts");
    if !file.has("hosts") {
        file.missing(
            reader,
            "hosts",
            "a [[hosts]] table for each host, or let `tiedown init` do it",
        );
    } else if sections.is_empty() && reader.is_clean() {
        reader.wrong(file.span(), "`hosts` is empty: a fleet has at least one host", "");
    }
    let mut hosts: Vec<WrittenHost> = Vec::new();
    for section in &sections {
        let Some(host) = read_host(reader, section) else { continue };
        if hosts.iter().any(|other| other.name.value == host.name.value) {
            let message = format!("two hosts are called {}", host.name.value);
            reader.wrong(host.name.span.clone(), message, "give each host a name of its own");
            continue;
        }
        let pool = |host: &WrittenHost| host.lvm.as_ref().map(|at| at.value.clone());
        let same_pool = |other: &&WrittenHost| {
            Path::new(&other.path.value) == Path::new(&host.path.value)
                || (host.lvm.is_some() && pool(other) == pool(&host))
        };
        // What it was is told below, and not that it is there twice.
        let is_told = |other: &&WrittenHost| other.was_called(&host) || host.was_called(other);
        if let Some(other) = hosts.iter().find(|other| same_pool(other) && !is_told(other)) {
            let message =
                format!("hosts {} and {} have one pool", other.name.value, host.name.value);
            reader.wrong(host.path.span.clone(), message, "give each host a `path` of its own");
        }
        hosts.push(host);
    }
    for host in &hosts {
        if let Some(was) = &host.was
            && hosts.iter().any(|other| host.was_called(other))
        {
            let message = format!("{} was {}, which is a host itself", host.name.value, was.value);
            reader.wrong(was.span.clone(), message, "take out `was`, or the host of that name");
        }
    }
    hosts
}

fn read_host(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<WrittenHost> {
    const KEYS: [&str; 11] = [
        "name", "region", "zone", "state", "was", "subnet", "memory", "cpus", "storage", "runtime",
        "keys",
    ];
    section.allow(reader, &KEYS);
    for (key, example) in [
        ("name", "name = \"HOST\""),
        ("region", "region = \"REGION\""),
        ("storage", "storage = { driver = \"local\", capacity = \"20GB\" }"),
    ] {
        if !section.has(key) {
            section.missing(reader, key, example);
        }
    }
    let name = section.parsed::<HostName, _>(reader, "name");
    let region = section.parsed::<Region, _>(reader, "region");
    let zone = section.parsed_by(reader, "zone", zone_name);
    let state = section.word(reader, "state", &STATES);
    let was = section.parsed::<HostName, _>(reader, "was");
    let subnet = section.parsed::<Subnet, _>(reader, "subnet");
    let memory = section.parsed_by(reader, "memory", Size::parse);
    let cpus = section.count(reader, "cpus", 1);
    let storage = section.table(reader, "storage", "`storage`");
    let storage = storage.map(|storage| read_storage(reader, &storage));
    let runtime = section.has("runtime");
    let runtime = if runtime { read_runtime(reader, section) } else { Some(PROCESS) };
    let keys = keys::read(reader, section);
    let name = name?;
    let (path, capacity, lvm) = storage??;
    // A host that was renamed has its directory under the name that it was made with.
    let made_as = was.as_ref().unwrap_or(&name);
    let own = At { value: made_as.value.as_str().to_owned(), span: made_as.span.clone() };
    Some(WrittenHost {
        path: path.unwrap_or(own),
        name,
        region: region?.value,
        zone: zone.map(|at| at.value),
        state: state.map_or(HostState::Active, |at| at.value),
        was,
        subnet,
        memory: memory.map(|at| at.value),
        cpus,
        capacity,
        lvm,
        runtime: runtime?,
        keys,
    })
}

type Storage = (Option<At<String>>, Option<Size>, Option<At<(String, String)>>);

#[derive(Clone, Copy)]
enum StorageDriver {
    Local,
    Lvm,
}

fn read_storage(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Storage> {
    if !section.has("driver") {
        section.missing(reader, "driver", "driver = \"local\"");
    }
    let drivers = [("local", StorageDriver::Local), ("lvm", StorageDriver::Lvm)];
    match section.word(reader, "driver", &drivers)?.value {
        StorageDriver::Lvm => {
            section.allow(reader, &["driver", "path", "vg", "pool", "capacity"]);
            for (key, example) in [("vg", "vg = \"vg0\""), ("pool", "pool = \"thin\"")] {
                if !section.has(key) {
                    section.missing(reader, key, example);
                }
            }
            let path = section.parsed_by(reader, "path", inside);
            let capacity = capacity(reader, section);
            let group = section.parsed_by(reader, "vg", lvm_name);
            let pool = section.parsed_by(reader, "pool", lvm_name)?;
            let lvm = At { value: (group?.value, pool.value), span: pool.span };
            Some((path, capacity, Some(lvm)))
        }
        StorageDriver::Local => {
            section.allow(reader, &["driver", "path", "capacity"]);
            if !section.has("capacity") {
                section.missing(reader, "capacity", "capacity = \"20GB\"");
            }
            let path = section.parsed_by(reader, "path", inside);
            Some((path, Some(capacity(reader, section)?), None))
        }
    }
}

fn capacity(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Size> {
    let capacity = section.parsed_by(reader, "capacity", Size::parse)?;
    if capacity.value < Size::from_mib(16) {
        let message = "`capacity` is too small for a volume";
        reader.wrong(capacity.span, message, "a pool has at least 16MiB");
    }
    Some(capacity.value)
}

/// A name that LVM takes and that is no option, lvm(8); without the dashes that the kernel's names
/// double.
fn lvm_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+_.".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) && !text.starts_with('.') {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a name: letters, digits, `_`, `+` and `.`"))
}

const PROCESS: RuntimeDriver = RuntimeDriver::Process { network: ProcessNetwork::Own };
const NETWORKS: [(&str, ProcessNetwork); 2] =
    [("own", ProcessNetwork::Own), ("host", ProcessNetwork::Host)];

/// Where Debian and Docker's own packages put the engine's socket.
const SOCKET: &str = "/var/run/docker.sock";

#[derive(Clone, Copy)]
enum Driver {
    Process,
    Docker,
}

fn read_runtime(reader: &mut Reader<'_>, host: &Section<'_>) -> Option<RuntimeDriver> {
    let section = host.table(reader, "runtime", "`runtime`")?;
    if !section.has("driver") {
        section.missing(reader, "driver", "driver = \"process\"");
    }
    let drivers = [("process", Driver::Process), ("docker", Driver::Docker)];
    match section.word(reader, "driver", &drivers)?.value {
        Driver::Process => {
            section.allow(reader, &["driver", "network"]);
            let network = section.word(reader, "network", &NETWORKS);
            let network = network.map_or(ProcessNetwork::Own, |at| at.value);
            Some(RuntimeDriver::Process { network })
        }
        Driver::Docker => {
            section.allow(reader, &["driver", "socket"]);
            let socket = section.parsed_by(reader, "socket", unix_socket);
            let socket = socket.map_or_else(|| PathBuf::from(SOCKET), |at| at.value);
            Some(RuntimeDriver::Docker { socket })
        }
    }
}

/// A socket as Docker's own programs write it, or as a path.
fn unix_socket(text: &str) -> Result<PathBuf, String> {
    let shown: String = text.chars().take(80).collect();
    absolute(text.strip_prefix("unix://").unwrap_or(text)).map_err(|_| {
        format!("{shown:?} must be an absolute path, or unix:// and one: an engine of this machine")
    })
}

fn read_policy(reader: &mut Reader<'_>, section: &Section<'_>) -> Policy {
    let default = Policy::default();
    section.allow(reader, &["overcommit", "spread", "max_loss", "drift", "full", "auto"]);
    let overcommit = section.thousandths(reader, "overcommit", 100..=100_000);
    let spread = section.word(reader, "spread", &SPREADS);
    let loss = section.table(reader, "max_loss", "`max_loss`");
    let (mut count, mut share) = (None, None);
    if let Some(loss) = &loss {
        loss.allow(reader, &["count", "share"]);
        count = loss.count(reader, "count", 0);
        share = loss.thousandths(reader, "share", 0..=1000);
    }
    let full = section.table(reader, "full", "`full`");
    let full = full.map_or(default.full, |full| read_full(reader, &full));
    let drift = section.table(reader, "drift", "[policy.drift]");
    let drift = drift.map_or(default.drift, |drift| read_drift(reader, &drift));
    let autos = [("none", Auto::None), ("safe", Auto::Safe), ("all", Auto::All)];
    let auto = section.word(reader, "auto", &autos);
    Policy {
        drift,
        full,
        auto: auto.map_or(default.auto, |at| at.value),
        overcommit_thousandths: overcommit.unwrap_or(default.overcommit_thousandths),
        spread: spread.map_or(default.spread, |at| at.value),
        max_loss: MaxLoss {
            count: count.unwrap_or(default.max_loss.count),
            share_thousandths: share.unwrap_or(default.max_loss.share_thousandths),
        },
    }
}

fn read_full(reader: &mut Reader<'_>, section: &Section<'_>) -> Fullness {
    section.allow(reader, &["data", "metadata", "warned"]);
    let default = Fullness::default();
    let mut share = |key: &str| section.thousandths(reader, key, 0..=1000);
    Fullness {
        data_thousandths: share("data").unwrap_or(default.data_thousandths),
        metadata_thousandths: share("metadata").unwrap_or(default.metadata_thousandths),
        warned_thousandths: share("warned").unwrap_or(default.warned_thousandths),
    }
}

fn read_drift(reader: &mut Reader<'_>, section: &Section<'_>) -> DriftPolicy {
    let words = [("ignore", OnDrift::Ignore), ("warn", OnDrift::Warn), ("heal", OnDrift::Heal)];
    section.allow(reader, &["state", "release", "size", "supervision", "marks"]);
    let default = DriftPolicy::default();
    let mut word = |key: &str, otherwise: OnDrift| {
        section.word(reader, key, &words).map_or(otherwise, |at| at.value)
    };
    DriftPolicy {
        state: word("state", default.state),
        release: word("release", default.release),
        size: word("size", default.size),
        supervision: word("supervision", default.supervision),
        marks: word("marks", default.marks),
    }
}
