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
                return Err(Refusal::PortTaken { address, by: listener(*port) });
            }
            Err(error) => return Err(cannot(format!("listen on {address}"))(error)),
        }
    }
    Ok(())
}

/// The program and process that listens on a TCP port, if we may see it.
fn listener(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table.lines().filter_map(|line| listening(line, port)).collect::<Vec<_>>()
        })
        .collect();
    for process in fs::read_dir("/proc").ok()?.filter_map(Result::ok) {
        let Ok(fds) = fs::read_dir(process.path().join("fd")) else { continue };
        let has = fds.filter_map(Result::ok).any(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|to| inodes.iter().any(|inode| to.as_os_str() == inode.as_str()))
        });
        if has {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let pid = process.file_name().to_string_lossy().into_owned();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

/// The socket of a line of /proc/net/tcp that listens (state 0A, proc_net(5)) on `port`.
fn listening(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let matches = state == "0A" && u16::from_str_radix(local, 16) == Ok(port);
    matches.then(|| format!("socket:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_line_names_its_socket() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 12345 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listening(line, 8080).as_deref(), Some("socket:[12345]"));
        assert_eq!(listening(line, 8081), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 8080), None);
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
