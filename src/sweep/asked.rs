//! What a model asks of the data that it is fed.

use crate::data::{Axes, Fed, Wanted};
use crate::models::{Input, Model};

/// The inputs that samples are to become, in the order of the arrays of `inputs`; prompts are no part of the data.
pub(super) fn wanted(model: &Model) -> Vec<Wanted> {
    let (inputs, axes) = (model.config.inputs(), model.config.file_axes());
    let natural =
        |at: usize| axes.get(at).map(|own| if own.order.is_sorted() { Axes::Last } else { Axes::First });
    if inputs.len() > 1 && model.config.prompts().is_none() {
        let wanted = |(at, input): (usize, &Input)| Wanted {
            name: input.name.clone(),
            shape: input.shape.clone(),
            natural: natural(at),
        };
        return inputs.iter().enumerate().map(wanted).collect();
    }
    let name = inputs.first().map_or(String::new(), |input| input.name.clone());
    vec![Wanted { name, shape: model.config.values_shape(), natural: natural(0) }]
}

/// What a model says of the values that it is fed, for tables without a preprocessing of their own.
pub(super) fn fed(model: &Model) -> Fed {
    let network = model.network();
    let features = network.map(|network| network.feature_names.as_slice()).unwrap_or_default();
    let inputs = model.config.inputs();
    let names = match features {
        [] if inputs.len() > 1 => {
            inputs.iter().map(|input| (input.name.clone(), input.range.len())).collect()
        }
        features => features.iter().map(|name| (name.clone(), 1)).collect(),
    };
    let mut fills = network.map(|network| network.fills.clone()).unwrap_or_default();
    // An imputer behind the input scaling fills in scaled values.
    if let Some(scaling) = &model.config.input_scaling {
        let (means, stds) = (scaling.mean.iter().cycle(), scaling.std.iter().cycle());
        fills
            .iter_mut()
            .zip(means.zip(stds))
            .for_each(|(fill, (mean, std))| *fill = fill.map(|fill| fill * std + mean));
    }
    Fed { names, of_features: !features.is_empty(), fills }
}
