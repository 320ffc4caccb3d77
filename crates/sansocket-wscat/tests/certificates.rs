//! TLS: whom wscat trusts, and the certificate of its own.

mod support;

use std::sync::Arc;
use std::thread::JoinHandle;

use sansocket::blocking;
use sansocket::client::tls::rustls::ServerConfig;
use support::tls::{Authority, server_stream};
use support::{Folder, echo, run, serve_tcp};

/// An echo server over TLS; it returns the number of certificates that the client showed, or why it failed.
fn serve(config: Arc<ServerConfig>) -> (String, JoinHandle<Result<usize, String>>) {
    let (url, server) = serve_tcp(move |stream| {
        let ws = blocking::accept(server_stream(config, stream)).map_err(|error| error.to_string())?;
        let count = ws.transport().conn.peer_certificates().map_or(0, <[_]>::len);
        echo(ws);
        Ok(count)
    });
    let port = url.trim_end_matches('/').rsplit_once(':').unwrap().1.to_string();
    (format!("wss://localhost:{port}/"), server)
}

#[test]
fn an_own_authority_is_trusted_and_no_other() {
    let (folder, authority) = (Folder::new(), Authority::new("one"));
    let ca = folder.file("ca.pem", &authority.pem);
    let other = folder.file("other.pem", Authority::new("another").pem);
    for (args, status) in [
        (&["--ca", &ca][..], 0),
        (&["--cacert", &ca], 0),
        (&["--insecure"], 0),
        (&["-k"], 0),
        (&["--ca", &other], 4),
        (&[], 4),
        (&["--system-ca"], 4),
    ] {
        let (url, server) = serve(authority.server(None));
        let outcome = run(&[args, &[&url]].concat(), b"hello\n");
        assert_eq!(outcome.status, status, "{args:?}: {}", outcome.stderr);
        assert_eq!(outcome.text(), if status == 0 { "hello\n" } else { "" });
        assert_eq!(server.join().unwrap().is_ok(), status == 0);
    }
}

#[test]
fn verbose_shows_the_version_of_tls() {
    let (folder, authority) = (Folder::new(), Authority::new("one"));
    let ca = folder.file("ca.pem", &authority.pem);
    let (url, server) = serve(authority.server(None));
    let outcome = run(&["-v", "--ca", &ca, &url], b"");
    assert!(outcome.stderr.contains("* TLSv1_3, TLS13_"), "{}", outcome.stderr);
    server.join().unwrap().unwrap();
}

#[test]
fn the_own_certificate_is_shown() {
    let (folder, authority, clients) = (Folder::new(), Authority::new("servers"), Authority::new("clients"));
    let ca = folder.file("ca.pem", &authority.pem);
    let me = clients.identity("me");
    let (cert, key) = (folder.file("me.pem", &me.certificate), folder.file("me.key", &me.key));
    let both = folder.file("both.pem", format!("{}{}", me.certificate, me.key));
    for args in [&["--cert", &cert, "--key", &key][..], &["-E", &both]] {
        let (url, server) = serve(authority.server(Some(&clients)));
        let outcome = run(&[args, &["--ca", &ca, &url]].concat(), b"hello\n");
        assert_eq!((outcome.status, outcome.text()), (0, "hello\n"), "{}", outcome.stderr);
        assert_eq!(server.join().unwrap(), Ok(1));
    }
}

#[test]
fn a_certificate_that_is_missing_or_of_the_wrong_authority_is_4() {
    let (folder, authority, clients) = (Folder::new(), Authority::new("servers"), Authority::new("clients"));
    let ca = folder.file("ca.pem", &authority.pem);
    let stranger = authority.identity("stranger");
    let both = folder.file("stranger.pem", format!("{}{}", stranger.certificate, stranger.key));
    for args in [&["--cert", &both][..], &[]] {
        let (url, server) = serve(authority.server(Some(&clients)));
        let outcome = run(&[args, &["--ca", &ca, &url]].concat(), b"hello\n");
        assert_eq!(outcome.status, 4, "{args:?}: {}", outcome.stderr);
        assert!(server.join().unwrap().is_err());
    }
}

#[test]
fn a_key_that_does_not_fit_is_a_usage_error() {
    let (folder, clients) = (Folder::new(), Authority::new("clients"));
    let (me, you) = (clients.identity("me"), clients.identity("you"));
    let (cert, key) = (folder.file("me.pem", me.certificate), folder.file("you.key", you.key));
    let outcome = run(&["--cert", &cert, "--key", &key, "wss://localhost:1/"], b"");
    assert_eq!(outcome.status, 2, "{}", outcome.stderr);
    let outcome = run(&["--cert", &cert, "wss://localhost:1/"], b"");
    assert!(outcome.status == 2 && outcome.stderr.contains("private key"), "{}", outcome.stderr);
}
