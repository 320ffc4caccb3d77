//! No debug form and no error of the adapters shows what passes through a connection, or a credential; see
//! `debug_output.rs`.
#![cfg(feature = "rand")]

mod debug_support;

use core::time::Duration;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

#[cfg(feature = "tokio")]
use debug_support::MARK;
use debug_support::{check, check_error, compressions, mark, pair};
use sansocket::blocking::{self, Acceptor, Connector, Error, Incoming, Pipe, Reconnecting, WebSocket, pipe};
use sansocket::client::{ConnectError, Proxy, ProxySettings, Reconnect, WhileAway};
use sansocket::handshake::{Acceptance, ClientRequest, ClientStep, Response};
use sansocket::{Config, Kind, WebSocketUri};

/// Both ends over a pipe, compressed and not.
fn ends() -> Vec<(WebSocket<Pipe>, WebSocket<Pipe>, &'static str)> {
    let open = |(config, what): (Config, _)| {
        let ((here, there), (client, server)) = (pipe(), pair(&config));
        (WebSocket::over(here, client), WebSocket::over(there, server), what)
    };
    compressions(&Config::new().close_timeout(Duration::from_millis(20))).into_iter().map(open).collect()
}

/// The head of a request with the mark in all that may be a secret.
fn request(extra: &str) -> String {
    let m = mark(40);
    format!(
        "GET /chat?token={m} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {m}\r\nCookie: id={m}\r\n\
         Sec-WebSocket-Protocol: chat, {m}\r\nX-{extra}: {m}\r\nOrigin: http://{m}\r\n"
    )
}

fn upgrade() -> String {
    request("Extra")
        + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
           Sec-WebSocket-Key: UXhadlF4WnZReFp2UXhadg==\r\n\r\n"
}

fn connector() -> Connector {
    let m = mark(40);
    Connector::new(format!("ws://localhost/chat?token={m}"))
        .header("Authorization", format!("Bearer {m}"))
        .header("Cookie", &m)
        .origin(format!("http://{m}"))
        .subprotocol(&m)
        .proxy(Proxy::parse(&format!("http://{m}:{m}@localhost:1")).unwrap())
}

#[test]
fn blocking_connections_show_nothing() {
    // What another connection received stays in the memory of the thread.
    for (mut client, mut server, what) in ends() {
        for kind in [Kind::Text, Kind::Binary] {
            let text = mark(30_000);
            let message = || match kind {
                Kind::Text => sansocket::Message::from(text.as_str()),
                Kind::Binary => text.as_bytes().into(),
            };
            client.send(message()).unwrap();
            check(&server.recv().unwrap().map(|message| message.len()), what);
            server.send(message()).unwrap();
            check(&client.recv().unwrap().map(|message| message.len()), what);
            server.feed(message()).unwrap();
            client.feed(message()).unwrap();
            check(&client, what);
            check(&server, what);
            server.flush().unwrap();
            client.flush().unwrap();
            let (_, sender) = client.recv_ref().unwrap().unwrap();
            check(&sender, what);
            _ = server.recv().unwrap();
        }
        check(&server.message_writer(Kind::Binary), what);
        half_a_message(&mut client, &mut server, what);
    }
}

#[test]
fn the_parts_of_a_connection_show_nothing() {
    for (mut client, mut server, what) in ends() {
        server.feed(mark(90)).unwrap();
        server
            .transport_mut()
            .write_all(&[&[0x81, 100], mark(100).as_bytes(), &[0x81, 100]].concat())
            .unwrap();
        _ = client.recv().unwrap();
        client.feed(mark(90)).unwrap();
        check(&client.into_parts(), what);
        check(&server.into_parts(), what);
    }
}

/// A message of which a part is in the buffer, one is gathered, and its end has not come; then a Close.
fn half_a_message(client: &mut WebSocket<Pipe>, server: &mut WebSocket<Pipe>, what: &str) {
    let text = mark(100);
    let frame = [&[0x01, 100][..], text.as_bytes(), &[0x80, 100], &text.as_bytes()[..50]].concat();
    server.transport_mut().write_all(&[&[0x81, 100], text.as_bytes(), &frame].concat()).unwrap();
    // The first message is lent, the others lie behind it unread.
    let (_, sender) = client.recv_ref().unwrap().unwrap();
    check(&sender, what);
    check(client, what);
    assert!(matches!(client.recv_timeout(Duration::from_millis(5)), Err(Error::TimedOut)));
    check(client, what);
    client.start_close(sansocket::CloseCode::NORMAL, &text[..99]).unwrap();
    check(client, what);
    check(server, what);
    assert_eq!(server.recv().unwrap(), None);
    check(server, what);
}

