//! The samples of one frame of a DICOM file, whatever they are compressed with.

use std::io::Cursor;

use dicom_object::mem::InMemElement;
use dicom_object::{InMemDicomObject, Tag};
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use jpeg_decoder::{ColorTransform, PixelFormat};

use super::Refused;
use super::dicom::Layout;

/// How to come by a file that is not compressed, for what no decoder is here.
const MEND: &str =
    "an uncompressed one: pydicom's ds.decompress(), then ds.save_as(..), or gdcmconv --raw IN OUT";

/// The `rows * columns * channels` samples of a frame as they are stored, channels last; colour is RGB.
pub(super) fn frame(
    object: &InMemDicomObject,
    syntax: &str,
    layout: &Layout,
    frame: u32,
) -> Refused<Vec<i32>> {
    let pixels = object
        .get(Tag(0x7fe0, 0x0010))
        .ok_or_else(|| ("no PixelData".to_string(), "a DICOM image".to_string()))?;
    let samples = match syntax {
        "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1" | "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.2" => {
            let words = native(pixels, layout, frame)?;
            return Ok(rgb(interleaved(stored(words, layout), layout), layout));
        }
        "1.2.840.10008.1.2.5" => {
            let words = rle(&encapsulated(pixels, layout, frame)?, layout)?;
            return Ok(rgb(stored(words, layout), layout));
        }
        "1.2.840.10008.1.2.4.50"
        | "1.2.840.10008.1.2.4.51"
        | "1.2.840.10008.1.2.4.57"
        | "1.2.840.10008.1.2.4.70" => jpeg(&encapsulated(pixels, layout, frame)?, layout)?,
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => {
            jpeg_2000(&encapsulated(pixels, layout, frame)?, layout)?
        }
        other => return Err((format!("pixels compressed as {}", name(other)), MEND.into())),
    };
    Ok(stored(samples, layout))
}

fn name(syntax: &str) -> String {
    let name = match syntax {
        "1.2.840.10008.1.2.4.80" => "JPEG-LS lossless",
        "1.2.840.10008.1.2.4.81" => "JPEG-LS near-lossless",
        "1.2.840.10008.1.2.4.92" | "1.2.840.10008.1.2.4.93" => "JPEG 2000 of several components",
        "1.2.840.10008.1.2.4.110" | "1.2.840.10008.1.2.4.111" | "1.2.840.10008.1.2.4.112" => "JPEG XL",
        "1.2.840.10008.1.2.4.201" | "1.2.840.10008.1.2.4.202" | "1.2.840.10008.1.2.4.203" => {
            "high-throughput JPEG 2000"
        }
        video if video.starts_with("1.2.840.10008.1.2.4.10") => "MPEG video",
        other => return format!("transfer syntax {other}"),
    };
    format!("{name} (transfer syntax {syntax})")
}

fn count(layout: &Layout) -> usize {
    layout.size[0] * layout.size[1] * layout.channels
}

fn wrong_length(found: usize, expected: usize) -> (String, String) {
    (format!("{found} samples in a frame"), format!("{expected}, as Rows and Columns say"))
}

/// Words of one frame that is not compressed, in the order of the file.
fn native(pixels: &InMemElement, layout: &Layout, frame: u32) -> Refused<Vec<u16>> {
    let bad = || ("PixelData of another kind".to_string(), "bytes or words".to_string());
    let count = count(layout);
    let first = count.checked_mul(frame as usize).ok_or_else(bad)?;
    let value = pixels.value();
    let words: Vec<u16> = if layout.bits_allocated == 16 {
        match value.uint16_slice() {
            Ok(words) => words.iter().skip(first).take(count).copied().collect(),
            // Words in an element of bytes are little-endian.
            Err(_) => {
                let bytes = value.to_bytes().map_err(|_| bad())?;
                let words = bytes.chunks_exact(2).skip(first).take(count);
                words.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
            }
        }
    } else {
        match value.uint16_slice() {
            // Two pixels a word, the first in its lower byte.
            Ok(words) => {
                let bytes = words.iter().flat_map(|word| word.to_le_bytes());
                bytes.skip(first).take(count).map(u16::from).collect()
            }
            Err(_) => {
                let bytes = value.to_bytes().map_err(|_| bad())?;
                bytes.iter().skip(first).take(count).map(|&byte| u16::from(byte)).collect()
            }
        }
    };
    if words.len() == count { Ok(words) } else { Err(wrong_length(words.len(), count)) }
}

