//! HTTP/1.1 as far as the bench speaks it: heads of requests and replies, bodies with a stated
//! length. Pure.

/// What the head of a request or a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The first line.
    pub first_line: &'a str,
    /// Bytes of the head, with the empty line.
    pub head_bytes: usize,
    /// Bytes of the body behind it.
    pub body_bytes: usize,
}

/// Why bytes are no message that the bench understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not HTTP, or not UTF-8.
    #[error("not an HTTP/1.1 message")]
    NotHttp,
    /// A body in chunks.
    #[error("the body has no stated length")]
    NoLength,
}

impl<'a> Head<'a> {
    /// Reads the head at the start of `bytes`; `None` if there is more to come.
    ///
    /// # Errors
    /// The bytes are not understood.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, CodecError> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| CodecError::NotHttp)?;
        let mut lines = head.split("\r\n");
        let first_line = lines.next().filter(|line| line.contains("HTTP/1.1"));
        let first_line = first_line.ok_or(CodecError::NotHttp)?;
        let mut body_bytes = 0;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.trim().parse().map_err(|_| CodecError::NotHttp)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(CodecError::NoLength);
            }
        }
        Ok(Some(Self { first_line, head_bytes: end + 4, body_bytes }))
    }

    /// Status of a reply.
    ///
    /// # Errors
    /// It is no reply.
    pub fn status(&self) -> Result<u16, CodecError> {
        let status = self.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or(CodecError::NotHttp)
    }

    /// Is it a request that writes?
    #[must_use]
    pub fn is_put(&self) -> bool {
        self.first_line.starts_with("PUT ")
    }

    /// Bytes of head and body together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.head_bytes + self.body_bytes
    }
}

#[cfg(test)]
mod tests;
