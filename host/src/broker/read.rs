//! Reading a partition of the host's own from one offset to its end.

use std::time::{Duration, Instant};

use super::{Broker, Error, Replayed};
use crate::event::{Event, Offset, Partition};

/// How long one wait for records may last.
const WAIT: Duration = Duration::from_millis(100);
/// How long a read to the end may take in all.
const READ_MAX: Duration = Duration::from_secs(30);

/// Gives what a partition has from `from` on to `each`, to its end, or until that says that it is enough. The offset after the end,
/// when that came.
///
/// # Errors
/// Those of [`Broker::replay`], those of `each`, and [`Error::Away`] when it takes longer than 30 s.
pub(crate) fn read_to_end(
    broker: &dyn Broker,
    partition: &Partition,
    from: Offset,
    mut each: impl FnMut(&Event) -> Result<bool, Error>,
) -> Result<Option<Offset>, Error> {
    let until = Instant::now() + READ_MAX;
    let mut replay = broker.replay(partition, from)?;
    loop {
        match replay.next(WAIT)? {
            Replayed::Done { next } => return Ok(Some(next)),
            Replayed::Records(events) => {
                for event in &events {
                    if each(event)? {
                        return Ok(None);
                    }
                }
            }
            Replayed::Waiting => {}
        }
        if Instant::now() >= until {
            let cause = format!("{partition} could not be read within {READ_MAX:?}").into();
            return Err(Error::Away { endpoint: "its partition's leader".to_owned(), cause });
        }
    }
}
