//! wscat in a pipe: lines in, messages out.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use sansocket::blocking;
use sansocket::{Event, Message};
use support::{Folder, Running, closed_with, echo, echo_server, read_head, run, serve, serve_tcp};

#[test]
fn lines_go_in_and_messages_come_out_until_the_input_ends() {
    let (url, server) = echo_server();
    let outcome = run(&[&url], "a\n\nzwölf\nno line end".as_bytes());
    assert_eq!((outcome.status, outcome.text()), (0, "a\n\nzwölf\nno line end\n"));
    assert!(outcome.stderr.contains("connected, subprotocol: none"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("closed: 1000"), "{}", outcome.stderr);
    server.join().unwrap();
}

#[test]
fn what_the_server_sends_before_its_answer_is_printed() {
    let (url, server) = serve(|mut ws| {
        assert_eq!(ws.recv().unwrap(), Some("question".into()));
        ws.send("answer").unwrap();
        ws.send("more").unwrap();
        closed_with(ws)
    });
    let outcome = run(&[&url, "-q"], b"question\n");
    assert_eq!((outcome.status, outcome.text(), outcome.stderr.as_str()), (0, "answer\nmore\n", ""));
    assert_eq!(server.join().unwrap().0, 1000);
}

#[test]
fn a_pipe_of_many_lines_stays_in_order() {
    let (url, server) = echo_server();
    let lines: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let outcome = run(&[&url], lines.as_bytes());
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.text() == lines, "{} of {} bytes", outcome.stdout.len(), lines.len());
    server.join().unwrap();
}

#[test]
fn compression_changes_nothing_that_is_seen() {
    let (url, server) = serve_tcp(|stream| {
        let config = sansocket::Config::new().deflate(sansocket::deflate::Deflate::shared());
        let ws = blocking::Acceptor::new().config(config).accept(stream).unwrap();
        echo(ws);
    });
    let outcome = run(&[&url, "-v", "--deflate"], "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n".as_bytes());
    assert_eq!((outcome.status, outcome.stdout.len()), (0, 44));
    assert!(outcome.stderr.contains("< Sec-WebSocket-Extensions: permessage-deflate"), "{}", outcome.stderr);
    server.join().unwrap();
}

#[test]
fn binary_messages_are_lines_of_hex_or_base64() {
    for (args, input, expected) in [
        (vec!["--binary"], "00ff 10\n\n", "00ff10\n\n"),
        (vec!["-b"], "616263\n", "616263\n"),
        (vec!["--binary=base64"], "AP8Q\n", "AP8Q\n"),
        (vec!["--binary", "--binary-out=base64"], "00ff10\n", "AP8Q\n"),
        (vec!["--commands"], "/binary 00ff10\n/base64 AP8Q\n", "00ff10\n00ff10\n"),
        (vec!["--binary"], "0\nzz\n41\n", "41\n"),
    ] {
        let (url, server) = serve(|mut ws| {
            while let Ok(Some((message, mut tx))) = ws.recv_ref() {
                assert!(matches!(message, Message::Binary(_)));
                tx.feed(&message).unwrap();
            }
        });
        let outcome = run(&[&[url.as_str()], &args[..]].concat(), input.as_bytes());
        assert_eq!((outcome.status, outcome.text()), (0, expected), "{args:?}");
        server.join().unwrap();
    }
}

#[test]
fn raw_bytes_go_through_unchanged() {
    let (url, server) = echo_server();
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    let outcome = run(&[&url, "--binary=raw", "-q"], &bytes);
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stdout == bytes, "{} bytes", outcome.stdout.len());
    server.join().unwrap();
}

#[test]
fn text_goes_in_and_raw_bytes_come_out() {
    let (url, server) = serve(|mut ws| {
        assert_eq!(ws.recv().unwrap(), Some("get".into()));
        ws.send(&b"\x00\x01"[..]).unwrap();
        ws.send(&b"\x02\n"[..]).unwrap();
        support::close(ws, 1000, "");
    });
    let outcome = run(&[&url, "--binary-out=raw", "-n"], b"get\n");
    assert_eq!((outcome.status, &outcome.stdout[..]), (0, &b"\x00\x01\x02\n"[..]));
    server.join().unwrap();
}

