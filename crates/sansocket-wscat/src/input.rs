//! The standard input, where it is no terminal with an editor. A thread reads it, since a read cannot be given up; the
//! thread ends with the process.

use std::io::{self, BufRead, Read};

use tokio::sync::mpsc;

use crate::data::Encoding;

/// A piece of input from the user or the pipe.
#[derive(Debug)]
pub enum Item {
    Line(String),
    Bytes(Vec<u8>),
    End,
    /// The input cannot be read any further, and this is why.
    Failed(String),
}

/// The source of the input.
#[derive(Debug)]
pub enum Input {
    Pipe(mpsc::Receiver<Item>),
    /// Unbounded: the editor must never wait for the connection, which may be waiting for it to print.
    Editor(mpsc::UnboundedReceiver<Item>),
}

impl Input {
    /// Returns the next item. After [`Item::End`] of a pipe nothing else comes.
    pub async fn next(&mut self) -> Item {
        match self {
            Self::Pipe(items) => items.recv().await.unwrap_or(Item::End),
            Self::Editor(items) => {
                items.recv().await.unwrap_or_else(|| Item::Failed("the editor has ended".into()))
            }
        }
    }
}

/// The largest message that raw input is cut into, in bytes.
const BLOCK: usize = 64 << 10;

pub fn read(binary: Option<Encoding>) -> Input {
    // What is read ahead of the connection is bounded.
    let (tx, rx) = mpsc::channel(16);
    std::thread::spawn(move || {
        let input = io::stdin().lock();
        let failed = match binary {
            Some(Encoding::Raw) => read_blocks(input, &tx),
            _ => read_lines(input, &tx),
        };
        if let Err(error) = failed {
            let _ = tx.blocking_send(Item::Failed(error.to_string()));
        }
    });
    Input::Pipe(rx)
}

fn read_lines(input: impl BufRead, items: &mpsc::Sender<Item>) -> io::Result<()> {
    for line in input.lines() {
        if items.blocking_send(Item::Line(line?)).is_err() {
            break;
        }
    }
    Ok(())
}

fn read_blocks(mut input: impl Read, items: &mpsc::Sender<Item>) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        let len = match input.read(&mut block) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if len == 0 || items.blocking_send(Item::Bytes(block[..len].to_vec())).is_err() {
            return Ok(());
        }
    }
}
