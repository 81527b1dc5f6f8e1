//! JPEG, BMP and TIFF files.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::png_file::without_alpha;
use super::{MAX_PIXELS, Picture, Reading, Refused, SizeCheck, Stored};

/// Alpha that says something is dropped, as Pillow does it.
pub(super) const ALPHA: &str = "transparent pixels, whose alpha is dropped";
/// EXIF asks viewers to turn an image; pixels are taken as they are stored, as Pillow, PyTorch and Keras do it.
pub(super) const TURNED: &str = "an EXIF orientation, which is not applied: pixels are as they are stored (Pillow turns them: ImageOps.exif_transpose(image).save(FILE))";

/// Decoders of JPEG round as they like, and enlarge halved colour each in its own way: against Pillow's this one was off by 1 level in grey, by
/// 3 in colour, and by 20 at the edges of colour that is noise.
const JPEG: &str = "JPEG, whose pixels may be some levels off those of another decoder";

/// The orientation that a block of EXIF asks for: 1 is upright.
pub(super) fn orientation(exif: &[u8]) -> Option<u8> {
    Orientation::from_exif_chunk(exif).map(Orientation::to_exif)
}

pub(super) fn jpeg(bytes: &[u8], admit: &SizeCheck) -> Refused<Picture> {
    let bad = |error: ImageError| (error.to_string(), "an undamaged JPEG file of 8 bits".to_string());
    if components(bytes) == Some(4) {
        let expected = "grey or RGB: convert it (Pillow: image.convert(\"RGB\"))".to_string();
        return Err(("a JPEG file in colours for print (CMYK)".into(), expected));
    }
    let mut decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(bad)?;
    let (width, height) = decoder.dimensions();
    // A block of 64 pixels takes a bit at least.
    if u64::from(width) * u64::from(height) > 512 * bytes.len() as u64 {
        let found = format!("{height} x {width} pixels in {} bytes", bytes.len());
        return Err((found, "an undamaged JPEG file".into()));
    }
    let turned = decoder.orientation().map_err(bad)? != Orientation::NoTransforms;
    let mut picture = decoded(decoder, admit).map_err(|refused| refused.unwrap_or_else(bad))?;
    picture.peculiarities.push(JPEG);
    if turned {
        picture.peculiarities.push(TURNED);
    }
    Ok(picture)
}

pub(super) fn bmp(bytes: &[u8], admit: &SizeCheck) -> Refused<Picture> {
    let bad = |error: ImageError| (error.to_string(), "an undamaged BMP file".to_string());
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(bad)?;
    decoded(decoder, admit).map_err(|refused| refused.unwrap_or_else(bad))
}

/// What a decoder says of an image, or what the caller does not admit.
enum Failure {
    Decoder(ImageError),
    Refused((String, String)),
}

impl Failure {
    fn unwrap_or_else(self, describe: impl FnOnce(ImageError) -> (String, String)) -> (String, String) {
        match self {
            Self::Decoder(error) => describe(error),
            Self::Refused(refused) => refused,
        }
    }
}

fn decoded(decoder: impl ImageDecoder, admit: &SizeCheck) -> Result<Picture, Failure> {
    let (width, height) = decoder.dimensions();
    let size = [height as usize, width as usize];
    admit(size).map_err(Failure::Refused)?;
    let (stride, channels) = match decoder.color_type() {
        ColorType::L8 => (1, 1),
        ColorType::La8 => (2, 1),
        ColorType::Rgb8 => (3, 3),
        ColorType::Rgba8 => (4, 3),
        other => {
            let refused = (format!("pixels of kind {other:?}"), "8 bits a channel".to_string());
            return Err(Failure::Refused(refused));
        }
    };
    let mut buffer = vec![0; size[0] * size[1] * stride];
    decoder.read_image(&mut buffer).map_err(Failure::Decoder)?;
    let (values, opaque) = without_alpha(buffer, stride, channels, u8::MAX);
    let mut picture = Picture::plain(size, channels, Stored::Bytes(values));
    if !opaque {
        picture.peculiarities.push(ALPHA);
    }
    Ok(picture)
}

