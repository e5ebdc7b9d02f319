//! From a launch to what the engine is told of its container.

use super::engine::{Limiting, hashed};
use crate::runtime::process::{InEngine, Launch, Network};
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig,
    Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, NetworkingConfig,
};
use std::collections::HashMap;
use std::path::PathBuf;

/// What the engine keeps of a container's output: it is copied to the instance's log at once.
const ENGINE_LOG: &str = "10m";

/// A directory or file of the host that a container sees.
pub(in crate::runtime) struct Seen {
    pub(in crate::runtime) source: PathBuf,
    pub(in crate::runtime) destination: PathBuf,
    pub(in crate::runtime) writable: bool,
}

/// The container, and which of its limits cannot be enforced.
pub(in crate::runtime) fn of(
    launch: &Launch,
    at: &InEngine,
    seen: &[Seen],
    limiting: Limiting,
) -> (ContainerCreateBody, Option<String>) {
    let (entrypoint, cmd) = command(launch, at);
    let (limited, lacking) = limits(launch, limiting);
    let endpoint = endpoint(&launch.network);
    // It gets its address on loopback when it runs already, and may have bound it by then.
    let nonlocal = HashMap::from([("net.ipv4.ip_nonlocal_bind".to_owned(), "1".to_owned())]);
    let sysctls = matches!(launch.network, Network::Alone { .. }).then_some(nonlocal);
    let body = ContainerCreateBody {
        hostname: Some(launch.instance.clone()),
        image: Some(at.image.clone()),
        entrypoint,
        cmd,
        env: Some(launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(hashed(&at.marks)),
        host_config: Some(HostConfig {
            mounts: Some(seen.iter().map(mount).collect()),
            // Without one it is alone: the engine's own default would let it reach out.
            network_mode: Some(
                endpoint.as_ref().map_or_else(|| "none".to_owned(), |(network, _)| network.clone()),
            ),
            sysctls,
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([("max-size".to_owned(), ENGINE_LOG.to_owned())])),
            }),
            ..limited
        }),
        networking_config: endpoint.map(|(network, endpoint)| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        }),
        ..ContainerCreateBody::default()
    };
    (body, lacking)
}

/// An entrypoint of ours takes the image's command off with the image's entrypoint.
fn command(launch: &Launch, at: &InEngine) -> (Option<Vec<String>>, Option<Vec<String>>) {
    match launch.argv.split_first() {
        None => (None, None),
        Some((program, rest)) if at.replaces_entrypoint => {
            (Some(vec![program.clone()]), Some(rest.to_vec()))
        }
        Some(_) => (None, Some(launch.argv.clone())),
    }
}

fn limits(launch: &Launch, limiting: Limiting) -> (HostConfig, Option<String>) {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let (limits, mut config, mut lacking) = (launch.limits, HostConfig::default(), Vec::new());
    match limits.memory_bytes {
        Some(bytes) if limiting.memory => {
            config.memory = Some(number(bytes));
            let swap = limits.swap_bytes.filter(|_| limiting.swap);
            // The engine takes both together.
            config.memory_swap = swap.map(|swap| number(bytes.saturating_add(swap)));
        }
        Some(_) => lacking.push("memory"),
        None => {}
    }
    match limits.cpu_millis {
        Some(millis) if limiting.cpus => {
            config.nano_cpus = Some(number(millis.saturating_mul(1_000_000)));
        }
        Some(_) => lacking.push("cpus"),
        None => {}
    }
    let why = format!("the Docker Engine cannot limit {} on this kernel", lacking.join(" and "));
    (config, (!lacking.is_empty()).then_some(why))
}

/// Private: what is mounted below on the host later does not show, and nothing shows on the host.
/// A source that is missing is an error, never made.
fn mount(seen: &Seen) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(seen.source.to_string_lossy().into_owned()),
        target: Some(seen.destination.to_string_lossy().into_owned()),
        read_only: Some(!seen.writable),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// The network, which has its bridge's name, and the address in it.
fn endpoint(network: &Network) -> Option<(String, EndpointSettings)> {
    let Network::Own { bridge, address, .. } = network else { return None };
    let ipam = EndpointIpamConfig {
        ipv4_address: Some(address.to_string()),
        ..EndpointIpamConfig::default()
    };
    let settings = EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() };
    Some((bridge.clone(), settings))
}
