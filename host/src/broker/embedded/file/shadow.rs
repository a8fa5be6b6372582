//! A file as it would be after some writes that are never made: how the writer looks at a file that it cannot write.

use std::io;
use std::sync::Mutex;

use redb::StorageBackend;

use crate::sync::lock;

/// What lies beneath, with what was written laid over it.
#[derive(Debug)]
pub(super) struct Shadow<B> {
    beneath: B,
    over: Mutex<Over>,
}

/// What was written. Little: the repair of a file writes its header and the pages of one empty commit.
#[derive(Debug)]
struct Over {
    /// How long the file would be.
    bytes: u64,
    /// What would be where, the newest last.
    parts: Vec<(u64, Vec<u8>)>,
}

impl<B: StorageBackend> Shadow<B> {
    pub(super) fn new(beneath: B) -> Result<Self, io::Error> {
        let over = Mutex::new(Over { bytes: beneath.len()?, parts: Vec::new() });
        Ok(Self { beneath, over })
    }
}

impl<B: StorageBackend> StorageBackend for Shadow<B> {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(lock(&self.over).bytes)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let over = lock(&self.over);
        if offset.saturating_add(out.len() as u64) > over.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let distance = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        // What lies beyond the end beneath was not written yet.
        let there = distance(offset, self.beneath.len()?).min(out.len());
        let (beneath, beyond) = out.split_at_mut(there);
        if !beneath.is_empty() {
            self.beneath.read(offset, beneath)?;
        }
        beyond.fill(0);
        for (at, part) in &over.parts {
            let bytes = out.iter_mut().skip(distance(offset, *at));
            bytes.zip(part.iter().skip(distance(*at, offset))).for_each(|(byte, new)| *byte = *new);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        lock(&self.over).bytes = len;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut over = lock(&self.over);
        over.bytes = over.bytes.max(offset.saturating_add(data.len() as u64));
        over.parts.push((offset, data.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_lies_beneath_stays() {
        let beneath = InMemoryBackend::new();
        beneath.set_len(8).unwrap();
        beneath.write(0, b"12345678").unwrap();
        let shadow = Shadow::new(beneath).unwrap();
        shadow.write(6, b"abcd").unwrap();
        shadow.write(2, b"xy").unwrap();
        shadow.write(3, b"z").unwrap();
        let read = |offset, count| {
            let mut out = vec![0; count];
            shadow.read(offset, &mut out).map(|()| String::from_utf8(out).unwrap()).map_err(|e| e.kind())
        };
        assert_eq!(read(0, 10), Ok("12xz56abcd".to_owned()));
        assert_eq!(read(3, 4), Ok("z56a".to_owned()));
        assert_eq!(read(7, 3), Ok("bcd".to_owned()));
        assert_eq!(read(7, 4), Err(io::ErrorKind::UnexpectedEof));
        shadow.set_len(12).unwrap();
        assert_eq!(read(8, 4), Ok("cd\0\0".to_owned()));
        let mut whole = [0; 8];
        shadow.beneath.read(0, &mut whole).unwrap();
        assert_eq!(&whole, b"12345678");
    }
}
