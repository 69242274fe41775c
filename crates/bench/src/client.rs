//! The leanest HTTP/1.1 client that still checks what it reads: it shares the processors with what it measures.

use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use taskloom_protocol::TokenPair;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::BenchError;
use crate::stack::{ADMIN, PASSWORD};

/// Larger answers are not read.
const MAX_ANSWER: usize = 64 << 20;
const ROOM: usize = 16 << 10;

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer<'c> {
    pub(crate) status: u16,
    pub(crate) body: &'c [u8],
}

/// Where an answer's parts are.
struct Head {
    status: u16,
    body: usize,
    end: usize,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ROOM] })
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>, BenchError> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let mut known: Option<Head> = None;
        loop {
            if known.is_none() {
                known = head(&self.buffer[..filled])?;
            }
            if let Some(Head { status, body, end }) = known
                && filled >= end
            {
                return Ok(Answer { status, body: &self.buffer[body..end] });
            }
            let wanted = known.as_ref().map_or(filled + ROOM, |head| head.end);
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(BenchError::Answer("the server closed the connection".into()));
            }
            filled += read;
        }
    }

    /// Sends a request and reads an answer of this status as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &mut self,
        request: &[u8],
        status: u16,
    ) -> Result<T, BenchError> {
        let answer = self.send(request).await?;
        answer.expect(status)?;
        serde_json::from_slice(answer.body).map_err(|error| BenchError::Answer(error.to_string()))
    }

    /// Logs in as the first user.
    pub(crate) async fn login(&mut self) -> Result<String, BenchError> {
        let form = format!("username={ADMIN}&password={PASSWORD}");
        let kind = "application/x-www-form-urlencoded";
        let request = request("POST", "/api/v1/auth/token", None, Some((kind, form.as_bytes())));
        Ok(self.json::<TokenPair>(&request, 200).await?.access_token)
    }
}

impl Answer<'_> {
    /// Checks the status.
    pub(crate) fn expect(&self, status: u16) -> Result<(), BenchError> {
        if self.status == status {
            return Ok(());
        }
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        Err(BenchError::Answer(format!("status {} where {status} was expected: {body}", self.status)))
    }
}

/// The head of an answer, if it is there as a whole.
fn head(bytes: &[u8]) -> Result<Option<Head>, BenchError> {
    let bad = |what: &str| BenchError::Answer(what.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|error| BenchError::Answer(error.to_string()))?;
    let httparse::Status::Complete(body) = parsed else { return Ok(None) };
    let status = response.code.ok_or_else(|| bad("no status"))?;
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = length
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok())
        .filter(|length| *length <= MAX_ANSWER)
        .ok_or_else(|| bad("no Content-Length that can be used"))?;
    Ok(Some(Head { status, body, end: body + length }))
}

/// The bytes of a request; the body with its media type.
pub(crate) fn request(method: &str, path: &str, token: Option<&str>, body: Option<(&str, &[u8])>) -> Vec<u8> {
    let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let (content, body) = match body {
        Some((kind, body)) => (format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()), body),
        None => (String::new(), &[][..]),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n{authorization}{content}\r\n");
    [head.as_bytes(), body].concat()
}

/// The bytes of a `GET`.
pub(crate) fn get(path: &str, token: &str) -> Vec<u8> {
    request("GET", path, Some(token), None)
}

/// The bytes of a `POST` of JSON.
pub(crate) fn post(path: &str, token: &str, json: &impl serde::Serialize) -> Result<Vec<u8>, BenchError> {
    let body = serde_json::to_vec(json).map_err(std::io::Error::from)?;
    Ok(request("POST", path, Some(token), Some(("application/json", &body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_head_when_it_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        for cut in 0..text.len() - 2 {
            assert!(head(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        let Head { status, body, end } = head(text).unwrap().unwrap();
        assert_eq!((status, &text[body..end]), (201, &b"{}"[..]));
    }

    #[test]
    fn refuses_what_it_cannot_measure() {
        for text in [&b"rubbish\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"] {
            assert!(head(text).is_err());
        }
    }

    #[test]
    fn requests_are_whole() {
        let sent = post("/p", "t", &serde_json::json!({})).unwrap();
        let text = "POST /p HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\n\
            Content-Length: 2\r\n\r\n{}";
        assert_eq!(String::from_utf8(sent).unwrap(), text);
    }
}