/// The number of components in a JPEG's frame header.
fn components(bytes: &[u8]) -> Option<u8> {
    let mut at = 2;
    while let [0xff, marker, rest @ ..] = bytes.get(at..)? {
        match marker {
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return rest.get(7).copied(),
            _ => at += 2 + usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])),
        }
    }
    None
}

pub(super) fn tiff(bytes: &[u8], reading: &Reading, admit: &SizeCheck) -> Refused<Picture> {
    let bad = |error: tiff::TiffError| {
        let expected = "a TIFF file of grey or RGB, 1, 2, 4, 8 or 16 bits; save it as PNG".to_string();
        (error.to_string(), expected)
    };
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_PIXELS as usize * 8;
    limits.intermediate_buffer_size = MAX_PIXELS as usize * 8;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(bad)?.with_limits(limits);
    if let Some(page) = reading.frame {
        for _ in 0..page {
            decoder.next_image().map_err(bad)?;
        }
    } else if decoder.more_images() {
        let expected = "frame = N in [[data]], the number of the page from 0".to_string();
        return Err(("a TIFF file of several pages".into(), expected));
    }
    let (width, height) = decoder.dimensions().map_err(bad)?;
    let size = [height as usize, width as usize];
    admit(size)?;
    let colours = decoder.colortype().map_err(bad)?;
    let (stride, channels, bits) = match colours {
        tiff::ColorType::Gray(bits) => (1, 1, bits),
        tiff::ColorType::GrayA(bits) | tiff::ColorType::Multiband { bit_depth: bits, num_samples: 2 } => {
            (2, 1, bits)
        }
        tiff::ColorType::RGB(bits) => (3, 3, bits),
        tiff::ColorType::RGBA(bits) => (4, 3, bits),
        other => {
            return Err((format!("pixels of kind {other:?}"), "grey or RGB; save it as PNG".into()));
        }
    };
    let planes = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(bad)?;
    if stride > 1 && planes == Some(2) {
        return Err(("colours in planes of their own".into(), "colours side by side; save it as PNG".into()));
    }
    let turned = decoder.find_tag_unsigned::<u16>(Tag::Orientation).map_err(bad)?;
    let (stored, opaque) = match decoder.read_image().map_err(bad)? {
        DecodingResult::U8(packed) => {
            let values = match bits {
                8 => packed,
                1 | 2 | 4 if stride == 1 => spread(&packed, size, bits),
                other => return Err((format!("{other} bits"), "1, 2, 4, 8 or 16; save it as PNG".into())),
            };
            let (values, opaque) = without_alpha(values, stride, channels, u8::MAX);
            (Stored::Bytes(values), opaque)
        }
        DecodingResult::U16(values) if bits == 16 => {
            let (values, opaque) = without_alpha(values, stride, channels, u16::MAX);
            (Stored::Words(values), opaque)
        }
        _ => {
            let expected = "whole numbers of 8 or 16 bits: scale them to pixels and save them so, or as npz";
            return Err((
                format!("signed or real values of {bits} bits, whose unit nothing says"),
                expected.into(),
            ));
        }
    };
    let found = match &stored {
        Stored::Bytes(values) => values.len(),
        Stored::Words(values) => values.len(),
        _ => 0,
    };
    if found != size[0] * size[1] * channels {
        return Err((format!("{found} values"), format!("{} x {} pixels", size[0], size[1])));
    }
    let mut picture = Picture::plain(size, channels, stored);
    if !opaque {
        picture.peculiarities.push(ALPHA);
    }
    if turned.is_some_and(|turned| turned != 1) {
        picture.peculiarities.push(TURNED);
    }
    Ok(picture)
}

/// Rows of packed pixels of 1, 2 or 4 bits as bytes from 0 to 255.
fn spread(packed: &[u8], [rows, columns]: [usize; 2], bits: u8) -> Vec<u8> {
    let bits = usize::from(bits);
    let most = (1u16 << bits) - 1;
    let row_bytes = (columns * bits).div_ceil(8);
    let pixel = |row: usize, column: usize| {
        let byte = packed.get(row * row_bytes + column * bits / 8).copied().unwrap_or(0);
        let value = u16::from(byte) >> (8 - bits - column * bits % 8) & most;
        (value * 255 / most) as u8
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| pixel(row, column))).collect()
}
