//! Where the channels of a sample lie: NumPy arrays of images and signals come in two orders, and percuss computes channels last.

use super::Remark;

/// Channels of an image, at most.
const COLOURS: usize = 4;

/// Which axis of a sample is its channels (an image's colours, a signal's leads).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    /// The first one: PyTorch's order.
    First,
    /// The last one.
    Last,
}

/// The order of axes that a study states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    axes: Axes,
    /// Time instead of height and width.
    signal: bool,
}

impl Layout {
    /// All names: n samples, c channels, h rows, w columns; t (or w) time.
    pub const NAMES: [&'static str; 6] = ["nchw", "nhwc", "nct", "ntc", "ncw", "nwc"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        let (axes, signal) = match name {
            "nchw" => (Axes::First, false),
            "nhwc" => (Axes::Last, false),
            "nct" | "ncw" => (Axes::First, true),
            "ntc" | "nwc" => (Axes::Last, true),
            _ => return None,
        };
        Some(Self { axes, signal })
    }
}

/// An input of the model that the samples are for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its shape, channels last; a signal has height 1.
    pub shape: Vec<usize>,
    /// The order that the model's own file has, where there is one that anybody could have made the data for (ONNX).
    pub natural: Option<Axes>,
}

/// How a sample of an array lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Lying {
    /// Its shape, channels last.
    pub shape: Vec<usize>,
    /// `[channels, the rest]` of values that are to be transposed.
    pub transposed: Option<[usize; 2]>,
    /// What was assumed.
    pub remark: Option<Remark>,
}

impl Lying {
    fn new(shape: &[usize], axes: Axes) -> Self {
        let channels = shape.last().copied().unwrap_or(1);
        let rest = shape.iter().product::<usize>() / channels.max(1);
        let transposed = (axes == Axes::First && channels > 1 && rest > 1).then_some([channels, rest]);
        Self { shape: shape.to_vec(), transposed, remark: None }
    }

    fn said(self, text: impl Into<String>) -> Self {
        Self { remark: Some(Remark::note(text)), ..self }
    }

    /// Brings samples, one after the other, into this order.
    pub fn apply(&self, values: &mut [f32]) {
        let Some([channels, rest]) = self.transposed else { return };
        let mut sample = vec![0.0; channels * rest];
        for own in values.chunks_exact_mut(channels * rest) {
            for (at, value) in sample.iter_mut().enumerate() {
                *value = own[at % channels * rest + at / channels];
            }
            own.copy_from_slice(&sample);
        }
    }
}

/// How samples of shape `own` lie: as `layout` says, else as the model takes them; of a model whose file has an order of its own that one
/// first, of others whichever fits.
///
/// # Errors
/// `(found, expected)`: a layout that the shape cannot have; a shape that fits in both orders.
pub fn lie(
    own: &[usize],
    layout: Option<Layout>,
    wanted: Option<&Wanted>,
) -> Result<Lying, (String, String)> {
    if let Some(layout) = layout {
        return stated(own, layout, wanted);
    }
    let Some(wanted) = wanted else { return Ok(unknown(own)) };
    let &[height, width, channels] = &wanted.shape[..] else {
        return Ok(Lying::new(&plain(own), Axes::Last));
    };
    let last = long(own) == long(&wanted.shape);
    if channels == 1 || height * width == 1 {
        return Ok(Lying::new(&if last { wanted.shape.clone() } else { plain(own) }, Axes::Last));
    }
    let first = long(own) == long(&[channels, height, width]);
    let [as_last, as_first] = [Axes::Last, Axes::First].map(|axes| Lying::new(&wanted.shape, axes));
    let signal = height == 1;
    let [say_last, say_first] = if signal { ["ntc", "nct"] } else { ["nhwc", "nchw"] };
    match (last, first, wanted.natural) {
        (true, true, None) => Err((
            format!("samples of shape {own:?}, which fit with channels first and with channels last"),
            format!("layout = \"{say_first}\" (channels first, PyTorch's order) or layout = \"{say_last}\" in the [[data]] table"),
        )),
        (true, true, Some(Axes::First)) => Ok(as_first.said(format!(
            "shape {own:?} fits in both orders: taken channels first, as the model's file has it; layout = \"{say_last}\" says otherwise"
        ))),
        (true, true, Some(Axes::Last)) => Ok(as_last.said(format!(
            "shape {own:?} fits in both orders: taken channels last, as the model's file has it; layout = \"{say_first}\" says otherwise"
        ))),
        (true, false, Some(Axes::First)) => {
            Ok(as_last.said(format!("shape {own:?} is read channels last; the model's file has channels first")))
        }
        (true, false, _) => Ok(as_last),
        (false, true, Some(Axes::First)) => Ok(as_first),
        (false, true, _) => Ok(as_first.said(format!("shape {own:?} is read channels first and turned to channels last"))),
        (false, false, Some(Axes::First)) if own.len() == 3 => Ok(Lying::new(&[own[1], own[2], own[0]], Axes::First)),
        (false, false, Some(Axes::First)) if own.len() == 2 && signal => Ok(Lying::new(&[1, own[1], own[0]], Axes::First)),
        (false, false, _) => Ok(unknown(own)),
    }
}

