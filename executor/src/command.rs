//! The only door to processes: programs of the system run to completion with a deadline, our own
//! binary's hidden stages, and the program of an instance. Decides nothing about what they do.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt;
use zeroize::Zeroizing;

/// Where programs of the system are looked for, in this order. The caller's `PATH` is not asked:
/// what runs as root must not depend on who called.
pub const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How much of a failed program's standard error an error quotes, in bytes.
const QUOTED_BYTES: usize = 2048;

/// Why a program did not give its output.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such program in [`DIRECTORIES`].
    #[error("{program} is not installed (looked in {})", DIRECTORIES.join(", "))]
    NotFound {
        /// The program's bare name.
        program: String,
    },
    /// It could not be started, or talking to it failed.
    #[error("cannot run {}", program.display())]
    Io {
        /// Absolute path of the program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It did not finish in time.
    #[error("{} did not finish within {} s{}", program.display(), deadline.as_secs(),
        if *left_running { " and was left running" } else { "" })]
    Deadline {
        /// Absolute path of the program.
        program: PathBuf,
        /// The time it had.
        deadline: Duration,
        /// Whether it still runs, because it must not be killed.
        left_running: bool,
    },
    /// It finished with another status than 0, or by a signal.
    #[error("{} failed ({}){}{stderr}", program.display(),
        status.map_or_else(|| "killed by a signal".to_owned(), |code| format!("status {code}")),
        if stderr.is_empty() { "" } else { ": " })]
    Failed {
        /// Absolute path of the program.
        program: PathBuf,
        /// Exit status; none when a signal ended it.
        status: Option<i32>,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
}

/// What becomes of a program that overruns its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overrun {
    /// Its process group gets SIGKILL.
    Kill,
    /// It is left to finish: killing it half way would do harm (LVM holding locks). It runs in a
    /// session of its own and writes into memory, not into a pipe, so that it outlives its caller,
    /// whoever ends that and however.
    Leave,
}

/// One run of a program of the system: argv only, no shell, empty environment but `PATH`,
/// `LC_ALL=C` and what is given to it, in its own process group so that a terminal's ^C does not reach it.
///
/// `Debug` shows neither arguments nor environment nor input.
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    input: Option<Zeroizing<Vec<u8>>>,
    script: Option<String>,
    deadline: Duration,
    overrun: Overrun,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command").field("program", &self.program).finish_non_exhaustive()
    }
}

/// What a program that finished with status 0 wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output, as written.
    pub stdout: Vec<u8>,
    /// Standard error, as written.
    pub stderr: Vec<u8>,
}

