//! The opening handshake for peers that are used without one: no check of the request, as only their echo is measured.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;

/// Reads a request and accepts it, with these extensions if there are any. What follows the request is the client's, who waits for the response.
pub async fn accept(stream: &mut TcpStream, extensions: Option<&str>) -> Result<(), Error> {
    let mut request = Vec::with_capacity(512);
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 || request.len() > 16 << 10 {
            return Err("no request".into());
        }
    }
    let request = String::from_utf8(request)?;
    let key = request
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .ok_or("the request has no key")?
        .1
        .trim();
    let digest =
        Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let accept = BASE64_STANDARD.encode(digest);
    let extensions = extensions.map(|it| format!("Sec-WebSocket-Extensions: {it}\r\n")).unwrap_or_default();
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{extensions}\r\n"
    );
    stream.write_all(response.as_bytes()).await?;
    Ok(())
}
