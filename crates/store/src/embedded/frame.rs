//! Messages on a stream: length, number, kind, body.
//!
//! ```text
//!   length u32 (of what follows)   number u64   kind u8   body
//! ```
//!
//! The number ties an answer to its question. Nothing is set aside before its bytes have come.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::bytes::damaged;

/// A message with its longest content: entries of 1 MiB and one more batch of that size, and room.
pub(crate) const MAX_FRAME: usize = 4 << 20;
const HEAD: usize = 9;
/// What is read at once into a body whose length is only promised.
const PIECE: usize = 64 << 10;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(HEAD + self.body.len()).expect("messages stay below MAX_FRAME");
        let mut out = Vec::with_capacity(4 + HEAD + self.body.len());
        out.extend(length.to_be_bytes());
        out.extend(self.number.to_be_bytes());
        out.push(self.kind);
        out.extend(&self.body);
        out
    }

    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let length = usize::try_from(from.read_u32().await?).map_err(|_| damaged("too long"))?;
        if !(HEAD..=MAX_FRAME).contains(&length) {
            return Err(damaged("a message that is too short or too long"));
        }
        let (number, kind) = (from.read_u64().await?, from.read_u8().await?);
        let mut body = vec![];
        while body.len() < length - HEAD {
            let have = body.len();
            body.resize((have + PIECE).min(length - HEAD), 0);
            from.read_exact(&mut body[have..]).await?;
        }
        Ok(Self { number, kind, body })
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&self.encode()).await
    }
}
