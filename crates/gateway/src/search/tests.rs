use super::*;

#[test]
fn the_zero_time_asks_for_no_time() {
    let low = |query: &str| Search::events(query).map(|search| (search.low, search.high));
    let all = low("").unwrap();
    for query in [
        "startDate=0001-01-01T00:00:00",
        "startDate=0001-01-01T00:00:00Z&endDate=0001-01-01T00:00:00Z",
        "startDate=1969-12-31T23:59:59",
    ] {
        assert_eq!(low(query).unwrap(), all, "{query}");
    }
    for query in ["endDate=1969-01-01T00:00:00", "startDate=0001-13-01T00:00:00", "startDate=1"] {
        assert!(low(query).is_err(), "{query}");
    }
    let week = crate::failures::FailureRates::read("startDate=0001-01-01T00:00:00", 1 << 40);
    let default = crate::failures::FailureRates::read("", 1 << 40);
    let of = |rates: &crate::failures::FailureRates| rates.statement("p").params;
    assert_eq!(of(&week.unwrap()), of(&default.unwrap()));
}

#[test]
fn what_cannot_be_read_is_refused_in_convoys_words() {
    for (query, expect) in [
        ("startDate=soon", "please specify a startDate in the format 2006-01-02T15:04:05"),
        (
            "endDate=2020-13-01T00:00:00",
            "please specify a correct endDate in the format 2006-01-02T15:04:05 or none at all",
        ),
        (
            "startDate=2020-01-02T00:00:00&endDate=2020-01-01T00:00:00",
            "startDate cannot be greater than endDate",
        ),
        ("body=[]", "body must be a nonempty JSON object"),
        ("body={}", "body must be a nonempty JSON object"),
        ("body={\"a\"", "body must be a nonempty JSON object"),
        (
            "body={\"a\":{\"x\":1},\"a\":{\"y\":1}}",
            "body contains the key \"a\" twice in one object at line 1 column 16",
        ),
        ("next_page_cursor=%27%20OR%201", "the page cursor is not one that a list has given"),
        ("next_page_cursor=bad", "the page cursor is not one that a list has given"),
        (
            "next_page_cursor=01arz3ndektsv4rrffq69g5fav",
            "the page cursor is not one that a list has given",
        ),
        ("direction=prev&prev_page_cursor=bad", "the page cursor is not one that a list has given"),
    ] {
        assert_eq!(Search::events(query).unwrap_err().message, expect, "{query}");
        assert_eq!(Search::deliveries(query).unwrap_err().message, expect, "{query}");
    }
    let error = Search::events("status=Success&status=nope").unwrap_err().message;
    assert_eq!(error, "status:nope is none of Pending, Processing, Success, Failure, Retry");
    for taken in ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", ""] {
        assert!(Search::events(&format!("next_page_cursor={taken}")).is_ok(), "{taken}");
    }
    let error = Search::deliveries("status=Lost").unwrap_err().message;
    assert_eq!(
        error,
        "status:Lost is none of Scheduled, Processing, Discarded, Failure, Success, Retry"
    );
    let many = "sourceId=a&".repeat(101);
    assert_eq!(Search::events(&many).unwrap_err().message, "sourceId:at most 100 values");
}

#[test]
fn a_count_takes_no_parameter_that_would_not_count() {
    let uid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (query, wrong) in [
        ("endpointId=e&perPage=20&page=", Some("page")),
        ("endpointID=e", Some("endpointID")),
        (&*format!("next_page_cursor={uid}"), Some("next_page_cursor")),
        ("endpointId[]=e&status=Failure&startDate=2026-01-01T00:00:00&token=t", None),
        ("perPage=20&direction=next&sort=DESC&next_page_cursor=&prev_page_cursor=", None),
        // Refused in words of its own.
        ("query=x", None),
    ] {
        let error = Kind::Deliveries.check_count(query).err().map(|error| error.message);
        let expect = wrong.map(|wrong| {
            format!("{wrong}:no such parameter here; what is counted is chosen by sourceId")
        });
        match (&error, &expect) {
            (Some(error), Some(expect)) => assert!(error.starts_with(expect), "{error}"),
            _ => assert_eq!(error, expect, "{query}"),
        }
    }
}

