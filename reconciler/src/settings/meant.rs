//! From what is written to what is meant: state directory, subnets, memory and cpus filled in
//! from what this machine says, and what only then can be seen to clash.

use super::problem::Problem;
use super::section::{At, Reader};
use super::written::{self, WrittenHost};
use super::{HostSettings, Machine, ProcessNetwork, RuntimeDriver, Settings, StorageSettings};
use planner::model::host::HostSpec;
use planner::model::name::{FleetName, HostName};
use planner::model::network::Subnet;
use planner::model::size::Size;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// LVM's default extent, vgcreate(8).
const LVM_EXTENT: Size = Size::from_mib(4);

/// Reads a `tiedown.toml`: `file` is its path for messages, `text` what it holds.
///
/// # Errors
/// All its mistakes, in the order of the file.
pub fn read(file: &str, text: &str, machine: &Machine) -> Result<Settings, Vec<Problem>> {
    let mut reader = Reader::new(file, text);
    let written = written::read(&mut reader, text);
    let settings = written.and_then(|written| {
        let state_dir = written.state_dir.or_else(|| state_dir(&written.fleet, machine));
        let Some(state_dir) = state_dir else {
            let message = "`state_dir` is missing, and neither HOME nor XDG_STATE_HOME says where \
                           it could be";
            reader.wrong(0..0, message, "write state_dir = \"/an/absolute/path\"");
            return None;
        };
        let hosts = hosts(&mut reader, &written.hosts, &state_dir, machine);
        let (policy, serve, require) = (written.policy, written.serve, written.require);
        let (include, exclude) = (written.include, written.exclude);
        let (fleet, endpoints) = (written.fleet, written.endpoints);
        Some(Settings {
            fleet,
            state_dir,
            include,
            exclude,
            hosts,
            policy,
            endpoints,
            serve,
            require,
        })
    });
    match settings {
        Some(settings) if reader.is_clean() => Ok(settings),
        _ => Err(reader.into_problems()),
    }
}

fn state_dir(fleet: &FleetName, machine: &Machine) -> Option<PathBuf> {
    Some(machine.state_base()?.join(fleet.as_str()))
}

impl Machine {
    /// The directory of all fleets' states, where none says otherwise.
    #[must_use]
    pub fn state_base(&self) -> Option<PathBuf> {
        if self.root {
            return Some(PathBuf::from("/var/lib/tiedown"));
        }
        let home = || self.home.as_ref().map(|home| home.join(".local/state"));
        Some(self.state_home.clone().or_else(home)?.join("tiedown"))
    }
}

fn hosts(
    reader: &mut Reader<'_>,
    written: &[WrittenHost],
    state_dir: &Path,
    machine: &Machine,
) -> BTreeMap<HostName, HostSettings> {
    let mut subnets: Vec<(&HostName, At<Subnet>)> = Vec::new();
    let mut hosts = BTreeMap::new();
    for (index, host) in written.iter().enumerate() {
        let subnet = host.subnet.clone().or_else(|| {
            let subnet = default_subnet(index, shares_ports(&host.runtime, machine))?;
            Some(At { value: subnet, span: host.name.span.clone() })
        });
        let Some(subnet) = subnet else {
            let message =
                format!("{} needs a `subnet`: only 254 hosts get one by default", host.name.value);
            reader.wrong(host.name.span.clone(), message, "write subnet = \"10.78.0.0/24\"");
            continue;
        };
        if let Some((other, at)) = subnets.iter().find(|(_, at)| at.value.overlaps(subnet.value)) {
            let message = format!(
                "subnets of {other} ({}) and {} ({}) overlap",
                at.value, host.name.value, subnet.value
            );
            reader.wrong(subnet.span.clone(), message, "give each host a subnet of its own");
        }
        let spec = HostSpec {
            name: host.name.value.clone(),
            region: host.region.clone(),
            zone: host.zone.clone(),
            state: host.state,
            was: host.was.as_ref().map(|at| at.value.clone()),
            subnet: subnet.value,
            memory: host.memory.unwrap_or(machine.memory),
            cpus: host.cpus.unwrap_or(machine.cpus),
            // LVM makes whole extents only.
            pool_size: match &host.lvm {
                Some(_) => host.capacity.map(|capacity| capacity.rounded_up_to(LVM_EXTENT)),
                None => host.capacity,
            },
        };
        let path = state_dir.join("hosts").join(&host.path.value);
        let storage = match &host.lvm {
            Some(At { value: (group, pool), .. }) => {
                StorageSettings::Lvm { path, group: group.clone(), pool: pool.clone() }
            }
            None => StorageSettings::Local { path },
        };
        let keys = host.keys.clone();
        let settings = HostSettings { spec, storage, runtime: host.runtime.clone(), keys };
        hosts.insert(host.name.value.clone(), settings);
        subnets.push((&host.name.value, subnet));
    }
    hosts
}

const fn shares_ports(runtime: &RuntimeDriver, machine: &Machine) -> bool {
    match runtime {
        RuntimeDriver::Process { network: ProcessNetwork::Own } => machine.shares_ports,
        RuntimeDriver::Process { network: ProcessNetwork::Host } => true,
        RuntimeDriver::Docker { .. } => false,
    }
}

/// Loopback addresses where instances share the machine's ports: they need no privilege.
fn default_subnet(index: usize, shares_ports: bool) -> Option<Subnet> {
    let number = u8::try_from(index + 1).ok().filter(|number| *number < 255)?;
    let first = if shares_ports { 127 } else { 10 };
    Subnet::new(Ipv4Addr::new(first, 77, number, 0), 24)
}

#[cfg(test)]
mod tests;
