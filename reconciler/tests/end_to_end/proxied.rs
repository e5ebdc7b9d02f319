//! A proxy in front that follows the endpoints file: no request is lost while releases change.

use super::deploys::web;
use super::fleet::{Fleet, eventually};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// HAProxy as `fixtures/haproxy` has it; gone with the test.
struct Proxy {
    child: Child,
    place: SocketAddr,
    socket: PathBuf,
}

impl Proxy {
    fn start(root: &Path) -> Self {
        let place = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let socket = root.join("haproxy.sock");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "SIGKILL", "--", "haproxy", "-db", "-q", "-f"])
            .arg(fixture("haproxy.cfg"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SOCKET", &socket)
            .env("PORT", place.port().to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Self { child, place, socket };
        eventually("haproxy", || TcpStream::connect(place).is_ok() && proxy.socket.exists());
        proxy
    }

    /// The version that answers, or what came instead.
    fn version(&self) -> Result<String, String> {
        let wrong = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(self.place).map_err(wrong)?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(wrong)?;
        let request = b"GET /env HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).map_err(wrong)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(wrong)?;
        let version = answer.lines().find_map(|line| line.strip_prefix("VERSION="));
        version.map(str::to_owned).ok_or(answer)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("fixtures/haproxy").join(name)
}

#[test]
fn no_request_is_lost_behind_a_proxy_that_follows() {
    if !Path::new("/usr/sbin/haproxy").exists() {
        return crate::skipped("a proxy in front: haproxy is not installed");
    }
    let fleet = Fleet::new(147);
    let proxy = Proxy::start(fleet.root_path());
    let file = fleet.root_path().join("endpoints.json");
    let follow = fixture("follow");
    let settings = fleet.settings(&[("ewr-1", "ewr"), ("ewr-2", "ewr")]);
    fleet.write(
        "tiedown.toml",
        &format!(
            "{settings}[endpoints]\nfile = {file:?}\n\
             command = [\"perl\", {follow:?}, {file:?}, \"store\", \"app\", {:?}]\n",
            proxy.socket
        ),
    );
    fleet.store("one", "{ ewr = 2 }");
    fleet.write("store/fly.toml", &web("one", "{ ewr = 2 }", "bluegreen"));
    fleet.commit("first");
    fleet.apply();
    assert_eq!(proxy.version().as_deref(), Ok("one"));
    let done = AtomicBool::new(false);
    let (asked, lost) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut asked, mut lost) = (0, Vec::new());
            while !done.load(Ordering::Relaxed) {
                asked += 1;
                lost.extend(proxy.version().err());
            }
            (asked, lost)
        });
        let releases = [("two", "bluegreen"), ("three", "rolling")].map(|(version, strategy)| {
            fleet.write("store/fly.toml", &web(version, "{ ewr = 2 }", strategy));
            fleet.commit(version);
            fleet.run(&["apply", "--auto-approve"])
        });
        done.store(true, Ordering::Relaxed);
        for said in releases {
            assert_eq!(said.code, 0, "{said}");
            assert!(!said.err.contains("endpoints are not published"), "{said}");
        }
        client.join().unwrap()
    });
    assert_eq!(lost, Vec::<String>::new(), "of {asked}");
    assert!(asked > 20, "hardly anything was asked");
    assert_eq!(proxy.version().as_deref(), Ok("three"));
    let said = fleet.run(&["down"]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[]\n");
    assert!(proxy.version().is_err(), "nobody is there");
}
