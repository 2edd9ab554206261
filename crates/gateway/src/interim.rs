//! Interim answers (`100 Continue`, `103 Early Hints`). A runtime may hand one over as the answer of an endpoint, with all that
//! the endpoint says after it, its answer first of all, as the body: workerd does.

use crate::deliver::Answered;

pub fn is_interim(status: u16) -> bool {
    (100..200).contains(&status)
}

/// Whether what came after an interim answer tells the status already.
pub fn is_told(after: &[u8]) -> bool {
    answer(after).is_some()
}

/// What an endpoint answered that said `status` first, and `after` it.
pub fn answered(status: u16, after: &[u8]) -> Answered {
    answer(after).unwrap_or_else(|| Answered::Nothing {
        error: format!(
            "the endpoint said {status}, which is no answer, and then nothing that is one"
        ),
    })
}

/// The first answer that is not an interim one. Its body is as it is on the wire.
fn answer(mut bytes: &[u8]) -> Option<Answered> {
    const END: &[u8] = b"\r\n\r\n";
    loop {
        let end = bytes.windows(END.len()).position(|window| window == END)?;
        let (head, rest) = bytes.split_at_checked(end)?;
        bytes = rest.strip_prefix(END)?;
        let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
        let status = status.parse().ok().filter(|status| (100..600).contains(status))?;
        if is_interim(status) {
            continue;
        }
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        return Some(Answered::Response { status, headers, body: bytes.to_vec() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_what_comes_after_the_interim_ones() {
        let ok = "HTTP/1.1 200 OK\r\nX-A:  1 \r\nRetry-After: 3\r\n\r\nok";
        let expect = Answered::Response {
            status: 200,
            headers: vec![("x-a".into(), "1".into()), ("retry-after".into(), "3".into())],
            body: b"ok".to_vec(),
        };
        assert_eq!(answered(103, ok.as_bytes()), expect);
        let more = format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{ok}");
        assert_eq!(answered(100, more.as_bytes()), expect);
        let bare = answered(100, b"HTTP/1.0 500\r\n\r\n");
        assert_eq!(bare, Answered::Response { status: 500, headers: vec![], body: vec![] });
    }

    #[test]
    fn an_interim_answer_alone_is_none() {
        let cut = ["", "ok", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"];
        let odd =
            ["HTTP/1.1 2oo OK\r\n\r\n", "HTTP/1.1 999 \r\n\r\n", "HTTP/2 200\r\n\r\n", "\r\n\r\n"];
        for after in cut.into_iter().chain(odd) {
            assert!(!is_told(after.as_bytes()), "{after}");
            let Answered::Nothing { error } = answered(103, after.as_bytes()) else {
                panic!("{after}")
            };
            assert!(error.starts_with("the endpoint said 103, which is no answer"), "{error}");
        }
        assert!(is_interim(100) && is_interim(199) && !is_interim(200) && !is_interim(99));
    }
}
