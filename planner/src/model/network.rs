//! Addresses and ports.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// A port that an instance listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(pub u16);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The addresses that a host gives its instances: `10.77.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    network: Ipv4Addr,
    prefix: u8,
}

/// Why a text is not a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a subnet: write an IPv4 network of 8 to 30 bits, such as 10.77.1.0/24")]
pub struct SubnetError {
    text: String,
}

impl Subnet {
    /// A network and the length of its prefix, 8 to 30 bits; host bits are cleared.
    #[must_use]
    pub fn new(network: Ipv4Addr, prefix: u8) -> Option<Self> {
        if !(8..=30).contains(&prefix) {
            return None;
        }
        let mask = u32::MAX << (32 - u32::from(prefix));
        let network = Ipv4Addr::from(u32::from(network) & mask);
        Some(Self { network, prefix })
    }

    /// Bits of the prefix.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The first address: the host's own on it.
    #[must_use]
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) + 1)
    }

    /// The addresses that instances can have, in order: all but the network's own, the gateway
    /// and the broadcast address.
    pub fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let first = u32::from(self.network);
        let count = 1u32 << (32 - u32::from(self.prefix));
        (2..count - 1).map(move |n| Ipv4Addr::from(first + n))
    }

    /// Whether the address is one that instances can have.
    #[must_use]
    pub fn holds(self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(u32::from(self.network));
        (2..(1u32 << (32 - u32::from(self.prefix))) - 1).contains(&offset)
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = self.prefix.min(other.prefix);
        let mask = u32::MAX << (32 - u32::from(shorter));
        u32::from(self.network) & mask == u32::from(other.network) & mask
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;
    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl core::str::FromStr for Subnet {
    type Err = SubnetError;
    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let error = || SubnetError { text: text.chars().take(80).collect() };
        let (network, prefix) = text.split_once('/').ok_or_else(error)?;
        let network = network.parse().map_err(|_| error())?;
        Self::new(network, prefix.parse().map_err(|_| error())?).ok_or_else(error)
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.network, self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_gives_addresses_after_its_gateway() {
        let subnet: Subnet = "10.77.1.7/29".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.77.1.0/29");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(10, 77, 1, 1));
        let all: alloc::vec::Vec<_> = subnet.addresses().collect();
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|a| subnet.holds(*a)));
        assert!(!subnet.holds(subnet.gateway()));
        assert!(!subnet.holds(Ipv4Addr::new(10, 77, 1, 7)));
        assert!(subnet.overlaps("10.77.0.0/16".parse().unwrap()));
        assert!(!subnet.overlaps("10.78.0.0/16".parse().unwrap()));
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/31", "x/24", "10.0.0.0/0"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
