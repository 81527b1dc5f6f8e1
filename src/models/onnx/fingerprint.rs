//! What a network is known by: its nodes and tensors, whatever they are called and wherever they lie.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::constant::Constant;
use super::proto::{AttributeValue, NodeProto, TensorProto};

/// A node's meaning, without its name.
pub(super) fn describe(hash: &mut Sha256, node: &NodeProto) {
    hash.update(format!("{} {} {:?} {:?}", node.domain, node.op, node.inputs, node.outputs));
    let mut attributes: BTreeMap<&str, String> = BTreeMap::new();
    for attribute in &node.attributes {
        attributes.insert(
            attribute.name,
            match &attribute.value {
                AttributeValue::Tensor(tensor) => {
                    hash.update(tensor.raw.unwrap_or_default());
                    format!("{:?}", TensorProto { raw: None, ..tensor.clone() })
                }
                value => format!("{value:?}"),
            },
        );
    }
    hash.update(format!("{attributes:?}"));
}

/// A tensor under its name.
pub(super) fn digest(hash: &mut Sha256, name: &str, constant: &Constant) {
    hash.update(format!("{name} {:?}", constant.dims));
    match (constant.as_floats(), constant.as_ints()) {
        (Some(values), _) => hash.update(bytemuck::cast_slice::<f32, u8>(values)),
        (_, Some(values)) => hash.update(bytemuck::cast_slice::<i64, u8>(values)),
        (None, None) => {}
    }
}
