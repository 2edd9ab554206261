use proptest::prelude::*;
use serde_json::json;

use super::*;

fn compile(part: Part, filter: &Value) -> Result<Filter, String> {
    let filter = filter.as_object().expect("a filter is an object");
    Filter::compile(part, filter, "body").map_err(|error| error.message)
}

/// Whether it matches, with as many steps as it wants.
fn matches(filter: &Filter, payload: &Value) -> bool {
    filter.matches(payload, &Steps::of(u64::MAX)).unwrap()
}

#[track_caller]
fn check(payload: Value, filter: Value, expect: bool) {
    let compiled = compile(Part::Body, &filter).unwrap();
    assert_eq!(matches(&compiled, &payload), expect, "{filter} on {payload}");
}

#[track_caller]
fn refused(filter: Value, expect: &str) {
    assert_eq!(compile(Part::Body, &filter).unwrap_err(), expect, "{filter}");
}

#[test]
fn classes_and_case_of_regular_expressions_are_ascii() {
    for (text, pattern, expect) in [
        ("ABC", "(?i)^abc$", true),
        ("MÜNCHEN", "(?i)^münchen$", false),
        ("MÜNCHEN", "(?i)^m[üÜ]nchen$", true),
        ("für", r"^\w+$", false),
        ("für", r"^[\wü]+$", true),
        ("٣", r"^\d$", false),
        ("a\u{a0}b", r"a\sb", false),
        ("日本", "^.{2}$", true),
        ("日本", "^[一-龯]+$", true),
    ] {
        check(json!({"a": text}), json!({"a": {"$regex": pattern}}), expect);
    }
}