/// The bytes of one frame among the fragments of compressed pixels.
fn encapsulated(pixels: &InMemElement, layout: &Layout, frame: u32) -> Refused<Vec<u8>> {
    let value = pixels.value();
    let (Some(fragments), offsets) = (value.fragments(), value.offset_table().unwrap_or_default()) else {
        return Err((
            "PixelData without fragments".into(),
            "compressed pixels, as the transfer syntax says".into(),
        ));
    };
    let frame = frame as usize;
    if layout.frames == 1 {
        return Ok(fragments.concat());
    }
    if fragments.len() == layout.frames as usize {
        return Ok(fragments[frame].to_vec());
    }
    let first = offsets.get(frame).map(|&offset| u64::from(offset));
    let end = offsets.get(frame + 1).map_or(u64::MAX, |&offset| u64::from(offset));
    let mut at = 0u64;
    let mut bytes = Vec::new();
    for fragment in fragments {
        if first.is_some_and(|first| (first..end).contains(&at)) {
            bytes.extend_from_slice(fragment);
        }
        at += 8 + fragment.len() as u64;
    }
    if bytes.is_empty() {
        return Err((format!("{} fragments for {} frames", fragments.len(), layout.frames), MEND.into()));
    }
    Ok(bytes)
}

/// PS3.5 G: a segment a byte of every sample, the most significant first, each packed as PackBits.
fn rle(bytes: &[u8], layout: &Layout) -> Refused<Vec<u16>> {
    let bad = || ("a damaged frame of run lengths".to_string(), "an undamaged one".to_string());
    let header: Vec<usize> = bytes
        .get(..64)
        .ok_or_else(bad)?
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize)
        .collect();
    let pixels = layout.size[0] * layout.size[1];
    let per_sample = (layout.bits_allocated / 8) as usize;
    if header[0] != per_sample * layout.channels {
        return Err(bad());
    }
    let mut words = vec![0u16; pixels * layout.channels];
    for segment in 0..header[0] {
        let end = if segment + 1 < header[0] { header[segment + 2] } else { bytes.len() };
        let packed = bytes.get(header[segment + 1]..end).ok_or_else(bad)?;
        let plane = unpacked(packed, pixels).ok_or_else(bad)?;
        let channel = segment / per_sample;
        for (pixel, &byte) in plane.iter().enumerate() {
            let word = &mut words[pixel * layout.channels + channel];
            *word = *word << 8 | u16::from(byte);
        }
    }
    Ok(words)
}

fn unpacked(mut packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let (&head, rest) = packed.split_first()?;
        match head as i8 {
            -128 => packed = rest,
            run if run < 0 => {
                let (&byte, rest) = rest.split_first()?;
                bytes.resize(bytes.len() + 1 + usize::from(run.unsigned_abs()), byte);
                packed = rest;
            }
            literal => {
                let (own, rest) = rest.split_at_checked(literal as usize + 1)?;
                bytes.extend_from_slice(own);
                packed = rest;
            }
        }
    }
    (bytes.len() == length).then_some(bytes)
}

fn jpeg(bytes: &[u8], layout: &Layout) -> Refused<Vec<u16>> {
    let bad = |error: jpeg_decoder::Error| (format!("{error} in a JPEG frame"), MEND.to_string());
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(bytes));
    decoder.set_max_decoding_buffer_size(count(layout).saturating_mul(4));
    decoder.read_info().map_err(bad)?;
    if layout.channels == 3 {
        let rgb = layout.photometric == "RGB";
        decoder.set_color_transform(if rgb { ColorTransform::RGB } else { ColorTransform::YCbCr });
    }
    let values = decoder.decode().map_err(bad)?;
    let (format, size) = decoder
        .info()
        .map(|info| (info.pixel_format, [usize::from(info.height), usize::from(info.width)]))
        .ok_or_else(|| ("a JPEG frame without a header".to_string(), MEND.to_string()))?;
    let channels = if format == PixelFormat::RGB24 { 3 } else { 1 };
    let words: Vec<u16> = match format {
        PixelFormat::L16 => values.chunks_exact(2).map(|two| u16::from_ne_bytes([two[0], two[1]])).collect(),
        PixelFormat::L8 | PixelFormat::RGB24 => values.into_iter().map(u16::from).collect(),
        PixelFormat::CMYK32 => return Err(("a JPEG frame of four colours".into(), MEND.into())),
    };
    if size != layout.size || channels != layout.channels || words.len() != count(layout) {
        return Err(wrong_length(words.len(), count(layout)));
    }
    Ok(words)
}

