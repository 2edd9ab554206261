//! What stands in headers that travel with an event: no byte of it may keep the event from its endpoint.

use inlet_tests::{Answer, Connection, Endpoint, source_path};
use serde_json::{Value, json};

use crate::gateway;

/// Posts `{}` to a source with this raw line among its headers; answers the event's id.
#[track_caller]
fn ingest_raw(source: &Value, line: &[u8]) -> String {
    let mut bytes = format!("POST {} HTTP/1.1\r\nHost: test\r\n", source_path(source)).into_bytes();
    bytes.extend_from_slice(line);
    bytes.extend_from_slice(b"\r\nContent-Length: 2\r\n\r\n{}");
    let mut connection = Connection::open(gateway().url()).expect("a connection");
    connection.write(&bytes).expect("the request is taken");
    let reply = connection.read_reply(false).expect("a reply").expect(200);
    reply.header("Inlet-Event-Id").expect("an id").to_owned()
}

#[test]
fn bytes_that_no_header_may_hold_do_not_keep_an_event_from_its_endpoint() {
    let project = gateway().project_with(json!({"strategy": {"retry_count": 0}}));
    let endpoint = Endpoint::answering(&[Answer::ok()]);
    let source = project.open_source();
    project.route(&source, &endpoint);
    let bytes = "application/octet-stream";
    for (line, odd, content_type) in [
        (&b"X-Odd: plain\ttext"[..], Some("plain\ttext"), bytes),
        (b"X-Odd: a\x01b", Some("ab"), bytes),
        (b"X-Odd: a\x7fb", Some("ab"), bytes),
        (b"X-Odd: a\x1b[31mb", Some("a[31mb"), bytes),
        (b"Content-Type: text/\x01plain", None, "text/plain"),
        // What is no ASCII is passed on as UTF-8, of which the harness reads each byte as a letter.
        (b"X-Odd: J\xc3\xbcrgen", Some("J\u{c3}\u{bc}rgen"), bytes),
        (b"X-Odd: \xe4\xb8\x96", Some("\u{e4}\u{b8}\u{96}"), bytes),
        (b"X-Odd: \xff", Some("\u{ef}\u{bf}\u{bd}"), bytes),
    ] {
        let shown = String::from_utf8_lossy(line);
        let id = ingest_raw(&source, line);
        project.wait_for_delivery(&id, "Success");
        let received = endpoint.received();
        let call = received.iter().find(|call| call.header("inlet-event-id") == Some(&id));
        let call = call.unwrap_or_else(|| panic!("{shown} was not received"));
        assert_eq!(call.header("x-odd"), odd, "{shown}");
        assert_eq!(call.header("content-type"), Some(content_type), "{shown}");
    }
}

#[test]
fn a_header_of_ones_own_that_could_not_be_sent_is_refused_by_its_name() {
    let project = gateway().outgoing(json!({}));
    let endpoint = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    for value in ["a\u{1}b", "a\u{7f}", "a\nb", "a\0", "J\u{fc}rgen"] {
        let body = json!({"endpoint_id": endpoint["uid"], "event_type": "t", "data": {}, "custom_headers": {"X-Odd": value}});
        let message = project.post("/events", &body).expect(400).message();
        let expect =
            "custom_headers.X-Odd:a header's value has visible characters, spaces and tabs only";
        assert_eq!(message, expect, "{value:?}");
    }
}
