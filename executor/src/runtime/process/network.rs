//! The network of an instance: one bridge per host, one veth pair per instance, and what the
//! instance's end needs. Chooses no name and no address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::{
    Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};

use super::Refusal;
use super::launch::Network;
use super::refusal::cannot;

/// The instance's end of its veth pair.
const INSIDE: &str = "eth0";

/// EEXIST and ENODEV as netlink reports them.
const EXISTS: i32 = -17;
const NO_DEVICE: i32 = -19;

/// Makes sure of the bridge with its address; already so is fine.
///
/// # Errors
/// What the kernel refused.
pub async fn ensure_bridge(name: &str, gateway: IpAddr, prefix: u8) -> Result<(), Refusal> {
    with_handle(async |net| {
        refuse_clash(&net, name, gateway, prefix).await?;
        let bridge = LinkBridge::new(name).address(hardware_address(gateway)).up().build();
        let made = net.link().add(bridge).execute().await;
        accept(made, EXISTS).map_err(cannot(format!("make the bridge {name}")))?;
        let index = index_of(&net, name).await?;
        let given = net.address().add(index, gateway, prefix).execute().await;
        accept(given, EXISTS).map_err(cannot(format!("give {gateway} to {name}")))?;
        up(&net, index, name).await
    })
    .await
}

/// Whether a bridge of that name can have these addresses, whoever makes it.
///
/// # Errors
/// Which link has some of them.
pub async fn free_for_bridge(name: &str, gateway: IpAddr, prefix: u8) -> Result<(), Refusal> {
    with_handle(async |net| refuse_clash(&net, name, gateway, prefix).await).await
}

/// Refuses addresses that lead to another link already: what is asked for there would be answered
/// by somebody else. A wider network that holds ours is none of that: the narrower route wins.
async fn refuse_clash(
    net: &Handle,
    bridge: &str,
    gateway: IpAddr,
    prefix: u8,
) -> Result<(), Refusal> {
    let step = || format!("use the addresses of {gateway}/{prefix} on {bridge}");
    let mut all = net.address().get().execute();
    while let Some(found) = all.try_next().await.map_err(cannot(step()))? {
        let header = &found.header;
        let inside = found.attributes.iter().any(|attribute| match attribute {
            AddressAttribute::Address(address) | AddressAttribute::Local(address) => {
                header.prefix_len >= prefix && same_network(*address, gateway, prefix)
            }
            _ => false,
        });
        if !inside {
            continue;
        }
        let mut links = net.link().get().match_index(header.index).execute();
        let Ok(Some(link)) = links.try_next().await else { continue };
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        let name = name.unwrap_or_else(|| format!("number {}", header.index));
        if name != bridge {
            let cause = format!(
                "the link {name} has some of them: another fleet's, or one that was left behind; \
                 give the host another subnet, or remove that link if nothing uses \
                 it (ip link delete {name})"
            );
            return Err(cannot(step())(cause));
        }
    }
    Ok(())
}

/// Whether two addresses have the same first `prefix` bits.
fn same_network(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differ.leading_zeros() >= u32::from(prefix)
}

/// Removes the bridge; already gone is fine.
///
/// # Errors
/// What the kernel refused.
pub async fn remove_bridge(name: &str) -> Result<(), Refusal> {
    remove(name).await
}

/// Joins the network namespace of process `pid` to the host: bridge, veth pair, both ends.
pub(super) async fn plug(network: &Network, pid: u32) -> Result<(), Refusal> {
    let Network::Own { bridge, link, address, prefix, gateway } = network else {
        return Ok(());
    };
    ensure_bridge(bridge, *gateway, *prefix).await?;
    with_handle(async |net| {
        let bridge_index = index_of(&net, bridge).await?;
        let pair = || {
            let mut peer: LinkMessage = LinkMessageBuilder::<LinkUnspec>::new()
                .name(INSIDE.to_owned())
                .address(hardware_address(*address))
                .setns_by_pid(pid)
                .build();
            peer.header.flags = rtnetlink::packet_route::link::LinkFlags::empty();
            LinkMessageBuilder::<LinkVeth>::new(link, INSIDE)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
                .controller(bridge_index)
                .up()
                .build()
        };
        let made = net.link().add(pair()).execute().await;
        if code(&made) == Some(EXISTS) {
            // Left by a run whose namespace the kernel is still taking apart.
            remove(link).await?;
            net.link().add(pair()).execute().await
        } else {
            made
        }
        .map_err(cannot(format!("make the link {link}")))
    })
    .await
}