impl Command {
    /// The program called `name` in [`DIRECTORIES`]; 60 s, then killed.
    ///
    /// # Errors
    /// [`CommandError::NotFound`].
    pub fn named(name: &str) -> Result<Self, CommandError> {
        let program =
            find(name).ok_or_else(|| CommandError::NotFound { program: name.to_owned() })?;
        Ok(Self {
            program,
            args: Vec::new(),
            env: Vec::new(),
            input: None,
            script: None,
            deadline: Duration::from_secs(60),
            overrun: Overrun::Kill,
        })
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds one variable to its environment. Only its user and root can see it, as with what is
    /// given on standard input.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Gives it these bytes on standard input, the place for what is secret; they are wiped after.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Gives it this text on standard input, from memory and not through a pipe: it is there as a
    /// whole, so that whoever ends this process, the program never reads half a line.
    #[must_use]
    pub fn script(mut self, text: String) -> Self {
        self.script = Some(text);
        self
    }

    /// How long it may take and what happens then.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration, overrun: Overrun) -> Self {
        self.deadline = deadline;
        self.overrun = overrun;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Any [`CommandError`] but `NotFound`.
    pub async fn output(self) -> Result<Output, CommandError> {
        let Self { program, args, env, input, script, deadline, overrun } = self;
        // Arguments are not told: one may be a path that somebody named.
        tracing::debug!(program = %program.display(), "program runs");
        let failed = |source| CommandError::Io { program: program.clone(), source };
        let (mut stdout, mut stderr) = (said().map_err(failed)?, said().map_err(failed)?);
        let mut command = starting(&program, overrun).map_err(failed)?;
        let mut child = command
            .args(&args)
            .env_clear()
            .env("PATH", DIRECTORIES.join(":"))
            .env("LC_ALL", "C")
            .envs(env)
            .current_dir("/")
            .stdin(match script {
                Some(script) => in_memory(&script).map_err(failed)?.into(),
                None if input.is_some() => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(stdout.try_clone().map_err(failed)?)
            .stderr(stderr.try_clone().map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let stdin = child.stdin.take();
        let feed = async move {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A program may finish without reading its input; its status tells.
                let _ = stdin.write_all(&input).await;
            }
        };
        let finish = async { tokio::join!(child.wait(), feed).0 };
        let Ok(status) = tokio::time::timeout(deadline, finish).await else {
            let left_running = match overrun {
                Overrun::Leave => true,
                Overrun::Kill => {
                    if let Some(group) = group {
                        let _ = rustix::process::kill_process_group(group, Signal::KILL);
                    }
                    false
                }
            };
            return Err(CommandError::Deadline { program, deadline, left_running });
        };
        let status = status.map_err(failed)?;
        let stderr = whole(&mut stderr).map_err(failed)?;
        if status.success() {
            return Ok(Output { stdout: whole(&mut stdout).map_err(failed)?, stderr });
        }
        let from = stderr.len().saturating_sub(QUOTED_BYTES);
        let stderr = String::from_utf8_lossy(&stderr[from..]).trim().to_owned();
        Err(CommandError::Failed { program, status: status.code(), stderr })
    }
}

/// A program that may be killed gets a process group of its own; one that may not, a session:
/// setsid(1) makes one and becomes the program.
fn starting(program: &Path, overrun: Overrun) -> io::Result<tokio::process::Command> {
    match overrun {
        Overrun::Kill => {
            let mut command = tokio::process::Command::new(program);
            command.process_group(0);
            Ok(command)
        }
        Overrun::Leave => {
            let setsid = find("setsid").ok_or_else(|| {
                io::Error::other("setsid is not installed; on Debian: apt-get install util-linux")
            })?;
            let mut command = tokio::process::Command::new(setsid);
            command.arg(program);
            Ok(command)
        }
    }
}

/// A file in memory for what a program writes: unlike a pipe it has no reader whose end could end
/// the program.
fn said() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("said", rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

fn in_memory(text: &str) -> io::Result<File> {
    let mut file = said()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn whole(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The absolute path of a program of the system, if it is installed.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return None;
    }
    DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| {
        rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
    })
}

/// Runs `internal launch DIRECTORY` of `program` (our own binary), which leaves a detached
/// `internal supervise DIRECTORY` behind. Gives the pipe on which the supervisor reports once.
pub(crate) fn detach(program: &Path, directory: &Path, log: File) -> io::Result<ChildStdout> {
    let mut child = std::process::Command::new(program)
        .args(["internal", "launch"])
        .arg(directory)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let stdout = child.stdout.take();
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("the supervisor could not be launched ({status})")));
    }
    stdout.ok_or_else(|| io::Error::other("no pipe from the supervisor"))
}

