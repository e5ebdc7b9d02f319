//! Units for systemd, as text: the daemon, what brings everything back at boot, and a look for
//! drift from time to time.

use std::path::{Path, PathBuf};

/// What the units are to run.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The binary.
    pub program: PathBuf,
    /// The fleet's name, which is part of the units'.
    pub fleet: String,
    /// Arguments that say where the manifests are.
    pub reading: Vec<String>,
    /// Arguments of `serve`, with where it reads.
    pub serve: Vec<String>,
    /// Arguments of `drift`, beside where it reads.
    pub drift: Vec<String>,
    /// The time between two looks for drift, as systemd.time(7) reads it.
    pub every: String,
    /// The file with secrets, as variables; it need not be there.
    pub environment: PathBuf,
}

/// What runs on the hosts was started by these units and is among their processes: it stays when
/// they end, and is neither counted nor judged with them. And LVM that is killed in the middle of a
/// change leaves devices suspended.
const ENDS: &str = "\
# What runs on the hosts is among its processes and stays: only tiedown itself is asked to end. It
# ends at its next step, and LVM, which it may be running, must never be killed.
KillMode=process
KillSignal=SIGTERM
SendSIGKILL=no
# What they need is their own matter, and one that has no memory left does not end tiedown.
TasksMax=infinity
OOMPolicy=continue
";

/// Names and texts of all units, in the order in which they are enabled.
#[must_use]
pub fn units(wanted: &Wanted) -> Vec<(String, String)> {
    let Wanted { program, fleet, reading, serve, drift, every, environment } = wanted;
    let run = |command: &str, more: &[&[String]]| {
        let mut words = vec![word(&program.display().to_string()), command.to_owned()];
        words.extend(more.iter().copied().flatten().map(|argument| word(argument)));
        words.join(" ")
    };
    let environment = file(environment);
    let resume = format!("tiedown-{fleet}-resume.service");
    let service = format!(
        "[Unit]\nDescription=tiedown: hosts of the fleet {fleet} follow their branch\n\
         Wants=network-online.target\nAfter=network-online.target {resume}\n\n\
         [Service]\nExecStart={}\nEnvironmentFile=-{environment}\n{ENDS}TimeoutStopSec=10min\n\
         Restart=on-failure\nRestartSec=5s\n\n[Install]\nWantedBy=multi-user.target\n",
        run("serve", &[serve]),
    );
    let at_boot = format!(
        "[Unit]\nDescription=tiedown: what ran on hosts of the fleet {fleet} runs again\n\
         After=local-fs.target network.target\n\n\
         [Service]\nType=oneshot\nExecStart={}\nRemainAfterExit=yes\n{ENDS}\
         TimeoutStartSec=infinity\n\n[Install]\nWantedBy=multi-user.target\n",
        run("resume", &[reading]),
    );
    let look = format!(
        "[Unit]\nDescription=tiedown: whether hosts of the fleet {fleet} drifted\n\n\
         [Service]\nType=oneshot\nExecStart={}\nEnvironmentFile=-{environment}\n\
         # There is drift: the look went well.\nSuccessExitStatus=2\n{ENDS}\
         TimeoutStartSec=10min\n",
        run("drift", &[reading, drift]),
    );
    let timer = format!(
        "[Unit]\nDescription=tiedown: looks for drift of the fleet {fleet}\n\n\
         [Timer]\nOnBootSec={every}\nOnUnitInactiveSec={every}\nRandomizedDelaySec=10s\n\n\
         [Install]\nWantedBy=timers.target\n"
    );
    vec![
        (resume, at_boot),
        (format!("tiedown-{fleet}.service"), service),
        (format!("tiedown-{fleet}-drift.service"), look),
        (format!("tiedown-{fleet}-drift.timer"), timer),
    ]
}

/// A word of a command line, as systemd.service(5) reads it: nothing in it means anything.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A file's name, in which only `%` means something.
fn file(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_taken_as_it_is() {
        assert_eq!(word("/srv/git/fleet.git"), "/srv/git/fleet.git");
        assert_eq!(word("a b\"c\\d%n$HOME"), "\"a b\\\"c\\\\d%%n$$HOME\"");
        assert_eq!(word(""), "\"\"");
    }
}
