//! npz archives put together by hand: any type, order and compression that NumPy writes.

use std::io::Write;
use std::path::Path;

/// An npy array: NumPy's type, whether the first axis is the fastest, the shape, the bytes.
pub fn npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({extents}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// The archive of these arrays.
pub fn write(path: &Path, deflated: bool, arrays: &[(&str, Vec<u8>)]) {
    let method = if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let options = zip::write::FileOptions::default().compression_method(method);
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// Numbers in NumPy's type.
pub fn encoded(descr: &str, values: &[f64]) -> Vec<u8> {
    let big = descr.starts_with('>');
    let put = |value: &f64| -> Vec<u8> {
        let x = *value;
        let mut bytes = match &descr[1..] {
            "b1" | "u1" => vec![x as u8],
            "i1" => (x as i8).to_le_bytes().to_vec(),
            "u2" => (x as u16).to_le_bytes().to_vec(),
            "i2" => (x as i16).to_le_bytes().to_vec(),
            "u4" => (x as u32).to_le_bytes().to_vec(),
            "i4" => (x as i32).to_le_bytes().to_vec(),
            "u8" => (x as u64).to_le_bytes().to_vec(),
            "i8" => (x as i64).to_le_bytes().to_vec(),
            "f2" => half::f16::from_f64(x).to_le_bytes().to_vec(),
            "f4" => (x as f32).to_le_bytes().to_vec(),
            "f8" => x.to_le_bytes().to_vec(),
            other => panic!("{other}"),
        };
        if big {
            bytes.reverse();
        }
        bytes
    };
    values.iter().flat_map(put).collect()
}

/// Texts as NumPy pads them, in UTF-32.
pub fn wide(texts: &[&str]) -> (String, Vec<u8>) {
    let len = texts.iter().map(|text| text.chars().count()).max().unwrap_or(1);
    let one = |text: &&str| -> Vec<u8> {
        text.chars().chain(std::iter::repeat('\0')).take(len).flat_map(|c| (c as u32).to_le_bytes()).collect()
    };
    (format!("<U{len}"), texts.iter().flat_map(one).collect())
}

/// The values of a C-ordered array in Fortran's order.
pub fn fortran(shape: &[usize], values: &[f64]) -> Vec<f64> {
    (0..values.len())
        .map(|mut at| {
            let (mut place, mut stride) = (0, values.len());
            for &extent in shape {
                stride /= extent;
                place += at % extent * stride;
                at /= extent;
            }
            values[place]
        })
        .collect()
}
