//! Samples out of an archive: the rows that are asked for and no others, streamed, in the type that a model takes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::npz::{Header, Npz};
use super::rounding::Feature;
use crate::{Error, Result};

/// Bytes that are read at once.
const BLOCK: usize = 1 << 16;

impl Npz {
    /// The rows at `positions` (ascending, each once) of the array `name`, `[positions, row]` in C order. Of types that f32 does not hold
    /// every value passes by `seen`: one feature for each value of a row, or one for all of them.
    ///
    /// # Errors
    /// Damaged or truncated data; rows that take more memory than the limit, before any is taken.
    pub fn rows(
        &mut self,
        name: &str,
        header: &Header,
        positions: &[usize],
        seen: &mut [Feature],
    ) -> Result<Vec<f32>> {
        let values = positions.len() as u128 * header.row_len() as u128;
        let mend = "; limit = N of the [[data]] takes N samples alone";
        self.afford(name, values * size_of::<f32>() as u128, mend)?;
        let mut out = Vec::with_capacity(values as usize);
        if header.fortran {
            self.fortran_rows(name, header, positions, seen, &mut out)?;
        } else {
            self.c_rows(name, header, positions, seen, &mut out)?;
        }
        Ok(out)
    }

    /// The smallest and largest finite value of the array `name`; infinities where there is none.
    ///
    /// # Errors
    /// Damaged or truncated data.
    pub fn range(&mut self, name: &str, header: &Header) -> Result<(f32, f32)> {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        let width = header.width();
        let mut left = header.shape.iter().product::<usize>();
        let mut stream = Stream::open(self, name, header, true)?;
        let mut block = vec![0; BLOCK / width * width];
        let mut values = Vec::with_capacity(BLOCK);
        while left > 0 {
            let take = left.min(block.len() / width);
            stream.fill(&mut block[..take * width])?;
            values.clear();
            floats(&header.descr, &block[..take * width], &mut values);
            for &value in values.iter().filter(|value| value.is_finite()) {
                low = low.min(value);
                high = high.max(value);
            }
            left -= take;
        }
        Ok((low, high))
    }

    fn c_rows(
        &mut self,
        name: &str,
        header: &Header,
        positions: &[usize],
        seen: &mut [Feature],
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let row_bytes = header.row_len() * header.width();
        let whole = positions.len() == header.shape[0];
        let mut stream = Stream::open(self, name, header, whole)?;
        let mut block = vec![0; (BLOCK / header.width() * header.width()).min(row_bytes)];
        let mut next = 0;
        for &position in positions {
            stream.skip((position - next) as u64 * row_bytes as u64)?;
            let mut left = row_bytes;
            while left > 0 {
                let take = left.min(block.len());
                stream.fill(&mut block[..take])?;
                let place = (row_bytes - left) / header.width();
                see(&header.descr, &block[..take], |at, value| {
                    let features = seen.len().max(1);
                    if let Some(feature) = seen.get_mut((place + at) % features) {
                        feature.see(value);
                    }
                });
                floats(&header.descr, &block[..take], out);
                left -= take;
            }
            next = position + 1;
        }
        if whole { stream.finish() } else { Ok(()) }
    }

    /// One value of every sample stands after the other.
    fn fortran_rows(
        &mut self,
        name: &str,
        header: &Header,
        positions: &[usize],
        seen: &mut [Feature],
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let (n, row) = (header.shape[0], header.row_len());
        out.resize(positions.len() * row, 0.0);
        let mut stream = Stream::open(self, name, header, true)?;
        let mut block = vec![0; n * header.width()];
        let mut values = Vec::with_capacity(n);
        for place in header.c_places() {
            stream.fill(&mut block)?;
            values.clear();
            let features = seen.len().max(1);
            if let Some(feature) = seen.get_mut(place % features) {
                let mut next = positions.iter().copied().peekable();
                see(&header.descr, &block, |at, value| {
                    if next.next_if_eq(&at).is_some() {
                        feature.see(value);
                    }
                });
            }
            floats(&header.descr, &block, &mut values);
            for (sample, &position) in positions.iter().enumerate() {
                out[sample * row + place] = values[position];
            }
        }
        stream.finish()
    }
}

/// The data of one array: through the archive, or straight from the file where they are stored as they are.
struct Stream<'a> {
    source: Source<'a>,
    file: String,
    name: String,
}