#[test]
fn numbers_are_compared_at_any_size() {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (payload, filter, expect) in [
        (r#"{"n":18446744073709551617}"#, r#"{"n":18446744073709551617}"#, true),
        (r#"{"n":18446744073709551617}"#, r#"{"n":18446744073709551616}"#, false),
        (r#"{"n":18446744073709551617}"#, r#"{"n":{"$gt":18446744073709551616}}"#, true),
        (r#"{"n":18446744073709551616}"#, r#"{"n":{"$gt":18446744073709551616}}"#, false),
        (r#"{"n":18446744073709551616}"#, r#"{"n":{"$gte":18446744073709551616.0}}"#, true),
        (r#"{"n":18446744073709551617}"#, r#"{"n":{"$in":[1,18446744073709551616]}}"#, false),
        (r#"{"n":18446744073709551617}"#, r#"{"n":{"$nin":[1,18446744073709551616]}}"#, true),
        (r#"{"n":0.1}"#, r#"{"n":{"$lt":0.10000000000000001}}"#, true),
        (r#"{"n":9007199254740993.5}"#, r#"{"n":{"$eq":9007199254740993}}"#, false),
        (r#"{"n":1e400}"#, r#"{"n":{"$gt":1e399}}"#, true),
        (r#"{"n":[18446744073709551617]}"#, r#"{"n":18446744073709551617}"#, true),
    ] {
        check(parse(payload), parse(filter), expect);
    }
    let header = compile(Part::Headers, &parse(r#"{"x":{"$gt":18446744073709551616}}"#)).unwrap();
    assert!(matches(&header, &json!({"x": "18446744073709551617"})));
    assert!(!matches(&header, &json!({"x": "18446744073709551616"})));
}

#[test]
fn operators_say_what_they_say_in_convoy() {
    let age = |age: i32| json!({"person": {"age": age}});
    let name = |name: Value| json!({"person": {"name": name}});
    let two = json!(["subomi", "daniel"]);
    for (payload, filter, expect) in [
        (json!({"event": "qwerty"}), json!({"event": {"$regex": "^[a-zA-Z]+$"}}), true),
        (json!({"event": "cs_qwerty"}), json!({"event": {"$regex": "^cs_[a-zA-Z]+$"}}), true),
        (age(5), age(5), true),
        (age(5), json!({"person": {"age": {"$eq": 5}}}), true),
        (age(5), json!({"person": {"age": {"$neq": 5}}}), false),
        (age(11), json!({"person": {"age": {"$neq": 5}}}), true),
        (age(11), json!({"person": {"age": {"$lt": 15}}}), true),
        (age(11), json!({"person": {"age": {"$lt": 5}}}), false),
        (age(11), json!({"person": {"age": {"$gt": 5}}}), true),
        (age(11), json!({"person": {"age": {"$gt": 50}}}), false),
        (age(11), json!({"person.age": {"$gte": 11, "$lte": 11}}), true),
        (name(json!("tunde")), json!({"person": {"name": {"$eq": "tunde"}}}), true),
        (name(json!("raymond")), json!({"person": {"name": {"$in": two}}}), false),
        (name(json!("raymond")), json!({"person": {"name": {"$nin": two}}}), true),
        (name(json!("subomi")), json!({"person": {"name": {"$in": two}}}), true),
        (name(json!("subomi")), json!({"person": {"name": {"$nin": two}}}), false),
        (name(two.clone()), name(json!("subomi")), true),
        (name(two.clone()), name(json!("raymond")), false),
        (json!({}), json!({}), true),
        (json!({}), json!({"key": "value"}), false),
        (json!([]), json!({"key": "value"}), false),
    ] {
        check(payload, filter, expect);
    }
    let url = "https://admin:admin@registry.example.net/apps/A/a:e14?status=UP&at=1643797857108";
    let named = r"^(?P<scheme>[^:\/?#]+):(?:\/\/)?(?:(?:(?P<login>[^:]+)(?::(?P<password>[^@]+)?)?@)?(?P<host>[^@\/?#:]*)(?::(?P<port>\d+)?)?)?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?";
    check(json!({"event": url}), json!({"event": {"$regex": named}}), true);
}

#[test]
fn conditions_combine() {
    let payload = json!({"cities": ["lagos", "ibadan", "agodi"], "type": "weekly",
        "temperatures": [30, 12, 39.9, 10], "person": {"age": 12}});
    for (filter, expect) in [
        (
            json!({"$and": [{"person.age": {"$gte": 10}}, {"type": "weekly"}, {"cities": "lagos"}]}),
            true,
        ),
        (json!({"$and": [{"person.age": {"$gte": 10}}, {"type": "monthly"}]}), false),
        (json!({"$or": [{"type": "monthly"}, {"cities": "lagos"}]}), true),
        (json!({"$or": [{"type": "monthly"}, {"cities": "kano"}]}), false),
        (
            json!({"$and": [{"person.age": {"$gte": 10}}, {"$or": [{"type": "weekly"}, {"cities": "lagos"}]}]}),
            true,
        ),
        (json!({"person": {"age": {"$exist": true}}}), true),
        (json!({"person": {"$or": [{"age": {"$lt": 5}}, {"age": {"$gt": 10}}]}}), true),
        (json!({"person.age": {"$or": [{"$lt": 5}, {"$gt": 60}]}}), false),
        (json!({"person": {"age": {"$gt": 10}, "name": {"$exist": false}}}), true),
        (json!({"temperatures": 39.9, "type": {"$in": ["weekly", 5, null]}}), true),
    ] {
        check(payload.clone(), filter, expect);
    }
}

#[test]
fn wildcards_go_over_all_items() {
    let root = json!([{"event": "meetup"},
        {"venues": [{"lagos": ["ikeja", "lekki", "ifako"]}, {"ibadan": ["bodija", "dugbe"]}]},
        {"speakers": [{"name": "raymond"}, {"name": "subomi"}]}]);
    let data = json!({"data": [{"event": "meetup"}, {"venue": "test"},
        {"speakers": [{"name": "raymond"}, {"name": "subomi"}]}], "swag": "hoodies"});
    let long = json!({"data": (0..50).map(|n| json!({"n": n})).collect::<Vec<_>>()});
    let three = json!({"a": [{"b": [{"c": [{"d": 1}]}]}]});
    for (payload, filter, expect) in [
        (json!({"data": [{"values": [true]}]}), json!({"data.$.values": true}), true),
        (root.clone(), json!({"$.venues.$.lagos": "ikeja"}), true),
        (
            root.clone(),
            json!({"$or": [{"$.venues.$.lagos": "ifako"}, {"$.venues.$.ibadan": "dugbe"}]}),
            true,
        ),
        (root.clone(), json!({"$.": "bariga"}), false),
        (root.clone(), json!({"1.venues.0.lagos": "lekki"}), true),
        (data.clone(), json!({"data.$.event": "meetup", "data.$.venue": "test"}), true),
        (data.clone(), json!({"data.$.speakers.$.name": "raymond", "swag": "hoodies"}), true),
        (data.clone(), json!({"data": {"$": {"speakers": {"$": {"name": "subomi"}}}}}), true),
        (data.clone(), json!({"data.$.speakers.$.name": {"$nin": ["raymond", "subomi"]}}), false),
        (data.clone(), json!({"data.name": "raymond"}), false),
        (long, json!({"data.$.n": 49}), true),
        (three.clone(), json!({"a.$.b.$.c.$.d": 1}), true),
        (three, json!({"a.$.b.$.c.$.e": {"$exist": false}}), true),
        (data, json!({"data.$.venue": {"$exist": false}}), false),
    ] {
        check(payload, filter, expect);
    }
}

#[test]
fn what_is_absent_matches_only_that_it_is() {
    for (payload, filter, expect) in [
        // Convoy leaves out what the payload does not have, so that these match there.
        (json!({"a": 1}), json!({"a": 1, "b": 2}), false),
        (json!({"a": 1, "c": 2}), json!({"b": {"$exist": true}, "c": 2}), false),
        // And these do not.
        (json!({"a": 1}), json!({"b": {"$exist": false}}), true),
        (json!({"person": {"age": 5}}), json!({"person": {"$exist": true}}), true),
        (json!({"a": null}), json!({"a": null}), true),
        (json!({"a": 1}), json!({"b": 2}), false),
        (json!({"a": 1}), json!({"b": {"$neq": 2}}), false),
        (json!({"a": 1}), json!({"b": {"$nin": [2]}}), false),
        (json!({"a": 1}), json!({"b": null}), false),
        (json!({"a": 1}), json!({"b": {"$exist": false, "$neq": 5}}), false),
        (json!({"a": null}), json!({"a": {"$exist": true}}), true),
        (json!({"a": 1}), json!({"a": {"$exist": false}}), false),
        (json!({"a": 1}), json!({"a.b.c": {"$exist": false}}), true),
    ] {
        check(payload, filter, expect);
    }
}

#[test]
fn numbers_are_exact_and_other_types_have_no_order() {
    let big = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (payload, filter, expect) in [
        (big(r#"{"id":9007199254740993}"#), big(r#"{"id":9007199254740992}"#), false),
        (big(r#"{"id":9007199254740993}"#), big(r#"{"id":{"$gt":9007199254740992}}"#), true),
        (
            big(r#"{"id":18446744073709551615}"#),
            big(r#"{"id":{"$gt":18446744073709551614}}"#),
            true,
        ),
        (big(r#"{"id":9007199254740993}"#), big(r#"{"id":{"$gt":9007199254740992.0}}"#), true),
        (big(r#"{"id":5}"#), big(r#"{"id":5.0}"#), true),
        (big(r#"{"id":5}"#), big(r#"{"id":{"$lt":5.5}}"#), true),
        (big(r#"{"id":-5}"#), big(r#"{"id":{"$gt":-5.5}}"#), true),
        (big(r#"{"id":5}"#), big(r#"{"id":{"$lt":1e300}}"#), true),
        (big(r#"{"id":5}"#), big(r#"{"id":{"$gt":-1e300}}"#), true),
        (big(r#"{"id":1.5}"#), big(r#"{"id":{"$gt":1}}"#), true),
        (json!({"id": "5"}), json!({"id": 5}), false),
        (json!({"id": "15"}), json!({"id": {"$gt": 5}}), false),
        (json!({"id": true}), json!({"id": {"$lt": 5}}), false),
        (
            json!({"at": "2026-11-21"}),
            json!({"at": {"$gte": "2026-11-01", "$lt": "2026-12-01"}}),
            true,
        ),
        (json!({"n": 5}), json!({"n": {"$regex": "5"}}), false),
    ] {
        check(payload, filter, expect);
    }
}

#[test]
fn lists_are_asked_by_their_items_and_equal_as_wholes() {
    let payload = json!({"tags": ["a", "b"], "sizes": [1, 20], "a.b": {"c.d": 1}, "deep": {"x": [1.0, {"y": 2}]}});
    for (filter, expect) in [
        (json!({"tags": ["a", "b"]}), true),
        (json!({"tags": ["b", "a"]}), false),
        (json!({"tags": {"$eq": "a"}}), false),
        (json!({"tags": {"$neq": "a"}}), true),
        (json!({"tags": {"$in": ["x", "b"]}}), true),
        (json!({"tags": {"$nin": ["x", "b"]}}), false),
        (json!({"tags": {"$regex": "^b$"}}), true),
        (json!({"sizes": {"$gt": 10}}), true),
        (json!({"sizes": {"$gt": 30}}), false),
        (json!({"a.b.c.d": 1}), true),
        (json!({"a.b": {"c.d": 1}}), true),
        (json!({"deep": {"$eq": {"x": [1, {"y": 2.0}]}}}), true),
        (json!({"deep.x": {"$eq": [1]}}), false),
    ] {
        check(payload.clone(), filter, expect);
    }
}

#[test]
fn what_cannot_be_a_filter_is_refused_where_it_stands() {
    let trailing = "invalid filter syntax, found trailing $";
    for path in ["data.$.venue.$", "$.venues.$.lagos.$", ".$", "$.$", "$..$", "$"] {
        refused(json!({path: "x"}), &format!("body.{path}:{trailing}"));
    }
    refused(json!({"a.$": {"$eq": 1}}), &format!("body.a.$:{trailing}"));
    refused(
        json!({"a.$.b.$.c.$.d.$.e": 1}),
        "body.a.$.b.$.c.$.d.$.e:too many segments, expected at most 3 but got 4",
    );
    refused(
        json!({"a": {"b": {}}}),
        "body.a.b:an empty object asks for nothing: name a condition, like {\"$exist\": true}",
    );
    refused(json!({"a": {"$in": 5}}), "body.a.$in:a list of values is expected");
    refused(json!({"a": {"$exist": 1}}), "body.a.$exist:true or false is expected");
    refused(json!({"a": {"$gt": [1]}}), "body.a.$gt:a number or a text is expected");
    refused(json!({"$or": []}), "body.$or:a list of conditions is expected, at least one");
    refused(json!({"$and": {"a": 1}}), "body.$and:a list of conditions is expected, at least one");
    refused(
        json!({"$or": [{"a": 1}, 5]}),
        "body.$or[1]:an object with at least one condition is expected",
    );
    refused(
        json!({"$gt": 5}),
        "body.$gt:an operator belongs to a key, like {\"key\": {\"$gt\": …}}",
    );
    refused(
        json!({"a.$gt": 5}),
        "body.a.$gt:an operator stands in an object of its own: {\"key\": {\"$gt\": …}}",
    );
    let unknown = compile(Part::Body, &json!({"a": {"$where": 1}})).unwrap_err();
    assert!(unknown.starts_with("body.a.$where:unknown operator: one of $eq, "), "{unknown}");
    refused(json!({"a": {"$regex": 5}}), "body.a.$regex:a regular expression is expected, as text");
    let wildcard = Filter::compile(Part::Query, json!({"a.$.b": 1}).as_object().unwrap(), "query");
    assert_eq!(
        wildcard.unwrap_err().message,
        "query.a.$.b:the wildcard $ is for lists, and only the body has lists"
    );
    // A payload's own key may look like an operator.
    check(json!({"properties": {"$browser": "x"}}), json!({"properties.$browser": "x"}), true);
}

#[test]
fn a_filter_is_bounded() {
    let mut deep = json!(1);
    for _ in 0..12 {
        deep = json!({"a": deep});
    }
    let error = compile(Part::Body, &deep).unwrap_err();
    assert!(error.ends_with("a filter is at most 10 levels deep"), "{error}");
    let many: Map<String, Value> = (0..201).map(|n| (format!("k{n}"), n.into())).collect();
    assert!(
        compile(Part::Body, &Value::Object(many)).unwrap_err().ends_with("at most 200 conditions")
    );
    let long = vec!["a"; 21].join(".");
    assert!(compile(Part::Body, &json!({long: 1})).unwrap_err().ends_with("at most 20 keys"));
    let regex = |pattern: &str| compile(Part::Body, &json!({"a": {"$regex": pattern}}));
    for pattern in ["(", "a{1000}{1000}", "((a{100}){100}){100}", r"(?=look)", r"(a)\1", "[b-a]"] {
        let error = regex(pattern).unwrap_err();
        assert!(error.starts_with("body.a.$regex:not a regular expression"), "{error}");
    }
    for pattern in [r"\p{L}+", r"\pL", r"\P{Greek}"] {
        let error = regex(pattern).unwrap_err();
        assert!(
            error.ends_with("know ASCII only; write the letters that are meant, like [a-zäöüß]"),
            "{error}"
        );
    }
    assert_eq!(regex(&"a".repeat(501)).unwrap_err(), "body.a.$regex:at most 500 characters");
    let regexes: Map<String, Value> =
        (0..21).map(|n| (format!("k{n}"), json!({"$regex": "a"}))).collect();
    let error = compile(Part::Body, &Value::Object(regexes)).unwrap_err();
    assert!(error.ends_with("at most 20 regular expressions"), "{error}");
}

#[test]
fn a_hostile_expression_takes_its_time_and_no_more() {
    let hostile = compile(Part::Body, &json!({"a": {"$regex": "^(a+)+$"}})).unwrap();
    let text = format!("{}!", "a".repeat(REGEX_TEXT_MAX_BYTES - 1));
    assert!(!matches(&hostile, &json!({"a": text})));
    // Past the limit nothing is looked at.
    let any = compile(Part::Body, &json!({"a": {"$regex": "a"}})).unwrap();
    assert!(matches(&any, &json!({"a": text})));
    assert!(!matches(&any, &json!({"a": format!("{text}a")})));
    let list = |texts: usize| {
        let mut list = vec![json!("b".repeat(REGEX_TEXT_MAX_BYTES)); texts];
        list.push(json!("a"));
        json!({"a": list})
    };
    assert!(matches(&any, &list(3)) && !matches(&any, &list(4)));
}

#[test]
fn headers_have_no_case_and_texts_are_read_as_numbers() {
    let headers = compile(Part::Headers, &json!({"X-Event-Type": "push", "X-Count": 5})).unwrap();
    assert!(matches(&headers, &json!({"x-event-type": "push", "x-count": "5"})));
    let query = compile(Part::Query, &json!({"page": {"$gt": 9}, "last": true})).unwrap();
    assert!(matches(&query, &json!({"page": "10", "last": "true"})));
    assert!(!matches(&query, &json!({"page": "ten", "last": "true"})));
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = proptest::sample::select(vec![
        "a", "b", "$", "a.b", "$.a", "a.$.b", "$eq", "$neq", "$gt", "$in", "$nin", "$or", "$and",
        "$exist", "$regex", "", ".", "0",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c(+*]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..4).prop_map(|pairs| {
                Value::Object(
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_filter_and_no_payload_make_a_panic(filter in any_json(), payload in any_json()) {
        if let Value::Object(filter) = filter {
            for part in Part::ALL {
                if let Ok(compiled) = Filter::compile(part, &filter, "") {
                    matches(&compiled, &payload);
                }
            }
        }
    }
}

#[test]
fn whatever_can_be_long_takes_steps() {
    let list = |item: Value, count: usize| json!({"a": vec![item; count]});
    let texts = |count: usize| (0..count).map(|n| format!("{n}")).collect::<Vec<_>>();
    let digits: Number = "7".repeat(100_000).parse().unwrap();
    let text = "a".repeat(2_000);
    for (filter, payload) in [
        (json!({"a.$.x": 5}), list(json!({"x": 1}), 2_000)),
        (json!({"a": 5}), list(json!(1), 2_000)),
        (json!({"a": {"$gt": 5}}), list(json!(1), 2_000)),
        (json!({"a": {"$in": texts(100)}}), list(json!("x"), 20)),
        (json!({"a": {"$nin": texts(100)}}), list(json!("x"), 20)),
        (json!({"a": {"$eq": texts(2_000)}}), json!({"a": texts(2_000)})),
        (json!({"a": {"$gt": 5}}), json!({"a": digits})),
        (json!({"a": {"$eq": 5.5}}), json!({"a": digits})),
        (json!({"a": {"$regex": "b"}}), json!({"a": text})),
        (json!({"a": {"$regex": "(a|b|c|d){10}b"}}), json!({"a": "a".repeat(100)})),
        (json!({"a.$.b.c.d.e.f.g.h": 1}), list(json!({"b": {}}), 300)),
        (json!({"$or": [{"a.$.x": 5}, {"a.$.y": 5}]}), list(json!({}), 600)),
    ] {
        let filter = compile(Part::Body, &filter).unwrap();
        assert_eq!(filter.matches(&payload, &Steps::of(1_000)), Err(TooMany), "{filter:?}");
        assert!(filter.matches(&payload, &Steps::of(100_000)).is_ok(), "{filter:?}");
    }
}

#[test]
fn what_is_read_of_either_side_takes_steps() {
    let list = |item: Value, count: usize| json!({"a": vec![item; count]});
    let digits: Number = "9".repeat(4_000).parse().unwrap();
    let text = |last: &str| format!("{}{last}", "a".repeat(4_000));
    let name = "k".repeat(4_000);
    let body = Part::Body;
    for (part, filter, payload) in [
        (body, json!({"a": digits}), list(json!(1), 100)),
        (body, json!({"a.$.x": {"$eq": digits}}), list(json!({"x": 1}), 100)),
        (body, json!({"a.$.x": {"$neq": digits}}), list(json!({"x": digits}), 100)),
        (body, json!({"a": {"$gt": digits}}), list(json!(1), 100)),
        (body, json!({"a": {"$in": ["x", digits]}}), list(json!(1), 100)),
        (body, json!({"a": {"$nin": [digits]}}), list(json!(1), 100)),
        (body, json!({"a.$.x": {"y": [digits]}}), list(json!({"x": {"y": [1]}}), 100)),
        (body, json!({"a": [[digits]]}), list(json!([1]), 1)),
        (body, json!({"a": text("x")}), list(json!(text("y")), 100)),
        (body, json!({"a": {"$lt": text("x")}}), list(json!(text("y")), 100)),
        (body, json!({"a": {"$nin": [text("x")]}}), list(json!(text("y")), 100)),
        (body, json!({"a.$.x": {"$neq": text("x")}}), list(json!({"x": text("x")}), 100)),
        (body, json!({"a.$.x": {"$eq": [{&name: 1}]}}), list(json!({"x": [{&name: 2}]}), 100)),
        (body, json!({format!("a.$.{name}"): 1}), list(json!({&name: 2}), 100)),
        (body, json!({"a": {"$regex": "^[xy]+z"}}), list(json!(text("y")), 20)),
        (Part::Headers, json!({"a": {"$gt": digits}}), list(json!("1"), 100)),
        (Part::Headers, json!({"a": {"$gt": 5}}), list(json!(text("y")), 100)),
    ] {
        let compiled = compile(part, &filter).unwrap();
        let steps = Steps::of(u64::MAX);
        compiled.matches(&payload, &steps).unwrap();
        let taken = u64::MAX - steps.left();
        let count = payload["a"].as_array().unwrap().len() as u64;
        assert!(count * 4_000 / 32 <= taken, "{taken} steps of {count} times 4,000 bytes");
        assert_eq!(compiled.matches(&payload, &Steps::of(taken - 1)), Err(TooMany));
    }
}

/// What is stored compiles an expression when it is asked, and an event takes as many steps with it as the one before.
#[test]
fn an_expression_is_compiled_when_it_is_asked_and_counted_once_for_an_event() {
    let written = json!({"a": {"$regex": "(a|b|c|d){10}"}});
    let stored = Filter::stored(Part::Body, written.as_object().unwrap()).unwrap();
    let taken = |payload: Value| {
        let steps = Steps::of(100_000);
        stored.matches(&payload, &steps).unwrap();
        100_000 - steps.left()
    };
    let Rule::Value { tests, .. } = &stored.rules[0] else { panic!() };
    let Test::Regex(_, regex) = &tests[0] else { panic!() };
    assert!(taken(json!({"a": 5})) < 10 && regex.asked().is_none());
    let first = taken(json!({"a": "x"}));
    assert!(1_300 < first && regex.asked().is_some());
    assert_eq!((first, taken(json!({"a": "x"}))), (taken(json!({"a": "x"})), first));
    assert!(taken(json!({"a": ["x", "x"]})) < first + 100);
    let unusable = json!({"a": {"$regex": "("}});
    let unusable = Filter::stored(Part::Body, unusable.as_object().unwrap()).unwrap();
    assert!(!matches(&unusable, &json!({"a": "("})));
}
