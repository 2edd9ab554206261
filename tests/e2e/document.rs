//! The document of the API, and its page.

use crate::gateway;

#[test]
fn the_document_is_served_to_everybody_and_not_twice() {
    let reply = gateway().get("/openapi.json").expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v1/projects/{projectID}/sources"]["post"].is_object());
    let etag = reply.header("etag").expect("an ETag").to_owned();
    let again = gateway().call("GET", "/openapi.json").header("If-None-Match", etag).send();
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[test]
fn the_page_needs_nothing_from_anywhere_else() {
    let reply = gateway().get("/docs").expect(200);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    let page = reply.text();
    assert!(!page.contains("http://") && !page.contains("https://"), "the page links elsewhere");
    for part in ["<main ", "<nav ", "lang=\"en\"", "fetch(\"/openapi.json\")"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn what_is_no_get_of_the_document_is_told_so() {
    for (path, allow) in [("/docs", "GET, HEAD"), ("/openapi.json", "GET")] {
        let reply = gateway().call("POST", path).body("{}").send().expect(405);
        assert_eq!(reply.header("allow"), Some(allow));
    }
}

#[test]
fn who_opens_the_gateway_finds_the_page() {
    let reply = gateway().get("/").expect(302);
    assert_eq!(reply.header("location"), Some("/docs"));
    gateway().call("HEAD", "/docs").send().expect(200);
}
