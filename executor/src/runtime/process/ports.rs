//! Whether the ports of an instance that shares the host's network are free, and who has them.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use super::Refusal;
use super::refusal::cannot;

/// Tries to listen on each port.
///
/// # Errors
/// [`Refusal::PortTaken`] for the first that is not free.
pub(super) fn free(address: IpAddr, ports: &[u16]) -> Result<(), Refusal> {
    for port in ports {
        let address = SocketAddr::new(address, *port);
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(Refusal::PortTaken { address, by: listener(address) });
            }
            Err(error) => return Err(cannot(format!("listen on {address}"))(error)),
        }
    }
    Ok(())
}

/// Whether a process below `ancestor`, or it itself, is who answers there.
///
/// # Errors
/// Who it is instead, if we may see it.
pub(super) fn listens(ancestor: u32, place: SocketAddr) -> Result<(), String> {
    let sockets = sockets(place);
    // One that listens on this very address is asked before one that listens on all.
    let exact = sockets.iter().any(|socket| socket.exact);
    let asked: Vec<&Socket> = sockets.iter().filter(|socket| socket.exact == exact).collect();
    let mut others = None;
    for pid in processes().filter(|pid| asked.iter().any(|socket| socket.is_of(*pid))) {
        if descends(pid, ancestor) {
            return Ok(());
        }
        others.get_or_insert(pid);
    }
    Err(match others {
        Some(pid) => format!("it is {} that answers on {place}, not the instance", named(pid)),
        None => format!("it is not the instance that answers on {place}"),
    })
}

/// Whether `ancestor` is the process, its parent, or further up. What loses its parent within a
/// pid namespace becomes a child of the namespace's first process.
fn descends(pid: u32, ancestor: u32) -> bool {
    let parent = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = line.rsplit_once(')')?;
        fields.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    std::iter::successors(Some(pid), parent).any(|pid| pid == ancestor)
}

/// The program and process that listens there, if we may see it.
fn listener(wanted: SocketAddr) -> Option<String> {
    let sockets = sockets(wanted);
    let holds = |pid: &u32| sockets.iter().any(|socket| socket.is_of(*pid));
    processes().find(holds).map(named)
}

fn named(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (process {pid})", name.trim())
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A socket that listens.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    /// How a descriptor of it reads in /proc/PID/fd.
    link: String,
    /// Whether it listens on the one address, and not on all.
    exact: bool,
}

impl Socket {
    fn is_of(&self, pid: u32) -> bool {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors.filter_map(Result::ok).any(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|to| to.as_os_str() == self.link.as_str())
        })
    }
}

fn sockets(wanted: SocketAddr) -> Vec<Socket> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    tables
        .flat_map(|table| {
            table.lines().filter_map(|line| listening(line, wanted)).collect::<Vec<_>>()
        })
        .collect()
}

/// The socket of a line of /proc/net/tcp that listens (state 0A, proc_net(5)) where `wanted` is.
fn listening(line: &str, wanted: SocketAddr) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (address, port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let address = address_of(address)?.to_canonical();
    let clashes =
        address == wanted.ip() || address.is_unspecified() || wanted.ip().is_unspecified();
    let matches = state == "0A" && clashes && u16::from_str_radix(port, 16) == Ok(wanted.port());
    let exact = address == wanted.ip();
    matches.then(|| Socket { link: format!("socket:[{inode}]"), exact })
}

/// Words of 32 bits in the machine's order, as the kernel prints an address.
fn address_of(hex: &str) -> Option<IpAddr> {
    let words = hex.as_bytes().chunks(8).map(|word| {
        Some(u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    <[u8; 4]>::try_from(bytes.as_slice())
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_line_names_its_socket() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 12345 1 0000000000000000 100 0 0 10 0";
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let here = at("127.0.0.1:8080");
        let socket = |exact| Some(Socket { link: "socket:[12345]".to_owned(), exact });
        assert_eq!(listening(line, here), socket(true));
        assert_eq!(listening(line, at("0.0.0.0:8080")), socket(false));
        assert_eq!(listening(&line.replace("0100007F", "00000000"), here), socket(false));
        assert_eq!(listening(line, at("127.0.0.2:8080")), None);
        assert_eq!(listening(line, at("127.0.0.1:8081")), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), here), None);
    }

    #[test]
    fn a_taken_port_is_refused_and_its_owner_named() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let Err(Refusal::PortTaken { address: at, by: Some(by) }) =
            free(address.ip(), &[address.port()])
        else {
            panic!("the port is taken by this very process");
        };
        assert_eq!(at, address);
        let myself = std::process::id();
        assert_eq!(listens(myself, address), Ok(()));
        let other = listens(u32::MAX, address).expect_err("nobody descends from there");
        assert!(other.contains(&format!("(process {myself})")), "{other}");
        assert!(by.contains(&format!("(process {})", std::process::id())), "{by}");
    }
}