fn stated(own: &[usize], layout: Layout, wanted: Option<&Wanted>) -> Result<Lying, (String, String)> {
    let axes = match (layout.signal, own) {
        (false, [a, b, c]) => [*a, *b, *c],
        (true, [a, b]) if layout.axes == Axes::Last => [1, *a, *b],
        (true, [a, b]) => [*a, 1, *b],
        (true, [1, a, b]) if layout.axes == Axes::Last => [1, *a, *b],
        (true, [1, a, b]) => [*a, 1, *b],
        _ => {
            let expected = if layout.signal { "(n, time, channels)" } else { "(n, rows, columns, channels)" };
            return Err((
                format!("samples of shape {own:?}"),
                format!("{expected} in the order that layout says"),
            ));
        }
    };
    let shape = match layout.axes {
        Axes::Last => axes,
        Axes::First => [axes[1], axes[2], axes[0]],
    };
    // A model may write axes of length 1 elsewhere.
    let shape =
        wanted.map(|wanted| wanted.shape.clone()).filter(|own| own.len() == 3 && long(own) == long(&shape));
    let shape = shape.unwrap_or_else(|| match (layout.axes, axes) {
        (Axes::Last, axes) => axes.to_vec(),
        (Axes::First, [c, h, w]) => vec![h, w, c],
    });
    Ok(Lying::new(&shape, layout.axes))
}

/// A sample of no model in particular: one or three channels before much larger sides are an image's colours.
fn unknown(own: &[usize]) -> Lying {
    match *own {
        [channels @ (1 | 3), height, width] if height > COLOURS && width > COLOURS => {
            Lying::new(&[height, width, channels], Axes::First)
                .said(format!("shape {own:?} is read channels first and turned to channels last"))
        }
        _ => Lying::new(&plain(own), Axes::Last),
    }
}

/// The shape as it is; without channels there is one.
fn plain(own: &[usize]) -> Vec<usize> {
    match *own {
        [height, width] => vec![height, width, 1],
        _ => own.to_vec(),
    }
}

fn long(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&extent| extent != 1).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wanted(shape: &[usize], natural: Option<Axes>) -> Wanted {
        Wanted { name: "x".into(), shape: shape.to_vec(), natural }
    }

    /// Every model shape, in both orders, under every order of the model's file: the values come out channels last, or the error names both.
    #[test]
    fn both_orders_become_channels_last_or_are_refused() {
        let naturals = [None, Some(Axes::First), Some(Axes::Last)];
        let shapes = [
            [28, 28, 1],
            [32, 32, 3],
            [7, 5, 4],
            [1, 200, 12],
            [1, 12, 200],
            [3, 3, 3],
            [1, 12, 12],
            [1, 64, 1],
        ];
        for [h, w, c] in shapes {
            let right: Vec<f32> = (0..h * w * c).map(|at| at as f32).collect();
            // Value (y, x, c) is named by its place channels last.
            let turned: Vec<f32> =
                (0..c).flat_map(|k| (0..h * w).map(move |at| (at * c + k) as f32)).collect();
            let alike = right == turned;
            for natural in naturals {
                let model = wanted(&[h, w, c], natural);
                for (own, stored, axes) in [
                    (vec![h, w, c], &right, Axes::Last),
                    (vec![c, h, w], &turned, Axes::First),
                    (if h == 1 { vec![w, c] } else { vec![h, w, c] }, &right, Axes::Last),
                    (if h == 1 { vec![c, w] } else { vec![c, h, w] }, &turned, Axes::First),
                ] {
                    let name = match (h == 1, axes) {
                        (true, Axes::First) => "nct",
                        (true, Axes::Last) => "ntc",
                        (false, Axes::First) => "nchw",
                        (false, Axes::Last) => "nhwc",
                    };
                    let mut values = stored.clone();
                    let both = !alike && long(&[h, w, c]) == long(&[c, h, w]);
                    match lie(&own, None, Some(&model)) {
                        Ok(lying) => {
                            lying.apply(&mut values);
                            assert_eq!(lying.shape, [h, w, c], "{own:?}");
                            let decided = !both || natural == Some(axes);
                            assert_eq!(values == right, decided, "{own:?} {natural:?}");
                            assert!(!both || lying.remark.is_some(), "an assumption is said");
                        }
                        Err((found, expected)) => {
                            assert!(both && natural.is_none(), "{found}");
                            assert!(expected.contains(&format!("layout = \"{name}\"")), "{expected}");
                        }
                    }
                    // What the study says is always done.
                    let (mut values, tall) =
                        (stored.clone(), own.len() == 3 && h == 1 && axes == Axes::First);
                    if !tall {
                        let lying = lie(&own, Layout::named(name), Some(&model)).unwrap();
                        lying.apply(&mut values);
                        assert_eq!((values, lying.shape), (right.clone(), vec![h, w, c]), "{own:?} {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_flat_model_takes_what_the_file_has() {
        let lying = lie(&[3, 32, 32], None, Some(&wanted(&[3072], None))).unwrap();
        assert_eq!((lying.shape, lying.transposed), (vec![3, 32, 32], None));
    }
}
