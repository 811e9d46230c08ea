//! A program being written, with labels for its jumps (RFC 9669, `linux/bpf.h`).

use std::io;

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub(super) struct Word {
    pub(super) code: u8,
    registers: u8,
    pub(super) offset: i16,
    pub(super) value: i32,
}

/// One of the machine's eleven: 0 answers, 1 to 5 are arguments and lost with each call, 10 is the end of the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Register(u8);

pub(super) const R0: Register = Register(0);
pub(super) const R1: Register = Register(1);
pub(super) const R2: Register = Register(2);
pub(super) const R3: Register = Register(3);
pub(super) const R4: Register = Register(4);
pub(super) const R5: Register = Register(5);
pub(super) const R6: Register = Register(6);
pub(super) const R7: Register = Register(7);
pub(super) const R9: Register = Register(9);
pub(super) const STACK: Register = Register(10);

/// How many bytes a load takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Size {
    One = 0x10,
    Two = 0x08,
    Four = 0x00,
    Eight = 0x18,
}

/// When a jump is made; of four bytes where nothing else is said, without a sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Jump {
    Equal = 0x16,
    NotEqual = 0x56,
    /// These two of eight bytes.
    NotEqualLong = 0x55,
    LessLong = 0xa5,
}

/// The second operand is a register (`BPF_X`).
const OF_REGISTER: u8 = 0x08;
/// What `offset` and `value` of [`Program::number_of_map`] mean: an address in the map's memory.
const MAP_VALUE: Register = Register(2);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Label(usize);

#[derive(Debug, Default)]
pub(super) struct Program {
    words: Vec<Word>,
    jumps: Vec<(usize, Label)>,
    places: Vec<Option<usize>>,
}

impl Word {
    fn new(code: u8, to: Register, from: Register, offset: i16, value: i32) -> Self {
        let registers =
            if cfg!(target_endian = "little") { to.0 | from.0 << 4 } else { to.0 << 4 | from.0 };
        Self { code, registers, offset, value }
    }
}

impl Program {
    /// A place to jump to, which [`Self::place`] fixes.
    pub(super) fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// The next word is where `label` leads.
    pub(super) fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.words.len());
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    pub(super) fn set(&mut self, to: Register, value: i32) {
        self.push(0xb7, to, R0, 0, value);
    }

    pub(super) fn add(&mut self, to: Register, value: i32) {
        self.push(0x07, to, R0, 0, value);
    }

    pub(super) fn add_register(&mut self, to: Register, from: Register) {
        self.push(0x0f, to, from, 0, 0);
    }

    /// Reads memory at `from + offset`.
    pub(super) fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) {
        self.push(0x61 | size as u8, to, from, offset, 0);
    }

    /// Writes eight bytes at `to + offset`.
    pub(super) fn store(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x7b, to, from, offset, 0);
    }

    /// Adds to eight bytes at `to + offset`, whoever else does.
    pub(super) fn add_shared(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0xdb, to, from, offset, 0);
    }

    /// Loads the address of a map's memory; the number of its descriptor.
    pub(super) fn memory_of_map(&mut self, to: Register, map: i32) {
        self.push(0x18, to, MAP_VALUE, 0, map);
        self.words.push(Word::default());
    }

    /// Calls one of the kernel's functions; its answer is in [`R0`].
    pub(super) fn call(&mut self, function: i32) {
        self.push(0x85, R0, R0, 0, function);
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.words.len(), to));
        self.push(0x05, R0, R0, 0, 0);
    }

    /// Jumps if the register compares so with a number.
    pub(super) fn jump_if(&mut self, left: Register, when: Jump, right: i32, to: Label) {
        self.jumps.push((self.words.len(), to));
        self.push(when as u8, left, R0, 0, right);
    }

    /// Jumps if two registers compare so.
    pub(super) fn jump_if_register(
        &mut self,
        left: Register,
        when: Jump,
        right: Register,
        to: Label,
    ) {
        self.jumps.push((self.words.len(), to));
        self.push(when as u8 | OF_REGISTER, left, right, 0, 0);
    }

    /// Ends with this answer.
    pub(super) fn answer(&mut self, value: i32) {
        self.set(R0, value);
        self.exit();
    }

    pub(super) fn exit(&mut self) {
        self.push(0x95, R0, R0, 0, 0);
    }

    /// The words, with every jump leading where its label was placed.
    ///
    /// # Errors
    /// `InvalidInput` when a jump is longer than 16 bits can say.
    ///
    /// # Panics
    /// When a label that is jumped to was not placed.
    pub(super) fn finish(mut self) -> io::Result<Vec<Word>> {
        for (from, Label(label)) in self.jumps {
            let to = self.places[label].expect("who makes a label places it");
            let distance = i64::try_from(to).and_then(|to| Ok(to - i64::try_from(from)? - 1));
            let distance = distance.map_err(|_far| io::ErrorKind::InvalidInput)?;
            let offset = i16::try_from(distance).map_err(|_far| io::ErrorKind::InvalidInput)?;
            self.words[from].offset = offset;
        }
        Ok(self.words)
    }

    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, value: i32) {
        self.words.push(Word::new(code, to, from, offset, value));
    }
}

#[cfg(test)]
impl std::fmt::Display for Word {
    /// As `61 r7 r6 +16 0`: code, both registers, offset, number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (low, high) = (self.registers & 15, self.registers >> 4);
        let (to, from) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        write!(f, "{:02x} r{to} r{from} {:+} {:#x}", self.code, self.offset, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_leads_to_its_label_forwards_and_backwards() {
        let mut program = Program::default();
        let (again, end) = (program.label(), program.label());
        program.place(again);
        program.jump_if(R1, Jump::Equal, 7, end);
        program.jump(again);
        program.place(end);
        program.answer(-1);
        let lines: Vec<String> =
            program.finish().unwrap().iter().map(ToString::to_string).collect();
        let expected =
            ["16 r1 r0 +1 0x7", "05 r0 r0 -2 0x0", "b7 r0 r0 +0 0xffffffff", "95 r0 r0 +0 0x0"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_jump_that_is_too_long_is_refused() {
        let mut program = Program::default();
        let end = program.label();
        program.jump(end);
        (0..=i16::MAX).for_each(|_| program.exit());
        program.place(end);
        assert_eq!(program.finish().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
