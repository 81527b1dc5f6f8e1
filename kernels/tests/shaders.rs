//! Every shader variant of every op, with no adapter at hand: it parses, validates, and becomes SPIR-V, MSL and HLSL.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unreachable_pub, reason = "modules that several test programs share")]
#![allow(dead_code, unused_imports, reason = "modules that several test programs share")]

mod cases;
mod reference;
mod runner;
mod shapes;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use percuss_kernels::gpu::{self, Adapter, Kernel, Matrix, Operands, Variant};
use percuss_kernels::ops::*;

/// The adapters whose kernels differ: the least and the most that hardware has, a software one, one with tiny grids.
fn adapters() -> Vec<Adapter> {
    vec![
        Adapter::HARDWARE,
        Adapter { workgroup_memory: 49_152, max_invocations: 1024, ..Adapter::HARDWARE },
        Adapter { max_workgroups: 3, ..Adapter::HARDWARE },
        Adapter { subgroup: 4, ..Adapter::HARDWARE },
        Adapter { subgroup: 32, ..Adapter::HARDWARE },
        Adapter { operands: Operands::Rounded, ..Adapter::HARDWARE },
        Adapter { operands: Operands::Kept, ..Adapter::HARDWARE },
        Adapter { operands: Operands::Kept, ..Adapter::SOFTWARE },
        Adapter::SOFTWARE,
    ]
}

/// Shapes too large to compute here, which take the larger tiles and folded grids.
fn large() -> Vec<Arc<dyn Operation>> {
    let plain = Layout { transposed: false, shared: false };
    let turned = Layout { transposed: true, shared: false };
    let full = Epilogue { bias: true, residual: true, activation: Activation::Relu };
    let mut ops: Vec<Arc<dyn Operation>> = vec![];
    for (m, n, k) in
        [(4096, 4096, 4096), (1000, 64, 513), (100_000, 10, 77), (8, 4096, 1024), (4_000_000, 32, 9)]
    {
        for (a, b) in [(plain, plain), (turned, plain), (plain, turned), (turned, turned)] {
            ops.push(Arc::new(Matmul { batch: 3, m, n, k, a, b, epilogue: full }));
        }
    }
    for (size, channels, groups, kernel, stride) in [
        (56, [64, 64], 1, 3, 1),
        (28, [128, 256], 1, 3, 2),
        (14, [96, 96], 96, 3, 1),
        (224, [3, 64], 1, 7, 2),
    ] {
        let conv = Conv {
            sets: 2,
            images: 100,
            height: size,
            width: size,
            in_channels: channels[0],
            out_channels: channels[1],
            kernel: [kernel, kernel],
            stride: [stride, stride],
            pad: [kernel / 2; 4],
            dilation: [1, 1],
            groups,
            epilogue: full,
        };
        ops.push(Arc::new(ConvInputGrad(conv.clone())));
        ops.push(Arc::new(ConvWeightGrad(conv.clone())));
        ops.push(Arc::new(conv));
    }
    for (images, tokens, heads, size) in [(100_000, 197, 12, 64), (3, 5000, 1, 256)] {
        for mask in [None, Some(Mask { count: images, rows: true })] {
            let op = Attention { images, queries: tokens, keys: tokens + 1, heads, size, scale: 0.1, mask };
            ops.push(Arc::new(AttentionGrad(op.clone())));
            ops.push(Arc::new(op));
        }
    }
    let norm = LayerNorm { sets: 2, rows: 100_000, columns: 768, epsilon: 1e-6 };
    ops.push(Arc::new(LayerNormGrad(norm.clone())));
    ops.push(Arc::new(norm));
    for (outer, len, inner) in [(100_000, 3000, 1), (7, 12_544, 64), (3, 100, 40), (1 << 22, 3, 1)] {
        ops.push(Arc::new(Reduce { kind: Reduction::Min, outer, len, inner }));
        ops.push(Arc::new(Moments { outer, len, inner }));
    }
    ops
}

