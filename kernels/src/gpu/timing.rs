//! How long launches take on their own memory, to choose among kernels.

use std::time::Instant;

use super::dispatch::{Dispatch, Maker};
use super::readback::Staging;
use super::{Adapter, GpuDevice, Kernel, Variant};
use crate::{Launch, ProgramSpec, Result};

/// Replaces the kernels of matrix products by those that the tuner takes. What had to be measured ran on the program's own
/// arenas, which are zero again afterwards.
pub(super) fn tune(
    device: &GpuDevice,
    maker: &mut Maker,
    spec: &ProgramSpec,
    plain: Vec<(Adapter, Vec<Kernel>)>,
) -> Result<Vec<Vec<Kernel>>> {
    if !device.tuner.enabled() || plain.iter().any(|(adapter, _)| adapter.product.is_some()) {
        return Ok(plain.into_iter().map(|(_, kernels)| kernels).collect());
    }
    let mut measured = false;
    let tuned = spec.phases.iter().flatten().zip(plain).map(|(launch, (adapter, plain))| {
        let Some(product) = launch.op.product() else { return Ok(plain) };
        let mut time = |variants: &[Variant]| {
            measured = true;
            times(device, maker, launch, &adapter, variants)
        };
        let product = Some(device.tuner.choose(launch.op.name(), &product, &adapter, &mut time)?);
        Ok(launch.op.gpu(&Adapter { product, ..adapter.clone() }))
    });
    let tuned = tuned.collect::<Result<_>>()?;
    if measured {
        device.tuner.keep();
        device.scoped(0, || maker.clear())?;
    }
    Ok(tuned)
}

/// Seconds of a launch computed in each way; none where the adapter refuses it.
fn times(
    device: &GpuDevice,
    maker: &mut Maker,
    launch: &Launch,
    adapter: &Adapter,
    variants: &[Variant],
) -> Result<Vec<Option<f64>>> {
    let kernels: Vec<Vec<Kernel>> = variants
        .iter()
        .map(|variant| launch.op.gpu(&Adapter { product: Some(*variant), ..adapter.clone() }))
        .collect();
    // Whether one of them is refused shows below, one by one.
    let _ = device.compile_all(&kernels.iter().flatten().collect::<Vec<_>>());
    let mut clock = Clock { device, staging: Staging::default(), best: f64::INFINITY };
    let mut seconds: Vec<Option<f64>> = vec![];
    for (i, own) in kernels.iter().enumerate() {
        // Where memory is not aligned for quads, two variants can be the same text.
        let same = |other: &Vec<Kernel>| other.iter().map(|k| &k.source).eq(own.iter().map(|k| &k.source));
        if let Some(twin) = kernels[..i].iter().position(same) {
            seconds.push(seconds[twin]);
            continue;
        }
        let time = maker.launch(launch, own).and_then(|dispatches| clock.time(&dispatches));
        device.alive()?;
        seconds.push(time.ok());
    }
    Ok(seconds)
}

struct Clock<'a> {
    device: &'a GpuDevice,
    staging: Staging,
    /// Seconds of the fastest so far.
    best: f64,
}

impl Clock<'_> {
    /// Seconds of the dispatches, the least of several runs; of a hopeless one, of a single run.
    fn time(&mut self, dispatches: &[Dispatch]) -> Result<f64> {
        const HOPELESS: f64 = 3.0;
        const RUN: f64 = 2e-3;
        const RUNS: usize = 4;
        // The first run compiles on some drivers, and wakes the adapter.
        self.run(dispatches, 1)?;
        let mut least = self.run(dispatches, 1)?;
        if least < HOPELESS * self.best {
            let times = (RUN / least.max(1e-6)).clamp(1.0, 200.0) as usize;
            for _ in 0..RUNS {
                least = least.min(self.run(dispatches, times)? / times as f64);
            }
        }
        self.best = self.best.min(least);
        Ok(least)
    }

    /// Seconds of `times` times the dispatches, by the adapter's clock if it has one.
    fn run(&mut self, dispatches: &[Dispatch], times: usize) -> Result<f64> {
        let device = self.device;
        if !device.has_timestamps() {
            let began = Instant::now();
            device.scoped(0, || {
                let mut encoder = device.device.create_command_encoder(&Default::default());
                record(dispatches, times, encoder.begin_compute_pass(&Default::default()));
                device.queue.submit([encoder.finish()]);
            })?;
            device.wait(None)?;
            return Ok(began.elapsed().as_secs_f64());
        }
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = device.allocate(16, usage)?;
        device.scoped(0, || {
            let queries = device.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            });
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            });
            let mut encoder = device.device.create_command_encoder(&Default::default());
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
            record(dispatches, times, encoder.begin_compute_pass(&descriptor));
            encoder.resolve_query_set(&queries, 0..2, &resolved, 0);
            device.queue.submit([encoder.finish()]);
        })?;
        let mut ticks = [0_u64; 2];
        self.staging.read(device, &resolved, 0, &mut ticks)?;
        let period = f64::from(device.queue.get_timestamp_period());
        Ok(ticks[1].saturating_sub(ticks[0]) as f64 * period * 1e-9)
    }
}

fn record(dispatches: &[Dispatch], times: usize, mut pass: wgpu::ComputePass) {
    for _ in 0..times {
        dispatches.iter().for_each(|dispatch| dispatch.record(&mut pass));
    }
}
