//! Many envelopes in one row, or in one message: what is written together costs little more than one.

use super::{Envelope, MANY, Text};

/// Many envelopes in one row of the journal: `[[length, fields], …]`, and their bodies one after another. A row written is a
/// row billed, and a hundred small rows cost a hundred times the work of one.
#[derive(Debug)]
pub struct Pack {
    metas: String,
    bodies: Vec<u8>,
    len: usize,
}

/// The most bytes of one row; D1 takes 2 MB, and a third more in base64.
const PACK_MAX_BYTES: usize = 1_400_000;

impl Default for Pack {
    fn default() -> Self {
        Self { metas: "[".into(), bodies: Vec::new(), len: 0 }
    }
}

impl Pack {
    /// Puts an envelope in, unless there is no room for it beside the others.
    pub fn push(&mut self, envelope: &Envelope) -> bool {
        let (meta, body) = (envelope.meta_json(), envelope.inline());
        let size = self.metas.len() + self.bodies.len() + meta.len() + body.len();
        if 0 < self.len && PACK_MAX_BYTES < size {
            return false;
        }
        if 0 < self.len {
            self.metas.push(',');
        }
        self.metas.push('[');
        self.metas.push_str(&body.len().to_string());
        self.metas.push(',');
        self.metas.push_str(&meta);
        self.metas.push(']');
        self.bodies.extend_from_slice(body);
        self.len += 1;
        true
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row: the fields of all, and their bodies as text.
    pub fn into_row(mut self) -> (String, Text<'static>) {
        self.metas.push(']');
        (self.metas, Text::from_vec(self.bodies))
    }
}

/// Many envelopes in one message of the queue, for [`Envelope::of_message`]. A queue bills each message up to 64 KB as one.
#[derive(Debug, Default)]
pub struct Message {
    bytes: Vec<u8>,
    len: usize,
}

/// The most bytes of one message of many: four of them are what one `sendBatch` takes.
const MESSAGE_MAX_BYTES: usize = 60_000;
/// Bytes in front of the first envelope.
const FRAME_BYTES: usize = 5;

impl Message {
    /// Puts an envelope in, unless there is no room for it beside the others.
    pub fn push(&mut self, envelope: &Envelope) -> bool {
        let one = envelope.encode();
        if 0 < self.len && MESSAGE_MAX_BYTES < self.bytes.len() + FRAME_BYTES + one.len() {
            return false;
        }
        let Ok(size) = u32::try_from(one.len()) else { return false };
        if self.len == 0 {
            self.bytes.push(MANY);
        }
        self.bytes.extend_from_slice(&size.to_le_bytes());
        self.bytes.extend_from_slice(&one);
        self.len += 1;
        true
    }

    /// How many envelopes it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message as it is sent. One that is alone has no frame.
    pub fn bytes(&self) -> &[u8] {
        let start = if self.len == 1 { FRAME_BYTES } else { 0 };
        self.bytes.get(start..).unwrap_or_default()
    }
}