fn translate(kernel: &Kernel) -> Result<(), String> {
    translate_to(kernel, true)
}

fn translate_to(kernel: &Kernel, hlsl: bool) -> Result<(), String> {
    let module =
        naga::front::wgsl::parse_str(&kernel.source).map_err(|error| error.emit_to_string(&kernel.source))?;
    let capabilities =
        Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|error| error.emit_to_string(&kernel.source))?;
    if module.entry_points.len() != 1 || module.entry_points[0].name != kernel.entry {
        return Err(format!("the entry point is not {}", kernel.entry));
    }
    to_spirv(&module, &info)?;
    to_msl(&module, &info)?;
    if hlsl {
        to_hlsl(&module, &info)?;
    }
    bound(kernel, &module)
}

fn to_spirv(module: &naga::Module, info: &ModuleInfo) -> Result<(), String> {
    let words = spv::write_vec(module, info, &spv::Options::default(), None);
    words.map(|_| ()).map_err(|error| format!("SPIR-V: {error}"))
}

fn to_msl(module: &naga::Module, info: &ModuleInfo) -> Result<(), String> {
    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let text = msl::write_string(module, info, &options, &msl::PipelineOptions::default());
    text.map(|_| ()).map_err(|error| format!("MSL: {error}"))
}

fn to_hlsl(module: &naga::Module, info: &ModuleInfo) -> Result<(), String> {
    let mut text = String::new();
    let pipeline = hlsl::PipelineOptions::default();
    // What wgpu asks for where 16-bit floats or subgroups are used.
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, ..Default::default() };
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    written.map(|_| ()).map_err(|error| format!("HLSL: {error}"))
}

/// The module's bindings are those that the kernel lists, all read-write.
fn bound(kernel: &Kernel, module: &naga::Module) -> Result<(), String> {
    let mut found = vec![];
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        let naga::AddressSpace::Storage { access } = variable.space else {
            return Err("a binding that is no storage buffer".into());
        };
        if !access.contains(naga::StorageAccess::LOAD | naga::StorageAccess::STORE) {
            return Err("a binding that is not read_write".into());
        }
        found.push(binding.binding);
    }
    found.sort_unstable();
    let expected: Vec<u32> = (0..kernel.bindings.len() as u32).collect();
    if found == expected { Ok(()) } else { Err(format!("bindings {found:?}, listed {expected:?}")) }
}

#[test]
fn every_variant_becomes_spirv_msl_and_hlsl() {
    let ops: Vec<Arc<dyn Operation>> = cases::all().into_iter().map(|case| case.op).chain(large()).collect();
    let mut seen = HashSet::new();
    for op in &ops {
        for adapter in adapters() {
            let kernels = op.gpu(&adapter);
            assert!(!kernels.is_empty(), "{op:?} launches nothing");
            for kernel in kernels {
                let [x, y, z] = kernel.workgroups;
                assert!(x <= adapter.max_workgroups && z == 1, "{op:?}: {:?} workgroups", kernel.workgroups);
                assert!(x * y * z > 0, "{op:?}: no workgroups");
                if !seen.insert(kernel.source.clone()) {
                    continue;
                }
                if let Err(error) = translate(&kernel) {
                    panic!("{op:?} on {adapter:?}: {error}\n{}", kernel.source);
                }
            }
        }
    }
    assert!(seen.len() > 300, "only {} different kernels", seen.len());
}

#[test]
fn the_check_of_subgroups_becomes_spirv_msl_and_hlsl() {
    for width in [4, 8, 32, 64] {
        translate(&gpu::subgroup_check(256, width)).unwrap();
    }
}