#[test]
fn once_ends_after_the_first_message() {
    let (url, server) = serve(|mut ws| {
        for text in ["first", "second", "third"] {
            ws.feed(text).unwrap(); // all in one write
        }
        closed_with(ws).0
    });
    let mut running = Running::start(&[&url, "-1"]);
    let outcome = running.wait(); // though the input is open
    assert_eq!((outcome.status, outcome.text()), (0, "first\n"));
    assert_eq!(server.join().unwrap(), 1000);
}

#[test]
fn once_prints_the_answer_that_comes_after_the_end_of_the_input() {
    let (url, server) = serve(|mut ws| {
        let question = ws.recv().unwrap();
        // The Close frame has left wscat by now or leaves soon; the answer comes behind it or not.
        thread::sleep(std::time::Duration::from_millis(100));
        ws.send(question.unwrap()).unwrap();
        ws.send("more").unwrap();
        closed_with(ws).0
    });
    let outcome = run(&[&url, "-q", "-1"], b"hello\n");
    assert_eq!((outcome.status, outcome.text(), outcome.stderr.as_str()), (0, "hello\n", ""));
    assert_eq!(server.join().unwrap(), 1000);
}

#[test]
fn keep_open_leaves_the_closing_to_the_server() {
    let (url, server) = serve(|mut ws| {
        assert_eq!(ws.recv().unwrap(), Some("subscribe".into()));
        for number in 0..3 {
            thread::sleep(std::time::Duration::from_millis(30));
            ws.send(number.to_string()).unwrap();
        }
        support::close(ws, 1000, "");
    });
    let outcome = run(&[&url, "-n"], b"subscribe\n");
    assert_eq!((outcome.status, outcome.text()), (0, "0\n1\n2\n"));
    server.join().unwrap();
}

#[test]
fn commands_are_taken_where_they_are_wanted() {
    let input = "/ping pi\n//slash\n/close 4000 see you\n";
    let (url, server) = serve(|mut ws| {
        let mut seen = Vec::new();
        while let Ok(Some(event)) = ws.recv_event() {
            match event {
                Event::Message(message) => seen.push(message.as_text().unwrap().to_string()),
                Event::Ping(payload) => seen.push(format!("ping {}", payload.escape_ascii())),
                Event::Close(frame) => {
                    seen.push(format!("close {} {}", frame.code.get(), frame.reason.as_str()))
                }
                _ => {}
            }
        }
        seen
    });
    let outcome = run(&[&url, "--commands"], input.as_bytes());
    assert_eq!(outcome.status, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("pong \"pi\" after "), "{}", outcome.stderr);
    assert_eq!(server.join().unwrap(), ["ping pi", "/slash", "close 4000 see you"]);

    let (url, server) = echo_server();
    let outcome = run(&[&url], input.as_bytes());
    assert_eq!((outcome.status, outcome.text()), (0, input));
    server.join().unwrap();
}

#[test]
fn what_cannot_be_sent_is_said_and_the_connection_goes_on() {
    let (url, server) = echo_server();
    let ping = format!("/ping {}\n/close 1005\n/close x\n/nonsense\nstill here\n", "x".repeat(126));
    let outcome = run(&[&url, "--commands"], ping.as_bytes());
    assert_eq!((outcome.status, outcome.text()), (0, "still here\n"));
    for said in ["126 bytes", "1005", "close code must be a number: x", "no such command: /nonsense"] {
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    }
    server.join().unwrap();
}

#[test]
fn messages_are_not_escaped_in_a_pipe_but_control_frames_are() {
    let (url, server) = serve(|mut ws| {
        ws.ping(b"\x1b[2J").unwrap();
        ws.send("\x1b[31mred\u{202e}").unwrap();
        support::close(ws, 1000, "\u{202e}\x1b]0;title\x07");
    });
    let outcome = run(&[&url, "-n"], b"");
    assert_eq!((outcome.status, outcome.text()), (0, "\x1b[31mred\u{202e}\n"));
    assert!(outcome.stderr.contains("ping \"\\x1b[2J\""), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains(['\x1b', '\u{202e}', '\x07']), "{:?}", outcome.stderr);
    server.join().unwrap();
}

