//! How many neighbours can exchange numbers without workgroup memory, found out on the adapter itself.

use super::readback::Staging;
use super::template::Template;
use super::{Binding, GpuDevice, Kernel};
use crate::Result;

/// Neighbours that surely are in one subgroup, in order: the adapter's smallest subgroup, if a kernel that counts on it
/// yields what it should; 1 where there is nothing to count on.
pub(super) fn width(device: &GpuDevice, smallest: u32) -> u32 {
    let offered = device.device.features().contains(wgpu::Features::SUBGROUP);
    if !offered || !smallest.is_power_of_two() || !(4..=128).contains(&smallest) {
        return 1;
    }
    let size = device.adapter.max_invocations.min(256);
    let holds = exchange(device, size, smallest).is_ok_and(|found| found == expected(size, smallest));
    if holds { smallest } else { 1 }
}

/// What the kernel yields.
fn exchange(device: &GpuDevice, size: u32, width: u32) -> Result<Vec<u32>> {
    let kernel = kernel(size, width);
    let pipeline = device.pipeline(&kernel)?;
    let buffer = device.buffer(size as usize)?;
    device.scoped(0, || {
        let bindings = device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &device.layout(1),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
        });
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        device.queue.submit([encoder.finish()]);
    })?;
    let mut found = vec![0; size as usize];
    Staging::default().read(device, &buffer, 0, &mut found)?;
    Ok(found)
}

/// The kernel that exchanges numbers among `width` neighbours in a workgroup of `size`.
pub fn kernel(size: u32, width: u32) -> Kernel {
    let source = Template::new(&[include_str!("../../../shaders/subgroup_check.wgsl")])
        .sizes(&[("SIZE", size as usize), ("WIDTH", width as usize), ("EXCHANGES", width.ilog2() as usize)])
        .render();
    Kernel { source, entry: "main", bindings: vec![Binding::Output(0)], workgroups: [1; 3] }
}

/// What the kernel should yield.
fn expected(size: u32, width: u32) -> Vec<u32> {
    let first = |lane: u32| {
        let start = lane.wrapping_mul(2_654_435_761);
        (0..lane % 7).fold(start, |v, _| v.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    };
    let mut v: Vec<u32> = (0..size).map(first).collect();
    let mut distance = width / 2;
    while distance > 0 {
        v = (0..v.len())
            .map(|lane| v[lane].wrapping_mul(31).wrapping_add(v[lane ^ distance as usize]))
            .collect();
        distance /= 2;
    }
    v
}
