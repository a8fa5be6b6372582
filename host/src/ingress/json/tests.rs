use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rewritten(body: &str) -> String {
    let (json, _) = read(body.as_bytes()).unwrap();
    serde_json::to_string(&json).unwrap()
}

fn fault(body: &str) -> Fault {
    read(body.as_bytes()).unwrap_err()
}

#[test]
fn one_content_has_one_text_however_it_is_spelt() {
    let spelt = ["{\"b\":[1,{}],\"a\":\"é/\"}", " { \"a\" : \"\\u00e9\\/\" ,\r\n\t\"b\" : [ 1 , { } ] } "];
    for body in spelt {
        assert_eq!(rewritten(body), "{\"a\":\"é/\",\"b\":[1,{}]}");
    }
}

#[test]
fn numbers_stay_as_they_were_sent() {
    let numbers = "[12345678901234567890123,0.1000000000000000055511151231257827,1E2,-0,1.0,1]";
    assert_eq!(rewritten(numbers), numbers);
}

#[test]
fn text_that_looks_like_structure_stays_text() {
    let body = r#"{"a":"}],\"{[","b\"":"\\","c":"\ud83d\ude80"}"#;
    assert_eq!(rewritten(body), r#"{"a":"}],\"{[","b\"":"\\","c":"🚀"}"#);
}

#[test]
fn a_member_that_stands_twice_is_refused_with_its_place() {
    let body = "{\"é\": [1, {\"a/b~\": 1,\n  \"a/b~\": 2}]}";
    let told = fault(body);
    assert_eq!(told.pointer.as_deref(), Some("/é/1/a~1b~0"));
    assert_eq!(told.detail, "the member stands here a second time at line 2 column 3");
}

#[test]
fn one_name_spelt_in_two_ways_stands_twice() {
    assert_eq!(fault(r#"{"id":1,"\u0069d":2}"#).pointer.as_deref(), Some("/id"));
}

#[test]
fn what_is_not_json_is_refused_with_line_and_column() {
    assert_eq!(fault("{\"a\": 1,\n \"b\": }").detail, "expected value at line 2 column 7");
    assert_eq!(fault("").detail, "EOF while parsing a value at line 1 column 0");
    for body in ["{} {}", "[1,]", "NaN", "'a'", "\"\\ud800\"", "1e999", "\u{feff}{}", "{\"a\":1", "01", "// a\n1"] {
        assert!(fault(body).detail.contains(" at line 1 column "), "{body:?}");
    }
    assert!(read(b"\"\xff\"").is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(rewritten(&nested(127)), nested(127));
    assert!(fault(&nested(128)).detail.starts_with("recursion limit exceeded"));
    assert!(read("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn a_pointer_finds_the_object_around_its_member() {
    let mut body = read(br#"{"a/b":[{"m~":{"id":"x"}}],"t":"text"}"#).unwrap().0;
    let pointer = Pointer::parse("/a~1b/0/m~0/id").unwrap();
    assert_eq!(pointer.home(&mut body).unwrap().get(pointer.member()), Some(&Json::Text("x".to_owned())));
    for nowhere in ["/a~1b/1/id", "/a~1b/x/id", "/a~1b/id", "/t/id", "/missing/id"] {
        assert_eq!(Pointer::parse(nowhere).unwrap().home(&mut body), None, "{nowhere}");
    }
}

#[test]
fn what_is_no_pointer_to_a_member_is_refused() {
    for bad in ["", "id", "/a~2", "/a~"] {
        assert_eq!(Pointer::parse(bad), None, "{bad}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8).prop_map(|m| json!(m)),
        ]
    })
}

proptest! {
    #[test]
    fn rewriting_changes_the_spelling_alone(value in any_json(), pretty: bool) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let text = rewritten(&body);
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), serde_json::from_str::<Value>(&body).unwrap());
        prop_assert_eq!(rewritten(&text), text);
    }

    #[test]
    fn no_bytes_are_too_strange(body in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        "[\\[\\]{}\",:\\\\u0-9a-e \\n.+-]{0,64}".prop_map(String::into_bytes),
    ]) {
        if let Ok((json, value)) = read(&body) {
            let text = serde_json::to_vec(&json).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), value);
        }
    }
}
