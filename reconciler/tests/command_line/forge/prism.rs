//! Prism, a server from a package registry that knows nothing of tiedown: it stands in front of a
//! forge and lets only requests and answers pass that are as the forge describes them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(super) struct Prism {
    process: Child,
    /// Where it answers.
    pub(super) url: String,
}

impl Prism {
    /// Starts one before a forge, if it was installed.
    pub(super) fn before(kind: &str, forge: &str) -> Option<Self> {
        let forges = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../forges");
        let program = forges.join("node_modules/@stoplight/prism-cli/dist/index.js");
        if !program.exists() {
            return None;
        }
        // It ends with the test, however that ends.
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "node"])
            .arg(program)
            .arg("proxy")
            .arg(forges.join(format!("{kind}.json")))
            .args([forge, "--errors", "--host", "127.0.0.1", "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
        let place = |line: String| line.split_once("listening on ").map(|(_, url)| url.to_owned());
        let url = told.by_ref().map_while(Result::ok).find_map(place);
        let url = url.expect("it says where it listens").trim().to_owned();
        // Nobody may leave it with a pipe that is full.
        std::thread::spawn(move || told.for_each(drop));
        Some(Self { process, url })
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
