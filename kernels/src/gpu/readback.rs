//! Results copied to main memory through one staging buffer that is kept.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::GpuDevice;
use crate::Result;

/// A staging buffer that grows to what is read at once.
#[derive(Debug, Default)]
pub(super) struct Staging {
    buffer: Option<wgpu::Buffer>,
}

impl Staging {
    /// Elements copied at once.
    const PIECE: usize = 1 << 24;

    /// Copies elements from `start` on, after everything submitted before.
    pub(super) fn read<T: bytemuck::Pod>(
        &mut self,
        device: &GpuDevice,
        source: &wgpu::Buffer,
        start: usize,
        data: &mut [T],
    ) -> Result<()> {
        let width = size_of::<T>() as u64;
        for (i, piece) in data.chunks_mut(Self::PIECE).enumerate() {
            let offset = (start + i * Self::PIECE) as u64 * width;
            self.read_piece(device, source, offset, bytemuck::cast_slice_mut(piece))?;
        }
        Ok(())
    }

    fn read_piece(
        &mut self,
        device: &GpuDevice,
        source: &wgpu::Buffer,
        offset: u64,
        data: &mut [u8],
    ) -> Result<()> {
        let bytes = data.len() as u64;
        let staging = self.at_least(device, bytes)?;
        let (sender, receiver) = mpsc::channel();
        device.scoped(bytes, || {
            let mut encoder = device.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(source, offset, &staging, 0, bytes);
            device.queue.submit([encoder.finish()]);
            staging.map_async(wgpu::MapMode::Read, 0..bytes, move |mapped| {
                // The receiver waits below; if it is gone, so is the result's reader.
                let _ = sender.send(mapped);
            });
        })?;
        device.wait(None)?;
        loop {
            match receiver.recv_timeout(Duration::from_millis(20)) {
                Ok(Ok(())) => break,
                Ok(Err(error)) => return Err(self.failed(device, error)),
                // Another thread's poll has the answer and is about to deliver it.
                Err(RecvTimeoutError::Timeout) => device.wait(None)?,
                Err(error) => return Err(self.failed(device, error)),
            }
        }
        match staging.get_mapped_range(0..bytes) {
            Ok(view) => data.copy_from_slice(&view),
            Err(error) => return Err(self.failed(device, error)),
        }
        staging.unmap();
        Ok(())
    }

    /// A buffer in an unknown state is not used again.
    fn failed(&mut self, device: &GpuDevice, error: impl ToString) -> crate::Error {
        self.buffer = None;
        device.alive().err().unwrap_or_else(|| device.driver(error))
    }

    fn at_least(&mut self, device: &GpuDevice, bytes: u64) -> Result<wgpu::Buffer> {
        if let Some(buffer) = self.buffer.as_ref().filter(|buffer| buffer.size() >= bytes) {
            return Ok(buffer.clone());
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let buffer = device.allocate(bytes.next_power_of_two(), usage)?;
        Ok(self.buffer.insert(buffer).clone())
    }
}
