//! What a guest returned, held against what its function may publish.

use std::sync::Arc;

use super::contract::fnhost::function::types;
use crate::app::Function;
use crate::event::{Class, Failure, Header, Output};

/// The most records that one event may lead to.
const RECORDS_MAX: usize = 1024;
/// The most headers of one record.
const HEADERS_MAX: usize = 1024;

/// The outputs, when all of them may be published.
pub(super) fn checked(returned: Vec<types::Output>, function: &Function) -> Result<Vec<Output>, Failure> {
    if returned.len() > RECORDS_MAX {
        let reason = format!("it returned {} records, and {RECORDS_MAX} are the most", returned.len());
        return Err(Failure::new(Class::OutputTooLarge, reason));
    }
    let mut bytes: usize = 0;
    returned
        .into_iter()
        .map(|output| {
            let topic = declared(&output.topic, function)?;
            bytes = bytes.saturating_add(size_bytes(&output));
            if bytes > function.limits.output_bytes {
                return Err(too_large(function));
            }
            if output.headers.len() > HEADERS_MAX {
                let reason = format!("a record has {} headers, and {HEADERS_MAX} are the most", output.headers.len());
                return Err(Failure::new(Class::OutputTooLarge, reason));
            }
            let headers = output.headers.into_iter().map(|header| Header { name: header.name, value: header.value });
            Ok(Output { topic, key: output.key, value: output.value, headers: headers.collect() })
        })
        .collect()
}

/// All outputs together are more bytes than the function may publish.
pub(super) fn too_large(function: &Function) -> Failure {
    let reason = format!("its outputs are more than {} bytes together (`limits.output`)", function.limits.output_bytes);
    Failure::new(Class::OutputTooLarge, reason)
}

fn declared(topic: &str, function: &Function) -> Result<Arc<str>, Failure> {
    function.output.iter().find(|declared| ***declared == *topic).map(Arc::clone).ok_or_else(|| {
        let topic = super::text::clean(topic, 256);
        Failure::new(Class::UndeclaredTopic, format!("it published to `{topic}`, which its `output` does not name"))
    })
}

fn size_bytes(output: &types::Output) -> usize {
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = output.headers.iter().map(|header| header.name.len() + bytes(&header.value)).sum();
    bytes(&output.key) + bytes(&output.value) + headers
}
