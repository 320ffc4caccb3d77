//! Reads the sources of the library and fails on a use that points up the layers, and on what must not be in them.
//!
//! The sources are read as tokens, so that comments and strings do not count. Code for tests (`#[cfg(test)]`) is
//! free in what it uses and how it fails.

use std::fs;
use std::path::Path;

/// Lowest first. A module uses its own layer and those above it in this list. A new module needs a line here.
const LAYERS: [&[&str]; 11] = [
    &["redacted", "memory", "close_code", "message", "sink", "role", "error"],
    &["frame"],
    &["utf8"],
    &["deflate", "config"],
    &["connection"],
    &["handshake", "uri"],
    &["http", "guide", "event_loop"],
    &[ENGINE],
    &[CLIENT],
    &[POLL],
    &ADAPTERS,
];
/// These use nothing of each other.
const ADAPTERS: [&str; 2] = ["blocking", "tokio"];
/// What the adapters share.
const ENGINE: &str = "engine";
/// What their clients share.
const CLIENT: &str = "client";
/// What the adapters for asynchronous runtimes share.
const POLL: &str = "poll";
const NEVER_ALLOCATE: [&str; 2] = ["frame", "utf8"];
/// Masking keys come from a generator of the thread, which needs thread-local storage; a pool of compressors needs a lock,
/// and so do compressed forms of a message that are made once for all; buffers wait in their thread; the help for event loops
/// reads and writes.
const MAY_NAME_STD: [&str; 8] = [
    "src/connection/mask_keys.rs",
    "src/connection/prepared.rs",
    "src/deflate/settings.rs",
    "src/event_loop.rs",
    "src/memory/pool.rs",
    "src/memory/queue.rs",
    "src/memory/read_buffer.rs",
    "src/memory/shared_pool.rs",
];
const MAX_LINES: usize = 600;
/// A library has nothing to tell the terminal: not even a close reason (RFC 6455 §5.5.1).
const FORBIDDEN_MACROS: [&str; 8] =
    ["todo", "unimplemented", "dbg", "print", "println", "eprint", "eprintln", "include"];

// conf: CL-20
#[test]
fn sources_keep_to_their_layers() {
    let sources = read_sources();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "run in the package's directory");
    let found = check(&sources);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

struct Source {
    path: String,
    text: String,
}

fn read_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// One line per violation.
fn check(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut test_files = Vec::new();
    let mut parsed = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            found.push(format!("{}: {lines} lines, at most {MAX_LINES}", source.path));
        }
        let all = tokens(&source.text);
        for token in all.iter().filter(|token| token.text == "unsafe") {
            found.push(format!("{}:{}: unsafe code", source.path, token.line));
        }
        let code = without_tests(&all, &module_of(&source.path), &mut test_files);
        parsed.push((source, code));
    }
    let root =
        parsed.iter().find(|(source, _)| source.path == "src/lib.rs").map_or(&[][..], |(_, code)| code);
    if !contains(root, &["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"]) {
        found.push("src/lib.rs: lacks #![forbid(unsafe_code)]".into());
    }
    let exports = exports(root);
    for (source, code) in &parsed {
        let module = module_of(&source.path);
        if test_files.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        let mut file = File { path: &source.path, module, exports: &exports, found: &mut found };
        file.check_words(code);
        if source.path != "src/lib.rs" {
            file.check_paths(code);
        }
    }
    found
}

struct File<'a> {
    path: &'a str,
    module: Vec<String>,
    exports: &'a [(String, String)],
    found: &'a mut Vec<String>,
}

