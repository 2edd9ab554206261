use serde_json::json;

use super::*;
use crate::steps::Steps;

#[track_caller]
fn faults(schema: Value, payload: Value) -> Vec<String> {
    let schema = Schema::read(&schema).unwrap();
    schema.check(&payload).iter().map(ToString::to_string).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row for each keyword")]
fn each_keyword_tells_what_fits_from_what_does_not() {
    let recursive = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
        "next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}}}}});
    for (schema, good, bad, what) in [
        (json!({"type": "string"}), json!("a"), json!(1), "at the root: must be string"),
        (
            json!({"type": ["string", "null"]}),
            json!(null),
            json!(1),
            "at the root: must be string or null",
        ),
        (json!({"type": "integer"}), json!(1.0), json!(1.5), "at the root: must be integer"),
        (json!({"enum": [1, "b"]}), json!(1.0), json!("c"), "at the root: must be 1 or \"b\""),
        (
            json!({"const": {"a": [1]}}),
            json!({"a": [1.0]}),
            json!({"a": []}),
            "at the root: must be {\"a\":[1]}",
        ),
        (json!({"minimum": 2}), json!(2), json!(1), "at the root: must be at least 2"),
        (json!({"maximum": 2}), json!("x"), json!(3), "at the root: must be at most 2"),
        (
            json!({"exclusiveMinimum": 2}),
            json!(2.1),
            json!(2),
            "at the root: must be greater than 2",
        ),
        (json!({"exclusiveMaximum": 2}), json!(1), json!(2), "at the root: must be less than 2"),
        (
            json!({"multipleOf": 0.1}),
            json!(0.3),
            json!(0.35),
            "at the root: must be a multiple of 0.1",
        ),
        (
            json!({"minLength": 2}),
            json!("äö"),
            json!("ä"),
            "at the root: must have at least 2 characters",
        ),
        (
            json!({"maxLength": 1}),
            json!("ä"),
            json!("ab"),
            "at the root: must have at most 1 characters",
        ),
        (json!({"pattern": "^a+$"}), json!("aa"), json!("ab"), "at the root: must match ^a+$"),
        (
            json!({"items": {"type": "string"}}),
            json!(["a"]),
            json!(["a", 1]),
            "at /1: must be string",
        ),
        (
            json!({"prefixItems": [{"const": 1}], "items": false}),
            json!([1]),
            json!([1, 2]),
            "at /1: must not be there",
        ),
        (
            json!({"items": [{"const": 1}], "additionalItems": false}),
            json!([1]),
            json!([1, 2]),
            "at /1: must not be there",
        ),
        (json!({"minItems": 1}), json!([1]), json!([]), "at the root: must have at least 1 items"),
        (
            json!({"uniqueItems": true}),
            json!([1, "1"]),
            json!([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]),
            "at the root: must not hold the same item twice",
        ),
        (
            json!({"contains": {"const": 1}}),
            json!([2, 1]),
            json!([2]),
            "at the root: must have at least 1 items of the kind it has to contain",
        ),
        (json!({"required": ["a/b"]}), json!({"a/b": 1}), json!({}), "at /a~1b: is required"),
        (
            json!({"dependentRequired": {"a": ["b"]}}),
            json!({"c": 1}),
            json!({"a": 1}),
            "at /b: is required",
        ),
        (
            json!({"properties": {"a": {"type": "null"}}}),
            json!({"b": 1}),
            json!({"a": 1}),
            "at /a: must be null",
        ),
        (
            json!({"properties": {"a": {}}, "additionalProperties": false}),
            json!({"a": 1}),
            json!({"b": 1}),
            "at /b: must not be there",
        ),
        (
            json!({"patternProperties": {"^x": true}, "additionalProperties": {"type": "null"}}),
            json!({"xy": 1}),
            json!({"y": 1}),
            "at /y: must be null",
        ),
        (
            json!({"propertyNames": {"maxLength": 1}}),
            json!({"a": 1}),
            json!({"ab": 1}),
            "at /ab: must have at most 1 characters",
        ),
        (
            json!({"minProperties": 1}),
            json!({"a": 1}),
            json!({}),
            "at the root: must have at least 1 properties",
        ),
        (
            json!({"allOf": [{"type": "integer"}, {"minimum": 3}]}),
            json!(3),
            json!(2),
            "at the root: must be at least 3",
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}),
            json!(null),
            json!("a"),
            "at the root: must fit at least one of the schemas of anyOf",
        ),
        (
            json!({"oneOf": [{"type": "integer"}, {"minimum": 3}]}),
            json!(2),
            json!(4),
            "at the root: must fit exactly one of the schemas of oneOf, and fits 2",
        ),
        (
            json!({"not": {"type": "null"}}),
            json!(1),
            json!(null),
            "at the root: must not fit the schema of not",
        ),
        (
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            json!({"c": 1}),
            json!({"a": 1}),
            "at /b: is required",
        ),
        (
            recursive,
            json!({"next": {"next": {"v": 1}}}),
            json!({"next": {"next": {"v": "1"}}}),
            "at /next/next/v: must be integer",
        ),
        (
            json!({"format": "date-time"}),
            json!("2026-01-31T10:00:00.5+02:00"),
            json!("yesterday"),
            "at the root: must be a date-time of RFC 3339",
        ),
        (
            json!({"format": "date"}),
            json!("2026-02-28"),
            json!("2026-13-01"),
            "at the root: must be a date like 2026-01-31",
        ),
        (
            json!({"format": "email"}),
            json!("a@b.c"),
            json!("a b@c"),
            "at the root: must be a mail address",
        ),
        (
            json!({"format": "ipv6"}),
            json!("::1"),
            json!("1.2.3.4"),
            "at the root: must be a IPv6 address",
        ),
        (
            json!({"format": "uri"}),
            json!("https://a/b"),
            json!("a/b"),
            "at the root: must be a URI",
        ),
        (
            json!({"format": "uuid"}),
            json!("01234567-89ab-cdef-0123-456789abcdef"),
            json!("0123"),
            "at the root: must be a UUID",
        ),
        (
            json!({"format": "int32"}),
            json!(5),
            json!(5_000_000_000u64),
            "at the root: must be a whole number of 32 bits",
        ),
        (
            json!({"minimum": 9_007_199_254_740_993u64}),
            json!(9_007_199_254_740_993u64),
            json!(9_007_199_254_740_992u64),
            "at the root: must be at least 9007199254740993",
        ),
    ] {
        assert_eq!(faults(schema.clone(), good.clone()), [""; 0], "{schema} {good}");
        assert_eq!(faults(schema.clone(), bad.clone()), [what], "{schema} {bad}");
    }
}

