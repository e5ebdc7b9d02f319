//! Addresses: an instance answers on its own in a network namespace, or on the host's, where a
//! collision is named before anything starts.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use executor::runtime::process::{self, Error, Launch, Network, Refusal};

use super::bed::{self, Bed, wait};

const SERVER: &str = r#"
    $s = IO::Socket::INET->new(LocalAddr => $ENV{ADDRESS}, LocalPort => $ENV{PORT},
        Listen => 5, ReuseAddr => 1) or die "no socket: $!";
    while ($c = $s->accept) {
        <$c>;
        print $c "HTTP/1.0 200 OK\r\n\r\nhello from $ENV{NAME}";
        close $c;
    }
"#;

fn serve(bed: &Bed, id: &str, address: IpAddr, port: u16, network: Network) -> Launch {
    let mut launch = bed.script(id, "");
    launch.argv = ["perl", "-MIO::Socket::INET", "-e", SERVER].map(str::to_owned).to_vec();
    for (key, value) in
        [("ADDRESS", address.to_string()), ("PORT", port.to_string()), ("NAME", id.to_owned())]
    {
        launch.env.insert(key.to_owned(), value);
    }
    launch.network = network;
    launch
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn answers(address: SocketAddr, name: &str) {
    let wanted = format!("HTTP/1.0 200 OK\r\n\r\nhello from {name}");
    wait(&format!("{name} to answer on {address}"), || ask(address).is_ok_and(|it| it == wanted));
}

#[test]
fn on_the_host_where_a_taken_port_is_refused() {
    if !bed::able() {
        return;
    }
    let bed = Bed::new();
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = {
        let listener = TcpListener::bind((local, 0)).expect("a free port");
        listener.local_addr().expect("bound").port()
    };
    let network = Network::Shared { address: local, ports: vec![port] };
    bed.up(&serve(&bed, "first", local, port, network.clone()));
    let address = SocketAddr::new(local, port);
    answers(address, "first");
    let second = serve(&bed, "second", local, port, network);
    let Err(Error::Refused(Refusal::PortTaken { address: taken, by })) = bed.start(&second) else {
        panic!("the port is taken");
    };
    assert_eq!(taken, address);
    assert!(by.as_deref().is_some_and(|by| by.starts_with("perl (process ")), "{by:?}");
    bed.stop("first");
    bed.up(&second);
    answers(address, "second");
}

/// Removes the bridge however the test ends.
struct Bridge(String);

impl Drop for Bridge {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        if let Err(error) = runtime.block_on(process::remove_bridge(&self.0)) {
            eprintln!("left behind: {error}");
        }
    }
}

fn link_exists(name: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(name).exists()
}

#[test]
fn of_its_own() {
    if !bed::able() {
        return;
    }
    if !bed::capabilities().network_namespaces {
        return bed::skip("network namespaces are for root");
    }
    let bridge = Bridge(format!("tdt{}", std::process::id()));
    let bed = Bed::new();
    let own = |n: u8| Network::Own {
        bridge: bridge.0.clone(),
        link: format!("tdt{}-{n}", std::process::id()),
        address: IpAddr::V4(Ipv4Addr::new(10, 213, 7, n)),
        prefix: 24,
        gateway: IpAddr::V4(Ipv4Addr::new(10, 213, 7, 1)),
    };
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    for (id, n) in [("two", 2), ("three", 3)] {
        bed.up(&serve(&bed, id, any, 8080, own(n)));
    }
    let at = |n: u8| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 213, 7, n)), 8080);
    answers(at(2), "two");
    answers(at(3), "three");
    bed.stop("two");
    assert!(!link_exists(&format!("tdt{}-2", std::process::id())));
    assert!(ask(at(2)).is_err());
    bed.up(&serve(&bed, "two", any, 8080, own(2)));
    answers(at(2), "two");
    // One instance reaches another and loopback works inside.
    let mut probe = serve(&bed, "probe", any, 0, own(4));
    let script = "perl -MIO::Socket::INET -e '
        $s = IO::Socket::INET->new(\"10.213.7.3:8080\") or die $!;
        print $s \"GET / HTTP/1.0\\r\\n\\r\\n\"; print while <$s>; print \"\\n\"';
        grep -c : /proc/net/dev; echo done; exec sleep 1000";
    probe.argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    bed.up(&probe);
    assert!(bed.says("probe", "done").contains("hello from three\n"));
    drop(bed);
    drop(bridge);
    assert!(!link_exists(&format!("tdt{}", std::process::id())));
}