impl File<'_> {
    fn report(&mut self, line: usize, what: &str) {
        self.found.push(format!("{}:{line}: {what}", self.path));
    }

    fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    fn check_words(&mut self, code: &[Token]) {
        let is_root = self.path == "src/lib.rs";
        let is_adapter = [ENGINE, CLIENT, POLL].contains(&self.top()) || ADAPTERS.contains(&self.top());
        let may_name_std = is_root || is_adapter || MAY_NAME_STD.contains(&self.path);
        let never_allocates = NEVER_ALLOCATE.contains(&self.top());
        for (at, token) in code.iter().enumerate() {
            let next = code.get(at + 1).map_or("", |token| token.text.as_str());
            match token.text.as_str() {
                "std" if !may_name_std => self.report(token.line, "names `std`, which only the adapters may"),
                "extern" if next == "crate" && !is_root => {
                    self.report(token.line, "`extern crate` outside lib.rs")
                }
                "alloc" if never_allocates => {
                    self.report(token.line, "names `alloc` in a layer without memory")
                }
                "bytes" if never_allocates && next == "::" => {
                    self.report(token.line, "names `bytes` in a layer without memory");
                }
                "path" if next == "=" && at > 0 && code[at - 1].text == "[" => {
                    self.report(token.line, "`#[path]` hides a module from this check");
                }
                "unwrap" if next == "(" && at > 0 && code[at - 1].text == "." => {
                    self.report(token.line, "`.unwrap()`");
                }
                "&" if next == "let" => {
                    self.report(token.line, "a `let` behind `&&` needs a newer compiler than the MSRV");
                }
                word if next == "!" && FORBIDDEN_MACROS.contains(&word) => {
                    self.report(token.line, &format!("`{word}!`"));
                }
                _ => {}
            }
        }
    }

    fn check_paths(&mut self, code: &[Token]) {
        let Some(layer) = layer_of(self.top()) else {
            self.report(1, "a module without a layer: give it one in tests/layering.rs");
            return;
        };
        for (line, path) in absolute_paths(code, &self.module) {
            let Some(first) = path.first() else {
                self.report(line, "names the whole crate: name what is used");
                continue;
            };
            let is_module = |name: &str| layer_of(name).is_some();
            let exported =
                self.exports.iter().find(|(name, _)| name == first).map(|(_, module)| module.as_str());
            let Some(target) = Some(first.as_str()).filter(|name| is_module(name)).or(exported) else {
                self.report(line, &format!("`crate::{first}` is in no layer that this check knows"));
                continue;
            };
            let is_beside = ADAPTERS.contains(&target) && target != self.top();
            match layer_of(target) {
                Some(used) if used <= layer && !is_beside => {}
                _ => self.report(
                    line,
                    &format!("`{}` uses `{target}`, which is no layer below it", self.module[0]),
                ),
            }
        }
    }
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// `src/frame/header.rs` is `["frame", "header"]`, `src/frame/mod.rs` and `src/frame.rs` are `["frame"]`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let parts = path.split('/').filter(|part| !matches!(*part, "lib" | "mod"));
    parts.map(String::from).collect()
}

/// What `lib.rs` exports under another path: `pub use sink::{Full, Sink};` gives (Full, sink), (Sink, sink).
fn exports(root: &[Token]) -> Vec<(String, String)> {
    let mut exports = Vec::new();
    for at in (0..root.len()).filter(|&at| root[at].text == "use") {
        let mut end = at + 1;
        for path in use_tree(root, &mut end) {
            let path: Vec<_> =
                path.into_iter().skip_while(|part| part == "crate" || part == "self").collect();
            if let [module, .., name] = path.as_slice() {
                exports.push((name.clone(), module.clone()));
            }
        }
    }
    exports
}

/// All paths of a file that begin with `crate` or `super`, counted from the crate's root.
fn absolute_paths(code: &[Token], file: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    let mut module = file.to_vec();
    let mut inline_ends = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < code.len() {
        let line = code[at].line;
        match code[at].text.as_str() {
            "mod" if code.get(at + 2).is_some_and(|token| token.text == "{") => {
                module.push(code[at + 1].text.clone());
                inline_ends.push(depth);
                at += 1;
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline_ends.last() == Some(&depth) {
                    inline_ends.pop();
                    module.pop();
                }
            }
            "use" => {
                let mut end = at + 1;
                paths.extend(
                    use_tree(code, &mut end).into_iter().filter_map(|path| absolute(path, &module, line)),
                );
                at = end;
                continue;
            }
            // `pub(crate)` and `pub(super)` use nothing.
            "crate" | "super" | "self" if code.get(at + 1).is_some_and(|token| token.text == "::") => {
                let mut path = vec![code[at].text.clone()];
                while code.get(at + 1).is_some_and(|token| token.text == "::") && at + 2 < code.len() {
                    at += 2;
                    path.push(code[at].text.clone());
                }
                paths.extend(absolute(path, &module, line));
            }
            _ => {}
        }
        at += 1;
    }
    paths
}

