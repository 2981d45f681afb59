//! Where a network computes, and in which number format: opened from the words that the user wrote.

use candle_core::{DType, Device};
use mdsd3_words::device::{ComputeDevice, ComputeDtype};
use mdsd3_words::error::one_line;

use crate::error::ModelError;
use crate::kernels::attention_hindrance;

/// An open device and a number format.
#[derive(Debug, Clone)]
pub struct Place {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

impl Place {
    /// Opens a device.
    ///
    /// # Errors
    /// Bad input that says what to do when this build has no code for it, or the system refuses it.
    pub fn open(device: ComputeDevice, dtype: ComputeDtype) -> Result<Self, ModelError> {
        device.check_built_in()?;
        let (opened, remedy) = match device {
            ComputeDevice::Cpu => (Ok(Device::Cpu), ""),
            ComputeDevice::Cuda(index) => (
                Device::new_cuda(index),
                "or check that `nvidia-smi` lists the GPU, with a driver of 580 or later",
            ),
            ComputeDevice::Metal => (Device::new_metal(0), "as this machine has no GPU for Metal"),
        };
        let device = opened.map_err(|error| {
            let reason = one_line(&error.to_string());
            ModelError::BadInput(format!("device {device} can't be opened ({reason}); use cpu, {remedy}"))
        })?;
        let dtype = format_of(dtype);
        Ok(Self { device, dtype })
    }

    /// The processor, in f32.
    pub fn processor() -> Self {
        Self {
            device: Device::Cpu,
            dtype: DType::F32,
        }
    }

    /// Why attention takes its plain, slower form there; nothing where there is a kernel for it.
    pub fn attention_hindrance(&self) -> Option<String> {
        attention_hindrance(&self.device)
    }
}

/// The tensor library's name of a number format.
pub(crate) fn format_of(dtype: ComputeDtype) -> DType {
    match dtype {
        ComputeDtype::F32 => DType::F32,
        ComputeDtype::Bf16 => DType::BF16,
        ComputeDtype::F16 => DType::F16,
    }
}
