//! An event as it lies on a topic, written as JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::entries;
use crate::event::Event;
use crate::worker::error_event::rfc3339;

/// An event with its place: `topic`, `partition`, `offset`, `timestamp`, then what it holds.
pub(crate) struct Written<'a>(pub(crate) &'a Event);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Event { partition, offset, timestamp_ms, key, value, headers } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("topic", &*partition.topic)?;
        map.serialize_entry("partition", &partition.number)?;
        map.serialize_entry("offset", offset)?;
        if let Some(timestamp) = timestamp_ms {
            map.serialize_entry("timestamp", &rfc3339(*timestamp))?;
        }
        entries(&mut map, key.as_deref(), headers, value.as_deref())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Published;
    use super::super::read::Document;
    use super::*;
    use crate::event::{Header, Partition};

    fn event(key: Option<&[u8]>, value: Option<&[u8]>) -> Event {
        let header = |name: &str, value: Option<&[u8]>| Header { name: name.into(), value: value.map(<[u8]>::to_vec) };
        Event {
            partition: Partition::new("orders", 2),
            offset: 17,
            timestamp_ms: Some(1_795_243_381_003),
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: vec![header("trace", Some(b"a\nb")), header("none", None), header("raw", Some(&[0xff]))],
        }
    }

    #[test]
    fn an_event_says_where_it_lies_and_its_value_as_well_as_json_can() {
        let plain = Event { headers: vec![], ..event(Some(b"4711"), Some(b"{ \"id\": \"4711\",\n \"sum\": 1.10 }")) };
        insta::assert_snapshot!(serde_json::to_string(&Written(&plain)).unwrap(), @r#"{"topic":"orders","partition":2,"offset":17,"timestamp":"2026-11-21T06:43:01.003Z","key":"4711","value":{"id":"4711","sum":1.10}}"#);
        let odd = Event { timestamp_ms: None, ..event(Some(&[0xfe]), None) };
        insta::assert_snapshot!(serde_json::to_string(&Written(&odd)).unwrap(), @r#"{"topic":"orders","partition":2,"offset":17,"keyBase64":"/g==","headers":[{"name":"trace","value":"a\nb"},{"name":"none","value":null},{"name":"raw","valueBase64":"/w=="}],"value":null}"#);
    }

    #[test]
    fn what_was_written_is_sent_again_with_the_same_key_headers_and_value() {
        let values: [Option<&[u8]>; 6] =
            [None, Some(b""), Some(b"{\"a\":[1.10]}"), Some(b"text \x1b"), Some(b"\"{}\""), Some(&[0xff, 0x00])];
        let events: Vec<Event> = values.map(|value| event(value, value)).into();
        let lines: Vec<String> = events.iter().map(|e| serde_json::to_string(&Written(e)).unwrap() + "\n").collect();
        let document = Document::read(Path::new("lines"), lines.concat().as_bytes()).unwrap();
        let sent = document.with_each(Published::read_to_send).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(sent.len(), events.len());
        for (sent, Event { key, value, headers, .. }) in sent.into_iter().zip(events) {
            assert_eq!(sent, Published { topic: None, key, headers, value });
        }
    }

    #[test]
    fn a_cloud_event_is_sent_as_the_value_under_its_subject() {
        let text = r#"{ "specversion": "1.0", "subject": "4711", "data": { "sum": 1.10 } } [{ "value": "a" }, { "value": null }]"#;
        let document = Document::read(Path::new("text"), text.as_bytes()).unwrap();
        let sent = document.with_each(Published::read_to_send).unwrap_or_else(|faults| panic!("{faults}"));
        let parts: Vec<_> = sent.iter().map(|p| (p.key.as_deref(), p.value.as_deref())).collect();
        let whole = br#"{"specversion":"1.0","subject":"4711","data":{"sum":1.10}}"#;
        assert_eq!(parts, [(Some(&b"4711"[..]), Some(&whole[..])), (None, Some(b"a")), (None, None)]);
    }

    #[test]
    fn what_is_wrong_in_lines_of_json_is_shown_where_it_stands() {
        let text = "{ \"value\": 1 }\n{ \"valu\": 1 }\n{ \"value\": }\n";
        let document = Document::read(Path::new("orders.jsonl"), text.as_bytes()).unwrap();
        let faults = document.with_each(Published::read_to_send).unwrap_err();
        insta::assert_snapshot!(faults, @r#"
        error: an event has no `value`
         --> orders.jsonl:2:1
          |
        2 | { "valu": 1 }
          | ^

        hint: Kafka's null is `"value": null`

        error: an event has no `valu`
         --> orders.jsonl:2:3
          |
        2 | { "valu": 1 }
          |   ^^^^^^ did you mean `value`?

        hint: what can stand here is `topic`, `partition`, `offset`, `timestamp`, `key`, `keyBase64`, `headers`, `value`, `valueBase64`

        error: this is no JSON: expected value
         --> orders.jsonl:3:12
          |
        3 | { "value": }
          |            ^
        "#);
    }
}
