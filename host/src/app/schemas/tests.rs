use std::path::Path;

use super::{Mismatch, Schemas};

/// A folder with these schemas.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(format!("{name}.schema.json")), text).unwrap();
    }
    folder
}

fn faults(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let faults = Schemas::load(folder.path()).unwrap_err().to_string();
    faults.replace(&folder.path().display().to_string(), "schemas")
}

/// What does not fit one schema.
fn mismatches(schema: &str, document: &str) -> Vec<Mismatch> {
    let schemas = Schemas::load(folder(&[("a", schema)]).path()).unwrap();
    schemas.get("a").unwrap().check_bytes(document.as_bytes()).err().unwrap_or_default()
}

fn said(schema: &str, document: &str) -> String {
    mismatches(schema, document).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const LINE: &str = r#"{
    "type": "object",
    "required": ["code"],
    "additionalProperties": false,
    "properties": {
        "code": { "type": "string", "minLength": 1, "pattern": "^P-[0-9]+$" },
        "quantity": { "type": "integer", "minimum": 1 },
        "mail": { "type": "string", "format": "email" }
    }
}"#;

#[test]
fn document_that_fits_has_no_mismatch() {
    assert_eq!(said(LINE, r#"{ "code": "P-1", "quantity": 3, "mail": "a@example.com" }"#), "");
}

#[test]
fn mismatches_say_where_and_what() {
    insta::assert_snapshot!(said(LINE, r#"{ "code": "X", "quantity": -1, "mail": "a", "a/b~": 1 }"#), @r#"
    /code: "X" does not match "^P-[0-9]+$"
    /mail: "a" is not a "email"
    /quantity: -1 is less than the minimum of 1
    /a~1b~0: this property is not known
    "#);
    insta::assert_snapshot!(said(LINE, "{}"), @r#""code" is a required property"#);
    insta::assert_snapshot!(said(LINE, "[1, 2]"), @r#"this list is not of type "object""#);
    insta::assert_snapshot!(said(LINE, "{"), @"this is no JSON: EOF while parsing an object at line 1 column 1");
    insta::assert_snapshot!(said(r#"{ "properties": { "a": false } }"#, r#"{ "a": 1 }"#), @"/a: this must not be here");
    insta::assert_snapshot!(said(r#"{ "propertyNames": { "maxLength": 2 } }"#, r#"{ "abc": 1 }"#), @r#"/abc: this property's name: "abc" is longer than 2 characters"#);
    insta::assert_snapshot!(said(r#"{ "oneOf": [{ "const": 1 }, { "const": 2 }] }"#, r#"{ "a": 1 }"#), @"this object is not valid under any of the schemas listed in the 'oneOf' keyword");
}

#[test]
fn answer_is_bounded_however_much_is_wrong() {
    let many: Vec<String> = (0..1000).map(|i| format!("\"k{i}\": 1")).collect();
    let wrong = mismatches(LINE, &format!("{{ {} }}", many.join(", ")));
    assert_eq!(wrong.len(), Mismatch::COUNT_MAX);
    let list = mismatches(r#"{ "items": { "type": "string" } }"#, &format!("[{}1]", "1,".repeat(1000)));
    assert_eq!(list.len(), Mismatch::COUNT_MAX);

    let long = "ü".repeat(100_000);
    for wrong in [
        mismatches(LINE, &format!("{{ \"code\": \"{long}\" }}")),
        mismatches(LINE, &format!("{{ \"code\": \"P-1\", \"{long}\": 1 }}")),
    ] {
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].pointer.chars().count() + wrong[0].detail.chars().count() < 500, "{wrong:?}");
        assert!(wrong[0].to_string().contains('…'), "{wrong:?}");
    }
}

#[test]
fn document_that_is_too_deep_is_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(said("{}", &deep).contains("recursion limit exceeded"));
}

#[test]
fn schemas_refer_to_each_other_by_id() {
    let common = r#"{ "$id": "fnhost:/schemas/common.schema.json", "$defs": { "code": { "type": "string" } } }"#;
    let code = r#"{ "$ref": "fnhost:/schemas/common.schema.json#/$defs/code" }"#;
    let schemas = Schemas::load(folder(&[("common", common), ("code", code)]).path()).unwrap();
    assert_eq!(schemas.names().collect::<Vec<_>>(), ["code", "common"]);
    assert!(schemas.get("code").unwrap().check_bytes(b"\"a\"").is_ok());
    assert!(schemas.get("code").unwrap().check_bytes(b"1").is_err());
    assert!(schemas.get("other").is_none());
}

#[test]
fn folder_that_is_not_there_holds_no_schemas() {
    assert_eq!(Schemas::load(Path::new("no/such/folder")).unwrap().names().count(), 0);
}

#[test]
fn file_that_is_no_schema_is_named() {
    insta::assert_snapshot!(faults(&[("a", "{\n  \"type\": \"object\",\n}")]), @r"
    error: schema `a` is no JSON: trailing comma at line 3 column 1
     --> schemas/a.schema.json:3:1
      |
    3 | }
      | ^
    ");
    insta::assert_snapshot!(faults(&[("a", r#"{ "properties": { "b": { "type": "text" } } }"#)]), @r#"
    error: schema `a` is no JSON Schema at /properties/b/type: "text" is not valid under any of the schemas listed in the 'anyOf' keyword
     --> schemas/a.schema.json
    "#);
    insta::assert_snapshot!(faults(&[("a", r#"{ "$id": "https://example.com/a" }"#)]), @r#"
    error: schema `a` has another `$id` than it must
     --> schemas/a.schema.json

    hint: write "$id": "fnhost:/schemas/a.schema.json"
    "#);
    insta::assert_snapshot!(faults(&[("a", r#"{ "$schema": "http://json-schema.org/draft-07/schema#" }"#)]), @r#"
    error: schema `a` has another `$schema` than it must
     --> schemas/a.schema.json

    hint: write "$schema": "https://json-schema.org/draft/2020-12/schema"
    "#);
    insta::assert_snapshot!(faults(&[("a", r#"{ "format": "emial" }"#)]), @r"
    error: schema `a` is no JSON Schema at /format: `emial` is no known format
     --> schemas/a.schema.json
    ");
}

#[test]
fn nothing_is_fetched() {
    insta::assert_snapshot!(faults(&[("a", r#"{ "$ref": "https://example.com/b" }"#)]), @r"
    error: schema `a` refers to `https://example.com/b`, which is not in the folder
     --> schemas/a.schema.json

    hint: nothing is fetched: put it beside this one, as `fnhost:/schemas/…`
    ");
    insta::assert_snapshot!(faults(&[("a", r#"{ "$ref": "fnhost:/schemas/b.schema.json" }"#)]), @r"
    error: schema `a` refers to `fnhost:/schemas/b.schema.json`, which is not in the folder
     --> schemas/a.schema.json

    hint: nothing is fetched: put it beside this one, as `fnhost:/schemas/…`
    ");
    insta::assert_snapshot!(faults(&[("a", r##"{ "$ref": "#/$defs/b" }"##)]), @r"
    error: schema `a` is no JSON Schema: Pointer '/$defs/b' does not exist
     --> schemas/a.schema.json
    ");
}

#[test]
fn pattern_that_would_backtrack_is_refused() {
    insta::assert_snapshot!(faults(&[("a", r#"{ "pattern": "^(?=a)(a+)+$" }"#)]), @r#"
    error: schema `a` is no JSON Schema at /pattern: "^(?=a)(a+)+$" is not a "regex"
     --> schemas/a.schema.json
    "#);
}
