//! Numbers and lists as bytes, big-endian, each list with its length before it.

use std::io;

/// Writes; cannot fail.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

/// Reads what a [`Writer`] wrote; sets nothing aside for what a length only promises.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

/// The bytes are not what they should be.
pub(crate) fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Writer {
    pub(crate) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }

    pub(crate) fn count(&mut self, count: usize) {
        let count = u32::try_from(count).expect("no message or entry comes near 4 GiB");
        self.0.extend(count.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    pub(crate) fn option<T>(&mut self, option: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(option.is_some()));
        if let Some(value) = option {
            write(self, value);
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        list: impl ExactSizeIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        self.count(list.len());
        for item in list {
            write(self, item);
        }
    }
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (array, rest) =
            self.0.split_first_chunk().ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(*array)
    }

    pub(crate) fn u8(&mut self) -> io::Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn bool(&mut self) -> io::Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            2.. => Err(damaged("neither yes nor no")),
        }
    }

    fn count(&mut self) -> io::Result<usize> {
        let count = self.array().map(u32::from_be_bytes)?;
        usize::try_from(count).map_err(|_| damaged("a length that no memory has"))
    }

    pub(crate) fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = self.count()?;
        let (bytes, rest) =
            self.0.split_at_checked(length).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> io::Result<String> {
        let text = str::from_utf8(self.bytes()?).map_err(|_| damaged("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    pub(crate) fn list<T>(
        &mut self,
        most: usize,
        read: impl Fn(&mut Self) -> io::Result<T>,
    ) -> io::Result<Vec<T>> {
        let count = self.count()?;
        if count > most {
            return Err(damaged("more parts than there can be"));
        }
        let mut list = vec![];
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }

    pub(crate) fn end(&self) -> io::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged("something follows its end")) }
    }
}
