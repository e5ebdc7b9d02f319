//! One process tree as its supervisor holds it: the pipes to the init, its identity, and the proof
//! that nothing of it is left.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::note::{GO, Note};
use super::record::Identity;
use super::refusal::cannot;
use super::{Refusal, kernel};
use crate::command;

/// How a tree came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The program ended with this status.
    Ended(i32),
    /// Something killed the tree, or we did.
    Killed,
}

/// A runner and what it started.
pub(super) struct Tree {
    runner: Child,
    to_init: Option<ChildStdin>,
    notes: Lines<BufReader<ChildStdout>>,
    init: Option<AsyncFd<OwnedFd>>,
}

impl Tree {
    /// Starts a runner; its children inherit the holds.
    pub(super) fn start(directory: &Path, log: File) -> Result<Self, Refusal> {
        let mut runner =
            command::stage_piped("run", directory, log).map_err(cannot("start the runner"))?;
        let to_init = runner.stdin.take();
        let from = runner.stdout.take();
        let from = from.ok_or_else(|| cannot("start the runner")("it has no pipe"))?;
        Ok(Self { runner, to_init, notes: BufReader::new(from).lines(), init: None })
    }

    async fn note(&mut self) -> Result<Option<Note>, Refusal> {
        let line = self.notes.next_line().await.map_err(cannot("hear the init"))?;
        line.map(|line| serde_json::from_str(&line).map_err(cannot("understand the init")))
            .transpose()
    }

    /// Until the init is tied to its runner and in its namespaces; who it is.
    pub(super) async fn ready(&mut self) -> Result<Identity, Refusal> {
        let mut init = None;
        loop {
            match self.note().await? {
                Some(Note::Init(pid)) => {
                    init = Identity::of(pid);
                    self.watch(pid)?;
                }
                // The two write to one pipe, in no certain order.
                Some(Note::Ready) if init.is_none() => {
                    let Some(Note::Init(pid)) = self.note().await? else {
                        return Err(cannot("start the tree")("the runner was killed"));
                    };
                    self.watch(pid)?;
                    return Identity::of(pid)
                        .ok_or_else(|| cannot("start the tree")("the init was killed"));
                }
                Some(Note::Ready) => {
                    return init.ok_or_else(|| cannot("start the tree")("the init was killed"));
                }
                Some(Note::Refused(refusal)) => return Err(refusal),
                Some(Note::Running | Note::Ended(_)) | None => {
                    return Err(cannot("start the tree")("it was killed on its way up"));
                }
            }
        }
    }

    fn watch(&mut self, pid: u32) -> Result<(), Refusal> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| cannot("watch the init")("it has no process id"))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(cannot("watch the init"))?;
        self.init = Some(kernel::await_readable(pidfd).map_err(cannot("watch the init"))?);
        Ok(())
    }

    /// Lets the init go on, until the program runs.
    pub(super) async fn go(&mut self) -> Result<(), Refusal> {
        self.write(GO).await;
        match self.note().await? {
            // A program may end before anyone looks; `end` will hear of it.
            Some(Note::Running) => Ok(()),
            Some(Note::Refused(refusal)) => Err(refusal),
            Some(Note::Init(_) | Note::Ready | Note::Ended(_)) | None => {
                Err(cannot("start the tree")("it was killed on its way up"))
            }
        }
    }

    /// Until the program has ended or the tree was killed.
    pub(super) async fn end(&mut self) -> Result<End, Refusal> {
        loop {
            match self.note().await? {
                Some(Note::Ended(code)) => return Ok(End::Ended(code)),
                Some(Note::Refused(refusal)) => return Err(refusal),
                Some(Note::Init(_) | Note::Ready | Note::Running) => {}
                None => return Ok(End::Killed),
            }
        }
    }

    /// Has the init send the program a signal.
    pub(super) async fn signal(&mut self, signal: i32) {
        self.write(&format!("{signal}\n")).await;
    }

    async fn write(&mut self, line: &str) {
        if let Some(pipe) = &mut self.to_init {
            // An init that is gone is heard of when its pipe closes.
            let _ = pipe.write_all(line.as_bytes()).await;
            let _ = pipe.flush().await;
        }
    }

    /// Kills what is left and waits until nothing is.
    pub(super) async fn destroy(mut self) -> Result<(), Refusal> {
        if let Some(init) = &self.init {
            let _ = rustix::process::pidfd_send_signal(init.get_ref().as_fd(), Signal::KILL);
        } else {
            let _ = self.runner.start_kill();
        }
        // An init that we never heard of waits for its go; this is its end of file.
        drop(self.to_init.take());
        // Runner and init hold the other end of the pipe until they exit.
        while let Ok(Some(_)) = self.notes.next_line().await {}
        self.runner.wait().await.map_err(cannot("wait for the runner"))?;
        if let Some(init) = &self.init {
            // Readable once the process is a zombie, and the first of a pid namespace becomes one
            // only after all others in it are gone (pid_namespaces(7)).
            let _ = init.readable().await.map_err(cannot("wait for the init"))?;
        }
        Ok(())
    }
}
