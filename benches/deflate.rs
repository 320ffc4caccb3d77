//! A compressed echo of messages like those of JSON interfaces, beside what the compression library takes for the same
//! bytes by itself: the limit that no connection can be below. The overhead is that of the minima, which the rest of the
//! machine disturbs least.
//!
//! `LEVEL=6 MEMORY=8 cargo bench --features deflate --bench deflate` takes other settings than the defaults.

use core::hint::black_box;
use core::time::Duration;
use std::time::Instant;

use sansocket::deflate::{Context, Deflate};
use sansocket::frame::apply_mask;
use sansocket::handshake::{Extensions, Offer};
use sansocket::{Config, Connection, Event, Input};
use zlib_rs::{DeflateConfig, DeflateFlush, Inflate, InflateFlush};

const NOW: Duration = Duration::ZERO;
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// How many messages there are, all different, sent one after the other and again from the start.
const MESSAGES: usize = 64;

/// Orders and prices, `len` bytes of them.
fn json(seed: usize, len: usize) -> Vec<u8> {
    let mut text = String::from("[");
    let mut state = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while text.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, price, size) = (state >> 40, (state >> 20) % 10_000_000, (state >> 8) % 1000);
        let (side, user) = (if state >> 63 == 0 { "buy" } else { "sell" }, state >> 52);
        text += &format!(
            r#"{{"id":{id},"user":"user-{user}","symbol":"BTC-USD","side":"{side}","price":{price}.25,"size":{size}}},"#
        );
    }
    text.truncate(len);
    text.into_bytes()
}

struct Library {
    deflate: zlib_rs::Deflate,
    inflate: Inflate,
    takeover: bool,
    buffer: Vec<u8>,
    inflated: Vec<u8>,
}

impl Library {
    fn new(settings: Settings) -> Self {
        let config = DeflateConfig {
            level: settings.level,
            window_bits: -settings.bits,
            mem_level: settings.memory,
            ..DeflateConfig::default()
        };
        Self {
            deflate: zlib_rs::Deflate::new_with_config(config),
            inflate: Inflate::new(false, 15),
            takeover: settings.context == Context::Dedicated,
            buffer: vec![0; 64 << 10],
            inflated: vec![0; 64 << 10],
        }
    }

    /// The payload of a message.
    fn compress(&mut self, message: &[u8]) -> &[u8] {
        if !self.takeover {
            self.deflate.reset();
        }
        let before = self.deflate.total_out();
        self.deflate.compress(message, &mut self.buffer, DeflateFlush::SyncFlush).unwrap();
        let len = (self.deflate.total_out() - before) as usize;
        &self.buffer[..len - 4]
    }

    /// Payload in, payload out, as an echo does it; `data` ends in the tail.
    fn echo(&mut self, data: &[u8]) -> usize {
        if !self.takeover {
            self.inflate.reset(false);
        }
        let before = self.inflate.total_out();
        self.inflate.decompress(data, &mut self.inflated, InflateFlush::SyncFlush).unwrap();
        let len = (self.inflate.total_out() - before) as usize;
        let inflated = std::mem::take(&mut self.inflated);
        let sent = self.compress(&inflated[..len]).len();
        self.inflated = inflated;
        sent
    }
}

#[derive(Clone, Copy)]
struct Settings {
    context: Context,
    level: i32,
    memory: i32,
    bits: i32,
}

