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

/// The program and process that listens there, if we may see it.
fn listener(wanted: SocketAddr) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table.lines().filter_map(|line| listening(line, wanted)).collect::<Vec<_>>()
        })
        .collect();
    for process in fs::read_dir("/proc").ok()?.filter_map(Result::ok) {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(fds) = fs::read_dir(process.path().join("fd")) else { continue };
        let has = fds.filter_map(Result::ok).any(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|to| inodes.iter().any(|inode| to.as_os_str() == inode.as_str()))
        });
        if has {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

/// The socket of a line of /proc/net/tcp that listens (state 0A, proc_net(5)) where `wanted` is.
fn listening(line: &str, wanted: SocketAddr) -> Option<String> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (address, port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let address = address_of(address)?.to_canonical();
    let clashes =
        address == wanted.ip() || address.is_unspecified() || wanted.ip().is_unspecified();
    let matches = state == "0A" && clashes && u16::from_str_radix(port, 16) == Ok(wanted.port());
    matches.then(|| format!("socket:[{inode}]"))
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
        assert_eq!(listening(line, here).as_deref(), Some("socket:[12345]"));
        assert_eq!(listening(line, at("0.0.0.0:8080")).as_deref(), Some("socket:[12345]"));
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
        assert!(by.contains(&format!("(process {})", std::process::id())), "{by}");
    }
}