fn absolute(path: Vec<String>, module: &[String], line: usize) -> Option<(usize, Vec<String>)> {
    let mut from = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "super" | "self" => module.to_vec(),
        _ => return None,
    };
    for part in path {
        match part.as_str() {
            "crate" | "self" => {}
            "super" => drop(from.pop()),
            "*" => break,
            _ => from.push(part),
        }
    }
    Some((line, from))
}

/// The paths of the use tree at `at`, which ends up behind it.
fn use_tree(code: &[Token], at: &mut usize) -> Vec<Vec<String>> {
    let mut prefix = Vec::new();
    while let Some(token) = code.get(*at) {
        match token.text.as_str() {
            "{" => {
                *at += 1;
                let mut paths = Vec::new();
                while code.get(*at).is_some_and(|token| token.text != "}") {
                    for path in use_tree(code, at) {
                        paths.push(prefix.iter().cloned().chain(path).collect());
                    }
                    if code.get(*at).is_some_and(|token| token.text == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return paths;
            }
            "," | "}" | ";" => break,
            "as" => *at += 1,
            "::" => {}
            _ => prefix.push(token.text.clone()),
        }
        *at += 1;
    }
    if prefix.is_empty() { Vec::new() } else { vec![prefix] }
}

/// Drops items under `#[cfg(test)]` or `#[cfg(all(test, …))]`; where such an item is a module of its own file, notes the module.
fn without_tests(code: &[Token], module: &[String], test_files: &mut Vec<Vec<String>>) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let is_test = [&["test", ")"][..], &["all", "(", "test", ","]].into_iter().any(|condition| {
            is_sequence(&code[at..], &["#", "[", "cfg", "("])
                && is_sequence(code.get(at + 4..).unwrap_or_default(), condition)
        });
        if !is_test {
            kept.push(code[at].clone());
            at += 1;
            continue;
        }
        let start = at + code[at..].iter().take_while(|token| token.text != "]").count() + 1;
        let mut depth = 0;
        at = start;
        while at < code.len() {
            match code[at].text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            let ends = depth == 0 && matches!(code[at].text.as_str(), ";" | "}");
            at += 1;
            if ends {
                break;
            }
        }
        let item = &code[start..at];
        if let [.., keyword, name, end] = item
            && keyword.text == "mod"
            && end.text == ";"
        {
            test_files.push(module.iter().cloned().chain([name.text.clone()]).collect());
        }
    }
    kept
}

fn contains(code: &[Token], words: &[&str]) -> bool {
    (0..code.len()).any(|at| is_sequence(&code[at..], words))
}

fn is_sequence(code: &[Token], words: &[&str]) -> bool {
    code.len() >= words.len() && code.iter().zip(words).all(|(token, word)| token.text == *word)
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Words, `::` and single characters. Comments vanish; a string or a character becomes `""`.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (len, is_string) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment_len(rest), false)
        } else if let Some(len) = literal_len(rest) {
            (len, true)
        } else {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let len = if rest.starts_with("::") { 2 } else { word.max(first.len_utf8()) };
            if !first.is_whitespace() {
                tokens.push(Token { text: rest[..len].into(), line });
            }
            (len, false)
        };
        if is_string {
            tokens.push(Token { text: "\"\"".into(), line });
        }
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    tokens
}

fn block_comment_len(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string or character literal that `text` begins with. A lifetime is none.
fn literal_len(text: &str) -> Option<usize> {
    let prefix =
        ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| text.starts_with(prefix)).unwrap_or("");
    let body = &text[prefix.len()..];
    let hashes = body.len() - body.trim_start_matches('#').len();
    if prefix.ends_with('r') && body[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let from = prefix.len() + hashes + 1;
        return Some(text[from..].find(&end).map_or(text.len(), |at| from + at + end.len()));
    }
    let quote = body.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut chars = body.char_indices().skip(1);
    let mut count = 0;
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some(prefix.len() + at + 1);
        }
        // A character literal has one character; what goes on without a quote is a lifetime.
        if quote == '\'' && (count == 1 || c == '\n') {
            return None;
        }
        if c == '\\' {
            let escaped = chars.next().map(|(_, c)| c);
            if quote == '\'' && matches!(escaped, Some('x' | 'u')) {
                return body[at..].find('\'').map(|end| prefix.len() + at + end + 1);
            }
        }
        count += 1;
    }
    None
}

