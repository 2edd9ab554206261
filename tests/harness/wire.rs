//! HTTP/1.1 messages on a socket, for both sides.

use std::io::{self, BufRead, Read};

/// A message without its body.
#[derive(Debug)]
pub(crate) struct Head {
    /// `POST /path` of a request, `200` of a reply.
    pub(crate) start: [String; 2],
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn invalid(text: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_string())
}

/// Reads up to the empty line; `None` when the peer closed before a first byte.
fn read_head(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.take(1 << 20).read_until(b'\n', &mut head)? == 0 {
            let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "closed inside a head");
            return if head.is_empty() { Ok(None) } else { Err(closed) };
        }
        if head == b"\r\n" {
            head.clear();
        }
    }
    Ok(Some(head))
}

fn own_headers(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    // Latin-1: one byte, one character, so nothing a peer sends is lost.
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect()
}

pub(crate) fn read_request(stream: &mut impl BufRead) -> io::Result<Option<(Head, Vec<u8>)>> {
    let Some(bytes) = read_head(stream)? else { return Ok(None) };
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&bytes).map_err(invalid)?;
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let head = Head {
        start: [text(request.method), text(request.path)],
        headers: own_headers(request.headers),
    };
    let body = read_body(stream, &head, false)?;
    Ok(Some((head, body)))
}

/// Reads a reply; `bodiless` for the answer to a HEAD.
pub(crate) fn read_reply(stream: &mut impl BufRead, bodiless: bool) -> io::Result<(Head, Vec<u8>)> {
    loop {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "closed without a reply");
        let bytes = read_head(stream)?.ok_or_else(closed)?;
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut reply = httparse::Response::new(&mut headers);
        reply.parse(&bytes).map_err(invalid)?;
        let status = reply.code.unwrap_or_default();
        let head = Head {
            start: [status.to_string(), reply.reason.unwrap_or_default().to_owned()],
            headers: own_headers(reply.headers),
        };
        if (100..200).contains(&status) {
            continue;
        }
        let empty = bodiless || matches!(status, 204 | 304);
        let body = if empty { Vec::new() } else { read_body(stream, &head, true)? };
        return Ok((head, body));
    }
}

fn read_body(stream: &mut impl BufRead, head: &Head, until_close: bool) -> io::Result<Vec<u8>> {
    let chunked =
        head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    if chunked {
        return read_chunks(stream);
    }
    let mut body = Vec::new();
    match head.header("content-length") {
        Some(length) => {
            let length: usize = length.parse().map_err(invalid)?;
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        None if until_close => {
            stream.read_to_end(&mut body)?;
        }
        None => {}
    }
    Ok(body)
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(invalid)?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        let mut end = String::new();
        stream.read_line(&mut end)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