#[test]
fn large_messages_in_the_queue_are_not_shown() {
    for (mut client, mut server, what) in ends() {
        let text = mark(90_000);
        server.feed(bytes::Bytes::from(text.clone())).unwrap();
        server.feed(text.as_str()).unwrap();
        client.feed(text.as_str()).unwrap();
        check(&server, what);
        check(&client, what);
        check(&server.into_parts(), what);
    }
}

#[test]
fn blocking_openings_of_a_server_show_nothing() {
    let head = upgrade();
    let (mut there, here) = pipe();
    there.write_all(&head.as_bytes()[..head.len() - 9]).unwrap();
    let mut opening = Acceptor::new().begin(here);
    check(&opening, "nothing read");
    there.write_all(&head.as_bytes()[head.len() - 9..]).unwrap();
    there.write_all(mark(200).as_bytes()).unwrap();
    let pending = opening.proceed().unwrap();
    check(&pending, "request");
    check(pending.head(), "head");
    let undecided = pending.accept(&Acceptance::new().subprotocol("none")).unwrap_err();
    check(&undecided, "undecided");
    let pending = undecided.pending.unwrap();
    let acceptance = Acceptance::new().subprotocol(mark(40).as_str()).header("Set-Cookie", mark(40));
    check(&acceptance, "acceptance");
    let ws = pending.accept(&acceptance).unwrap();
    assert_eq!(ws.subprotocol(), Some(mark(40).as_str()));
    check(&ws, "open");
    check(&ws.into_parts(), "parts");
}

#[test]
fn blocking_refusals_of_a_server_show_nothing() {
    for head in [request("A") + "\r\n", upgrade().replace("GET ", "POST "), upgrade().replace("13\r", "12\r")]
    {
        let (mut there, here) = pipe();
        there.write_all(head.as_bytes()).unwrap();
        let reader = thread::spawn(move || there.read_to_end(&mut Vec::new()));
        let incoming = Acceptor::new().read(here);
        check(&incoming, "incoming");
        match incoming {
            Ok(Incoming::Plain(plain)) => {
                check(plain.head(), "plain head");
                let response = Response::new(401).header("Set-Cookie", mark(40)).body(mark(40));
                check(&response, "response");
                plain.respond(&response).unwrap();
            }
            Ok(_) => panic!("no websocket was asked for"),
            Err(error) => check_error(&error, "refused"),
        }
        _ = reader.join();
    }
    let (mut there, here) = pipe();
    there.write_all(request("A").as_bytes()).unwrap();
    drop(there);
    check_error(&Acceptor::new().accept(here).unwrap_err(), "cut");
}

#[test]
fn clients_that_wait_for_an_answer_show_nothing() {
    let (here, mut there) = pipe();
    let connector = connector();
    check(&connector, "connector");
    let mut connecting = connector.begin(Brief(here, 0)).unwrap();
    check(&connecting, "nothing written");
    assert!(matches!(connecting.proceed(), Err(Error::WouldBlock)));
    check(&connecting, "half of the request written");
    drop(connecting);
    there.read_to_end(&mut Vec::new()).unwrap();

    let mut request = Vec::new();
    let asked = ClientRequest::new(WebSocketUri::parse("ws://localhost/").unwrap())
        .subprotocol(mark(40))
        .header("Authorization", mark(40));
    check(&asked, "client request");
    let handshake = asked.start(*b"QxZvQxZvQxZvQxZv", Duration::ZERO, &mut request).unwrap();
    check(&handshake, "client handshake");
    let begin =
        format!("HTTP/1.1 401 Who\r\nSet-Cookie: {}\r\nContent-Length: 80\r\n\r\n{}", mark(40), mark(60));
    let Ok(step) = handshake.receive(Duration::ZERO, begin.as_bytes()) else { panic!() };
    check(&step, "half of a refusal");
    let ClientStep::NeedMore(handshake) = step else { panic!() };
    let refusal = handshake.handle_eof().unwrap();
    check(&refusal, "refusal");
    check(&refusal.head(), "head of a refusal");
    let token =
        ClientRequest::new(WebSocketUri::parse("ws://localhost/").unwrap()).subprotocol(mark(40) + "==");
    check_error(&token.start([0; 16], Duration::ZERO, &mut request).unwrap_err(), "a token that is none");
}

