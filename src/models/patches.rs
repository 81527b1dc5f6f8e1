//! What vision transformers begin and end with (Dosovitskiy et al. 2021): an image as tokens that know their places, and what of the tokens
//! stands for the image.

use super::net::{Kernel, Net, Role};
use crate::graph::{ConvGeometry, Shape, Tensor};

/// The tensors that make tokens of an image.
pub(super) struct PatchEmbedding {
    /// The convolution over patches.
    pub(super) patches: &'static str,
    /// Whether it has a bias.
    pub(super) bias: bool,
    /// The class token, if there is one.
    pub(super) class: Option<&'static str>,
    pub(super) positions: &'static str,
    /// Axes of length 1 before the class token's own, and before the positions' two.
    pub(super) lead: [usize; 2],
}

impl PatchEmbedding {
    /// The class token and the patches of x `[.., height, width, channels]`, each with its place: `[.., tokens, width]`.
    pub(super) fn tokens(&self, net: &mut Net, x: Tensor, patch: usize, width: usize) -> Tensor {
        let geometry = ConvGeometry { stride: [patch; 2], pad: [0; 4], dilation: [1; 2], groups: 1 };
        let y = net.conv(self.patches, x, width, Kernel::Square([patch; 2]), geometry, self.bias, None);
        let dims = net.graph.dims(y).to_vec();
        let (lead, count) = (&dims[..dims.len() - 3], dims[dims.len() - 3] * dims[dims.len() - 2]);
        let patches = net.graph.reshape(y, &[lead, &[count, width]].concat());
        let own = |ones: usize, own: &[usize]| [&vec![1; ones][..], own].concat();
        let rows = [count + usize::from(self.class.is_some()), width];
        let places = net.tensor(self.positions, &own(self.lead[1], &rows), Role::Embedding, width);
        let places = net.graph.reshape(places, &rows);
        let Some(class) = self.class else { return net.graph.add(patches, places) };
        let token = net.tensor(class, &own(self.lead[0], &[width]), Role::Embedding, width);
        let token = net.graph.reshape(token, &[1, width]);
        let (first, rest) = (net.graph.slice(places, 0, 0..1), net.graph.slice(places, 0, 1..rows[0]));
        let token = net.graph.add(token, first);
        let patches = net.graph.add(patches, rest);
        // Every image begins with the same token.
        let lane = net.graph.shape(patches).lane;
        let zeros = net.graph.zeros(Shape { lane, dims: [lead, &[1, width]].concat() });
        let token = net.graph.add(token, zeros);
        net.graph.concat(&[token, patches], lead.len())
    }
}

/// The first of the tokens x `[.., tokens, width]`: `[.., width]`.
pub(super) fn first_token(net: &mut Net, x: Tensor) -> Tensor {
    let dims = net.graph.dims(x).to_vec();
    let axis = dims.len() - 2;
    let token = net.graph.slice(x, axis, 0..1);
    net.graph.reshape(token, &[&dims[..axis], &dims[axis + 1..]].concat())
}

/// The mean of the tokens x `[.., tokens, width]` from the one at `first` on: `[.., width]`.
pub(super) fn mean_token(net: &mut Net, x: Tensor, first: usize) -> Tensor {
    let axis = net.graph.dims(x).len() - 2;
    let count = net.graph.dims(x)[axis];
    let patches = net.graph.slice(x, axis, first..count);
    net.graph.mean(patches, axis..axis + 1)
}
