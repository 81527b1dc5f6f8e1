//! Protocol Buffers on the wire: fields of a message one after the other, as slices of the file.
//!
//! Nothing is allocated for a length that a file claims: a length is compared with the bytes that are there, and what is read stays where it
//! lies. (<https://protobuf.dev/programming-guides/encoding/>)

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    /// A whole number.
    Varint(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// A text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32([u8; 4]),
}

impl<'a> Wire<'a> {
    /// A whole number, negative ones in two's complement.
    pub(super) fn int(self) -> Result<i64, Broken> {
        match self {
            Self::Varint(value) => Ok(value as i64),
            _ => Err(Broken),
        }
    }

    /// A message, bytes.
    pub(super) fn bytes(self) -> Result<&'a [u8], Broken> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Broken),
        }
    }

    /// A text.
    pub(super) fn text(self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken)
    }

    /// A number of single precision.
    pub(super) fn float(self) -> Result<f32, Broken> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(Broken),
        }
    }

    /// Appends whole numbers, packed or single.
    pub(super) fn ints(self, out: &mut Vec<i64>) -> Result<(), Broken> {
        let Self::Bytes(mut bytes) = self else {
            out.push(self.int()?);
            return Ok(());
        };
        while !bytes.is_empty() {
            out.push(varint(&mut bytes)? as i64);
        }
        Ok(())
    }

    /// Appends numbers of single precision, packed or single.
    pub(super) fn floats(self, out: &mut Vec<f32>) -> Result<(), Broken> {
        let Self::Bytes(bytes) = self else {
            out.push(self.float()?);
            return Ok(());
        };
        let (whole, rest) = bytes.as_chunks::<4>();
        out.extend(whole.iter().map(|&b| f32::from_le_bytes(b)));
        if rest.is_empty() { Ok(()) } else { Err(Broken) }
    }

    /// Appends numbers of double precision, packed or single.
    pub(super) fn doubles(self, out: &mut Vec<f64>) -> Result<(), Broken> {
        match self {
            Self::Fixed64(bytes) => out.push(f64::from_le_bytes(bytes)),
            Self::Bytes(bytes) => {
                let (whole, rest) = bytes.as_chunks::<8>();
                out.extend(whole.iter().map(|&b| f64::from_le_bytes(b)));
                if !rest.is_empty() {
                    return Err(Broken);
                }
            }
            _ => return Err(Broken),
        }
        Ok(())
    }
}

/// The fields of a message: their numbers and values.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = field(&mut self.0);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Wire<'a>), Broken> {
    let key = varint(bytes)?;
    let value = match key & 7 {
        0 => Wire::Varint(varint(bytes)?),
        1 => Wire::Fixed64(*bytes.split_off(..8).and_then(<[u8]>::first_chunk).ok_or(Broken)?),
        2 => {
            let len = usize::try_from(varint(bytes)?).map_err(|_| Broken)?;
            Wire::Bytes(bytes.split_off(..len).ok_or(Broken)?)
        }
        5 => Wire::Fixed32(*bytes.split_off(..4).and_then(<[u8]>::first_chunk).ok_or(Broken)?),
        _ => return Err(Broken),
    };
    if key >> 3 == 0 { Err(Broken) } else { Ok((key >> 3, value)) }
}

/// A number of seven bits a byte, the lowest first; ten bytes at most.
fn varint(bytes: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.split_off_first().ok_or(Broken)?;
        value |= u64::from(byte & 127).checked_shl(shift).unwrap_or(0);
        if byte < 128 {
            return Ok(value);
        }
    }
    Err(Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        for (bytes, value) in
            [(&[5][..], 5), (&[0xAC, 2], 300), (&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1], u64::MAX)]
        {
            let mut rest = bytes;
            assert_eq!(varint(&mut rest), Ok(value));
            assert!(rest.is_empty());
        }
        assert_eq!(varint(&mut &[128; 11][..]), Err(Broken), "no end");
        assert_eq!(varint(&mut &[128][..]), Err(Broken), "cut off");
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let claims = [0x0A, 255, 255, 255, 255, 15, 1];
        assert_eq!(Fields(&claims).collect::<Vec<_>>(), [Err(Broken)]);
        let field = [0x0A, 2, 104, 105];
        assert_eq!(Fields(&field).collect::<Vec<_>>(), [Ok((1, Wire::Bytes(b"hi")))]);
    }
}
