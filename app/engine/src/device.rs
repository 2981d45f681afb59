//! Device and dtype strings, and the devices they stand for.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device};
use mdsd3_model::kernels::attention_hindrance;

use crate::error::EngineError;

/// A compute device as the user writes it: `cpu`, `cuda`, `cuda:N` or `metal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputeDevice {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU by its index.
    Cuda(usize),
    /// The first Apple GPU.
    Metal,
}

impl FromStr for ComputeDevice {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || EngineError::BadInput(format!("device {text:?} is unknown; use cpu, cuda, cuda:N or metal"));
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl ComputeDevice {
    /// Refuses devices that this build has no code for.
    pub(crate) fn check_built_in(self) -> Result<(), EngineError> {
        let feature = match self {
            Self::Cuda(_) if !cfg!(feature = "cuda") => "cuda",
            Self::Metal if !cfg!(feature = "metal") => "metal",
            _ => return Ok(()),
        };
        Err(EngineError::BadInput(format!(
            "device {self} is not part of this build; use cpu, or build with `cargo build --release --features {feature}`"
        )))
    }

    /// Opens the device.
    pub(crate) fn open(self) -> Result<Device, EngineError> {
        self.check_built_in()?;
        let (opened, remedy) = match self {
            Self::Cpu => return Ok(Device::Cpu),
            Self::Cuda(index) => (
                Device::new_cuda(index),
                "or check that `nvidia-smi` lists the GPU, with a driver of 580 or later",
            ),
            Self::Metal => (Device::new_metal(0), "as this machine has no GPU for Metal"),
        };
        opened.map_err(|error| {
            let reason = crate::error::one_line(&error.to_string());
            EngineError::BadInput(format!("device {self} can't be opened ({reason}); use cpu, {remedy}"))
        })
    }
}

/// A floating-point type for weights and activations, as the user writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputeDtype {
    /// 32 bits.
    F32,
    /// 16 bits with the exponent range of `f32`.
    Bf16,
    /// 16 bits, IEEE half precision.
    F16,
}

impl FromStr for ComputeDtype {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(EngineError::BadInput(format!(
                "dtype {text:?} is unknown; use f32, bf16 or f16"
            ))),
        }
    }
}

impl fmt::Display for ComputeDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

impl ComputeDtype {
    pub(crate) fn to_candle(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
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
    let report = |(name, device): (&'static str, ComputeDevice)| match device.open() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_strings_survive_a_round_trip() {
        for text in ["cpu", "cuda:0", "cuda:3", "metal"] {
            assert_eq!(text.parse::<ComputeDevice>().expect("valid").to_string(), text);
        }
        assert_eq!("cuda".parse::<ComputeDevice>().expect("valid"), ComputeDevice::Cuda(0));
        for text in ["", "CPU", "cuda:", "cuda:-1", "cuda:x", "metal:1"] {
            assert!(text.parse::<ComputeDevice>().is_err(), "{text:?} should be refused");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_outside_the_build_says_how_to_get_it() {
        let message = ComputeDevice::Cuda(0).open().expect_err("not built in").to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }
}