mod the_check_itself {
    use super::{MAX_LINES, Source, check};

    const ROOT: &str =
        "#![forbid(unsafe_code)] extern crate std; pub use sink::{Full, Sink}; pub use blocking::Stream;";

    /// What the check says about one file beside a `lib.rs`.
    fn found(path: &str, text: &str) -> Vec<String> {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        check(&[source("src/lib.rs", ROOT), source(path, text)])
    }

    #[track_caller]
    fn assert_fails(path: &str, text: &str, with: &str) {
        let found = found(path, text);
        assert!(found.len() == 1 && found[0].contains(with), "{text}: expected {with:?}, got {found:?}");
    }

    #[track_caller]
    fn assert_passes(path: &str, text: &str) {
        let found = found(path, text);
        assert!(found.is_empty(), "{text}: {found:?}");
    }

    #[test]
    fn lower_layers_may_be_used() {
        assert_passes("src/connection/mod.rs", "use crate::{frame::{Header, mask}, utf8::Validator, Sink};");
        assert_passes(
            "src/connection/receive.rs",
            "use super::state::State; fn f(h: crate::frame::Header) {}",
        );
        assert_passes(
            "src/frame/mod.rs",
            "use self::header::Header; mod a { pub(crate) use super::Header; }",
        );
        assert_passes("src/handshake/mod.rs", "use crate::uri::Uri; use crate::handshake::key;");
        assert_passes("src/blocking/mod.rs", "use std::io; use crate::connection::Connection;");
        assert_passes("src/tokio/mod.rs", "use crate::engine::Link; use super::tokio::x; use ::tokio::io;");
    }

    #[test]
    fn higher_layers_may_not() {
        for text in [
            "use crate::connection::Connection;",
            "use crate::{close_code::CloseCode, connection::{self, Connection}};",
            "use super::super::connection;",
            "fn f(c: &crate::connection::Connection) {}",
            "mod inner { use super::super::super::connection::Connection; }",
            "mod inner {} fn f() { super::super::connection::g() }",
        ] {
            let fails = found("src/frame/header.rs", text);
            assert!(!fails.is_empty() && fails[0].contains("`frame` uses `connection`"), "{text}: {fails:?}");
        }
        assert_fails("src/utf8.rs", "use super::connection as frame;", "uses `connection`");
        assert_fails("src/connection/mod.rs", "use crate::Stream;", "`connection` uses `blocking`");
        assert_fails("src/handshake/mod.rs", "use crate::blocking::Stream;", "uses `blocking`");
        assert_fails("src/frame/mod.rs", "use crate::*;", "names the whole crate");
        assert_fails("src/frame/mod.rs", "use crate::Unknown;", "in no layer");
        assert_fails("src/engine/mod.rs", "use crate::tokio::Sender;", "`engine` uses `tokio`");
        assert_fails("src/tokio/mod.rs", "use crate::blocking::accept;", "`tokio` uses `blocking`");
        assert_fails("src/other.rs", "", "without a layer");
    }

    #[test]
    fn std_is_the_adapters() {
        assert_fails("src/connection/mod.rs", "use std::vec::Vec;", "names `std`");
        assert_fails("src/connection/mod.rs", "fn f() { ::std::process::exit(1) }", "names `std`");
        assert_fails("src/uri.rs", "extern crate alloc;", "`extern crate`");
        assert_passes("src/connection/mask_keys.rs", "use std::thread_local;");
        assert_passes("src/connection/mod.rs", "#[cfg(feature = \"std\")] mod mask_keys; // std::io");
    }

