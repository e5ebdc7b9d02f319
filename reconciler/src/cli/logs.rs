//! `tiedown logs`: what instances say.

use super::error::Usage;
use super::exit::Ending;
use super::global::Global;
use super::opened::Opened;
use super::output::Output;
use crate::status::readings;
use executor::host::Host;
use executor::observe::{Checks, observe};
use notify::{RecursiveMode, Watcher};
use planner::model::slot::SlotId;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Show what a slot's instances, or all of an app's, have written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tiedown logs web/app/ewr/1
  tiedown logs web -f
  tiedown logs web -n 1000")]
pub(super) struct Args {
    /// A slot (APP/GROUP/REGION/N) or an app.
    #[arg(value_name = "SLOT|APP")]
    of: String,
    /// Go on until ^C.
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines of each to show first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: usize,
}

/// How long a change may go unnoticed where the system does not tell.
const POLL: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &Args, global: &Global, output: Output) -> anyhow::Result<Ending> {
    let repository = global.repository()?;
    let Opened { hosts, .. } = Opened::of(global, &repository, output)?;
    let mut logs = find(args, &hosts.all()).await?;
    let many = logs.len() > 1;
    for log in &mut logs {
        let text = log.last(args.lines)?;
        output.result(&log.prefixed(&text, many))?;
    }
    if args.follow {
        follow(logs, many, output).await?;
    }
    Ok(Ending::default())
}

async fn find(
    args: &Args,
    hosts: &BTreeMap<planner::model::name::HostName, Arc<dyn Host>>,
) -> anyhow::Result<Vec<Log>> {
    let slot: Option<SlotId> = args.of.parse().ok();
    let observed = observe(hosts, &Checks::new()).await;
    let mut logs = Vec::new();
    let mut apps = std::collections::BTreeSet::new();
    for (name, reading) in readings(&observed) {
        for instance in reading.instances.values() {
            apps.insert(instance.slot.app.to_string());
            let wanted = match &slot {
                Some(slot) => instance.slot == *slot,
                None => instance.slot.app.as_str() == args.of,
            };
            let path = hosts.get(name).and_then(|host| host.log(&instance.id));
            if let Some(path) = path.filter(|_| wanted) {
                let role = instance.role.as_str();
                let of = match role {
                    "main" => instance.slot.to_string(),
                    role => format!("{} {role}", instance.slot),
                };
                logs.push(Log { of, path, at: 0, inode: 0 });
            }
        }
    }
    if logs.is_empty() {
        let apps: Vec<String> = apps.into_iter().collect();
        let shown: String = args.of.chars().take(80).collect();
        let hint = match apps.as_slice() {
            [] => "nothing runs; `tiedown status` shows what is".to_owned(),
            apps => {
                format!("apps with instances: {}; `tiedown status` shows slots", apps.join(", "))
            }
        };
        return Err(Usage::new(format!("no instance is of {shown:?}"), hint).into());
    }
    logs.sort_by(|a, b| a.of.cmp(&b.of));
    Ok(logs)
}

/// A log file and how far it was read.
struct Log {
    of: String,
    path: PathBuf,
    at: u64,
    inode: u64,
}

impl Log {
    /// The last lines, from the beginning to the present end.
    fn last(&mut self, lines: usize) -> std::io::Result<String> {
        let text = self.more()?;
        let from = text.trim_end_matches('\n').rmatch_indices('\n').nth(lines.saturating_sub(1));
        let from = from.map_or(0, |(index, _)| index + 1);
        Ok(if lines == 0 { String::new() } else { text[from..].to_owned() })
    }

    /// What was written since, up to the last whole line; from the beginning if the file is
    /// another one now.
    fn more(&mut self) -> std::io::Result<String> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let meta = file.metadata()?;
        if meta.ino() != self.inode || meta.len() < self.at {
            (self.at, self.inode) = (0, meta.ino());
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.at += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }

    fn prefixed(&self, text: &str, many: bool) -> String {
        if !many {
            return text.to_owned();
        }
        text.lines().map(|line| format!("{}  {line}\n", self.of)).collect()
    }
}

/// Goes on until whoever reads has gone, or a signal ends the process.
async fn follow(mut logs: Vec<Log>, many: bool, output: Output) -> anyhow::Result<()> {
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |_| {
        // A full channel already says that there is something to read.
        let _ = tell.try_send(());
    });
    // Without a watcher a change is seen at the next poll.
    let mut watcher = watcher.ok();
    for directory in logs.iter().filter_map(|log| log.path.parent().map(Path::to_owned)) {
        if let Some(watcher) = &mut watcher {
            let _ = watcher.watch(&directory, RecursiveMode::NonRecursive);
        }
    }
    loop {
        for log in &mut logs {
            let text = log.more()?;
            if !text.is_empty() {
                output.result(&log.prefixed(&text, many))?;
            }
        }
        let _ = tokio::time::timeout(POLL, told.recv()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn whole_lines_are_shown_once_and_another_file_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log { of: "web/app/ewr/1".into(), path: path.clone(), at: 0, inode: 0 };
        assert_eq!(log.more().unwrap(), "");
        fs::write(&path, "a\nb\nc\nhal").unwrap();
        assert_eq!(log.last(2).unwrap(), "b\nc\n");
        assert_eq!(log.more().unwrap(), "");
        fs::write(&path, "a\nb\nc\nhalf\n").unwrap();
        let text = log.more().unwrap();
        assert_eq!(log.prefixed(&text, true), "web/app/ewr/1  half\n");
        fs::rename(&path, dir.path().join("log.1")).unwrap();
        fs::write(&path, "new\n").unwrap();
        assert_eq!(log.more().unwrap(), "new\n");
    }
}
