//! Steps that keep something: in the state, and in linear memory.

use fnhost_sdk::bindings::fnhost::function::state;
use fnhost_sdk::bindings::fnhost::function::types::{Event, Failure};

use crate::checksum::{FNV_START, checksum};
use crate::publish::Outputs;
use crate::script::Step;

const MIB: usize = 1 << 20;

pub(crate) fn run(step: &Step<'_>, event: &Event, outputs: &mut Outputs<'_>) -> Result<bool, Failure> {
    match step.command {
        "set" => state::set(step.word(0)?.as_bytes(), step.text_after(1).as_bytes()),
        "set-size" => state::set(step.word(0)?.as_bytes(), &vec![b'x'; step.number(1)?]),
        "set-key-size" => state::set(&vec![b'x'; step.number(0)?], b"x"),
        "set-many" => {
            for number in 0..step.number::<u32>(1)? {
                state::set(format!("{}{number:04}", step.word(0)?).as_bytes(), number.to_string().as_bytes());
            }
        }
        "get" => {
            let value = state::get(step.word(1)?.as_bytes());
            outputs.push(step.word(0)?, event.key.clone(), value, vec![]);
        }
        "delete" => state::delete(step.word(0)?.as_bytes()),
        "retry-unless" => {
            let (key, reason) = (step.word(0)?, step.text_after(1));
            if state::get(key.as_bytes()).is_none() {
                return Err(Failure::retry(reason));
            }
        }
        "scan" => {
            let after = step.word(3).ok().map(str::as_bytes);
            let pairs: Vec<_> = state::scan(prefix(step)?, after, step.number(2)?)
                .iter()
                .map(|entry| format!("{}={}", entry.key.escape_ascii(), entry.value.escape_ascii()))
                .collect();
            outputs.report(step.word(0)?, pairs.join(" "));
        }
        "scan-all" => outputs.report(step.word(0)?, count(prefix(step)?).to_string()),
        "fold" => fold(step.word(0)?, event, event.value.as_deref().unwrap_or_default(), outputs)?,
        "fold-text" => fold(step.word(0)?, event, step.text_after(1).as_bytes(), outputs)?,
        "allocate-all" => {
            let mut held: Vec<Vec<u8>> = vec![];
            loop {
                let mut part = vec![];
                if part.try_reserve_exact(MIB).is_err() {
                    break;
                }
                part.resize(MIB, 1);
                held.push(part);
            }
            let report = held.len().to_string();
            drop(held);
            outputs.report(step.word(0)?, report);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn prefix<'a>(step: &Step<'a>) -> Result<&'a [u8], Failure> {
    Ok(match step.word(1)? {
        "*" => b"",
        prefix => prefix.as_bytes(),
    })
}

fn count(prefix: &[u8]) -> usize {
    let (mut pairs, mut after) = (0, None::<Vec<u8>>);
    loop {
        let page = state::scan(prefix, after.as_deref(), u32::MAX);
        let Some(last) = page.last() else { return pairs };
        pairs += page.len();
        after = Some(last.key.clone());
    }
}

/// What is kept is what is reported: `<count> <checksum>`.
fn fold(topic: &str, event: &Event, value: &[u8], outputs: &mut Outputs<'_>) -> Result<(), Failure> {
    let key = [b"fold/", event.key.as_deref().unwrap_or_default()].concat();
    let (count, sum) = match state::get(&key) {
        None => (0, FNV_START),
        Some(kept) => read(&kept).ok_or_else(|| Failure::reject("what `fold` kept cannot be read"))?,
    };
    let kept = format!("{} {:016x}", count + 1, checksum(sum, value));
    state::set(&key, kept.as_bytes());
    outputs.report(topic, kept);
    Ok(())
}

fn read(kept: &[u8]) -> Option<(u64, u64)> {
    let (count, sum) = std::str::from_utf8(kept).ok()?.split_once(' ')?;
    Some((count.parse().ok()?, u64::from_str_radix(sum, 16).ok()?))
}