/// Takes the host's end away. It goes with the namespace, but only some time after.
pub(super) async fn unplug(network: &Network) -> Result<(), Refusal> {
    match network {
        Network::Own { link, .. } => remove(link).await,
        Network::Alone { .. } | Network::Shared { .. } => Ok(()),
    }
}

/// Inside: loopback, the address, the default route. Starts no thread.
pub(super) fn enter(network: &Network) -> Result<(), Refusal> {
    if !network.is_own() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(cannot("set up the network"))?;
    runtime.block_on(with_handle(async |net| {
        let loopback = index_of(&net, "lo").await?;
        up(&net, loopback, "lo").await?;
        let (address, prefix, gateway) = match network {
            Network::Own { address, prefix, gateway, .. } => (address, prefix, gateway),
            Network::Alone { address } => {
                let given = net.address().add(loopback, *address, 32).execute().await;
                return accept(given, EXISTS)
                    .map_err(cannot(format!("take the address {address}")));
            }
            Network::Shared { .. } => return Ok(()),
        };
        let inside = index_of(&net, INSIDE).await?;
        let given = net.address().add(inside, *address, *prefix).execute().await;
        accept(given, EXISTS).map_err(cannot(format!("take the address {address}")))?;
        up(&net, inside, INSIDE).await?;
        let route = match gateway {
            IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new().gateway(*gateway).build(),
            IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new().gateway(*gateway).build(),
        };
        let routed = net.route().add(route).execute().await;
        accept(routed, EXISTS).map_err(cannot(format!("route through {gateway}")))
    }))
}

/// Makes a bridge and a pair in the network namespace of this process, to see whether it can.
pub(super) fn rehearse() -> Result<(), Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(cannot("set up the network"))?;
    runtime.block_on(with_handle(async |net| {
        let bridge = net.link().add(LinkBridge::new("bridge").build()).execute().await;
        bridge.map_err(cannot("make a bridge"))?;
        let pair = net.link().add(LinkVeth::new("one", "other").build()).execute().await;
        pair.map_err(cannot("make a veth pair"))
    }))
}

/// A locally administered hardware address that follows from the address, so that neighbours who
/// remember an instance reach the one that took its place.
fn hardware_address(address: IpAddr) -> Vec<u8> {
    let (kind, tail) = match address {
        IpAddr::V4(address) => (0, address.octets().to_vec()),
        IpAddr::V6(address) => (1, address.octets()[12..].to_vec()),
    };
    [vec![0x02, kind], tail].concat()
}

async fn with_handle<T>(act: impl AsyncFnOnce(Handle) -> Result<T, Refusal>) -> Result<T, Refusal> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(cannot("talk to the kernel about the network"))?;
    let talk = tokio::spawn(connection);
    let done = act(handle).await;
    talk.abort();
    done
}

async fn index_of(net: &Handle, name: &str) -> Result<u32, Refusal> {
    let mut found = net.link().get().match_name(name.to_owned()).execute();
    let link = found.try_next().await.map_err(cannot(format!("find the link {name}")))?;
    link.map(|link| link.header.index)
        .ok_or_else(|| cannot(format!("find the link {name}"))("no such link"))
}

async fn up(net: &Handle, index: u32, name: &str) -> Result<(), Refusal> {
    let message = LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build();
    net.link().set(message).execute().await.map_err(cannot(format!("bring up the link {name}")))
}

async fn remove(name: &str) -> Result<(), Refusal> {
    with_handle(async |net| {
        let message = LinkMessageBuilder::<LinkUnspec>::new().name(name.to_owned()).build();
        let removed = net.link().del_with_message(message).execute().await;
        accept(removed, NO_DEVICE).map_err(cannot(format!("remove the link {name}")))
    })
    .await
}

fn code(result: &Result<(), rtnetlink::Error>) -> Option<i32> {
    match result {
        Err(rtnetlink::Error::NetlinkError(error)) => error.code.map(std::num::NonZeroI32::get),
        _ => None,
    }
}

/// Takes one refusal of the kernel for "already so".
fn accept(result: Result<(), rtnetlink::Error>, already: i32) -> Result<(), rtnetlink::Error> {
    if code(&result) == Some(already) { Ok(()) } else { result }
}