#[test]
fn what_a_schema_says_and_is_not_known_here_is_refused_when_it_is_saved() {
    for (schema, expect) in [
        (json!(1), "at the root: a schema is an object, true or false"),
        (
            json!({"unevaluatedProperties": false}),
            "at /unevaluatedProperties: this keyword is not known here, and would have no effect: leave it out",
        ),
        (
            json!({"properties": {"a": {"nullable": true}}}),
            "at /properties/a/nullable: this keyword is not known here, and would have no effect: leave it out",
        ),
        (
            json!({"type": "text"}),
            "at /type: one of null, boolean, integer, number, string, array and object is expected",
        ),
        (
            json!({"$ref": "https://example.com/a"}),
            "at /$ref: only what is in the schema itself can be referred to: #/$defs/…",
        ),
        (json!({"$ref": "#/$defs/a"}), "at /$ref: there is nothing at #/$defs/a"),
        (json!({"exclusiveMinimum": true}), "at /exclusiveMinimum: a number is expected"),
        (json!({"enum": []}), "at /enum: an array of values is expected"),
        (json!({"required": "a"}), "at /required: an array of names is expected"),
        (json!({"format": 5}), "at /format: a text is expected"),
        (json!({"then": {}}), "at the root: then and else say nothing without if"),
        (
            json!({"$defs": {"a": {"minLength": -1}}}),
            "at /$defs/a/minLength: a whole number from 0 on is expected",
        ),
        (
            json!({"properties": {"a": {"$id": "x"}}}),
            "at /properties/a/$id: this keyword is not known here, and would have no effect: leave it out",
        ),
        (json!({"title": "x".repeat(70_000)}), "at the root: a schema has at most 65536 bytes"),
    ] {
        assert_eq!(Schema::read(&schema).unwrap_err().to_string(), expect, "{schema}");
    }
    for pattern in ["(", "(?=a)", "a{9999}{9999}"] {
        let error = Schema::read(&json!({"pattern": pattern})).unwrap_err();
        assert!(error.what.starts_with("this pattern cannot be used"), "{error}");
    }
    let mut deep = json!({});
    for _ in 0..70 {
        deep = json!({"not": deep});
    }
    assert!(Schema::read(&deep).unwrap_err().what.contains("at most 64 deep"));
}