/// Our own binary with these arguments, in a session of its own and with nothing of ours but the
/// environment: it outlives this process and whoever started that. What it says goes to `log`.
///
/// # Errors
/// It could not be started.
pub fn leave_running(args: &[OsString], log: File) -> io::Result<Child> {
    let setsid = find("setsid").ok_or_else(|| {
        io::Error::other("setsid is not installed; on Debian: apt-get install util-linux")
    })?;
    std::process::Command::new(setsid)
        .arg(std::env::current_exe()?)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// The next stage of our own binary, `internal STAGE DIRECTORY`, from the very file this process
/// runs (an upgrade that replaces the file in between mixes no versions).
fn stage(name: &str, directory: &Path) -> std::process::Command {
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg("internal").arg(name).arg(directory).env_clear().current_dir("/");
    command
}

/// A stage that shares this process's standard streams.
pub(crate) fn stage_inheriting(name: &str, directory: &Path) -> io::Result<Child> {
    stage(name, directory).spawn()
}

/// A stage with pipes for standard input and output, and `log` for standard error.
pub(crate) fn stage_piped(
    name: &str,
    directory: &Path,
    log: File,
) -> io::Result<tokio::process::Child> {
    let mut command = stage(name, directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    tokio::process::Command::from(command).spawn()
}

/// `internal probe WHAT` of `program`: what it wrote and whether it succeeded.
pub(crate) fn probe(program: &Path, what: &str) -> io::Result<(bool, String)> {
    let output = std::process::Command::new(program)
        .args(["internal", "probe", what])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()?;
    let said = if output.status.success() { &output.stdout } else { &output.stderr };
    Ok((output.status.success(), String::from_utf8_lossy(said).trim().to_owned()))
}

/// `internal enter DIRECTORY ARGV…` of `program` on our own standard streams, to its end.
pub(crate) fn enter(
    program: &Path,
    directory: &Path,
    argv: &[OsString],
) -> io::Result<std::process::ExitStatus> {
    let mut command = std::process::Command::new(program);
    command.args(["internal", "enter"]).arg(directory).args(argv).env_clear();
    // What a program with a terminal needs to know of it.
    command.envs(std::env::vars_os().filter(|(name, _)| name == "TERM"));
    command.status()
}

/// A program that joins an instance, on our own standard streams.
pub(crate) fn visitor(
    argv: &[OsString],
    env: &BTreeMap<String, String>,
    directory: &Path,
) -> io::Result<Child> {
    let (program, args) =
        argv.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    std::process::Command::new(program)
        .args(args)
        .env("PATH", DIRECTORIES.join(":"))
        .envs(env)
        .current_dir(directory)
        .spawn()
}

/// The program of an instance, from inside its jail: no standard input, standard output and
/// error to this process's standard error (the log). A bare name is looked for in `env`'s `PATH`.
pub(crate) fn instance(
    argv: &[String],
    env: &BTreeMap<String, String>,
    directory: &Path,
) -> io::Result<Child> {
    let (program, args) =
        argv.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let log = io::stderr().as_fd().try_clone_to_owned()?;
    std::process::Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", DIRECTORIES.join(":"))
        .envs(env)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        Command::named("sh").expect("a shell").args(["-c", script])
    }

    #[tokio::test]
    async fn output_and_input() {
        let command = sh("cat; echo said >&2; echo $HOME $LC_ALL").input(b"in,".to_vec());
        let output = command.output().await.expect("it succeeds");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "in,C\n");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "said\n");
    }

    #[tokio::test]
    async fn a_script_is_read_as_a_whole() {
        let output = sh("cat").script("one\ntwo\n".to_owned()).output().await.expect("success");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "one\ntwo\n");
    }

    #[tokio::test]
    async fn a_failure_quotes_the_end_of_what_was_said() {
        let error = sh("echo no such volume >&2; exit 5").output().await.expect_err("status 5");
        assert!(error.to_string().ends_with("sh failed (status 5): no such volume"), "{error}");
        let error = sh("kill -9 $$").output().await.expect_err("a signal");
        assert!(error.to_string().ends_with("sh failed (killed by a signal)"), "{error}");
    }

    #[tokio::test]
    async fn an_overrun_is_killed_with_its_children_or_left() {
        let short = Duration::from_millis(50);
        let directory = tempfile::tempdir().expect("a directory");
        let script = |name: &str| {
            let path = directory.path().join(name);
            (path.clone(), format!("(sleep 0.3; touch {}) & wait", path.display()))
        };
        let (killed, text) = script("killed");
        let error = sh(&text).deadline(short, Overrun::Kill).output().await.expect_err("late");
        assert!(matches!(error, CommandError::Deadline { left_running: false, .. }), "{error}");
        let (left, text) = script("left");
        let error = sh(&text).deadline(short, Overrun::Leave).output().await.expect_err("late");
        assert!(matches!(error, CommandError::Deadline { left_running: true, .. }), "{error}");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !left.exists() {
            assert!(std::time::Instant::now() < deadline, "the one left running was killed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // It would have come first.
        assert!(!killed.exists());
    }

    #[tokio::test]
    async fn what_is_left_running_has_a_session_of_its_own() {
        // Field 6 of stat(5). It is 0 where the session's leader is outside of our process
        // namespace, as under some runners of CI; getsid(2) would be no better.
        let session = |stat: &str| {
            let after_name = stat.rsplit(')').next().unwrap_or_default().to_owned();
            after_name.split_whitespace().nth(3).expect("field 6").to_owned()
        };
        let mine = session(&std::fs::read_to_string("/proc/self/stat").expect("proc is mounted"));
        let theirs = async |overrun| {
            let command = sh("cat /proc/$$/stat").deadline(Duration::from_secs(10), overrun);
            let output = command.output().await.expect("it succeeds");
            session(&String::from_utf8_lossy(&output.stdout))
        };
        assert_eq!(theirs(Overrun::Kill).await, mine);
        assert_ne!(theirs(Overrun::Leave).await, mine);
    }

    #[test]
    fn what_is_not_installed_is_named() {
        let error = Command::named("no-such-program").expect_err("not installed");
        assert!(error.to_string().starts_with("no-such-program is not installed (looked in /usr"));
        assert!(find("../bin/sh").is_none(), "a path is not a name");
    }
}
