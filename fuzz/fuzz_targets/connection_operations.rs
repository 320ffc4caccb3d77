//! Calls in any order, on one connection or on a pair: no panic, only legal frames, none behind Close, one error.
//! Heap, with all that this target notes: at most 32 times what the calls pass, and 128 KiB.

#![no_main]

extern crate alloc;

#[path = "../../tests/support/cuts.rs"]
mod cuts;
mod meter;
#[path = "../../tests/support/operations.rs"]
mod operations;
#[path = "../../tests/support/oracle.rs"]
mod oracle;

use alloc::sync::Arc;

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use operations::{Bench, Duo, Op};
use sansocket::{Config, Delivery, Fin, Role, Unread};

/// What the calls are made on.
#[derive(Debug)]
struct Plan {
    role: Option<Role>,
    delivery: Delivery,
    keys: Option<u32>,
    ops: Vec<(bool, Op)>,
}

impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let role = *input.choose(&[None, Some(Role::Server), Some(Role::Client)])?;
        let delivery = *input.choose(&[Delivery::Messages, Delivery::Chunks])?;
        let keys = if input.ratio(1, 8)? { Some(input.int_in_range(0..=8)?) } else { None };
        let mut ops = Vec::new();
        while !input.is_empty() && ops.len() < 64 {
            ops.push((input.arbitrary()?, op(input, role == Some(Role::Server))?));
        }
        Ok(Self { role, delivery, keys, ops })
    }
}

fn op(input: &mut Unstructured<'_>, masked: bool) -> Result<Op> {
    Ok(match input.int_in_range(0..=18)? {
        0 => Op::Receive(input.arbitrary()?),
        1 | 2 => Op::Receive(frame(input, masked)?),
        3 => Op::Locate(frame(input, masked)?, input.arbitrary()?),
        4 => Op::Direct(len(input)?),
        5 => Op::PayloadRead(len(input)?),
        6 => Op::Send(input.arbitrary()?, len(input)?),
        7 => Op::Fragment(input.arbitrary()?, len(input)?, *input.choose(&[Fin::More, Fin::Final])?),
        8 => Op::Prepared(input.arbitrary()?, len(input)?),
        9 => Op::Envelope(input.arbitrary()?, len(input)?),
        10 => Op::Ping(len(input)?),
        11 => Op::Pong(len(input)?),
        12 => Op::Close(input.arbitrary()?, len(input)?),
        13 => Op::CloseWithoutCode,
        14 => Op::Transmit,
        15 => Op::Room(len(input)?),
        16 => Op::Write(len(input)?),
        17 => {
            let unread = *input.choose(&[Unread::Possible, Unread::Nothing])?;
            Op::HandleTimeout(input.int_in_range(0..=70_000)?, unread)
        }
        _ if input.ratio(1, 4)? => Op::HandleEof,
        _ => Op::HandleWritten(input.int_in_range(0..=3)?, input.int_in_range(0..=3)?),
    })
}

/// Mostly short, seldom long enough for the longest form of the length: that is slow.
fn len(input: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match input.arbitrary::<u8>()? {
        255 if input.ratio(1, 16)? => 70_000,
        len => usize::from(len),
    })
}

/// A frame whose form is right and whose content is anything, perhaps cut off.
fn frame(input: &mut Unstructured<'_>, masked: bool) -> Result<Vec<u8>> {
    let first = *input.choose(&[0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A])?;
    let payload: Vec<u8> = input.arbitrary()?;
    let mut bytes = oracle::frame(first, masked.then_some([1, 2, 3, 4]), &payload, None);
    if input.ratio(1, 4)? {
        bytes.truncate(input.int_in_range(0..=bytes.len())?);
    }
    Ok(bytes)
}

/// How many bytes an operation passes.
fn passed(op: &Op) -> usize {
    match op {
        Op::Receive(bytes) | Op::Locate(bytes, _) => bytes.len(),
        Op::Direct(len) | Op::Send(_, len) | Op::Fragment(_, len, _) => *len,
        Op::Prepared(_, len) | Op::Envelope(_, len) => *len,
        Op::Ping(len) | Op::Pong(len) | Op::Close(_, len) => *len,
        _ => 0,
    }
}

fuzz_target!(|plan: Plan| {
    let passed: usize = plan.ops.iter().map(|(_, op)| passed(op) + 16).sum();
    let config = Arc::new(Config::new().delivery(plan.delivery).max_message_size(100_000));
    meter::within(32 * passed + (128 << 10), || match plan.role {
        Some(role) => {
            let mut bench = Bench::new(role, &config, plan.keys);
            plan.ops.iter().for_each(|(_, op)| bench.apply(op));
            bench.finish();
        }
        None => {
            let mut duo = Duo::new(&config);
            plan.ops.iter().for_each(|(second, op)| duo.apply(*second, op));
            duo.finish();
        }
    });
});
