//! What an echo costs without a socket: decode, unmask, validate, encode, through a [`Connection`] and the loop that
//! its documentation shows.
//!
//! Payloads are unmasked where they lie, so that each pass needs fresh bytes: the copy that brings them stands for
//! the read, and is part of every figure ("read + echo"). The same copy alone is timed in turn with it ("memcpy").
//! Small messages come as many as a read of 64 KiB brings; the output is emptied after each read, as if written.
//!
//! `cargo bench --package codec` takes about two minutes and ends in a table; it prints the medians and the minima of the
//! samples that criterion took. `-- --test` runs everything once; `-- whole/` selects by name.

#[path = "../wire/mod.rs"]
mod wire;

use core::hint::black_box;
use core::time::Duration;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use sansocket::{Config, Connection, Delivery, Event, Input, MaskKeys, Role};
use wire::{NOW, Payload};

const READ: usize = 64 << 10;
const SEGMENT: usize = 1460;
const SAMPLES: usize = 100;
const PAYLOADS: [Payload; 3] = [Payload::Binary, Payload::Ascii, Payload::MultiByte];
const SIZES: [usize; 6] = [20, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

/// One row: a stream of equal messages, read in pieces of `cut` bytes.
struct Case {
    group: &'static str,
    payload: Payload,
    len: usize,
    cut: usize,
    connection: Connection,
    wire: Vec<u8>,
    messages: usize,
}

impl Case {
    fn new(group: &'static str, payload: Payload, len: usize, cut: usize, role: Role) -> Self {
        let config =
            if group == "chunks" { Config::default().delivery(Delivery::Chunks) } else { Config::default() };
        let messages = (READ / (len + 14)).max(1);
        let wire = wire::frames(&payload.message(len), messages, role);
        Self {
            group,
            payload,
            len,
            cut: cut.min(wire.len()),
            connection: match role {
                Role::Server => Connection::server(config, NOW),
                Role::Client => Connection::client(config, MaskKeys::thread(), NOW),
            },
            wire,
            messages,
        }
    }

    /// The name of the row, for criterion and for the table.
    fn name(&self) -> String {
        let payload = match self.payload {
            Payload::Binary => "binary",
            Payload::Ascii => "ascii",
            Payload::MultiByte => "multi-byte",
        };
        match self.group {
            "cut" => format!("{payload}/{} by {}", size(self.len), size(self.cut)),
            _ => format!("{payload}/{}", size(self.len)),
        }
    }

    /// All messages of the stream once.
    fn echo(&mut self, buffer: &mut [u8], out: &mut Vec<u8>) -> usize {
        let mut echoed = 0;
        for piece in self.wire.chunks(self.cut) {
            let received = &mut buffer[..piece.len()];
            received.copy_from_slice(piece);
            echoed += drive(&mut self.connection, received, out);
            black_box(&mut *out).clear();
        }
        echoed
    }

    /// The reads of [`echo`](Self::echo) and nothing else.
    fn read(&self, buffer: &mut [u8]) {
        for piece in self.wire.chunks(self.cut) {
            buffer[..piece.len()].copy_from_slice(piece);
            black_box(&mut *buffer);
        }
    }
}

/// The loop of the documentation.
fn drive(connection: &mut Connection, received: &mut [u8], out: &mut Vec<u8>) -> usize {
    let mut echoed = 0;
    let mut input = Input::new(received);
    while let Some(event) = connection.receive(NOW, &mut input, out).expect("valid frames") {
        match event {
            Event::Message(message) => {
                connection.send(&message, out).expect("an open connection");
                echoed += 1;
            }
            Event::Chunk(chunk) => {
                black_box(&chunk);
                echoed += usize::from(chunk.last);
            }
            _ => {}
        }
    }
    echoed
}

/// The samples of one row, in nanoseconds per message.
struct Row {
    name: String,
    len: usize,
    echo: Vec<f64>,
    memcpy: Vec<f64>,
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1000))
        .sample_size(SAMPLES)
        .without_plots()
        .configure_from_args();
    let mut rows = Vec::new();
    let mut measure = |group, payload, len, cut, role| {
        rows.push(measure(&mut criterion, Case::new(group, payload, len, cut, role)));
    };
    for payload in PAYLOADS {
        for len in SIZES {
            measure("whole", payload, len, usize::MAX, Role::Server);
        }
    }
    for payload in PAYLOADS {
        for len in [20, 1 << 10, 16 << 10, 64 << 10, 1 << 20] {
            measure("cut", payload, len, SEGMENT, Role::Server);
        }
        measure("cut", payload, 1 << 20, READ, Role::Server);
        measure("chunks", payload, 1 << 20, READ, Role::Server);
    }
    for payload in [Payload::Binary, Payload::Ascii] {
        for len in SIZES {
            measure("client", payload, len, usize::MAX, Role::Client);
        }
    }
    criterion.final_summary();
    print(rows);
}

fn measure(criterion: &mut Criterion, mut case: Case) -> Row {
    let mut buffer = vec![0; case.wire.len()];
    let mut out = Vec::with_capacity(case.wire.len() + READ);
    let (mut echo, mut memcpy) = (Vec::new(), Vec::new());
    let mut group = criterion.benchmark_group(case.group);
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(case.len as u64));
    group.bench_function(BenchmarkId::from_parameter(case.name()), |bencher| {
        bencher.iter_custom(|iterations| {
            // An iteration is a message, a pass is what one or several reads bring of them.
            let passes = iterations.div_ceil(case.messages as u64);
            let messages = (passes * case.messages as u64) as f64;
            let start = Instant::now();
            for _ in 0..passes {
                case.read(&mut buffer);
            }
            memcpy.push(start.elapsed().as_secs_f64() * 1e9 / messages);
            let start = Instant::now();
            for _ in 0..passes {
                assert_eq!(case.echo(&mut buffer, &mut out), case.messages);
            }
            let elapsed = start.elapsed();
            echo.push(elapsed.as_secs_f64() * 1e9 / messages);
            elapsed.mul_f64(iterations as f64 / messages)
        });
    });
    group.finish();
    Row { name: format!("{} {}", case.group, case.name()), len: case.len, echo, memcpy }
}

fn print(rows: Vec<Row>) {
    println!(
        "\nread + echo of one message; memcpy is the read alone; medians, and in brackets the best sample;"
    );
    println!("'less read' is the best echo without the best read, in GiB/s; the ratio is that of the best");
    println!(
        "{:<28} {:>21} {:>12} {:>10} {:>19} {:>9}",
        "", "ns per message", "GiB/s", "less read", "memcpy, ns", "x memcpy"
    );
    for Row { name, len, mut echo, mut memcpy } in rows {
        // What comes before the samples is the warm-up; a row that was not selected has none.
        let Some(warm_up) = echo.len().checked_sub(SAMPLES) else { continue };
        let (echo, memcpy) = (&mut echo[warm_up..], &mut memcpy[warm_up..]);
        echo.sort_by(f64::total_cmp);
        memcpy.sort_by(f64::total_cmp);
        let (median, copied) = (echo[SAMPLES / 2], memcpy[SAMPLES / 2]);
        let gib = |nanos: f64| len as f64 / nanos / 1.073_741_824;
        println!(
            "{name:<28} {:>21} {:>12} {:>10.1} {:>19} {:>9.1}",
            format!("{median:.1} ({:.1})", echo[0]),
            format!("{:.1} ({:.1})", gib(median), gib(echo[0])),
            gib(echo[0] - memcpy[0]),
            format!("{copied:.1} ({:.1})", memcpy[0]),
            echo[0] / memcpy[0],
        );
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        _ if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}
