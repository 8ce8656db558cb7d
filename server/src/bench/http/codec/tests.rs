//! Heads as servers and clients write them.
use super::{CodecError, Head};

#[test]
fn a_reply_is_read_once_its_head_is_whole() {
    let reply = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 5\r\n\r\nhello";
    for cut in 0..reply.len() - 5 {
        assert_eq!(Head::parse(&reply[..cut]), Ok(None), "{cut}");
    }
    let head = Head::parse(reply).ok().flatten();
    let head = head.expect("the head is whole");
    assert_eq!((head.status(), head.body_bytes, head.total()), (Ok(200), 5, reply.len()));
}

#[test]
fn a_request_tells_whether_it_writes() {
    let is_put = |text: &str| Head::parse(text.as_bytes()).map(|head| head.map(|h| h.is_put()));
    assert_eq!(is_put("PUT /k HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi"), Ok(Some(true)));
    assert_eq!(is_put("GET /k HTTP/1.1\r\n\r\n"), Ok(Some(false)));
}

#[test]
fn what_is_not_understood_is_an_error() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(Head::parse(chunked), Err(CodecError::NoLength));
    assert_eq!(Head::parse(b"SSH-2.0\r\n\r\n"), Err(CodecError::NotHttp));
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n";
    assert_eq!(Head::parse(length), Err(CodecError::NotHttp));
    let head = Head::parse(b"HTTP/1.1 OK\r\n\r\n").ok().flatten();
    assert_eq!(head.map(|head| head.status()), Some(Err(CodecError::NotHttp)));
}