#[test]
fn what_is_sent_again_is_gone_through_one_way() {
    let cursor = "prev_page_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for query in [cursor.to_owned(), format!("{cursor}&direction=prev"), "direction=prev".into()] {
        let error = Kind::Events.check_selection(&query, b"").unwrap_err().message;
        assert!(error.starts_with("direction:what is sent again"), "{error}");
    }
}

#[test]
fn dead_letters_come_in_pages_of_a_length_that_is_one() {
    let error = Search::dead_letters("perPage=x").unwrap_err().message;
    assert_eq!(error, "perPage:a number from 1 to 1000");
    assert_eq!(Search::dead_letters("perPage=3").unwrap().0.page.per_page, 3);
}

#[test]
fn a_call_on_all_that_is_found_takes_no_parameter_that_it_does_not_know() {
    for (kind, query, wrong) in [
        (Kind::Deliveries, "status=Failure&endpointID=e", Some("endpointID")),
        (Kind::Deliveries, "query=x", Some("query")),
        (Kind::Deliveries, "ownerId[]=o", Some("ownerId[]")),
        (Kind::Deliveries, "page=1", Some("page")),
        (Kind::Events, "eventId=e", Some("eventId")),
        (Kind::Events, "sourceId[]=a&q=x&token=t", None),
        (Kind::Deliveries, "sourceId[]=a&eventId=e&sort=ASC&perPage=5&token=t", None),
        // Convoy's clients write what they leave out, too.
        (Kind::Deliveries, "eventId=&subscriptionId=&direction=", None),
        (Kind::Deliveries, "per_page=0&next_page_cursor=&startDate=0001-01-01T00:00:00", None),
    ] {
        let error = kind.check_selection(query, b"").err().map(|error| error.message);
        match wrong {
            Some(wrong) => {
                let error = error.unwrap_or_default();
                assert!(error.starts_with(&format!("{wrong}:no such parameter")), "{error}");
                assert!(error.contains("sourceId, endpointId"), "{error}");
            }
            None => assert_eq!(error, None, "{query}"),
        }
    }
    for body in ["", " ", "{}", "null", r#"{"ids":[]}"#] {
        assert_eq!(Kind::Events.check_selection("", body.as_bytes()), Ok(()), "{body}");
    }
    for body in [r#"{"ids":["a"]}"#, r#"{"endpointId":"e"}"#, "endpointId=e"] {
        Kind::Deliveries.check_selection("", body.as_bytes()).unwrap_err();
    }
}

#[test]
fn every_parameter_that_selects_is_known_to_the_calls_on_all_that_is_found() {
    for kind in [Kind::Events, Kind::Deliveries] {
        let read = crate::document::parameters(|| {
            match kind {
                Kind::Events => Search::events("").map(drop),
                Kind::Deliveries => Search::deliveries("").map(drop),
            }
            .unwrap();
        });
        for name in read {
            let checked = kind.check_selection(&format!("{name}=x"), b"");
            let is_unknown =
                checked.is_err_and(|error| error.message.contains("no such parameter"));
            // A retry reads no payloads; the refusal of a replay that is asked to is its own.
            let is_refused =
                kind == Kind::Deliveries && ["query", "q", "body"].contains(&name.as_str());
            assert_eq!(is_unknown, is_refused, "{name}");
        }
    }
}

#[test]
fn dates_are_ranges_of_ids() {
    let search =
        Search::events("startDate=2023-11-14T22:13:20&endDate=2023-11-14T22:13:20").unwrap();
    assert_eq!(search.low, ids::lowest(1_700_000_000_000));
    assert_eq!(search.high, ids::highest(1_700_000_000_999));
    assert_eq!(search.scan_rows(), None);
    assert_eq!(Search::events("query=a").unwrap().scan_rows(), Some(SCAN_BODIES));
    assert_eq!(Search::events("sourceId=a").unwrap().scan_rows(), Some(SCAN_ROWS));
}

/// Whether an event with this body is found.
fn finds(query: &str, body: &str) -> bool {
    let search = Search::events(query).unwrap();
    let condition = search.conditions.first().unwrap();
    let sql = format!(
        "SELECT {} FROM (SELECT ?2 AS body, 0 AS is_base64, 'Ünit.test' AS event_type, 'key' AS idempotency_key, 'ID' AS id) AS t",
        condition.sql.replace("{}", "?1")
    );
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.query_row(&sql, [condition.param.as_str(), body], |row| row.get(0)).unwrap()
}

