//! Compiled kernels: each once in a device's lifetime, several at a time, and kept across runs where the back end can.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;

use super::device::lock;
use super::{GpuDevice, Kernel, files};
use crate::Result;

/// Starts a file of ours; what follows is a checksum of the rest, and the rest.
const MARK: &[u8; 8] = b"percuss1";

/// A device's compiled kernels by their text.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    compiled: Mutex<HashMap<String, wgpu::ComputePipeline>>,
    layouts: Mutex<HashMap<usize, wgpu::BindGroupLayout>>,
    kept: Option<Kept>,
}

/// What the driver made of kernels, in a file.
#[derive(Debug)]
struct Kept {
    cache: wgpu::PipelineCache,
    file: PathBuf,
}

impl Pipelines {
    /// None yet, but for what an earlier run left in `folder`.
    pub(super) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo, folder: Option<&Path>) -> Self {
        let kept = folder
            .filter(|_| device.features().contains(wgpu::Features::PIPELINE_CACHE))
            .and_then(|folder| Some(folder.join(wgpu::util::pipeline_cache_key(info)?)))
            .map(|file| {
                let stored = files::read(&file);
                let data = stored.as_deref().and_then(payload);
                let descriptor = wgpu::PipelineCacheDescriptor { label: None, data, fallback: true };
                // SAFETY: the data came from `get_data` unchanged, as the checksum says; data of another driver or
                // adapter are told by wgpu's own header and dropped.
                Kept { cache: unsafe { device.create_pipeline_cache(&descriptor) }, file }
            });
        Self { kept, ..Self::default() }
    }

    fn keep(&self) {
        let Some(kept) = &self.kept else { return };
        if let Some(data) = kept.cache.get_data() {
            let mut bytes = MARK.to_vec();
            bytes.extend(files::checksum(&data).to_le_bytes());
            bytes.extend(data);
            files::replace(&kept.file, &bytes);
        }
    }
}

/// What [`Pipelines::keep`] stored, if the file is whole.
fn payload(stored: &[u8]) -> Option<&[u8]> {
    let (sum, data) = stored.strip_prefix(MARK)?.split_first_chunk::<8>()?;
    (u64::from_le_bytes(*sum) == files::checksum(data)).then_some(data)
}

impl GpuDevice {
    /// The pipeline of a kernel.
    pub(super) fn pipeline(&self, kernel: &Kernel) -> Result<wgpu::ComputePipeline> {
        if let Some(pipeline) = self.compiled(kernel) {
            return Ok(pipeline);
        }
        if kernel.bindings.len() > self.adapter.max_storage_buffers as usize {
            let most = self.adapter.max_storage_buffers;
            return Err(self.driver(format!("a kernel binds {} buffers of {most}", kernel.bindings.len())));
        }
        let pipeline = self.scoped(0, || self.compile(kernel))?;
        lock(&self.pipelines.compiled).insert(kernel.source.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// Compiles those of `kernels` that are new, on all cores, and keeps what was compiled for the next run.
    pub(super) fn compile_all(&self, kernels: &[&Kernel]) -> Result<()> {
        let mut seen = HashSet::new();
        let new: Vec<&Kernel> = kernels
            .iter()
            .copied()
            .filter(|kernel| seen.insert(&kernel.source) && self.compiled(kernel).is_none())
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let compiled = new.par_iter().try_for_each(|kernel| self.pipeline(kernel).map(drop));
        self.pipelines.keep();
        compiled
    }

    fn compiled(&self, kernel: &Kernel) -> Option<wgpu::ComputePipeline> {
        lock(&self.pipelines.compiled).get(&kernel.source).cloned()
    }

    /// The layout of `bindings` read-write storage buffers.
    pub(super) fn layout(&self, bindings: usize) -> wgpu::BindGroupLayout {
        let mut layouts = lock(&self.pipelines.layouts);
        let create = || {
            let entries: Vec<_> = (0..bindings as u32).map(layout_entry).collect();
            let descriptor = wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries };
            self.device.create_bind_group_layout(&descriptor)
        };
        layouts.entry(bindings).or_insert_with(create).clone()
    }

    fn compile(&self, kernel: &Kernel) -> wgpu::ComputePipeline {
        let source = wgpu::ShaderSource::Wgsl(kernel.source.as_str().into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: None, source };
        let module = if self.tuning.checked {
            self.device.create_shader_module(descriptor)
        } else {
            let checks = wgpu::ShaderRuntimeChecks::unchecked();
            // SAFETY: the text is ours, not a user's: every index is guarded by the sizes that the operands were checked
            // against, every loop is bounded by a constant, no divisor is 0; tests run the same text checked.
            unsafe { self.device.create_shader_module_trusted(descriptor, checks) }
        };
        let bind_group_layout = self.layout(kernel.bindings.len());
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bind_group_layout)],
            immediate_size: 0,
        });
        self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(&layout),
            module: &module,
            entry_point: Some(kernel.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: self.pipelines.kept.as_ref().map(|kept| &kept.cache),
        })
    }
}

fn layout_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            // One arena may be read and written by one launch, which only read-write bindings allow.
            ty: wgpu::BufferBindingType::Storage { read_only: false },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}
