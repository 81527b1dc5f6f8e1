//! The ops that are covered, one line each; a family of them is a file.

mod activation;
mod arithmetic;
mod attention;
mod classical;
mod convolution;
mod einsum;
mod fused;
mod joining;
mod linear;
mod logic;
mod normalisation;
mod padding;
mod pooling;
mod recurrent;
mod reduction;
mod resizing;
mod selection;
mod shapes;
mod softmax;

pub(super) use activation::soft_plus;
pub(super) use softmax::axis as softmax_axis;

use super::call::Call;
use super::layout::Builder;
use super::value::Built;

/// The domain of scikit-learn's models.
pub(super) const CLASSICAL: &str = "ai.onnx.ml";
/// The domain of what onnxruntime's optimiser writes.
pub(super) const FUSED: &str = "com.microsoft";

/// An op: its name, its domain and how it is built.
pub(super) struct Op {
    pub(super) name: &'static str,
    pub(super) domain: &'static str,
    pub(super) build: fn(&mut Builder, &Call) -> Built,
}

const fn op(name: &'static str, build: fn(&mut Builder, &Call) -> Built) -> Op {
    Op { name, domain: "", build }
}

const fn classical(name: &'static str, build: fn(&mut Builder, &Call) -> Built) -> Op {
    Op { name, domain: CLASSICAL, build }
}

const fn fused(name: &'static str, build: fn(&mut Builder, &Call) -> Built) -> Op {
    Op { name, domain: FUSED, build }
}

