//! Fields of forms, as they are sent: `application/x-www-form-urlencoded`, or `multipart/form-data`
//! ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)).

use crate::{Request, uri};

/// Forms of several parts are read up to here; what providers sign stands in small ones.
const BODY_MAX_BYTES: usize = 1024 * 1024;
/// [RFC 2046, 5.1.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1)
const BOUNDARY_MAX_BYTES: usize = 70;

/// The values of one field of a form in order, without files. What is no form has none, or some that mean nothing.
pub(crate) fn values(request: &Request<'_>, name: &str) -> Vec<String> {
    let content_type = request.headers.get("content-type").unwrap_or_default();
    match parameter(content_type, "multipart/form-data", "boundary") {
        Some(boundary) => {
            let fields = parts(request.body, &boundary).unwrap_or_default().into_iter();
            fields.filter(|(have, _)| have == name).map(|(_, value)| value).collect()
        }
        None => uri::values(request.body, name).collect(),
    }
}

/// The value of a parameter in `kind; name=value; name="value"`. `None` where the kind is another.
fn parameter(text: &str, kind: &str, name: &str) -> Option<String> {
    let (have, mut rest) = text.split_once(';')?;
    have.trim().eq_ignore_ascii_case(kind).then_some(())?;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at_checked(after.find(';').unwrap_or(after.len()))?,
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = next.trim_start().trim_start_matches(';');
    }
}

/// `None` where the body is not what the boundary promises.
fn parts(body: &[u8], boundary: &str) -> Option<Vec<(String, String)>> {
    let fits = (1..=BOUNDARY_MAX_BYTES).contains(&boundary.len()) && body.len() <= BODY_MAX_BYTES;
    fits.then_some(())?;
    let mark = format!("\r\n--{boundary}");
    // Before the first mark stands nothing, or what nobody reads.
    let first = mark.trim_start().as_bytes();
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => rest,
        None => split(body, mark.as_bytes())?.1,
    };
    let mut fields = Vec::new();
    while !rest.starts_with(b"--") {
        let (part, after) = split(rest, mark.as_bytes())?;
        let (head, content) = split(part, b"\r\n\r\n")?;
        fields.extend(field(std::str::from_utf8(head).ok()?, content));
        rest = after;
    }
    Some(fields)
}

fn field(head: &str, content: &[u8]) -> Option<(String, String)> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut dispositions =
        lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let disposition = dispositions.next()?.1.trim();
    let is_file = parameter(disposition, "form-data", "filename").is_some();
    let name = parameter(disposition, "form-data", "name").filter(|_| !is_file)?;
    Some((name, std::str::from_utf8(content).ok()?.to_owned()))
}

/// What stands before and after the first `mark`.
fn split<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(mark.len()).position(|here| here == mark)?;
    Some((bytes.get(..at)?, bytes.get(at + mark.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    fn read(content_type: &str, body: &str) -> Vec<(String, String)> {
        let headers: Headers =
            [("content-type".to_owned(), content_type.to_owned())].into_iter().collect();
        let request = Request { method: "POST", url: "", headers: &headers, body: body.as_bytes() };
        let each = |name: &str| {
            let name = name.to_owned();
            values(&request, &name).into_iter().map(move |value| (name.clone(), value))
        };
        ["json", "two", "f", "a", "b"].into_iter().flat_map(each).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn forms_of_both_kinds() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{\"a\": 1}\r\n--b\r\n\
                    content-disposition: form-data; name=two\r\nContent-Type: text/plain\r\n\r\n\r\n--b\r\n\
                    Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\r\nbytes\r\n--b--\r\n";
        let want = pairs(&[("json", "{\"a\": 1}"), ("two", "")]);
        assert_eq!(read("multipart/form-data; boundary=b", body), want);
        assert_eq!(read("Multipart/Form-Data; charset=utf-8; Boundary=\"b\"", body), want);
        assert_eq!(read("multipart/form-data; boundary=b", &format!("preamble\r\n{body}")), want);
        assert_eq!(
            read("application/x-www-form-urlencoded", "a=1&b=%20"),
            pairs(&[("a", "1"), ("b", " ")])
        );
    }

    #[test]
    fn what_is_broken_has_no_fields() {
        for body in [
            "",
            "--b",
            "--b\r\n",
            "--b\r\nno end",
            "--b\r\n\r\nx\r\n--c--",
            "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx",
        ] {
            assert_eq!(read("multipart/form-data; boundary=b", body), [], "{body:?}");
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        assert_eq!(read(&long, "--b--"), []);
    }
}