/// Takes a few bytes, then would block.
#[derive(Debug)]
struct Brief(Pipe, usize);

impl Read for Brief {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Brief {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1 += 1;
        if self.1 > 3 {
            Err(std::io::ErrorKind::WouldBlock.into())
        } else {
            self.0.write(&bytes[..bytes.len().min(9)])
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl blocking::Transport for Brief {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> std::io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) -> std::io::Result<()> {
        Ok(())
    }

    fn shutdown_write(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Answers one connection with `response` once its head has come.
fn answering(response: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
            head.push(byte[0]);
        }
        _ = stream.write_all(response.as_bytes());
    });
    port
}

#[test]
fn errors_of_clients_show_no_credentials() {
    let m = mark(40);
    let answer = |status: &str| {
        format!(
            "HTTP/1.1 {status}\r\nLocation: ws://{m}/?{m}\r\nSet-Cookie: {m}\r\nContent-Length: 40\r\n\r\n{m}"
        )
    };
    for status in ["401 Who", "302 There", "101 Yes", "700 What"] {
        let url = format!("ws://127.0.0.1:{}/?{m}", answering(answer(status)));
        let asked = Connector::new(url).no_proxy().header("Authorization", &m).subprotocol(&m);
        check_error(&asked.clone().connect().unwrap_err(), status);
        check(&asked, status);
    }
    for status in ["407 Who", "200 Fine"] {
        let proxy = format!("http://{m}:{m}@127.0.0.1:{}", answering(answer(status)));
        let asked = Connector::new(format!("ws://localhost/?{m}")).proxy(proxy.as_str());
        check(&asked, status);
        check_error(&asked.connect().unwrap_err(), status);
    }
    for url in [
        format!("http://{m}:{m}@localhost:99999"),
        format!("ftp://{m}:{m}@localhost"),
        format!("http://{m}:%{m}@x"),
    ] {
        check_error(&Proxy::parse(&url).unwrap_err(), "proxy url");
        let settings = ProxySettings::from_lookup(|name| {
            name.to_lowercase()
                .ends_with("_proxy")
                .then(|| url.clone())
                .filter(|_| name.to_lowercase() != "no_proxy")
        });
        check(&settings, "proxy settings");
        let asked = Connector::new(format!("ws://server.example/?{m}")).proxies(settings);
        check(&asked, "connector");
        let Error::Connect(error) = asked.connect().unwrap_err() else { panic!() };
        assert!(matches!(*error, ConnectError::ProxyUrl(_)));
        check_error(&*error, "proxy url");
    }
    for url in [
        format!("ws://{m}:{m}@localhost/"),
        format!("http://localhost/?{m}"),
        format!("ws://localhost/?{m} "),
    ] {
        check_error(&Connector::new(url).connect().unwrap_err(), "url");
    }
}

#[test]
fn clients_that_connect_again_show_nothing() {
    let policy = Reconnect::new().while_away(WhileAway::Queue(9));
    let mut ws = Reconnecting::with_connector(policy, connector());
    ws.send(mark(50)).unwrap();
    check(&ws, "waiting");
    let policy = Reconnect::new().while_away(WhileAway::Queue(9));
    let mut ws = Reconnecting::new(policy, || {
        let (here, there) = pipe();
        thread::spawn(move || blocking::accept(there)?.recv());
        Connector::new("ws://localhost/").connect_over(here)
    });
    ws.send(mark(50)).unwrap();
    check(&ws.connected().unwrap(), "connected");
    check(&ws, "open");
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use sansocket::tokio::{self as adapter, Acceptor, Connector, Incoming, Reconnecting, WebSocket};
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    fn ends() -> Vec<(WebSocket<tokio::io::DuplexStream>, WebSocket<tokio::io::DuplexStream>, &'static str)> {
        let open = |(config, what): (Config, _)| {
            let ((here, there), (client, server)) = (duplex(64 << 10), pair(&config));
            (WebSocket::over(here, client), WebSocket::over(there, server), what)
        };
        compressions(&Config::new()).into_iter().map(open).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn connections_show_nothing() {
        for (mut client, mut server, what) in ends() {
            for len in [10, 1000, 30_000] {
                client.send(mark(len)).await.unwrap();
                check(&client, what);
                check(&server.recv().await.unwrap().map(|message| message.len()), what);
                server.send(mark(len).into_bytes()).await.unwrap();
                check(&server, what);
                let (_, mut sender) = client.recv_ref().await.unwrap().unwrap();
                sender.feed(mark(len)).await.unwrap();
                check(&sender, what);
                check(&client, what);
                client.flush().await.unwrap();
                check(&client.message_writer(Kind::Text), what);
            }
            let text = mark(100);
            let bytes =
                [&[0x81, 100][..], text.as_bytes(), &[0x01, 100], text.as_bytes(), &[0x80, 100, MARK[0]]]
                    .concat();
            server.stream_mut().write_all(&bytes).await.unwrap();
            let (_, sender) = client.recv_ref().await.unwrap().unwrap();
            check(&sender, what);
            check(&client, what);
            let cut = tokio::time::timeout(Duration::from_millis(1), client.recv()).await;
            assert!(cut.is_err());
            check(&client, what);
            let (receiver, sender) = client.split();
            sender.try_feed(text.as_str()).unwrap();
            check(&receiver, what);
            check(&sender, what);
            let client = receiver.reunite(sender).unwrap();
            check(&client.into_parts(), what);
            check(&server, what);
            check(&server.into_parts(), what);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tunnels_show_nothing() {
        use tokio::io::AsyncReadExt;

        for (client, mut server, what) in ends() {
            let mut tunnel = client.into_tunnel();
            server.send(mark(200).into_bytes()).await.unwrap();
            let mut few = [0; 9];
            tunnel.read_exact(&mut few).await.unwrap();
            check(&tunnel, what);
            tunnel.write_all(mark(200).as_bytes()).await.unwrap();
            check(&tunnel, what);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn openings_show_nothing() {
        let (mut there, here) = duplex(64 << 10);
        there.write_all((upgrade() + &mark(200)).as_bytes()).await.unwrap();
        let pending = Acceptor::new().read_request(here).await.unwrap();
        check(&pending, "request");
        let undecided = pending.accept(&Acceptance::new().subprotocol("none")).await.unwrap_err();
        check(&undecided, "undecided");
        check_error(&undecided.error, "undecided");
        let ws = undecided.pending.accept(&Acceptance::new().subprotocol(mark(40).as_str())).await.unwrap();
        check(&ws, "open");

        let (mut there, here) = duplex(64 << 10);
        there.write_all((request("A") + "\r\n").as_bytes()).await.unwrap();
        let incoming = Acceptor::new().read(here).await.unwrap();
        check(&incoming, "plain");
        let Incoming::Plain(plain) = incoming else { panic!() };
        check_error(&plain.refuse().await, "refused");

        let m = mark(40);
        let asked =
            Connector::new(format!("ws://localhost/?{m}")).header("Authorization", &m).subprotocol(&m);
        check(&asked, "connector");
        let (mut there, here) = duplex(64 << 10);
        let refusal = format!("HTTP/1.1 403 No\r\nSet-Cookie: {m}\r\nContent-Length: 40\r\n\r\n{m}");
        there.write_all(refusal.as_bytes()).await.unwrap();
        check_error(&asked.connect_over(here).await.unwrap_err(), "refusal");
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_connect_again_show_nothing() {
        let policy = Reconnect::new().while_away(WhileAway::Queue(9));
        let mut ws = Reconnecting::new(policy, || async {
            let (here, there) = duplex(64 << 10);
            tokio::spawn(async move { adapter::accept(there).await?.recv().await });
            Connector::new("ws://localhost/").connect_over(here).await
        });
        ws.send(mark(50)).await.unwrap();
        check(&ws, "waiting");
        check(&ws.connected().await.unwrap(), "connected");
        check(&ws, "open");
    }
}
