//! Samples of another size, resized inside the graph, against PyTorch's antialiased interpolation.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::graph::{Compiled, Graph, Phase, Shape, Uploads};
use percuss::models::Samples;
use percuss::resampling::{Filter, Fit};
use percuss_kernels::Device;
use support::{channels_last, golden, relative_error, unit};

const CASES: [(&str, [usize; 3], [usize; 2]); 3] =
    [("up", [1, 7, 6], [16, 16]), ("down", [3, 20, 26], [8, 8]), ("eight", [1, 4, 4], [32, 32])];

#[test]
fn resized_samples_and_gradients_equal_pytorch() {
    let golden = golden("resize");
    for (filter, kind) in [(Filter::Bilinear, "bilinear"), (Filter::Bicubic, "bicubic")] {
        for (name, [channels, height, width], to) in CASES {
            let samples = Samples { shape: [height, width, channels], filter, fit: Fit::Crop };
            let mut graph = Graph::new();
            let x = graph.state("x", Shape::lanes(&samples.shape));
            let input = graph.load(x);
            let y = samples.forward(&mut graph, input, &[to[0], to[1], channels]);
            let square = graph.mul(y, y);
            let loss = graph.sum_lane(square);
            let slope = graph.gradients(loss, &[input])[0];
            let out = graph.state("out", Shape::lanes(&[to[0], to[1], channels]));
            let gradient = graph.state("gradient", Shape::lanes(&samples.shape));
            let mut phase = Phase::new();
            phase.assign(&mut graph, out, y);
            phase.assign(&mut graph, gradient, slope);
            let compiled = Compiled::new(&graph, &[phase], 2).unwrap();
            let mut exe =
                compiled.instantiate(&Device::Cpu { threads: 1 }, &mut Uploads::default(), 1).unwrap();
            let values = unit(&format!("resize.{name}"), 2 * channels * height * width);
            exe.write(x, &channels_last(&values, channels, height * width)).unwrap();
            exe.run(0, 1).unwrap();
            let of = |key: &str, places| {
                channels_last(&golden.tensors[&format!("{kind}.{name}{key}")].data, channels, places)
            };
            let errors = [
                relative_error(&exe.read(out).unwrap(), &of("", to[0] * to[1])),
                relative_error(&exe.read(gradient).unwrap(), &of(".grad", height * width)),
            ];
            assert!(errors.iter().all(|&error| error < 1e-6), "{kind} {name}: off by {errors:?}");
        }
    }
}

#[test]
fn a_grey_sample_becomes_every_channel() {
    let samples = Samples { shape: [2, 2, 1], filter: Filter::Nearest, fit: Fit::Squash };
    let mut graph = Graph::new();
    let x = graph.state("x", Shape::lanes(&[2, 2, 1]));
    let input = graph.load(x);
    let y = samples.forward(&mut graph, input, &[2, 4, 3]);
    let out = graph.state("out", Shape::lanes(&[2, 4, 3]));
    let mut phase = Phase::new();
    phase.assign(&mut graph, out, y);
    let compiled = Compiled::new(&graph, &[phase], 1).unwrap();
    let mut exe = compiled.instantiate(&Device::Cpu { threads: 1 }, &mut Uploads::default(), 1).unwrap();
    exe.write(x, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    exe.run(0, 1).unwrap();
    let wanted: Vec<f32> = [1, 1, 2, 2, 3, 3, 4, 4].iter().flat_map(|&v| [v as f32; 3]).collect();
    assert_eq!(exe.read(out).unwrap(), wanted);
}
