//! Steps that look at the world, or want something of it.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Read, Write};
use std::time::{Instant, SystemTime};

use fnhost_sdk::bindings::fnhost::function::types::Failure;
use fnhost_sdk::bindings::wasi::config::store;
use fnhost_sdk::bindings::wasi::logging::logging::{Level, log};

use crate::publish::Outputs;
use crate::script::Step;

pub(crate) fn run(step: &Step<'_>, outputs: &mut Outputs<'_>) -> Result<bool, Failure> {
    match step.command {
        "clocks" => outputs.report(step.word(0)?, clocks()),
        "random" => {
            let mut bytes = [0; 32];
            let report = match getrandom::fill(&mut bytes) {
                Ok(()) => hex(&bytes),
                Err(error) => error.to_string(),
            };
            outputs.report(step.word(0)?, report);
        }
        "seed" => outputs.report(step.word(0)?, hex(&RandomState::new().hash_one(()).to_be_bytes())),
        "env" => outputs.report(step.word(0)?, environment()),
        "open" => outputs.report(step.word(0)?, told("opened", File::open(step.text_after(1)))),
        "write" => outputs.report(step.word(0)?, told("opened", File::create(step.text_after(1)))),
        #[cfg(feature = "network")]
        "connect" => outputs.report(step.word(0)?, told("connected", std::net::TcpStream::connect(step.word(1)?))),
        "stdin" => {
            let mut bytes = vec![];
            let report = match io::stdin().read_to_end(&mut bytes) {
                Ok(read) => read.to_string(),
                Err(error) => error.to_string(),
            };
            outputs.report(step.word(0)?, report);
        }
        "print" => print(io::stdout().lock(), step.number(0)?)?,
        "eprint" => print(io::stderr().lock(), step.number(0)?)?,
        "log" => {
            for line in 0..step.number::<u32>(0)? {
                log(Level::Info, "guest", &format!("line {line}"));
            }
        }
        "log-levels" => {
            for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Critical] {
                log(level, "guest", step.text());
            }
        }
        "log-size" => log(Level::Info, "guest", &"x".repeat(step.number(0)?)),
        "config" => {
            let value = store::get(step.word(1)?).map_err(unreadable)?;
            outputs.report(step.word(0)?, value.unwrap_or_else(|| "none".to_owned()));
        }
        "config-all" => {
            let all = store::get_all().map_err(unreadable)?;
            let pairs: Vec<_> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
            outputs.report(step.word(0)?, pairs.join(" "));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn clocks() -> String {
    let first = Instant::now();
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{} {}", wall.as_millis(), first.elapsed().as_nanos())
}

#[expect(clippy::disallowed_methods, reason = "the host's tests want to know what a function sees of it")]
fn environment() -> String {
    format!("{:?} {:?}", std::env::vars().collect::<Vec<_>>(), std::env::args().collect::<Vec<_>>())
}

fn told<T>(done: &str, result: io::Result<T>) -> String {
    match result {
        Ok(_) => done.to_owned(),
        Err(error) => error.to_string(),
    }
}

fn print(mut to: impl Write, bytes: usize) -> Result<(), Failure> {
    let line = [[b'x'; 99].as_slice(), b"\n"].concat();
    let mut left = bytes;
    while let Some(part) = line.get(..left.min(line.len())).filter(|part| !part.is_empty()) {
        to.write_all(part).map_err(|error| Failure::reject(format!("cannot print: {error}")))?;
        left -= part.len();
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

fn unreadable(error: store::Error) -> Failure {
    Failure::reject(format!("config: {error}"))
}