#[test]
fn every_variant_of_a_product_becomes_spirv_msl_and_hlsl() {
    let roomy = Adapter { workgroup_memory: 49_152, max_invocations: 1024, ..Adapter::HARDWARE };
    // Large ones, and every fifth of the cases: the variants do not know what the loaders do.
    let cases = cases::all().into_iter().map(|case| case.op).filter(|op| op.product().is_some());
    let ops: Vec<Arc<dyn Operation>> =
        large().into_iter().filter(|op| op.product().is_some()).chain(cases.step_by(5)).collect();
    let mut seen = HashSet::new();
    for op in &ops {
        for (i, variant) in Variant::all(&roomy).into_iter().enumerate() {
            let operands = [Operands::F32, Operands::Rounded, Operands::Kept][i % 3];
            for kernel in op.gpu(&Adapter { product: Some(variant), operands, ..roomy.clone() }) {
                if !seen.insert(kernel.source.clone()) {
                    continue;
                }
                if let Err(error) = translate(&kernel) {
                    panic!("{op:?}, {variant}: {error}\n{}", kernel.source);
                }
            }
        }
    }
    assert!(seen.len() > 2000, "only {} different kernels", seen.len());
}

/// Matrix units, which are Vulkan's and Metal's alone.
#[test]
fn products_by_matrix_units_become_spirv_and_msl() {
    let mut seen = HashSet::new();
    let cases = cases::all().into_iter().map(|case| case.op).filter(|op| op.product().is_some());
    let ops: Vec<Arc<dyn Operation>> =
        large().into_iter().filter(|op| op.product().is_some()).chain(cases.step_by(7)).collect();
    for side in [8, 16] {
        for operands in [Operands::Rounded, Operands::Kept] {
            let matrix = Some(Matrix { side, lanes: 32 });
            let adapter = Adapter { workgroup_memory: 32_768, matrix, operands, ..Adapter::HARDWARE };
            let variants = Variant::all(&adapter).into_iter().filter(|variant| variant.matrix > 0);
            let variants: Vec<Variant> = variants.collect();
            assert_eq!(variants.len(), 8);
            for (op, variant) in ops.iter().flat_map(|op| variants.iter().map(move |variant| (op, variant))) {
                for kernel in op.gpu(&Adapter { product: Some(*variant), ..adapter.clone() }) {
                    if kernel.source.contains("coopMultiplyAdd") && seen.insert(kernel.source.clone()) {
                        let translated = translate_to(&kernel, false);
                        assert!(translated.is_ok(), "{op:?}, {variant}: {translated:?}\n{}", kernel.source);
                    }
                }
            }
        }
    }
    assert!(seen.len() > 500, "only {} different kernels", seen.len());
}

/// The text of a few generated kernels; set PERCUSS_BLESS to accept what is generated now.
#[test]
fn generated_kernels_read_as_before() {
    use Instr::{Binary as Two, Const, Index, Input, Select, Unary as One};
    let broadcast = Pointwise {
        shape: vec![2, 3, 5],
        strides: vec![vec![0, 5, 1], vec![1, 0, 0], vec![0, 0, 0]],
        code: vec![
            Input(0),
            Input(1),
            Input(2),
            Index(1),
            Const(f32::NAN),
            Two(Binary::LessEqual, 0, 3),
            Select(5, 1, 4),
            Two(Binary::Max, 6, 2),
        ],
        outputs: vec![7],
    };
    let momentum = Pointwise {
        shape: vec![4, 8, 8],
        strides: vec![vec![64, 8, 1], vec![64, 8, 1], vec![1, 0, 0]],
        code: vec![
            Input(0),
            Input(1),
            Input(2),
            Two(Binary::Mul, 0, 2),
            Two(Binary::Add, 3, 1),
            One(Unary::Tanh, 4),
            One(Unary::Sin, 5),
        ],
        outputs: vec![4, 6],
    };
    for (name, op) in [("step", shapes::step(&[3, 784])), ("broadcast", broadcast), ("momentum", momentum)] {
        op.check().unwrap();
        let kernels = op.gpu(&Adapter::HARDWARE);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.wgsl"));
        if std::env::var_os("PERCUSS_BLESS").is_some() {
            std::fs::write(&path, &kernels[0].source).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(kernels[0].source, golden, "{} differs; PERCUSS_BLESS=1 accepts it", path.display());
    }
}
