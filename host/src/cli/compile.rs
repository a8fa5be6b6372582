//! Compiling components in a process of its own: `fnhost compile`, a verb that only fnhost calls.
//!
//! A compiler's memory is many times what a host lives on and does not come back, and a component may be made to cost it without
//! end. So [`ahead`] compiles into the cache in a child that may take [`MEMORY_MIB_MAX`] and [`TIME_MAX`], and the host loads
//! what came out. Whatever goes wrong there the host finds out when it loads the file itself, but for those two limits.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::Failure;
use super::failure::{Interrupted, is_interrupted};
use crate::sandbox::{Options, Sandbox};

/// How long compiling a component may take, on average of those that are compiled together. A language runtime needs 6 s on one
/// core.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How much memory the compiler may have, in MiB, beside what an engine reserves and never touches.
const MEMORY_MIB_MAX: u64 = 2048;
/// Between two looks whether the child has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Compile components into a cache
#[derive(Debug, clap::Args)]
pub(super) struct CompileArgs {
    /// Where to
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// Which
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A component that costs the compiler too much.
#[derive(Debug, thiserror::Error)]
#[error("compiling {} took {what}", files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "))]
pub(super) struct TooMuch {
    files: Vec<PathBuf>,
    what: String,
}

/// The child's part.
pub(super) fn compile(args: &CompileArgs) -> Result<(), Failure> {
    // Nobody waits for it any more when its parent is gone.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("the end of the parent cannot be listened for")
        .map_err(Failure::fault)?;
    let options = Options { cache: Some(args.cache.clone()), ..Options::default() };
    let sandbox = Sandbox::new(&options).map_err(Failure::fault)?;
    limit_memory().map_err(Failure::fault)?;
    // Of its processor, whatever becomes of the process that waits for it.
    let seconds = TIME_MAX.as_secs() * 4 * u64::try_from(args.files.len()).unwrap_or(1).max(1);
    let time = Rlimit { current: Some(seconds), maximum: Some(seconds) };
    setrlimit(Resource::Cpu, time).context("the time cannot be limited").map_err(Failure::fault)?;
    // What is wrong with a file is said by whoever loads it.
    args.files.iter().for_each(|file| drop(sandbox.load_file(file)));
    Ok(())
}

/// Limits what the process may take beyond what it has, which is mostly what an engine reserves.
fn limit_memory() -> anyhow::Result<()> {
    // proc_pid_statm(5): the sixth number is data and stack, in pages.
    let statm = std::fs::read_to_string("/proc/self/statm").context("what this process has cannot be told")?;
    let pages: Option<u64> = statm.split_ascii_whitespace().nth(5).and_then(|pages| pages.parse().ok());
    let page = u64::try_from(rustix::param::page_size()).context("no page size")?;
    let bytes_max = pages.context("what this process has cannot be told")? * page + (MEMORY_MIB_MAX << 20);
    let limit = Rlimit { current: Some(bytes_max), maximum: Some(bytes_max) };
    setrlimit(Resource::Data, limit).context("the memory cannot be limited")
}

/// The program that runs, even when another one has been put in its place since.
fn this_program() -> anyhow::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe().context("the path of this program cannot be told")
}

/// Compiles what the cache lacks.
///
/// # Errors
/// [`TooMuch`], [`Interrupted`], or a child that cannot be started.
pub(super) fn ahead(cache: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let mut child = Command::new(this_program()?)
        .arg0("fnhost")
        .arg("compile")
        .arg("--cache")
        .arg(cache)
        .args(files)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("a process that compiles cannot be started")?;
    let within = TIME_MAX * u32::try_from(files.len()).unwrap_or(u32::MAX);
    let until = Instant::now() + within;
    let status = loop {
        match child.try_wait().context("the process that compiles cannot be waited for")? {
            Some(status) => break status,
            None if Instant::now() < until => std::thread::sleep(LOOK),
            None => {
                // It may have ended in between.
                child.kill().ok();
                child.wait().context("the process that compiles cannot be waited for")?;
                let what = format!("longer than {within:?}");
                return Err(TooMuch { files: files.to_vec(), what }.into());
            }
        }
    };
    match status.success() {
        true => Ok(()),
        false if is_interrupted(status) => Err(Interrupted.into()),
        false => {
            let what = format!("more than {MEMORY_MIB_MAX} MiB of memory, or failed ({status})");
            Err(TooMuch { files: files.to_vec(), what }.into())
        }
    }
}