/// All ops, by name.
pub(super) const REGISTRY: &[Op] = &[
    op("Abs", activation::abs),
    op("Add", arithmetic::add),
    op("And", logic::and),
    op("ArgMax", selection::arg_max),
    op("AveragePool", pooling::average),
    op("BatchNormalization", normalisation::batch),
    op("Cast", logic::cast),
    op("CastLike", logic::cast_like),
    op("Ceil", activation::ceil),
    op("Celu", activation::celu),
    op("Clip", activation::clip),
    op("Concat", joining::concat),
    op("Constant", shapes::constant),
    op("ConstantOfShape", shapes::constant_of_shape),
    op("Conv", convolution::conv),
    op("ConvTranspose", convolution::conv_transpose),
    op("Cos", activation::cos),
    op("CumSum", selection::cumulative_sum),
    op("DepthToSpace", shapes::depth_to_space),
    op("Div", arithmetic::div),
    op("Dropout", activation::dropout),
    op("Einsum", einsum::einsum),
    op("Elu", activation::elu),
    op("Equal", logic::equal),
    op("Erf", activation::erf),
    op("Exp", activation::exp),
    op("Expand", joining::expand),
    op("EyeLike", shapes::eye_like),
    op("Flatten", shapes::flatten),
    op("Floor", activation::floor),
    op("GRU", recurrent::gru),
    op("Gather", selection::gather),
    op("GatherElements", selection::gather_elements),
    op("GatherND", selection::gather_nd),
    op("Gelu", activation::gelu),
    op("Gemm", linear::gemm),
    op("GlobalAveragePool", pooling::global_average),
    op("GlobalMaxPool", pooling::global_max),
    op("Greater", logic::greater),
    op("GreaterOrEqual", logic::greater_or_equal),
    op("GroupNormalization", normalisation::group),
    op("HardSigmoid", activation::hard_sigmoid),
    op("HardSwish", activation::hard_swish),
    op("Identity", activation::identity),
    op("InstanceNormalization", normalisation::instance),
    op("IsInf", logic::never),
    op("IsNaN", logic::is_nan),
    op("LSTM", recurrent::lstm),
    op("LayerNormalization", normalisation::layer),
    op("LeakyRelu", activation::leaky_relu),
    op("Less", logic::less),
    op("LessOrEqual", logic::less_or_equal),
    op("Log", activation::log),
    op("LogSoftmax", softmax::log_softmax),
    op("LpNormalization", normalisation::lp),
    op("MatMul", linear::matmul),
    op("Max", arithmetic::max),
    op("MaxPool", pooling::max),
    op("Mean", arithmetic::mean),
    op("Min", arithmetic::min),
    op("Mish", activation::mish),
    op("Mod", arithmetic::modulo),
    op("Mul", arithmetic::mul),
    op("Neg", activation::neg),
    op("NonZero", selection::non_zero),
    op("Not", logic::not),
    op("OneHot", selection::one_hot),
    op("Or", logic::or),
    op("PRelu", activation::prelu),
    op("Pad", padding::pad),
    op("Pow", arithmetic::pow),
    op("RMSNormalization", normalisation::rms),
    op("Range", shapes::range),
    op("Reciprocal", activation::reciprocal),
    op("ReduceL1", reduction::l1),
    op("ReduceL2", reduction::l2),
    op("ReduceLogSum", reduction::log_sum),
    op("ReduceLogSumExp", reduction::log_sum_exp),
    op("ReduceMax", reduction::max),
    op("ReduceMean", reduction::mean),
    op("ReduceMin", reduction::min),
    op("ReduceProd", reduction::product),
    op("ReduceSum", reduction::sum),
    op("ReduceSumSquare", reduction::sum_square),
    op("Relu", activation::relu),
    op("Reshape", shapes::reshape),
    op("Resize", resizing::resize),
    op("Round", activation::round),
    op("ScatterND", selection::scatter_nd),
    op("Selu", activation::selu),
    op("Shape", shapes::shape),
    op("Sigmoid", activation::sigmoid),
    op("Sign", activation::sign),
    op("SimplifiedLayerNormalization", normalisation::rms),
    op("Sin", activation::sin),
    op("Size", shapes::size),
    op("Slice", selection::slice),
    op("Softmax", softmax::softmax),
    op("Softplus", activation::softplus),
    op("Softsign", activation::softsign),
    op("SpaceToDepth", shapes::space_to_depth),
    op("Split", joining::split),
    op("Sqrt", activation::sqrt),
    op("Squeeze", shapes::squeeze),
    op("Sub", arithmetic::sub),
    op("Sum", arithmetic::sum),
    op("Tanh", activation::tanh),
    op("ThresholdedRelu", activation::thresholded_relu),
    op("Tile", joining::tile),
    op("Transpose", shapes::transpose),
    op("Trilu", selection::trilu),
    op("Unsqueeze", shapes::unsqueeze),
    op("Upsample", resizing::upsample),
    op("Where", logic::select),
    op("Xor", logic::xor),
    classical("ArrayFeatureExtractor", classical::array_feature_extractor),
    classical("Binarizer", classical::binarizer),
    classical("FeatureVectorizer", classical::feature_vectorizer),
    classical("Imputer", classical::imputer),
    classical("LinearClassifier", classical::linear_classifier),
    classical("LinearRegressor", classical::linear_regressor),
    classical("Normalizer", classical::normalizer),
    classical("Scaler", classical::scaler),
    classical("ZipMap", classical::zip_map),
    fused("Attention", fused::attention),
    fused("BiasGelu", fused::bias_gelu),
    fused("EmbedLayerNormalization", fused::embed_layer_normalization),
    fused("FastGelu", fused::fast_gelu),
    fused("FusedConv", fused::conv),
    fused("FusedGemm", fused::gemm),
    fused("FusedMatMul", fused::matmul),
    fused("Gelu", fused::gelu),
    fused("MultiHeadAttention", fused::multi_head_attention),
    fused("QuickGelu", fused::quick_gelu),
    fused("SkipLayerNormalization", fused::skip_layer_normalization),
    fused("SkipSimplifiedLayerNormalization", fused::skip_simplified_layer_normalization),
    fused("TransposeMatMul", fused::matmul),
];

/// The op of this name and domain.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Op> {
    REGISTRY.iter().find(|op| op.name == name && op.domain == domain)
}
