//! The devices that a run can compute on, opened.

use candle_core::{DType, Device};
use mdsd3_model::kernels::attention_hindrance;
use mdsd3_words::device::{ComputeDevice, ComputeDtype};
use mdsd3_words::error::one_line;

use crate::error::EngineError;

/// Opens a device.
///
/// # Errors
/// [`EngineError`] that says what to do when this build has no code for it, or the system refuses it.
pub(crate) fn open(device: ComputeDevice) -> Result<Device, EngineError> {
    device.check_built_in()?;
    let (opened, remedy) = match device {
        ComputeDevice::Cpu => return Ok(Device::Cpu),
        ComputeDevice::Cuda(index) => (
            Device::new_cuda(index),
            "or check that `nvidia-smi` lists the GPU, with a driver of 580 or later",
        ),
        ComputeDevice::Metal => (Device::new_metal(0), "as this machine has no GPU for Metal"),
    };
    opened.map_err(|error| {
        let reason = one_line(&error.to_string());
        EngineError::BadInput(format!("device {device} can't be opened ({reason}); use cpu, {remedy}"))
    })
}

/// The tensor library's name of a dtype.
pub(crate) fn to_candle(dtype: ComputeDtype) -> DType {
    match dtype {
        ComputeDtype::F32 => DType::F32,
        ComputeDtype::Bf16 => DType::BF16,
        ComputeDtype::F16 => DType::F16,
    }
}

/// One device of this machine and build, for `mdsd3 doctor` and the Model pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// As written on the command line.
    pub name: &'static str,
    /// Whether a run can use it.
    pub usable: bool,
    /// Why not, or what it is.
    pub note: String,
}

/// Tries every kind of device once.
pub fn available() -> Vec<DeviceReport> {
    let kinds = [
        ("cpu", ComputeDevice::Cpu),
        ("cuda:0", ComputeDevice::Cuda(0)),
        ("metal", ComputeDevice::Metal),
    ];
    let report = |(name, device): (&'static str, ComputeDevice)| match open(device) {
        Ok(device) => DeviceReport {
            name,
            usable: true,
            note: match attention_hindrance(&device) {
                None => "usable".to_owned(),
                Some(reason) => format!("usable; attention takes its plain, slower form ({reason})"),
            },
        },
        Err(error) => DeviceReport {
            name,
            usable: false,
            note: error.one_line(),
        },
    };
    kinds.map(report).into()
}