#[test]
fn fields_of_a_payload_are_compared_exactly() {
    for (body, wanted, expect) in [
        (r#"{"n":9007199254740993}"#, r#"{"n":9007199254740993}"#, true),
        (r#"{"n":9007199254740993}"#, r#"{"n":9007199254740992}"#, false),
        (r#"{"n":9223372036854775808}"#, r#"{"n":9223372036854775808}"#, true),
        (r#"{"n":9223372036854775809}"#, r#"{"n":9223372036854775808}"#, false),
        (r#"{"n":18446744073709551617}"#, r#"{"n":18446744073709551616}"#, false),
        (r#"{"n":18446744073709551616}"#, r#"{"n":1.8446744073709551616e19}"#, true),
        (r#"{"n":0.1}"#, r#"{"n":0.10000000000000001}"#, false),
        (r#"{"n":12.50}"#, r#"{"n":12.5}"#, true),
        (r#"{"n":5.0}"#, r#"{"n":5}"#, true),
        (r#"{"n":-5E2}"#, r#"{"n":-500}"#, true),
        (r#"{"n":"5"}"#, r#"{"n":5}"#, false),
        (r#"{"n":5}"#, r#"{"n":"5"}"#, false),
        (r#"{"n":null}"#, r#"{"n":0}"#, false),
        ("{}", r#"{"n":0}"#, false),
        ("{}", r#"{"n":null}"#, false),
        (r#"{"n":null}"#, r#"{"n":null}"#, true),
        (r#"{"n":true}"#, r#"{"n":1}"#, false),
        (r#"{"n":true}"#, r#"{"n":true}"#, true),
        (r#"{"n":false}"#, r#"{"n":true}"#, false),
        (r#"{"n":"J\u00fcrgen \"x\""}"#, r#"{"n":"Jürgen \"x\""}"#, true),
        (r#"{"a":{"b":[1,{"c":"\/"},2.0]},"x":1}"#, r#"{"a":{"b":[1,{"c":"/"},2]}}"#, true),
        (r#"{"a":[1,2,3]}"#, r#"{"a":[1,2]}"#, false),
        (r#"{"a":[1,18446744073709551617]}"#, r#"{"a":[1,18446744073709551616]}"#, false),
        (r#"{"a":[]}"#, r#"{"a":[]}"#, true),
        (r#"{"a":{}}"#, r#"{"a":{}}"#, true),
        (r#"{"a":{"b":1}}"#, r#"{"a":{}}"#, false),
        ("no json", r#"{"a":{}}"#, false),
    ] {
        assert_eq!(finds(&format!("body={wanted}"), body), expect, "{wanted} in {body}");
        assert_eq!(finds(&format!("query={wanted}"), body), expect, "{wanted} in {body}");
    }
}

#[test]
fn text_is_found_as_a_person_types_it() {
    for (body, text, expect) in [
        (r#"{"name":"J\u00fcrgen"}"#, "JÜRGEN", true),
        (r#"{"url":"a\/b"}"#, "a/b", true),
        (r#"{"url":"a\/b"}"#, "a\\/b", true),
        (r#"{"name":"J\u00fcrgen"}"#, "\\u00FC", true),
        ("{}", "ünit", true),
        ("{}", "key", true),
        ("{}", "id", true),
        ("{}", "ke", false),
        (r#"{"name":"Jurgen"}"#, "ü", true),
        (r#"{"name":"Jurgen"}"#, "jü", false),
    ] {
        assert_eq!(finds(&format!("query={text}"), body), expect, "{text} in {body}");
    }
}

#[test]
fn a_day_as_an_end_is_all_of_that_day() {
    let high = |end: &str| Search::events(&format!("endDate={end}")).unwrap().high;
    assert_eq!(high("2026-11-27"), high("2026-11-27T23:59:59"));
    assert_ne!(high("2026-11-27"), high("2026-11-27T00:00:00"));
    let low = |start: &str| Search::events(&format!("startDate={start}")).unwrap().low;
    assert_eq!(low("2026-11-27"), low("2026-11-27T00:00:00"));
    assert!(Search::events("startDate=2026-11-27&endDate=2026-11-27").is_ok());
}
