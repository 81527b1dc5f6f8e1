//! PNG files: any depth, palette, alpha.

use std::io::Cursor;

use super::{Picture, Refused, SizeCheck, Stored};

/// No deflated byte stands for more than this many.
const DEFLATE_RATIO: usize = 1032;

/// Palettes and depths below 8 bits become bytes; 16 bits stay words, shifted down where the file says that fewer were significant.
pub(super) fn read(bytes: &[u8], admit: &SizeCheck) -> Refused<Picture> {
    let bad = |error: png::DecodingError| (error.to_string(), "an undamaged PNG file".to_string());
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(bad)?;
    let size = [reader.info().height as usize, reader.info().width as usize];
    admit(size)?;
    let room = reader.output_buffer_size().unwrap_or(usize::MAX);
    // Depths below 8 bits take up to 8 times more when they are expanded.
    if room / 8 > bytes.len().saturating_mul(DEFLATE_RATIO) {
        let found = format!("{} x {} pixels in {} bytes", size[0], size[1], bytes.len());
        return Err((found, "an undamaged PNG file".into()));
    }
    let mut buffer = vec![0; room];
    let frame = reader.next_frame(&mut buffer).map_err(bad)?;
    buffer.truncate(frame.buffer_size());
    let (stride, channels) = match frame.color_type {
        png::ColorType::Grayscale => (1, 1),
        png::ColorType::GrayscaleAlpha => (2, 1),
        png::ColorType::Rgb => (3, 3),
        png::ColorType::Rgba => (4, 3),
        png::ColorType::Indexed => return Err(("a palette of another kind".into(), "a PNG file".into())),
    };
    let wide = frame.bit_depth == png::BitDepth::Sixteen;
    let (stored, opaque) = if wide {
        let words: Vec<u16> = buffer.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
        let (words, opaque) = without_alpha(words, stride, channels, u16::MAX);
        (Stored::Words(words), opaque)
    } else {
        let (bytes, opaque) = without_alpha(buffer, stride, channels, u8::MAX);
        (Stored::Bytes(bytes), opaque)
    };
    let mut picture = Picture::plain(size, channels, stored);
    if !opaque {
        picture.peculiarities.push(super::raster::ALPHA);
    }
    let exif = reader.info().exif_metadata.as_deref();
    if exif.and_then(super::raster::orientation).is_some_and(|orientation| orientation != 1) {
        picture.peculiarities.push(super::raster::TURNED);
    }
    if reader.info().is_animated() {
        picture.peculiarities.push("several frames, the first of which is read");
    }
    Ok(picture)
}

/// The colours alone, and whether all alpha is `full`.
pub(super) fn without_alpha<T: Copy + PartialEq>(
    values: Vec<T>,
    stride: usize,
    channels: usize,
    full: T,
) -> (Vec<T>, bool) {
    if stride == channels {
        return (values, true);
    }
    let opaque = values.chunks_exact(stride).all(|pixel| pixel[channels] == full);
    let colours = values.chunks_exact(stride).flat_map(|pixel| pixel[..channels].iter().copied()).collect();
    (colours, opaque)
}