fn server(settings: Settings) -> Connection {
    let deflate = match settings.context {
        Context::Shared => Deflate::shared(),
        Context::Dedicated => Deflate::dedicated(),
    };
    let bits = settings.bits as u8;
    let deflate = deflate.window_bits(bits).peer_window_bits(bits).threshold(0);
    let deflate = deflate.level(settings.level as u8).memory_level(settings.memory as u8);
    let headers: [(&str, &[u8]); 2] = [
        ("sec-websocket-version", b"13"),
        ("sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
    ];
    let offer = Offer::from_headers(headers).unwrap();
    let (extension, agreed) = offer.choose_deflate(&deflate).unwrap();
    offer.negotiate(None, Extensions::from_iter([extension])).unwrap();
    Connection::server(Config::new().deflate(deflate), NOW).with_deflate(agreed)
}

fn echo(connection: &mut Connection, frame: &mut [u8], out: &mut Vec<u8>) {
    let mut input = Input::new(frame);
    while let Some(event) = connection.receive(NOW, &mut input, out).unwrap() {
        if let Event::Message(message) = event {
            connection.send(&message, out).unwrap();
        }
    }
}

fn masked_frame(payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![0xC1];
    if payload.len() < 126 {
        frame.push(0x80 | payload.len() as u8);
    } else {
        frame.push(0x80 | 126);
        frame.extend((payload.len() as u16).to_be_bytes());
    }
    frame.extend(KEY);
    let start = frame.len();
    frame.extend(payload);
    apply_mask(KEY, 0, &mut frame[start..]);
    frame
}

/// One class with messages of one length.
struct Case {
    name: &'static str,
    settings: Settings,
    len: usize,
}

/// Medians and minima of the time for one message, in nanoseconds, and the bytes of its payload on average.
struct Outcome {
    library: [f64; 2],
    connection: [f64; 2],
    library_bytes: usize,
    connection_bytes: usize,
}

impl Case {
    /// Both in turn, a round of all messages each, so that whatever slows the machine down slows both.
    fn run(&self, rounds: usize) -> Outcome {
        let messages: Vec<_> = (0..MESSAGES).map(|seed| json(seed, self.len)).collect();
        let mut client = Library::new(self.settings);
        let first: Vec<_> = messages.iter().map(|message| client.compress(message).to_vec()).collect();
        // The second round refers back to the end of the first, as every later one does.
        let later: Vec<_> = messages.iter().map(|message| client.compress(message).to_vec()).collect();
        let with_tail = |payloads: &[Vec<u8>]| -> Vec<_> {
            payloads.iter().map(|payload| [payload, &TAIL[..]].concat()).collect()
        };
        let in_frames = |payloads: &[Vec<u8>]| -> Vec<_> {
            payloads.iter().map(|payload| masked_frame(payload)).collect()
        };
        let (mut library, mut connection) = (Library::new(self.settings), server(self.settings));
        let mut out = Vec::new();
        let mut buffer = Vec::new();
        let mut by_library =
            |data: &[Vec<u8>]| data.iter().map(|data| black_box(library.echo(data))).sum::<usize>();
        let mut by_connection = |frames: &[Vec<u8>]| {
            let mut bytes = 0;
            for frame in frames {
                buffer.clear();
                buffer.extend_from_slice(frame);
                out.clear();
                echo(&mut connection, &mut buffer, &mut out);
                bytes += black_box(out.len()) - 4;
            }
            bytes
        };
        by_library(&with_tail(&first));
        by_connection(&in_frames(&first));
        let (data, frames) = (with_tail(&later), in_frames(&later));
        let mut times = [Vec::new(), Vec::new()];
        let mut bytes = [0, 0];
        for _ in 0..rounds {
            let began = Instant::now();
            bytes[0] = by_library(&data) / MESSAGES;
            let between = Instant::now();
            bytes[1] = by_connection(&frames) / MESSAGES;
            times[0].push((between - began).as_nanos() as f64 / MESSAGES as f64);
            times[1].push(between.elapsed().as_nanos() as f64 / MESSAGES as f64);
        }
        let [library, connection] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            [times[times.len() / 2], times[0]]
        });
        Outcome { library, connection, library_bytes: bytes[0], connection_bytes: bytes[1] }
    }
}

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { 1000 };
    println!("ns per echoed message, median (minimum); bytes of the payload");
    println!(
        "{:<14} {:>6} {:>20} {:>20} {:>9} {:>15}",
        "class", "bytes", "library", "connection", "overhead", "compressed"
    );
    for (name, context, bits) in [
        ("shared", Context::Shared, 15),
        ("dedicated", Context::Dedicated, 12),
        ("dedicated, 15", Context::Dedicated, 15),
    ] {
        for len in [1 << 10, 16 << 10] {
            let default = if context == Context::Shared { 6 } else { 5 };
            let (level, memory) = (number("LEVEL", 3), number("MEMORY", default));
            let settings = Settings { context, level, memory, bits };
            let case = Case { name, settings, len };
            let outcome = case.run(rounds * 1024 / len.min(8192));
            let [library, least_library] = outcome.library;
            let [connection, least_connection] = outcome.connection;
            println!(
                "{:<14} {len:>6} {:>20} {:>20} {:>8.1}% {:>15}",
                case.name,
                format!("{library:.0} ({least_library:.0})"),
                format!("{connection:.0} ({least_connection:.0})"),
                (least_connection / least_library - 1.0) * 100.0,
                format!("{} / {}", outcome.library_bytes, outcome.connection_bytes),
            );
        }
    }
}

/// The crate's default unless the environment says another one.
fn number(name: &str, default: i32) -> i32 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}