#[test]
fn a_schema_that_could_never_fit_is_refused() {
    for (schema, at) in [
        (json!({"$ref": "#"}), "at the root"),
        (json!({"properties": {"a": {"$ref": "#/properties/a"}}}), "at /properties/a"),
        (
            json!({"$defs": {"a": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/a"}]}}}),
            "at /$defs/a",
        ),
        (json!({"if": {"not": {"$ref": "#"}}, "then": true}), "at "),
    ] {
        let fault = Schema::read(&schema).unwrap_err().to_string();
        assert!(fault.starts_with(at) && fault.contains("refers to itself"), "{schema}: {fault}");
    }
    let tree = json!({"properties": {"left": {"$ref": "#"}}, "items": {"$ref": "#"}, "allOf": [{"type": "object"}]});
    assert!(Schema::read(&tree).is_ok());
}

#[test]
fn a_check_ends_whatever_the_schema_and_the_payload_are() {
    let doubling = json!({"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {
        "a": {"properties": {"n": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#/$defs/a"}]}}, "required": ["x"]}}});
    let mut payload = json!(1);
    for _ in 0..40 {
        payload = json!({"n": payload});
    }
    assert_eq!(faults(doubling, payload).len(), 1);
    let slow = json!({"pattern": "^(a*)*$"});
    assert_eq!(faults(slow, json!(format!("{}b", "a".repeat(5_000)))).len(), 1);
}

#[test]
fn a_payload_with_many_faults_tells_the_first_of_them() {
    let payload: Vec<u32> = (0..100).collect();
    let found = faults(json!({"items": {"type": "string"}}), json!(payload));
    assert_eq!((found.len(), found[9].as_str()), (10, "at /9: must be string"));
}

/// JSON Schema's own words for it: an annotation. Documents of others are full of formats that nobody else knows.
#[test]
fn a_format_that_is_not_known_refuses_nothing() {
    for format in [
        "unix-time",
        "decimal",
        "duration",
        "time",
        "hostname",
        "uri-reference",
        "regex",
        "byte",
        "binary",
        "double",
        "float",
        "password",
        "",
    ] {
        let schema = json!({"type": ["string", "number"], "format": format});
        assert!(faults(schema.clone(), json!("anything")).is_empty(), "{format}");
        assert!(faults(schema.clone(), json!(5.5)).is_empty(), "{format}");
        assert_eq!(faults(schema, json!([])).len(), 1, "the rest of the schema holds");
    }
}

#[test]
fn numbers_are_not_rounded() {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (schema, payload, expect) in [
        (r#"{"type":"integer"}"#, "12345678901234567.5", "at the root: must be integer"),
        (r#"{"multipleOf":2}"#, "9007199254740993", "at the root: must be a multiple of 2"),
        (
            r#"{"multipleOf":0.01}"#,
            "12345678901234567.891",
            "at the root: must be a multiple of 0.01",
        ),
    ] {
        assert_eq!(faults(read(schema), read(payload)), [expect], "{payload}");
    }
}

#[test]
fn what_patterns_and_long_values_take_is_counted() {
    let keys = |count: usize| {
        let pairs = (0..count).map(|n| (format!("a-key-of-some-length-{n}"), json!(1)));
        Value::Object(pairs.collect())
    };
    let patterns = json!({"patternProperties": {"(a|b|c|d|e|f){30}z": {}, "(a?){60}z": {}}});
    let number: Value = serde_json::from_str(&"7".repeat(500_000)).unwrap();
    let least: Vec<Value> = (0..100).map(|n| json!({"minimum": n})).collect();
    for (schema, payload) in [
        (patterns.clone(), keys(20_000)),
        (json!({"pattern": "(a|b|c|d|e|f){30}z"}), json!("a".repeat(60_000))),
        (json!({"allOf": least.clone()}), number),
    ] {
        let found = faults(schema, payload);
        assert!(
            found.iter().any(|one| one.ends_with("takes too many steps to check")),
            "{found:?}"
        );
    }
    assert!(faults(patterns, keys(100)).is_empty());
    assert!(faults(json!({"pattern": "^a+$"}), json!("a".repeat(60_000))).is_empty());
    assert!(faults(json!({"patternProperties": {"^a-": {}}}), keys(20_000)).is_empty());
    assert!(faults(json!({"allOf": least}), json!(1e3)).is_empty());
}

/// Every kind of check reads of the payload, of the schema, or of both: it takes a step for each 32 bytes or name at least, and
/// ends when there are none left.
#[test]
fn what_is_read_of_payload_and_schema_takes_steps() {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let long: Value = parse(&"9".repeat(4_000));
    let text = |last: &str| format!("{}{last}", "a".repeat(4_000));
    let (names, ones) = (vec!["n"; 1_000], json!(vec![1; 100]));
    let object = |name: &str, value: Value| json!({name: value});
    let with = |keys: usize| {
        Value::Object((0..keys).map(|n| (format!("k{n:03}{}", text("")), json!([]))).collect())
    };
    let refs = |schema: Value| json!({"$defs": {"a": schema}, "allOf": vec![json!({"$ref": "#/$defs/a"}); 100]});
    let texts: Vec<String> = (0..100).map(|n| text(&n.to_string())).collect();
    for (schema, payload, bytes) in [
        (json!({"items": {"minimum": parse("-1e4000"), "maximum": long}}), ones.clone(), 400_000),
        (json!({"items": {"maximum": long}}), ones.clone(), 400_000),
        (json!({"items": {"minimum": long}}), ones.clone(), 400_000),
        (json!({"items": {"exclusiveMaximum": long}}), ones.clone(), 400_000),
        (json!({"items": {"exclusiveMinimum": long}}), ones.clone(), 400_000),
        (refs(json!({"multipleOf": 7})), long.clone(), 400_000),
        (refs(json!({"type": ["integer", "string", "integer"]})), long.clone(), 400_000),
        (json!({"items": {"const": long}}), ones.clone(), 400_000),
        (json!({"items": {"enum": [text("x"), [long]]}}), json!(vec![[1]; 100]), 400_000),
        (json!({"items": {"const": text("x")}}), json!(vec![text("y"); 100]), 400_000),
        (
            json!({"items": {"const": object(&text(""), json!(1))}}),
            json!(vec![object(&text(""), json!(2)); 100]),
            400_000,
        ),
        (refs(json!({"maxLength": 5_000})), json!(text("")), 400_000),
        (refs(json!({"pattern": "^a"})), json!(text("")), 400_000),
        (refs(json!({"format": "uri"})), json!(format!("http://{}", text(""))), 400_000),
        (refs(json!({"format": "email"})), json!(text("@a")), 400_000),
        (refs(json!({"uniqueItems": true})), json!(texts), 40_000_000),
        (refs(json!({"items": {}})), json!(vec![1; 4_000]), 400_000 * 32),
        (refs(json!({"items": [true], "additionalItems": true})), ones.clone(), 10_000 * 32),
        (refs(json!({"contains": true})), json!(vec![1; 4_000]), 400_000 * 32),
        (refs(json!({"allOf": vec![true; 100]})), json!(1), 10_000 * 32),
        (refs(json!({"not": {"enum": vec![1; 1_000]}})), json!(5), 100_000 * 32),
        (refs(json!({"anyOf": [{"maxLength": 1}, true]})), json!(text("")), 400_000),
        (refs(json!({"oneOf": [{"maxLength": 1}, true]})), json!(text("")), 400_000),
        (refs(json!({"if": {"minLength": 1}, "then": true})), json!(text("")), 400_000),
        (refs(json!({"propertyNames": true})), object(&text(""), json!(1)), 800_000),
        (refs(json!({"properties": {"x": false}})), object(&text(""), json!(1)), 400_000),
        (refs(json!({"additionalProperties": true})), object(&text(""), json!(1)), 400_000),
        (refs(json!({"patternProperties": {"^b": false}})), object(&text(""), json!(1)), 400_000),
        (
            json!({"items": {"required": names}}),
            json!(vec![object("n", json!(1)); 100]),
            100_000 * 32,
        ),
        (json!({"items": {"required": [text("")]}}), json!(vec![json!({}); 100]), 400_000),
        (json!({"items": {"dependentRequired": with(10)}}), json!(vec![json!({}); 100]), 4_000_000),
        (
            json!({"items": {"dependentRequired": {"n": names}}}),
            json!(vec![object("n", json!(1)); 100]),
            100_000 * 32,
        ),
    ] {
        let shown: String = schema.to_string().chars().take(80).collect();
        let schema = Schema::read(&schema).unwrap();
        let (steps, looks) = (Steps::of(u64::MAX), Steps::of(u64::MAX));
        let found = check::within(&schema, &payload, &steps, &looks);
        assert!(found.iter().all(|one| !one.what.contains("too many steps")), "{shown}");
        let taken = [&steps, &looks].map(|some| u64::MAX - some.left());
        assert!(bytes / 32 <= taken[0] + taken[1], "{shown}: {taken:?} for {bytes} bytes");
        let (steps, looks) = (Steps::of(taken[0]), Steps::of(taken[1] - 1));
        let found = check::within(&schema, &payload, &steps, &looks);
        assert!(found.len() == 1 && found[0].what.contains("too many steps"), "{shown}: {found:?}");
    }
}

#[test]
fn a_stored_schema_compiles_a_pattern_when_it_is_asked() {
    let schema =
        Schema::stored(&json!({"properties": {"a": {"pattern": "(a|b|c|d){10}"}}})).unwrap();
    let taken = |payload: Value| {
        let looks = Steps::of(100_000);
        check::within(&schema, &payload, &Steps::of(100), &looks);
        100_000 - looks.left()
    };
    assert!(taken(json!({"a": 5})) < 100);
    let first = taken(json!({"a": "x"}));
    assert!(1_300 < first);
    assert_eq!(taken(json!({"a": "x"})), first);
    assert_eq!(schema.check(&json!({"a": "x"})).len(), 1);
}
