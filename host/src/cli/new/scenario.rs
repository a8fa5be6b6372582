//! A function's first scenario: what is to be published, with the ids that the SDK gives.

use uuid::Uuid;

/// As the SDK has it. If it changes there, the expectations that are made here are no longer met.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_5a9e_64d2_4f4c_9a53_2b8f_1f0e_7d41);

/// The event that is answered.
pub(super) struct Answered<'a> {
    pub(super) source: &'a str,
    pub(super) id: &'a str,
}

/// The id of output number `ordinal` of the function that publishes as `source`.
pub(super) fn output_id(event: &Answered<'_>, source: &str, topic: &str, ordinal: u32) -> String {
    let mut name = Vec::new();
    for part in [event.source, event.id, source, topic] {
        name.extend_from_slice(part.as_bytes());
        name.push(0xff);
    }
    name.extend_from_slice(&ordinal.to_be_bytes());
    Uuid::new_v5(&NAMESPACE, &name).to_string()
}
