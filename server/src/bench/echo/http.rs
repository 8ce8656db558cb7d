//! The shortest server that speaks as Troupe's JSON API does to the bench.
use crate::bench::http::Head;
use crate::error::CliError;
use bytes::BytesMut;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// What a write is answered with: as long as Troupe's own answer.
const WRITTEN: &str = r#"{"key":"0123456789abcdef","etag":"0123456789abcdef","created":false}"#;

pub(super) async fn serve(listener: TcpListener, value: Vec<u8>) -> Result<(), CliError> {
    let answers = Rc::new((answer(WRITTEN.as_bytes()), answer(&value)));
    let accept = async {
        loop {
            let (stream, _) =
                listener.accept().await.map_err(|source| CliError::io("cannot accept", source))?;
            let answers = Rc::clone(&answers);
            tokio::task::spawn_local(async move {
                // A client that goes away ends its connection alone.
                let _ = connection(stream, &answers.0, &answers.1).await;
            });
        }
    };
    LocalSet::new().run_until(accept).await
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn connection(mut stream: TcpStream, written: &[u8], read: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(16 << 10);
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Some(head) = Head::parse(&buffer).map_err(io::Error::other)? {
            let (total, is_put) = (head.total(), head.is_put());
            if buffer.len() < total {
                break;
            }
            let _ = buffer.split_to(total);
            stream.write_all(if is_put { written } else { read }).await?;
        }
    }
    Ok(())
}
