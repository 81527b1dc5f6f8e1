//! Seeded variations of training samples: images and signals, never tables.

use super::random::{Stream, name_number};

/// How far a sample may be varied; all amounts are largest ones, drawn evenly up to them, and 0 leaves that variation out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    /// Pixels or samples along each axis that is longer than 1; the edge is repeated.
    pub shift: usize,
    /// Mirrors left and right with probability 1/2.
    pub flip: bool,
    /// Degrees, about the centre (images only).
    pub rotate: f32,
    /// Share by which an image is scaled up or down (images only).
    pub zoom: f32,
    /// Share by which the values' distance from the sample's own mean is scaled up or down.
    pub gain: f32,
    /// Added to all values of a sample, in the data's unit.
    pub offset: f32,
    /// Standard deviation of normal noise, in the data's unit.
    pub noise: f32,
}

impl Augment {
    /// Writes a variation of `sample`, of shape `[height, width, channels]` and within `low..=high`, to `out`. It depends on the
    /// seed, the epoch and the sample's index alone.
    pub fn apply(
        &self,
        sample: &[f32],
        [height, width, channels]: [usize; 3],
        bounds: [f32; 2],
        [seed, epoch, index]: [u64; 3],
        out: &mut [f32],
    ) {
        let mut stream = Stream::new(seed, &[name_number("augment"), epoch, index]);
        let map = self.draw_map(&mut stream, height, width);
        let (gain, offset) = (1.0 + self.gain * stream.signed(), self.offset * stream.signed());
        let mean = (sample.iter().map(|&v| f64::from(v)).sum::<f64>() / sample.len() as f64) as f32;
        for row in 0..height {
            for column in 0..width {
                let (y, x) = map.source(row, column);
                for channel in 0..channels {
                    let value = read(sample, [height, width, channels], y, x, channel);
                    let noise = if self.noise > 0.0 { self.noise * stream.normal() } else { 0.0 };
                    let value = mean + (value - mean) * gain + offset + noise;
                    out[(row * width + column) * channels + channel] = value.clamp(bounds[0], bounds[1]);
                }
            }
        }
    }

    fn draw_map(&self, stream: &mut Stream, height: usize, width: usize) -> Map {
        let mut step = |size: usize| match size {
            0 | 1 => 0.0,
            _ => stream.below(2 * self.shift + 1) as f32 - self.shift as f32,
        };
        let shift = [step(height), step(width)];
        let mirrored = self.flip && stream.unit() < 0.5;
        let image = height > 1;
        let angle = if image { (self.rotate * stream.signed()).to_radians() } else { 0.0 };
        let scale = if image { 1.0 + self.zoom * stream.signed() } else { 1.0 };
        let centre = [0.5 * (height as f32 - 1.0), 0.5 * (width as f32 - 1.0)];
        Map { shift, mirrored, turn: [angle.cos() / scale, angle.sin() / scale], centre }
    }
}

/// Where each pixel of a varied image comes from.
struct Map {
    shift: [f32; 2],
    mirrored: bool,
    turn: [f32; 2],
    centre: [f32; 2],
}

impl Map {
    fn source(&self, row: usize, column: usize) -> (f32, f32) {
        let y = row as f32 - self.centre[0] - self.shift[0];
        let x = column as f32 - self.centre[1] - self.shift[1];
        let [cos, sin] = self.turn;
        let (y, x) = (cos * y - sin * x, sin * y + cos * x);
        (y + self.centre[0], if self.mirrored { self.centre[1] - x } else { x + self.centre[1] })
    }
}

/// Bilinear, the edge repeated; exact at whole positions.
fn read(sample: &[f32], [height, width, channels]: [usize; 3], y: f32, x: f32, channel: usize) -> f32 {
    let (y, x) = (y.clamp(0.0, height as f32 - 1.0), x.clamp(0.0, width as f32 - 1.0));
    let (top, left) = (y.floor() as usize, x.floor() as usize);
    let (bottom, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
    let (v, u) = (y - top as f32, x - left as f32);
    let at = |row: usize, column: usize| sample[(row * width + column) * channels + channel];
    let upper = at(top, left) + u * (at(top, right) - at(top, left));
    let lower = at(bottom, left) + u * (at(bottom, right) - at(bottom, left));
    upper + v * (lower - upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [5, 6, 1];

    fn image() -> Vec<f32> {
        (0..30).map(|i| ((i * 7) % 11) as f32).collect()
    }

    fn varied(augment: &Augment, epoch: u64, index: u64) -> Vec<f32> {
        let mut out = vec![0.0; 30];
        augment.apply(&image(), SHAPE, [0.0, 10.0], [3, epoch, index], &mut out);
        out
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        assert_eq!(varied(&Augment::default(), 1, 2), image());
    }

    #[test]
    fn a_variation_depends_on_epoch_and_sample_and_stays_within_bounds() {
        let augment =
            Augment { shift: 2, flip: true, rotate: 10.0, zoom: 0.1, gain: 0.3, offset: 4.0, noise: 2.0 };
        let one = varied(&augment, 1, 2);
        assert_eq!(one, varied(&augment, 1, 2));
        assert_ne!(one, varied(&augment, 2, 2));
        assert_ne!(one, varied(&augment, 1, 3));
        assert!(one.iter().all(|value| (0.0..=10.0).contains(value)));
    }

    #[test]
    fn shifts_reach_their_limit_in_both_directions_and_repeat_the_edge() {
        let signal: Vec<f32> = (0..8).map(|i| i as f32).collect();
        let augment = Augment { shift: 2, ..Augment::default() };
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..100 {
            let mut out = vec![0.0; 8];
            augment.apply(&signal, [1, 8, 1], [0.0, 7.0], [0, epoch, 0], &mut out);
            let shift = 4 - out[4] as i32;
            seen.insert(shift);
            let expected: Vec<f32> = (0..8).map(|i| (i - shift).clamp(0, 7) as f32).collect();
            assert_eq!(out, expected);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
    }
}