#[test]
fn an_input_that_is_no_text_ends_with_2() {
    let (url, server) = echo_server();
    let outcome = run(&[&url], b"good\n\xff\xfe\nnever read\n");
    assert_eq!((outcome.status, outcome.text()), (2, "good\n"));
    assert!(outcome.stderr.contains("input: "), "{}", outcome.stderr);
    server.join().unwrap();
}

#[test]
fn the_request_carries_what_the_command_line_says() {
    let folder = Folder::new();
    let headers = folder.file("headers", "X-Key: from a file\n\nX-Other: 2\n");
    let (url, server) = serve_tcp(|mut stream| read_head(&mut stream));
    let url = url.replace("ws://", "ws://me:s%20ecret@");
    let args = ["-v", "-H", "X-A: 1", "--header", &format!("@{headers}"), "-s", "v2,v1", "-s", "v0"];
    let more = ["-o", "https://page.example", "--host", "virtual.example", url.as_str()];
    let outcome = run(&[&args[..], &more[..]].concat(), b"");
    let head = server.join().unwrap();
    for line in [
        "GET / HTTP/1.1",
        "Host: virtual.example",
        "Origin: https://page.example",
        "Sec-WebSocket-Protocol: v2, v1, v0",
        "X-A: 1",
        "X-Key: from a file",
        "X-Other: 2",
        "Authorization: Basic bWU6cyBlY3JldA==",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
        assert!(outcome.stderr.contains(&format!("> {line}\n")), "{line}: {}", outcome.stderr);
    }
    for (args, value) in [
        (["--bearer", "0815"], "Bearer 0815"),
        (["-u", "me:a:b"], "Basic bWU6YTpi"),
        (["--auth", "me:"], "Basic bWU6"),
    ] {
        let (url, server) = serve_tcp(|mut stream| read_head(&mut stream));
        run(&[&args[..], &[&url]].concat(), b"");
        let head = server.join().unwrap();
        assert!(head.contains(&format!("Authorization: {value}\r\n")), "{head}");
    }
}

#[test]
fn verbose_shows_the_head_of_the_response() {
    let (url, server) = echo_server();
    let outcome = run(&[&url, "-v"], b"");
    for line in ["< HTTP/1.1 101 Switching Protocols", "< Upgrade: websocket", "* TCP to 127.0.0.1:"] {
        assert!(outcome.stderr.contains(line), "{line}: {}", outcome.stderr);
    }
    server.join().unwrap();
}

#[test]
fn a_reader_that_is_gone_ends_it() {
    let (url, server) = serve(|mut ws| while ws.send("more and more").is_ok() {});
    let mut child = support::wscat(&[&url, "-n"]).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(support::wait(&mut child), 0);
    server.join().unwrap();
}

#[test]
fn a_lost_connection_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut first = blocking::accept(listener.accept().unwrap().0).unwrap();
        assert_eq!(first.recv().unwrap(), Some("one".into()));
        first.send("first").unwrap();
        drop(first);
        let mut second = blocking::accept(listener.accept().unwrap().0).unwrap();
        second.send("second").unwrap();
        support::close(second, 1000, "");
    });
    let mut running = Running::start(&[url.as_str(), "--reconnect"]);
    running.write(b"one\n");
    let outcome = running.wait();
    assert_eq!((outcome.status, outcome.text()), (0, "first\nsecond\n"));
    assert!(outcome.stderr.contains("connecting again in"), "{}", outcome.stderr);
    server.join().unwrap();
}

#[cfg(unix)]
mod signals {
    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    fn interrupt(running: &Running, signal: Signal) {
        kill_process(Pid::from_child(&running.child), signal).unwrap();
    }

    #[test]
    fn the_first_one_closes() {
        for signal in [Signal::INT, Signal::TERM] {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let (url, server) = serve(move |mut ws| {
                ws.recv().unwrap();
                ready.send(()).unwrap();
                closed_with(ws).0
            });
            let mut running = Running::start(&[&url]);
            running.write(b"hello\n");
            is_ready.recv_timeout(support::LIMIT).unwrap();
            interrupt(&running, signal);
            assert_eq!((running.wait().status, server.join().unwrap()), (0, 1000));
        }
    }

