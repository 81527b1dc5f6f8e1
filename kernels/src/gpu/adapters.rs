//! Adapters: which there are, which one a selector names, what each can do.

use super::{Adapter, Matrix};
use crate::{DeviceInfo, DeviceKind, Error, Result};

/// Bindings end below 2 GiB, whatever a driver says.
pub(super) const MOST_BINDING: u64 = (1 << 31) - 1;

/// Every usable adapter, in the order that `gpu:N` counts: hardware before software, the strongest kind first.
///
/// Through OpenGL none is usable: Mesa's summed wrongly there (22.3.6, in DLR's ranks and in ensembles) and stopped where several threads
/// submit, and a machine without Vulkan, Metal or DX12 has a processor.
pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = pollster::block_on(instance.enumerate_adapters(backends));
    adapters.retain(|adapter| {
        let flags = adapter.get_downlevel_capabilities().flags;
        flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
    });
    adapters.sort_by_key(rank);
    adapters
}

fn rank(adapter: &wgpu::Adapter) -> u8 {
    match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// Whether an adapter is a processor in disguise.
pub(super) fn is_software(adapter: &wgpu::Adapter) -> bool {
    adapter.get_info().device_type == wgpu::DeviceType::Cpu
}

/// The adapter that a selector names: `gpu` the best hardware one, `gpu:N` the N-th, else part of a name.
///
/// # Errors
/// [`Error::NoDevice`] with a list of what there is.
pub(super) fn select(adapters: Vec<wgpu::Adapter>, selector: &str) -> Result<wgpu::Adapter> {
    let available = names(&adapters);
    let found = match selector.strip_prefix("gpu") {
        Some("") => adapters.into_iter().find(|adapter| !is_software(adapter)),
        Some(rest) if rest.starts_with(':') => {
            rest[1..].parse().ok().and_then(|n| adapters.into_iter().nth(n))
        }
        _ => {
            let wanted = selector.trim().to_lowercase();
            adapters.into_iter().find(|adapter| {
                !wanted.is_empty() && adapter.get_info().name.to_lowercase().contains(&wanted)
            })
        }
    };
    found.ok_or_else(|| Error::NoDevice { wanted: selector.to_owned(), available })
}

fn names(adapters: &[wgpu::Adapter]) -> String {
    let gpus = adapters.iter().enumerate().map(|(i, adapter)| {
        let software = if is_software(adapter) { ", software" } else { "" };
        format!("gpu:{i} ({}{software})", adapter.get_info().name)
    });
    std::iter::once("cpu".to_owned()).chain(gpus).collect::<Vec<_>>().join(", ")
}

/// Every adapter as `percuss devices` lists it.
pub fn list() -> Vec<DeviceInfo> {
    let adapters = enumerate();
    adapters.iter().enumerate().map(|(i, adapter)| info(i, adapter)).collect()
}

fn info(i: usize, adapter: &wgpu::Adapter) -> DeviceInfo {
    let info = adapter.get_info();
    let named = [
        ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
        ("subgroups", wgpu::Features::SUBGROUP),
        ("f16", wgpu::Features::SHADER_F16),
        ("matrix", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    ];
    let features = named.iter().filter(|(_, feature)| adapter.features().contains(*feature));
    let driver = format!("{:?} {} {}", info.backend, info.driver, info.driver_info);
    DeviceInfo {
        selector: format!("gpu:{i}"),
        name: info.name.clone(),
        kind: if is_software(adapter) { DeviceKind::Software } else { DeviceKind::Gpu },
        driver: driver.trim().to_owned(),
        features: features.map(|(name, _)| (*name).to_owned()).collect(),
        max_binding: adapter.limits().max_storage_buffer_binding_size.min(MOST_BINDING),
    }
}

/// What percuss asks for where an adapter has it.
pub(super) fn features(adapter: &wgpu::Adapter) -> wgpu::Features {
    let wanted = wgpu::Features::TIMESTAMP_QUERY
        | wgpu::Features::PIPELINE_CACHE
        | wgpu::Features::SUBGROUP
        | wgpu::Features::SHADER_F16
        | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    adapter.features() & wanted
}

/// The largest square f16 tiles with f32 sums that the adapter's matrix units list, and the subgroup that they would need: all
/// subgroups must be of one size. Metal tells no sizes, but all adapters of its that have matrix units have 32.
pub(super) fn matrix(adapter: &wgpu::Adapter) -> Option<Matrix> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
    let info = adapter.get_info();
    let lanes = match (info.subgroup_min_size, info.subgroup_max_size) {
        _ if info.backend == wgpu::Backend::Metal => 32,
        (least, most) if least == most => least as usize,
        _ => return None,
    };
    let listed = adapter.cooperative_matrix_properties();
    let sides = listed.iter().filter(|tile| {
        let square = tile.m_size == tile.n_size && tile.n_size == tile.k_size;
        square && matches!(tile.m_size, 8 | 16) && (tile.ab_type, tile.cr_type) == (F16, F32)
    });
    let side = sides.map(|tile| tile.m_size as usize).max()?;
    adapter.features().contains(needed).then_some(Matrix { side, lanes })
}

impl Adapter {
    /// What ops need to know, from what a device was granted.
    pub(super) fn new(limits: &wgpu::Limits, software: bool) -> Self {
        Self {
            software,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            max_invocations: limits
                .max_compute_invocations_per_workgroup
                .min(limits.max_compute_workgroup_size_x),
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            subgroup: 1,
            matrix: None,
            operands: super::Operands::F32,
            product: None,
        }
    }
}
