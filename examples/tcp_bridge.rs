//! WebSocket to TCP, like websockify: each WebSocket connection is one TCP connection to a fixed target.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use sansocket::handshake::{Acceptance, Response};
use sansocket::tokio::{Acceptor, Error};
use sansocket::{CloseCode, Config, Delivery};
use tokio::net::{TcpListener, TcpStream};

const HELP: &str = "\
usage: tcp_bridge LISTEN TARGET

Takes WebSocket connections at LISTEN (127.0.0.1:6080) and connects each to the TCP server TARGET (host:port).
Binary messages are a stream of bytes, their bounds mean nothing. The subprotocol `binary` is chosen if offered.
  TARGET cannot be reached     the client gets 502 instead of a connection
  TARGET ends its direction    Close frame with 1000; what the client sends before its own still arrives
  client closes                TARGET sees the end of the stream
  client vanishes or errs      TARGET sees a reset, not an end that looks complete
  client sends text            the same, and a Close frame with 1003 for the client
  TARGET resets                Close frame with 1014";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target] = args.as_slice() else {
        println!("{HELP}");
        std::process::exit(if args == ["--help"] { 0 } else { 2 });
    };
    // A stream is one endless message to some clients.
    let config = Config::new().delivery(Delivery::Chunks).max_fragments(u32::MAX);
    let (acceptor, target) = (Arc::new(Acceptor::new().config(config)), Arc::<str>::from(target.as_str()));
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, target) = (acceptor.clone(), target.clone());
                tokio::spawn(async move {
                    match serve(stream, &acceptor, &target).await {
                        Ok(()) => println!("{peer}: done"),
                        Err(error) => println!("{peer}: {error}"),
                    }
                });
            }
            Err(error) => {
                eprintln!("no connection taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, acceptor: &Acceptor, target: &str) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let request = acceptor.read_request(stream).await?;
    let connected = tokio::time::timeout(Duration::from_secs(10), TcpStream::connect(target)).await;
    let mut tcp = match connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
        Ok(tcp) => tcp,
        Err(error) => {
            request.reject(&Response::new(502).body("the target cannot be reached\n")).await?;
            return Err(error.into());
        }
    };
    tcp.set_nodelay(true)?;
    let acceptance = Acceptance::new().subprotocol(request.choose_subprotocol(["binary"]));
    let mut tunnel = request.accept(&acceptance).await?.into_tunnel();
    // Ends when both directions have: the target's end sends a Close frame, the client's is the target's end of stream.
    if let Err(error) = tokio::io::copy_bidirectional(&mut tunnel, &mut tcp).await {
        tcp.set_zero_linger()?;
        let is_text = error.kind() == ErrorKind::InvalidData;
        let code = if is_text { CloseCode::UNSUPPORTED_DATA } else { CloseCode::BAD_GATEWAY };
        let (mut ws, _) = tunnel.into_inner();
        ws.close(code, "").await?;
        return Err(error.into());
    }
    Ok(())
}
