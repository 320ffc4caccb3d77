//! Exit statuses.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use support::{Folder, Outcome, close, closed_with, echo_server, read_head, run, serve, serve_tcp};

fn assert_status(outcome: &Outcome, status: i32, said: &str) {
    assert_eq!(outcome.status, status, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
}

/// Sends these bytes and ends its side, so that the peer reads all of it.
fn answer(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    while stream.read(&mut [0; 1000]).unwrap_or(0) > 0 {}
}

#[test]
fn a_wrong_command_line_is_2() {
    let folder = Folder::new();
    let empty = folder.file("empty.pem", "");
    for (args, said) in [
        (&["nonsense"][..], "URL: "),
        (&["ftp://a/"], "URL: "),
        (&["ws://a/#fragment"], "URL: "),
        (&[], "Usage"),
        (&["ws://a/", "ws://b/"], "Usage"),
        (&["ws://a/", "--nonsense"], "--nonsense"),
        (&["ws://a/", "-H", "no colon"], "NAME: VALUE"),
        (&["ws://a/", "-H", "Upgrade: h2c"], "error: "),
        (&["ws://a/", "-H", "@/does/not/exist"], "/does/not/exist"),
        (&["ws://a/", "-s", "no token"], "error: "),
        (&["ws://a/", "-u", "nobody"], "USER:PASSWORD"),
        (&["ws://a/", "--connect-timeout", "0"], "seconds"),
        (&["ws://a/", "--close-timeout", "0.0001"], "close_timeout"),
        (&["ws://a/", "--proxy", "ftp://p"], "proxy"),
        (&["ws://a/", "--ca", "/does/not/exist"], "/does/not/exist"),
        (&["ws://a/", "--ca", &empty], "no certificate"),
        (&["ws://a/", "--cert", &empty], "no certificate"),
        (&["ws://a/", "--key", &empty], "--cert"),
        (&["ws://a/", "--binary=octal"], "octal"),
    ] {
        assert_status(&run(args, b""), 2, said);
    }
}

#[test]
fn no_secret_is_repeated() {
    let outcome = run(&["-H", "Authorization Bearer hunter2", "ws://a/"], b"");
    assert!(outcome.status == 2 && !outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
}

#[test]
fn no_connection_is_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    // The system accepts, nobody answers.
    assert_status(&run(&[&url, "--connect-timeout", "0.2"], b""), 3, "took too long");
    drop(listener);
    assert_status(&run(&[&url], b""), 3, "cannot connect");
    // A label that is too long for any name, so that no server is asked.
    let name = format!("ws://{}/", "a".repeat(64));
    assert_status(&run(&[&name], b""), 3, "cannot resolve");
    let proxy = url.replace("ws:", "http:");
    assert_status(&run(&["--proxy", &proxy, "ws://a.example/"], b""), 3, "proxy");
}

#[test]
fn tls_with_a_server_that_speaks_none_is_4() {
    let (url, server) = serve_tcp(|stream| answer(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_status(&run(&[&url.replace("ws:", "wss:")], b""), 4, "tls");
    server.join().unwrap();
}

#[test]
fn a_refusal_is_5_and_shown_without_control_characters() {
    let (url, server) = serve_tcp(|mut stream| {
        read_head(&mut stream);
        let head = b"HTTP/1.1 403 No\r\nX-Why: because\r\nContent-Length: 13\r\n\r\n";
        answer(stream, &[&head[..], b"go \x1b[31maway\n"].concat());
    });
    let outcome = run(&[&url], b"");
    assert_status(&outcome, 5, "HTTP 403 No");
    assert!(outcome.stderr.contains("X-Why: because"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("go \\x1b[31maway"), "{}", outcome.stderr);
    server.join().unwrap();

    let (url, server) = serve_tcp(|mut stream| {
        read_head(&mut stream);
        answer(stream, b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    });
    assert_status(&run(&[&url], b""), 5, "Location: /elsewhere");
    server.join().unwrap();
}

#[test]
fn a_broken_protocol_is_6() {
    let (url, server) = serve_tcp(|mut stream| {
        read_head(&mut stream);
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        answer(stream, format!("{head}Sec-WebSocket-Accept: wrong\r\n\r\n").as_bytes());
    });
    assert_status(&run(&[&url], b""), 6, "error: ");
    server.join().unwrap();

    // A reserved opcode; text that is none; a message that is too long.
    for (frame, said) in [
        (&b"\x83\x00"[..], "reserved opcode"),
        (b"\x81\x01\xff", "UTF-8"),
        (b"\x81\x0bhello world", "limit of 10 bytes"),
    ] {
        let (url, server) = serve(|ws| answer(ws.into_parts().transport, frame));
        assert_status(&run(&[&url, "-n", "--max-message", "10"], b""), 6, said);
        server.join().unwrap();
    }
}

#[test]
fn a_lost_connection_is_7() {
    let (url, server) = serve(drop);
    assert_status(&run(&[&url, "-n"], b""), 7, "1006");
    server.join().unwrap();
}

#[test]
fn each_close_code_of_the_peer_has_its_status() {
    for (code, status) in
        [(1000, 0), (1001, 11), (1003, 13), (1008, 18), (1011, 21), (1014, 24), (3000, 30), (4321, 40)]
    {
        let (url, server) = serve(move |ws| close(ws, code, "so it is"));
        assert_status(&run(&[&url, "-n"], b""), status, "so it is");
        server.join().unwrap();
    }
    let (url, server) = serve(|mut ws| ws.close_without_code());
    assert_status(&run(&[&url, "-n"], b""), 0, "1005");
    server.join().unwrap().unwrap();
}

#[test]
fn the_answer_to_the_own_close_code_is_0() {
    let (url, server) = serve(closed_with);
    assert_status(&run(&[&url, "--commands"], b"/close 4000 bye\n"), 0, "4000");
    assert_eq!(server.join().unwrap(), (4000, "bye".into()));
}

#[test]
fn a_clean_end_is_0() {
    let (url, server) = echo_server();
    assert_status(&run(&[&url], b""), 0, "clean");
    server.join().unwrap();
}