fn jpeg_2000(bytes: &[u8], layout: &Layout) -> Refused<Vec<u16>> {
    let bad =
        |error: hayro_jpeg2000::DecodeError| (format!("{error} in a JPEG 2000 frame"), MEND.to_string());
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let image = Image::new(bytes, &settings).map_err(bad)?;
    if [image.height() as usize, image.width() as usize] != layout.size {
        let found = image.height() as usize * image.width() as usize * layout.channels;
        return Err(wrong_length(found, count(layout)));
    }
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(bad)?;
    let components = decoded.components();
    if components.len() != layout.channels {
        let found = format!("{} components in a JPEG 2000 frame", components.len());
        return Err((found, format!("{}, as SamplesPerPixel says", layout.channels)));
    }
    let pixels = layout.size[0] * layout.size[1];
    if let Some(odd) = components.iter().find(|component| component.samples().len() < pixels) {
        return Err(wrong_length(odd.samples().len(), pixels));
    }
    let bits = u32::from(image.original_bit_depth());
    // Levels come around the middle of the unsigned range: of signed ones the middle is 0.
    let middle = if signed_components(bytes) { 1i32 << bits.saturating_sub(1).min(30) } else { 0 };
    let level = |value: f32| (value.round() as i32 - middle) as u16;
    Ok((0..pixels).flat_map(|pixel| components.iter().map(move |c| level(c.samples()[pixel]))).collect())
}

/// Whether the first component of a JPEG 2000 codestream is signed: the top bit of Ssiz in its SIZ marker.
fn signed_components(bytes: &[u8]) -> bool {
    let start = bytes.windows(4).position(|four| four == [0xff, 0x4f, 0xff, 0x51]);
    start.and_then(|start| bytes.get(start + 42)).is_some_and(|ssiz| ssiz & 0x80 != 0)
}

/// The bits that are stored, and the sign that they have.
fn stored(words: Vec<u16>, layout: &Layout) -> Vec<i32> {
    let (bits, shift) = (layout.bits_stored, layout.high_bit + 1 - layout.bits_stored);
    let mask = if bits >= 16 { u16::MAX } else { (1 << bits) - 1 };
    let value = |word: u16| {
        let value = i32::from(word >> shift & mask);
        if layout.signed && value >> (bits - 1) & 1 == 1 { value - (1 << bits) } else { value }
    };
    words.into_iter().map(value).collect()
}

fn interleaved(samples: Vec<i32>, layout: &Layout) -> Vec<i32> {
    if !layout.planes || layout.channels == 1 {
        return samples;
    }
    let pixels = layout.size[0] * layout.size[1];
    (0..pixels)
        .flat_map(|pixel| (0..layout.channels).map(move |c| c * pixels + pixel))
        .map(|at| samples[at])
        .collect()
}

/// YBR_FULL as RGB (PS3.3 C.7.6.3.1.2).
fn rgb(samples: Vec<i32>, layout: &Layout) -> Vec<i32> {
    if layout.channels == 1 || layout.photometric == "RGB" {
        return samples;
    }
    let level = |value: f64| value.round().clamp(0.0, 255.0) as i32;
    let pixel = |p: &[i32]| {
        let [y, b, r] = [0, 1, 2].map(|k| f64::from(p[k]) - if k == 0 { 0.0 } else { 128.0 });
        [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b].map(level)
    };
    samples.chunks_exact(3).flat_map(pixel).collect()
}