enum Source<'a> {
    Packed(Box<zip::read::ZipFile<'a>>),
    Stored(File),
}

impl<'a> Stream<'a> {
    /// At the first value. What is read from end to end goes through the archive, which knows a checksum.
    fn open(npz: &'a mut Npz, name: &str, header: &Header, whole: bool) -> Result<Self> {
        let path = npz.path().to_path_buf();
        let entry = npz.entry(name)?;
        let (stored, start) = (entry.compression() == zip::CompressionMethod::Stored, entry.data_start());
        let source = if stored && !whole {
            drop(entry);
            let mut file = File::open(&path).map_err(Error::io(&path))?;
            file.seek(SeekFrom::Start(start)).map_err(Error::io(&path))?;
            Source::Stored(file)
        } else {
            Source::Packed(Box::new(entry))
        };
        let mut stream = Self { source, file: path.display().to_string(), name: name.to_string() };
        stream.skip(header.data_start as u64)?;
        Ok(stream)
    }

    fn damaged(&self, error: std::io::Error) -> Error {
        Error::input(&self.file, format!("array `{}`", self.name), error, "undamaged data")
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        let skipped = match &mut self.source {
            Source::Stored(file) => i64::try_from(bytes)
                .map_err(std::io::Error::other)
                .and_then(|bytes| file.seek_relative(bytes)),
            Source::Packed(entry) => std::io::copy(&mut entry.take(bytes), &mut std::io::sink()).map(drop),
        };
        skipped.map_err(|error| self.damaged(error))
    }

    fn fill(&mut self, block: &mut [u8]) -> Result<()> {
        let filled = match &mut self.source {
            Source::Stored(file) => file.read_exact(block),
            Source::Packed(entry) => entry.read_exact(block),
        };
        filled.map_err(|error| self.damaged(error))
    }

    /// At the end the archive compares its checksum.
    fn finish(mut self) -> Result<()> {
        let end = match &mut self.source {
            Source::Stored(_) => Ok(0),
            Source::Packed(entry) => entry.read(&mut [0]),
        };
        end.map(drop).map_err(|error| self.damaged(error))
    }
}

/// Shows the numbers of types that f32 does not hold, each with its place among `data`. Whole numbers beyond those of f64 lose digits here.
fn see(descr: &str, data: &[u8], mut show: impl FnMut(usize, f64)) {
    let big = descr.starts_with('>');
    macro_rules! each {
        ($type:ty) => {
            data.chunks_exact(size_of::<$type>()).enumerate().for_each(|(at, chunk)| {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(chunk);
                show(
                    at,
                    if big { <$type>::from_be_bytes(bytes) } else { <$type>::from_le_bytes(bytes) } as f64,
                )
            })
        };
    }
    match descr.trim_start_matches(['<', '>', '|', '=']) {
        "u4" => each!(u32),
        "i4" => each!(i32),
        "u8" => each!(u64),
        "i8" => each!(i64),
        "f8" => each!(f64),
        _ => {}
    }
}

/// Appends the numbers that `data` hold.
fn floats(descr: &str, data: &[u8], out: &mut Vec<f32>) {
    let big = descr.starts_with('>');
    macro_rules! each {
        ($type:ty, $to:expr) => {
            out.extend(data.chunks_exact(size_of::<$type>()).map(|chunk| {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(chunk);
                let to: fn($type) -> f32 = $to;
                to(if big { <$type>::from_be_bytes(bytes) } else { <$type>::from_le_bytes(bytes) })
            }))
        };
    }
    match descr.trim_start_matches(['<', '>', '|', '=']) {
        "b1" => out.extend(data.iter().map(|&byte| f32::from(u8::from(byte != 0)))),
        "u1" => out.extend(data.iter().map(|&byte| f32::from(byte))),
        "i1" => each!(i8, |x| f32::from(x)),
        "u2" => each!(u16, |x| f32::from(x)),
        "i2" => each!(i16, |x| f32::from(x)),
        "u4" => each!(u32, |x| x as f32),
        "i4" => each!(i32, |x| x as f32),
        "u8" => each!(u64, |x| x as f32),
        "i8" => each!(i64, |x| x as f32),
        "f2" => each!(u16, |x| half::f16::from_bits(x).to_f32()),
        "f4" => each!(f32, |x| x),
        _ => each!(f64, |x| x as f32),
    }
}
