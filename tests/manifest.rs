//! Data sets of image files that a manifest lists.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::data::{Labels, Request, Source, open};
use support::files::message;

#[test]
fn manifest_lists_images() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, side: u32, bytes: &[u8], depth: png::BitDepth| {
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        let mut encoder = png::Encoder::new(file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    };
    write("a.png", 2, &[0, 10, 20, 255], png::BitDepth::Eight);
    write("b.png", 2, &[0, 0, 255, 255, 0x01, 0x01, 0x80, 0x80], png::BitDepth::Sixteen);
    let path = dir.path().join("m.csv");
    std::fs::write(&path, "path,label,patient,sex,split\na.png,ill,p1,F,test\nb.png,well,p2,M,train\n")
        .unwrap();
    let mut request = Request::new(Source::Manifest(path.clone()), "all");
    request.subgroups = vec!["sex".into()];
    assert!(message(open(&request, None)).contains("classes = [\"ill\", \"well\"]"));
    request.classes = vec!["well".into(), "ill".into()];
    let all = open(&request, None).unwrap();
    assert_eq!(
        (all.shape.clone(), all.classes.clone()),
        (vec![2, 2, 1], vec!["well".to_string(), "ill".into()])
    );
    assert_eq!(all.values, [0.0, 10.0, 20.0, 255.0, 0.0, 255.0, 1.0, 128.0]);
    assert_eq!(
        (all.group.clone().unwrap(), all.subgroups["sex"].clone()),
        (vec!["p1".to_string(), "p2".into()], vec!["F".to_string(), "M".into()])
    );
    assert_eq!(all.labels, Labels::Class(vec![1, 0]));
    assert_eq!(open(&Request { split: "test".into(), ..request.clone() }, None).unwrap().index, [0]);
    write("b.png", 3, &[1; 9], png::BitDepth::Eight);
    assert!(message(open(&request, None)).contains("as the first image"));
    std::fs::write(dir.path().join("b.png"), b"\x89PNG\r\n\x1a\nxx").unwrap();
    assert!(message(open(&request, None)).contains("b.png"));
    std::fs::remove_file(dir.path().join("b.png")).unwrap();
    assert!(message(open(&request, None)).contains("b.png"));
}