    /// A server that answers no Close frame. It says when it has received "hello", and when something else.
    fn stubborn() -> (String, std::sync::mpsc::Receiver<()>, thread::JoinHandle<()>) {
        let (seen, sees) = std::sync::mpsc::channel();
        let (url, server) = serve(move |ws| {
            let mut stream = ws.into_parts().transport;
            stream.read_exact(&mut [0; 2 + 4 + 5]).unwrap();
            while seen.send(()).is_ok() && stream.read(&mut [0; 100]).unwrap_or(0) > 0 {}
        });
        (url, sees, server)
    }

    #[test]
    fn the_second_one_ends_at_once() {
        let (url, sees, server) = stubborn();
        let mut running = Running::start(&[&url]);
        running.write(b"hello\n");
        sees.recv_timeout(support::LIMIT).unwrap();
        interrupt(&running, Signal::INT);
        sees.recv_timeout(support::LIMIT).unwrap();
        interrupt(&running, Signal::INT);
        assert_eq!(running.wait().status, 130);
        drop(sees);
        server.join().unwrap();
    }

    /// Reads nothing at all; the last thing that is to be sent waits inside of wscat.
    #[test]
    fn a_peer_that_takes_no_data_keeps_nobody_from_ending() {
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let (url, server) = serve(move |_ws| is_done.recv().unwrap_err());
        let mut running = Running::start(&[&url, "--binary=raw", "--commands", "--ping", "0.05"]);
        let mut stdin = running.child.stdin.take().unwrap();
        let (writing, writes) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let block = vec![0; 64 << 10];
            while stdin.write_all(&block).is_ok() && writing.send(()).is_ok() {}
        });
        // It takes no more.
        while writes.recv_timeout(std::time::Duration::from_secs(1)).is_ok() {}
        interrupt(&running, Signal::INT);
        thread::sleep(std::time::Duration::from_millis(300));
        interrupt(&running, Signal::INT);
        assert_eq!(running.wait().status, 130);
        drop(done);
        server.join().unwrap();
    }

    #[test]
    fn the_close_timeout_bounds_the_waiting() {
        let (url, _sees, server) = stubborn();
        let outcome = run(&[&url, "--close-timeout", "0.2"], b"hello\n");
        assert_eq!(outcome.status, 7, "{}", outcome.stderr);
        server.join().unwrap();
    }

    #[test]
    fn before_the_connection_is_open_it_ends_with_130() {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (url, server) = serve_tcp(move |mut stream| {
            read_head(&mut stream);
            ready.send(()).unwrap();
            stream.read(&mut [0]).unwrap_or(0)
        });
        let mut running = Running::start(&[&url]);
        is_ready.recv_timeout(support::LIMIT).unwrap();
        interrupt(&running, Signal::INT);
        assert_eq!(running.wait().status, 130);
        server.join().unwrap();
    }

    #[test]
    fn two_end_it_though_nobody_reads_its_output() {
        let (url, server) = serve(|mut ws| while ws.send("x".repeat(10_000)).is_ok() {});
        let mut child = support::wscat(&[&url, "-n"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        // Whatever it is doing: the pipe fills within moments, and this must not depend on that.
        thread::sleep(std::time::Duration::from_millis(200));
        kill_process(pid, Signal::INT).unwrap();
        thread::sleep(std::time::Duration::from_millis(100));
        let _ = kill_process(pid, Signal::INT);
        assert_eq!(support::wait(&mut child), 130);
        drop(stdout);
        server.join().unwrap();
    }
}

#[test]
fn help_is_for_the_standard_output() {
    let outcome = run(&["--help"], b"");
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    for word in ["/ping", "--cert", "Exit status", "Examples", "Ctrl-C", "--binary", "HTTPS_PROXY"] {
        assert!(outcome.text().contains(word), "{word}");
    }
    let mut version = support::wscat(&["--version"]).spawn().unwrap();
    version.stdin.take().unwrap().flush().unwrap();
    assert_eq!(support::wait(&mut version), 0);
}
