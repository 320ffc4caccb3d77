//! DEFLATE read naively, bit by bit, straight from RFC 1951: the judge of what the crate's compressors write. It shares
//! no code with them, and unlike an ordinary inflater it tells how far back a message refers.

#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

/// A receiver's window without a limit: everything that was received compressed.
#[derive(Debug, Default)]
pub struct Oracle {
    pub history: Vec<u8>,
    /// The longest distance of all messages so far.
    pub farthest: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bad {
    Cut,
    BlockType,
    StoredLength,
    Code,
    Distance,
    /// The end lies inside a block.
    End,
    /// More final blocks than the crate takes: 16, and one for each 64 bytes before.
    FinalBlocks,
}

impl Oracle {
    /// RFC 7692 §7.2.2: appends the tail and inflates.
    pub fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, Bad> {
        let start = self.history.len();
        if payload.is_empty() {
            return Ok(Vec::new());
        }
        let data = [payload, &[0, 0, 0xFF, 0xFF]].concat();
        let mut bits = Bits { data: &data, at: 0, end: 8 * payload.len() };
        let mut final_blocks = 0;
        while bits.at < 8 * data.len() {
            let last = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => self.stored(&mut bits)?,
                1 => self.compressed(&mut bits, &fixed())?,
                2 => {
                    let codes = dynamic(&mut bits)?;
                    self.compressed(&mut bits, &codes)?;
                }
                _ => return Err(Bad::BlockType),
            }
            if last {
                bits.at = bits.at.next_multiple_of(8);
                if bits.at == 8 * payload.len() {
                    break;
                }
                final_blocks += 1;
                if bits.at < 8 * payload.len() && final_blocks > 16 + bits.at / 8 / 64 {
                    return Err(Bad::FinalBlocks);
                }
            }
            if bits.at > 8 * payload.len() && bits.at < 8 * data.len() {
                return Err(Bad::End);
            }
        }
        Ok(self.history[start..].to_vec())
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<(), Bad> {
        bits.at = bits.at.next_multiple_of(8);
        let (len, complement) = (bits.take(16)?, bits.take(16)?);
        if len != complement ^ 0xFFFF {
            return Err(Bad::StoredLength);
        }
        for _ in 0..len {
            let byte = bits.take(8)?;
            bits.before_tail()?;
            self.history.push(byte as u8);
        }
        Ok(())
    }

    fn compressed(&mut self, bits: &mut Bits<'_>, codes: &(Code, Code)) -> Result<(), Bad> {
        const LENGTHS: [(u32, u32); 29] = [
            (3, 0),
            (4, 0),
            (5, 0),
            (6, 0),
            (7, 0),
            (8, 0),
            (9, 0),
            (10, 0),
            (11, 1),
            (13, 1),
            (15, 1),
            (17, 1),
            (19, 2),
            (23, 2),
            (27, 2),
            (31, 2),
            (35, 3),
            (43, 3),
            (51, 3),
            (59, 3),
            (67, 4),
            (83, 4),
            (99, 4),
            (115, 4),
            (131, 5),
            (163, 5),
            (195, 5),
            (227, 5),
            (258, 0),
        ];
        loop {
            let symbol = codes.0.read(bits)?;
            match symbol {
                0..256 => {
                    bits.before_tail()?;
                    self.history.push(symbol as u8);
                }
                256 => return Ok(()),
                _ => {
                    let &(base, extra) = LENGTHS.get(symbol - 257).ok_or(Bad::Code)?;
                    let len = base + bits.take(extra)?;
                    let symbol = codes.1.read(bits)?;
                    if symbol > 29 {
                        return Err(Bad::Code);
                    }
                    let extra = (symbol as u32 / 2).saturating_sub(1);
                    let base = if symbol < 2 { symbol as u32 } else { (2 + symbol as u32 % 2) << extra };
                    let distance = (1 + base + bits.take(extra)?) as usize;
                    let from = self.history.len().checked_sub(distance).ok_or(Bad::Distance)?;
                    bits.before_tail()?;
                    self.farthest = self.farthest.max(distance);
                    for at in from..from + len as usize {
                        self.history.push(self.history[at]);
                    }
                }
            }
        }
    }
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// Where the tail begins.
    end: usize,
}

impl Bits<'_> {
    /// The tail is the end of an empty block (RFC 7692 §7.2.1): no block may take it for its content.
    fn before_tail(&self) -> Result<(), Bad> {
        if self.at > self.end { Err(Bad::End) } else { Ok(()) }
    }

    fn take(&mut self, count: u32) -> Result<u32, Bad> {
        let mut value = 0;
        for i in 0..count {
            let byte = self.data.get(self.at / 8).ok_or(Bad::Cut)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(value)
    }
}

/// A canonical Huffman code: how many codes there are of each length, and their symbols in order.
struct Code {
    counts: [u32; 16],
    symbols: Vec<usize>,
}

impl Code {
    /// A code in which no bits are left without a meaning, or one of a single bit, or none.
    fn complete(lengths: &[u32], single: bool) -> Result<Self, Bad> {
        let code = Self::new(lengths);
        let mut left = 1_i64;
        for count in &code.counts[1..] {
            left = 2 * left - i64::from(*count);
            if left < 0 {
                return Err(Bad::Code);
            }
        }
        let longest = lengths.iter().max().copied().unwrap_or(0);
        if left > 0 && longest != 0 && (!single || longest != 1) {
            return Err(Bad::Code);
        }
        Ok(code)
    }

    fn new(lengths: &[u32]) -> Self {
        let mut counts = [0; 16];
        let mut symbols = Vec::new();
        for len in 1..16 {
            let of_len = lengths.iter().enumerate().filter(|(_, other)| **other == len);
            symbols.extend(of_len.map(|(symbol, _)| symbol));
            counts[len as usize] = lengths.iter().filter(|other| **other == len).count() as u32;
        }
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<usize, Bad> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[(index + code - first) as usize]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Bad::Code)
    }
}

fn fixed() -> (Code, Code) {
    let lengths: Vec<u32> = (0..288)
        .map(|symbol| match symbol {
            0..144 => 8,
            144..256 => 9,
            256..280 => 7,
            _ => 8,
        })
        .collect();
    (Code::new(&lengths), Code::new(&[5; 30]))
}

fn dynamic(bits: &mut Bits<'_>) -> Result<(Code, Code), Bad> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let count = bits.take(4)? as usize + 4;
    if literals > 286 || distances > 30 {
        return Err(Bad::Code);
    }
    let mut lengths = [0; 19];
    for place in &ORDER[..count] {
        lengths[*place] = bits.take(3)?;
    }
    let code = Code::complete(&lengths, false)?;
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.read(bits)? {
            16 => (*lengths.last().ok_or(Bad::Code)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            len => (len as u32, 1),
        };
        lengths.extend((0..times).map(|_| value));
    }
    if lengths.len() > literals + distances {
        return Err(Bad::Code);
    }
    if lengths[256] == 0 {
        return Err(Bad::Code);
    }
    Ok((Code::complete(&lengths[..literals], true)?, Code::complete(&lengths[literals..], true)?))
}
