//! A connection to Troupe's JSON API that does nothing but what a measurement needs: one request at
//! a time on a connection that stays open, written and read with one system call each.
mod codec;

pub use codec::Head;

use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for an answer with a value of some KiB.
const BUFFER: usize = 16 << 10;

/// One connection. After an error it must not be used again.
#[derive(Debug)]
pub struct HttpConnection {
    stream: TcpStream,
    address: String,
    out: Vec<u8>,
    buffer: BytesMut,
}

impl HttpConnection {
    /// Connects to `address`, such as `127.0.0.1:20180`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = BytesMut::with_capacity(BUFFER);
        Ok(Self { stream, address: address.to_owned(), out: Vec::with_capacity(BUFFER), buffer })
    }

    /// Sends a request with an empty body and answers the status; then [`HttpConnection::body`].
    ///
    /// # Errors
    /// The connection broke, or the answer is not understood.
    pub async fn get(&mut self, path: &[&[u8]]) -> io::Result<u16> {
        self.head(b"GET ", path, None);
        self.exchange().await
    }

    /// Sends a request with a body that `body` appends, which has `length` bytes.
    ///
    /// # Errors
    /// As [`HttpConnection::get`].
    pub async fn send(
        &mut self,
        verb: &[u8],
        path: &[&[u8]],
        (length, body): (usize, impl FnOnce(&mut Vec<u8>)),
    ) -> io::Result<u16> {
        self.head(verb, path, Some(length));
        let before = self.out.len();
        body(&mut self.out);
        assert_eq!(self.out.len() - before, length, "the body has its stated length");
        self.exchange().await
    }

    /// Body of the last answer.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.buffer
    }

    fn head(&mut self, verb: &[u8], path: &[&[u8]], length: Option<usize>) {
        let out = &mut self.out;
        out.clear();
        out.extend_from_slice(verb);
        path.iter().for_each(|part| out.extend_from_slice(part));
        out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        out.extend_from_slice(self.address.as_bytes());
        if let Some(length) = length {
            out.extend_from_slice(format!("\r\ncontent-length: {length}").as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// Sends what was written and reads one answer, of which only the body stays in the buffer.
    async fn exchange(&mut self) -> io::Result<u16> {
        self.buffer.clear();
        self.stream.write_all(&self.out).await?;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let head = Head::parse(&self.buffer).map_err(io::Error::other)?;
            let Some(head) = head.filter(|head| head.total() <= self.buffer.len()) else {
                continue;
            };
            let (status, start) = (head.status().map_err(io::Error::other)?, head.head_bytes);
            let _ = self.buffer.split_to(start);
            self.buffer.reserve(BUFFER / 2);
            return Ok(status);
        }
    }
}