    #[test]
    fn frame_and_utf8_do_not_allocate() {
        assert_fails("src/frame/mod.rs", "use alloc::vec::Vec;", "names `alloc`");
        assert_fails("src/utf8.rs", "fn f() -> bytes::Bytes { loop {} }", "names `bytes`");
        assert_passes("src/utf8.rs", "fn f(bytes: &[u8]) -> usize { bytes.len() }");
        assert_passes("src/connection/mod.rs", "use alloc::vec::Vec;");
    }

    #[test]
    fn some_words_have_no_place() {
        assert_fails("src/uri.rs", "fn f() { unsafe { g() } }", "unsafe code");
        assert_fails("src/uri.rs", "#[cfg(test)] mod tests { unsafe fn f() {} }", "unsafe code");
        assert_fails("src/uri.rs", "fn f() { todo!() }", "`todo!`");
        assert_fails("src/uri.rs", "fn f() { unimplemented!(\"later\") }", "`unimplemented!`");
        assert_fails("src/uri.rs", "fn f() { println!() }", "`println!`");
        assert_fails("src/uri.rs", "fn f() { g().unwrap() }", "`.unwrap()`");
        assert_fails("src/uri.rs", "fn f() { g()\n    .unwrap() }", "src/uri.rs:2");
        assert_fails("src/uri.rs", "#[path = \"x.rs\"] mod x;", "`#[path]`");
        assert_fails("src/uri.rs", "fn f() { if a && let Some(b) = c {} }", "the MSRV");
        assert_passes("src/uri.rs", "fn f() { g().unwrap_or(1) }");
    }

    #[test]
    fn comments_strings_and_tests_do_not_count() {
        assert_passes("src/uri.rs", "/// `x.unwrap()` /* */\n/* unsafe /* std:: */ todo!() */ fn f() {}");
        assert_passes(
            "src/uri.rs",
            "const A: &str = \"unsafe \\\" todo!()\"; const B: &[u8] = br#\"std::\"\"#;",
        );
        assert_passes(
            "src/uri.rs",
            "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' || c == '\\u{22}' }",
        );
        assert_passes(
            "src/uri.rs",
            "#[cfg(test)] mod tests { use std::vec; #[test] fn f() { g().unwrap() } }",
        );
        assert_passes(
            "src/uri.rs",
            "#[cfg(all(test, feature = \"std\"))] mod tests { fn f() { g().unwrap() } }",
        );
        assert_fails("src/uri.rs", "#[cfg(not(test))] fn f() { g().unwrap() }", "`.unwrap()`");
        // What follows a test block, or a character that looks like the start of a string, is read again.
        assert_fails("src/uri.rs", "#[cfg(test)] mod tests { fn f() {} } fn f() { todo!() }", "`todo!`");
        assert_fails("src/uri.rs", "#[cfg(test)] use core::fmt; fn f() { todo!() }", "`todo!`");
        assert_fails("src/uri.rs", "fn f(c: char) { if c == '\"' { todo!() } }", "`todo!`");
        assert_fails("src/uri.rs", "fn f<'a>(x: &'a str) { todo!() } const C: char = 'a';", "`todo!`");
    }

    #[test]
    fn files_of_tests_are_known_by_their_declaration() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let tests = source("src/frame/tests.rs", "use std::vec; fn f() { g().unwrap() }");
        let declared = source("src/frame/mod.rs", "#[cfg(test)]\nmod tests;");
        let undeclared = source("src/frame/mod.rs", "mod tests;");
        let root = || source("src/lib.rs", ROOT);
        assert!(check(&[root(), declared, tests]).is_empty());
        let tests = source("src/frame/tests.rs", "use std::vec; fn f() { g().unwrap() }");
        assert_eq!(check(&[root(), undeclared, tests]).len(), 2);
    }

    #[test]
    fn sizes_and_the_root_are_checked() {
        assert_passes("src/uri.rs", &"\n".repeat(MAX_LINES));
        assert_fails("src/uri.rs", &"\n".repeat(MAX_LINES + 1), "701 lines");
        let root =
            Source { path: "src/lib.rs".into(), text: "// #![forbid(unsafe_code)]\n#![no_std]".into() };
        assert_eq!(check(&[root]), ["src/lib.rs: lacks #![forbid(unsafe_code)]"]);
    }
}
